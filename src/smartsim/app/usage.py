"""What the samples of an experiment say in the end: what servers, models and jobs used, without the course of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smartsim.domain.history import History
    from smartsim.domain.metrics import JobUsage, ModelSampled, ServersSampled
    from smartsim.domain.metrics_history import MetricsHistory, Series


@dataclass(frozen=True)
class Figures:
    """A value over time, as far as its points are kept.

    Args:
        last: the latest that is known.
        mean: of all.
        most: the largest.
    """

    last: float
    mean: float
    most: float


@dataclass(frozen=True)
class Sampled:
    """When something was sampled, and what was found.

    Args:
        began_at: the first sample, in seconds since the epoch.
        latest_at: the last one.
        values: by name, as `MetricsHistory` has them; those that are not known are left out.
    """

    began_at: float
    latest_at: float
    values: Mapping[str, Figures]


@dataclass(frozen=True)
class ServerUsage:
    """A server of a database: its last sample, and its values over time."""

    server: str
    latest: ServersSampled
    sampled: Sampled


@dataclass(frozen=True)
class ModelUsage:
    """A model or script on a server: its last sample, and its values over time.

    Args:
        model: its key.
        server: where it is.
        queue_ms: that a call has waited, in the mean of all; None before the first call.
        run_ms: that a run has taken, in the mean of all; a batch is one run.
        latest: the last sample.
        sampled: the values.
    """

    model: str
    server: str
    queue_ms: float | None
    run_ms: float | None
    latest: ModelSampled
    sampled: Sampled


@dataclass(frozen=True)
class UsageOfJob:
    """A start of an entity: its last sample, and its values over time.

    Args:
        entity: its name.
        step: the name of the start.
        status: where it stands; empty when that was not recorded.
        peak_memory: the most memory that it had in any sample, in bytes.
        latest: the last sample.
        sampled: the values.
    """

    entity: str
    step: str
    status: str
    peak_memory: int
    latest: JobUsage
    sampled: Sampled


@dataclass(frozen=True)
class Usage:
    """All that was sampled.

    Args:
        servers: of databases, by name.
        models: by name, and then by server.
        jobs: those that took most memory first.
        missing: what was not sampled, and why, in words.
    """

    servers: tuple[ServerUsage, ...] = ()
    models: tuple[ModelUsage, ...] = ()
    jobs: tuple[UsageOfJob, ...] = ()
    missing: tuple[str, ...] = field(default=())


def usage(history: History, metrics: MetricsHistory) -> Usage:
    """Return what the samples of an experiment say.

    Args:
        history: of the experiment.
        metrics: its samples.
    """
    servers = tuple(
        ServerUsage(name, latest, _sampled(metrics.servers[name]))
        for name, latest in sorted(metrics.latest_servers.items())
    )
    models = tuple(
        _model(latest, metrics.models[key])
        for key, latest in sorted(metrics.latest_models.items(), key=lambda item: item[0][::-1])
    )
    jobs = sorted(_jobs(history, metrics), key=lambda job: job.peak_memory, reverse=True)
    return Usage(servers, models, tuple(jobs), tuple(_missing(history, metrics)))


def _model(latest: ModelSampled, series: Series) -> ModelUsage:
    runs = sum(latest.batch_sizes.values())
    return ModelUsage(
        latest.model,
        latest.server,
        latest.queue_seconds / latest.calls * 1e3 if latest.calls else None,
        latest.run_seconds / runs * 1e3 if runs else None,
        latest,
        _sampled(series),
    )


def _jobs(history: History, metrics: MetricsHistory) -> Iterable[UsageOfJob]:
    for step, latest in metrics.latest_jobs.items():
        job = history.jobs.get(step)
        entity, status = (step, "") if job is None else (job.facts.entity, job.status.value)
        yield UsageOfJob(entity, step, status, metrics.peak_memory[step], latest, _sampled(metrics.jobs[step]))


def _sampled(series: Series) -> Sampled:
    known = {name: [value for value in column if value is not None] for name, column in series.values.items()}
    return Sampled(
        series.times[0],
        series.times[-1],
        {
            name: Figures(column[-1], sum(column) / len(column), max(column))
            for name, column in sorted(known.items())
            if column
        },
    )


def _missing(history: History, metrics: MetricsHistory) -> Iterable[str]:
    looks = (
        "Samples are taken while telemetry is on and the driver lives, of databases also afterwards, every "
        "SMARTSIM_TELEMETRY_FREQUENCY seconds (by default 5)"
    )
    if history.databases and not metrics.latest_servers:
        yield f"No server of {', '.join(history.databases)} was sampled. {looks}"
    if history.jobs and not metrics.latest_jobs:
        if all(job.facts.batch_job for job in history.jobs.values()):
            yield "No job was sampled: all are jobs of a scheduler, and not on the machine of their driver"
        else:
            yield f"No job was sampled. {looks}, of what runs on its own machine"
    if metrics.unknown:
        yield f"{metrics.unknown} lines of the samples cannot be read by this version of smartsim-next"
