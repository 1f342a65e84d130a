"""How servers become a cluster, with the commands that they have for it.

A primary that starts waits two seconds before it serves: another may have taken its place while it was away. A shard
that is started here has no such past. So it begins as a replica, of a server that never was, and takes over from it at
once, with the slots that its file of nodes says and the data that its snapshot has. Then all servers are made
acquainted, and replicas are told whom to copy.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from smartsim.adapters.database.access import CLOSE_SETTINGS
from smartsim.domain.database import SLOTS, ClusterPlace, ShardPlan
from smartsim.ports.database_server import Credentials

Words: TypeAlias = tuple[str | int, ...]

_PREDECESSOR = "0" * 39 + "1"
_NOWHERE = "127.0.0.1:1@1"  # nothing listens there
# ms without an answer, after which a server counts as lost. Servers ask each other every half of it, and so learn who
# has which slots: while the cluster forms, that is not to take long. Later, a server may be busy for some time; where a
# replica can take over, for less.
_FORMING_TIMEOUT = 1000
_TIMEOUT = 15_000
_TIMEOUT_WITH_REPLICAS = 5000


def configuration(shard: ShardPlan, place: ClusterPlace, nodes_file: str) -> list[str]:
    """Return the lines that make a server one of a cluster, in the terms of its configuration file.

    Args:
        shard: the server.
        place: its place in the cluster.
        nodes_file: the name of its file of nodes, in quotes.
    """
    addresses = [f"cluster-announce-ip {shard.bind[0]}", f"cluster-port {place.bus_port}"] if shard.bind else []
    return [
        "cluster-enabled yes",
        f"cluster-config-file {nodes_file}",
        *addresses,
        # A shard that is lost takes its own keys along, not those of all others.
        "cluster-require-full-coverage no",
        f"cluster-node-timeout {_FORMING_TIMEOUT}",
        "repl-diskless-sync-delay 0",
    ]


def first_nodes(place: ClusterPlace) -> str:
    """Return the file of nodes with which a server starts: itself, a replica of its predecessor."""
    first, last = place.slots
    slots = "" if place.is_replica else f" {first}-{last}"
    epoch = place.shard  # each shard takes over with another one
    return (
        f"{secrets.token_hex(20)} :0@0 myself,slave {_PREDECESSOR} 0 0 0 disconnected\n"
        f"{_PREDECESSOR} {_NOWHERE} master - 0 0 {epoch} disconnected{slots}\n"
        f"vars currentEpoch {epoch} lastVoteEpoch 0\n"
    )


@dataclass(frozen=True)
class Node:
    """What one server of a cluster knows of another, or of itself.

    Args:
        id: that the server drew.
        address: as host:port.
        flags: such as "myself", "master", "slave", and "handshake" as long as the two do not know each other.
        primary: id of the server that it copies; "-" if it copies none.
        connected: whether the two are connected.
        slots: how many it has.
    """

    id: str
    address: str
    flags: frozenset[str]
    primary: str
    connected: bool
    slots: int


def parse_nodes(text: str) -> list[Node]:
    """Return what `CLUSTER NODES` says."""
    nodes = []
    for line in text.splitlines():
        name, address, flags, primary, _, _, _, link, *slots = line.split()
        # Slots that move are in brackets; they still belong to whom they are listed with otherwise.
        ranges = [slot.partition("-") for slot in slots if not slot.startswith("[")]
        count = sum(int(last or first) - int(first) + 1 for first, _, last in ranges)
        address = address.partition("@")[0]  # host:port@bus,hostname
        nodes.append(Node(name, address, frozenset(flags.split(",")), primary, link == "connected", count))
    return nodes


def next_commands(
    server: ShardPlan, servers: Sequence[ShardPlan], nodes: Sequence[Node], credentials: Credentials
) -> list[Words]:
    """Return what one server is to be told next, so that it becomes a part of its cluster.

    Args:
        server: the one.
        servers: all of the cluster.
        nodes: what the server knows.
        credentials: with which replicas log in at what they copy.
    """
    place = _place(server)
    copies = next(node.primary for node in nodes if "myself" in node.flags)
    if copies == _PREDECESSOR and not place.is_replica:
        takeover: list[Words] = [("CLUSTER", "FAILOVER", "TAKEOVER"), ("CLUSTER", "FORGET", _PREDECESSOR)]
        return [*_replication(servers, credentials), *takeover]
    # Those that know each other already lose their connection when they are made acquainted again.
    met = {node.address for node in nodes}
    commands: list[Words] = [
        ("CLUSTER", "MEET", other.bind[0], other.port, _place(other).bus_port)
        for other in servers
        if str(other.address) not in met
    ]
    primary = _primaries(servers, nodes).get(place.shard)
    if place.is_replica and primary is not None and copies != primary.id:
        commands += _replication(servers, credentials)
        commands += [("CLUSTER", "REPLICATE", primary.id), ("CLUSTER", "FORGET", _PREDECESSOR)]
    return commands


def has_joined(servers: Sequence[ShardPlan], nodes: Sequence[Node]) -> bool:
    """Return whether a server knows all of its cluster, itself included, as it is to be.

    Args:
        servers: all of the cluster.
        nodes: what the server knows.
    """
    known = {node.address: node for node in nodes if "handshake" not in node.flags}
    primaries = _primaries(servers, nodes)
    for server in servers:
        node, place = known.get(str(server.address)), _place(server)
        primary = primaries.get(place.shard)
        if node is None or primary is None or not node.connected:
            return False
        first, last = place.slots
        if node.primary != primary.id if place.is_replica else node.slots != last - first + 1:
            return False
    return True


def final_settings(servers: Sequence[ShardPlan]) -> dict[str, str]:
    """Return the settings of a cluster that has formed."""
    return {"cluster-node-timeout": str(_TIMEOUT_WITH_REPLICAS if _has_replicas(servers) else _TIMEOUT)}


def _primaries(servers: Sequence[ShardPlan], nodes: Sequence[Node]) -> dict[int, Node]:
    """Return what a server knows of those that are to have the slots, by shard."""
    known = {node.address: node for node in nodes if "handshake" not in node.flags}
    places = {str(server.address): _place(server) for server in servers}
    return {
        place.shard: known[address] for address, place in places.items() if not place.is_replica and address in known
    }


def _replication(servers: Sequence[ShardPlan], credentials: Credentials) -> list[Words]:
    """Return what every server has to know where one may become the replica of another."""
    if not _has_replicas(servers):
        return []
    return [
        CLOSE_SETTINGS,
        ("CONFIG", "SET", "masteruser", credentials.username),
        ("CONFIG", "SET", "masterauth", credentials.password),
    ]


def _has_replicas(servers: Sequence[ShardPlan]) -> bool:
    return any(_place(server).is_replica for server in servers)


def serves_all(information: str) -> bool:
    """Return whether `CLUSTER INFO` says that every slot is served."""
    facts = dict(line.split(":", 1) for line in information.splitlines() if ":" in line)
    return facts.get("cluster_state") == "ok" and facts.get("cluster_slots_ok") == str(SLOTS)


def _place(server: ShardPlan) -> ClusterPlace:
    if server.place is None:
        raise ValueError(f"{server.name} has no place in a cluster")
    return server.place
