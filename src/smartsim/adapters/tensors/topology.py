"""Which database has which keys: the only one, or the shards of a cluster as CLUSTER SLOTS lists them. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from smartsim.domain.addresses import Address
from smartsim.domain.slots import SLOTS, key_slot, shard_prefix
from smartsim.ports.tensor_store import Command, Reply, Request, Shard

CLUSTER_SLOTS: Final = Command((b"CLUSTER", b"SLOTS"), changes=False)


class UnreadableTopologyError(Exception):
    """What was answered to CLUSTER SLOTS is not a whole cluster."""


@dataclass(frozen=True)
class Topology:
    """Where keys are.

    Attributes:
        shards: in the order of their first slots; together they have all slots.
        replicas: nodes that have copies: they know the shards, too.
    """

    shards: tuple[Shard, ...]
    replicas: tuple[Address, ...] = ()
    _firsts: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_firsts", tuple(shard.slots[0] for shard in self.shards))

    @classmethod
    def standalone(cls, address: Address) -> Topology:
        """Return that of a database which is no cluster."""
        return cls((Shard(address, (0, SLOTS - 1)),))

    def address_of_key(self, key: bytes) -> Address:
        """Return the shard that has a key."""
        if len(self.shards) == 1:
            return self.shards[0].address
        return self.shards[bisect_right(self._firsts, key_slot(key)) - 1].address

    def address_of(self, request: Request) -> Address:
        """Return the shard that is to carry out a request: any, if it does not say."""
        for command in (request,) if isinstance(request, Command) else request.commands:
            if command.shard is not None:
                return command.shard
            if command.key is not None:
                return self.address_of_key(command.key)
        return self.shards[0].address

    def nodes(self) -> tuple[Address, ...]:
        """Return all that can be asked for the topology."""
        return (*dict.fromkeys(shard.address for shard in self.shards), *self.replicas)


def parse_cluster_slots(reply: Reply, asked: Address) -> Topology:
    """Return the topology that a node tells.

    Args:
        reply: to CLUSTER SLOTS.
        asked: where the node listens; that is where a node is which does not know its own host.

    Raises:
        UnreadableTopologyError: there are no shards, or they do not have all slots, or are not where one can connect.
    """
    if not isinstance(reply, list):
        raise UnreadableTopologyError(f"{str(reply)[:60]!r} is no list of shards")
    ranges = sorted((_parse_range(entry, asked) for entry in reply), key=lambda entry: entry.first)
    following = 0
    for entry in ranges:
        if not following == entry.first <= entry.last:
            break
        following = entry.last + 1
    if following != SLOTS:
        raise UnreadableTopologyError(
            f"no shard has the hash slot {following}: the cluster is not complete; see CLUSTER INFO on any of its nodes"
        )
    shards = tuple(Shard(entry.primary, (entry.first, entry.last), shard_prefix(entry.first)) for entry in ranges)
    return Topology(shards, tuple(dict.fromkeys(node for entry in ranges for node in entry.replicas)))


def parse_node(text: str, asked: Address) -> Address:
    """Return the node that another one names in a redirection, as ``host:port``.

    Args:
        text: without a host if that is the one of the node which was asked.
        asked: where the one listens which was asked.

    Raises:
        UnreadableTopologyError: no client could connect there.
    """
    host, _, port = text.rpartition(":")
    return _node(host, int(port) if port.isdecimal() else 0, asked)


class _Range(NamedTuple):
    first: int
    last: int
    primary: Address
    replicas: Sequence[Address]


def _parse_range(entry: Reply, asked: Address) -> _Range:
    match entry:
        case [int(first), int(last), primary, *replicas]:
            return _Range(first, last, _listed_node(primary, asked), list(_known(replicas, asked)))
    raise UnreadableTopologyError(f"{str(entry)[:60]!r} is no range of hash slots")


def _known(nodes: Sequence[Reply], asked: Address) -> Iterator[Address]:
    for node in nodes:
        with suppress(UnreadableTopologyError):  # no data is asked of it
            yield _listed_node(node, asked)


def _listed_node(node: Reply, asked: Address) -> Address:
    match node:
        case [bytes() | None as host, int(port), *_]:
            return _node((host or b"").decode(errors="replace"), port, asked)
    raise UnreadableTopologyError(f"{str(node)[:60]!r} is no node of a cluster")


def _node(host: str, port: int, asked: Address) -> Address:
    try:
        return Address.tcp(host or asked.host, port)
    except ValueError as error:
        raise UnreadableTopologyError(str(error)) from None
