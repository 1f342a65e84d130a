"""What serves a shard of a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from smartsim.domain.addresses import Address
from smartsim.domain.database import ShardPlan
from smartsim.domain.metrics import LargeKey, SlowCall


@dataclass(frozen=True)
class Credentials:
    """The administrator of one database.

    Args:
        username: the name to log in with.
        password: the secret; never shown by `repr`.
    """

    username: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r}, password=...)"


@dataclass(frozen=True)
class ServerCommand:
    """How to start one shard.

    Args:
        argv: the command.
        files: what must be written first: content by absolute path. They hold secrets: mode 0600.
    """

    argv: tuple[str, ...]
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class ServerFacts:
    """What a server says of itself.

    Args:
        run_id: drawn by the server when it starts; the same run id is the same process.
        version: of the server.
        process_id: of the server, on its own host.
        has_workers: whether something keeps workers running beside it, so that models can be run.
        serves_all: whether every key is served, as far as it knows; false in a cluster that has not formed or lacks a
            shard.
        is_replica: whether it copies another server, which serves while it runs.
    """

    run_id: str
    version: str
    process_id: int
    has_workers: bool = field(default=True, compare=False)
    serves_all: bool = field(default=True, compare=False)
    is_replica: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class ClientFacts:
    """A client of a server.

    Args:
        id: by which the server knows it.
        address: it connects from.
    """

    id: int
    address: str


@dataclass(frozen=True)
class ProgramUsage:
    """How a model or script on a server does. Totals count from when it was stored there.

    Args:
        model: its key.
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
        batch_sizes: how many runs had how many requests, by the upper bound of their number; "inf" for the last one.
    """

    model: str
    type: str
    backend: str
    device: str
    calls: int = 0
    errors: int = 0
    queue_seconds: float = 0.0
    run_seconds: float = 0.0
    queue_length: int = 0
    running: int = 0
    workers: int = 0
    batch_sizes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ServerUsage:
    """What a server uses at the moment, and has done since it began.

    What SmartSim's own processes ask is in none of the numbers but those of bytes.

    Args:
        used_memory: bytes that it has allocated.
        used_memory_peak: the most that these have been.
        total_system_memory: bytes of its machine.
        clients: those that are connected to it, but for who asks, one by one; empty unless that was asked for.
        client_count: how many are connected, but for who asks.
        keys: that it holds.
        hits: keys that were read and were there.
        misses: keys that were read and were not there.
        bytes_in: that it has received; `bytes_out`: that it has sent.
        calls: commands that it has run, by their name.
        latencies: the 50th, 99th and 99.9th percentile of the microseconds that a command takes, by its name.
        slow: the latest calls that took long, by a number that grows with each.
        programs: the models and scripts that were run.
        is_replica: whether it copies another server.
    """

    used_memory: int
    used_memory_peak: int
    total_system_memory: int
    clients: tuple[ClientFacts, ...] = ()
    client_count: int = 0
    keys: int = 0
    hits: int = 0
    misses: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    calls: Mapping[str, int] = field(default_factory=dict)
    latencies: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    slow: Mapping[int, SlowCall] = field(default_factory=dict)
    programs: tuple[ProgramUsage, ...] = ()
    is_replica: bool = False


@dataclass(frozen=True)
class LargestKeys:
    """The largest keys among those that were looked at.

    Args:
        keys: the largest first, ten at most, by the bytes of their names.
        cursor: where to look next, as the server says; 0 for the beginning.
    """

    keys: Mapping[bytes, LargeKey] = field(default_factory=dict)
    cursor: int = 0


class ObservedServer(Protocol):
    """Tells how a shard does."""

    def usage(
        self, address: Address, credentials: Credentials, timeout: float, *, lists_clients: bool = False
    ) -> ServerUsage:
        """Ask a shard what it uses.

        Args:
            address: where it listens.
            credentials: of a user that may ask.
            timeout: the longest wait for an answer, in seconds.
            lists_clients: whether it is asked for its clients, one by one; there may be thousands.

        Raises:
            SmartSimError: it does not answer.
        """
        ...

    def largest_keys(
        self, address: Address, credentials: Credentials, timeout: float, known: LargestKeys
    ) -> LargestKeys:
        """Look for the largest keys of a shard among some more of them; a bounded number, whatever it holds.

        Args:
            address: where it listens.
            credentials: of a user that may ask.
            timeout: the longest wait for an answer, in seconds.
            known: what the last call returned; `LargestKeys()` at first.

        Raises:
            SmartSimError: it does not answer.
        """
        ...


class DatabaseServer(ObservedServer, Protocol):
    """Renders the command that runs a shard, and talks to it as its administrator."""

    def command(self, shard: ShardPlan, credentials: Credentials, password: str | None = None) -> ServerCommand:
        """Return how to start a shard.

        Args:
            shard: the one.
            credentials: of its administrator.
            password: that applications have to give; None to let them in without one.

        Raises:
            SSConfigError: there is no server program, or no module for it.
        """
        ...

    def probe(self, address: Address, credentials: Credentials, timeout: float) -> ServerFacts | None:
        """Ask a shard whether it is ready for clients.

        Args:
            address: where it listens.
            credentials: of its administrator.
            timeout: the longest wait for an answer, in seconds.

        Returns:
            None while nothing answers there, or what answers is still loading.

        Raises:
            SSInternalError: something answers that does not accept these credentials.
        """
        ...

    def join(self, servers: Sequence[ShardPlan], credentials: Credentials, timeout: float) -> bool:
        """Bring servers that are ready closer to being one cluster. To be called again until they are.

        Args:
            servers: all of the cluster: shards and replicas.
            credentials: of their administrator.
            timeout: the longest wait for an answer, in seconds.

        Returns:
            Whether they are one cluster: each knows all others, every slot is served, and replicas are copies.

        Raises:
            SmartSimError: one refuses, or does not answer.
        """
        ...

    def configure(self, address: Address, credentials: Credentials, settings: Mapping[str, str]) -> None:
        """Change settings of a running shard.

        Raises:
            SmartSimError: the server refuses one, or does not answer.
        """
        ...

    def shut_down(self, address: Address, credentials: Credentials, timeout: float) -> None:
        """Ask a shard to end, saving first if it keeps checkpoints; that it did is told by its step.

        Raises:
            SmartSimError: it cannot be asked.
        """
        ...
