"""The calls about tensors, bytes and keys."""

from __future__ import annotations

import array
import io
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scripted_store import CLUSTER, ScriptedStore, name_on
from smartsim.app.client.calls import Call, carry_out
from smartsim.app.client.tensors import (
    copy_tensor,
    delete_tensor,
    get_bytes,
    get_tensor,
    key_bytes,
    key_exists,
    milliseconds,
    put_bytes,
    put_tensor,
    rename_tensor,
    share_shard,
)
from smartsim.domain.client_config import ClientConfig, RetryPolicy
from smartsim.domain.client_errors import RedisKeyError, RedisRuntimeError, refusal
from smartsim.domain.tensor_types import WIRE_NAMES
from smartsim.ports.tensor_store import Command, TensorStore, Transaction

CONFIG = ClientConfig(RetryPolicy(10, 0.1), RetryPolicy(10, 0.1), 60)
ARRAYS = st.sampled_from(sorted(WIRE_NAMES)).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=1, max_dims=4, max_side=4))
)


def remaining(store: TensorStore, key: str) -> int:
    """Return in how many milliseconds a key is forgotten; -1 for never, -2 when it is not there."""
    (reply,) = store.run([Command((b"PTTL", key.encode()), key=key.encode(), changes=False)])
    assert isinstance(reply, int)
    return reply


@given(data=ARRAYS, name=st.text(min_size=1))
@settings(max_examples=30)
def test_any_array_comes_back_under_any_name(database: TensorStore, data: npt.NDArray[Any], name: str) -> None:
    try:
        carry_out(put_tensor(name, data), database)
    except ValueError as error:
        assert ascii(name) in str(error)  # noqa: PT017 - most names have no error
        assert any(0xD800 <= ord(letter) < 0xE000 for letter in name)
        return
    back = carry_out(get_tensor(name), database)
    assert back.dtype == data.dtype
    assert back.shape == data.shape
    assert back.tobytes() == data.tobytes()
    assert back.flags.writeable
    assert back.flags.c_contiguous


def test_the_life_of_a_tensor(store: TensorStore) -> None:
    carry_out(put_tensor("first", np.arange(3)), store)
    carry_out(copy_tensor("first", "second"), store)
    carry_out(rename_tensor("first", "third"), store)
    there = [carry_out(key_exists(name), store) for name in ("first", "second", "third")]
    assert there == [False, True, True]
    assert np.array_equal(carry_out(get_tensor("second"), store), np.arange(3))
    assert np.array_equal(carry_out(get_tensor("third"), store), np.arange(3))
    carry_out(put_tensor("fourth", np.zeros(1)), store)
    carry_out(copy_tensor("third", "fourth"), store)
    carry_out(copy_tensor("fourth", "fourth"), store)
    assert np.array_equal(carry_out(get_tensor("fourth"), store), np.arange(3))
    carry_out(delete_tensor("second"), store)
    carry_out(delete_tensor("second"), store)
    assert not carry_out(key_exists("second"), store)


@pytest.mark.parametrize(
    "call",
    [
        lambda: get_tensor("absent"),
        lambda: copy_tensor("absent", "new"),
        lambda: copy_tensor("absent", "absent"),
        lambda: rename_tensor("absent", "new"),
    ],
)
def test_a_missing_tensor_is_an_error_that_names_it(store: TensorStore, call: Any) -> None:
    with pytest.raises(RedisRuntimeError, match="'absent'.*nothing is stored under this key"):
        carry_out(call(), store)
    assert not carry_out(key_exists("new"), store)


# --- expiry


def test_what_has_an_expiry_is_forgotten(store: TensorStore) -> None:
    carry_out(put_tensor("tensor", np.arange(3), ttl=1000), store)
    ttl: Any = np.float32(1000)
    carry_out(put_bytes("bytes", b"x", ttl), store)
    for key in ("tensor", "bytes"):
        assert 0 < remaining(store, key) <= 1_000_000
    carry_out(put_tensor("tensor", np.arange(3)), store)
    carry_out(put_bytes("bytes", b"x"), store)
    for key in ("tensor", "bytes"):
        assert remaining(store, key) == -1


def test_copies_and_renamed_tensors_keep_their_expiry(store: TensorStore) -> None:
    carry_out(put_tensor("tensor", np.arange(3), ttl=1000), store)
    carry_out(copy_tensor("tensor", "copy"), store)
    carry_out(rename_tensor("tensor", "other"), store)
    for key in ("copy", "other"):
        assert 0 < remaining(store, key) <= 1_000_000


@given(st.floats(min_value=1e-9, max_value=9e11))
def test_an_expiry_is_never_shorter_than_was_asked_for_nor_nothing(seconds: float) -> None:
    assert seconds * 1000 <= int(milliseconds(seconds)) <= seconds * 1000 + 1


@pytest.mark.parametrize("ttl", [0, -1, 0.0, -0.5, math.nan, math.inf, 1e13])
def test_an_expiry_of_no_time_is_refused_before_anything_is_sent(ttl: float) -> None:
    for call in (put_tensor("t", np.zeros(1), ttl), put_bytes("t", b"x", ttl)):
        with pytest.raises(ValueError, match="Argument ttl is .*give the seconds as a number above 0"):
            carry_out(call, ScriptedStore())


@pytest.mark.parametrize("ttl", [True, "1", [1], 1j, b"1"])
def test_an_expiry_that_is_no_number_is_refused(ttl: Any) -> None:
    for call in (put_tensor("t", np.zeros(1), ttl), put_bytes("t", b"x", ttl)):
        with pytest.raises(TypeError, match=r"Argument ttl is of type .*, not <class 'float'>"):
            carry_out(call, ScriptedStore())


# --- bytes


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", b""),
        (b"a\r\n\0\xff", b"a\r\n\0\xff"),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"abcd")[::2], b"ac"),
        (memoryview(b""), b""),
        (io.BytesIO(b"ab").getbuffer(), b"ab"),
        (array.array("H", [1, 2]), array.array("H", [1, 2]).tobytes()),
        (np.arange(4, dtype=np.uint8).reshape(2, 2).T, bytes([0, 2, 1, 3])),
        (b"x" * 300_000, b"x" * 300_000),
        (bytearray(b"y" * 300_000), b"y" * 300_000),
    ],
)
def test_bytes_come_back(store: TensorStore, data: Any, expected: bytes) -> None:
    carry_out(put_bytes("b", data), store)
    assert carry_out(get_bytes("b"), store) == expected


@pytest.mark.parametrize("data", ["text", None, 1, [1], io.BytesIO(b"x")])
def test_what_lends_no_memory_is_refused(data: Any) -> None:
    with pytest.raises(TypeError, match=r"Argument data is of type .*, not <class 'bytes'>"):
        carry_out(put_bytes("b", data), ScriptedStore())


def test_missing_bytes_are_an_error_of_their_own(store: TensorStore) -> None:
    with pytest.raises(RedisKeyError, match="'absent'"):
        carry_out(get_bytes("absent"), store)


def test_bytes_and_tensors_are_not_mixed_up(store: TensorStore) -> None:
    carry_out(put_tensor("tensor", np.zeros(1)), store)
    carry_out(put_bytes("bytes", b"x"), store)
    with pytest.raises(RedisRuntimeError, match="WRONGTYPE"):
        carry_out(get_bytes("tensor"), store)
    with pytest.raises(RedisRuntimeError, match="WRONGTYPE"):
        carry_out(get_tensor("bytes"), store)


# --- names


def test_a_name_that_cannot_be_sent_is_refused_before_anything_is() -> None:
    calls: list[Call[Any]] = [
        get_tensor("a\ud800"),
        put_tensor("a\ud800", np.zeros(1)),
        delete_tensor("a\ud800"),
        copy_tensor("a", "a\ud800"),
        rename_tensor("a\ud800", "a"),
        key_exists("a\ud800"),
        put_bytes("a\ud800", b""),
        get_bytes("a\ud800"),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"The name 'a\\ud800' cannot be sent"):
            carry_out(call, ScriptedStore())


@given(st.binary(min_size=1))
def test_a_name_that_is_no_utf8_can_be_reached_as_the_name_of_a_file_can(name: bytes) -> None:
    assert key_bytes(name.decode("utf-8", "surrogateescape")) == name


# --- clusters


def slots_apart() -> tuple[str, str]:
    return name_on(0, "old"), name_on(2, "new")


@pytest.mark.parametrize("left", [-1, 5000])
def test_in_a_cluster_tensors_go_through_the_client_when_they_change_slots(left: int) -> None:
    old, new = slots_apart()
    tensor = np.arange(3.0)
    store = ScriptedStore([tensor, left], [b"OK" if left < 0 else [b"OK", 1]], [1], shards=CLUSTER)
    carry_out(rename_tensor(old, new), store)
    read, (write,), (unlink,) = store.asked
    assert isinstance(read[0], Command)
    assert read[0].words == (b"AI.TENSORGET", old.encode(), b"META", b"BLOB")
    put = write.commands[0] if isinstance(write, Transaction) else write
    assert put.words[:5] == (b"AI.TENSORSET", new.encode(), b"DOUBLE", b"3", b"BLOB")
    assert put.words[5] is tensor
    assert put.key == new.encode()
    if left > 0:
        assert isinstance(write, Transaction)
        assert write.commands[1].words == (b"PEXPIRE", new.encode(), b"5000")
    assert isinstance(unlink, Command)
    assert unlink.words == (b"UNLINK", old.encode())


def test_in_a_cluster_a_missing_tensor_is_no_reason_to_remove_anything() -> None:
    old, new = slots_apart()
    store = ScriptedStore([refusal("ERR tensor key is empty or in a different shard", old), -2], shards=CLUSTER)
    with pytest.raises(RedisRuntimeError, match="nothing is stored under this key"):
        carry_out(rename_tensor(old, new), store)
    assert len(store.asked) == 1


def test_keys_of_one_slot_are_copied_by_the_server_also_in_a_cluster() -> None:
    store = ScriptedStore([1], shards=CLUSTER)
    carry_out(copy_tensor("{a}.x", "{a}.y"), store)
    ((copy,),) = store.asked
    assert isinstance(copy, Command)
    assert copy.words == (b"COPY", b"{a}.x", b"{a}.y", b"REPLACE")
    assert carry_out(share_shard(b"{a}.x", b"{a}.y"), store)
    assert not carry_out(share_shard(*map(str.encode, slots_apart())), store)
    assert carry_out(share_shard(*map(str.encode, slots_apart())), ScriptedStore())
