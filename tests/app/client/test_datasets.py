from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dataset_calls import CALLS, Watched, ask, get, make_dataset, put, state, there
from smartsim.app.client.calls import Call, carry_out, pairs
from smartsim.app.client.dataset import Dataset
from smartsim.app.client.dataset_storage import found
from smartsim.app.client.datasets import (
    copy_dataset,
    dataset_exists,
    delete_dataset,
    get_dataset,
    put_dataset,
    rename_dataset,
)
from smartsim.domain.client_errors import RedisInternalError, RedisKeyError, RedisReplyError, RedisRuntimeError, refusal
from smartsim.domain.tensor_types import WIRE_NAMES
from smartsim.ports.tensor_store import Command, Reply, Request, TensorStore


def test_what_is_in_the_database(store: TensorStore) -> None:
    dataset = Dataset("d")
    dataset.add_tensor("t", np.arange(6, dtype=np.float32).reshape(2, 3))
    dataset.add_tensor("i", np.array([1, -2]))
    dataset.add_meta_scalar("i64", 7)
    for number in (1.5, 2.0):
        dataset.add_meta_scalar("f64", number)
    for text in ("hello", "wörld"):
        dataset.add_meta_string("s", text)
    carry_out(put_dataset("sim_0.{d}", dataset, None), store)
    assert pairs(ask(store, b"HGETALL", b"sim_0.{d}.meta")) == {
        b"i64": b"\x04" + struct.pack("<q", 7),
        b"f64": b"\x01" + struct.pack("<dd", 1.5, 2.0),
        b"s": b"\x07\x05\0\0\0\0\0\0\0hello\x06\0\0\0\0\0\0\0w\xc3\xb6rld",
        b".tensor_names": b"\x07\x01\0\0\0\0\0\0\0t\x01\0\0\0\0\0\0\0i",
        b".COMPLETE": b"1",
    }
    assert np.array_equal(store.get(b"sim_0.{d}.t"), dataset.get_tensor("t"))
    assert np.array_equal(store.get(b"sim_0.{d}.i"), dataset.get_tensor("i"))


NAMES = st.text(min_size=1)
TENSORS = st.dictionaries(
    NAMES.filter(lambda name: name not in {"meta", ".meta"}),
    hnp.arrays(st.sampled_from(sorted(WIRE_NAMES)), hnp.array_shapes(max_side=3)),
    max_size=4,
)
FIELDS = st.dictionaries(
    st.text().filter(lambda name: name not in {".tensor_names", ".COMPLETE"}),
    st.lists(st.text(), min_size=1)
    | st.sampled_from(["float64", "float32", "int32", "int64", "uint32", "uint64"]).flatmap(
        lambda dtype: hnp.arrays(dtype, st.integers(1, 4))
    ),
    max_size=4,
)


@given(NAMES, TENSORS, FIELDS)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_dataset_comes_back(
    database: TensorStore, name: str, tensors: dict[str, npt.NDArray[Any]], fields: dict[str, Any]
) -> None:
    if not tensors and not fields:
        fields = {"": ["nothing else"]}
    dataset = Dataset(name)
    for tensor_name, data in tensors.items():
        dataset.add_tensor(tensor_name, data)
    for field, values in fields.items():
        for value in values:
            (dataset.add_meta_string if isinstance(value, str) else dataset.add_meta_scalar)(field, value)
    put(database, dataset)
    back = get(database, name)
    assert back.get_name() == name
    assert back.get_tensor_names() == list(tensors)
    for tensor_name, data in tensors.items():
        tensor = back.get_tensor(tensor_name)
        assert tensor.dtype == data.dtype
        assert np.array_equal(tensor, data, equal_nan=data.dtype.kind == "f")
    assert set(back.get_metadata_field_names()) == set(fields)
    assert back.content().fields == dataset.content().fields
    carry_out(delete_dataset(f"{{{name}}}"), database)


def test_the_life_of_a_dataset(store: TensorStore) -> None:
    put(store, make_dataset("d", "a", "b", value=1.0))
    carry_out(copy_dataset("{d}", "{copy}"), store)
    carry_out(rename_dataset("{d}", "{renamed}"), store)
    assert [carry_out(dataset_exists(stem), store) for stem in ("{d}", "{copy}", "{renamed}")] == [False, True, True]
    assert state(get(store, "copy")) == state(get(store, "renamed")) == ({"a", "b"}, {1.0})
    for stem in ("{copy}", "{renamed}"):
        carry_out(delete_dataset(stem), store)
        assert there(store, stem, "a", "b") == []


def test_what_is_not_there(store: TensorStore) -> None:
    assert not carry_out(dataset_exists("{absent}"), store)
    for call in (get_dataset("{absent}", "absent"), copy_dataset("{absent}", "{d}"), rename_dataset("{absent}", "{d}")):
        with pytest.raises(RedisKeyError, match="There is no dataset '{absent}'"):
            carry_out(call, store)
    with pytest.raises(RedisRuntimeError, match="There is no dataset '{absent}'"):
        carry_out(delete_dataset("{absent}"), store)


def test_an_empty_dataset_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(RedisRuntimeError, match="The dataset 'd' is empty"):
        next(put_dataset("{d}", Dataset("d"), None))


@pytest.mark.parametrize(("ttl", "error"), [(0, ValueError), (-1.0, ValueError), ("1", TypeError), (True, TypeError)])
def test_a_senseless_expiry_is_refused_before_anything_is_sent(ttl: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="Argument ttl is"):
        next(put_dataset("{d}", make_dataset("d"), ttl))


def test_a_dataset_of_nothing_but_metadata(store: TensorStore) -> None:
    put(store, make_dataset("d", value=3.0))
    carry_out(copy_dataset("{d}", "{e}"), store)
    carry_out(rename_dataset("{e}", "{f}"), store)
    assert state(get(store, "f")) == (set(), {3.0})
    carry_out(delete_dataset("{f}"), store)
    assert not carry_out(dataset_exists("{f}"), store)


def test_the_same_name_twice(store: TensorStore) -> None:
    put(store, make_dataset("d", "a", value=1.0))
    carry_out(copy_dataset("{d}", "{d}"), store)
    carry_out(rename_dataset("{d}", "{d}"), store)
    assert state(get(store, "d")) == ({"a"}, {1.0})


@pytest.mark.parametrize("size", [2, 200_000])
def test_a_dataset_is_replaced_as_a_whole(store: TensorStore, size: int) -> None:
    first, second = Dataset("d"), Dataset("d")
    for name in ("a", "b"):
        first.add_tensor(name, np.ones(3))
    first.add_meta_string("old", "gone")
    for name in ("b", "c"):
        second.add_tensor(name, np.zeros(size))
    put(store, first, ttl=1000)
    put(store, second)
    back = get(store, "d")
    assert back.get_tensor_names() == ["b", "c"]
    assert back.get_metadata_field_names() == []
    assert there(store, "{d}", "a", "b", "c") == ["meta", "b", "c"]
    assert {ask(store, b"PTTL", f"{{d}}.{part}".encode()) for part in ("meta", "b", "c")} == {-1}


def test_other_things_under_its_keys_are_replaced_too(store: TensorStore) -> None:
    ask(store, b"SET", b"{d}.meta", b"text")
    ask(store, b"SET", b"{d}.a", b"text")
    put(store, make_dataset("d", "a", value=1.0))
    assert state(get(store, "d")) == ({"a"}, {1.0})


@pytest.mark.parametrize("name", ["copy", "rename"])
def test_what_was_under_the_other_name_is_replaced(store: TensorStore, name: str) -> None:
    put(store, make_dataset("d", "a", "b", value=1.0))
    put(store, make_dataset("e", "b", "c", value=2.0))
    carry_out(CALLS[name](), store)
    assert state(get(store, "e")) == ({"a", "b"}, {1.0})
    assert there(store, "{e}", "a", "b", "c") == ["meta", "a", "b"]
    assert there(store, "{d}", "a", "b") == (["meta", "a", "b"] if name == "copy" else [])


# --- large datasets


@pytest.mark.parametrize("layout", ["alternating", "falling", "all large", "all small"])
def test_small_tensors_share_blobs_and_large_ones_do_not(store: TensorStore, layout: str) -> None:
    sizes = {
        "alternating": [3, 150_000, 5, 150_000, 7],
        "falling": [200_000, 140_000, 131_072, 131_071, 1, 1],
        "all large": [140_000] * 3,
        "all small": [50_000] * 9,
    }[layout]
    dataset = Dataset("d")
    for number, size in enumerate(sizes):
        dataset.add_tensor(f"t{number}", np.arange(size) + number)
        dataset.add_tensor(f"odd{number}", np.full(number + 1, number, np.uint8))
    put(store, dataset)
    back = get(store, "d")
    assert back.get_tensor_names() == dataset.get_tensor_names()
    for name in dataset.get_tensor_names():
        assert np.array_equal(back.get_tensor(name), dataset.get_tensor(name))
        assert np.array_equal(store.get(f"{{d}}.{name}".encode()), dataset.get_tensor(name))
    put(store, back)
    assert all(np.array_equal(get(store, "d").get_tensor(name), dataset.get_tensor(name)) for name in ("t0", "odd2"))


def test_what_is_got_is_the_callers_to_change(store: TensorStore) -> None:
    put(store, make_dataset("d", "a", "b", value=1.0))
    dataset = get(store, "d")
    dataset.get_tensor("a")[:] = 2.0
    dataset.add_tensor("c", np.full(2, 1.0))
    assert state(dataset) == ({"a", "b", "c"}, {1.0})
    assert state(get(store, "d")) == ({"a", "b"}, {1.0})


@pytest.mark.usefixtures("staging")
@pytest.mark.parametrize("ttl", [None, 1000])
def test_a_large_dataset(store: TensorStore, ttl: float | None) -> None:
    for tensors in (("a", "b", "c"), ("b", "c", "d")):
        put(store, make_dataset("d", *tensors, value=len(tensors)), ttl)
        assert state(get(store, "d")) == (set(tensors), {3.0})
        assert there(store, "{d}", "a", "b", "c", "d") == ["meta", *tensors]
        assert ask(store, b"DBSIZE") == 4
        for part in ("meta", *tensors):
            left = ask(store, b"PTTL", f"{{d}}.{part}".encode())
            assert left == -1 if ttl is None else 0 < left <= 1_000_000


@pytest.mark.usefixtures("staging")
def test_no_part_of_a_large_dataset_stays_when_the_database_refuses(store: TensorStore) -> None:
    put(store, make_dataset("d", "a", "b", "c", value=1.0))

    class Full(Watched):
        def run(self, requests: Sequence[Request]) -> list[Reply]:
            replies = super().run(requests)
            return [refusal("OOM command not allowed", ""), *replies[1:]] if self.round_trips == 1 else replies

    with pytest.raises(RedisRuntimeError, match="OOM"):
        put(Full(store), make_dataset("d", "a", "b", "c", value=2.0))
    assert state(get(store, "d")) == ({"a", "b", "c"}, {1.0})
    assert ask(store, b"DBSIZE") == 4


@pytest.mark.usefixtures("staging")
def test_parts_of_a_large_dataset_that_were_evicted_on_the_way_are_noticed(store: TensorStore) -> None:
    staged: list[bytes] = []

    def evict(trip: int, requests: Sequence[Request]) -> None:
        if trip == 1:
            staged.extend(request.words[1] for request in requests if isinstance(request, Command))  # type: ignore[misc]
        else:
            ask(store, b"UNLINK", staged[0])

    with pytest.raises(RedisRuntimeError, match="The database dropped tensors"):
        put(Watched(store, evict), make_dataset("d", "a", "b", "c"))


# --- expiry


def test_all_of_a_dataset_expires(store: TensorStore) -> None:
    put(store, make_dataset("d", "a", "b"), ttl=1000)
    carry_out(copy_dataset("{d}", "{copy}"), store)
    carry_out(rename_dataset("{d}", "{renamed}"), store)
    for stem in ("{copy}", "{renamed}"):
        for part in ("meta", "a", "b"):
            assert 900_000 < ask(store, b"PTTL", f"{stem}.{part}".encode()) <= 1_000_000


# --- datasets that are not as they should be


@pytest.mark.parametrize("name", CALLS)
def test_a_dataset_of_which_a_tensor_is_missing(store: TensorStore, name: str) -> None:
    put(store, make_dataset("d", "a", "b"))
    put(store, make_dataset("e", "b", value=3.0))
    ask(store, b"UNLINK", b"{d}.b")
    with pytest.raises(RedisRuntimeError, match="The tensor 'b' of the dataset '{d}' is not there"):
        carry_out(CALLS[name](), store)
    assert state(get(store, "e")) == ({"b"}, {3.0})
    assert there(store, "{d}", "a", "b") == ["meta", "a"]
    carry_out(delete_dataset("{d}"), store)
    assert there(store, "{d}", "a", "b") == []


def test_a_dataset_that_is_not_complete_is_read_as_far_as_it_goes(store: TensorStore) -> None:
    ask(store, b"HSET", b"{d}.meta", b"value", b"\x01" + struct.pack("<d", 1.5))
    assert not carry_out(dataset_exists("{d}"), store)
    assert state(get(store, "d")) == (set(), {1.5})


@pytest.mark.parametrize("name", CALLS)
def test_something_that_is_no_dataset(store: TensorStore, name: str) -> None:
    ask(store, b"SET", b"{d}.meta", b"text")
    with pytest.raises(RedisRuntimeError, match="WRONGTYPE"):
        carry_out(CALLS[name](), store)


@given(st.dictionaries(st.binary() | st.just(b".tensor_names"), st.binary(), min_size=1), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_hash_is_read_or_refused(database: TensorStore, fields: dict[bytes, bytes], text: bool) -> None:
    if text and b".tensor_names" in fields:
        fields[b".tensor_names"] = b"\x07" + fields[b".tensor_names"]
    ask(database, b"FLUSHDB")
    ask(database, b"HSET", b"{d}.meta", *(word for pair in fields.items() for word in pair))
    for call in (get_dataset("{d}", "d"), copy_dataset("{d}", "{e}")):
        try:
            carry_out(call, database)
        except RedisReplyError as error:
            assert isinstance(error, RedisInternalError | RedisRuntimeError)  # noqa: PT017 - or no error at all
    put(database, make_dataset("d", "a", value=1.0))
    assert state(get(database, "d")) == ({"a"}, {1.0})


@given(
    st.lists(
        st.sampled_from([b"INT8 3", b"INT8", b"DOUBLE 0", b"BOOL 2 2", b"INT8" + b" 1" * 70, b"DOUBLE 99", b"X 1"])
    ),
    st.lists(st.integers(0, 9).map(bytes) | st.integers(0, 9).map(lambda size: np.zeros(size, np.uint8)) | st.none()),
    st.integers(-1, 1),
)
def test_any_reply_is_a_dataset_or_refused(layouts: list[bytes], blobs: list[Any], more: int) -> None:
    names = b"\x07" + b"".join(b"\x01\0\0\0\0\0\0\0%d" % (number % 10) for number in range(len(layouts) + more))
    try:
        content = found(b"{d}", [[b".tensor_names", names, b"time", b"\x03\1\0\0\0"], b",".join(layouts), *blobs])
    except RedisInternalError as error:
        assert "The dataset '{d}' cannot be read" in str(error)  # noqa: PT017 - or no error at all
    else:
        dataset = Dataset.received("d", content)
        for name in dataset.get_tensor_names():
            assert not dataset.get_tensor(name).any()
        dataset.add_tensor("new", np.ones(1))
        assert dataset.get_tensor_names() == [*content.tensors, "new"]


# --- round trips


def test_how_often_the_database_is_asked(store: TensorStore) -> None:
    dataset = make_dataset("d", *(f"t{number}" for number in range(8)))
    watched = Watched(store)
    calls: list[Call[Any]] = [
        put_dataset("{d}", dataset),
        get_dataset("{d}", "d"),
        copy_dataset("{d}", "{e}"),
        rename_dataset("{e}", "{f}"),
        delete_dataset("{f}"),
    ]
    for trips, call in enumerate(calls, 1):
        carry_out(call, watched)
        assert watched.round_trips == trips
