"""What every tensor store does: the fake, and a database over TCP and over a unix socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from servers import DEADLINE, Server, running_server
from smartsim.adapters.tensors.in_memory import InMemoryTensorStore
from smartsim.adapters.tensors.resp import RespTensorStore
from smartsim.domain.client_config import read_client_config
from smartsim.domain.client_errors import RedisRuntimeError
from smartsim.domain.tensor_types import WIRE_NAMES
from smartsim.ports.tensor_store import TensorStore

DTYPES = sorted(WIRE_NAMES)
ANY_TENSOR = arrays.arrays(
    dtype=st.sampled_from(DTYPES).map(np.dtype),
    shape=arrays.array_shapes(min_dims=1, max_dims=32, min_side=1, max_side=6).filter(
        lambda shape: np.prod(shape) < 5000
    ),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("db")) as server:
        yield server


@pytest.fixture(scope="module", params=["fake", "tcp", "unix"])
def store(request: pytest.FixtureRequest, server: Server) -> Iterator[TensorStore]:
    if request.param == "fake":
        yield InMemoryTensorStore()
    else:
        with closing(
            RespTensorStore(getattr(server, request.param), read_client_config(dict[str, str]().get))
        ) as store:
            yield store


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    return f"{request.node.name}.key"


def same(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


@given(data=ANY_TENSOR)
def test_any_tensor_comes_back_as_it_was(store: TensorStore, data: npt.NDArray[Any]) -> None:
    store.put("any", data)
    assert same(store.get("any"), data)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 500, 3980, 4096, 16_384, 16_385, 70_001, 3_000_000])
def test_every_size_comes_back_as_it_was(store: TensorStore, key: str, dtype: str, size: int) -> None:
    data = np.random.default_rng(size).integers(0, 2, size).astype(dtype)
    store.put(key, data)
    assert same(store.get(key), data)


def test_many_dimensions_and_long_keys_fit(store: TensorStore, key: str) -> None:
    data = np.arange(2**10, dtype=np.int64).reshape((2,) * 10 + (1,) * 22)
    store.put(key * 500, data)
    assert same(store.get(key * 500), data)


def test_keys_are_any_text(store: TensorStore) -> None:
    for key in ("ключ", "with space", "line\r\nbreak", "\0", "$4\r\nblob\r\n$", "*"):
        store.put(key, np.array([1.5]))
        assert store.exists(key)
        assert store.get(key)[0] == 1.5
        store.delete(key)


@pytest.mark.parametrize("size", [3, 3_000_000])
def test_what_get_returns_belongs_to_the_caller(store: TensorStore, key: str, size: int) -> None:
    store.put(key, np.zeros(size))
    first = store.get(key)
    assert first.flags.owndata
    assert first.flags.writeable
    assert first.flags.c_contiguous
    first[:] = 1
    assert not store.get(key).any()


def test_what_put_was_given_stays_the_callers(store: TensorStore, key: str) -> None:
    data = np.zeros(3)
    store.put(key, data)
    data[:] = 1
    assert not store.get(key).any()


def test_what_cannot_be_written_can_be_put(store: TensorStore, key: str) -> None:
    for size in (3, 3_000_000):
        data = np.zeros(size)
        data.flags.writeable = False
        store.put(key, data)
        assert same(store.get(key), data)


def test_put_replaces(store: TensorStore, key: str) -> None:
    store.put(key, np.zeros((3, 4)))
    store.put(key, np.ones(2, dtype=np.int8))
    assert same(store.get(key), np.ones(2, dtype=np.int8))


def test_delete_removes_and_minds_no_absence(store: TensorStore, key: str) -> None:
    store.put(key, np.zeros(1))
    assert store.exists(key)
    store.delete(key)
    assert not store.exists(key)
    store.delete(key)


def test_copy_leaves_two(store: TensorStore, key: str) -> None:
    store.put(key, np.arange(3))
    store.put(f"{key}.copy", np.zeros(5))
    store.copy(key, f"{key}.copy")
    store.put(key, np.zeros(1))
    assert same(store.get(f"{key}.copy"), np.arange(3))


def test_rename_leaves_one(store: TensorStore, key: str) -> None:
    store.put(key, np.arange(3))
    store.put(f"{key}.new", np.zeros(5))
    store.rename(key, f"{key}.new")
    assert not store.exists(key)
    assert same(store.get(f"{key}.new"), np.arange(3))


def test_copy_and_rename_to_itself_change_nothing(store: TensorStore, key: str) -> None:
    store.put(key, np.arange(3))
    store.copy(key, key)
    store.rename(key, key)
    assert same(store.get(key), np.arange(3))


@pytest.mark.parametrize("call", ["get", "copy", "rename"])
def test_what_is_not_there_is_refused_by_name(store: TensorStore, key: str, call: str) -> None:
    arguments = (key,) if call == "get" else (key, f"{key}.new")
    with pytest.raises(RedisRuntimeError, match="nothing is stored under this key") as raised:
        getattr(store, call)(*arguments)
    assert raised.value.key == key
    assert repr(key) in str(raised.value)
    assert not store.exists(f"{key}.new")


def test_threads_do_not_disturb_one_another(store: TensorStore, key: str) -> None:
    begin = threading.Barrier(8)

    def work(number: int) -> bool:
        data = np.full(1000 * (number + 1), number)
        begin.wait(DEADLINE)
        for _ in range(50):
            store.put(f"{key}.{number}", data)
            if not same(store.get(f"{key}.{number}"), data):
                return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(8), timeout=DEADLINE))
