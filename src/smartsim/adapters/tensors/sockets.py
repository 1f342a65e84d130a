"""What goes over a socket that waits: as much as is asked for, or an error.

Every function raises an `OSError` when the connection fails, ends, or is too slow, and `GarbledReplyError` for a reply
that makes no sense.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from typing import Final

import numpy as np
import redis

from smartsim.adapters.tensors import wire
from smartsim.adapters.tensors.decoder import ROOM, ReplyDecoder, Sign
from smartsim.ports.tensor_store import Command, Reply

_LONGEST_LINE: Final = 64 * 1024


def time_out_in_kernel(sock: socket.socket, option: int, timeout: float) -> None:
    """Set a timeout of a socket (`SO_RCVTIMEO` or `SO_SNDTIMEO`), in seconds."""
    seconds, fraction = divmod(timeout, 1)
    sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", int(seconds), int(fraction * 1_000_000)))


def send_all(sock: socket.socket, parts: Sequence[bytes | memoryview]) -> None:
    """Send some pieces, of which the kernel takes as many at once."""
    sent = sock.sendmsg(parts)
    if sent < sum(map(len, parts)):
        send_rest(sock, parts, sent)


def send_rest(sock: socket.socket, pieces: Sequence[wire.Piece], sent: int) -> None:
    """Send what is left of some pieces when so many of their bytes have been sent."""
    for piece in pieces:
        view = wire.elements_of(piece) if isinstance(piece, np.ndarray) else memoryview(piece)
        if sent < len(view):
            sock.sendall(view[sent:])
        sent = max(0, sent - len(view))


def receive(sock: socket.socket, limit: int) -> bytes:
    """Receive at least one byte."""
    received = sock.recv(limit)
    if not received:
        raise ConnectionResetError("the database closed the connection")
    return received


def receive_reply(sock: socket.socket, received: bytes, command: Command) -> Reply:
    """Receive the rest of the reply to a command, of which the first bytes are there."""
    decoder = ReplyDecoder()
    decoder.add(received)
    while (reply := decoder.next((command,))) is Sign.MORE:
        rest = decoder.rest
        receive_all(sock, rest)
        decoder.received(len(rest))
        decoder.add(receive(sock, ROOM))
    if not decoder.empty:
        raise wire.GarbledReplyError("more bytes than the reply to a request")
    return reply


def receive_all(sock: socket.socket, room: memoryview) -> None:
    """Receive until there is no room left."""
    while room:
        received = sock.recv_into(room)
        if not received:
            raise ConnectionResetError("the database closed the connection")
        room = room[received:]


def receive_rest(sock: socket.socket, payload: memoryview, ending: bytearray, received: int) -> None:
    """Receive what is missing of a payload and of the line end after it.

    Args:
        sock: the connection.
        payload: where the payload goes.
        ending: what comes after it; with room for more than a line end, which there must not be.
        received: how many bytes are there already.
    """
    size = len(payload)
    while received < size + 2:
        count = sock.recvmsg_into((payload[received:], memoryview(ending)[max(0, received - size) :]))[0]
        if not count:
            raise ConnectionResetError(f"the database closed the connection after {received} of {size} bytes")
        received += count
    if received > size + 2 or not ending.startswith(wire.CRLF):
        raise wire.GarbledReplyError(f"{bytes(ending)!r} after a tensor of {size} bytes")


def receive_line(sock: socket.socket, reply: bytes) -> bytes:
    """Return a reply of one line, of which the first bytes are there already."""
    while not reply.endswith(wire.CRLF):
        if len(reply) > _LONGEST_LINE or wire.CRLF in reply:
            break
        reply += receive(sock, wire.MAX_HEADER)
    if reply[:1] not in (b"+", b":", b"-") or reply.find(wire.CRLF) != len(reply) - 2:
        raise wire.GarbledReplyError(f"{reply[:60]!r} is not a reply of one line")
    if reply[:1] == b"-":
        raise redis.ResponseError(error_text(reply))
    return reply[:-2]


def error_text(reply: bytes) -> str:
    """Return what an error says."""
    return reply[1:].split(wire.CRLF)[0].decode(errors="replace")
