"""What is exported of an experiment: runs and jobs as spans, samples as measurements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TypeAlias

from smartsim.domain import record
from smartsim.domain.metrics import JobsSampled, ModelSampled, ServersSampled
from smartsim.domain.status import SmartSimStatus

Attributes: TypeAlias = Mapping[str, str | int | float | tuple[str, ...]]
_TRACE, _SPAN = 16, 8  # bytes of their ids


@dataclass(frozen=True)
class Span:
    """Something that took some time.

    Args:
        name: of it.
        trace_id: of all that belongs together: 128 bits.
        span_id: of this: 64 bits.
        parent_id: the span that it is a part of; None without one.
        begin: in seconds since the epoch; so `end`.
        attributes: facts by name.
        error: why it failed, in words; None if it did not.
    """

    name: str
    trace_id: int
    span_id: int
    parent_id: int | None
    begin: float
    end: float
    attributes: Attributes
    error: str | None = None


@dataclass(frozen=True)
class Measurement:
    """A number at some time.

    Args:
        name: what it is.
        value: the number.
        unit: as UCUM has it, such as "By", "s" or "1".
        at: in seconds since the epoch.
        attributes: whose it is.
        is_total: whether it only grows, until its owner begins anew.
    """

    name: str
    value: float
    unit: str
    at: float
    attributes: Attributes
    is_total: bool = False


@dataclass
class _Job:
    facts: record.Submitted
    started: record.Started | None = None


@dataclass
class _Run:
    facts: record.Launching
    is_launched: bool = False
    steps: set[str] = field(default_factory=set)
    failed: int = 0


class Tracing:
    """Makes spans of events: one of each job that has ended, and one of each call of `start` all of whose jobs have.

    Ids follow from names, so that spans of the same thing from several drivers find each other.

    Args:
        experiment: the name of the experiment.

    Example:
        >>> tracing = Tracing("study")
        >>> list(tracing.add(record.Submitted(1.0, "m", "Model", "m-1")))
        []
        >>> span, = tracing.add(record.Ended(3.5, "m", "m-1", "Failed", 2))
        >>> span.name, span.end - span.begin, span.error, span.attributes["smartsim.returncode"]
        ('m', 2.5, 'exit code 2', 2)
    """

    def __init__(self, experiment: str) -> None:
        self._experiment = experiment
        self._runs: dict[str, _Run] = {}
        self._jobs: dict[str, _Job] = {}

    def add(self, event: record.Event) -> Iterator[Span]:
        """Take in one more event, and return what has ended with it."""
        match event:
            case record.Launching(run_id=run_id):
                self._runs[run_id] = _Run(event)
            case record.Launched(run_id=run_id) if run_id in self._runs:
                self._runs[run_id].is_launched = True
                yield from self._end_of_run(run_id, event.at)
            case record.LaunchFailed(run_id=run_id) if run_id in self._runs:
                yield self._run_span(self._runs.pop(run_id), event.at, event.error or "it could not be started")
            case record.Submitted(step=step):
                self._jobs[step] = _Job(event)
                if event.run_id in self._runs:
                    self._runs[event.run_id].steps.add(step)
            case record.Started(step=step) if step in self._jobs:
                self._jobs[step].started = event
            case record.Withdrawn(step=step) if step in self._jobs:
                yield from self._left(self._jobs.pop(step), event.at, failed=False)
            case record.Ended(step=step) if step in self._jobs:
                job = self._jobs.pop(step)
                failed = event.status == SmartSimStatus.STATUS_FAILED.value
                yield self._job_span(job, event, failed=failed)
                yield from self._left(job, event.at, failed=failed)

    def _left(self, job: _Job, at: float, *, failed: bool) -> Iterator[Span]:
        run = self._runs.get(job.facts.run_id)
        if run is not None:
            run.steps.discard(job.facts.step)
            run.failed += failed
            yield from self._end_of_run(job.facts.run_id, at)

    def _end_of_run(self, run_id: str, at: float) -> Iterator[Span]:
        run = self._runs[run_id]
        if run.is_launched and not run.steps:
            del self._runs[run_id]
            yield self._run_span(run, at, f"{run.failed} failed" if run.failed else None)

    def _id(self, kind: str, name: str, size: int) -> int:
        text = f"{self._experiment}\0{kind}\0{name}"
        return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).digest(), "big")

    def _run_span(self, run: _Run, end: float, error: str | None) -> Span:
        run_id = run.facts.run_id
        attributes: dict[str, str | int | float | tuple[str, ...]] = {
            "smartsim.experiment": self._experiment,
            "smartsim.run_id": run_id,
            "smartsim.ensembles": tuple(facts.name for facts in run.facts.ensembles),
            "smartsim.databases": tuple(facts.name for facts in run.facts.databases),
        }
        trace, span = self._id("run", run_id, _TRACE), self._id("run", run_id, _SPAN)
        return Span(f"start {self._experiment}", trace, span, None, run.facts.at, end, _told(attributes), error)

    def _job_span(self, job: _Job, event: record.Ended, *, failed: bool) -> Span:
        facts, started = job.facts, job.started
        attributes: dict[str, str | int | float | tuple[str, ...]] = {
            "smartsim.experiment": self._experiment,
            "smartsim.entity": facts.entity,
            "smartsim.type": facts.type,
            "smartsim.ensemble": facts.ensemble,
            "smartsim.database": facts.database,
            "smartsim.run_id": facts.run_id,
            "smartsim.step": facts.step,
            "smartsim.status": event.status,
            "smartsim.reason": event.reason,
            "smartsim.stopped_by": event.stopped_by,
        }
        if event.returncode is not None:
            attributes["smartsim.returncode"] = event.returncode
        if started is not None:
            attributes["smartsim.native_id"] = started.native_id
            attributes["smartsim.wait_seconds"] = max(0.0, started.at - facts.at)
            attributes["smartsim.hosts"] = tuple(share.node for share in started.placement)
        has_run = bool(facts.run_id)
        return Span(
            facts.entity,
            self._id("run", facts.run_id, _TRACE) if has_run else self._id("step", facts.step, _TRACE),
            self._id("step", facts.step, _SPAN),
            self._id("run", facts.run_id, _SPAN) if has_run else None,
            facts.at,
            max(facts.at, event.at),
            _told(attributes),
            (event.reason or f"exit code {event.returncode}") if failed else None,
        )


def _told(attributes: Attributes) -> Attributes:
    return {name: value for name, value in attributes.items() if value not in ("", ())}


def measurements(event: record.Event, experiment: str) -> Iterator[Measurement]:
    """Return what a sample tells, one by one.

    Args:
        event: the sample.
        experiment: the name of the experiment.

    Example:
        >>> sample = ModelSampled(5.0, "db", "db_0", "net", calls=7)
        >>> [(found.name, found.value) for found in measurements(sample, "study")][0]
        ('smartsim.model.calls', 7)
    """
    whose: dict[str, str | int | float | tuple[str, ...]] = {"smartsim.experiment": experiment}
    match event:
        case JobsSampled():
            for usage in event.jobs:
                yield from _measured(event.at, whose | {"smartsim.step": usage.step}, "smartsim.job", usage, _JOB)
        case ServersSampled():
            whose |= {"smartsim.database": event.database, "smartsim.server": event.server}
            yield from _measured(event.at, whose, "smartsim.server", event, _SERVER)
        case ModelSampled():
            whose |= {"smartsim.database": event.database, "smartsim.server": event.server}
            whose |= {"smartsim.model": event.model, "smartsim.device": event.device}
            yield from _measured(event.at, whose, "smartsim.model", event, _MODEL)


# The field, its unit, and whether it is a total.
_JOB = (
    ("cpu_seconds", "s", True),
    ("memory", "By", False),
    ("processes", "{process}", False),
    ("gpu_memory", "By", False),
    ("gpu_utilization", "1", False),
)
_SERVER = (
    ("used_memory", "By", False),
    ("peak_memory", "By", False),
    ("clients", "{client}", False),
    ("keys", "{key}", False),
    ("commands", "{command}", True),
    ("hits", "{read}", True),
    ("misses", "{read}", True),
    ("bytes_in", "By", True),
    ("bytes_out", "By", True),
)
_MODEL = (
    ("calls", "{call}", True),
    ("errors", "{call}", True),
    ("queue_seconds", "s", True),
    ("run_seconds", "s", True),
    ("queue_length", "{call}", False),
)


def _measured(
    at: float, whose: Attributes, prefix: str, sample: object, kinds: tuple[tuple[str, str, bool], ...]
) -> Iterator[Measurement]:
    for name, unit, is_total in kinds:
        value = getattr(sample, name)
        if value is not None:
            yield Measurement(f"{prefix}.{name}", value, unit, at, _told(whose), is_total)
