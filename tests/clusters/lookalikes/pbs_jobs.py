"""What PBS calls jobs, and what it says when there is none."""

from __future__ import annotations

import re

from clusters.lookalikes.cluster import Cluster, Job

SERVER = "pbsserver"

# Errors of PBS have numbers from 15001; a program's exit code is the number modulo 256.
NO_HISTORY, HAS_FINISHED, UNKNOWN_JOB, ILLEGAL_VALUE, UNKNOWN_QUEUE, UNKNOWN_RESOURCE, TOO_MUCH = (
    *(34, 35, 153, 166, 170),
    *(187, 188),
)

_NAME = re.compile(r"(\d+)(\[(\d*)\])?(?:\.(.*))?")


class RefusedError(Exception):
    """PBS refuses something.

    Args:
        said: its words.
        code: the program's exit code.
    """

    def __init__(self, said: str, code: int) -> None:
        super().__init__(said)
        self.code = code


def identifier(job: Job) -> str:
    """Return what a job, or an element, is called."""
    return f"{job.number}.{SERVER}" if job.index is None else f"{job.number}[{job.index}].{SERVER}"


def full_id(job: Job) -> str:
    """Return what the whole job is called."""
    return f"{job.number}.{SERVER}" if job.index is None else f"{job.number}[].{SERVER}"


def find(cluster: Cluster, name: str) -> list[Job]:
    """Return the jobs that a name is for: all elements for an array's.

    Raises:
        RefusedError: there is none.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise RefusedError(f"Unknown queue destination {name}", UNKNOWN_QUEUE)
    whole = [job for job in cluster.jobs.values() if job.number == int(match[1])]
    found = [job for job in whole if (match[2] is None) == (job.index is None)]
    if match[3]:
        found = [job for job in found if job.index == int(match[3])]
    if not found:
        raise RefusedError(f"Unknown Job Id {name if match[4] else f'{name}.{SERVER}'}", UNKNOWN_JOB)
    return found
