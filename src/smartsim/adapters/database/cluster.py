"""How servers become a cluster, with the commands that they have for it.

A primary that starts waits two seconds before it serves: another may have taken its place while it was away. A shard
that is started here has no such past. So it begins as a replica, of a server that never was, and takes over from it at
once, with the slots that its file of nodes says and the data that its snapshot has. Then all servers are made
acquainted, and replicas told whom to copy.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from smartsim.domain.database import SLOTS, ClusterPlace, ShardPlan
from smartsim.ports.database_server import Credentials

Words = tuple[str | int, ...]

_PREDECESSOR = "0" * 39 + "1"
_NOWHERE = "127.0.0.1:1@1"  # nothing listens there
_NODE_TIMEOUT = 5000  # ms; where a replica can take over, it is not to wait for the server's own 15 s


def configuration(shard: ShardPlan, place: ClusterPlace, nodes_file: str) -> list[str]:
    """Return the lines that make a server one of a cluster, in the terms of its configuration file.

    Args:
        shard: the server.
        place: its place in the cluster.
        nodes_file: the name of its file of nodes, in quotes.
    """
    return [
        "cluster-enabled yes",
        f"cluster-config-file {nodes_file}",
        f"cluster-announce-ip {shard.bind[0]}",
        f"cluster-port {place.bus_port}",
        # A shard that is lost takes its own keys along, not those of all others.
        "cluster-require-full-coverage no",
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
        is_myself: whether it is the one that was asked.
        primary: id of the server that it copies; "-" if it copies none.
        connected: whether the two are connected.
        slots: how many it has.
    """

    id: str
    address: str
    is_myself: bool
    primary: str
    connected: bool
    slots: int


def parse_nodes(text: str) -> list[Node]:
    """Return what `CLUSTER NODES` says, without servers that nobody knows yet."""
    nodes = []
    for line in text.splitlines():
        name, address, flags, primary, _, _, _, link, *slots = line.split()
        if "handshake" in flags or "noaddr" in flags:
            continue
        # host:port@bus,hostname; slots that move are in brackets, and belong to nobody else yet.
        ranges = [slot.partition("-") for slot in slots if not slot.startswith("[")]
        count = sum(int(last or first) - int(first) + 1 for first, _, last in ranges)
        address = address.partition("@")[0]
        nodes.append(Node(name, address, "myself" in flags.split(","), primary, link == "connected", count))
    return nodes


def next_commands(
    shard: ShardPlan, servers: Sequence[ShardPlan], nodes: Iterable[Node], credentials: Credentials
) -> list[Words]:
    """Return what one server is to be told next, so that it becomes a part of its cluster.

    Args:
        shard: the server.
        servers: all of the cluster.
        nodes: what the server knows.
        credentials: with which replicas log in at what they copy.

    Returns:
        Commands; none once it knows all of the others, with their slots, and what they copy.
    """
    known = {node.address: node for node in nodes}
    myself = next(node for node in known.values() if node.is_myself)
    place = _place(shard)
    if myself.primary == _PREDECESSOR and not place.is_replica:
        return [
            *_copying(servers, credentials),
            ("CLUSTER", "FAILOVER", "TAKEOVER"),
            ("CLUSTER", "FORGET", _PREDECESSOR),
        ]
    ids = {
        _place(server).shard: known[str(server.address)].id
        for server in servers
        if not _place(server).is_replica and str(server.address) in known
    }
    commands: list[Words] = []
    for other in servers:
        node = known.get(str(other.address))
        if other is not shard and not (node and node.connected and _is_in_place(node, _place(other), ids)):
            # A server that is met again tells again what it has: sooner than by itself, which is once a second.
            commands.append(("CLUSTER", "MEET", other.bind[0], other.port, _place(other).bus_port))
    if place.is_replica and place.shard in ids and myself.primary != ids[place.shard]:
        commands += [*_copying(servers, credentials), ("CLUSTER", "REPLICATE", ids[place.shard])]
        commands.append(("CLUSTER", "FORGET", _PREDECESSOR))
    return commands


def _is_in_place(node: Node, place: ClusterPlace, ids: dict[int, str]) -> bool:
    if place.is_replica:
        return node.primary == ids.get(place.shard)
    first, last = place.slots
    return node.slots == last - first + 1


def _copying(servers: Sequence[ShardPlan], credentials: Credentials) -> list[Words]:
    """Return what every server has to know where one may become the replica of another."""
    if not any(_place(server).is_replica for server in servers):
        return []
    settings = {
        "masteruser": credentials.username,
        "masterauth": credentials.password,
        "cluster-node-timeout": _NODE_TIMEOUT,
    }
    return [("CONFIG", "SET", name, value) for name, value in settings.items()]


def serves_all(information: str) -> bool:
    """Return whether `CLUSTER INFO` says that every slot is served."""
    facts = dict(line.split(":", 1) for line in information.splitlines() if ":" in line)
    return facts.get("cluster_state") == "ok" and facts.get("cluster_slots_ok") == str(SLOTS)


def _place(server: ShardPlan) -> ClusterPlace:
    if server.place is None:
        raise ValueError(f"{server.name} has no place in a cluster")
    return server.place
