"""What `/proc` says that processes use (`proc(5)`)."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from smartsim.ports.process_meter import ProcessUsage

if TYPE_CHECKING:
    from smartsim.adapters.process.gpus import NvidiaGpus

# Fields of /proc/<pid>/stat counted from the one after the name of the program.
_STATE, _PARENT, _SESSION = 0, 1, 3
_TIMES = slice(11, 15)  # utime, stime, and those of children that were waited for
_RESIDENT = 21
_LONGEST = 1024  # bytes of such a file


@dataclass
class _Process:
    parent: int
    session: int
    ticks: int
    pages: int
    runs: bool


@dataclass
class _Tree:
    ticks: int = 0
    pages: int = 0
    pids: list[int] = field(default_factory=list)


class ProcMeter:
    """Reads one file of each process of the machine, once for all trees.

    Args:
        gpus: tells what processes use of GPUs; None when there are none.
    """

    def __init__(self, gpus: NvidiaGpus | None = None) -> None:
        self._gpus = gpus
        self._tick = 1 / os.sysconf("SC_CLK_TCK")
        self._page = os.sysconf("SC_PAGE_SIZE")

    def measure(self, roots: Collection[int]) -> Mapping[int, ProcessUsage]:
        """Return what trees of processes use at the moment."""
        if not roots:
            return {}
        processes = dict(_processes())
        owners: dict[int, int | None] = {root: root for root in roots}
        trees: dict[int, _Tree] = {}
        for pid, process in processes.items():
            owner = _owner(pid, processes, owners)
            if owner is None:
                continue
            tree = trees.setdefault(owner, _Tree())
            tree.ticks += process.ticks
            tree.pages += process.pages
            if process.runs:
                tree.pids.append(pid)
        found = {root: tree for root, tree in trees.items() if tree.pids}
        on_gpus = self._gpus.usage() if self._gpus is not None and found else {}
        return {
            root: ProcessUsage(
                cpu_seconds=tree.ticks * self._tick,
                memory=tree.pages * self._page,
                processes=len(tree.pids),
                gpu_memory=sum(used.memory for used in using) if using else None,
                gpu_utilization=sum(used.utilization for used in using) / len(using) if using else None,
            )
            for root, tree in found.items()
            for using in [[on_gpus[pid] for pid in tree.pids if pid in on_gpus]]
        }


def _processes() -> Iterator[tuple[int, _Process]]:
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            descriptor = os.open(f"/proc/{name}/stat", os.O_RDONLY | os.O_CLOEXEC)
            try:
                text = os.read(descriptor, _LONGEST)
            finally:
                os.close(descriptor)
        except OSError:  # it has just ended
            continue
        # The name is in parentheses and may itself hold blanks and parentheses.
        fields = text[text.rfind(b")") + 2 :].split(None, _RESIDENT + 1)
        yield (
            int(name),
            _Process(
                int(fields[_PARENT]),
                int(fields[_SESSION]),
                sum(map(int, fields[_TIMES])),
                int(fields[_RESIDENT]),
                fields[_STATE] not in b"ZX",
            ),
        )


def _owner(pid: int, processes: Mapping[int, _Process], owners: dict[int, int | None]) -> int | None:
    """Return the root to whose tree a process belongs; `owners` has those that are known, and gets the others."""
    passed = []
    owner = None
    while pid not in owners:
        process = processes.get(pid)
        if process is None:
            break
        passed.append(pid)
        owners[pid] = None  # parents may seem to go in a circle: they are not read at one time, and ids are used again
        # What was orphaned is in the session still; what has left the session is a descendant.
        if owners.get(process.session) == process.session:
            pid = process.session
            break
        pid = process.parent
    owner = owners.get(pid)
    owners.update(dict.fromkeys(passed, owner))
    return owner
