"""A network of their own for processes of tests that must not notice changes of the machine's."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

_NETWORK = 0x40000000  # CLONE_NEWNET of unshare(2), which Python has from 3.12 on
_SET_FLAGS = 0x8914  # SIOCSIFFLAGS of netdevice(7)
_UP = 1


@contextlib.contextmanager
def own_network() -> Iterator[None]:
    """Give this thread, and what it starts, a network in which there is but this machine.

    Where that is not permitted nothing happens: there, clusters of tests cannot begin or end beside it either.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open("rb") as earlier:
        if libc.unshare(_NETWORK) != 0:
            assert ctypes.get_errno() == errno.EPERM
            yield
            return
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anything:
                fcntl.ioctl(anything, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP))
            yield
        finally:
            assert libc.setns(earlier.fileno(), _NETWORK) == 0
