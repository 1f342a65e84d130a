"""When things waited and ran."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from smartsim.domain.history import History, JobHistory
from smartsim.domain.status import SmartSimStatus
from smartsim.domain.views.table import Query, chosen, members, ordered


@dataclass(frozen=True, slots=True)
class Bar:
    """One start of an entity over time; times are None for what has not happened.

    Args:
        entity: its name.
        step: the name of this start.
        status: a value of `SmartSimStatus`.
        submitted_at: when it was submitted.
        queued_at: when a workload manager took it.
        started_at: when it began to run.
        stop_requested_at: when somebody wanted it to end.
        ended_at: when it ended.
        driver_gone: whether it has no end because its driver has gone.
    """

    entity: str
    step: str
    status: str
    submitted_at: float
    queued_at: float | None
    started_at: float | None
    stop_requested_at: float | None
    ended_at: float | None
    driver_gone: bool


@dataclass(frozen=True, slots=True)
class Timeline:
    """A part of the starts of an experiment over time.

    Args:
        total: how many all of it has.
        offset: of the first bar.
        begins_at: when the first of all was submitted; 0 without any.
        ends_at: when the last of all ended; now, as long as one may go on.
        bars: that were asked for.
    """

    total: int
    offset: int
    begins_at: float
    ends_at: float
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Load:
    """How many wait and run, from some times on.

    Args:
        times: in seconds since the epoch, ascending.
        waiting: how many were submitted and did not run yet.
        running: how many ran.
    """

    times: tuple[float, ...]
    waiting: tuple[int, ...]
    running: tuple[int, ...]


def timeline(history: History, query: Query, now: float) -> Timeline:
    """Return a part of the starts of an experiment over time.

    Args:
        history: of the experiment.
        query: which part.
        now: the time, in seconds since the epoch.

    Raises:
        ValueError: the query makes no sense.
    """
    jobs = ordered(history, chosen(members(history, query), query), query, now)
    begins_at, ends_at = _span(history, jobs, now)
    shown = jobs[query.offset : query.offset + query.limit]
    return Timeline(len(jobs), query.offset, begins_at, ends_at, tuple(_bar(history, job) for job in shown))


def load(history: History, now: float, points: int = 400) -> Load:
    """Return how many starts waited and ran over time.

    Args:
        history: of the experiment.
        now: the time, in seconds since the epoch.
        points: the most times.
    """
    jobs = tuple(history.jobs.values())
    waits = [job for job in jobs if job.status is not SmartSimStatus.STATUS_NEVER_STARTED]
    runs = [job for job in jobs if job.started_at is not None]
    submitted = sorted(job.submitted_at for job in waits)
    begun = sorted(_wait_end(job) for job in waits if job.started_at is not None or job.ended_at is not None)
    started = sorted(job.started_at for job in runs if job.started_at is not None)
    ended = sorted(_run_end(job) for job in runs if job.ended_at is not None)
    times = _thinned(sorted({*submitted, *begun, *started, *ended}), *_span(history, jobs, now), points)
    return Load(
        times,
        tuple(bisect_right(submitted, at) - bisect_right(begun, at) for at in times),
        tuple(bisect_right(started, at) - bisect_right(ended, at) for at in times),
    )


def _wait_end(job: JobHistory) -> float:
    """Return when a start ceased to wait; not before it began to, whatever clocks said."""
    end = job.started_at if job.started_at is not None else job.ended_at
    return max(job.submitted_at, end or 0.0)


def _run_end(job: JobHistory) -> float:
    return max(job.started_at or 0.0, job.ended_at or 0.0)


def _thinned(times: Sequence[float], begins_at: float, ends_at: float, points: int) -> tuple[float, ...]:
    """Return all of some times, or as many as are asked for in even steps from the first to the last."""
    if len(times) <= points:
        return tuple(times)
    step = (ends_at - begins_at) / max(points - 1, 1)
    return (*(begins_at + step * number for number in range(points - 1)), ends_at)


def _span(history: History, jobs: Iterable[JobHistory], now: float) -> tuple[float, float]:
    begins = min((job.submitted_at for job in jobs), default=0.0)
    latest = max((_latest(history, job, now) for job in jobs), default=0.0)
    return begins, max(begins, latest)


def _latest(history: History, job: JobHistory, now: float) -> float:
    if job.ended_at is not None:
        return job.ended_at
    if job.status is SmartSimStatus.STATUS_NEVER_STARTED:
        return job.submitted_at
    return history.latest if history.is_lost(job) else now


def _bar(history: History, job: JobHistory) -> Bar:
    return Bar(
        job.facts.entity,
        job.facts.step,
        job.status.value,
        job.submitted_at,
        job.queued_at,
        job.started_at,
        job.stop_requested_at,
        job.ended_at,
        history.is_lost(job),
    )
