"""The stores in a cluster whose shards fail while there is traffic: nothing is lost, and nothing carried out twice."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from cluster_stores import get, opened_cluster_store, put
from database_clusters import Cluster, Node, name_of_slot, running_cluster, start_node
from servers import DEADLINE
from smartsim.domain.client_config import ClientConfig, RetryPolicy
from smartsim.domain.client_errors import RedisDatabaseError
from smartsim.ports.tensor_store import Command
from tensor_stores import Store
from waiting import wait_until

PATIENT = ClientConfig(connecting=RetryPolicy(20, 1 / 64), commands=RetryPolicy(20, 1 / 64), socket_timeout=20)
SLOTS = ((0, 5460), (5461, 10922), (10923, 16383))
COUNTERS = [name_of_slot(slots, "counter") for slots in SLOTS]
TENSORS = [name_of_slot(slots, "tensor") for slots in SLOTS]
kinds = pytest.mark.parametrize("kind", ["waiting", "on a loop"])


class Traffic:
    """Threads that count on all shards, until they are told to end.

    Attributes:
        done: how often each counter was increased.
        unknown: how often that is not known.
        messages: what was said of that.
    """

    def __init__(self, store: Store, threads: int = 3) -> None:
        self.done: Counter[bytes] = Counter()
        self.unknown: Counter[bytes] = Counter()
        self.messages: set[str] = set()
        self._store = store
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._count) for _ in range(threads)]

    @contextmanager
    def running(self) -> Iterator[Traffic]:
        """Run; it has ended afterwards."""
        for thread in self._threads:
            thread.start()
        try:
            self.goes_on()
            yield self
            self.goes_on()
        finally:
            self._ended.set()
            for thread in self._threads:
                thread.join(DEADLINE)

    def goes_on(self) -> None:
        """Wait until every counter has been increased some more."""
        before = Counter(self.done)
        wait_until(lambda: all(self.done[key] >= before[key] + 20 for key in COUNTERS))

    def _count(self) -> None:
        while not self._ended.is_set():
            for keys in (*([key] for key in COUNTERS), COUNTERS):
                try:
                    replies = self._store.run([Command((b"INCR", key), key) for key in keys])
                except RedisDatabaseError as error:
                    with self._lock:
                        self.unknown.update(keys)
                        self.messages.add(error.cause.partition("; ")[2])
                else:
                    assert all(isinstance(reply, int) for reply in replies)
                    with self._lock:
                        self.done.update(keys)


def check(store: Store, traffic: Traffic) -> None:
    """Check that nothing was lost, and nothing done twice."""
    assert traffic.messages <= {"INCR may have been carried out or not: look, before you repeat it"}
    for key in COUNTERS:
        (reply,) = store.run([Command((b"GET", key), key, changes=False)])
        assert isinstance(reply, bytes)
        assert traffic.done[key] <= int(reply) <= traffic.done[key] + traffic.unknown[key]


def _has_role(node: Node, role: str) -> bool:
    return bool(node.client.info("replication")["role"] == role)


@kinds
def test_a_shard_that_is_killed_and_started_again_is_waited_for(tmp_path: Path, kind: str) -> None:
    durable = ("--appendonly", "yes", "--appendfsync", "always")
    with ExitStack() as stack:
        cluster = stack.enter_context(running_cluster(tmp_path, *durable))
        addresses = [node.address for node in cluster.primaries]
        store = stack.enter_context(opened_cluster_store(kind, addresses, PATIENT))
        traffic = Traffic(store)
        with traffic.running():
            cluster.primaries[2].server.stop()
            start_node(stack, tmp_path / "2", *durable, port=addresses[2].port)
        check(store, traffic)


@pytest.fixture(scope="module")
def replicated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("replicated"), replicas=True) as cluster:
        yield cluster


@kinds
def test_a_replica_that_takes_over_is_found(replicated: Cluster, kind: str) -> None:
    pair = [replicated.primaries[0], replicated.replicas[0]]
    primary, replica = sorted(pair, key=lambda node: _has_role(node, "slave"))
    with opened_cluster_store(kind, [replica.address], PATIENT) as store:
        assert store.shards()[0].address == primary.address
        store.run([Command((b"DEL", key), key) for key in COUNTERS])
        traffic = Traffic(store)
        with traffic.running():
            replica.ask("CLUSTER FAILOVER")
            wait_until(partial(_has_role, primary, "slave"))
            traffic.goes_on()
        assert store.shards()[0].address == replica.address
        assert not traffic.unknown
        check(store, traffic)


@pytest.mark.parametrize(("kind", "shard"), [("waiting", 1), ("on a loop", 2)])
def test_a_replica_takes_over_from_a_shard_that_is_gone(replicated: Cluster, kind: str, shard: int) -> None:
    primary, replica, key = replicated.primaries[shard], replicated.replicas[shard], TENSORS[shard]
    with opened_cluster_store(kind, [primary.address], PATIENT) as store:
        put(store, key, np.arange(3))
        wait_until(lambda: replica.keys() >= {key})
        primary.server.stop()
        replica.ask("CLUSTER FAILOVER TAKEOVER")
        assert get(store, key).tolist() == [0, 1, 2]
        put(store, key, np.arange(4))
        assert get(store, key).tolist() == [0, 1, 2, 3]
        assert store.shards()[shard].address == replica.address


@kinds
def test_a_shard_that_stays_away_is_an_error_and_the_others_work(tmp_path: Path, kind: str) -> None:
    quick = ClientConfig(PATIENT.connecting, RetryPolicy(2 / 64, 1 / 64), socket_timeout=20)
    with (
        running_cluster(tmp_path) as cluster,
        opened_cluster_store(kind, [cluster.primaries[1].address], quick) as store,
    ):
        put(store, TENSORS[1], np.zeros(1))
        cluster.primaries[1].server.stop()
        for _ in range(2):
            with pytest.raises(
                RedisDatabaseError, match=rf"for the key .* from {cluster.primaries[1].address}: .*attempts: \d"
            ):
                get(store, TENSORS[1])
            put(store, TENSORS[0], np.zeros(1))
            assert get(store, TENSORS[0]).tolist() == [0]
