"""A descriptor that tells of a process's end."""

from __future__ import annotations

import errno
import os
import threading

from smartsim.adapters.wlm.proc import identity

_LOOK = 0.2  # seconds between two looks at a process that is not our child, on a kernel without process descriptors


def exit_descriptor(pid: int) -> int:
    """Return a descriptor that becomes readable when a process ends; the caller closes it.

    It is a process descriptor where the kernel has them (`pidfd_open(2)`: Linux 5.3 and later), and elsewhere the end
    of a pipe whose other end a thread closes.

    Raises:
        ProcessLookupError: there is no such process.
    """
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
    known = identity(pid)
    if known is None:
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
    reader, writer = os.pipe2(os.O_CLOEXEC)
    threading.Thread(target=_close_at_exit, args=(pid, known, writer), name="smartsim-exit", daemon=True).start()
    return reader


def _close_at_exit(pid: int, known: str, writer: int) -> None:
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    except ChildProcessError:  # another driver's
        pause = threading.Event()
        while identity(pid) == known:
            pause.wait(_LOOK)
    os.close(writer)
