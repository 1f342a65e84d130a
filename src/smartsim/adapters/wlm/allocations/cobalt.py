"""Jobs of Cobalt: their variables and their node file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from smartsim.adapters.wlm.allocations.job import answer, counted_nodes, host_lines, number, variable
from smartsim.domain.errors import LauncherError
from smartsim.domain.hostlists import expand_numbers
from smartsim.domain.resources import Node
from smartsim.ports.process_runner import ProcessRunner

_HEADER = 2
"""Words before the first row: the name of the column, and a line under it."""


@dataclass(frozen=True)
class CobaltJob:
    """A job of Cobalt that this process runs in.

    Args:
        environment: the variables of this process.
        processes: runs ``qstat``.
    """

    environment: Mapping[str, str]
    processes: ProcessRunner

    def hosts(self) -> list[str]:
        """Return the names of the nodes, sorted, each once."""
        return sorted(self._hosts())

    def queue(self) -> str:
        """Return the queue. Cray machines have a variable for it; elsewhere ``qstat`` is asked."""
        if self.environment.get("COBALT_QUEUE"):
            return self.environment["COBALT_QUEUE"]
        job = variable(self.environment, "COBALT_JOBID", "Cobalt")
        rows = answer(self.processes, ("qstat", "--header", "Queue", job)).split()[_HEADER:]
        if len(rows) != 1:
            raise LauncherError(f"qstat --header Queue {job} of Cobalt does not tell the queue: {' '.join(rows)!r}")
        return rows[0]

    def tasks(self) -> int:
        """Return how many processes the job is for."""
        return number(self.environment, "COBALT_JOBSIZE", "Cobalt")

    def tasks_per_node(self) -> dict[str, int]:
        """Return how many processes each node is for, by its name."""
        hosts = self._hosts()
        each, rest = divmod(self.tasks(), len(hosts))
        return {host: each + (index < rest) for index, host in enumerate(hosts)}

    def nodes(self) -> tuple[Node, ...]:
        """Return the nodes. Cobalt gives whole ones, without a word on them: they are taken to be like this one."""
        return counted_nodes(dict.fromkeys(self._hosts(), os.cpu_count() or 1))

    def _hosts(self) -> list[str]:
        if self.environment.get("COBALT_NODEFILE"):
            return list(dict.fromkeys(host_lines(self.environment, "COBALT_NODEFILE", "Cobalt")))
        # Cray machines have no file, but the numbers of the nodes.
        text = variable(self.environment, "COBALT_PARTNAME", "Cobalt")
        try:
            return [f"nid{node:05}" for node in expand_numbers(text)]
        except ValueError as error:
            raise LauncherError(f"COBALT_PARTNAME={text!r} cannot be read: {error}") from error
