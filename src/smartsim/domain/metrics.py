"""Samples of what runs: the events of `.smartsim/metrics.jsonl`.

They are written as those of `domain.record` are, one JSON object a line, with the same rules for readers. They have a
file of their own, so that a week of samples does not slow down reading what happened. `docs/record.md` has the schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from smartsim.domain import record


@dataclass(frozen=True)
class SlowCall:
    """A command that kept its server busy for long.

    Args:
        at: when it began, in seconds since the epoch.
        microseconds: that it took.
        command: its first words, cut short.
    """

    at: float
    microseconds: int
    command: tuple[str, ...]


@dataclass(frozen=True)
class LargeKey:
    """A key that takes much memory.

    Args:
        name: the key.
        type: of its value, as the server calls it.
        bytes: that it takes.
    """

    name: str
    type: str
    bytes: int


@dataclass(frozen=True)
class ServersSampled(record.Event):
    """How a server of a database does.

    Totals count from the start of the server, and leave out what SmartSim's own processes ask.

    Args:
        database: the name of the database.
        server: the name of the server's entity.
        used_memory: bytes that it has allocated.
        peak_memory: the most that these have been.
        total_memory: bytes of its machine.
        clients: that are connected, but for who asks.
        keys: that it holds.
        commands: that it has run; a total.
        hits: keys that were read and were there; a total.
        misses: keys that were read and were not there; a total.
        bytes_in: that it has received; a total, with what SmartSim's own processes send.
        bytes_out: that it has sent; so.
        calls: totals by command.
        latencies: the 50th, 99th and 99.9th percentile of the microseconds that a command takes in the server, since
            its start, by command.
        slow: calls that took long, new since the last sample.
        largest_keys: the largest of those that were looked at; only seldom looked for.
    """

    event = "server_sampled"
    database: str
    server: str
    used_memory: int = 0
    peak_memory: int = 0
    total_memory: int = 0
    clients: int = 0
    keys: int = 0
    commands: int = 0
    hits: int = 0
    misses: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    calls: Mapping[str, int] = field(default_factory=dict)
    latencies: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    slow: tuple[SlowCall, ...] = ()
    largest_keys: tuple[LargeKey, ...] = ()


@dataclass(frozen=True)
class ModelSampled(record.Event):
    """How a model or script does on a server. It is not written again while nothing of it changes.

    Totals count from when it was stored on the server.

    Args:
        database: the name of the database.
        server: the name of the server's entity.
        model: the key of the model or script.
        type: "MODEL" or "SCRIPT".
        backend: what runs it.
        device: where it runs.
        calls: that were answered; a total.
        errors: calls that failed; a total.
        queue_seconds: that calls have waited; a total.
        run_seconds: that runs have taken; a total, in which a batch counts once.
        queue_length: calls that wait at the moment.
        running: calls that run at the moment.
        workers: that could run it.
        batch_sizes: how many runs had how many requests, by the upper bound of their number: "1", "2", "4", ...; the
            last one has none, and is "inf". Totals.
    """

    event = "model_sampled"
    database: str
    server: str
    model: str
    type: str = "MODEL"
    backend: str = ""
    device: str = ""
    calls: int = 0
    errors: int = 0
    queue_seconds: float = 0.0
    run_seconds: float = 0.0
    queue_length: int = 0
    running: int = 0
    workers: int = 0
    batch_sizes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class JobUsage:
    """What a job uses: all processes of it on the machine of its driver, or what its scheduler says of it.

    Args:
        step: the name of its start.
        cpu_seconds: that it has used; a total, in which processes that have ended count as far as somebody has waited
            for them.
        memory: bytes of it that are resident; what processes share counts in each.
        processes: how many it is; 0 when nobody tells.
        gpu_memory: bytes of GPUs that it has; None when nobody tells.
        gpu_utilization: of the GPUs on which it runs, from 0 to 1; None when nobody tells.
    """

    step: str
    cpu_seconds: float = 0.0
    memory: int = 0
    processes: int = 0
    gpu_memory: int | None = None
    gpu_utilization: float | None = None


@dataclass(frozen=True)
class JobsSampled(record.Event):
    """What jobs of a driver use: those that run on its machine, or those of its scheduler.

    Args:
        jobs: one entry for each.
    """

    event = "jobs_sampled"
    jobs: tuple[JobUsage, ...] = ()


KINDS: tuple[type[record.Event], ...] = (ServersSampled, ModelSampled, JobsSampled)
"""All that are written."""

_BY_NAME: Mapping[str, type[record.Event]] = {kind.event: kind for kind in KINDS}


def parse(written: Mapping[str, Any]) -> record.Event:
    """Return a sample that was written by `record.write`; `record.Unknown` what this version does not know.

    Example:
        >>> parse({"event": "jobs_sampled", "at": 5, "jobs": [{"step": "m-1", "memory": 4096}]}).jobs[0].memory
        4096
    """
    return record.parse(written, _BY_NAME)
