from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from dataset_calls import CALLS, CONFIG, DEADLINE, Watched, ask, get, make_dataset, put, state, there
from servers import Server, running_server
from smartsim.adapters.tensors.in_memory import InMemoryTensorStore
from smartsim.adapters.tensors.resp import RespTensorStore
from smartsim.app.client.calls import carry_out
from smartsim.app.client.dataset import Dataset
from smartsim.app.client.datasets import (
    copy_dataset,
    delete_dataset,
    rename_dataset,
)
from smartsim.domain.client_errors import RedisKeyError, RedisRuntimeError
from smartsim.ports.tensor_store import Request, TensorStore


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("db")) as server:
        yield server


@pytest.fixture(scope="module", params=["fake", "real"])
def database(request: pytest.FixtureRequest, server: Server) -> Iterator[TensorStore]:
    store: TensorStore = InMemoryTensorStore() if request.param == "fake" else RespTensorStore((server.tcp,), CONFIG)
    yield store
    store.close()


@pytest.fixture
def store(database: TensorStore) -> TensorStore:
    ask(database, b"FLUSHDB")
    return database


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
    carry_out(call, Watched(store, _once(3, lambda: put(store, make_dataset("d", *others, value=2.0)))))
    assert state(get(store, "e")) == (set(others), {2.0})
    assert there(store, "{e}", "a", "b", "c", "x") == ["meta", *others]
    assert there(store, "{d}", "a", "b", "c") == (["meta", *others] if name == "copy" else [])


@pytest.mark.parametrize("name", ["copy", "rename"])
def test_of_two_that_move_a_dataset_one_gets_it(store: TensorStore, name: str) -> None:
    put(store, make_dataset("d", "a", value=1.0))
    put(store, make_dataset("e", "x", value=2.0))
    call = CALLS[name]()
    with pytest.raises(RedisKeyError, match="There is no dataset '{d}'"):
        carry_out(call, Watched(store, _once(3, lambda: carry_out(rename_dataset("{d}", "{mine}"), store))))
    assert state(get(store, "e")) == ({"x"}, {2.0})
    assert state(get(store, "mine")) == ({"a"}, {1.0})


def test_no_reader_sees_halves(store: TensorStore) -> None:
    seen: list[tuple[set[str], set[float]]] = []
    put(store, make_dataset("d", "a", "b", value=0.0))
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            seen.append(state(get(store, "d")))

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
