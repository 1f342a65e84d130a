"""Jobs of LSF: their variables and their host file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from smartsim.adapters.wlm.allocations.job import counted_nodes, host_lines, variable
from smartsim.domain.errors import LauncherError
from smartsim.domain.resources import Node
from smartsim.ports.process_runner import ProcessRunner


@dataclass(frozen=True)
class LsfJob:
    """A job of LSF that this process runs in.

    On machines with ``jsrun`` a job's script runs on a launch node, which LSF lists first and which is no part of what
    the job may use.

    Args:
        environment: the variables of this process.
        processes: finds ``jsrun``.
    """

    environment: Mapping[str, str]
    processes: ProcessRunner

    def hosts(self) -> list[str]:
        """Return the names of the nodes, sorted, each once."""
        return sorted(self.tasks_per_node())

    def queue(self) -> str:
        """Return the queue."""
        return variable(self.environment, "LSB_QUEUE", "LSF")

    def tasks(self) -> int:
        """Return how many slots the job has."""
        return sum(self.tasks_per_node().values())

    def tasks_per_node(self) -> dict[str, int]:
        """Return how many slots the job has on each node, by its name."""
        slots = self._slots()
        if len(slots) > 1 and self.processes.find("jsrun") is not None:
            del slots[next(iter(slots))]
        return slots

    def nodes(self) -> tuple[Node, ...]:
        """Return the nodes with a CPU for each slot; LSF does not tell which, nor of GPUs."""
        return counted_nodes(self.tasks_per_node())

    def _slots(self) -> dict[str, int]:
        if self.environment.get("LSB_DJOB_HOSTFILE"):
            return dict(Counter(host_lines(self.environment, "LSB_DJOB_HOSTFILE", "LSF")))
        if not self.environment.get("LSB_MCPU_HOSTS") and self.environment.get("LSB_HOSTS"):
            return dict(Counter(self.environment["LSB_HOSTS"].split()))
        return parse_counted_hosts(variable(self.environment, "LSB_MCPU_HOSTS", "LSF"))


def parse_counted_hosts(text: str) -> dict[str, int]:
    """Return the slots on each host.

    Args:
        text: the variable ``LSB_MCPU_HOSTS``: hosts, each followed by its number of slots.

    Raises:
        LauncherError: it has another form.

    Example:
        >>> parse_counted_hosts("batch3 1 a01n02 42 ")
        {'batch3': 1, 'a01n02': 42}
    """
    words = text.split()
    slots: Counter[str] = Counter()
    if len(words) % 2 or not all(count.isdecimal() for count in words[1::2]):
        raise LauncherError(f"LSB_MCPU_HOSTS={text!r} of LSF cannot be read: each host should have its number of slots")
    for host, count in zip(words[::2], words[1::2], strict=True):
        slots[host] += int(count)
    return dict(slots)
