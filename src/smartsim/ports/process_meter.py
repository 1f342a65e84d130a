"""What processes of this machine use."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class ProcessUsage:
    """What a tree of processes uses.

    Args:
        cpu_seconds: that it has used, user and system, with the processes of it that have ended and were waited for.
        memory: resident bytes; what processes share counts in each.
        processes: how many run; 0 when nobody tells.
        gpu_memory: bytes of GPUs that it has; None when nobody tells.
        gpu_utilization: of the GPUs on which it runs, from 0 to 1, the mean; None when nobody tells.
    """

    cpu_seconds: float
    memory: int
    processes: int
    gpu_memory: int | None = None
    gpu_utilization: float | None = None


class ProcessMeter(Protocol):
    """Looks at processes."""

    def measure(self, roots: Collection[int]) -> Mapping[int, ProcessUsage]:
        """Return what trees of processes use at the moment, all at once.

        Args:
            roots: the ids of processes. To the tree of each belongs what it or its processes have started, and what is
                in the session that it leads, except what belongs to another one nearer by.

        Returns:
            The usage by the id of the root; nothing for trees without a process that runs.
        """
        ...
