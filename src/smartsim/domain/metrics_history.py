"""What the samples of an experiment tell, folded: how its servers, models and jobs did over time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from smartsim.domain import record
from smartsim.domain.metrics import JobsSampled, JobUsage, LargeKey, ModelSampled, ServersSampled, SlowCall, parse

LONGEST = 2000
"""Points of the series of a server or model, at most."""
LONGEST_OF_JOB = 200
"""So of a job: there are many."""
_SLOW_CALLS = 200  # that are kept of a database's servers


@dataclass
class Series:
    """Values over time. When it gets too long, every second point is left out, as often as that takes.

    Args:
        times: in seconds since the epoch, ascending.
        values: by name, one for each time; None where there was nothing to tell.
        longest: points, at most.
    """

    times: list[float] = field(default_factory=list)
    values: dict[str, list[float | None]] = field(default_factory=dict)
    longest: int = LONGEST

    def add(self, at: float, values: Mapping[str, float | None]) -> None:
        """Add a point; one that is not later than the last is left out."""
        if self.times and at <= self.times[-1]:
            return
        for name in values.keys() - self.values.keys():
            self.values[name] = [None] * len(self.times)
        self.times.append(at)
        for name, column in self.values.items():
            column.append(values.get(name))
        if len(self.times) > self.longest:
            # The last point stays: it is where things stand.
            self.times = self.times[::-2][::-1]
            self.values = {name: column[::-2][::-1] for name, column in self.values.items()}


@dataclass
class MetricsHistory:
    """All samples of an experiment.

    Args:
        servers: by the name of the server; values: used_memory, clients, keys, ops_per_second, hit_rate (0 to 1, of the
            reads since the sample before), bytes_in_per_second, bytes_out_per_second, p50, p99, p999 (microseconds: the
            largest among commands that were called since the sample before).
        models: by the names of server and model; values: calls_per_second, queue_ms, run_ms (means of a call since the
            sample before), queue_length.
        jobs: by step; values: cpu (cores in use), memory (bytes), gpu_memory, gpu_utilization.
        latest_servers: the last sample, by the name of the server.
        latest_models: so, by the names of server and model.
        latest_jobs: so, by step.
        peak_memory: the most bytes that a job had in any sample, also those that its series has lost, by step.
        slow_calls: the last ones, with the name of the server, in their order.
        largest_keys: of the last time they were looked for, by the name of the server.
        unknown: how many lines this version cannot read.
    """

    servers: dict[str, Series] = field(default_factory=dict)
    models: dict[tuple[str, str], Series] = field(default_factory=dict)
    jobs: dict[str, Series] = field(default_factory=dict)
    latest_servers: dict[str, ServersSampled] = field(default_factory=dict)
    latest_models: dict[tuple[str, str], ModelSampled] = field(default_factory=dict)
    latest_jobs: dict[str, JobUsage] = field(default_factory=dict)
    peak_memory: dict[str, int] = field(default_factory=dict)
    slow_calls: list[tuple[str, SlowCall]] = field(default_factory=list)
    largest_keys: dict[str, tuple[LargeKey, ...]] = field(default_factory=dict)
    unknown: int = 0

    @classmethod
    def of(cls, written: Iterable[Mapping[str, Any]]) -> MetricsHistory:
        """Return what samples tell.

        Args:
            written: their lines, in their order; such as `EventLog.replay` returns them.

        Example:
            >>> usage = {"step": "m-1", "cpu_seconds": 8.0, "memory": 4096, "processes": 1}
            >>> history = MetricsHistory.of([
            ...     {"event": "jobs_sampled", "at": 5.0, "jobs": [{**usage, "cpu_seconds": 0.5}]},
            ...     {"event": "jobs_sampled", "at": 10.0, "jobs": [usage]},
            ... ])
            >>> history.jobs["m-1"].values["cpu"]
            [None, 1.5]
        """
        history = cls()
        for line in written:
            history.add(parse(line))
        return history

    def add(self, event: record.Event) -> None:
        """Take in one more sample."""
        match event:
            case ServersSampled():
                self._server(event)
            case ModelSampled():
                self._model(event)
            case JobsSampled():
                self._jobs(event)
            case _:
                self.unknown += 1

    def _server(self, event: ServersSampled) -> None:
        before = self.latest_servers.get(event.server)
        if before is None or event.at > before.at:
            self.latest_servers[event.server] = event
        self.servers.setdefault(event.server, Series()).add(event.at, _server_values(before, event))
        if event.largest_keys:
            self.largest_keys[event.server] = event.largest_keys
        for call in event.slow:  # two drivers may have seen it
            if (event.server, call) not in self.slow_calls:
                self.slow_calls.append((event.server, call))
        del self.slow_calls[:-_SLOW_CALLS]

    def _model(self, event: ModelSampled) -> None:
        key = event.server, event.model
        before = self.latest_models.get(key)
        if before is None or event.at > before.at:
            self.latest_models[key] = event
        self.models.setdefault(key, Series()).add(event.at, _model_values(before, event))

    def _jobs(self, event: JobsSampled) -> None:
        for usage in event.jobs:
            series, before = (
                self.jobs.setdefault(usage.step, Series(longest=LONGEST_OF_JOB)),
                self.latest_jobs.get(usage.step),
            )
            cpu = None
            if before is not None and series.times[-1] < event.at:
                # What a process has used that nobody waited for is lost with it.
                used = max(0.0, usage.cpu_seconds - before.cpu_seconds)
                cpu = used / (event.at - series.times[-1])
            values = {"cpu": cpu, "memory": float(usage.memory)}
            if usage.gpu_memory is not None:
                values["gpu_memory"] = float(usage.gpu_memory)
            if usage.gpu_utilization is not None:
                values["gpu_utilization"] = usage.gpu_utilization
            series.add(event.at, values)
            self.latest_jobs[usage.step] = usage
            self.peak_memory[usage.step] = max(usage.memory, self.peak_memory.get(usage.step, 0))


def _server_values(before: ServersSampled | None, event: ServersSampled) -> Mapping[str, float | None]:
    values: dict[str, float | None] = {
        "used_memory": float(event.used_memory),
        "clients": float(event.clients),
        "keys": float(event.keys),
        **dict.fromkeys(("ops_per_second", "hit_rate", "bytes_in_per_second", "bytes_out_per_second")),
        **dict.fromkeys(("p50", "p99", "p999")),
    }
    # A server that was started again counts anew.
    if before is None or event.at <= before.at or event.bytes_in < before.bytes_in:
        return values
    seconds, hits, misses = event.at - before.at, event.hits - before.hits, event.misses - before.misses
    values["ops_per_second"] = max(0, event.commands - before.commands) / seconds
    values["bytes_in_per_second"] = (event.bytes_in - before.bytes_in) / seconds
    values["bytes_out_per_second"] = max(0, event.bytes_out - before.bytes_out) / seconds
    values["hit_rate"] = hits / (hits + misses) if hits >= 0 <= misses and hits + misses else None
    called = [event.latencies[name] for name, calls in _called(before, event) if calls and name in event.latencies]
    for place, name in enumerate(("p50", "p99", "p999")):
        values[name] = max((percentiles[place] for percentiles in called), default=None)
    return values


def _called(before: ServersSampled, event: ServersSampled) -> Iterator[tuple[str, int]]:
    return ((name, calls - before.calls.get(name, 0)) for name, calls in event.calls.items())


def _model_values(before: ModelSampled | None, event: ModelSampled) -> Mapping[str, float | None]:
    values: dict[str, float | None] = {
        "queue_length": float(event.queue_length),
        **dict.fromkeys(("calls_per_second", "queue_ms", "run_ms")),
    }
    # One that was stored again, or on a server that was started again, counts anew.
    if before is None or event.at <= before.at or event.calls < before.calls:
        return values
    calls = event.calls - before.calls
    values["calls_per_second"] = calls / (event.at - before.at)
    if calls:
        values["queue_ms"] = max(0.0, event.queue_seconds - before.queue_seconds) / calls * 1e3
        values["run_ms"] = max(0.0, event.run_seconds - before.run_seconds) / calls * 1e3
    return values
