"""A connection to a shard for those who work for it: RESP over a socket, written for few copies and little delay.

It does without NumPy, since the process that keeps workers running is to stay small.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from time import perf_counter_ns
from typing import Any, Final

from smartsim.domain.addresses import Address
from smartsim.ports.work_source import WorkRefusedError, WorkSourceLostError

CRLF: Final = b"\r\n"
_RECEIVE_BUFFER: Final = 64 * 1024  # bytes; what is larger is received where it then belongs
_JOIN_BELOW: Final = 16 * 1024  # bytes; smaller commands are copied together: faster than handing over pieces
_PIECES_AT_ONCE: Final = 1024  # IOV_MAX of Linux
_SPIN_NS: Final = 100_000
_CONNECT_TIMEOUT: Final = 10.0  # seconds, for the greeting as well
_PROBES = {
    socket.TCP_KEEPIDLE: 60,
    socket.TCP_KEEPINTVL: 10,
    socket.TCP_KEEPCNT: 6,
}  # a host that died, after 2 minutes

Buffer = bytes | bytearray | memoryview


class Connection:
    """A connection on which one thread sends commands and reads replies.

    Every method raises `WorkSourceLostError`: the shard has gone, refuses, or answers what makes no sense.

    Args:
        address: where the shard listens.
        user: to log in as.
        password: the user's.
        timeout: seconds that a reply may take; None for as long as the shard lives.
    """

    def __init__(self, address: Address, user: str, password: str, timeout: float | None = None) -> None:
        self._address = address
        self._buffer = bytearray(_RECEIVE_BUFFER)
        self._view = memoryview(self._buffer)
        self._begin = self._end = 0  # of what was received and not read yet
        self._busy = False  # whether what was waited for last came soon
        try:
            self._socket = _connect(address)
        except OSError as error:
            raise WorkSourceLostError(f"There is no shard at {address}: {error}") from error
        try:
            self.send(encode("AUTH", user, password))
            self.read_ok()
            self._socket.settimeout(timeout)
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor of the socket."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def hang_up(self) -> None:
        """End it for the thread that waits for a reply; that one closes it."""
        with suppress(OSError):  # the shard was faster
            self._socket.shutdown(socket.SHUT_RDWR)

    def send(self, *pieces: Buffer) -> None:
        """Send bytes, from where they are."""
        try:
            if len(pieces) == 1 or sum(map(len, pieces)) < _JOIN_BELOW:
                self._socket.sendall(b"".join(pieces))
            else:
                _send_pieces(self._socket, [memoryview(piece) for piece in pieces])
        except OSError as error:
            raise self._lost(error) from error

    def read_ok(self) -> None:
        """Read a reply that must be OK."""
        if (line := self.read_line()) != b"+OK":
            raise self._garbled(line)

    def read_length(self, kind: bytes) -> int:
        """Read how long an array (``*``) or a string (``$``) is that follows."""
        line = self.read_line()
        if line[:1] != kind or not line[1:].isdigit():
            raise self._garbled(line)
        return int(line[1:])

    def read_line(self) -> bytes:
        """Read a line of the protocol."""
        while (stop := self._buffer.find(CRLF, self._begin, self._end)) < 0:
            self._receive()
        line = bytes(self._view[self._begin : stop])
        self._begin = stop + 2
        if line.startswith(b"-"):
            raise WorkRefusedError(line[1:].decode(errors="replace"))
        return line

    def read_string(self) -> bytes:
        """Read a string."""
        return self._read_bytes(self.read_length(b"$"))

    def read_reply(self) -> Any:
        """Read a reply of any kind: bytes, a whole number, None, a list of such; a refusal, which is not raised."""
        try:
            line = self.read_line()
        except WorkRefusedError as error:
            return error
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest
        try:
            number = int(rest)
        except ValueError:
            raise self._garbled(line) from None
        if kind == b":":
            return number
        if kind not in (b"$", b"*"):
            raise self._garbled(line)
        if number < 0:
            return None
        return self._read_bytes(number) if kind == b"$" else [self.read_reply() for _ in range(number)]

    def _read_bytes(self, length: int) -> bytes:
        """Read the rest of a string."""
        stop = self._begin + length
        if stop > self._end:
            data = bytearray(length)
            self._fill(memoryview(data))
            return bytes(data)
        text = bytes(self._view[self._begin : stop])
        self._begin = stop
        self._read_end()
        return text

    def read_strings(self) -> list[bytes]:
        """Read an array of strings."""
        return [self.read_string() for _ in range(self.read_length(b"*"))]

    def read_into(self, target: memoryview, strings: int) -> None:
        """Read so many strings, one behind the other, into memory that they fill."""
        while strings:
            length = self.read_length(b"$")
            if length > len(target):
                raise self._garbled(b"a string of %d bytes, where %d are left" % (length, len(target)))
            self._fill(target[:length])
            strings -= 1
            # Those of a batch are most often of one length, and there already: then they cost little more than a copy.
            alike = self._copy_alike(target[length:], length, strings)
            target = target[length + alike * length :]
            strings -= alike
        if target:
            raise self._garbled(b"strings that leave %d bytes" % len(target))

    def _copy_alike(self, target: memoryview, length: int, most: int) -> int:
        """Read strings of one length as far as they were received; return how many."""
        head = b"$%d\r\n" % length
        begin, count = self._begin, 0
        while count < most and (end := begin + len(head) + length) + 2 <= self._end:
            if not (self._buffer.startswith(head, begin) and self._buffer.startswith(CRLF, end)):
                break
            target[count * length : count * length + length] = self._view[end - length : end]
            begin = end + len(CRLF)
            count += 1
        self._begin = begin
        return count

    def _fill(self, target: memoryview) -> None:
        size = len(target)
        filled = min(size, self._end - self._begin)
        target[:filled] = self._view[self._begin : self._begin + filled]
        self._begin += filled
        while filled < size:
            # The rest straight to its place, and what comes after it into the buffer, which is empty now.
            try:
                count = self._socket.recvmsg_into((target[filled:], self._view))[0]
            except OSError as error:
                raise self._lost(error) from error
            if not count:
                raise self._lost("it closed the connection")
            self._begin, self._end = 0, max(0, filled + count - size)
            filled = min(size, filled + count)
        self._read_end()

    def _read_end(self) -> None:
        while self._end - self._begin < len(CRLF):
            self._receive()
        if not self._buffer.startswith(CRLF, self._begin):
            raise self._garbled(bytes(self._view[self._begin : self._end][:20]))
        self._begin += len(CRLF)

    def _receive(self) -> None:
        """Receive more behind what is in the buffer."""
        if self._begin == self._end:
            self._begin = self._end = 0
        elif self._end == len(self._buffer):
            if not self._begin:
                raise self._garbled(bytes(self._view[:60]))
            left = self._end - self._begin
            self._view[:left] = bytes(self._view[self._begin : self._end])
            self._begin, self._end = 0, left
        try:
            count = self._wait_for(self._view[self._end :])
        except OSError as error:
            raise self._lost(error) from error
        if not count:
            raise self._lost("it closed the connection")
        self._end += count

    def _wait_for(self, target: memoryview) -> int:
        """Wait for bytes; return how many were received.

        While work comes in quick succession, the thread looks for it a while before it sleeps: to be woken costs more
        than most small models take to run (measured: 40 us on a virtual machine with idle cores).
        """
        began = perf_counter_ns()
        while self._busy and perf_counter_ns() - began < _SPIN_NS:
            try:
                return self._socket.recv_into(target, 0, socket.MSG_DONTWAIT)
            except BlockingIOError:
                os.sched_yield()  # whoever else wants this core shall have it
        began = perf_counter_ns()
        count = self._socket.recv_into(target)
        self._busy = perf_counter_ns() - began < _SPIN_NS
        return count

    def _lost(self, why: object) -> WorkSourceLostError:
        return WorkSourceLostError(f"The shard at {self._address} has gone: {why}")

    def _garbled(self, what: bytes) -> WorkSourceLostError:
        return WorkSourceLostError(f"The shard at {self._address} answers what makes no sense: {what[:60]!r}")


def encode(*words: str) -> bytes:
    r"""Return a command.

    Example:
        >>> encode("AI._WORKER", "NEXT")
        b'*2\r\n$10\r\nAI._WORKER\r\n$4\r\nNEXT\r\n'
    """
    encoded = [word.encode(errors="surrogateescape") for word in words]
    return b"*%d\r\n%b" % (len(words), b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded))


def encode_hello(role: str, device: str, process: int, versions: Mapping[str, str]) -> bytes:
    """Return the command with which a connection says what it is."""
    pairs: Iterable[str] = (word for pair in versions.items() for word in pair)
    return encode("AI._WORKER", "HELLO", "1", role, device, str(process), *pairs)


def _connect(address: Address) -> socket.socket:
    if not address.is_unix:
        connected = socket.create_connection((address.host, address.port), _CONNECT_TIMEOUT)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _PROBES.items():
            connected.setsockopt(socket.IPPROTO_TCP, option, value)
        return connected
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.settimeout(_CONNECT_TIMEOUT)
        connected.connect(address.path)
    except BaseException:
        connected.close()
        raise
    return connected


def _send_pieces(connected: socket.socket, pieces: Sequence[memoryview]) -> None:
    first = 0
    rest = list(pieces)
    while first < len(rest):
        sent = connected.sendmsg(rest[first : first + _PIECES_AT_ONCE])
        while first < len(rest) and sent >= len(rest[first]):
            sent -= len(rest[first])
            first += 1
        if sent:
            rest[first] = rest[first][sent:]
