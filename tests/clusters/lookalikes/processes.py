"""The processes of jobs."""

from __future__ import annotations

import os
from collections.abc import Iterator


def signal_session(session: int, number: int) -> None:
    """Send a signal to all processes of a session; there may be none."""
    for pid in _pids():
        fields = _stat(pid)
        if fields is not None and int(fields[_SESSION]) == session and fields[_STATE] != "Z":
            _send(pid, number)


def usage(session: int) -> tuple[float, int]:
    """Return the seconds of CPU time that all processes of a session have used, and the bytes that are resident."""
    known = (_stat(pid) for pid in _pids())
    found = [fields for fields in known if fields is not None and int(fields[_SESSION]) == session]
    ticks = sum(int(number) for fields in found for number in fields[_TIMES])
    pages = sum(int(fields[_RESIDENT]) for fields in found)
    return ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE")


def marked(variable: str, value: str) -> list[int]:
    """Return the processes that were started with a variable in their environment."""
    wanted = os.fsencode(f"{variable}={value}")
    found = []
    for pid in _pids():
        try:
            with open(f"/proc/{pid}/environ", "rb") as stream:
                environment = stream.read().split(b"\0")
        except OSError:
            continue
        if wanted in environment:
            found.append(pid)
    return found


def kill(pid: int) -> None:
    """End a process that may have ended."""
    _send(pid, 9)


_STATE, _SESSION, _TIMES, _RESIDENT = 0, 3, slice(11, 15), 21  # see proc_pid_stat(5): after the program's name


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _stat(pid: int) -> list[str] | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            return stream.read().rpartition(")")[2].split()
    except OSError:
        return None


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
