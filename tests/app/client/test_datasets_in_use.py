"""Datasets that others change at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count

import pytest

from dataset_calls import CALLS, DEADLINE, Cluster, Watched, get, make_dataset, put, state, there
from smartsim.app.client.calls import carry_out
from smartsim.app.client.datasets import copy_dataset, delete_dataset, rename_dataset
from smartsim.domain.client_errors import RedisKeyError
from smartsim.ports.tensor_store import Request, TensorStore

NAMES = (("a", "b"), ("b", "c"))
ROUNDS = 1500


@contextmanager
def meanwhile(*actions: Callable[[int], object]) -> Iterator[None]:
    """Do things over and over, each in a thread of its own, which is told how often it has been done."""
    ended = threading.Event()
    failures: list[Exception] = []

    def repeat(action: Callable[[int], object]) -> None:
        try:
            for number in count():
                if ended.is_set():
                    return
                action(number)
        except Exception as failure:  # noqa: BLE001 - it is reported
            failures.append(failure)

    threads = [threading.Thread(target=repeat, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join(DEADLINE)
    assert not failures
    assert not any(thread.is_alive() for thread in threads)


def seen_whole(store: TensorStore, name: str) -> bool:
    """Return whether a dataset is there; fail if it is not one that somebody has put."""
    try:
        names, values = state(get(store, name))
    except RedisKeyError:
        return False
    assert names in map(set, NAMES)
    assert len(values) == 1, "parts of several datasets"
    return True


def test_who_reads_sees_a_whole_dataset_whatever_two_others_do(store: TensorStore) -> None:
    def move(number: int) -> None:
        put(store, make_dataset("d", *NAMES[number % 2], value=number))
        with suppress(RedisKeyError):  # the other one was faster
            carry_out(rename_dataset("{d}", "{e}"), store)

    def copy(number: int) -> None:
        put(store, make_dataset("e", *NAMES[number % 2], value=-number))
        carry_out(copy_dataset("{e}", "{f}"), store)

    with meanwhile(move, move, copy):
        found = sum(seen_whole(store, name) for _ in range(ROUNDS) for name in ("d", "e", "f"))
    assert found > ROUNDS


def test_what_two_others_have_done_leaves_no_part_behind(store: TensorStore) -> None:
    def move(number: int) -> None:
        put(store, make_dataset("d", *NAMES[number % 2], value=number))
        with suppress(RedisKeyError):
            carry_out(rename_dataset("{d}", "{e}"), store)

    move(0)
    with meanwhile(move, move):
        assert all(seen_whole(store, "e") for _ in range(ROUNDS // 10))
    names = set(get(store, "e").get_tensor_names())
    assert there(store, "{e}", "a", "b", "c") == ["meta", *sorted(names)]
    assert there(store, "{d}", "a", "b", "c") == []


# --- between slots of a cluster, where it takes several steps


def _once(number: int, action: Callable[[], object]) -> Callable[[int, Sequence[Request]], object]:
    return lambda trip, _: action() if trip == number else None


@pytest.mark.parametrize("name", ["copy", "rename"])
@pytest.mark.parametrize("trip", [1, 2, 3])
def test_a_dataset_that_is_replaced_while_it_goes_through_the_client(store: TensorStore, name: str, trip: int) -> None:
    put(store, make_dataset("d", *NAMES[0], value=1.0))
    put(store, make_dataset("e", "x", value=0.0))
    others = _once(trip, lambda: put(store, make_dataset("d", *NAMES[1], value=2.0)))
    carry_out(CALLS[name](), Cluster(store, others))
    assert state(get(store, "e")) == ((set(NAMES[1]), {2.0}) if trip == 1 else (set(NAMES[0]), {1.0}))
    assert there(store, "{d}", "a", "b", "c") == (["meta", *NAMES[1]] if name == "copy" else [])


def test_a_dataset_that_is_gone_before_it_goes_through_the_client(store: TensorStore) -> None:
    put(store, make_dataset("d", "a"))
    put(store, make_dataset("e", "x", value=0.0))
    with pytest.raises(RedisKeyError, match="There is no dataset '{d}'"):
        carry_out(CALLS["copy"](), Cluster(store, _once(1, lambda: carry_out(delete_dataset("{d}"), store))))
    assert state(get(store, "e")) == ({"x"}, {0.0})


# --- large datasets, which take several steps


@pytest.mark.usefixtures("staging")
@pytest.mark.parametrize("trip", [1, 2])
def test_two_that_put_the_same_large_dataset_leave_nothing_behind(store: TensorStore, trip: int) -> None:
    put(store, make_dataset("d", *NAMES[0], value=0.0))
    others = _once(trip, lambda: put(store, make_dataset("d", *NAMES[1], value=1.0)))
    put(Watched(store, others), make_dataset("d", "b", "x", value=2.0))
    assert state(get(store, "d")) == ({"b", "x"}, {2.0})
    assert there(store, "{d}", "a", "b", "c", "x") == ["meta", "b", "x"]
