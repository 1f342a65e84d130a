"""Connections to the database that wait: sockets of redis-py, with a path of their own for what goes over them.

The elements of a tensor go from the memory of its array to the socket, and from the socket into the memory of the array
that is returned, with no buffer between. What that saves is measured in `benchmarks/tensors.py`.
"""

# mypy: disable-error-code="no-untyped-call"
# (redis-py leaves most of its methods without annotations)
from __future__ import annotations

import socket
from collections.abc import Generator, Sequence
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import redis
from redis.connection import AbstractConnection

from smartsim.adapters.tensors import wire
from smartsim.adapters.tensors.dataset_form import FormFinder
from smartsim.adapters.tensors.decoder import ROOM
from smartsim.adapters.tensors.exchange import (
    MOST_BUFFERS,
    Exchange,
    LostConnectionError,
    Receive,
    Send,
    exchange,
    hangs_up,
    lost,
)
from smartsim.adapters.tensors.replies import gives_dataset
from smartsim.adapters.tensors.sockets import (
    error_text,
    receive,
    receive_line,
    receive_reply,
    receive_rest,
    send_all,
    send_rest,
    time_out_in_kernel,
)
from smartsim.domain.client_errors import refusal
from smartsim.ports.tensor_store import Command, Reply, Request


class TensorConnection(AbstractConnection):
    """A connection to a database; one thread uses it at a time.

    Every method raises `LostConnectionError` when the connection fails or is too slow, `GarbledReplyError` for a reply
    that makes no sense, and `MemoryError` when there is no room for one. After these, and after any other exception
    that comes in the middle, the connection is disconnected.
    """

    _sock: socket.socket | None  # type: ignore[assignment]  # redis-py only says that it begins as None
    _layout: wire.Layout | None = None
    _forms: FormFinder | None = None
    _reply_timeout = 0.0

    def put_tensor(self, key: bytes, data: npt.NDArray[Any]) -> None:
        """Store an array that is in C order and native byte order.

        Raises:
            redis.ResponseError: the database refuses; the connection is in step, or already disconnected.
        """
        handed_over = 0
        try:
            sock = self._socket()
            header = wire.encode_tensor_set(key, data.dtype, data.shape)
            try:
                if data.nbytes < wire.JOIN_BELOW:
                    sock.sendall(b"".join((header, data.data, wire.CRLF)))
                else:
                    send_all(sock, (header, data.data.cast("B"), wire.CRLF))
            except (BrokenPipeError, ConnectionResetError) as error:
                self._raise_last_words(sock, error)
            handed_over = 1
            reply = sock.recv(wire.MAX_HEADER)
            if reply != wire.OK and receive_line(sock, reply) != b"+OK":
                raise wire.GarbledReplyError(f"{reply[:60]!r} to AI.TENSORSET")
        except redis.ResponseError:
            raise
        except BaseException as error:  # noqa: BLE001 - it is raised
            self._fail(error, handed_over)

    def get_tensor(self, key: bytes) -> npt.NDArray[Any]:
        """Return the array under a key: its own memory, in C order, writable.

        Raises:
            redis.ResponseError: the database refuses; the connection is in step, or already disconnected.
        """
        handed_over = 0
        try:
            sock = self._socket()
            sock.sendall(wire.encode_tensor_get(key))
            handed_over = 1
            # Most tensors that a program reads are laid out as the one before, so its layout is tried first. A small
            # reply is read whole; the parts of a large one are received where they then belong: nothing to parse.
            if self._layout is None or self._layout.size < wire.MAX_HEADER:
                return self._receive_tensor(sock, sock.recv(wire.MAX_HEADER))
            header, shape, dtype, _ = self._layout
            tensor = np.empty(shape, dtype)
            beginning, payload, ending = bytearray(len(header)), tensor.data.cast("B"), bytearray(3)
            received = sock.recvmsg_into((beginning, payload, ending))[0]
            if beginning == header:
                receive_rest(sock, payload, ending, received - len(header))
                return tensor
            return self._receive_tensor(sock, b"".join((beginning, payload[:received], ending))[:received])
        except redis.ResponseError:
            raise
        except BaseException as error:  # noqa: BLE001 - it is raised
            self._fail(error, handed_over)

    def exchange(self, requests: Sequence[Request], patience: float = 0.0) -> list[Reply]:
        """Return the replies to some requests, in their order.

        What the database refuses stands among the replies, as the exception for it. The reply to a transaction is the
        list of its commands' replies, or the error for which it was not carried out.

        Args:
            requests: any number.
            patience: how many seconds longer than usual the database may take.
        """
        if len(requests) == 1 and not patience and isinstance(command := requests[0], Command):
            return [self._ask(command)]
        steps = self.exchange_in_two(requests, patience)
        try:
            while True:
                next(steps)
        except StopIteration as end:
            replies: list[Reply] = end.value
            return replies

    def exchange_in_two(self, requests: Sequence[Request], patience: float = 0.0) -> Generator[None, None, list[Reply]]:
        """Do as `exchange` does, but pause when what can be sent has been sent, before waiting for a reply."""
        try:
            sock = self._socket()
            if not patience:
                return (yield from _drive(sock, exchange(requests)))
            time_out_in_kernel(sock, socket.SO_RCVTIMEO, self._reply_timeout + patience)
            replies = yield from _drive(sock, exchange(requests))
            time_out_in_kernel(sock, socket.SO_RCVTIMEO, self._reply_timeout)
        except LostConnectionError as error:
            self.disconnect()
            if len(error.replies) == len(requests):
                return error.replies
            raise
        except BaseException as error:  # noqa: BLE001 - it is raised
            self._fail(error)
        return replies

    @property
    def in_step(self) -> bool:
        """Whether the connection can take another command."""
        return self._sock is not None

    def set_reply_timeout(self, timeout: float) -> None:
        """Say how long the database may take to go on, in seconds."""
        # Python's own timeouts ask the kernel before each send and receive whether it would block: 5 us a round trip.
        sock = self._socket()
        sock.settimeout(None)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            time_out_in_kernel(sock, option, timeout)
        self._reply_timeout = timeout

    def is_alive(self) -> bool:
        """Tell whether an idle connection is usable: it was not closed, and nothing has come that nobody asked for."""
        try:
            self._socket().recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def _socket(self) -> socket.socket:
        if self._sock is None:
            raise ConnectionResetError("the connection was closed")
        return self._sock

    def _fail(self, error: BaseException, handed_over: int = 0) -> NoReturn:
        """Disconnect, so that what is left of a reply is not taken for the next one, and raise the error."""
        self.disconnect()
        if isinstance(error, OSError):
            raise lost(error, handed_over=handed_over) from error
        raise error

    def _ask(self, command: Command) -> Reply:
        """Return the reply to one command, as `exchange` does, in half the time."""
        handed_over = 0
        try:
            sock = self._socket()
            pieces, length = wire.encode_alone(command.words)
            try:
                sent = sock.send(pieces[0]) if len(pieces) == 1 else sock.sendmsg(pieces[:MOST_BUFFERS])
                if sent < length:
                    send_rest(sock, pieces, sent)
            except (BrokenPipeError, ConnectionResetError) as error:
                self._raise_last_words(sock, error)
            handed_over = 1
            if gives_dataset(command):
                reply = self._receive_dataset(sock, command)
            else:
                received = receive(sock, ROOM)
                reply = b"OK" if received == wire.OK else receive_reply(sock, received, command)
        except redis.ResponseError as error:
            return refusal(str(error), (command.key or b"").decode(errors="replace"))
        except BaseException as error:  # noqa: BLE001 - it is raised
            self._fail(error, handed_over)
        if hangs_up(reply):
            self.disconnect()
        return reply

    def _receive_dataset(self, sock: socket.socket, command: Command) -> Reply:
        """Receive a dataset: if it is laid out as those before, straight into the memory where it stays."""
        if self._forms is None:
            self._forms = FormFinder()
        form = self._forms.form
        if form is None or form.size < ROOM:
            received = receive(sock, ROOM)
            if form and len(received) == form.size and (reply := form.read(received)):
                return reply
        else:
            size = form.size
            room = np.empty(size + 1, np.uint8).data  # that there is not more is to be seen
            count = sock.recv_into(room)
            if count < size and form.begins(room[:count]):
                while count < size and (more := sock.recv_into(room[count:])):
                    count += more
            if count == size and (reply := form.read(room)):
                return reply
            received = room[:count].tobytes()
        reply = receive_reply(sock, received, command)
        self._forms.see(reply)
        return reply

    def _receive_tensor(self, sock: socket.socket, reply: bytes) -> npt.NDArray[Any]:
        """Receive the rest of a tensor, of which the first bytes are there."""
        layout = self._layout
        if layout is None or not reply.startswith(layout.header):
            reply, layout = self._receive_header(sock, reply)
        header, shape, dtype, size = layout
        start = len(header)
        received = len(reply) - start
        if received == size + 2 and reply.endswith(wire.CRLF):
            return np.ndarray(shape, dtype, reply, start).copy()
        tensor = np.empty(shape, dtype)
        payload, ending = wire.elements_of(tensor), bytearray(3)
        payload[:received] = reply[start : start + size]
        ending[: max(0, received - size)] = reply[start + size :]
        receive_rest(sock, payload, ending, received)
        return tensor

    def _receive_header(self, sock: socket.socket, reply: bytes) -> tuple[bytes, wire.Layout]:
        """Receive the rest of a tensor's header; return what is there then, and the layout."""
        while not (length := wire.header_length(reply)):
            if reply[:1] == b"-":
                receive_line(sock, reply)
            reply += receive(sock, wire.MAX_HEADER - len(reply))
        try:
            self._layout = layout = wire.parse_tensor_header(reply[:length])
        except wire.UnreadableTensorError as error:
            self.disconnect()  # what follows is not worth receiving
            raise redis.ResponseError(str(error)) from None
        return reply, layout

    def _raise_last_words(self, sock: socket.socket, error: OSError) -> NoReturn:
        """Raise what the database said before it hung up on a command; if nothing, the error of hanging up.

        It does so while a tensor that is larger than it allows is still being sent.
        """
        try:
            reply = sock.recv(wire.MAX_HEADER, socket.MSG_DONTWAIT)
        except OSError:
            raise error from None
        if not reply.startswith(b"-"):
            raise error
        self.disconnect()
        raise redis.ResponseError(error_text(reply)) from None


def _drive(sock: socket.socket, steps: Exchange) -> Generator[None, None, list[Reply]]:
    sent = False
    try:
        effect = next(steps)
        while True:
            if not sent and isinstance(effect, Receive):
                sent = True
                yield
            try:
                if isinstance(effect, Send):
                    moved = sock.sendmsg(effect.buffers)
                else:
                    moved = sock.recvmsg_into(effect.buffers, 0, 0 if effect.wait else socket.MSG_DONTWAIT)[0]
            except OSError as error:
                effect = steps.throw(error)
            else:
                effect = steps.send(moved)
    except StopIteration as end:
        replies: list[Reply] = end.value
        return replies
