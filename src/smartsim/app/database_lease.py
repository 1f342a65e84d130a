"""The lease of a database: how long it stays when its driver and all of its clients have gone.

Beside each server its supervisor keeps the lease. While the driver runs it waits for its end, and does nothing else.
Then it looks from time to time whether anybody uses its server. Where somebody does, the lease begins anew, for all
servers of the database: by the time of modification of the file about the driver, which lies in their directory. A
driver that takes the database over writes that file.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from smartsim.adapters.filesystem.posix import PosixFileSystem
from smartsim.adapters.wlm.exits import exit_descriptor
from smartsim.adapters.work.usage import RespUsage
from smartsim.app.drivers import driver_file, find_driver
from smartsim.ports.work_source import WorkSourceLostError

if TYPE_CHECKING:
    from smartsim.domain.addresses import Address

_LOOKS: Final = 10  # in the time of a lease
_SHORTEST_PAUSE: Final = 0.05  # seconds between two looks


class LeasedShard:
    """The server that a lease is about.

    Args:
        name: of the shard.
        address: where it listens.
        users: of its workers, as which it is asked, and of those who sample it.
        password: the workers'.
        server: its process; the parent of this one.
    """

    def __init__(self, name: str, address: Address, users: tuple[str, str], password: str, server: int) -> None:
        self._name = name
        self._login = address, users[0], password, users[1:]
        self._server = server
        self._usage: RespUsage | None = None

    def end(self, lease: float) -> None:
        """Ask it to end. It saves first, if it keeps checkpoints, and goes on if it cannot save."""
        with suppress(OSError):  # its standard error is the shard's: a file on a disk that may be full
            print(  # noqa: T201
                f"The driver and the clients of {self._name} have been gone for {lease:g} s: it is to end",
                file=sys.stderr,
                flush=True,
            )
        if os.getppid() == self._server:
            os.kill(self._server, signal.SIGTERM)

    def in_use(self) -> bool:
        """Return whether anybody uses it; a server that does not answer is busy, and somebody may wait for it."""
        try:
            if self._usage is None:
                self._usage = RespUsage(*self._login)
            return self._usage.in_use()
        except WorkSourceLostError:
            self.close()
            return True

    def close(self) -> None:
        """Close the connection."""
        if self._usage is not None:
            self._usage.close()
            self._usage = None


def keep_lease(lease: float, directory: str, shard: LeasedShard, ended: int) -> None:
    """Have a server end when its lease has run out; return when it has ended, for whatever reason.

    Args:
        lease: in seconds.
        directory: of the database.
        shard: the server. If it does not end when asked to, since it cannot save, it is asked again a lease later.
        ended: a descriptor that is readable once it has ended.
    """
    record = driver_file(directory)
    pause = max(lease / _LOOKS, _SHORTEST_PAUSE)
    renewed, known = time.monotonic(), _modified(record)
    while not select.select([ended], [], [], pause)[0]:
        if _await_end_of_driver(directory, ended) or shard.in_use():
            renewed = time.monotonic()
            _touch(record)
        if (modified := _modified(record)) != known:
            renewed, known = time.monotonic(), modified
        if time.monotonic() - renewed >= lease:
            renewed = time.monotonic()
            shard.end(lease)
    shard.close()


def _await_end_of_driver(directory: str, ended: int) -> bool:
    """Wait while the driver runs, and the server; return whether there was a driver."""
    files = PosixFileSystem()
    driver = find_driver(files, directory)
    if driver is None:
        return False
    try:
        descriptor = exit_descriptor(driver)
    except ProcessLookupError:
        return True
    try:
        if find_driver(files, directory) == driver:  # the descriptor is not of a later process of its number
            select.select([descriptor, ended], [], [])
    finally:
        os.close(descriptor)
    return True


def _touch(path: str) -> None:
    with suppress(OSError):  # somebody has removed the directory
        os.utime(path)


def _modified(path: str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None
