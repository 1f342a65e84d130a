"""The processes of this user on this machine, as `/proc` has them (`proc(5)`)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from smartsim.adapters.wlm.proc import identity, stat_fields

# Fields of /proc/<pid>/stat counted from the one after the command name.
_STATE, _PARENT, _SESSION, _START_TIME, _RESIDENT = 0, 1, 3, 19, 21
_STANDARD_OUTPUTS = (1, 2)


@dataclass(frozen=True)
class OwnProcess:
    """One process of this user.

    Args:
        pid: its id.
        identity: tells it from all others that had or will have its id.
        parent: process id of its parent.
        session: the process id of its session's first process.
        age: in seconds.
        memory: that is resident, in bytes.
        argv: its command, as it is now: servers write other words over it.
        directory: its working directory; ends in " (deleted)" if that is gone.
        outputs: the files of its standard output and standard error.
    """

    pid: int
    identity: str
    parent: int
    session: int
    age: float
    memory: int
    argv: tuple[str, ...]
    directory: str
    outputs: tuple[str, ...]

    def maps(self, name: str) -> bool:
        """Return whether a file of this name is loaded into it."""
        try:
            with open(f"/proc/{self.pid}/maps", "rb") as stream:
                return f"/{name}".encode() in stream.read()
        except OSError:
            return False


def own_processes() -> list[OwnProcess]:
    """Return the processes of this user that run, in the order of their ids, but for those of this one's session."""
    return sorted(_found(), key=lambda process: process.pid)


def open_files(pid: int) -> set[str]:
    """Return the files that a process has open; none if it has ended, or is another user's."""
    try:
        numbers = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return set()
    return {path for number in numbers if (path := _link(f"/proc/{pid}/fd/{number}"))}


def _found() -> Iterator[OwnProcess]:
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    session = os.getsid(0)
    with open("/proc/uptime", encoding="ascii") as stream:
        uptime = float(stream.read().split()[0])
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            is_own = os.stat(f"/proc/{name}").st_uid == os.getuid()
            if not is_own or (fields := stat_fields(name)) is None or fields[_STATE] in "ZX":
                continue
            if int(fields[_SESSION]) == session:
                continue
            with open(f"/proc/{name}/cmdline", "rb") as stream:
                argv = tuple(os.fsdecode(word) for word in stream.read().rstrip(b"\0").split(b"\0"))
        except OSError:
            continue  # it has ended since
        if (known := identity(int(name))) is not None:
            yield OwnProcess(
                pid=int(name),
                identity=known,
                parent=int(fields[_PARENT]),
                session=int(fields[_SESSION]),
                age=max(0.0, uptime - int(fields[_START_TIME]) / ticks),
                memory=int(fields[_RESIDENT]) * page,
                argv=argv,
                directory=_link(f"/proc/{name}/cwd"),
                outputs=tuple(_link(f"/proc/{name}/fd/{number}") for number in _STANDARD_OUTPUTS),
            )


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
