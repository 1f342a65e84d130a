"""What `/proc` says about processes (`proc(5)`)."""

from __future__ import annotations

import os
import time

# Fields of /proc/<pid>/stat counted from the one after the command name.
_STATE, _GROUP, _SESSION, _START_TIME = 0, 2, 3, 19


def stat_fields(pid: int | str) -> list[str] | None:
    """Return the fields of a process's `stat` behind the name of its program; None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            text = stream.read()
    except OSError:
        return None
    # The name is in parentheses and may itself hold blanks and parentheses.
    return text[text.rindex(")") + 2 :].split()


def identity(pid: int) -> str | None:
    """Return what tells a process from all others that had or will have its id on this machine; None without one."""
    fields = stat_fields(pid)
    if fields is None:
        return None
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
        return f"{stream.read().strip()}/{fields[_START_TIME]}"


def started_at(pid: int, now: float) -> float | None:
    """Return when a process was started, in seconds since the epoch; None when there is none that runs.

    Args:
        pid: its id.
        now: the time.
    """
    fields = stat_fields(pid)
    if fields is None or fields[_STATE] in "ZX":
        return None
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[_START_TIME]) / os.sysconf("SC_CLK_TCK")
    return now - age


def runs(pid: int, known: str) -> bool:
    """Return whether a process of some identity runs: one that has ended and that nobody has waited for does not."""
    fields = stat_fields(pid)
    return fields is not None and fields[_STATE] not in "ZX" and identity(pid) == known


def sessions() -> dict[int, set[int]]:
    """Return the process groups in which processes run (zombies do not), by the id of their session."""
    found: dict[int, set[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := stat_fields(name)) is not None and fields[_STATE] not in "ZX":
            found.setdefault(int(fields[_SESSION]), set()).add(int(fields[_GROUP]))
    return found
