"""What supervises the database of one node: starts it for the first rank and ends it after the last.

It is a fork of the first rank's process, and not its child. It knows the ranks as processes, by the connections that
they make before they become the application: a rank has ended when its process has, however that came about, and
whatever it leaves behind. Nothing is polled while ranks run.

Whatever kills it, the kernel kills the server at once; the supervisor of the workers, and these, end with the server.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import Any, Final

from smartsim.adapters.wlm.exits import exit_descriptor
from smartsim.app.colocated import peer
from smartsim.app.colocated_shard import Shard, ShardFailedError, close_all_but
from smartsim.domain.colocation import ColocatedDatabase, local_ranks

_LATE_RANKS: Final = 20.0  # seconds that ranks which are still expected may come after all others have ended
_UNKNOWN_RANKS: Final = 1.0  # seconds, when nothing says how many are to come
_SUBREAPER: Final = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
_KEPT: Final = {signal.SIGCHLD, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}


def supervise(listener: socket.socket, description: dict[str, Any], cpus: set[int]) -> None:
    """Run the database of this node until the last rank has ended.

    Args:
        listener: on which ranks connect.
        description: of the database, as its file has it.
        cpus: of the job on this node, as far as the first rank knows.
    """
    database = ColocatedDatabase(**description)
    expected = database.ranks or local_ranks(os.environ)
    log = database.log_of(socket.gethostname())
    wake = _detach(listener, log, database.directory)
    shard = Shard(database, cpus, log)
    ranks = _Ranks(listener, expected, wake)
    try:
        try:
            shard.start()
            _publish(database, "ready", str(shard.address))
            ranks.answer = {"address": str(shard.address), "cpus": shard.cpus}
            ranks.serve(shard.descriptor)
            failure = shard.failure()
            os.unlink(_path(database, "ready"))
        except ShardFailedError as error:
            failure = str(error)
        if failure:
            _publish(database, "error", f"The database of {database.model} on {socket.gethostname()} {failure}")
            shard.stop()
            ranks.answer = {"error": failure}
            ranks.serve(None)
    finally:
        shard.stop()


class _Ranks:
    """The ranks of this node.

    Args:
        listener: on which they connect.
        expected: how many are to come; None when nobody knows.
        wake: from which the numbers of signals are read.
    """

    def __init__(self, listener: socket.socket, expected: int | None, wake: int) -> None:
        self.answer: dict[str, Any] = {}  # what ranks are told of the database
        listener.settimeout(0)
        self._listener = listener
        self._wake = wake
        self._is_ending = False
        self._expected = expected
        self._joined = 0
        self._told = False
        self._alive: set[int] = set()  # descriptors that tell of the end of a rank
        self._poll = select.poll()
        self._poll.register(listener, select.POLLIN)
        self._poll.register(wake, select.POLLIN)

    def serve(self, server: int | None) -> None:
        """Let ranks join until the last has ended, or the server has.

        Args:
            server: a descriptor that tells of its end; None if it has ended already.
        """
        if server is not None:
            self._poll.register(server, select.POLLIN)
        self._admit()
        ended_at = time.monotonic()  # the last rank that was alive
        while True:
            left = None if self._alive else ended_at + self._patience() - time.monotonic()
            if left is not None and left <= 0:
                return
            for descriptor, _ in self._poll.poll(None if left is None else left * 1000):
                if descriptor == server:
                    self._poll.unregister(descriptor)
                    return
                if descriptor in self._alive:
                    self._poll.unregister(descriptor)
                    os.close(descriptor)
                    self._alive.remove(descriptor)
                    ended_at = time.monotonic()
                elif descriptor == self._wake:
                    self._is_ending |= signal.SIGTERM in os.read(descriptor, 4096)
                else:
                    self._admit()

    def _patience(self) -> float:
        """Return for how many seconds ranks may still come when none is alive."""
        if self._is_ending:
            return 0.0
        if self._expected is None:
            return _UNKNOWN_RANKS
        return _LATE_RANKS if self._joined < self._expected else 0.0

    def _admit(self) -> None:
        """Let everybody join who has connected."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            with connection, suppress(OSError):  # a rank that ended since
                self._join(connection)

    def _join(self, connection: socket.socket) -> None:
        process, user = peer(connection)
        if user != os.getuid():
            return
        self._joined += 1
        descriptor = exit_descriptor(process)
        # A rank keeps the connection until it is answered. If it is open now, the descriptor is not of a later process.
        if _is_closed(connection):
            os.close(descriptor)
            return
        self._alive.add(descriptor)
        self._poll.register(descriptor, select.POLLIN)
        connection.sendall(json.dumps({**self.answer, "first": not self._told}).encode())
        self._told = True


def _is_closed(connection: socket.socket) -> bool:
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False


def _detach(listener: socket.socket, log: str, directory: str) -> int:
    """Let go of everything that is the rank's: its output, its directory, what it inherited from its launcher.

    Returns:
        A descriptor from which the numbers of signals are read.
    """
    # Signals to the job mean the application, which may need its database while it ends. A handler, because what is
    # ignored would be ignored by the server as well.
    for number in signal.valid_signals() - _KEPT - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, lambda _number, _frame: None)
    # In the process group of the whole step, if that is to be had: then the step has not ended before the database has.
    with suppress(OSError):
        os.setpgid(0, os.getsid(0))
    with open(os.devnull, "rb") as nothing, open(log, "ab") as output:
        os.dup2(nothing.fileno(), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    close_all_but(listener.fileno())
    wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    os.chdir(directory)
    # What the server leaves behind becomes a child of this process, which waits for it.
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    return wake


def _publish(database: ColocatedDatabase, kind: str, text: str) -> None:
    """Tell the driver, by a file that is there at once or not at all."""
    path = _path(database, kind)
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - the log
    with open(f"{path}.part", "w", encoding="utf-8") as stream:
        stream.write(text + "\n")
    os.rename(f"{path}.part", path)


def _path(database: ColocatedDatabase, kind: str) -> str:
    return os.path.join(database.directory, f"{socket.gethostname()}.{kind}")
