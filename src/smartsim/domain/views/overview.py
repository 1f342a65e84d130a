"""An experiment at a glance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from smartsim.domain.history import History, JobHistory
from smartsim.domain.record_facts import EnsembleFacts
from smartsim.domain.status import SmartSimStatus
from smartsim.domain.views.table import MODELS, Row, group_of, row

Counts: TypeAlias = Mapping[str, int]
"""How many have a status, by its value; only those that occur."""

_FAILURES = 20
_VALUES = 100  # of a parameter that are shown


@dataclass(frozen=True, slots=True)
class DriverView:
    """Who recorded.

    Args:
        host: its machine.
        pid: its process there.
        launcher: that it used.
        smartsim: its version of this package.
        began_at: when it began to record.
        is_alive: whether it runs; None when nobody can tell from here.
        experiment: as it called it: several may have one directory.
    """

    host: str
    pid: int
    launcher: str
    smartsim: str
    began_at: float
    is_alive: bool | None
    experiment: str


@dataclass(frozen=True, slots=True)
class RunView:
    """One call of `start`.

    Args:
        run_id: its id.
        began_at: when it began.
        launched_at: when all was submitted, and databases answered; None before, and when that failed.
        error: why it failed; empty otherwise.
        jobs: how many starts it consists of.
        counts: of these.
    """

    run_id: str
    began_at: float
    launched_at: float | None
    error: str
    jobs: int
    counts: Counts


@dataclass(frozen=True, slots=True)
class GroupView:
    """What belongs together.

    Args:
        name: of the ensemble or database; `MODELS` for the others.
        kind: "ensemble", "database" or "models".
        members: how many entities.
        counts: of their latest starts.
        params: the values of each parameter of an ensemble, at most 100 of each.
    """

    name: str
    kind: str
    members: int
    counts: Counts
    params: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Overview:
    """All of an experiment, in short.

    Args:
        experiment: its name; empty when nobody recorded it. So the next.
        launcher: of its latest driver.
        began_at: when its first driver began; None when nobody recorded it.
        latest_at: when the latest thing happened; 0 when nothing has.
        entities: how many there are.
        jobs: how often they were started, together.
        counts: of their latest starts.
        drivers: in the order of their beginnings.
        runs: the calls of `start`, so.
        groups: ensembles, databases and the other models, so.
        failures: the latest starts of entities that failed, at most 20, the last first.
        unknown_events: that this version cannot read.
        driver_gone: whether all drivers have gone: nobody records what becomes of what has no end.
        lost: how many entities have no end because of that.
    """

    experiment: str
    launcher: str
    began_at: float | None
    latest_at: float
    entities: int
    jobs: int
    counts: Counts
    drivers: tuple[DriverView, ...]
    runs: tuple[RunView, ...]
    groups: tuple[GroupView, ...]
    failures: tuple[Row, ...]
    unknown_events: int
    driver_gone: bool
    lost: int


def overview(history: History) -> Overview:
    """Return an experiment at a glance."""
    experiment = history.experiment
    latest = [starts[-1] for starts in history.entities.values()]
    failed = [job for job in latest if job.status is SmartSimStatus.STATUS_FAILED]
    failed.sort(key=lambda job: job.ended_at or 0.0, reverse=True)
    return Overview(
        experiment="" if experiment is None else experiment.experiment,
        launcher="" if experiment is None else experiment.launcher,
        began_at=history.drivers[0].at if history.drivers else None,
        latest_at=history.latest,
        entities=len(latest),
        jobs=len(history.jobs),
        counts=_counts(latest),
        drivers=_drivers(history),
        runs=_runs(history),
        groups=_groups(history, latest),
        failures=tuple(row(history, job, history.latest) for job in failed[:_FAILURES]),
        unknown_events=len(history.unknown),
        driver_gone=history.driver_gone,
        lost=sum(map(history.is_lost, latest)),
    )


def _counts(jobs: Iterable[JobHistory]) -> Counts:
    return {status.value: number for status, number in Counter(job.status for job in jobs).items()}


def _drivers(history: History) -> tuple[DriverView, ...]:
    return tuple(
        DriverView(
            driver.host,
            driver.pid,
            driver.launcher,
            driver.smartsim,
            driver.at,
            history.alive.get(driver),
            driver.experiment,
        )
        for driver in history.drivers
    )


def _runs(history: History) -> tuple[RunView, ...]:
    return tuple(
        RunView(run_id, run.facts.at, run.launched_at, run.error, len(run.jobs), _counts(run.jobs.values()))
        for run_id, run in history.runs.items()
    )


def _groups(history: History, latest: Iterable[JobHistory]) -> tuple[GroupView, ...]:
    grouped: dict[tuple[str, str], list[JobHistory]] = {}
    for job in latest:
        kind = "ensemble" if job.facts.ensemble else "database" if job.facts.database else "models"
        grouped.setdefault((kind, group_of(job) or MODELS), []).append(job)
    ensembles = {facts.name: facts for run in history.runs.values() for facts in run.facts.ensembles}
    return tuple(
        GroupView(name, kind, len(jobs), _counts(jobs), _params(ensembles.get(name) if kind == "ensemble" else None))
        for (kind, name), jobs in grouped.items()
    )


def _params(facts: EnsembleFacts | None) -> Mapping[str, tuple[str, ...]]:
    if facts is None:
        return {}
    return {
        name: tuple(str(value) for value in values[:_VALUES]) if isinstance(values, list | tuple) else (str(values),)
        for name, values in facts.params.items()
    }
