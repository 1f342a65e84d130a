"""Jobs of Slurm: their variables, and what ``scontrol`` says of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from smartsim.adapters.wlm.allocations.job import answer, counted_nodes, number, variable
from smartsim.domain.errors import LauncherError
from smartsim.domain.hostlists import expand_hosts, expand_numbers, expand_repeated
from smartsim.domain.resources import Node
from smartsim.ports.process_runner import ProcessRunner

_DETAIL = re.compile(r"^\s+Nodes=(?P<nodes>\S+) CPU_IDs=(?P<cpus>\S+)(?P<rest>.*)$", re.MULTILINE)
_GPUS = re.compile(r"(?:[=,])gpu(?::[^,(]*)?\(IDX:(?P<gpus>[0-9,-]+)\)")


@dataclass(frozen=True)
class SlurmJob:
    """A job of Slurm that this process runs in.

    Args:
        environment: the variables of this process.
        processes: runs ``scontrol``.
    """

    environment: Mapping[str, str]
    processes: ProcessRunner

    def hosts(self) -> list[str]:
        """Return the names of the nodes, sorted, each once."""
        return sorted(set(self._hosts("SLURM_JOB_NODELIST")))

    def queue(self) -> str:
        """Return the partition."""
        return self._of_groups("SLURM_JOB_PARTITION")[0]

    def tasks(self) -> int:
        """Return how many tasks the job is for, or the step if this process was started by ``srun``."""
        if self.environment.get("SLURM_NTASKS"):
            return number(self.environment, "SLURM_NTASKS", "Slurm")
        return sum(self._counts("SLURM_TASKS_PER_NODE"))

    def tasks_per_node(self) -> dict[str, int]:
        """Return how many tasks each node of the job is for, or of the step; by its name."""
        whose = "STEP" if self.environment.get("SLURM_STEP_NODELIST") else "JOB"
        return self._by_host(f"SLURM_{whose}_NODELIST", "SLURM_TASKS_PER_NODE")

    def nodes(self) -> tuple[Node, ...]:
        """Return the nodes with the CPUs and GPUs that the job has there; Slurm's numbers."""
        job = variable(self.environment, "SLURM_JOB_ID", "Slurm")
        array = self.environment.get("SLURM_ARRAY_JOB_ID")
        if array:
            # An element's own number may be that of its array, which would show all elements.
            job = f"{array}_{variable(self.environment, 'SLURM_ARRAY_TASK_ID', 'Slurm')}"
        nodes = parse_details(answer(self.processes, ("scontrol", "show", "job", "-d", job)))
        return nodes or counted_nodes(self._by_host("SLURM_JOB_NODELIST", "SLURM_JOB_CPUS_PER_NODE"))

    def _by_host(self, hosts: str, counts: str) -> dict[str, int]:
        names, numbers = self._hosts(hosts), self._counts(counts)
        if len(names) != len(numbers):
            raise LauncherError(f"{hosts} has {len(names)} nodes, but {counts} has numbers for {len(numbers)}")
        return dict(zip(names, numbers, strict=True))

    def _hosts(self, name: str) -> list[str]:
        try:
            return [host for group in self._of_groups(name) for host in expand_hosts(group)]
        except ValueError as error:
            raise LauncherError(f"{name} cannot be read: {error}") from error

    def _counts(self, name: str) -> list[int]:
        try:
            return [count for group in self._of_groups(name) for count in expand_repeated(group)]
        except ValueError as error:
            raise LauncherError(f"{name} cannot be read: {error}") from error

    def _of_groups(self, name: str) -> list[str]:
        """Return a variable; each of them in a heterogeneous job, which has one for every component."""
        if name in self.environment or not self.environment.get("SLURM_HET_SIZE"):
            return [variable(self.environment, name, "Slurm")]
        size = number(self.environment, "SLURM_HET_SIZE", "Slurm")
        return [variable(self.environment, f"{name}_HET_GROUP_{group}", "Slurm") for group in range(size)]


def parse_details(text: str) -> tuple[Node, ...]:
    """Return the nodes in what ``scontrol show job -d`` writes; none if it gives no details.

    Args:
        text: of all components of a heterogeneous job, whose CPUs on a node that several have are put together.

    Raises:
        LauncherError: they cannot be read.

    Example:
        >>> parse_details("     Nodes=node[1-2] CPU_IDs=0-1 Mem=0 GRES=gpu:1(IDX:0)")
        (Node(name='node1', cpus=(0, 1), gpus=(0,)), Node(name='node2', cpus=(0, 1), gpus=(0,)))
    """
    found: dict[str, tuple[set[int], set[int]]] = {}
    for match in _DETAIL.finditer(text):
        try:
            for name in expand_hosts(match["nodes"]):
                cpus, gpus = found.setdefault(name, (set(), set()))
                cpus.update(expand_numbers(match["cpus"]))
                for gpu in _GPUS.finditer(match["rest"]):
                    gpus.update(expand_numbers(gpu["gpus"]))
        except ValueError as error:
            raise LauncherError(f"scontrol's {match[0].strip()!r} cannot be read: {error}") from error
    return tuple(Node(name, tuple(sorted(cpus)), tuple(sorted(gpus))) for name, (cpus, gpus) in found.items())
