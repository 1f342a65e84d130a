"""What LSF calls jobs, where they stand in its words, and what it keeps of their history."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from clusters.lookalikes.cluster import Cluster, Job, State

REFUSED = 255
_NAME = re.compile(r"(\d+)(?:\[(\d+)\])?")
_WORDS = {
    State.HELD: "PSUSP",
    State.QUEUED: "PEND",
    State.RUNNING: "RUN",
    State.SUSPENDED: "USUSP",
    State.EXITING: "RUN",
}


class RefusedError(Exception):
    """LSF refuses something.

    Args:
        said: its words.
        code: the program's exit code.
    """

    def __init__(self, said: str, code: int = REFUSED) -> None:
        super().__init__(said)
        self.code = code


def identifier(job: Job) -> str:
    """Return what a job, or an element, is called."""
    return str(job.number) if job.index is None else f"{job.number}[{job.index}]"


def shown_name(job: Job) -> str:
    """Return the name that is shown; that of an element has its index."""
    return job.name if job.index is None else f"{job.name}[{job.index}]"


def word(job: Job) -> str:
    """Return where a job stands.

    One whose shell was ended by a signal is DONE in the OpenLava family: recorded.
    """
    if not job.is_over:
        return _WORDS[job.state]
    ended_well = job.returncode == 0 or (job.returncode is not None and job.returncode < 0 and not job.extra["ibm"])
    return "DONE" if ended_well else "EXIT"


def find(cluster: Cluster, name: str) -> list[Job]:
    """Return the jobs that a name is for: all elements for an array's; none that are not remembered.

    Raises:
        RefusedError: that is no name of a job.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise RefusedError(f"{name}: Illegal job ID.")
    whole = [job for job in cluster.jobs.values() if job.number == int(match[1])]
    return [job for job in whole if match[2] is None or job.index == int(match[2])]


def note(job: Job, said: str) -> None:
    """Keep an event for the history of a job."""
    job.extra.setdefault("events", []).append([time.time(), said])


def note_signal(job: Job, name: str, user: str) -> None:
    """Keep for the history that somebody sent a signal."""
    note(job, f"Signal <{name}> requested by user or administrator <{user}>;")


def hosts(job: Job) -> Sequence[str]:
    """Return the hosts of a job that started, one for each slot."""
    return [host for host, slots in counted_hosts(job).items() for _ in range(slots)]


def counted_hosts(job: Job) -> dict[str, int]:
    """Return the slots of a job that started, by host; with JSM the launch node comes first."""
    counted = {job.extra["launch_node"]: 1} if job.extra["launch_node"] else {}
    for chunk, node in zip(job.chunks, job.nodes, strict=True):
        counted[node] = counted.get(node, 0) + (chunk.cpus or job.extra["slots_per_node"])
    return counted
