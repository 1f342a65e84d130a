"""What the system lets a user have, as far as databases and applications ask for more than it may give."""

from __future__ import annotations

import os
import resource
from typing import Final

from smartsim.app.cli.findings import Finding

_CLIENTS: Final = 50_000  # that our servers are configured for, with some files of their own
_OWN_FILES: Final = 32
_FEW_CLIENTS: Final = 1_000
_FEW_PROCESSES: Final = 4_096
_LITTLE_SHARED: Final = 256 << 20  # bytes; containers have 64 MiB unless told otherwise
_SHARED: Final = "/dev/shm"  # noqa: S108 - where the system has it
_FABRIC: Final = "/sys/class/infiniband"


def limits() -> list[Finding]:
    """Return what the system says of this process."""
    files, processes, locked = (
        resource.getrlimit(number)[1]
        for number in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC, resource.RLIMIT_MEMLOCK)
    )
    return [
        open_files(files),
        processes_at_once(processes),
        locked_memory(locked, has_fabric=os.path.isdir(_FABRIC)),
        shared_memory(_size(_SHARED)),
    ]


def open_files(most: int) -> Finding:
    """Judge how many files a process may have open; a server raises its own limit to the hard one.

    Example:
        >>> open_files(4096).state
        'warning'
    """
    clients = _CLIENTS if most == resource.RLIM_INFINITY else min(most - _OWN_FILES, _CLIENTS)
    found = f"{_shown(most)}: room for {clients} clients of a database"
    if clients == _CLIENTS:
        return Finding("open files", "ok", found)
    return Finding(
        "open files",
        "problem" if clients < _FEW_CLIENTS else "warning",
        found,
        f"each client takes one: have the hard limit raised to {_CLIENTS + _OWN_FILES} (ulimit -Hn, limits.conf) "
        "if you need more",
    )


def processes_at_once(most: int) -> Finding:
    """Judge how many processes and threads a user may have."""
    if most == resource.RLIM_INFINITY or most >= _FEW_PROCESSES:
        return Finding("processes", "ok", _shown(most))
    return Finding(
        "processes",
        "warning",
        _shown(most),
        f"threads count, too: have the hard limit raised to {_FEW_PROCESSES} or more (ulimit -Hu, limits.conf)",
    )


def locked_memory(most: int, *, has_fabric: bool) -> Finding:
    """Judge how much memory a process may lock, in bytes, which MPI does where there is a fabric with RDMA."""
    shown = "unlimited" if most == resource.RLIM_INFINITY else f"{most >> 10} KiB"
    if not has_fabric or most == resource.RLIM_INFINITY:
        return Finding("locked memory", "ok", shown)
    return Finding(
        "locked memory",
        "warning",
        shown,
        "MPI over InfiniBand locks its buffers: have the limit made unlimited (ulimit -Hl, limits.conf)",
    )


def shared_memory(size: int | None) -> Finding:
    """Judge the size of /dev/shm, in bytes; None if there is none."""
    advice = (
        "MPI and data loaders exchange data there: mount it with at least "
        f"{_LITTLE_SHARED >> 20} MiB (docker run --shm-size)"
    )
    if size is None:
        return Finding("shared memory", "warning", f"there is no {_SHARED}", advice)
    found = f"{_SHARED} has {size >> 20} MiB"
    if size < _LITTLE_SHARED:
        return Finding("shared memory", "warning", found, advice)
    return Finding("shared memory", "ok", found)


def _size(directory: str) -> int | None:
    try:
        found = os.statvfs(directory)
    except OSError:
        return None
    return found.f_frsize * found.f_blocks


def _shown(most: int) -> str:
    return "unlimited" if most == resource.RLIM_INFINITY else str(most)
