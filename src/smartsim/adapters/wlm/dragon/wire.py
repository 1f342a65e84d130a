"""Lines of JSON between drivers, the server of a Dragon runtime, and the ranks that it starts.

Each end proves that it knows the token of the runtime before anything else is said, and never sends the token itself:
it is sent a number drawn anew for each connection, and answers with a keyed hash of it (RFC 2104).
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import select
import socket
import time
from collections.abc import Mapping
from typing import Any, TypeAlias

Message: TypeAlias = dict[str, Any]
Address: TypeAlias = tuple[str, int]

_CHUNK = 1 << 20
_LONGEST_PROOF = 1024  # bytes that an end may send before it has proven anything
_HASH = "sha256"


class Connection:
    """One end of a connection; its socket never blocks.

    Args:
        endpoint: the socket; `close` closes it.
        token: of the runtime.
        serves: whether this is the end of the server.

    Attributes:
        is_trusted: whether the other end has proven that it knows the token.
    """

    def __init__(self, endpoint: socket.socket, token: bytes, *, serves: bool) -> None:
        endpoint.settimeout(0.0)
        endpoint.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.is_trusted = False
        self._socket = endpoint
        self._token = token
        self._serves = serves
        self._nonce = os.urandom(16).hex()
        self._expected: str | None = None
        self._received = bytearray()
        self._unsent = bytearray()
        self.send({"nonce": self._nonce})

    def fileno(self) -> int:
        """Return the descriptor, for `select`."""
        return self._socket.fileno()

    def address(self) -> Address:
        """Return the address of this end."""
        host, port = self._socket.getsockname()[:2]
        return str(host), int(port)

    @property
    def has_unsent(self) -> bool:
        """Whether `flush` has something to do once the socket is writable."""
        return bool(self._unsent)

    def send(self, message: Mapping[str, Any]) -> None:
        """Have a message sent by the next calls of `flush`."""
        self._unsent += json.dumps(message).encode() + b"\n"

    def flush(self) -> None:
        """Send as much as the socket takes.

        Raises:
            OSError: the connection is lost.
        """
        with contextlib.suppress(BlockingIOError):
            while self._unsent:
                sent = self._socket.send(self._unsent)
                del self._unsent[:sent]

    def receive(self) -> list[Message]:
        """Return the messages that have come since.

        Raises:
            OSError: the connection has ended, or the other end does not know the token, or the words.
        """
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return []
        if not data:
            raise ConnectionResetError("the connection has ended")
        self._received += data
        messages = []
        *lines, rest = self._received.split(b"\n") if b"\n" in data else [self._received]
        self._received = bytearray(rest)
        for line in lines:
            if self.is_trusted:
                messages.append(_message(line))
            else:
                self._check(line)
        if not self.is_trusted and len(self._received) > _LONGEST_PROOF:
            raise ConnectionRefusedError("the other end says too much before it proves that it knows the token")
        return messages

    def close(self) -> None:
        """Close the connection; what was not sent is lost."""
        self._socket.close()

    def _check(self, line: bytearray) -> None:
        """Take the other end's number, or its proof."""
        try:
            message = json.loads(line)
            nonce, proof = message.get("nonce"), message.get("proof")
        except (ValueError, AttributeError):
            nonce = proof = None
        if isinstance(nonce, str):
            self._expected = self._proof(nonce, self._nonce, serves=not self._serves)
            self.send({"proof": self._proof(self._nonce, nonce, serves=self._serves)})
        elif isinstance(proof, str) and self._expected and hmac.compare_digest(proof.encode(), self._expected.encode()):
            self.is_trusted = True
        else:
            raise ConnectionRefusedError("the other end does not know the token")

    def _proof(self, own: str, other: str, *, serves: bool) -> str:
        # The roles differ, so that nobody can have an end answer its own question.
        text = f"{'server' if serves else 'client'} {own} {other}"
        return hmac.new(self._token, text.encode(), _HASH).hexdigest()


def _message(line: bytearray) -> Message:
    try:
        message = json.loads(line)
    except ValueError as error:
        raise ConnectionAbortedError("the other end says what is no message") from error
    if not isinstance(message, dict):
        raise ConnectionAbortedError("the other end says what is no message")
    return message


def establish(endpoint: socket.socket, token: bytes, timeout: float) -> Connection:
    """Return the client's end of a connection on which both ends have proven that they know the token.

    Args:
        endpoint: the connected socket; closed if they do not.
        token: of the runtime.
        timeout: the longest wait in seconds.

    Raises:
        OSError: the other end is not the server of the runtime, or is silent.
    """
    connection = Connection(endpoint, token, serves=False)
    deadline = time.monotonic() + timeout
    readable = select.poll()
    readable.register(endpoint, select.POLLIN)
    try:
        while not connection.is_trusted:
            connection.flush()
            if not readable.poll(max(0.0, 1000 * (deadline - time.monotonic()))):
                raise TimeoutError("the other end does not prove that it knows the token")
            connection.receive()
        connection.flush()
    except BaseException:
        connection.close()
        raise
    return connection


def ask(connection: Connection, question: Mapping[str, Any], timeout: float) -> Message:
    """Send a message on a connection that nothing else is waited for, and return the answer.

    Args:
        connection: the one.
        question: the message.
        timeout: the longest wait in seconds.

    Raises:
        OSError: there is none.
    """
    connection.send(question)
    connection.flush()
    readable = select.poll()
    readable.register(connection, select.POLLIN)
    deadline = time.monotonic() + timeout
    while readable.poll(max(0.0, 1000 * (deadline - time.monotonic()))):
        for message in connection.receive():
            return message
    raise TimeoutError("the other end does not answer")
