"""Nodes, what steps need of them, and what they get."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    """One node of an allocation.

    Args:
        name: its host name.
        cpus: the CPUs that the allocation has there, by number.
        gpus: so the GPUs.
    """

    name: str
    cpus: tuple[int, ...]
    gpus: tuple[int, ...] = ()


@dataclass(frozen=True)
class ResourceRequest:
    """What a step needs.

    Args:
        tasks: ranks in all; 0 for one on each node, or `tasks_per_node` of them.
        nodes: nodes to spread over; 0 for as few as will do.
        tasks_per_node: the most ranks on one node; 0 for as many as fit.
        cpus_per_task: CPUs of each rank.
        gpus_per_node: GPUs on each of its nodes.
        hosts: the only nodes that it may have, by name; none for any.
        excluded_hosts: nodes that it may not have, by name.
        whole_nodes: whether nothing else may run on its nodes.
        all_gpus: whether it has all GPUs of its nodes, however many these are.
    """

    tasks: int = 0
    nodes: int = 0
    tasks_per_node: int = 0
    cpus_per_task: int = 1
    gpus_per_node: int = 0
    hosts: tuple[str, ...] = ()
    excluded_hosts: tuple[str, ...] = ()
    whole_nodes: bool = False
    all_gpus: bool = False


@dataclass(frozen=True, slots=True)
class Share:
    """What a step has of one node.

    Args:
        node: its name.
        tasks: ranks there.
        cpus: the CPUs that are its own, by number.
        gpus: so the GPUs.
    """

    node: str
    tasks: int
    cpus: tuple[int, ...]
    gpus: tuple[int, ...] = ()


@dataclass(frozen=True)
class Lease:
    """What a step has, as long as it runs; nobody else has any of it meanwhile.

    Args:
        shares: in the order of the ranks: those of the first share have the lowest numbers.
    """

    shares: tuple[Share, ...]

    @property
    def tasks(self) -> int:
        """Ranks in all."""
        return sum(share.tasks for share in self.shares)
