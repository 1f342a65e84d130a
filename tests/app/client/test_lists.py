from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from database_clusters import running_cluster
from dataset_calls import CONFIG, Cluster, ask
from servers import Server
from smartsim.adapters.tensors.resp import RespTensorStore
from smartsim.app.client.calls import Call, carry_out
from smartsim.app.client.dataset import Dataset
from smartsim.app.client.datasets import delete_dataset, put_dataset
from smartsim.app.client.lists import (
    append_to_list,
    copy_list,
    delete_list,
    get_dataset_list_range,
    get_datasets_from_list,
    get_list_length,
    rename_list,
)
from smartsim.domain.client_errors import RedisInternalError, RedisKeyError, RedisRuntimeError
from smartsim.ports.tensor_store import TensorStore


def _fill(store: TensorStore, count: int, key: str = "list") -> None:
    for number in range(count):
        dataset = Dataset(f"d{number}")
        dataset.add_tensor("t", np.full(3, number))
        dataset.add_meta_scalar("number", number)
        stem = f"sim.{{d{number}}}"
        carry_out(put_dataset(stem, dataset, None), store)
        carry_out(append_to_list(key, stem), store)


def _names(store: TensorStore, key: str) -> list[str]:
    return [dataset.get_name() for dataset in carry_out(get_datasets_from_list(key), store)]


def test_the_life_of_a_list(store: TensorStore) -> None:
    _fill(store, 3)
    assert ask(store, b"LRANGE", b"list", b"0", b"-1") == [b"sim.{d0}", b"sim.{d1}", b"sim.{d2}"]
    assert carry_out(get_list_length("list"), store) == 3
    datasets = carry_out(get_datasets_from_list("list"), store)
    assert [dataset.get_name() for dataset in datasets] == ["d0", "d1", "d2"]
    assert [dataset.get_tensor("t").tolist() for dataset in datasets] == [[0] * 3, [1] * 3, [2] * 3]
    assert all(isinstance(dataset, Dataset) for dataset in datasets)
    carry_out(copy_list("list", "copy"), store)
    carry_out(rename_list("list", "renamed"), store)
    assert _names(store, "copy") == _names(store, "renamed") == ["d0", "d1", "d2"]
    carry_out(delete_list("copy"), store)
    carry_out(delete_list("copy"), store)
    assert [carry_out(get_list_length(key), store) for key in ("list", "copy", "renamed")] == [0, 0, 3]


@pytest.mark.parametrize(
    ("first", "last"), [(0, 0), (1, 3), (-2, -1), (0, -1), (3, 100), (-100, 1), (2, 1), (5, 9), (-1, -2), (True, 2)]
)
def test_ranges(store: TensorStore, first: int, last: int) -> None:
    _fill(store, 5)
    numbers = list(range(5))
    begin, end = max(0, first + 5 if first < 0 else first), (last + 5 if last < 0 else last) + 1
    found = carry_out(get_dataset_list_range("list", first, last), store)
    assert [dataset.get_meta_scalars("number")[0] for dataset in found] == numbers[begin:end]


def test_types_of_indices() -> None:
    for call, argument in (
        (get_dataset_list_range("list", 1.0, 2), "start_index"),  # type: ignore[arg-type]
        (get_dataset_list_range("list", 1, "2"), "end_index"),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError, match=f"Argument {argument} is of type .* not <class 'int'>"):
            next(call)


def test_lists_that_are_not_there(store: TensorStore) -> None:
    assert carry_out(get_list_length("absent"), store) == 0
    assert carry_out(get_datasets_from_list("absent"), store) == []
    assert carry_out(get_dataset_list_range("absent", 0, 3), store) == []
    _fill(store, 1)
    for cluster in (store, Cluster(store)):
        for call in (copy_list("absent", "list"), rename_list("absent", "list"), copy_list("absent", "absent")):
            with pytest.raises(RedisRuntimeError, match="There is no list 'absent'"):
                carry_out(call, cluster)
    assert _names(store, "list") == ["d0"]


def test_the_same_list_twice(store: TensorStore) -> None:
    _fill(store, 2)
    carry_out(copy_list("list", "list"), store)
    carry_out(rename_list("list", "list"), store)
    assert _names(store, "list") == ["d0", "d1"]


def test_something_that_is_no_list(store: TensorStore) -> None:
    ask(store, b"SET", b"text", b"text")
    calls: list[Call[Any]] = [
        append_to_list("text", "{d}"),
        copy_list("text", "list"),
        rename_list("text", "list"),
        get_list_length("text"),
        get_datasets_from_list("text"),
    ]
    for call in calls:
        with pytest.raises(RedisRuntimeError, match="WRONGTYPE"):
            carry_out(call, store)
    assert carry_out(get_list_length("list"), store) == 0


@pytest.mark.parametrize("name", ["copy", "rename"])
@pytest.mark.parametrize("cluster", [False, True])
def test_what_was_under_the_other_name_is_replaced(store: TensorStore, name: str, cluster: bool) -> None:
    _fill(store, 2)
    _fill(store, 3, key="other")
    call = {"copy": copy_list, "rename": rename_list}[name]("list", "other")
    carry_out(call, Cluster(store) if cluster and isinstance(store, RespTensorStore) else store)
    assert _names(store, "other") == ["d0", "d1"]
    assert carry_out(get_list_length("list"), store) == (2 if name == "copy" else 0)


def test_what_is_appended_during_a_move_between_slots_is_kept(server: Server) -> None:
    with closing(RespTensorStore((server.unix,), CONFIG)) as store:
        ask(store, b"FLUSHDB")
        _fill(store, 2)
        append = append_to_list("list", "sim.{d0}")
        appending = Cluster(store, lambda trip, _: carry_out(append, store) if trip == 3 else None)
        carry_out(rename_list("list", "other"), appending)
        assert _names(store, "other") == ["d0", "d1"]
        assert _names(store, "list") == ["d0"]


def test_a_missing_dataset_is_named(store: TensorStore) -> None:
    _fill(store, 3)
    carry_out(delete_dataset("sim.{d1}"), store)
    with pytest.raises(RedisKeyError, match="There is no dataset 'sim.{d1}'"):
        carry_out(get_datasets_from_list("list"), store)
    assert [dataset.get_name() for dataset in carry_out(get_dataset_list_range("list", 2, 2), store)] == ["d2"]


def test_names_with_braces_and_bytes_that_are_no_text(store: TensorStore) -> None:
    for stem, name in (("{a{b}c}", "a{b}c"), ("p{.{x}", ".{x"), ("{\udcff}", None)):
        dataset = Dataset("d")
        dataset.add_meta_string("s", "a")
        if name is None:  # as a client in C may have it
            ask(store, b"HSET", b"{\xff}.meta", b"s", b"\x07\x01\0\0\0\0\0\0\0a")
            ask(store, b"RPUSH", b"list", b"{\xff}")
        else:
            carry_out(put_dataset(stem, dataset, None), store)
            carry_out(append_to_list("list", stem), store)
    assert _names(store, "list") == ["a{b}c", ".{x", "\udcff"]


@pytest.mark.parametrize("element", [b"", b"d", b"}d{", b"{d"])
def test_an_element_that_is_none(store: TensorStore, element: bytes) -> None:
    ask(store, b"RPUSH", b"list", element)
    with pytest.raises(RedisInternalError, match="of the list 'list' is not that of a dataset"):
        carry_out(get_datasets_from_list("list"), store)


@pytest.mark.parametrize("odd", [[], [7], [0, 99]])
@pytest.mark.parametrize("tensors", [["u"], ["t", "u"], []])
def test_many_datasets_take_two_round_trips(store: TensorStore, tensors: list[str], odd: list[int]) -> None:
    _fill(store, 100)
    for number in odd:
        dataset = Dataset(f"d{number}")
        dataset.add_meta_string("odd", "yes")
        for tensor in tensors:
            dataset.add_tensor(tensor, np.full(2, -number))
        carry_out(put_dataset(f"sim.{{d{number}}}", dataset, None), store)
    counting = Cluster(store)
    found = carry_out(get_datasets_from_list("list"), counting)
    assert [dataset.get_tensor_names() for dataset in found] == [
        tensors if number in odd else ["t"] for number in range(100)
    ]
    assert [dataset.get_tensor("t").tolist() for number, dataset in enumerate(found) if number not in odd] == [
        [number] * 3 for number in range(100) if number not in odd
    ]
    assert counting.round_trips == 2


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TensorStore]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as nodes:
        store = RespTensorStore([node.address for node in nodes.primaries], CONFIG, cluster=True)
        yield store
        store.close()


def test_lists_in_a_cluster(cluster: TensorStore) -> None:
    _fill(cluster, 30)
    names = [f"d{number}" for number in range(30)]
    assert _names(cluster, "list") == names
    carry_out(copy_list("list", "copy"), cluster)
    carry_out(copy_list("list", "{list}.copy"), cluster)
    carry_out(rename_list("list", "renamed"), cluster)
    for key in ("copy", "{list}.copy", "renamed"):
        assert _names(cluster, key) == names
    assert carry_out(get_list_length("list"), cluster) == 0
