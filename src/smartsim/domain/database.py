"""A database as a plan: which shards, where, with which settings."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from smartsim.domain.errors import SmartSimError, SSUnsupportedError
from smartsim.domain.names import check_entity_name, shard_name
from smartsim.domain.workers import WorkerOptions

DEFAULT_PORT = 6379
_FAST_INTERFACES = ("hsn", "ipogif", "ib")
_LOOPBACK = "lo"


@dataclass(frozen=True)
class ShardPlan:
    """One server process.

    Args:
        name: unique within the experiment.
        directory: where it keeps its files; absolute.
        bind: IPv4 addresses that it listens on; clients are told the first.
        port: TCP port.
        workers: how the workers beside it run models.
    """

    name: str
    directory: str
    bind: tuple[str, ...]
    port: int
    workers: WorkerOptions = field(default_factory=WorkerOptions)


def choose_interfaces(wanted: Sequence[str], available: Collection[str], *, local: bool) -> tuple[str, ...]:
    """Return the network interfaces that a database is to listen on.

    Args:
        wanted: what was asked for; `["auto"]` takes the first fast interface (hsn*, ipogif*, ib*), or loopback when
            there is none or the launcher is local.
        available: the interfaces that have an IPv4 address.
        local: whether the launcher is the local one.

    Raises:
        SmartSimError: one that was asked for does not exist; the message lists those that do.
    """
    if list(wanted) == ["auto"]:
        fast = (
            [] if local else [name for kind in _FAST_INTERFACES for name in sorted(available) if name.startswith(kind)]
        )
        wanted = fast[:1] or [_LOOPBACK]
    for name in wanted:
        if name not in available:
            raise SmartSimError(
                f"There is no network interface {name!r} with an IPv4 address on this machine: "
                f"choose among {', '.join(sorted(available)) or 'none'}, or interface='auto'"
            )
    return tuple(wanted)


class Database:
    """What a user asked for.

    Args:
        db_identifier: names the database among others of the experiment; clients see it as a suffix.
        path: directory of the database's files; absolute.
        port: TCP port, 0 for one that is free when it starts.
        interface: one network interface or several, or "auto".
        db_nodes: number of shards.
        workers: how the workers beside each shard run models.

    Raises:
        SSUnsupportedError: for a number of shards that cannot be.
        TypeError, ValueError: for arguments of the wrong type or range.
    """

    def __init__(
        self,
        db_identifier: str,
        path: str,
        port: int,
        interface: str | Sequence[str],
        db_nodes: int,
        workers: WorkerOptions = WorkerOptions(),  # noqa: B008 - it is frozen
    ) -> None:
        self.name = check_entity_name(db_identifier)
        self.path = path
        self.port = check_port(port)
        self.interfaces = check_interfaces(interface)
        self.db_nodes = check_db_nodes(db_nodes)
        self.workers = workers

    @property
    def type(self) -> str:
        """The name of the class."""
        return type(self).__name__

    @property
    def db_identifier(self) -> str:
        """The name of the database."""
        return self.name

    @property
    def num_shards(self) -> int:
        """The number of shards."""
        return self.db_nodes

    def plan(self, addresses: Sequence[str], port: int) -> tuple[ShardPlan, ...]:
        """Return the shards to start.

        Args:
            addresses: of the interfaces to listen on.
            port: of the first shard.
        """
        return tuple(
            ShardPlan(
                name=shard_name(self.name, index),
                directory=posixpath.normpath(self.path),
                bind=tuple(addresses),
                port=port + index,
                workers=self.workers,
            )
            for index in range(self.db_nodes)
        )

    def __repr__(self) -> str:
        return self.name


def check_port(port: object) -> int:
    """Return a TCP port, 0 included.

    Raises:
        TypeError, ValueError: it is none.
    """
    if isinstance(port, bool) or not isinstance(port, int):
        raise TypeError(f"port must be an int, not {port!r}")
    if not 0 <= port <= 65535:  # noqa: PLR2004 - RFC 793: a port has 16 bits
        raise ValueError(f"port must be between 1 and 65535, or 0 for any free one, not {port}")
    return port


def check_interfaces(interface: object) -> tuple[str, ...]:
    """Return the names of interfaces, given one or a list.

    Raises:
        TypeError: it is something else.
    """
    names = (interface,) if isinstance(interface, str) else interface
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) and name for name in names):
        raise TypeError(f"interface must be the name of a network interface, or a list of names, not {interface!r}")
    return tuple(names)


def check_db_nodes(db_nodes: object) -> int:
    """Return a number of shards.

    Raises:
        TypeError, ValueError: it is no positive integer.
        SSUnsupportedError: it is more than one.
    """
    if isinstance(db_nodes, bool) or not isinstance(db_nodes, int):
        raise TypeError(f"db_nodes must be an int, not {db_nodes!r}")
    if db_nodes < 1:
        raise ValueError(f"db_nodes must be at least 1, not {db_nodes}")
    if db_nodes == 2:  # noqa: PLR2004 - the one size that cannot be
        raise SSUnsupportedError(
            "Orchestrator does not support clusters of size 2: with two masters neither can tell whether it or the "
            "other was cut off. Use 1 shard, or 3 and more"
        )
    if db_nodes > 1:
        raise SSUnsupportedError(
            f"db_nodes={db_nodes}: this version starts single-shard databases only; use db_nodes=1"
        )
    return db_nodes
