"""What the record of an experiment tells, folded: its runs, entities and databases, and where each of them stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from smartsim.domain import record
from smartsim.domain.record_facts import DatabaseFacts
from smartsim.domain.resources import Share
from smartsim.domain.status import TERMINAL_STATUSES, SmartSimStatus

_ENDS: Mapping[str, SmartSimStatus] = {status.value: status for status in TERMINAL_STATUSES}


@dataclass(slots=True)
class JobHistory:
    """One start of one entity.

    Args:
        facts: what was known of it when it was submitted.
        status: where it stands, as far as was recorded. When its driver was killed, nobody wrote what became of it.
        native_id: the process id, or the id of the batch job or the step.
        queued_at: when its workload manager took it, in seconds since the epoch; so the next.
        started_at: when it started.
        stop_requested_at: when somebody wanted it to end.
        ended_at: when it ended.
        returncode: its exit code, or the negative number of a signal; None when nobody knows.
        reason: why it ended so, in words.
        stopped_by: who had it end, in words; empty when nobody had.
        placement: what it had of the allocation, node by node.
        taken_over_by: the ids of drivers that follow what an earlier one started.
    """

    facts: record.Submitted
    status: SmartSimStatus = SmartSimStatus.STATUS_NEW
    native_id: str = ""
    queued_at: float | None = None
    started_at: float | None = None
    stop_requested_at: float | None = None
    ended_at: float | None = None
    returncode: int | None = None
    reason: str = ""
    stopped_by: str = ""
    placement: tuple[Share, ...] = ()
    taken_over_by: list[str] = field(default_factory=list)

    @property
    def submitted_at(self) -> float:
        """When it was submitted, in seconds since the epoch."""
        return self.facts.at

    @property
    def is_final(self) -> bool:
        """Whether it ended."""
        return self.status in TERMINAL_STATUSES

    @property
    def batch_job_id(self) -> str:
        """The id of the batch job that it runs in; empty without one."""
        return self.native_id if self.facts.batch_job else ""

    @property
    def hosts(self) -> tuple[str, ...]:
        """The nodes that it was placed on."""
        return tuple(share.node for share in self.placement)


@dataclass
class RunHistory:
    """One call of `start`.

    Args:
        facts: what was to be started.
        jobs: the starts that it consists of, by the names of their steps.
        launched_at: when all was submitted, and databases answered; None before, and when that failed.
        error: why it failed, in words; empty otherwise.
    """

    facts: record.Launching
    jobs: dict[str, JobHistory] = field(default_factory=dict)
    launched_at: float | None = None
    error: str = ""


@dataclass
class DatabaseHistory:
    """A database, at its latest start.

    Args:
        name: of the database.
        facts: as it was launched.
        ready: what it was when it answered; None before.
    """

    name: str
    facts: DatabaseFacts | None = None
    ready: record.DatabaseReady | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where clients find its servers, shards first."""
        return () if self.ready is None else tuple(f"{shard.host}:{shard.port}" for shard in self.ready.shards)


@dataclass
class History:
    """All that was recorded of an experiment.

    Events may come late, twice or without those before: several drivers write, and a driver that is killed does not. So
    nothing that ended runs again, the first word on a fact counts, and what is known of something is kept although its
    beginning is not.

    Args:
        drivers: those that recorded, in the order of their beginnings.
        runs: the calls of `start`, by their ids.
        jobs: every start of an entity, by the name of its step.
        entities: the starts of each entity, in their order, by its name.
        databases: by name.
        unknown: the events that this version cannot read.
        latest: when the latest thing happened, in seconds since the epoch; 0 when nothing has.
        alive: whether drivers run, as far as who reads the record has found out.

    Example:
        >>> history = History.of([
        ...     {"event": "submitted", "at": 1.0, "entity": "m", "type": "Model", "step": "m-1"},
        ...     {"event": "ended", "at": 9.0, "entity": "m", "step": "m-1", "status": "Failed", "returncode": -11},
        ... ])
        >>> history.entities["m"][-1].status.value, history.entities["m"][-1].returncode
        ('Failed', -11)
    """

    drivers: list[record.Opened] = field(default_factory=list)
    runs: dict[str, RunHistory] = field(default_factory=dict)
    jobs: dict[str, JobHistory] = field(default_factory=dict)
    entities: dict[str, list[JobHistory]] = field(default_factory=dict)
    databases: dict[str, DatabaseHistory] = field(default_factory=dict)
    unknown: list[record.Unknown] = field(default_factory=list)
    latest: float = 0.0
    alive: dict[record.Opened, bool] = field(default_factory=dict)
    _by_id: dict[str, record.Opened] = field(default_factory=dict)  # drivers that have one

    @classmethod
    def of(cls, written: Iterable[Mapping[str, Any]]) -> History:
        """Return what a record tells.

        Args:
            written: its lines, in their order; such as `EventLog.replay` returns them.
        """
        history = cls()
        for line in written:
            history.add(record.parse(line))
        return history

    @property
    def experiment(self) -> record.Opened | None:
        """The experiment, as the latest driver called it; None when none was recorded."""
        return self.drivers[-1] if self.drivers else None

    @property
    def driver_gone(self) -> bool:
        """Whether every driver is known to have gone."""
        return bool(self.drivers) and not any(self.alive.get(driver, True) for driver in reversed(self.drivers))

    def is_lost(self, job: JobHistory) -> bool:
        """Return whether a start has no end because nobody is there to record it: it may run or not."""
        if job.ended_at is not None or job.status is SmartSimStatus.STATUS_NEVER_STARTED:
            return False
        followers = self.followers(job)
        return not any(self.alive.get(driver, True) for driver in followers) if followers else self.driver_gone

    def followers(self, job: JobHistory) -> Sequence[record.Opened]:
        """Return the drivers that follow a start, the one that made it first; none when the record does not say."""
        run = self.runs.get(job.facts.run_id)
        found = [self._by_id.get(driver) for driver in ("" if run is None else run.facts.driver, *job.taken_over_by)]
        known = [driver for driver in found if driver is not None]
        return known if len(known) == len(found) else ()

    def add(self, event: record.Event) -> None:
        """Take in one more event."""
        self.latest = max(self.latest, event.at)
        match event:
            case record.Opened():
                self.drivers.append(event)
                if event.driver:
                    self._by_id[event.driver] = event
            case record.Launching(run_id=run_id):
                self._launching(self.runs.setdefault(run_id, RunHistory(event)), event)
            case record.Launched(run_id=run_id):
                self._run(event, run_id).launched_at = event.at
            case record.LaunchFailed(run_id=run_id):
                self._run(event, run_id).error = event.error or "it is not known why"
            case record.Submitted():
                self._submitted(event)
            case record.StepEvent():
                self._happened(self._job(event), event)
            case record.DatabaseReady(database=name):
                self.databases.setdefault(name, DatabaseHistory(name)).ready = event
            case record.Unknown():
                self.unknown.append(event)

    def _launching(self, run: RunHistory, event: record.Launching) -> None:
        run.facts = event
        for facts in event.databases:
            self.databases[facts.name] = DatabaseHistory(facts.name, facts)

    def _run(self, event: record.Event, run_id: str) -> RunHistory:
        if run_id not in self.runs:
            self.runs[run_id] = RunHistory(record.Launching(at=event.at, run_id=run_id))
        return self.runs[run_id]

    def _submitted(self, event: record.Submitted) -> None:
        job = self.jobs.get(event.step)
        if job is None:
            job = self.jobs[event.step] = JobHistory(event)
            self.entities.setdefault(event.entity, []).append(job)
        elif not (isinstance(event, record.TakenOver) or job.facts.run_id):
            job.facts = event  # until now only later events were seen
        if isinstance(event, record.TakenOver) and event.driver not in job.taken_over_by:
            job.taken_over_by.append(event.driver)
        if event.run_id:
            self._run(event, event.run_id).jobs[event.step] = job

    def _job(self, event: record.StepEvent) -> JobHistory:
        job = self.jobs.get(event.step)
        if job is None:
            job = JobHistory(record.Submitted(at=event.at, entity=event.entity, type="", step=event.step))
            self.jobs[event.step] = job
            self.entities.setdefault(event.entity, []).append(job)
        return job

    def _happened(self, job: JobHistory, event: record.StepEvent) -> None:
        match event:
            case record.Ended():
                _end(job, event)
            case record.StopRequested(at=at, by=by) if not job.is_final and job.stop_requested_at is None:
                job.stop_requested_at, job.stopped_by = at, by
            case record.Queued(at=at, native_id=native_id):
                job.queued_at = at if job.queued_at is None else job.queued_at
                job.native_id = job.native_id or native_id
                _move(job, SmartSimStatus.STATUS_QUEUED, unless=SmartSimStatus.STATUS_RUNNING)
            case record.Started(at=at, native_id=native_id, placement=placement):
                job.native_id = native_id if job.started_at is None else job.native_id
                job.started_at = at if job.started_at is None else job.started_at
                job.placement = job.placement or placement
                _move(job, SmartSimStatus.STATUS_RUNNING, unless=SmartSimStatus.STATUS_PAUSED)
            case record.Suspended():
                _move(job, SmartSimStatus.STATUS_PAUSED)
            case record.Resumed():
                _move(job, SmartSimStatus.STATUS_RUNNING)
            case record.Withdrawn(driver=driver):
                job.taken_over_by = [other for other in job.taken_over_by if other != driver]
                if job.status is SmartSimStatus.STATUS_NEW:
                    job.status = SmartSimStatus.STATUS_NEVER_STARTED


def _move(job: JobHistory, status: SmartSimStatus, unless: SmartSimStatus | None = None) -> None:
    if not job.is_final and job.status is not unless:
        job.status = status


def _end(job: JobHistory, event: record.Ended) -> None:
    # A driver that took something over does not always learn of its exit code; the one before may have.
    if job.is_final and not (job.returncode is None and event.returncode is not None):
        return
    otherwise = SmartSimStatus.STATUS_COMPLETED if event.returncode == 0 else SmartSimStatus.STATUS_FAILED
    job.status = _ENDS.get(event.status, otherwise)
    job.ended_at, job.returncode, job.reason = event.at, event.returncode, event.reason
    job.stopped_by = event.stopped_by or job.stopped_by
