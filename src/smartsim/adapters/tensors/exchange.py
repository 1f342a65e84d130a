"""Requests and their replies on a connection, without the connection: what is to be sent and received, and what came.

Whoever has a socket drives it::

    steps = exchange(requests)
    effect = next(steps)
    while True:  # until it ends, with the replies
        moved = sock.sendmsg(effect.buffers) if isinstance(effect, Send) else sock.recvmsg_into(effect.buffers)[0]
        effect = steps.send(moved)
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Generator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

import redis

from smartsim.adapters.tensors import wire
from smartsim.adapters.tensors.decoder import More, ReplyDecoder, Sign
from smartsim.domain.client_errors import RedisRuntimeError
from smartsim.ports.tensor_store import Command, Reply, Request, Transaction

_FIRST_WINDOW: Final = 64
_WIDEST_WINDOW: Final = 1000
_UNREAD: Final = 32 * 1024 * 1024
"""About as many bytes of replies may wait at the database, which keeps them in its memory."""

MOST_BUFFERS: Final = 512
"""The kernel takes 1024 at once."""

_CHUNK: Final = 128
_CHUNK_BYTES: Final = 256 * 1024
"""About as many requests, or bytes, are encoded before they are sent: meanwhile the database has something to do."""

_MULTI: Final = b"*1\r\n$5\r\nMULTI\r\n"
_EXEC: Final = b"*1\r\n$4\r\nEXEC\r\n"
_NOT_YET: Final = ("LOADING", "ERR max number of clients")
_FATAL: Final = "ERR Protocol error"


class Send(NamedTuple):
    """Send some of these bytes; say how many were sent."""

    buffers: Sequence[bytes | memoryview]


class Receive(NamedTuple):
    """Receive at least one byte into this room; say how many came, 0 at the end of the connection.

    Attributes:
        buffers: to be filled in their order.
        wait: if not, only what is there already; it is an error (`BlockingIOError`) when nothing is.
    """

    buffers: Sequence[memoryview]
    wait: bool = True


Exchange: TypeAlias = Generator[Send | Receive, int, list[Reply]]


class LostConnectionError(ConnectionError):
    """The connection failed, or was too slow, before every request had its reply. The cause is the error of the socket.

    Args:
        message: what happened.
        replies: to the first of the requests.
        handed_over: how many of the requests, from the first, had been sent whole.
    """

    def __init__(self, message: str, replies: Sequence[Reply] = (), handed_over: int = 0) -> None:
        super().__init__(message)
        self.replies = list(replies)
        self.handed_over = handed_over

    @property
    def sent(self) -> bool:
        """Whether a request without a reply was sent whole, so that the database may have carried it out."""
        return self.handed_over > len(self.replies)

    @property
    def timed_out(self) -> bool:
        """Whether the other side was too slow; otherwise it hung up, or could not be reached any more."""
        return isinstance(self.__cause__, (BlockingIOError, TimeoutError))


def lost(error: OSError, replies: Sequence[Reply] = (), handed_over: int = 0) -> LostConnectionError:
    """Return the exception for an error of the socket, to be raised from it."""
    slow = isinstance(error, (BlockingIOError, TimeoutError))
    return LostConnectionError("it did not answer in time" if slow else str(error), replies, handed_over)


def exchange(requests: Sequence[Request]) -> Exchange:
    """Send requests and receive their replies, in their order.

    What the database refuses stands among the replies, as the exception for it. The reply to a transaction is the list
    of its commands' replies, or the first error if it was not carried out.

    While many are sent, replies are received, so that they do not pile up at the database. An `OSError` of the socket
    is to be thrown into the generator.

    Raises:
        LostConnectionError: for such an error, or when the connection ends.
        GarbledReplyError: what came is not the replies to these requests.
        MemoryError: there is no room for a reply.
    """
    outbox, inbox = _Outbox(requests), _Inbox(requests)
    try:
        while len(inbox.replies) < len(requests):
            end = min(len(requests), len(inbox.replies) + inbox.window)
            while outbox.encoded < end:
                outbox.encode(end)
                yield from _send(outbox, inbox)
            overlap = inbox.window // 2 if end < len(requests) else 0
            yield from _receive(inbox, end - overlap)
    except _HungUpError as error:
        raise LostConnectionError(str(error), inbox.replies, len(inbox.replies)) from None
    except OSError as error:
        raise lost(error, inbox.replies, outbox.handed_over) from error
    if not inbox.decoder.empty:
        raise wire.GarbledReplyError(f"more bytes than the replies to {len(requests)} requests")
    return inbox.replies


def greeting(username: str | None, password: str | None) -> list[Command]:
    """Return the commands that begin a connection."""
    ping = Command((b"PING",), changes=False)
    if password is None:
        return [ping]
    user = () if username is None else (username.encode(),)
    return [Command((b"AUTH", *user, password.encode())), ping]


def check_greeting(command: Command, reply: Reply) -> None:
    """Look at what was answered to a command of the greeting.

    Raises:
        redis.ConnectionError: the database is there, but not yet for this client.
        redis.ResponseError: it does not want this client.
        GarbledReplyError: it is no database.
    """
    if isinstance(reply, RedisRuntimeError):
        error = redis.ConnectionError if reply.reply.startswith(_NOT_YET) else redis.ResponseError
        secret = bytes(command.words[-1]).decode() if command.words[0] == b"AUTH" else None
        raise error(reply.reply.replace(secret, "***") if secret else reply.reply)  # some repeat the command
    if reply != (b"PONG" if command.words == (b"PING",) else b"OK"):
        raise wire.GarbledReplyError(f"{reply!r} to {command.words[0]!r}")


class _HungUpError(ConnectionError):
    """The database has refused what it cannot read, and ends the connection: nothing that follows is carried out."""


def _send(outbox: _Outbox, inbox: _Inbox) -> Generator[Send | Receive, int, None]:
    while outbox.buffers:
        try:
            count = yield Send(list(islice(outbox.buffers, MOST_BUFFERS)))
        except (BrokenPipeError, ConnectionResetError):
            # The database hangs up on what is too large for it, and says so while that is still being sent.
            try:
                yield from _receive(inbox, outbox.encoded, wait=False)
            except _HungUpError:
                raise
            except OSError:
                pass
            raise
        outbox.sent(count)


def _receive(inbox: _Inbox, replies: int, *, wait: bool = True) -> Generator[Send | Receive, int, None]:
    """Receive until there are so many replies."""
    inbox.take(replies)
    while len(inbox.replies) < replies:
        count = yield Receive(inbox.decoder.room, wait)
        if not count:
            raise ConnectionResetError("the database closed the connection")
        inbox.received(count)
        inbox.take(replies)


class _Outbox:
    """What is to be sent, encoded as far as it may be."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self.buffers: deque[bytes | memoryview] = deque()
        self._requests = requests
        self._ends: list[int] = []  # of the encoded requests, in bytes from the beginning
        self._sent = 0

    @property
    def encoded(self) -> int:
        """How many requests are encoded."""
        return len(self._ends)

    @property
    def handed_over(self) -> int:
        """How many requests have been sent whole."""
        return bisect_right(self._ends, self._sent)

    def encode(self, requests: int) -> None:
        """Encode some more, until there are so many at most."""
        start = end = self._ends[-1] if self._ends else 0
        pieces: list[wire.Piece] = []
        for request in self._requests[self.encoded : min(requests, self.encoded + _CHUNK)]:
            if isinstance(request, Command):
                end += wire.encode(request.words, pieces)
            else:
                pieces.append(_MULTI)
                end += len(_MULTI) + len(_EXEC)
                for command in request.commands:
                    end += wire.encode(command.words, pieces)
                pieces.append(_EXEC)
            self._ends.append(end)
            if end - start > _CHUNK_BYTES:
                break
        self.buffers += wire.join(pieces)

    def sent(self, count: int) -> None:
        """Say how many bytes have been sent."""
        self._sent += count
        while self.buffers and count >= len(self.buffers[0]):
            count -= len(self.buffers.popleft())
        if count:
            self.buffers[0] = memoryview(self.buffers[0])[count:]


class _Inbox:
    """What is received, decoded as far as it is there.

    Attributes:
        decoder: of the bytes.
        replies: to the first of the requests.
    """

    def __init__(self, requests: Sequence[Request]) -> None:
        self.decoder = ReplyDecoder(len(requests))
        self.replies: list[Reply] = []
        self._requests = requests
        self._only_commands = Transaction not in map(type, requests)
        self._parts: list[Reply] = []  # what was said to MULTI and the commands that follow it
        self._bytes = 0

    @property
    def window(self) -> int:
        """How many requests may wait for their replies, as far as these can be foreseen."""
        if not self.replies:
            return _FIRST_WINDOW
        return max(1, min(_WIDEST_WINDOW, _UNREAD * len(self.replies) // self._bytes))

    def received(self, count: int) -> None:
        """Say how many bytes have come into the decoder's room."""
        self._bytes += count
        self.decoder.received(count)

    def take(self, replies: int) -> None:
        """Take replies out of the decoder, as far as they are there, until there are so many.

        Raises:
            _HungUpError: one of them is the last on this connection.
        """
        while not self.decoder.filling and (position := len(self.replies)) < replies:
            request = self._requests[position]
            if isinstance(request, Transaction):
                reply = self._of_transaction(request)
            else:
                if self._only_commands and not self.decoder.in_the_middle:
                    self.decoder.take(self._requests[position:replies], self.replies)  # type: ignore[arg-type]  # they are
                    if position < len(self.replies):
                        _check_goes_on(self.replies[-1])
                        continue
                reply = self.decoder.next((request,))
            if reply is Sign.MORE:
                return
            self.replies.append(reply)
            _check_goes_on(reply)

    def _of_transaction(self, transaction: Transaction) -> Reply | More:
        commands, parts = transaction.commands, self._parts
        queued, as_usual = _usual_answer(len(commands))
        if not parts and self.decoder.begin_list(as_usual, len(commands)):
            parts += queued
        while len(parts) <= len(commands):
            part = self.decoder.next(commands[max(0, len(parts) - 1) :])
            if part is Sign.MORE:
                return part
            parts.append(part)
            if hangs_up(part):
                return part
        reply = self.decoder.next_of_each(commands)
        if reply is Sign.MORE:
            return reply
        self._parts = []
        if parts != queued and (refused := next((part for part in parts if isinstance(part, RedisRuntimeError)), None)):
            return refused
        if isinstance(reply, RedisRuntimeError):
            return reply
        if parts != queued or not isinstance(reply, list) or len(reply) != len(commands):
            raise wire.GarbledReplyError(f"{reply!r} after {parts} to a transaction")
        return reply


@lru_cache(maxsize=1024)
def _usual_answer(commands: int) -> tuple[list[Reply], bytes]:
    """Return what is nearly always said to a transaction before the replies to its commands: decoded, and as bytes."""
    return [b"OK", *[b"QUEUED"] * commands], b"+OK\r\n%b*%d\r\n" % (b"+QUEUED\r\n" * commands, commands)


def hangs_up(reply: Reply) -> bool:
    """Return whether a reply is the last on its connection: what the database cannot read, it ends."""
    return isinstance(reply, RedisRuntimeError) and reply.reply.startswith(_FATAL)


def _check_goes_on(reply: Reply) -> None:
    if isinstance(reply, RedisRuntimeError) and hangs_up(reply):
        raise _HungUpError(reply.reply)
