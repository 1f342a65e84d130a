from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from database_clusters import Cluster, name_of_slot, running_cluster
from dataset_calls import CONFIG, ClusterOfOne, Watched, ask, get, make_dataset, put, state, there
from servers import DEADLINE
from smartsim.adapters.tensors.resp import RespTensorStore
from smartsim.app.client.calls import carry_out
from smartsim.app.client.dataset import Dataset
from smartsim.app.client.datasets import (
    copy_dataset,
    dataset_exists,
    delete_dataset,
    get_dataset,
    rename_dataset,
)
from smartsim.domain.client_errors import RedisRuntimeError
from smartsim.domain.slots import key_slot
from smartsim.ports.tensor_store import Request, TensorStore
from waiting import wait_until

# --- clusters


def test_between_slots_datasets_go_through_the_client(store: TensorStore) -> None:
    cluster = ClusterOfOne(store)
    put(cluster, make_dataset("d", "a", "b", value=1.0), ttl=1000)
    put(cluster, make_dataset("e", "c", value=2.0))
    carry_out(copy_dataset("{d}", "{e}"), cluster)
    assert state(get(cluster, "e")) == ({"a", "b"}, {1.0})
    assert there(store, "{e}", "a", "b", "c") == ["meta", "a", "b"]
    carry_out(rename_dataset("{e}", "{f}"), cluster)
    assert state(get(cluster, "f")) == ({"a", "b"}, {1.0})
    assert there(store, "{e}", "a", "b") == []
    for part in ("meta", "a", "b"):
        assert 900_000 < ask(store, b"PTTL", f"{{f}}.{part}".encode()) <= 1_000_000


def test_within_a_slot_no_tensor_is_fetched(store: TensorStore) -> None:
    fetched: list[Request] = []
    cluster = ClusterOfOne(Watched(store, lambda _, requests: fetched.extend(requests)))
    put(cluster, make_dataset("d", "a", value=1.0))
    fetched.clear()
    carry_out(copy_dataset("{d}", "other.{d}"), cluster)
    assert b"AI.TENSORGET" not in repr(fetched).encode()
    assert state(carry_out(get_dataset("other.{d}", "d"), cluster)) == ({"a"}, {1.0})


def test_names_that_a_cluster_would_spread_over_shards(store: TensorStore) -> None:
    put(store, make_dataset("}d", "a"))
    with pytest.raises(RedisRuntimeError, match=r"'{}d}' cannot be stored in a cluster: begin its name without '}'"):
        put(ClusterOfOne(store), make_dataset("}d", "a"))


# --- a real cluster


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def cluster(nodes: Cluster) -> Iterator[TensorStore]:
    with closing(RespTensorStore([node.address for node in nodes.primaries], CONFIG, cluster=True)) as store:
        yield store


@pytest.mark.parametrize("number", range(6))
def test_datasets_of_a_cluster(cluster: TensorStore, number: int) -> None:
    put(cluster, make_dataset(f"d{number}", "a", "b", value=number))
    put(cluster, make_dataset(f"d{number}", "b", "c", value=number), ttl=1000)
    for source, destination in (("{d%d}", "{copy%d}"), ("{d%d}", "same_slot.{d%d}")):
        carry_out(copy_dataset(source.replace("%d", str(number)), destination.replace("%d", str(number))), cluster)
    carry_out(rename_dataset(f"{{d{number}}}", f"{{renamed{number}}}"), cluster)
    assert not carry_out(dataset_exists(f"{{d{number}}}"), cluster)
    for stem in (f"{{copy{number}}}", f"same_slot.{{d{number}}}", f"{{renamed{number}}}"):
        assert state(carry_out(get_dataset(stem, "d"), cluster)) == ({"b", "c"}, {float(number)})
        assert 900_000 < ask(cluster, b"PTTL", f"{stem}.b".encode()) <= 1_000_000
        carry_out(delete_dataset(stem), cluster)
        assert there(cluster, stem, "a", "b", "c") == []


def test_a_real_cluster_would_spread_such_names_over_shards(cluster: TensorStore) -> None:
    with pytest.raises(RedisRuntimeError, match="cannot be stored in a cluster"):
        put(cluster, make_dataset("}d", "a"))


# --- while a slot moves, a part of the keys is on the one node, and a part on the other


def _replace(store: TensorStore, name: str) -> None:
    put(store, make_dataset(name, "b", "c", value=2.0))


def _copy(store: TensorStore, name: str) -> None:
    carry_out(copy_dataset(f"{{{name}}}", f"copy.{{{name}}}"), store)


def _delete(store: TensorStore, name: str) -> None:
    carry_out(delete_dataset(f"{{{name}}}"), store)


@pytest.mark.parametrize("first", [["meta"], ["a"], ["meta", "b"]])
@pytest.mark.parametrize("call", [get, _replace, _copy, _delete])
def test_nobody_sees_or_leaves_half_a_dataset_when_its_slot_moves(
    nodes: Cluster, cluster: TensorStore, call: Callable[[TensorStore, str], Dataset | None], first: list[str]
) -> None:
    source, target, _ = nodes.primaries
    name = name_of_slot((100, 5000), f"{call.__name__}{len(first)}{first[0]}").decode()
    slot = key_slot(name.encode())
    put(cluster, make_dataset(name, "a", "b", value=1.0))
    keys = {part: f"{{{name}}}.{part}".encode() for part in ("meta", "a", "b")}
    nodes.begin_move(slot, source, target)
    nodes.move_keys(source, target, *(keys.pop(part) for part in first))

    def refusals() -> int:
        errors = [node.client.info("errorstats").get("errorstat_TRYAGAIN") for node in (source, target)]
        return sum(error["count"] for error in errors if error)

    before = refusals()
    with ThreadPoolExecutor(1) as thread:
        called = thread.submit(call, cluster, name)
        wait_until(lambda: refusals() > before)
        nodes.move_keys(source, target, *keys.values())
        nodes.end_move(slot, source, target)
        result = called.result(DEADLINE)
    try:
        first_state, second_state = ({"a", "b"}, {1.0}), ({"b", "c"}, {2.0})
        expected = {"get": [first_state], "_replace": [second_state], "_copy": [first_state] * 2}.get(call.__name__, [])
        assert result is None or state(result) == first_state
        stems = (f"{{{name}}}", f"copy.{{{name}}}")
        there = [stem for stem in stems if carry_out(dataset_exists(stem), cluster)]
        assert [state(carry_out(get_dataset(stem, name), cluster)) for stem in there] == expected
        left = set().union(*(node.keys() for node in nodes.primaries))
        assert sum(stems[0].encode() in key for key in left) == 3 * len(expected)
    finally:
        nodes.move(slot, target, source)
