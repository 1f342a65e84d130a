"""Jobs of PBS: their variables, their node file, and what ``qstat`` says of them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smartsim.adapters.wlm.allocations.job import answer, counted_nodes, host_lines, variable
from smartsim.domain.errors import LauncherError
from smartsim.domain.resources import Node
from smartsim.ports.process_runner import ProcessRunner

_VNODE = re.compile(r"(?P<name>[^:\[\]()+]+)(?:\[[0-9]+\])?(?P<resources>(?::[^:+()]+)*)")


@dataclass(frozen=True)
class PbsJob:
    """A job of PBS that this process runs in.

    Args:
        environment: the variables of this process.
        processes: runs ``qstat``.
    """

    environment: Mapping[str, str]
    processes: ProcessRunner

    def hosts(self) -> list[str]:
        """Return the names of the nodes without their domain, sorted, each once."""
        return sorted({_short(host) for host in host_lines(self.environment, "PBS_NODEFILE", "PBS")})

    def queue(self) -> str:
        """Return the queue."""
        return variable(self.environment, "PBS_QUEUE", "PBS")

    def tasks(self) -> int:
        """Return how many CPUs the job has."""
        job = self._job()
        for resources in ("resources_used", "Resource_List"):
            count = str(job.get(resources, {}).get("ncpus", ""))
            if count.isdecimal():
                return int(count)
        return sum(self.tasks_per_node().values())

    def tasks_per_node(self) -> dict[str, int]:
        """Return how many CPUs the job has on each node, by its name."""
        return dict(self._granted()["ncpus"])

    def nodes(self) -> tuple[Node, ...]:
        """Return the nodes with the number of CPUs and GPUs that the job has there; PBS does not tell which."""
        granted = self._granted()
        return counted_nodes(granted["ncpus"], granted["ngpus"])

    def _granted(self) -> dict[str, Counter[str]]:
        return parse_vnodes(str(self._job().get("exec_vnode", "")))

    def _job(self) -> dict[str, Any]:
        job = variable(self.environment, "PBS_JOBID", "PBS")
        text = answer(self.processes, ("qstat", "-f", "-F", "json", job))
        return parse_job(text, job)


def parse_job(text: str, job: str) -> dict[str, Any]:
    """Return what ``qstat -f -F json`` says of a job.

    Raises:
        LauncherError: it says nothing of it, or cannot be read.
    """
    try:
        said = json.loads(text)["Jobs"][job]
    except (ValueError, KeyError, TypeError) as error:
        raise LauncherError(f"qstat -f -F json {job} does not tell of the job ({error!r}): {text[-500:]!r}") from error
    if not isinstance(said, dict):
        raise LauncherError(f"qstat -f -F json {job} does not tell of the job: {said!r}")
    return said


def parse_vnodes(text: str) -> dict[str, Counter[str]]:
    """Return what a job has of each host, by resource.

    Args:
        text: the attribute ``exec_vnode``: chunks in parentheses, each of one or more virtual nodes.

    Raises:
        LauncherError: it has another form.

    Example:
        >>> parse_vnodes("(n1:ncpus=2:ngpus=1)+(n2[0]:ncpus=1+n2[1]:ncpus=1)")["ncpus"]
        Counter({'n1': 2, 'n2': 2})
    """
    granted: dict[str, Counter[str]] = {"ncpus": Counter(), "ngpus": Counter()}
    for vnode in text.replace("(", "").replace(")", "").split("+"):
        match = _VNODE.fullmatch(vnode)
        if match is None:
            raise LauncherError(
                f"exec_vnode of the job cannot be read: {vnode!r} in {text!r} is no virtual node of PBS"
            )
        for resource in match["resources"].split(":"):
            name, _, count = resource.partition("=")
            if name in granted and count.isdecimal():
                granted[name][_short(match["name"])] += int(count)
    return granted


def _short(host: str) -> str:
    return host.partition(".")[0]
