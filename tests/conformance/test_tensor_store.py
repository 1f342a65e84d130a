"""What every tensor store does with arrays: the fake, and a database over TCP, over a unix socket, and in a cluster."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from servers import DEADLINE
from smartsim.domain.client_errors import RedisDatabaseError, RedisRuntimeError
from smartsim.domain.tensor_types import WIRE_NAMES
from smartsim.ports.tensor_store import TensorStore
from tensor_stores import ask, refused, same, tensor_get, tensor_set

DTYPES = sorted(WIRE_NAMES)
ANY_TENSOR = arrays.arrays(
    dtype=st.sampled_from(DTYPES).map(np.dtype),
    shape=arrays.array_shapes(min_dims=1, max_dims=32, min_side=1, max_side=6).filter(
        lambda shape: np.prod(shape) < 5000
    ),
)


@pytest.fixture
def name(key: str) -> bytes:
    return key.encode()


@given(data=ANY_TENSOR)
def test_any_tensor_comes_back_as_it_was(store: TensorStore, data: npt.NDArray[Any]) -> None:
    store.put(b"any", data)
    assert same(store.get(b"any"), data)


@given(data=ANY_TENSOR)
def test_any_tensor_comes_back_from_a_batch_as_it_was(store: TensorStore, data: npt.NDArray[Any]) -> None:
    stored, found = store.run([tensor_set("any", data), tensor_get("any")])
    assert stored == b"OK"
    assert same(found, data)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 500, 3980, 4096, 16_384, 16_385, 70_001, 3_000_000])
def test_every_size_comes_back_as_it_was(store: TensorStore, name: bytes, dtype: str, size: int) -> None:
    data = np.random.default_rng(size).integers(0, 2, size).astype(dtype)
    store.put(name, data)
    assert same(store.get(name), data)


def test_many_dimensions_and_long_keys_fit(store: TensorStore, name: bytes) -> None:
    data = np.arange(2**10, dtype=np.int64).reshape((2,) * 10 + (1,) * 22)
    store.put(name * 500, data)
    assert same(store.get(name * 500), data)


def test_keys_are_any_bytes(store: TensorStore) -> None:
    for name in (
        "ключ".encode(),
        b"with space",
        b"line\r\nbreak",
        b"\0",
        b"$4\r\nblob\r\n$",
        b"*",
        b"{\xed\xeb}.m",
        b"\xff",
    ):
        store.put(name, np.array([1.5]))
        assert ask(store, "EXISTS", name) == 1
        assert store.get(name)[0] == 1.5
        assert ask(store, "DEL", name) == 1


@pytest.mark.parametrize("size", [3, 3_000_000])
def test_what_get_returns_belongs_to_the_caller(store: TensorStore, name: bytes, size: int) -> None:
    store.put(name, np.zeros(size))
    (from_batch,) = store.run([tensor_get(name)])
    assert isinstance(from_batch, np.ndarray)
    for array in (store.get(name), from_batch):
        assert array.flags.owndata
        assert array.flags.writeable
        assert array.flags.c_contiguous
        array[:] = 1
        assert not store.get(name).any()


def test_what_put_was_given_stays_the_callers(store: TensorStore, name: bytes) -> None:
    data = np.zeros(3)
    store.put(name, data)
    data[:] = 1
    assert not store.get(name).any()


def test_what_cannot_be_written_can_be_put(store: TensorStore, name: bytes) -> None:
    for size in (3, 3_000_000):
        data = np.zeros(size)
        data.flags.writeable = False
        store.put(name, data)
        assert same(store.get(name), data)


def test_put_replaces(store: TensorStore, name: bytes) -> None:
    store.put(name, np.zeros((3, 4)))
    store.put(name, np.ones(2, dtype=np.int8))
    assert same(store.get(name), np.ones(2, dtype=np.int8))


def test_what_is_not_there_is_refused_by_name(store: TensorStore, name: bytes) -> None:
    with pytest.raises(RedisRuntimeError, match="nothing is stored under this key") as raised:
        store.get(name)
    assert raised.value.key == name.decode()
    assert raised.value.reply == "ERR tensor key is empty or in a different shard"
    assert repr(name.decode()) in str(raised.value)


def test_other_types_are_neither_read_nor_replaced(store: TensorStore, name: bytes) -> None:
    ask(store, "RPUSH", name, "item")
    with pytest.raises(RedisRuntimeError, match="WRONGTYPE"):
        store.get(name)
    with pytest.raises(RedisRuntimeError, match="WRONGTYPE"):
        store.put(name, np.zeros(3))
    assert ask(store, "LLEN", name) == 1


def test_the_layout_of_a_tensor_is_told(store: TensorStore, name: bytes) -> None:
    store.put(name, np.zeros((2, 3), dtype=np.uint16))
    assert ask(store, "AI.TENSORGET", name, "META") == [b"dtype", b"UINT16", b"shape", [2, 3]]


def test_tensors_that_are_none_are_refused(store: TensorStore, name: bytes) -> None:
    store.put(name, np.arange(3))
    for words, text in (
        (("FLOT", 1, "BLOB", b"1234"), "invalid data type"),
        (("FLOAT", 0, "BLOB", b""), "invalid or negative value found in tensor shape"),
        (("FLOAT", -1, "BLOB", b"1234"), "invalid or negative value found in tensor shape"),
        (("FLOAT", "x", "BLOB", b"1234"), "invalid or negative value found in tensor shape"),
        (("FLOAT", 2, "BLOB", b"1234"), "data length does not match tensor shape and type"),
        (("BOOL", 3, "BLOB", b"\0\1\2"), "BOOL tensor elements must be 0 or 1"),
        (("FLOAT",), "wrong number of arguments for 'AI.TENSORSET' command"),
    ):
        assert refused(ask(store, "AI.TENSORSET", name, *words), text)
    assert refused(ask(store, "AI.TENSORGET", name, "FOO"), "unsupported data format")
    assert same(store.get(name), np.arange(3))


def test_threads_do_not_disturb_one_another(store: TensorStore, key: str) -> None:
    begin = threading.Barrier(8)

    def work(number: int) -> bool:
        data = np.full(1000 * (number + 1), number)
        name = f"{key}.{number}".encode()
        begin.wait(DEADLINE)
        for _ in range(50):
            store.put(name, data)
            if not same(store.get(name), data):
                return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(8), timeout=DEADLINE))


def test_a_closed_store_carries_out_nothing(fresh_store: TensorStore, name: bytes) -> None:
    fresh_store.put(name, np.zeros(1))
    fresh_store.close()
    for call in (
        lambda: fresh_store.put(name, np.zeros(1)),
        lambda: fresh_store.get(name),
        lambda: fresh_store.run([tensor_get(name)]),
    ):
        with pytest.raises(RedisDatabaseError, match="closed"):
            call()
    fresh_store.close()
