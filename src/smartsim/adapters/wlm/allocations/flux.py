"""Jobs of Flux: what the instance that they are says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from smartsim.adapters.wlm.allocations.job import answer, variable
from smartsim.domain.errors import LauncherError
from smartsim.domain.hostlists import expand_hosts, expand_numbers
from smartsim.domain.resources import Node
from smartsim.ports.process_runner import ProcessRunner


@dataclass(frozen=True)
class FluxJob:
    """A job of Flux, an instance of its own, that this process runs in.

    Args:
        environment: the variables of this process.
        processes: runs ``flux``.
    """

    environment: Mapping[str, str]
    processes: ProcessRunner

    def hosts(self) -> list[str]:
        """Return the names of the nodes, sorted, each once."""
        return sorted(node.name for node in self.nodes())

    def queue(self) -> str:
        """Return the queue that the job was submitted to; empty where there is but one without a name."""
        variable(self.environment, "FLUX_URI", "Flux")
        job = answer(self.processes, ("flux", "getattr", "jobid")).strip()
        return answer(self.processes, ("flux", "--parent", "jobs", "-n", "-o", "{queue}", job)).strip()

    def tasks(self) -> int:
        """Return how many cores the job has."""
        return sum(self.tasks_per_node().values())

    def tasks_per_node(self) -> dict[str, int]:
        """Return how many cores the job has on each node, by its name."""
        return {node.name: len(node.cpus) for node in self.nodes()}

    def nodes(self) -> tuple[Node, ...]:
        """Return the nodes with the cores and GPUs that the instance has there; Flux' numbers."""
        variable(self.environment, "FLUX_URI", "Flux")
        return parse_resources(answer(self.processes, ("flux", "resource", "R")))


def parse_resources(text: str) -> tuple[Node, ...]:
    """Return the nodes of a resource set.

    Args:
        text: as ``flux resource R`` writes it: JSON (RFC 20, version 1). Brokers on the same node are put together.

    Raises:
        LauncherError: it cannot be read.
    """
    found: dict[str, tuple[set[int], set[int]]] = {}
    try:
        execution = json.loads(text)["execution"]
        ranks = {
            rank: entry["children"]
            for entry in execution["R_lite"]
            for rank in expand_numbers(str(entry["rank"]).strip("[]"))
        }
        hosts = [host for item in execution["nodelist"] for host in expand_hosts(item)]
        for (_, children), host in zip(sorted(ranks.items(), key=lambda item: item[0]), hosts, strict=True):
            cpus, gpus = found.setdefault(host, (set(), set()))
            cpus.update(expand_numbers(children["core"].strip("[]")))
            if children.get("gpu"):
                gpus.update(expand_numbers(children["gpu"].strip("[]")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LauncherError(f"flux resource R does not tell of the nodes ({error!r}): {text[-500:]!r}") from error
    return tuple(Node(name, tuple(sorted(cpus)), tuple(sorted(gpus))) for name, (cpus, gpus) in found.items())
