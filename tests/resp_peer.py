"""The other side of a connection, played: for tests of what is sent and received, without sockets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from smartsim.adapters.tensors.exchange import Send, exchange
from smartsim.domain.client_errors import RedisRuntimeError
from smartsim.domain.tensor_types import WIRE_NAMES
from smartsim.ports.tensor_store import Command, Reply, Request

ANY = Command((b"ANY",))
GET = Command((b"AI.TENSORGET", b"k", b"META", b"BLOB"), key=b"k")
LENGTHS = st.lists(st.integers(1, 200) | st.integers(1, 200_000), min_size=1)


class Peer:
    """The other side: it takes and gives as many bytes at once as it is told to.

    Args:
        replies: what it says.
        lengths: of what is moved at once; when they are used up, all that there is.
        takes: after so many bytes it takes no more, and the kernel says so with `failure`.
        failure: at sending or receiving, instead of the end.
    """

    def __init__(
        self, replies: bytes, lengths: Iterable[int] = (), takes: int = 1 << 62, failure: OSError | None = None
    ) -> None:
        self.replies = memoryview(replies)
        self.lengths: Iterator[int] = iter(lengths)
        self.takes = takes
        self.failure = failure
        self.sent = b""

    def send(self, buffers: Sequence[bytes | memoryview]) -> int:
        data = b"".join(buffers)[: min(next(self.lengths, 1 << 62), self.takes - len(self.sent))]
        if not data:
            assert self.failure
            raise self.failure
        self.sent += data
        return len(data)

    def receive(self, buffers: Sequence[memoryview]) -> int:
        assert any(len(buffer) for buffer in buffers)
        if not self.replies and self.failure:
            raise self.failure
        count, moved = next(self.lengths, 1 << 62), 0
        for buffer in buffers:
            part = self.replies[: min(count - moved, len(buffer))]
            buffer[: len(part)] = part
            self.replies = self.replies[len(part) :]
            moved += len(part)
            if len(part) < len(buffer):
                break
        return moved

    def play(self, requests: Sequence[Request]) -> list[Reply]:
        steps = exchange(requests)
        try:
            effect = next(steps)
            while True:
                try:
                    moved = self.send(effect.buffers) if isinstance(effect, Send) else self.receive(effect.buffers)
                except OSError as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(moved)
        except StopIteration as end:
            replies: list[Reply] = end.value
            return replies


class CutSocket:
    """A socket that sends and receives as many bytes at once as it is told to, and keeps what was sent."""

    def __init__(self, reply: bytes, lengths: Iterable[int]) -> None:
        self.sent = b""
        self.reply = memoryview(reply)
        self.lengths: Iterator[int] = iter(lengths)

    def sendall(self, data: bytes | memoryview) -> None:
        self.sent += data

    def send(self, data: bytes | memoryview) -> int:
        return self.sendmsg([data])

    def sendmsg(self, parts: Iterable[bytes | memoryview]) -> int:
        data = b"".join(parts)[: next(self.lengths, None)]
        self.sent += data
        return len(data)

    def recv(self, limit: int) -> bytes:
        count = min(limit, next(self.lengths, limit))
        received, self.reply = bytes(self.reply[:count]), self.reply[count:]
        return received

    def recv_into(self, buffer: memoryview) -> int:
        received = self.recv(len(buffer))
        buffer[: len(received)] = received
        return len(received)

    def recvmsg_into(self, buffers: Sequence[memoryview | bytearray], *_: int) -> tuple[int, list[Any], int, Any]:
        received = self.recv(sum(map(len, buffers)))
        rest = received
        for buffer in buffers:
            part, rest = rest[: len(buffer)], rest[len(buffer) :]
            memoryview(buffer)[: len(part)] = part
        return len(received), [], 0, None

    def shutdown(self, _how: int) -> None: ...

    def close(self) -> None: ...


class Status(bytes):
    """A text that is sent as a simple string."""


def encoded(value: Any) -> bytes:
    match value:
        case None:
            return b"$-1\r\n"
        case int():
            return b":%d\r\n" % value
        case Status():
            return b"+%b\r\n" % value
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(value), value)
        case RedisRuntimeError():
            return b"-%b\r\n" % value.reply.encode()
        case np.ndarray():
            name = WIRE_NAMES[value.dtype.name].encode()
            head = [b"dtype", name, b"shape", list(value.shape), b"blob"]
            return b"*6\r\n%b%b" % (b"".join(map(encoded, head)), encoded(value.tobytes()))
        case _:
            return b"*%d\r\n%b" % (len(value), b"".join(map(encoded, value)))


@st.composite
def arrays(draw: st.DrawFn) -> npt.NDArray[Any]:
    shape = draw(st.lists(st.integers(0, 7), max_size=4) | st.sampled_from([[1] * 40, [3, 9000], [70_001]]))
    dtype = np.dtype(draw(st.sampled_from(list(WIRE_NAMES))))
    return np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
