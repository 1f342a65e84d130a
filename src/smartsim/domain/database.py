"""A database as a plan: which shards, where, with which settings."""

from __future__ import annotations

import math
import posixpath
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import SupportsFloat

from smartsim.domain.addresses import Address
from smartsim.domain.errors import SmartSimError, SSUnsupportedError
from smartsim.domain.integers import integer
from smartsim.domain.names import check_entity_name, shard_name
from smartsim.domain.workers import WorkerOptions

DEFAULT_PORT = 6379
SLOTS = 16384
"""Into how many hash slots a cluster parts its keys; the shards share them out."""

_MOST_IO_THREADS = 128
_LAST_PORT = 65535  # RFC 793: a port has 16 bits
_FAST_INTERFACES = ("hsn", "ipogif", "ib")
LOOPBACK = "lo"
"""The interface by which a machine reaches itself, and nobody else."""


@dataclass(frozen=True)
class ClusterPlace:
    """The place of a server in a cluster.

    Args:
        bus_port: TCP port for the other servers of the cluster.
        shard: counts the shards from 0; a replica has the number of the shard that it copies.
        slots: the first and the last hash slot of the shard.
        is_replica: whether it copies the shard, to take its place when it ends.
        snapshot: the name of the file with the data of these slots, if checkpoints are kept: the same for the shard and
            its replicas, so that it is there whoever ends last.
    """

    bus_port: int
    shard: int
    slots: tuple[int, int]
    is_replica: bool
    snapshot: str


@dataclass(frozen=True)
class NodesChoice:
    """What a server chooses on the node that it comes to run on: its addresses, and ports that nobody has asked for.

    Args:
        interfaces: the network interfaces to listen on; see `choose_interfaces`.
        announcement: the file in which it tells what it chose; absolute.
    """

    interfaces: tuple[str, ...]
    announcement: str


@dataclass(frozen=True)
class ShardPlan:
    """One server process.

    Args:
        name: unique within the experiment.
        directory: where it keeps its files; absolute.
        bind: IPv4 addresses that it listens on; clients are told the first. None while they are the node's to choose.
        port: TCP port; 0 while it is the node's to choose.
        workers: how the workers beside it run models.
        place: in the cluster; None for a database of one shard.
        io_threads: how many of its threads read and write; None leaves it to the default.
        lease: seconds for which it stays when driver and clients have gone; None for ever.
        choice: what it chooses on its node; None when it has been chosen.
    """

    name: str
    directory: str
    bind: tuple[str, ...]
    port: int
    workers: WorkerOptions = field(default_factory=WorkerOptions)
    place: ClusterPlace | None = None
    io_threads: int | None = None
    lease: float | None = None
    choice: NodesChoice | None = None

    @property
    def address(self) -> Address:
        """Where clients find it."""
        return Address.tcp(self.bind[0], self.port)


def choose_interfaces(
    wanted: Sequence[str], available: Collection[str], *, local: bool, otherwise: str = LOOPBACK
) -> tuple[str, ...]:
    """Return the network interfaces that a database is to listen on.

    Args:
        wanted: what was asked for; `["auto"]` takes the first fast interface (hsn*, ipogif*, ib*), or another when
            there is none or the launcher is local.
        available: the interfaces that have an IPv4 address.
        local: whether the launcher is the local one.
        otherwise: that other one.

    Raises:
        SmartSimError: one that was asked for does not exist; the message lists those that do.
    """
    if list(wanted) == ["auto"]:
        fast = (
            [] if local else [name for kind in _FAST_INTERFACES for name in sorted(available) if name.startswith(kind)]
        )
        wanted = fast[:1] or [otherwise]
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
        port: TCP port of the first shard, those of the others follow; 0 for ports that are free when it starts.
        interface: one network interface or several, or "auto".
        db_nodes: number of shards.
        workers: how the workers beside each shard run models.
        replicas: how many copies of each shard run beside it.
        password: whether applications need a password, which is drawn at each start.
        io_threads: how many threads of each server read and write; None leaves it to the default.
        lease: seconds for which it stays when driver and clients have gone; None for ever.

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
        replicas: int = 0,
        password: bool = False,
        io_threads: int | None = None,
        lease: float | None = None,
    ) -> None:
        self.name = check_entity_name(db_identifier)
        self.path = path
        self.interfaces = check_interfaces(interface)
        self.db_nodes = check_db_nodes(db_nodes)
        self.replicas = check_replicas(replicas, self.db_nodes)
        self.port = check_port(port, self.num_servers)
        self.workers = workers
        self.needs_password = check_password(password)
        self.io_threads = check_io_threads(io_threads)
        self.lease = check_lease(lease)

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

    @property
    def num_servers(self) -> int:
        """The number of server processes: shards and their replicas."""
        return self.db_nodes * (1 + self.replicas)

    @property
    def is_cluster(self) -> bool:
        """Whether the keys are parted among several shards."""
        return self.db_nodes > 1

    def plan(
        self, addresses: Sequence[str], port: int, bus_port: int = 0, announcements: str | None = None
    ) -> tuple[ShardPlan, ...]:
        """Return the servers to start: the shards in their order, and then the replicas, a round of them at a time.

        Args:
            addresses: of the interfaces to listen on; none when they are for the nodes to choose.
            port: of the first server; each of the others has the next one. 0 when they are for the nodes to choose.
            bus_port: of the first server for the others of a cluster; so the next for the others.
            announcements: what the files begin with in which servers tell what they chose on their nodes; absolute.
        """
        return tuple(
            ShardPlan(
                name=shard_name(self.name, index),
                directory=posixpath.normpath(self.path),
                bind=tuple(addresses),
                port=port and port + index,
                workers=self.workers,
                place=self._place(index, bus_port and bus_port + index) if self.is_cluster else None,
                io_threads=self.io_threads,
                lease=self.lease,
                choice=None if announcements is None else NodesChoice(self.interfaces, f"{announcements}_{index}.json"),
            )
            for index in range(self.num_servers)
        )

    def _place(self, index: int, bus_port: int) -> ClusterPlace:
        shard = index % self.db_nodes
        first, end = (round(SLOTS * number / self.db_nodes) for number in (shard, shard + 1))
        snapshot = f"{self.name}_slots_{first}-{end - 1}.rdb"
        return ClusterPlace(bus_port, shard, (first, end - 1), index >= self.db_nodes, snapshot)

    def __repr__(self) -> str:
        return self.name


def check_port(port: object, servers: int = 1) -> int:
    """Return the TCP port of the first of some servers, whose ports follow each other; 0 for any ports.

    Raises:
        TypeError, ValueError: it is none, or the last port would be none.
    """
    if isinstance(port, bool) or not isinstance(port, int):
        raise TypeError(f"port must be an int, not {port!r}")
    if not 0 <= port <= _LAST_PORT:
        raise ValueError(f"port must be between 1 and {_LAST_PORT}, or 0 for any free one, not {port}")
    if port + servers - 1 > _LAST_PORT:
        raise ValueError(
            f"port={port} leaves no ports for {servers} servers: the last may be {_LAST_PORT}, so begin with "
            f"{_LAST_PORT - servers + 1} or less"
        )
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
        TypeError, ValueError: it is no positive integer, or more than there are hash slots.
        SSUnsupportedError: it is two.
    """
    if isinstance(db_nodes, bool) or not isinstance(db_nodes, int):
        raise TypeError(f"db_nodes must be an int, not {db_nodes!r}")
    if not 1 <= db_nodes <= SLOTS:
        raise ValueError(f"db_nodes must be between 1 and {SLOTS}, not {db_nodes}")
    if db_nodes == 2:  # noqa: PLR2004 - the one size that cannot be
        raise SSUnsupportedError(
            "Orchestrator does not support clusters of size 2: with two masters neither can tell whether it or the "
            "other was cut off. Use 1 shard, or 3 and more"
        )
    return db_nodes


def check_replicas(replicas: object, db_nodes: int) -> int:
    """Return a number of replicas of each shard.

    Raises:
        TypeError, ValueError: it is no integer of at least 0, or there is only one shard.
    """
    if isinstance(replicas, bool) or not isinstance(replicas, int):
        raise TypeError(f"replicas must be an int, not {replicas!r}")
    if replicas < 0:
        raise ValueError(f"replicas must be at least 0, not {replicas}")
    if replicas and db_nodes == 1:
        raise ValueError(f"replicas={replicas} needs a cluster, which votes on who takes over: use db_nodes=3 or more")
    return replicas


def check_io_threads(threads: object) -> int | None:
    """Return a number of threads of a server; None for the default.

    Raises:
        TypeError, ValueError: it is no integer from 1 to as many as servers can have.
    """
    if threads is None:
        return None
    number = integer("io_threads", threads, at_least=1)
    if number > _MOST_IO_THREADS:
        raise ValueError(f"io_threads must be at most {_MOST_IO_THREADS}, not {number}")
    return number


def check_lease(lease: object) -> float | None:
    """Return the seconds of a lease; None for none.

    Raises:
        TypeError, ValueError: it is no number, or not above 0.
    """
    if lease is None:
        return None
    if isinstance(lease, bool) or not isinstance(lease, SupportsFloat):
        raise TypeError(f"lease must be a number of seconds, or None for no end, not {lease!r}")
    seconds = float(lease)
    if not 0 < seconds < math.inf:
        raise ValueError(f"lease must be a number of seconds above 0, or None for no end, not {lease!r}")
    return seconds


def check_password(password: object) -> bool:
    """Return whether there is to be a password.

    Raises:
        TypeError: it is no bool; the message does not repeat it.
    """
    if not isinstance(password, bool):
        raise TypeError(
            f"password must be True or False, not a {type(password).__name__}: the password itself is drawn at random "
            "when the database starts"
        )
    return password
