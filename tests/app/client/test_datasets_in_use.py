from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from dataset_calls import CALLS, DEADLINE, Watched, ask, get, make_dataset, put, state, there
from smartsim.app.client.calls import carry_out
from smartsim.app.client.dataset import Dataset
from smartsim.app.client.dataset_storage import SeenNames
from smartsim.app.client.datasets import (
    copy_dataset,
    delete_dataset,
    get_dataset,
    rename_dataset,
)
from smartsim.domain.client_errors import RedisKeyError, RedisRuntimeError
from smartsim.ports.tensor_store import Request, TensorStore

# --- others change it at the same time


def _once(number: int, action: Callable[[], object]) -> Callable[[int, Sequence[Request]], object]:
    return lambda trip, _: action() if trip == number else None


@pytest.mark.parametrize("others", [("a", "b"), ("b", "c"), ()])
def test_a_dataset_that_is_replaced_while_it_is_read(store: TensorStore, others: tuple[str, ...]) -> None:
    put(store, make_dataset("d", "a", "b", value=1.0))
    replace = _once(2, lambda: put(store, make_dataset("d", *others, value=2.0)))
    assert state(get(Watched(store, replace), "d")) == (set(others), {2.0})


def test_a_dataset_that_is_deleted_while_it_is_read(store: TensorStore) -> None:
    put(store, make_dataset("d", "a"))
    with pytest.raises(RedisKeyError, match="There is no dataset '{d}'"):
        get(Watched(store, _once(2, lambda: carry_out(delete_dataset("{d}"), store))), "d")


@pytest.mark.parametrize("value", [2.0, 3.0])
def test_a_dataset_that_is_replaced_all_the_time_is_an_error(store: TensorStore, value: float) -> None:
    def replace(trip: int, _: object) -> None:
        put(store, make_dataset("d", f"t{trip}", value=value))

    put(store, make_dataset("d", "a"))
    watched = Watched(store, replace)
    with pytest.raises(RedisRuntimeError, match="replaced .*all the time"):
        get(watched, "d") if value == 2.0 else carry_out(copy_dataset("{d}", "{e}"), watched)
    assert watched.round_trips < 20


@pytest.mark.parametrize("size", [2, 200_000])
def test_two_that_put_the_same_dataset_leave_nothing_behind(store: TensorStore, size: int) -> None:
    dataset = Dataset("d")
    dataset.add_tensor("mine", np.ones(size))
    others = _once(1 if size == 2 else 2, lambda: put(store, make_dataset("d", "theirs")))
    put(Watched(store, others), dataset)
    assert get(store, "d").get_tensor_names() == ["mine"]
    assert there(store, "{d}", "mine", "theirs") == ["meta", "mine"]


def test_a_dataset_that_is_replaced_while_it_is_deleted(store: TensorStore) -> None:
    put(store, make_dataset("d", "a"))
    carry_out(delete_dataset("{d}"), Watched(store, _once(2, lambda: put(store, make_dataset("d", "b")))))
    assert ask(store, b"DBSIZE") == 0


@pytest.mark.parametrize("others", [("a", "b"), ("b", "c"), ()])
@pytest.mark.parametrize("name", ["copy", "rename"])
def test_a_dataset_that_is_replaced_while_it_is_copied(store: TensorStore, name: str, others: tuple[str, ...]) -> None:
    put(store, make_dataset("d", "a", "b", value=1.0))
    put(store, make_dataset("e", "x", value=0.0))
    call = CALLS[name]()
    last = {"copy": 2, "rename": 3}[name]  # the trip on which the dataset is looked at for the last time
    carry_out(call, Watched(store, _once(last, lambda: put(store, make_dataset("d", *others, value=2.0)))))
    assert state(get(store, "e")) == (set(others), {2.0})
    assert there(store, "{e}", "a", "b", "c", "x") == ["meta", *others]
    assert there(store, "{d}", "a", "b", "c") == (["meta", *others] if name == "copy" else [])


@pytest.mark.parametrize("name", ["copy", "rename"])
def test_of_two_that_move_a_dataset_one_gets_it(store: TensorStore, name: str) -> None:
    put(store, make_dataset("d", "a", value=1.0))
    put(store, make_dataset("e", "x", value=2.0))
    call = CALLS[name]()
    last = {"copy": 2, "rename": 3}[name]
    with pytest.raises(RedisKeyError, match="There is no dataset '{d}'"):
        carry_out(call, Watched(store, _once(last, lambda: carry_out(rename_dataset("{d}", "{mine}"), store))))
    assert state(get(store, "e")) == ({"x"}, {2.0})
    assert state(get(store, "mine")) == ({"a"}, {1.0})


@pytest.mark.parametrize("name", ["copy", "rename"])
def test_who_reads_what_is_being_replaced_by_another_sees_no_halves(store: TensorStore, name: str) -> None:
    put(store, make_dataset("d", "a", value=1.0))
    put(store, make_dataset("e", "a", "b", value=0.0))
    seen = []

    def happen(trip: int, _: object) -> None:
        if trip == {"copy": 2, "rename": 3}[name]:
            put(store, make_dataset("d", "b", value=2.0))
        try:
            seen.append(state(get(store, "e")))
        except RedisRuntimeError:  # it is known that a part is missing
            assert name == "rename"

    carry_out(CALLS[name](), Watched(store, happen))
    seen.append(state(get(store, "e")))
    assert seen[-1] == ({"b"}, {2.0})
    assert all(len(values) == 1 for _, values in seen)


@pytest.mark.parametrize("name", ["copy", "rename"])
@pytest.mark.parametrize("trip", [2, 3, 4])
def test_a_dataset_that_is_put_where_another_goes_keeps_its_tensors(store: TensorStore, name: str, trip: int) -> None:
    put(store, make_dataset("d", "x", value=1.0))
    put(store, make_dataset("e", "a", "b", value=0.0))
    watched = Watched(store, _once(trip, lambda: put(store, make_dataset("e", "a", value=2.0))))
    carry_out(CALLS[name](), watched)
    assert watched.round_trips >= trip
    theirs_was_first = trip < 4
    assert state(get(store, "e")) == (({"x"}, {1.0}) if theirs_was_first else ({"a"}, {2.0}))
    assert ask(store, b"DBSIZE") == (4 if name == "copy" else 2)


# --- datasets like those before are read in one round trip


def _read_and_count(store: TensorStore, seen: SeenNames, name: str) -> tuple[tuple[set[str], set[float]], int]:
    watched = Watched(store)
    dataset = carry_out(get_dataset(f"{{{name}}}", name, seen), watched)
    return state(dataset), watched.round_trips


def test_how_often_is_asked_for_datasets_of_a_series(store: TensorStore) -> None:
    seen = SeenNames()
    for number, tensors in enumerate([("a", "b"), ("a", "b"), ("b", "c", "d"), ("b", "c", "d"), ()]):
        put(store, make_dataset(f"step_{number}", *tensors, value=number))
    put(store, make_dataset("other", "a", value=7))
    found = [_read_and_count(store, seen, name) for name in ["step_0", "step_1", "step_2", "step_3", "step_4", "other"]]
    assert [state for state, _ in found] == [
        ({"a", "b"}, {0}),
        ({"a", "b"}, {1}),
        ({"b", "c", "d"}, {2}),
        ({"b", "c", "d"}, {3}),
        (set(), {4}),
        ({"a"}, {7}),
    ]
    assert [count for _, count in found] == [2, 1, 2, 1, 2, 2]


def test_a_dataset_that_is_gone_is_not_found_by_who_has_seen_it(store: TensorStore) -> None:
    seen = SeenNames()
    put(store, make_dataset("d", "a"))
    assert _read_and_count(store, seen, "d")[1] == 2
    carry_out(delete_dataset("{d}"), store)
    with pytest.raises(RedisKeyError, match="There is no dataset '{d}'"):
        _read_and_count(store, seen, "d")


def test_large_datasets_are_not_received_in_vain(store: TensorStore) -> None:
    seen = SeenNames()
    dataset = Dataset("d")
    dataset.add_tensor("large", np.zeros(200_000))
    dataset.add_meta_scalar("value", 0.0)
    put(store, dataset)
    assert [_read_and_count(store, seen, "d")[1] for _ in range(2)] == [2, 2]


def test_no_reader_sees_halves(store: TensorStore) -> None:
    seen: list[tuple[set[str], set[float]]] = []
    put(store, make_dataset("d", "a", "b", value=0.0))
    ended = threading.Event()

    def read() -> None:
        known = SeenNames()
        while not ended.is_set():
            seen.append(state(get(store, "d")))
            seen.append(state(carry_out(get_dataset("{d}", "d", known), store)))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(200):
            put(store, make_dataset("d", *(("a", "b"), ("b", "c"))[number % 3 % 2], value=number))
    finally:
        ended.set()
        reader.join(DEADLINE)
    assert not reader.is_alive()
    assert seen
    assert all(len(values) == 1 for _, values in seen)
    assert all(names in ({"a", "b"}, {"b", "c"}) for names, _ in seen)
