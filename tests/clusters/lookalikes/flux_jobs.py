"""What Flux calls jobs, and what it tells of them."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from clusters.lookalikes.cluster import Cluster, Job, State

_DIGITS = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_STEP = 1 << 24  # identifiers have a time in their upper bits
_STATES = {
    State.HELD: "SCHED",
    State.QUEUED: "SCHED",
    State.RUNNING: "RUN",
    State.SUSPENDED: "RUN",
    State.EXITING: "CLEANUP",
    State.ENDED: "INACTIVE",
}
_EXCEPTIONS = {"limit": ("timeout", "resource allocation expired"), "deleted": ("cancel", "")}
_SHELL_SIGNAL = 128


class RefusedError(Exception):
    """Flux refuses something, and says so."""


def identifier(job: Job) -> str:
    """Return what a job is called: the digits of base 58 behind a florin sign."""
    number, digits = job.number * _STEP, ""
    while number:
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return f"ƒ{digits}"


def shown(job: Job) -> str:
    """Return an identifier as it is printed: with an f where the locale has no florin sign."""
    return identifier(job).replace("ƒ", "ƒ" if "utf" in sys.stdout.encoding.lower() else "f")


def find(cluster: Cluster, names: Sequence[str]) -> tuple[list[Job], list[str]]:
    """Return the jobs that are named, and the names that are no job's.

    Raises:
        RefusedError: one is no identifier.
    """
    for name in names:
        if not name.isdigit() and not (name[:1] in ("f", "ƒ") and name[1:] and set(name[1:]) <= set(_DIGITS)):
            raise RefusedError(f"{name} is not a valid Flux jobid")
    by_name = {key: job for job in cluster.jobs.values() for key in (identifier(job)[1:], str(job.number * _STEP))}
    keys = {name: name if name.isdigit() else name[1:] for name in names}
    return [by_name[key] for key in keys.values() if key in by_name], [
        n for n, key in keys.items() if key not in by_name
    ]


def exit_code(job: Job) -> int:
    """Return the exit code that is told of a job that ended; one that never ran has one, too."""
    if job.returncode is None:
        return 1 if "exception" in job.extra else -_SHELL_SIGNAL
    return job.returncode if job.returncode >= 0 else _SHELL_SIGNAL - job.returncode


def result(job: Job) -> str:
    """Return how a job ended."""
    if job.cause:
        return "TIMEOUT" if job.cause == "limit" else "CANCELED"
    return "FAILED" if exit_code(job) else "COMPLETED"


def record(cluster: Cluster, job: Job) -> dict[str, Any]:
    """Return what ``flux jobs --json`` tells of a job; what is not set is left out."""
    over = job.is_over
    told: dict[str, Any] = {"t_depend": job.submitted, "t_priority": job.submitted, "t_sched": job.submitted}
    if job.started:
        told |= {"t_run": job.started, "ranks": _ranks(cluster, job), "nodelist": ",".join(job.nodes)}
        told["runtime"] = (job.ended or time.time()) - job.started
    if over:
        told |= {"t_cleanup": job.ended, "t_inactive": job.ended, "success": result(job) == "COMPLETED"}
        told |= {"result": result(job), "returncode": exit_code(job)}
        if job.returncode is not None:
            told["waitstatus"] = exit_code(job) << 8
    kind, note = job.extra.get("exception") or _EXCEPTIONS.get(job.cause, ("", ""))
    exception = {"occurred": True, "severity": 0, "type": kind, "note": note} if kind else {"occurred": False}
    return told | {
        "duration": (job.limit or 0.0) * 60 / cluster.config.minute,
        "name": job.name,
        "cwd": job.directory,
        "queue": job.queue,
        "ntasks": job.extra["slots"],
        "nnodes": len(set(job.nodes)) or job.extra["nodes"],
        "priority": 0 if job.state is State.HELD else 16,
        "id": job.number * _STEP,
        "t_submit": job.submitted,
        "state": _STATES[job.state],
        "username": job.owner,
        "urgency": 0 if job.state is State.HELD else 16,
        "status": result(job) if over else _STATES[job.state],
        "dependencies": [],
        "jobid": identifier(job),
        "annotations": {},
        "exception": exception,
    }


def _ranks(cluster: Cluster, job: Job) -> str:
    nodes = list(cluster.config.nodes)
    return ",".join(str(rank) for rank in sorted({nodes.index(node) for node in job.nodes}))
