"""The bytes of the tensor path, however the network cuts them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from smartsim.adapters.tensors import wire
from smartsim.adapters.tensors.connection import TcpConnection, TensorConnection

HEADER = b"*6\r\n$5\r\ndtype\r\n$6\r\nDOUBLE\r\n$5\r\nshape\r\n*2\r\n:2\r\n:3\r\n$4\r\nblob\r\n$48\r\n"
DATA = np.arange(6, dtype=np.float64).reshape(2, 3)
REPLY = HEADER + DATA.tobytes() + b"\r\n"
LENGTHS = st.lists(st.integers(1, 70_000), min_size=1)


class CutSocket:
    """A socket that sends and receives as many bytes at once as it is told to, and keeps what was sent."""

    def __init__(self, reply: bytes, lengths: Iterable[int]) -> None:
        self.sent = b""
        self._reply = memoryview(reply)
        self._lengths: Iterator[int] = iter(lengths)

    def sendall(self, data: bytes | memoryview) -> None:
        self.sent += data

    def sendmsg(self, parts: Iterable[bytes | memoryview]) -> int:
        data = b"".join(parts)[: next(self._lengths, None)]
        self.sent += data
        return len(data)

    def recv(self, limit: int, _flags: int = 0) -> bytes:
        length = min(limit, next(self._lengths, limit))
        received, self._reply = bytes(self._reply[:length]), self._reply[length:]
        return received

    def recvmsg_into(self, buffers: Iterable[memoryview]) -> tuple[int, list[Any], int, Any]:
        left = count = next(self._lengths, len(self._reply))
        count = left = min(count, len(self._reply))
        for buffer in buffers:
            part, self._reply = self._reply[: min(left, len(buffer))], self._reply[min(left, len(buffer)) :]
            buffer[: len(part)] = part
            left -= len(part)
        return count - left, [], 0, None

    def shutdown(self, _how: int) -> None: ...

    def close(self) -> None: ...


def connected(reply: bytes, lengths: Iterable[int] = ()) -> tuple[TensorConnection, CutSocket]:
    connection, sock = TcpConnection(), CutSocket(reply, lengths)
    connection._sock = sock
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


@given(LENGTHS, st.sampled_from([1, 7, 508, 4000, 4001, 4002, 9000]))
def test_a_tensor_arrives_in_pieces_of_any_length(lengths: list[int], size: int) -> None:
    data = np.random.default_rng(0).integers(0, 255, size, dtype=np.uint8)
    connection, _ = connected(reply_with(data, b"UINT8"), lengths)
    assert connection.get_tensor(b"k").tobytes() == data.tobytes()


@given(st.lists(st.integers(1, 30), min_size=1))
def test_no_cut_of_the_header_matters(lengths: list[int]) -> None:
    connection, _ = connected(REPLY, lengths)
    assert np.array_equal(connection.get_tensor(b"k"), DATA)


@pytest.mark.parametrize("cut", range(1, len(REPLY)))
def test_a_tensor_in_two_pieces(cut: int) -> None:
    connection, _ = connected(REPLY, [cut])
    assert np.array_equal(connection.get_tensor(b"k"), DATA)


@pytest.mark.parametrize("end", range(len(REPLY)))
def test_a_reply_that_ends_early_is_no_tensor(end: int) -> None:
    connection, _ = connected(REPLY[:end])
    with pytest.raises(ConnectionResetError):
        connection.get_tensor(b"k")


@given(LENGTHS, st.sampled_from([1, 2047, 2048, 2049, 20_000]))
def test_a_tensor_leaves_in_pieces_of_any_length(lengths: list[int], size: int) -> None:
    data = np.random.default_rng(0).random(size)
    connection, sock = connected(b"+OK\r\n", [*lengths[:1], 5])
    connection.put_tensor(b"key", data)
    number = b"%d" % size
    words = (b"AI.TENSORSET", b"key", b"DOUBLE", number, b"BLOB", data.tobytes())
    assert sock.sent == wire.encode_command(*words)


@pytest.mark.parametrize("reply", [b"+OK\r\n", b":1\r\n", b"+" + b"x" * 9000 + b"\r\n"])
def test_one_line_is_read_to_its_end_and_no_further(reply: bytes) -> None:
    for cut in (1, len(reply) - 1, len(reply)):
        connection, _ = connected(reply, [cut])
        assert connection.request(b"ANY") == reply[:-2]


def test_an_error_is_raised_and_the_connection_stays() -> None:
    connection, _ = connected(b"-ERR no such key\r\n", [4, 5])
    with pytest.raises(ResponseError, match=r"^ERR no such key$"):
        connection.get_tensor(b"k")
    assert connection.in_step


GARBLED = {
    "of another protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a status": b"+OK\r\n",
    "nothing": b"$-1\r\n",
    "of another length": b"*4\r\n$5\r\ndtype\r\n",
    "more behind it": REPLY + b"+OK\r\n",
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
def test_what_is_no_tensor_is_not_taken_for_one(reply: bytes, lengths: list[int]) -> None:
    if reply.startswith(REPLY) and lengths:
        reply = HEADER + DATA.tobytes() + b"+OK\r\n"  # in pieces, nothing tells that the next reply came too early
    connection, _ = connected(reply, lengths)
    with pytest.raises(wire.GarbledReplyError):
        connection.get_tensor(b"k")


@pytest.mark.parametrize("reply", [b"$2\r\nOK\r\n", b"+OK\r\n+OK\r\n", b"\r\n", b"x" * 200_000])
def test_what_is_not_one_line_is_not_taken_for_one(reply: bytes) -> None:
    connection, _ = connected(reply)
    with pytest.raises(wire.GarbledReplyError):
        connection.request(b"ANY")


@given(st.binary())
def test_any_bytes_are_a_tensor_an_error_or_refused(reply: bytes) -> None:
    for whole in (reply, HEADER + reply, HEADER[:40] + reply):
        connection, _ = connected(whole)
        try:
            tensor = connection.get_tensor(b"k")
        except (wire.GarbledReplyError, ConnectionResetError, ResponseError):
            continue
        assert whole == HEADER + tensor.tobytes() + b"\r\n"


def test_a_tensor_of_strings_is_refused_without_being_read() -> None:
    connection, _ = connected(REPLY.replace(b"$6\r\nDOUBLE", b"$6\r\nSTRING"))
    with pytest.raises(ResponseError, match="strings"):
        connection.get_tensor(b"k")
    assert not connection.in_step


def test_a_scalar_of_another_client_is_an_array_without_dimensions() -> None:
    reply = reply_with(np.float32(2.5)[()].reshape(()), b"FLOAT")
    for cut in (len(reply), len(reply) - 3):
        connection, _ = connected(reply, [cut])
        scalar = connection.get_tensor(b"k")
        assert scalar.shape == ()
        assert scalar == 2.5
