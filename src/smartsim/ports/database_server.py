"""What serves a shard of a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from smartsim.domain.addresses import Address
from smartsim.domain.database import ShardPlan


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
class ServerUsage:
    """What a server uses at the moment.

    Args:
        used_memory: bytes that it has allocated.
        used_memory_peak: the most that these have been.
        total_system_memory: bytes of its machine.
        clients: that are connected to it, but for who asks.
    """

    used_memory: int
    used_memory_peak: int
    total_system_memory: int
    clients: tuple[ClientFacts, ...] = ()


class DatabaseServer(Protocol):
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

    def usage(self, address: Address, credentials: Credentials, timeout: float) -> ServerUsage:
        """Ask a shard what it uses.

        Args:
            address: where it listens.
            credentials: of its administrator.
            timeout: the longest wait for an answer, in seconds.

        Raises:
            SmartSimError: it does not answer.
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
