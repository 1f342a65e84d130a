"""Connections to the database for an asyncio event loop.

What is large goes from where it is to the socket, and tensors into the memory of the arrays that are returned, as on
the connections that wait.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from itertools import count
from typing import Any, Final

from smartsim.adapters.tensors.exchange import (
    Exchange,
    LostConnectionError,
    Receive,
    Send,
    check_greeting,
    exchange,
    greeting,
)
from smartsim.domain.addresses import Address
from smartsim.ports.tensor_store import Reply, Request

_TURN: Final = 16
"""After so many sends and receives that did not have to wait, other tasks have their turn."""

_KEEP_ALIVE: Final = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))


class AsyncTensorConnection:
    """A connection to a database; one task uses it at a time. Made by `connect_async`.

    Args:
        sock: connected, and non-blocking; it is closed by `disconnect`.
        reply_timeout: how long the database may take to go on, in seconds.
    """

    def __init__(self, sock: socket.socket, reply_timeout: float) -> None:
        self._sock: socket.socket | None = sock
        self._reply_timeout = reply_timeout

    async def exchange(self, requests: Sequence[Request], patience: float = 0.0) -> list[Reply]:
        """Return the replies to some requests, in their order.

        What the database refuses stands among the replies, as the exception for it. The reply to a transaction is the
        list of its commands' replies, or the error for which it was not carried out.

        After any exception, also when it is cancelled, the connection is disconnected: what is left of a reply must not
        be taken for the next one.

        Args:
            requests: any number.
            patience: how many seconds longer than usual the database may take.

        Raises:
            LostConnectionError: the connection failed, or was too slow.
            GarbledReplyError: a reply makes no sense.
            MemoryError: there is no room for a reply.
        """
        if self._sock is None:
            raise LostConnectionError("the connection was closed")
        try:
            return await _drive(self._sock, exchange(requests), self._reply_timeout + patience)
        except LostConnectionError as error:
            self.disconnect()
            if len(error.replies) == len(requests):
                return error.replies
            raise
        except BaseException:
            self.disconnect()
            raise

    @property
    def in_step(self) -> bool:
        """Whether the connection can take another command."""
        return self._sock is not None

    def is_alive(self) -> bool:
        """Tell whether an idle connection is usable: it was not closed, and nothing has come that nobody asked for."""
        if self._sock is None:
            return False
        try:
            self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def disconnect(self) -> None:
        """Close the connection; nothing happens when it is closed."""
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()


async def connect_async(
    address: Address,
    connect_timeout: float,
    reply_timeout: float,
    username: str | None = None,
    password: str | None = None,
) -> AsyncTensorConnection:
    """Return a connection to a database that has answered PING.

    Args:
        address: where it listens.
        connect_timeout: the longest wait for the connection, in seconds.
        reply_timeout: the longest wait for it to go on afterwards, in seconds.
        username: of the password; None for the default user.
        password: None for none.

    Raises:
        OSError, redis.ConnectionError: there is none, or not yet.
        redis.ResponseError: it does not want this client.
        GarbledReplyError: something else listens there.
    """
    async with asyncio.timeout(connect_timeout):
        sock = await _connected(address)
    connection = AsyncTensorConnection(sock, reply_timeout)
    try:
        for command in greeting(username, password):
            check_greeting(command, (await connection.exchange([command]))[0])
    except BaseException:
        connection.disconnect()
        raise
    return connection


async def _connected(address: Address) -> socket.socket:
    loop = asyncio.get_running_loop()
    if address.is_unix:
        return await _connect(socket.AF_UNIX, address.path)
    found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    failure: OSError = ConnectionRefusedError(f"{address} has no network address")
    for family, _, _, _, where in found:
        try:
            sock = await _connect(family, where)
        except OSError as error:
            failure = error
            continue
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a host that vanished ends a long wait
        for option, value in _KEEP_ALIVE:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
        return sock
    raise failure


async def _connect(family: int, where: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)  # noqa: FBT003 - the standard library's way
        await asyncio.get_running_loop().sock_connect(sock, where)
    except BaseException:
        sock.close()
        raise
    return sock


async def _drive(sock: socket.socket, steps: Exchange, limit: float) -> list[Reply]:
    try:
        effect = next(steps)
        for turn in count(1):
            try:
                moved = await _carry_out(sock, effect, limit)
            except OSError as error:
                effect = steps.throw(error)
            else:
                effect = steps.send(moved)
            if turn % _TURN == 0:
                await asyncio.sleep(0)
    except StopIteration as end:
        replies: list[Reply] = end.value
    return replies


async def _carry_out(sock: socket.socket, effect: Send | Receive, limit: float) -> int:
    while True:
        try:
            return sock.sendmsg(effect.buffers) if isinstance(effect, Send) else sock.recvmsg_into(effect.buffers)[0]
        except BlockingIOError:
            if isinstance(effect, Receive) and not effect.wait:
                raise
        async with asyncio.timeout(limit):
            await _ready(sock.fileno(), to_send=isinstance(effect, Send))


async def _ready(descriptor: int, *, to_send: bool) -> None:
    """Wait until something can be sent, or has come."""
    loop = asyncio.get_running_loop()
    add, remove = (loop.add_writer, loop.remove_writer) if to_send else (loop.add_reader, loop.remove_reader)
    ready = asyncio.Event()
    add(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        remove(descriptor)
