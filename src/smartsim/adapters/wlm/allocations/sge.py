"""Jobs of Grid Engine: their variables and their host file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from smartsim.adapters.wlm.allocations.job import counted_nodes, lines, number, variable
from smartsim.domain.errors import LauncherError
from smartsim.domain.resources import Node
from smartsim.ports.process_runner import ProcessRunner

_LEAST_WORDS = 2


@dataclass(frozen=True)
class GridEngineJob:
    """A job of Grid Engine that this process runs in.

    Args:
        environment: the variables of this process.
        processes: not needed: the variables and the host file say it all.
    """

    environment: Mapping[str, str]
    processes: ProcessRunner

    def hosts(self) -> list[str]:
        """Return the names of the nodes, sorted, each once."""
        return sorted(self.tasks_per_node())

    def queue(self) -> str:
        """Return the queue."""
        return variable(self.environment, "QUEUE", "Grid Engine")

    def tasks(self) -> int:
        """Return how many slots the job has."""
        return number(self.environment, "NSLOTS", "Grid Engine")

    def tasks_per_node(self) -> dict[str, int]:
        """Return how many slots the job has on each node, by its name."""
        if not self.environment.get("PE_HOSTFILE"):
            return {variable(self.environment, "HOSTNAME", "Grid Engine"): self.tasks()}
        slots: Counter[str] = Counter()
        for where, words in lines(self.environment, "PE_HOSTFILE", "Grid Engine"):
            if len(words) < _LEAST_WORDS or not words[1].isdecimal():
                raise LauncherError(f"{where}, is {' '.join(words)!r}: it should be a host with its number of slots")
            slots[words[0]] += int(words[1])
        return dict(slots)

    def nodes(self) -> tuple[Node, ...]:
        """Return the nodes with a CPU for each slot; Grid Engine does not tell which, nor of GPUs."""
        variable(self.environment, "JOB_ID", "Grid Engine")
        return counted_nodes(self.tasks_per_node())
