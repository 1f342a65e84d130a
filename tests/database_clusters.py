"""Real clusters, for tests, and what happens to them: slots that move, shards that fail."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from servers import DEADLINE, Server, free_port, running_server
from smartsim.domain.addresses import Address
from smartsim.domain.slots import SLOTS, key_slot
from waiting import wait_until


@dataclass
class Node:
    """One server of a cluster.

    Attributes:
        server: what runs it.
        client: of the tests themselves.
    """

    server: Server
    client: redis.Redis

    @property
    def address(self) -> Address:
        """Where it listens."""
        return self.server.tcp

    @property
    def name(self) -> bytes:
        """What the cluster calls it."""
        return bytes(self.ask("CLUSTER MYID"))

    def ask(self, *words: str | bytes | int) -> Any:
        """Return what it answers to a command."""
        return self.client.execute_command(*words)

    def keys(self) -> set[bytes]:
        """Return all the keys that it has."""
        return set(self.client.scan_iter())


@dataclass
class Cluster:
    """Some shards, and perhaps a copy of each.

    Attributes:
        primaries: in the order of their first slots.
        replicas: of the primaries, in the same order.
    """

    primaries: Sequence[Node]
    replicas: Sequence[Node]

    @property
    def nodes(self) -> list[Node]:
        """All of them."""
        return [*self.primaries, *self.replicas]

    def begin_move(self, slot: int, source: Node, target: Node) -> None:
        """Have a slot be on its way from one shard to another."""
        target.ask("CLUSTER SETSLOT", slot, "IMPORTING", source.name)
        source.ask("CLUSTER SETSLOT", slot, "MIGRATING", target.name)

    def move_keys(self, source: Node, target: Node, *keys: bytes) -> None:
        """Move keys of a slot that is on its way."""
        address = target.address
        source.ask("MIGRATE", address.host, address.port, "", 0, int(DEADLINE * 1000), "KEYS", *keys)

    def end_move(self, slot: int, source: Node, target: Node) -> None:
        """Have a slot arrive; everyone knows then."""
        for node in (target, source):
            node.ask("CLUSTER SETSLOT", slot, "NODE", target.name)
        self.wait_for(slot, target)

    def move(self, slot: int, source: Node, target: Node) -> None:
        """Move a slot with all its keys from one shard to another."""
        self.begin_move(slot, source, target)
        while keys := source.ask("CLUSTER GETKEYSINSLOT", slot, 100):
            self.move_keys(source, target, *keys)
        self.end_move(slot, source, target)

    def wait_for(self, slot: int, owner: Node) -> None:
        """Wait until all nodes that run take one for the owner of a slot."""
        wait_until(lambda: all(_owner_port(node, slot) == owner.address.port for node in self.nodes if _runs(node)))


def name_of_slot(slots: tuple[int, int], stem: str) -> bytes:
    """Return a key that is in one of some slots.

    Args:
        slots: the first and the last.
        stem: what it begins with.
    """
    keys = (f"{stem}{number}".encode() for number in range(10 * SLOTS))
    return next(key for key in keys if slots[0] <= key_slot(key) <= slots[1])


@contextlib.contextmanager
def running_cluster(directory: Path, *options: str, shards: int = 3, replicas: bool = False) -> Iterator[Cluster]:
    """Run a cluster; it is ready then.

    Args:
        directory: where it works.
        options: of each server.
        shards: how many.
        replicas: whether each has a copy.
    """
    with contextlib.ExitStack() as stack:
        nodes = []
        for number in range(shards * 2 if replicas else shards):
            path = directory / str(number)
            path.mkdir()
            nodes.append(start_node(stack, path, *options))
        cluster = Cluster(nodes[:shards], nodes[shards:])
        join(cluster.primaries)
        for primary, replica in zip(cluster.primaries, cluster.replicas, strict=False):
            _meet(replica, primary)
        for primary, replica in zip(cluster.primaries, cluster.replicas, strict=False):
            _replicate(replica, primary)
        wait_until(lambda: all(_replicas(node) == len(cluster.replicas) for node in cluster.nodes))
        yield cluster


def start_node(stack: contextlib.ExitStack, directory: Path, *options: str, port: int = 0) -> Node:
    """Run a server that may be part of a cluster; what was one in the same directory goes on.

    Args:
        stack: ends it.
        directory: where it works.
        options: more of its command line.
        port: to listen on; 0 for a free one.
    """
    mode = ["--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--repl-diskless-sync-delay", "0"]
    return connect_node(stack, stack.enter_context(running_server(directory, *mode, *options, port=port)))


def connect_node(stack: contextlib.ExitStack, server: Server) -> Node:
    """Return a server as a node to be asked.

    Args:
        stack: ends the connection.
        server: with its cluster mode on.
    """
    client = redis.Redis(host=server.tcp.host, port=server.tcp.port, socket_timeout=DEADLINE, protocol=2)
    for callback in list(client.response_callbacks):
        if callback not in ("INFO", "CONFIG GET", "SCAN"):
            del client.response_callbacks[callback]  # answers as they come
    stack.callback(client.close)
    return Node(server, client)


def join(nodes: Sequence[Node]) -> None:
    """Make a cluster of some servers, each of which gets its part of the slots; it is ready then."""
    bounds = [round(SLOTS * number / len(nodes)) for number in range(len(nodes) + 1)]
    for epoch, (node, first, end) in enumerate(zip(nodes, bounds, bounds[1:], strict=False), 1):
        node.ask("CLUSTER SET-CONFIG-EPOCH", epoch)
        node.ask("CLUSTER ADDSLOTSRANGE", first, end - 1)
    for node, other in itertools.permutations(nodes, 2):
        _meet(node, other)
    wait_until(lambda: all(_complete(node, len(nodes)) for node in nodes))


def _meet(node: Node, other: Node) -> None:
    node.ask("CLUSTER MEET", other.address.host, other.address.port, other.client.config_get()["cluster-port"] or 0)


def _replicate(replica: Node, primary: Node) -> None:
    wait_until(lambda: primary.name in replica.ask("CLUSTER NODES"))
    replica.ask("CLUSTER REPLICATE", primary.name)
    wait_until(lambda: replica.client.info("replication").get("master_link_status") == "up")


def _complete(node: Node, shards: int) -> bool:
    text = node.ask("CLUSTER INFO").decode()
    return all(part in text for part in ("state:ok", f"known_nodes:{shards}", f"size:{shards}"))


def _replicas(node: Node) -> int:
    return sum(len(shard[3:]) for shard in node.ask("CLUSTER SLOTS"))


def _runs(node: Node) -> bool:
    return node.server.process.poll() is None


def _owner_port(node: Node, slot: int) -> int:
    return next((shard[2][1] for shard in node.ask("CLUSTER SLOTS") if shard[0] <= slot <= shard[1]), 0)
