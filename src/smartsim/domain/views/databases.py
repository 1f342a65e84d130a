"""How databases do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from smartsim.domain.history import History
from smartsim.domain.metrics import LargeKey, ServersSampled
from smartsim.domain.metrics_history import MetricsHistory, Series
from smartsim.domain.record_facts import ShardFacts

_KEYS = 20  # largest ones of a database that are shown


@dataclass(frozen=True, slots=True)
class SlowCallView:
    """A command that kept its server busy for long.

    Args:
        at: when it began.
        microseconds: that it took.
        command: its first words.
        server: that it kept busy.
    """

    at: float
    microseconds: int
    command: tuple[str, ...]
    server: str


@dataclass(frozen=True, slots=True)
class LargeKeyView:
    """A key that takes much memory.

    Args:
        name: the key.
        type: of its value.
        bytes: that it takes.
        server: that holds it.
    """

    name: str
    type: str
    bytes: int
    server: str


@dataclass(frozen=True, slots=True)
class ServerView:
    """A server of a database.

    Args:
        server: its name.
        address: "host:port" where clients find it; empty before it answers.
        shard: counts the shards from 0.
        slots: the first and the last hash slot; empty without a cluster.
        is_replica: whether it copies the shard.
        status: a value of `SmartSimStatus`; empty when it is no entity of its own, as the server beside an application.
        latest: of the last sample: used_memory, peak_memory, total_memory (bytes), clients, keys, commands, hits,
            misses, bytes_in, bytes_out (totals), and the last value of each series.
        latencies: the 50th, 99th and 99.9th percentile of the microseconds that a command takes, by command.
        series: values over time by name, with "times"; those of `MetricsHistory.servers`.
    """

    server: str
    address: str
    shard: int
    slots: tuple[int, ...]
    is_replica: bool
    status: str
    latest: Mapping[str, float] = field(default_factory=dict)
    latencies: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    series: Mapping[str, Sequence[float | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DatabaseView:
    """A database.

    Args:
        name: of the database.
        directory: its own.
        server_version: of the server program; empty before it answers.
        ready_at: when all of it answered; None before.
        servers: shards first.
        slow_calls: the last ones, the last first.
        largest_keys: as far as they were looked for, the largest first.
    """

    name: str
    directory: str
    server_version: str
    ready_at: float | None
    servers: tuple[ServerView, ...]
    slow_calls: tuple[SlowCallView, ...]
    largest_keys: tuple[LargeKeyView, ...]


def databases(history: History, metrics: MetricsHistory) -> tuple[DatabaseView, ...]:
    """Return how databases do: those of the record, and those beside applications that were sampled.

    Args:
        history: of the experiment.
        metrics: its samples.
    """
    names = [*history.databases, *(sample.database for sample in metrics.latest_servers.values())]
    return tuple(_database(name, history, metrics) for name in dict.fromkeys(names))


def _database(name: str, history: History, metrics: MetricsHistory) -> DatabaseView:
    known = history.databases.get(name)
    ready = None if known is None else known.ready
    shards = {} if ready is None else {shard.name: shard for shard in ready.shards}
    entities = (entity for entity, starts in history.entities.items() if starts[-1].facts.database == name)
    sampled = (server for server, sample in metrics.latest_servers.items() if sample.database == name)
    servers = tuple(dict.fromkeys([*shards, *entities, *sampled]))
    keys = [_large_key(server, key) for server in servers for key in metrics.largest_keys.get(server, ())]
    return DatabaseView(
        name,
        "" if known is None or known.facts is None else known.facts.directory,
        "" if ready is None else ready.server_version,
        None if ready is None else ready.at,
        tuple(_server(server, shards.get(server), history, metrics) for server in servers),
        tuple(
            SlowCallView(call.at, call.microseconds, call.command, server)
            for server, call in reversed(metrics.slow_calls)
            if server in servers
        ),
        tuple(sorted(keys, key=lambda key: key.bytes, reverse=True)[:_KEYS]),
    )


def _large_key(server: str, key: LargeKey) -> LargeKeyView:
    return LargeKeyView(key.name, key.type, key.bytes, server)


def _server(name: str, shard: ShardFacts | None, history: History, metrics: MetricsHistory) -> ServerView:
    starts = history.entities.get(name)
    sample, series = metrics.latest_servers.get(name), metrics.servers.get(name)
    return ServerView(
        server=name,
        address="" if shard is None else f"{shard.host}:{shard.port}",
        shard=0 if shard is None else shard.shard,
        slots=() if shard is None else shard.slots,
        is_replica=False if shard is None else shard.is_replica,
        status=starts[-1].status.value if starts else "",
        latest={} if sample is None else _latest(sample, series),
        latencies={} if sample is None else sample.latencies,
        series={} if series is None else columns(series),
    )


def _latest(sample: ServersSampled, series: Series | None) -> Mapping[str, float]:
    last = {} if series is None else {name: column[-1] for name, column in series.values.items() if column}
    return {
        **{name: value for name, value in last.items() if value is not None},
        "used_memory": sample.used_memory,
        "peak_memory": sample.peak_memory,
        "total_memory": sample.total_memory,
        "clients": sample.clients,
        "keys": sample.keys,
        "commands": sample.commands,
        "hits": sample.hits,
        "misses": sample.misses,
        "bytes_in": sample.bytes_in,
        "bytes_out": sample.bytes_out,
    }


def columns(series: Series) -> Mapping[str, Sequence[float | None]]:
    """Return values over time by name, with "times"."""
    return {"times": tuple(series.times), **{name: tuple(column) for name, column in series.values.items()}}
