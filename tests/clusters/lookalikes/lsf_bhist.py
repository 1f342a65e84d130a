"""bhist of LSF, and the files of its history, which are kept when a job is forgotten."""

from __future__ import annotations

import getopt
import os
import sys
import time
from collections.abc import Sequence

from clusters.lookalikes.cluster import Cluster, Job, State
from clusters.lookalikes.lsf_jobs import REFUSED, identifier, shown_name

_WIDTH = 58  # of what follows the date
_DATE = "%a %b %d %H:%M:%S"
_INDENT = " " * 21
_REASONS = {
    "limit": "TERM_RUNLIMIT: job killed after reaching LSF run time limit",
    "deleted": "TERM_OWNER: job killed by owner",
}


def bhist(cluster: Cluster, argv: Sequence[str]) -> int:
    """Show what happened to jobs, at length."""
    _, names = getopt.getopt(list(argv), "aln:")
    shown = [text for name in names for text in _histories(cluster, name)]
    if not shown:
        sys.stdout.write("No matching job found\n")
        return REFUSED
    sys.stdout.write(f"{'-' * 78}\n".join(shown))
    return 0


def keep(cluster: Cluster, job: Job) -> None:
    """Keep the history of a job that ended."""
    with open(_path(cluster, identifier(job)), "w", encoding="utf-8") as stream:
        stream.write(_history(cluster, job))


def _path(cluster: Cluster, name: str) -> str:
    return cluster.path("spool", f"{name}.history")


def _histories(cluster: Cluster, name: str) -> list[str]:
    found = {identifier(job): _history(cluster, job) for job in cluster.jobs.values()}
    for file in os.listdir(cluster.path("spool")):
        if file.endswith(".history"):
            with open(cluster.path("spool", file), encoding="utf-8") as stream:
                found[file.removesuffix(".history")] = stream.read()
    wanted = sorted((key for key in found if name in (key, key.partition("[")[0])), key=lambda key: (len(key), key))
    return [found[key] for key in wanted]


def _history(cluster: Cluster, job: Job) -> str:
    named = "" if job.extra["spec"] == job.extra["command"] else f" Job Name <{shown_name(job)}>,"
    command = job.extra["command"].strip().replace("\n", ";")
    events: list[tuple[float, str]] = [(at, text) for at, text in job.extra["events"]]
    if job.started:
        where = " ".join(f"<{node}>" for node in job.nodes)
        many = f"{len(job.nodes)} Hosts/Processors " if len(job.nodes) > 1 else ""
        events += [
            (job.started, f"Dispatched to {many}{where};"),
            (job.started, f"Starting (Pid {job.session});"),
            (
                job.started,
                f"Running with execution home <{os.environ.get('HOME', '/')}>, Execution CWD <{job.directory}>;",
            ),
        ]
    if job.is_over:
        events += [(job.ended, text) for text in _end(job)]
    events.sort(key=lambda event: event[0])
    (submitted, how), *others = events
    lines = [
        "",
        f"Job <{identifier(job)}>,{named} User <{job.owner}>, Project <{job.extra['project']}>, Command <{command}>",
        f"{_at(submitted)}{how}",
    ]
    if job.limit is not None:
        lines += ["", f" {'RUNLIMIT':<24}", f" {f'{job.limit / cluster.config.minute:.1f} min':<24}"]
    lines += [f"{_at(at)}{_wrapped(text)}" for at, text in others]
    return "\n".join([*lines, "", *_summary(cluster, job), ""])


def _at(seconds: float) -> str:
    return f"{time.strftime(_DATE, time.localtime(seconds))}: "


def _wrapped(text: str) -> str:
    """Return what happened as its line is broken: in the middle of words, and also when it just fits."""
    pieces = [text[start : start + _WIDTH] for start in range(0, len(text) + 1, _WIDTH)]
    return f"\n{_INDENT}".join(pieces)


def _end(job: Job) -> list[str]:
    used = "The CPU time used is 0.0 seconds;"
    code = job.returncode
    if code is None:
        said = ["Exited;"]
    elif code == 0:
        return [f"Done successfully. {used}"]
    elif code > 0:
        said = [f"Exited with exit code {code}. {used}"]
    elif job.extra["ibm"]:
        said = [f"Exited by signal {-code}. {used}"]
    else:  # recorded
        return [f"Done successfully. {used}", "Post job process failed;"]
    if job.extra["ibm"] and job.cause:
        said.append(f"Completed <exit>; {_REASONS[job.cause]};")
    return said


def _summary(cluster: Cluster, job: Job) -> list[str]:
    """Return the table of times; a minute has as many of this machine's seconds as the site says."""
    now = job.ended or time.time()
    started = job.started or now
    seconds = [
        round((end - begin) * 60 / cluster.config.minute) for begin, end in ((job.submitted, started), (started, now))
    ]
    is_held = job.state is State.HELD
    times = [0 if is_held else seconds[0], seconds[0] if is_held else 0, seconds[1], 0, 0, 0, sum(seconds)]
    names = ("PEND", "PSUSP", "RUN", "USUSP", "SSUSP", "UNKWN", "TOTAL")
    return [
        f"Summary of time in seconds spent in various states by  {time.strftime(_DATE, time.localtime(now))}",
        "  " + "    ".join(f"{name:<5}" for name in names).rstrip(),
        "  " + "".join(f"{value:<9}" for value in times),
    ]
