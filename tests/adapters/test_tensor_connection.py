"""The bytes of the tensor path, however the network cuts them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from resp_peer import GET, CutSocket, arrays, encoded
from smartsim.adapters.tensors import wire
from smartsim.adapters.tensors.connecting import TcpConnection
from smartsim.adapters.tensors.connection import TensorConnection
from smartsim.adapters.tensors.exchange import LostConnectionError
from smartsim.domain.client_errors import RedisRuntimeError
from smartsim.ports.tensor_store import Command

HEADER = b"*6\r\n$5\r\ndtype\r\n$6\r\nDOUBLE\r\n$5\r\nshape\r\n*2\r\n:2\r\n:3\r\n$4\r\nblob\r\n$48\r\n"
DATA = np.arange(6, dtype=np.float64).reshape(2, 3)
REPLY = HEADER + DATA.tobytes() + b"\r\n"
LENGTHS = st.lists(st.integers(1, 70_000), min_size=1)


def connected(reply: bytes, lengths: Iterable[int] = (), before: bytes = b"") -> tuple[TensorConnection, CutSocket]:
    """Return a connection on which a reply waits, and on which a tensor may have come before."""
    connection, sock = TcpConnection(), CutSocket(before, ())
    setattr(connection, "_sock", sock)  # noqa: B010 - a socket to this test only
    if before:
        connection.get_tensor(b"before")
    sock.sent, sock.reply, sock.lengths = b"", memoryview(reply), iter(lengths)
    return connection, sock


def reply_with(data: npt.NDArray[Any], type_name: bytes) -> bytes:
    shape = b"".join(b":%d\r\n" % side for side in data.shape)
    start = b"*6\r\n$5\r\ndtype\r\n$%d\r\n%b\r\n$5\r\nshape\r\n*%d\r\n%b" % (
        len(type_name),
        type_name,
        data.ndim,
        shape,
    )
    return start + b"$4\r\nblob\r\n$%d\r\n%b\r\n" % (data.nbytes, data.tobytes())


BEFORE = {
    "nothing before": b"",
    "the same layout before": REPLY,
    "a smaller one before": reply_with(np.zeros(1, np.int8), b"INT8"),
    "a larger one before": reply_with(np.zeros((10, 1000)), b"DOUBLE"),
    "a longer header before": reply_with(np.zeros((1,) * 30), b"DOUBLE"),
}
after_any = pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE.keys())


@after_any
@given(lengths=LENGTHS, size=st.sampled_from([1, 7, 508, 4000, 4001, 4002, 9000, 80_000]))
def test_a_tensor_arrives_in_pieces_of_any_length(before: bytes, lengths: list[int], size: int) -> None:
    data = np.random.default_rng(0).integers(0, 255, size, dtype=np.uint8)
    reply = reply_with(data, b"UINT8")
    for earlier in (before, reply):
        connection, _ = connected(reply, lengths, earlier)
        assert connection.get_tensor(b"k").tobytes() == data.tobytes()


@after_any
@given(lengths=st.lists(st.integers(1, 30), min_size=1))
def test_no_cut_of_the_header_matters(before: bytes, lengths: list[int]) -> None:
    connection, _ = connected(REPLY, lengths, before)
    assert np.array_equal(connection.get_tensor(b"k"), DATA)


@after_any
@pytest.mark.parametrize("cut", range(1, len(REPLY)))
def test_a_tensor_in_two_pieces(before: bytes, cut: int) -> None:
    connection, _ = connected(REPLY, [cut], before)
    assert np.array_equal(connection.get_tensor(b"k"), DATA)


@after_any
@pytest.mark.parametrize("end", range(len(REPLY)))
def test_a_reply_that_ends_early_is_no_tensor(before: bytes, end: int) -> None:
    connection, _ = connected(REPLY[:end], (), before)
    with pytest.raises(LostConnectionError) as caught:
        connection.get_tensor(b"k")
    assert caught.value.sent
    assert not connection.in_step


LARGE = reply_with(np.ones(1000), b"DOUBLE")


@pytest.mark.parametrize("reply", [LARGE + b"\0", LARGE[:-2] + b"xy", LARGE[:-1] + b"x", LARGE + LARGE])
@pytest.mark.parametrize("lengths", [[], [7000, 2], [len(LARGE) - 1]])
def test_what_does_not_end_as_a_tensor_is_none(reply: bytes, lengths: list[int]) -> None:
    connection, _ = connected(reply, lengths, LARGE)
    with pytest.raises(wire.GarbledReplyError):
        connection.get_tensor(b"k")


@pytest.mark.parametrize("end", [0, 1, 50, 4000, len(LARGE) - 2, len(LARGE) - 1])
def test_a_large_reply_that_ends_early_is_no_tensor(end: int) -> None:
    connection, _ = connected(LARGE[:end], (), LARGE)
    with pytest.raises(LostConnectionError) as caught:
        connection.get_tensor(b"k")
    assert caught.value.sent
    assert not connection.in_step


def test_layouts_may_take_turns() -> None:
    arrays = [np.arange(3, dtype=np.int16), np.ones((2, 2), dtype=np.int16), np.zeros(9000, dtype=np.int16)]
    connection, sock = connected(b"")
    for array in arrays * 3:
        sock.reply = memoryview(reply_with(array, b"INT16"))
        assert np.array_equal(connection.get_tensor(b"k"), array)


@given(LENGTHS, st.sampled_from([1, 2047, 2048, 2049, 20_000]))
def test_a_tensor_leaves_in_pieces_of_any_length(lengths: list[int], size: int) -> None:
    data = np.random.default_rng(0).random(size)
    connection, sock = connected(b"+OK\r\n", [*lengths[:1], 5])
    connection.put_tensor(b"key", data)
    number = b"%d" % size
    words = (b"AI.TENSORSET", b"key", b"DOUBLE", number, b"BLOB", data.tobytes())
    pieces: list[Any] = []
    assert wire.encode(words, pieces) == len(sock.sent)
    assert sock.sent == b"".join(pieces)


def test_one_line_is_read_to_its_end() -> None:
    for cut in range(1, 5):
        connection, sock = connected(b"+OK\r\n", [cut])
        connection.put_tensor(b"k", DATA)
        assert not sock.reply
        assert connection.in_step


@after_any
def test_an_error_is_raised_and_the_connection_stays(before: bytes) -> None:
    connection, _ = connected(b"-ERR no such key\r\n", [4, 5], before)
    with pytest.raises(ResponseError, match=r"^ERR no such key$"):
        connection.get_tensor(b"k")
    assert connection.in_step


GARBLED = {
    "of another protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a status": b"+OK\r\n",
    "nothing": b"$-1\r\n",
    "of another length": b"*4\r\n$5\r\ndtype\r\n",
    "more behind it": REPLY + b"\0",
    "no line end": HEADER + DATA.tobytes() + b"xy",
    "more bytes than elements": REPLY.replace(b"$48", b"$56") + b"12345678",
    "fewer dimensions than said": REPLY.replace(b"*2", b"*3"),
    "an unknown type": REPLY.replace(b"$6\r\nDOUBLE", b"$7\r\nCOMPLEX"),
    "negative sides": REPLY.replace(b":2\r\n:3", b":-2\r\n:-3"),
    "other labels": REPLY.replace(b"dtype", b"dtypo"),
    "no end of the header": b"*6\r\n" + b"x" * 10_000,
}


@pytest.mark.parametrize("reply", GARBLED.values(), ids=GARBLED.keys())
@pytest.mark.parametrize("lengths", [[], [3] * 5000])
@after_any
def test_what_is_no_tensor_is_not_taken_for_one(reply: bytes, lengths: list[int], before: bytes) -> None:
    connection, _ = connected(reply, lengths, before)
    with pytest.raises(wire.GarbledReplyError):
        connection.get_tensor(b"k")


@pytest.mark.parametrize(
    "reply", [b"$2\r\nOK\r\n", b"+OK\r\n+OK\r\n", b":1\r\n", b"\r\n", b"x" * 200_000, b"+OKAY" + b"x" * 9000 + b"\r\n"]
)
def test_what_is_not_ok_is_not_taken_for_it(reply: bytes) -> None:
    connection, _ = connected(reply)
    with pytest.raises(wire.GarbledReplyError):
        connection.put_tensor(b"k", DATA)
    assert not connection.in_step


@after_any
@given(reply=st.binary())
def test_any_bytes_are_a_tensor_an_error_or_refused(before: bytes, reply: bytes) -> None:
    for whole in (reply, HEADER + reply, HEADER[:40] + reply):
        connection, _ = connected(whole, (), before)
        try:
            tensor = connection.get_tensor(b"k")
        except (wire.GarbledReplyError, LostConnectionError, ResponseError):
            continue
        assert whole == HEADER + tensor.tobytes() + b"\r\n"


def test_a_tensor_of_strings_is_refused_without_being_read() -> None:
    connection, _ = connected(REPLY.replace(b"$6\r\nDOUBLE", b"$6\r\nSTRING"))
    with pytest.raises(ResponseError, match="strings"):
        connection.get_tensor(b"k")
    assert not connection.in_step


def test_a_scalar_of_another_client_is_an_array_without_dimensions() -> None:
    reply = reply_with(np.array(2.5, dtype=np.float32), b"FLOAT")
    for cut, before in product((len(reply), len(reply) - 3), (b"", reply)):
        connection, _ = connected(reply, [cut], before)
        scalar = connection.get_tensor(b"k")
        assert scalar.shape == ()
        assert scalar == 2.5


@given(
    reply=st.binary(max_size=300)
    | st.integers(0, 10**9)
    | arrays()
    | st.lists(st.binary(max_size=9) | st.lists(st.binary(max_size=2000), max_size=3), max_size=5),
    lengths=LENGTHS,
)
def test_the_reply_to_one_command_arrives_in_pieces_of_any_length(reply: Any, lengths: list[int]) -> None:
    connection, _ = connected(encoded(reply), lengths)
    found: Any = connection.exchange([GET])[0]
    assert type(found) is type(reply)
    assert np.array_equal(found, reply) if isinstance(reply, np.ndarray) else found == reply
    assert connection.in_step


def test_more_than_the_reply_to_one_command_ends_the_connection() -> None:
    connection, _ = connected(b"+OK\r\n+OK\r\n")
    with pytest.raises(wire.GarbledReplyError, match="more bytes than the reply"):
        connection.exchange([Command((b"PING",))])
    assert not connection.in_step


def test_after_a_protocol_error_the_connection_has_ended() -> None:
    connection, _ = connected(b"-ERR Protocol error: too large\r\n")
    (refused,) = connection.exchange([Command((b"PING",))])
    assert isinstance(refused, RedisRuntimeError)
    assert refused.reply == "ERR Protocol error: too large"
    assert not connection.in_step


@given(lengths=LENGTHS, sizes=st.lists(st.sampled_from([1, 100, 16_384, 70_000]), min_size=1, max_size=6))
def test_several_arrays_leave_in_pieces_of_any_length(lengths: list[int], sizes: list[int]) -> None:
    data = [np.random.default_rng(size).integers(0, 255, size, np.uint8) for size in sizes]
    connection, sock = connected(b"+OK\r\n", [*lengths, 1 << 30])
    assert connection.exchange([Command((b"ANY", tuple(data)))]) == [b"OK"]
    assert sock.sent == encoded([b"ANY", b"".join(array.tobytes() for array in data)])


@pytest.mark.parametrize("call", ["put_tensor", "get_tensor", "exchange"])
def test_what_is_interrupted_in_the_middle_ends_the_connection(call: str) -> None:
    def interrupted() -> Iterator[int]:
        raise KeyboardInterrupt
        yield 0

    connection, _ = connected(REPLY, interrupted())
    arguments = {"put_tensor": (b"k", DATA), "get_tensor": (b"k",), "exchange": ([Command((b"ANY",))],)}
    with pytest.raises(KeyboardInterrupt):
        getattr(connection, call)(*arguments[call])
    assert not connection.in_step
