"""What an experiment tells Prometheus: text format 0.0.4.

The format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from smartsim.domain.history import History
from smartsim.domain.metrics import ModelSampled, ServersSampled
from smartsim.domain.metrics_history import MetricsHistory
from smartsim.domain.status import SmartSimStatus
from smartsim.domain.views.table import group_of

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_QUANTILES = ("0.5", "0.99", "0.999")
Kind: TypeAlias = Literal["counter", "gauge"]
Labels: TypeAlias = Mapping[str, str]
Sample: TypeAlias = tuple[str, Labels, float]
"""The suffix of the name, the labels and the value."""


@dataclass(frozen=True)
class Family:
    """Samples of one name.

    Args:
        name: without the prefix of this package.
        kind: their type.
        description: in words.
        samples: all of them.
    """

    name: str
    kind: Kind
    description: str
    samples: Iterable[Sample]

    def lines(self) -> Iterator[str]:
        """Yield its lines; none without samples."""
        name = f"smartsim_{self.name}"
        first = True
        for suffix, labels, value in self.samples:
            if first:
                yield f"# HELP {name} {_escaped(self.description, quotes=False)}"
                yield f"# TYPE {name} {self.kind}"
                first = False
            words = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
            yield f"{name}{suffix}{{{words}}} {value!r}" if words else f"{name}{suffix} {value!r}"


def text(history: History, metrics: MetricsHistory) -> str:
    """Return all metrics of an experiment.

    Args:
        history: what happened.
        metrics: the samples.
    """
    families = (*_experiment(history), *_servers(metrics), *_models(metrics), *_jobs(history, metrics))
    return "".join(f"{line}\n" for family in families for line in family.lines())


def _escaped(words: str, *, quotes: bool = True) -> str:
    escaped = words.replace("\\", "\\\\").replace("\n", "\\n")
    escaped = escaped.replace('"', '\\"') if quotes else escaped
    return escaped.encode("utf-8", "backslashreplace").decode()  # half of a surrogate pair has no place in UTF-8


def _experiment(history: History) -> Iterator[Family]:
    opened = history.experiment
    if opened is not None:
        labels = {"experiment": opened.experiment, "launcher": opened.launcher, "version": opened.smartsim}
        yield Family("experiment_info", "gauge", "The experiment.", [("", labels, 1)])
        alive = float(not history.driver_gone)
        yield Family("experiment_driver_up", "gauge", "0 when every driver is known to have gone.", [("", {}, alive)])
    yield Family(
        "experiment_latest_event_timestamp_seconds",
        "gauge",
        "When the latest thing happened.",
        [("", {}, history.latest)],
    )
    latest = (starts[-1] for starts in history.entities.values())
    counts = Counter((group_of(job), job.status.value) for job in latest)
    groups = dict.fromkeys(group for group, _ in counts)
    yield Family(
        "entities",
        "gauge",
        "Entities by the status of their latest start; the group is an ensemble or a database.",
        [
            ("", {"group": group, "status": status.value}, counts[group, status.value])
            for group in groups
            for status in SmartSimStatus
        ],
    )
    yield Family("starts_total", "counter", "Starts of entities.", [("", {}, len(history.jobs))])


def _servers(metrics: MetricsHistory) -> Iterator[Family]:
    latest = metrics.latest_servers.values()
    rows: tuple[tuple[str, Kind, str, str], ...] = (
        ("database_used_memory_bytes", "gauge", "used_memory", "What a server has allocated."),
        ("database_peak_memory_bytes", "gauge", "peak_memory", "The most that it had allocated."),
        ("database_clients", "gauge", "clients", "Clients that are connected."),
        ("database_keys", "gauge", "keys", "Keys that it holds."),
        ("database_commands_total", "counter", "commands", "Commands that it has run."),
        ("database_hits_total", "counter", "hits", "Keys that were read and were there."),
        ("database_misses_total", "counter", "misses", "Keys that were read and were not there."),
        ("database_received_bytes_total", "counter", "bytes_in", "What it has received."),
        ("database_sent_bytes_total", "counter", "bytes_out", "What it has sent."),
    )
    for name, kind, field, description in rows:
        samples = [("", _of_server(sample), getattr(sample, field)) for sample in latest]
        yield Family(name, kind, description, samples)
    yield Family(
        "database_command_seconds",
        "gauge",
        "Percentiles of the time that a command takes in the server.",
        [
            ("", {**_of_server(sample), "command": command, "quantile": quantile}, microseconds / 1e6)
            for sample in latest
            for command, percentiles in sample.latencies.items()
            for quantile, microseconds in zip(_QUANTILES, percentiles, strict=True)
        ],
    )


def _models(metrics: MetricsHistory) -> Iterator[Family]:
    latest = metrics.latest_models.values()
    rows: tuple[tuple[str, Kind, str, str], ...] = (
        ("model_calls_total", "counter", "calls", "Calls of a model or script that were answered."),
        ("model_errors_total", "counter", "errors", "Calls that failed."),
        ("model_queue_seconds_total", "counter", "queue_seconds", "What calls have waited."),
        ("model_run_seconds_total", "counter", "run_seconds", "What runs have taken."),
        ("model_queue_length", "gauge", "queue_length", "Calls that wait."),
    )
    for name, kind, field, description in rows:
        samples = [("", _of_model(sample), getattr(sample, field)) for sample in latest]
        yield Family(name, kind, description, samples)
    yield Family(
        "model_runs_total",
        "counter",
        "Runs by the upper bound of the number of requests in them.",
        [
            ("", {**_of_model(sample), "requests": bound}, runs)
            for sample in latest
            for bound, runs in sample.batch_sizes.items()
        ],
    )


def _jobs(history: History, metrics: MetricsHistory) -> Iterator[Family]:
    running = [
        ({"entity": job.facts.entity, "step": step}, usage)
        for step, usage in metrics.latest_jobs.items()
        if (job := history.jobs.get(step)) is not None and not job.is_final
    ]
    yield Family(
        "job_cpu_seconds_total",
        "counter",
        "CPU time that a job has used that runs beside its driver.",
        [("", labels, usage.cpu_seconds) for labels, usage in running],
    )
    yield Family(
        "job_memory_bytes", "gauge", "Its resident memory.", [("", labels, usage.memory) for labels, usage in running]
    )


def _of_server(sample: ServersSampled) -> Labels:
    return {"database": sample.database, "server": sample.server}


def _of_model(sample: ModelSampled) -> Labels:
    labels = {"database": sample.database, "server": sample.server, "model": sample.model}
    return {**labels, "backend": sample.backend, "device": sample.device}
