"""Jobs that have no end in the record of an experiment, and are no processes of this machine.

Those are better found by looking: see `leftovers`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from smartsim.domain import record
from smartsim.domain.status import SmartSimStatus

if TYPE_CHECKING:
    from smartsim.domain.history import History, JobHistory

_UNTRIED = (SmartSimStatus.STATUS_NEVER_STARTED,)


@dataclass(frozen=True)
class Unfinished:
    """A job of a scheduler or of another machine whose end nobody has recorded.

    When its driver has gone, it may have ended all the same.

    Args:
        name: of the entity.
        status: where it stood when something was recorded of it for the last time.
        native_id: what its scheduler calls it; empty as long as it has no name there.
        batch_job: the name of the scheduler's job; empty for a step of an allocation.
        driver: the process id of its driver.
        host: the machine of the driver.
        submitted_at: in seconds since the epoch.
        path: the directory that it runs in, as recorded.
        kind: tells it from what `leftovers` finds.
    """

    name: str
    status: str
    native_id: str
    batch_job: str
    driver: int
    host: str
    submitted_at: float
    path: str
    kind: Literal["job"] = "job"


def find_unfinished(history: History, host: str) -> list[Unfinished]:
    """Return the jobs that have not ended, less those that are processes of this machine.

    Args:
        history: of the experiment.
        host: the name of this machine.
    """
    found = []
    for job in history.jobs.values():
        driver = _driver(history, job)
        is_elsewhere = driver is not None and driver.host != host
        if not (job.is_final or job.status in _UNTRIED) and (job.facts.batch_job or is_elsewhere):
            found.append(_unfinished(job, driver))
    return found


def _unfinished(job: JobHistory, driver: record.Opened | None) -> Unfinished:
    facts = job.facts
    return Unfinished(
        facts.entity,
        job.status.value,
        job.native_id,
        facts.batch_job,
        0 if driver is None else driver.pid,
        "" if driver is None else driver.host,
        facts.at,
        facts.directory,
    )


def _driver(history: History, job: JobHistory) -> record.Opened | None:
    """Return the driver that follows a job; the latest that had begun when it was submitted, if nobody says."""
    followers = history.followers(job)
    if followers:
        return followers[-1]
    return next((driver for driver in reversed(history.drivers) if driver.at <= job.submitted_at), None)
