"""The stores in a cluster whose slots move."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest

from cluster_stores import get, opened_cluster_store, put
from database_clusters import Cluster, name_of_slot, running_cluster, start_node
from servers import DEADLINE, free_port, running_server
from smartsim.adapters.tensors.resp import RespTensorStore
from smartsim.domain.addresses import Address
from smartsim.domain.client_config import ClientConfig, RetryPolicy
from smartsim.domain.client_errors import RedisConnectionError, RedisDatabaseError, RedisRuntimeError
from smartsim.domain.slots import key_slot
from smartsim.ports.tensor_store import Command, Transaction
from tensor_stores import Store
from waiting import wait_until

QUICK = ClientConfig(connecting=RetryPolicy(2 / 64, 1 / 64), commands=RetryPolicy(20, 1 / 64), socket_timeout=20)
KEYS = [b"key%d" % number for number in range(40)]  # on all shards


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def cluster(running: Cluster) -> Cluster:
    for node in running.primaries:
        node.ask("FLUSHALL")
    return running


@pytest.fixture(params=["waiting", "on a loop"])
def store(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[Store]:
    with opened_cluster_store(request.param, [cluster.primaries[1].address], QUICK) as store:
        yield store


def test_the_shards_are_listed_by_their_first_slots(cluster: Cluster, store: Store) -> None:
    shards = store.shards()
    assert [shard.address for shard in shards] == [node.address for node in cluster.primaries]
    assert [shard.slots for shard in shards] == [(0, 5460), (5461, 10922), (10923, 16383)]
    assert [shard.prefix for shard in shards] == [b"{\0\0}", b"{8M}", b"{\xed\xeb}"]


def test_each_key_is_on_its_shard(cluster: Cluster, store: Store) -> None:
    for number, key in enumerate(KEYS):
        put(store, key, np.full(3, number))
    for number, key in enumerate(KEYS):
        assert get(store, key).tolist() == [number] * 3
    for node, shard in zip(cluster.primaries, store.shards(), strict=True):
        own = {key for key in KEYS if shard.slots[0] <= key_slot(key) <= shard.slots[1]}
        assert own
        assert node.keys() == own


def test_requests_for_several_shards_have_their_replies_in_order(cluster: Cluster, store: Store) -> None:
    stored = store.run([Command((b"SET", key, key), key) for key in KEYS])
    assert stored == [b"OK"] * len(KEYS)
    requests = [Command((b"GET", key), key, changes=False) for key in KEYS]
    by_name = [Command((b"PING", b"%d" % n), shard=node.address) for n, node in enumerate(cluster.primaries)]
    assert store.run([*requests, *by_name, Command((b"PING",))]) == [*KEYS, b"0", b"1", b"2", b"PONG"]


def test_a_slot_that_has_moved_is_followed(cluster: Cluster, store: Store) -> None:
    source, _, target = cluster.primaries
    key = name_of_slot((100, 5000), "moved")
    slot = key_slot(key)
    put(store, key, np.arange(3))
    cluster.move(slot, source, target)
    try:
        assert get(store, key).tolist() == [0, 1, 2]
        assert [shard.slots for shard in store.shards()] == [
            (0, slot - 1),
            (slot, slot),
            (slot + 1, 5460),
            (5461, 10922),
            (10923, 16383),
        ]
        assert store.shards()[1].address == target.address
        put(store, key, np.arange(4))
        assert target.keys() == {key}
    finally:
        cluster.move(slot, target, source)
    put(store, key, np.arange(5))
    assert get(store, key).tolist() == [0, 1, 2, 3, 4]
    assert len(store.shards()) == 3


def test_requests_of_a_slot_that_has_moved_are_each_carried_out_once(cluster: Cluster, store: Store) -> None:
    source, target, _ = cluster.primaries
    key = name_of_slot((100, 5000), "counter")
    increase = Command((b"INCR", key), key)
    assert store.run([increase]) == [1]
    cluster.move(key_slot(key), source, target)
    try:
        assert store.run([increase, Transaction((increase, increase)), increase]) == [2, [3, 4], 5]
    finally:
        cluster.move(key_slot(key), target, source)


def test_a_slot_on_its_way_is_found_on_both_sides(cluster: Cluster, store: Store) -> None:
    source, target, _ = cluster.primaries
    stem = name_of_slot((100, 5000), "tag")
    slot = key_slot(stem)
    keys = [b"{%b}%d" % (stem, number) for number in range(6)]
    for number, key in enumerate(keys[:4]):
        put(store, key, np.array([number]))
    cluster.begin_move(slot, source, target)
    cluster.move_keys(source, target, *keys[:2])

    assert [get(store, key).tolist() for key in keys[:4]] == [[0], [1], [2], [3]]
    put(store, keys[4], np.array([4]))
    put(store, keys[0], np.array([5]))
    counter = Command((b"INCR", keys[5]), keys[5])
    assert store.run([counter, Transaction((counter, counter)), counter]) == [1, [2, 3], 4]
    assert target.keys() == {*keys[:2], *keys[4:]}
    assert len(store.shards()) == 3

    cluster.move_keys(source, target, *keys[2:4])
    cluster.end_move(slot, source, target)
    try:
        assert [get(store, key).tolist() for key in keys[:5]] == [[5], [1], [2], [3], [4]]
    finally:
        cluster.move(slot, target, source)


def test_keys_that_are_on_both_sides_of_a_move_are_waited_for(cluster: Cluster, store: Store) -> None:
    source, target, _ = cluster.primaries
    stem = name_of_slot((100, 5000), "both")
    slot = key_slot(stem)
    one, other = b"{%b}1" % stem, b"{%b}2" % stem
    for key in (one, other):
        put(store, key, np.arange(2))
    cluster.begin_move(slot, source, target)
    cluster.move_keys(source, target, one)

    with ThreadPoolExecutor(1) as thread:
        renamed = thread.submit(store.run, [Command((b"RENAME", one, other), one)])
        wait_until(lambda: "errorstat_TRYAGAIN" in source.client.info("errorstats"))
        cluster.move_keys(source, target, other)
        assert renamed.result(DEADLINE) == [b"OK"]
    cluster.end_move(slot, source, target)
    try:
        assert target.keys() == {other}
    finally:
        cluster.move(slot, target, source)


def test_one_node_that_answers_is_enough_to_find_all(cluster: Cluster) -> None:
    dead = [Address.tcp("127.0.0.1", free_port()) for _ in range(4)]
    addresses = [*dead, cluster.primaries[2].address]
    with closing(RespTensorStore(addresses, QUICK, cluster=True)) as store:
        assert len(store.shards()) == 3


def test_no_node_that_answers_is_an_error() -> None:
    dead = [Address.tcp("127.0.0.1", free_port()) for _ in range(2)]
    with pytest.raises(RedisConnectionError, match=r"attempts: 3.*SSDB") as raised:
        RespTensorStore(dead, QUICK, cluster=True)
    assert all(str(address) in str(raised.value) for address in dead)


def test_what_is_no_cluster_is_an_error_that_says_so(tmp_path: Path) -> None:
    with (
        running_server(tmp_path) as server,
        pytest.raises(RedisConnectionError, match="cluster support disabled; .*cluster=False"),
    ):
        RespTensorStore([server.tcp], QUICK, cluster=True)


def test_a_cluster_that_is_not_complete_is_an_error_that_says_so(tmp_path: Path) -> None:
    with ExitStack() as stack:
        node = start_node(stack, tmp_path)
        for slots in ((), (0, 99), (200, 16383)):
            if slots:
                node.ask("CLUSTER ADDSLOTSRANGE", *slots)
            missing = 100 if slots else 0
            with pytest.raises(RedisConnectionError, match=f"no shard has the hash slot {missing}: .*CLUSTER INFO"):
                RespTensorStore([node.address], QUICK, cluster=True)


def test_a_client_of_a_standalone_database_is_told_that_it_is_a_cluster(cluster: Cluster) -> None:
    elsewhere = name_of_slot((10923, 16383), "k")
    with (
        closing(RespTensorStore([cluster.primaries[0].address], QUICK)) as store,
        pytest.raises(RedisRuntimeError, match="MOVED .*cluster=True"),
    ):
        store.put(elsewhere, np.zeros(1))


def test_a_forked_process_has_connections_of_its_own(cluster: Cluster) -> None:
    store = RespTensorStore([cluster.primaries[0].address], QUICK, cluster=True)
    for number, key in enumerate(KEYS):
        put(store, key, np.array([number]))
    child = os.fork()
    if child == 0:
        right = [get(store, key).tolist() for key in KEYS] == [[number] for number in range(len(KEYS))]
        os._exit(0 if right else 1)
    for _ in range(10):
        assert [get(store, key).tolist() for key in KEYS] == [[number] for number in range(len(KEYS))]
    assert os.waitpid(child, 0)[1] == 0
    store.close()


def test_a_closed_store_says_so(store: Store) -> None:
    store.close()
    for keys in (KEYS[:1], KEYS):
        with pytest.raises(RedisDatabaseError, match="closed"):
            store.run([Command((b"GET", key), key) for key in keys])
