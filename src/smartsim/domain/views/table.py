"""Entities as a table: chosen, in order, and a page of them at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any, TypeAlias

from smartsim.domain.history import History, JobHistory
from smartsim.domain.status import SmartSimStatus

MODELS = "(models)"
"""The group of the models that belong to no ensemble."""

LOST = "its driver has gone; whether it still runs is not known"
"""The reason of what has no end because nobody is there to record it."""

Key: TypeAlias = Callable[[JobHistory], Any]
_STATUSES: Mapping[str, SmartSimStatus] = {status.value: status for status in SmartSimStatus}
_PARAMETER = "params."


@dataclass(frozen=True, slots=True)
class Query:
    """Which entities, and in which order.

    Args:
        group: an ensemble, a database or `MODELS`; empty for all.
        run_id: of a call of `start`; empty for all.
        text: that is found in the name, a parameter, the reason or a node, in upper or lower case.
        statuses: one of which it has; empty for all.
        sort: a field of `Row`, or "params." and the name of a parameter.
        descending: whether the greatest comes first. Those without a value come last in any case.
        offset: how many are passed over.
        limit: the most that are returned.
        every_start: whether every start of an entity counts, and not the latest alone.
    """

    group: str = ""
    run_id: str = ""
    text: str = ""
    statuses: Sequence[str] = ()
    sort: str = "entity"
    descending: bool = False
    offset: int = 0
    limit: int = 100
    every_start: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One start of an entity.

    Args:
        entity: its name.
        step: the name of this start.
        type: "Model" or "DBNode"; empty when its beginning was not recorded.
        group: the ensemble or database that it belongs to; empty without one.
        run_id: of the call of `start`.
        status: a value of `SmartSimStatus`.
        returncode: its exit code, or the negative number of a signal; None when nobody knows.
        reason: why it ended so, in words; `LOST` when nobody knows whether it did.
        stopped_by: who had it end, in words.
        submitted_at: when it was submitted; so the next ones, None for what has not happened.
        queued_at: when a workload manager took it.
        started_at: when it began to run.
        stop_requested_at: when somebody wanted it to end.
        ended_at: when it ended.
        wait_seconds: from its submission until it ran, or until now; None when it never will.
        run_seconds: that it ran, or has run until now; None when nobody knows.
        native_id: the process id, or the id of the batch job or the step.
        hosts: the nodes that it was placed on.
        params: its parameters, by name.
        starts: how often the entity was started.
        driver_gone: whether it has no end in the record because its driver has gone: it may run or not.
    """

    entity: str
    step: str
    type: str
    group: str
    run_id: str
    status: str
    returncode: int | None
    reason: str
    stopped_by: str
    submitted_at: float
    queued_at: float | None
    started_at: float | None
    stop_requested_at: float | None
    ended_at: float | None
    wait_seconds: float | None
    run_seconds: float | None
    native_id: str
    hosts: tuple[str, ...]
    params: Mapping[str, str] = field(default_factory=dict)
    starts: int = 1
    driver_gone: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a table.

    Args:
        total: how many rows all of it has.
        offset: of the first row.
        rows: that were asked for.
        parameters: of the entities that were chosen by group and run: columns.
    """

    total: int
    offset: int
    rows: tuple[Row, ...]
    parameters: tuple[str, ...]


def page(history: History, query: Query, now: float) -> Page:
    """Return a part of the table of entities.

    Args:
        history: of the experiment.
        query: which part.
        now: the time, in seconds since the epoch.

    Raises:
        ValueError: the query makes no sense; it says what of it.
    """
    among = members(history, query)
    jobs = ordered(history, chosen(among, query), query, now)
    parameters = dict.fromkeys(chain.from_iterable(job.facts.params for job in among))
    shown = jobs[query.offset : query.offset + query.limit]
    return Page(len(jobs), query.offset, tuple(row(history, job, now) for job in shown), tuple(parameters))


def row(history: History, job: JobHistory, now: float) -> Row:
    """Return a start of an entity as a row.

    Args:
        history: that it is of.
        job: the start.
        now: the time, in seconds since the epoch.
    """
    facts, is_lost = job.facts, history.is_lost(job)
    return Row(
        facts.entity,
        facts.step,
        facts.type,
        group_of(job),
        facts.run_id,
        job.status.value,
        job.returncode,
        LOST if is_lost else job.reason,
        job.stopped_by,
        job.submitted_at,
        job.queued_at,
        job.started_at,
        job.stop_requested_at,
        job.ended_at,
        wait_seconds(history, job, now),
        run_seconds(history, job, now),
        job.native_id,
        job.hosts,
        facts.params,
        len(history.entities[facts.entity]),
        is_lost,
    )


def group_of(job: JobHistory) -> str:
    """Return the ensemble or database that a start belongs to; empty without one."""
    return job.facts.ensemble or job.facts.database


def wait_seconds(history: History, job: JobHistory, now: float) -> float | None:
    """Return how long a start waited until it ran, or has waited; see `Row`."""
    end = job.started_at if job.started_at is not None else job.ended_at
    if end is None:
        if history.is_lost(job) or job.status is SmartSimStatus.STATUS_NEVER_STARTED:
            return None
        end = now
    return max(0.0, end - job.submitted_at)


def run_seconds(history: History, job: JobHistory, now: float) -> float | None:
    """Return how long a start ran, or has run; see `Row`."""
    end = job.ended_at
    if job.started_at is None or (end is None and history.is_lost(job)):
        return None
    return max(0.0, (now if end is None else end) - job.started_at)


def members(history: History, query: Query) -> Sequence[JobHistory]:
    """Return the starts of a group and a run, in the order of the record.

    Raises:
        ValueError: the query makes no sense.
    """
    _check(query)
    if query.run_id:
        run = history.runs.get(query.run_id)
        jobs = () if run is None else tuple(run.jobs.values())
        if not query.every_start:
            jobs = tuple({job.facts.entity: job for job in jobs}.values())
    elif query.every_start:
        jobs = tuple(history.jobs.values())
    else:
        jobs = tuple(starts[-1] for starts in history.entities.values())
    if query.group:
        name = "" if query.group == MODELS else query.group
        jobs = tuple(job for job in jobs if group_of(job) == name)
    return jobs


def chosen(jobs: Sequence[JobHistory], query: Query) -> Sequence[JobHistory]:
    """Return the starts that have one of the statuses, and the text."""
    if query.statuses:
        statuses = [_STATUSES[status] for status in query.statuses]
        jobs = [job for job in jobs if job.status in statuses]
    if query.text:
        text = query.text.casefold()
        jobs = [job for job in jobs if text in "\n".join(_words(job)).casefold()]
    return jobs


def ordered(history: History, jobs: Sequence[JobHistory], query: Query, now: float) -> Sequence[JobHistory]:
    """Return starts in the order of a query; those without a value come last, equals in the order of the record."""
    key = _key(history, query.sort, now)
    known = [(value, job) for job in jobs if (value := key(job)) is not None]
    known.sort(key=itemgetter(0), reverse=query.descending)
    in_order = [job for _, job in known]
    return in_order if len(known) == len(jobs) else [*in_order, *(job for job in jobs if key(job) is None)]


def natural(name: str) -> tuple[str, int, str]:
    """Return what names sort by as people count: by the number at their end.

    Example:
        >>> sorted(["m_10", "m_9", "a"], key=natural)
        ['a', 'm_9', 'm_10']
    """
    stem = name.rstrip("0123456789")
    number = name[len(stem) :]
    return stem, len(number.lstrip("0")), number


def _check(query: Query) -> None:
    unknown = [status for status in query.statuses if status not in _STATUSES]
    if unknown:
        raise ValueError(f"There is no status {unknown[0]!r}: use some of {', '.join(sorted(_STATUSES))}")
    if query.offset < 0 or query.limit < 0:
        raise ValueError(f"The offset ({query.offset}) and the limit ({query.limit}) of a page must not be negative")


def _words(job: JobHistory) -> tuple[str, ...]:
    facts = job.facts
    return (facts.entity, job.reason, *facts.params, *facts.params.values(), *job.hosts)


def _key(history: History, sort: str, now: float) -> Key:
    if sort.startswith(_PARAMETER):
        name = sort.removeprefix(_PARAMETER)
        return lambda job: _amount(job.facts.params.get(name))
    keys: Mapping[str, Key] = {
        "entity": lambda job: natural(job.facts.entity),
        "step": attrgetter("facts.step"),
        "type": attrgetter("facts.type"),
        "group": lambda job: natural(group_of(job)) if group_of(job) else None,
        "run_id": lambda job: job.facts.run_id or None,
        "status": lambda job: job.status.value,
        "wait_seconds": lambda job: wait_seconds(history, job, now),
        "run_seconds": lambda job: run_seconds(history, job, now),
        "native_id": lambda job: natural(job.native_id) if job.native_id else None,
        "starts": lambda job: len(history.entities[job.facts.entity]),
        "driver_gone": history.is_lost,
    }
    if sort not in keys and (sort == "params" or sort not in {each.name for each in fields(Row)}):
        names = sorted({each.name for each in fields(Row)} - {"params"})
        raise ValueError(f"Entities cannot be sorted by {sort!r}: use one of {', '.join(names)}, or params.NAME")
    known = attrgetter(sort) if sort not in keys else keys[sort]
    return lambda job: None if (value := known(job)) in ("", ()) else value  # nobody has told anything


def _amount(value: str | None) -> tuple[bool, float | str] | None:
    """Return what values of parameters sort by: numbers as such, and before words."""
    if value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        return True, value
    return (False, number) if number == number else (True, value)  # noqa: PLR0124 - NaN has no order
