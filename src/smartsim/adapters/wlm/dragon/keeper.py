"""The owner of a Dragon runtime: it starts the runtime, and when that ends, by whatever, it leaves nothing behind.

It is the leader of a session, which the launcher of Dragon must not be (it would hang: a leader cannot change its
process group, as that launcher does), and takes over every process whose parent ends.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import suppress

from smartsim.adapters.wlm.proc import stat_fields

ENDING = 15.0
"""Seconds in which a keeper that is asked to end has seen to it that nothing of the runtime is left."""

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
_PARENT = 1  # fields of /proc/<pid>/stat counted from the one after the command name
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - where the system has it
_POOL = "DD"  # how the names of Dragon's files there begin
_OBEY = 5  # seconds that the runtime has to end when it is asked to
_GRACE = 2.0  # seconds that processes have to end by themselves when the runtime has
_TICK = 0.01  # seconds between looks at processes whose ends nobody announces


def command(token_file: str, runtime: Collection[str]) -> list[str]:
    """Return the command of a keeper.

    Args:
        token_file: of the runtime; removed in the end.
        runtime: its command.
    """
    return [sys.executable, "-P", "-m", __name__, token_file, *runtime]


def main() -> None:
    """Run the runtime that the words of the command line describe, and exit as it does."""
    token_file, *runtime = sys.argv[1:]
    began = time.time()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # Who asks the session to end asks the runtime, too. This process stays, to see to it: what the runtime starts in
    # sessions of its own nobody else would find.
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(_OBEY))
    signal.signal(signal.SIGALRM, lambda *_: _kill_others())
    child = subprocess.Popen(runtime, stdin=subprocess.DEVNULL)
    returncode = _wait(child)
    _end_others()
    for path in (*_left_pools(began), token_file):
        with suppress(FileNotFoundError):
            os.unlink(path)
    sys.exit(returncode if returncode >= 0 else 128 - returncode)


def _wait(child: subprocess.Popen[bytes]) -> int:
    """Return how the runtime ends, and take note of the ends of all other processes until then."""
    while True:
        pid, status = os.wait()
        if pid == child.pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            return child.returncode


def _end_others() -> None:
    """Wait until nothing runs that the runtime has started, and kill what does not end."""
    kill_at = time.monotonic() + _GRACE
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid:
            continue
        if time.monotonic() >= kill_at:
            _kill_others()
        time.sleep(_TICK)


def _kill_others() -> None:
    for descendant in _descendants(os.getpid()):
        with suppress(ProcessLookupError):
            os.kill(descendant, signal.SIGKILL)


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := stat_fields(name)) is not None:
            children.setdefault(int(fields[_PARENT]), []).append(int(name))
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found[1:]


def _left_pools(began: float) -> Iterator[str]:
    """Yield the files of Dragon that are nobody's: they came since some time, and no process has them in its memory."""
    own = [
        entry.path
        for entry in os.scandir(_SHARED_MEMORY)
        if entry.name.startswith(_POOL) and entry.stat().st_uid == os.getuid() and entry.stat().st_ctime >= began
    ]
    used = _mapped() if own else ""
    yield from (path for path in own if path not in used)


def _mapped() -> str:
    texts = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/maps", encoding="utf-8", errors="replace") as stream:
                    texts.append("\n".join(line for line in stream if _SHARED_MEMORY in line))
            except OSError:
                continue  # it has ended, or is another user's
    return "\n".join(texts)


if __name__ == "__main__":
    main()
