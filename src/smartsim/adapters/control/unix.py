"""Drivers that listen on unix sockets in the directories of their experiments.

A request is one line of JSON, and so is its answer; a connection carries one of each. The sockets lie in
``.smartsim/control``, which belongs to the driver's user alone, and are called ``<host>-<pid>-<number>.sock``. Both
sides ask the kernel who is at the other end (`SO_PEERCRED`), and go on only with the same user.
"""

from __future__ import annotations

import json
import logging
import os
import posixpath
import re
import secrets
import socket
import stat
import struct
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from smartsim.ports.control_channel import LONGEST, Address, Answer, Listener, Message

_DIRECTORY = ".smartsim/control"
_NAME = re.compile(r"(?P<host>.+)-(?P<pid>\d+)-[0-9a-f]{8}\.sock")
_PATIENCE = 5.0  # seconds in which a request has to come in, and its answer to be taken
_CLOSING = 2.0  # seconds in which answers may still be given when a driver stops listening
_MOST_REQUESTS = 32  # at a time; others wait to be let in
_PEER = struct.Struct("3i")  # process, user, group

_logger = logging.getLogger("smartsim.control")


class UnixControlChannel:
    """Asks drivers of this machine and user, through the file system."""

    def listen(self, directory: str, answer: Answer) -> Listener:
        """Answer what this driver is asked from now on."""
        path = posixpath.join(directory, _DIRECTORY)
        os.makedirs(posixpath.dirname(path), exist_ok=True)
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)
        return _UnixListener(path, answer)

    def addresses(self, directory: str) -> Sequence[Address]:
        """Return where drivers of an experiment listen."""
        try:
            descriptor = _open_directory(posixpath.join(directory, _DIRECTORY))
        except FileNotFoundError:
            return []
        try:
            names = sorted(os.listdir(descriptor))
        finally:
            os.close(descriptor)
        here = socket.gethostname()
        found = [(name, match) for name in names if (match := _NAME.fullmatch(name))]
        return [Address(match["host"], int(match["pid"]), match["host"] == here, name) for name, match in found]

    def ask(self, directory: str, address: Address, request: Message, timeout: float) -> Message | None:
        """Return the answer of a driver, None when it has gone. What a killed driver left behind is removed."""
        line = _encode(request)
        deadline = time.monotonic() + timeout
        try:
            descriptor = _open_directory(posixpath.join(directory, _DIRECTORY))
        except FileNotFoundError:
            return None
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(timeout)
                connection.connect(f"/proc/self/fd/{descriptor}/{address.name}")
                _refuse_others(connection)
                connection.sendall(line)
                return _receive(connection, deadline)
        except ConnectionRefusedError:
            # Nobody on this machine has it open, and nobody on another one does: its host is in the name. A driver
            # that is about to listen gives its socket this name afterwards.
            if address.is_here:
                with suppress(OSError):
                    os.unlink(address.name, dir_fd=descriptor)
            return None
        except (FileNotFoundError, ConnectionResetError, BrokenPipeError):
            return None
        except BlockingIOError:  # so many wait already that nobody else may
            raise TimeoutError(f"Process {address.pid} takes no requests") from None
        finally:
            os.close(descriptor)


class _UnixListener:
    """One socket, the thread that takes requests from it, and one thread for each request.

    Args:
        directory: for the socket.
        answer: gives the answers.
    """

    def __init__(self, directory: str, answer: Answer) -> None:
        token = secrets.token_hex(4)
        name = f"{socket.gethostname()}-{os.getpid()}-{token}.sock"
        self._path = posixpath.join(directory, name)
        self._answer = answer
        self._owner = os.getpid()
        self._closing = threading.Event()
        self._places = threading.BoundedSemaphore(_MOST_REQUESTS)
        self._requests: set[threading.Thread] = set()
        self._socket = _listening(directory, f"{token}.part", name)
        self._thread = threading.Thread(target=self._run, name="smartsim-control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more requests, and wait a little for the answers to those that were taken."""
        if os.getpid() != self._owner:
            return  # this process was forked from the driver, whose socket it is
        self._closing.set()
        with suppress(OSError):
            os.unlink(self._path)
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread
        deadline = time.monotonic() + _CLOSING
        for thread in (self._thread, *tuple(self._requests)):
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
        self._socket.close()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError as error:
                # Closed; or no descriptors are left, which may change.
                if not self._closing.wait(0.1):
                    _logger.debug("A request was not taken: %s", error)
                continue
            self._places.acquire()  # given back when a request has its answer
            thread = threading.Thread(
                target=self._serve, args=(connection,), name="smartsim-control-request", daemon=True
            )
            self._requests.add(thread)
            try:
                thread.start()
            except RuntimeError as error:  # no more threads, which may change; whoever asked hears of nobody there
                _logger.debug("A request was not taken: %s", error)
                self._requests.discard(thread)
                self._places.release()
                connection.close()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                _refuse_others(connection)
                request = _receive(connection, time.monotonic() + _PATIENCE)
                if request is not None:
                    answer = _encode(self._answer(request))
                    connection.settimeout(_PATIENCE)
                    connection.sendall(answer)
        except (OSError, ValueError) as error:
            _logger.debug("A request was not answered: %s", error)
        finally:
            self._requests.discard(threading.current_thread())
            self._places.release()


def _listening(directory: str, first_name: str, name: str) -> socket.socket:
    """Return a socket that listens, under a name that it has from then on only."""
    descriptor = _open_directory(directory)
    listening = socket.socket(socket.AF_UNIX)
    try:
        os.fchmod(listening.fileno(), 0o600)  # and so its file, from the start (Linux)
        # Through the descriptor: the path of the directory may be longer than the 107 bytes that a socket's may have.
        listening.bind(f"/proc/self/fd/{descriptor}/{first_name}")
        try:
            listening.listen()
            os.rename(first_name, name, src_dir_fd=descriptor, dst_dir_fd=descriptor)
        except OSError:
            os.unlink(first_name, dir_fd=descriptor)
            raise
    except OSError:
        listening.close()
        raise
    finally:
        os.close(descriptor)
    return listening


def _open_directory(path: str) -> int:
    """Return a descriptor of the directory of the sockets.

    Raises:
        FileNotFoundError: there is none.
        PermissionError: others may write there.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    status = os.fstat(descriptor)
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o022:
        os.close(descriptor)
        raise PermissionError(f"{path} belongs to user {status.st_uid}, or may be written by others: not to be trusted")
    return descriptor


def _refuse_others(connection: socket.socket) -> None:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    process, user, _ = _PEER.unpack(credentials)
    if user != os.geteuid():
        raise PermissionError(f"Process {process} at the other end belongs to user {user}")


def _encode(message: Message) -> bytes:
    line = json.dumps(message).encode() + b"\n"
    if len(line) > LONGEST:
        raise ValueError(f"A message of {len(line)} bytes is too long: {LONGEST} at most")
    return line


def _receive(connection: socket.socket, deadline: float) -> Message | None:
    """Return what the other end says; None when it hangs up instead.

    Raises:
        TimeoutError: it did not say it in time.
        OSError: it is no message.
    """
    received = b""
    while not received.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0.0:
            raise TimeoutError("Nothing was said in time")
        connection.settimeout(left)
        part = connection.recv(LONGEST)
        if not part:
            return None
        received += part
        if len(received) > LONGEST:
            raise OSError(f"More than the {LONGEST} bytes of a message")
    try:
        message = json.loads(received)
    except (ValueError, RecursionError) as error:
        raise OSError(f"No message: {error}") from error
    if not isinstance(message, dict):
        raise OSError(f"No message: {type(message).__name__}")
    return message
