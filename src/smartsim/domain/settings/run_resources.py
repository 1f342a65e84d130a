"""From the options of a run command to what they ask of an allocation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from smartsim.domain.hostlists import expand_hosts
from smartsim.domain.resources import ResourceRequest
from smartsim.domain.settings import values


@dataclass(frozen=True)
class ResourceOptions:
    """What a run command calls the things that can be asked for: every name that each of them has.

    Args:
        tasks: ranks in all.
        nodes: nodes.
        tasks_per_node: ranks on each node.
        cpus_per_task: CPUs of each rank.
        gpus: GPUs in all.
        gpus_per_node: GPUs on each node.
        gpus_per_task: GPUs of each rank.
        hosts: nodes by name.
        excluded_hosts: nodes to stay away from, by name.
        whole_nodes: options that keep everything else off its nodes.
    """

    tasks: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    tasks_per_node: tuple[str, ...] = ()
    cpus_per_task: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()
    gpus_per_node: tuple[str, ...] = ()
    gpus_per_task: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    excluded_hosts: tuple[str, ...] = ()
    whole_nodes: tuple[str, ...] = ()


def requested(run_args: Mapping[str, values.Option], names: ResourceOptions) -> ResourceRequest | None:
    """Return what options ask of an allocation.

    Args:
        run_args: the options, by name without dashes.
        names: what the run command calls them.

    Returns:
        None when they ask for nothing, or for something that only the run command understands: a range of nodes, say.

    Example:
        >>> names = ResourceOptions(tasks=("ntasks", "n"), cpus_per_task=("cpus-per-task", "c"))
        >>> request = requested({"ntasks": 4, "c": 2}, names)
        >>> request.tasks, request.cpus_per_task
        (4, 2)
    """
    try:
        request = _request(run_args, names)
    except ValueError:
        return None
    return None if request == ResourceRequest() else request


def count(run_args: Mapping[str, values.Option], names: tuple[str, ...]) -> int:
    """Return a count, which may follow a kind of thing as in ``a100:2``; 0 when there is none.

    Args:
        run_args: the options, by name without dashes.
        names: of the option.

    Raises:
        ValueError: it is no count.
    """
    value = _option(run_args, names)
    if value is None or isinstance(value, bool):
        return 0
    return values.positive(names[0], value.rpartition(":")[2] if isinstance(value, str) else value, at_least=0)


def _request(run_args: Mapping[str, values.Option], names: ResourceOptions) -> ResourceRequest:
    tasks = count(run_args, names.tasks)
    nodes = count(run_args, names.nodes)
    tasks_per_node = count(run_args, names.tasks_per_node)
    hosts = _hosts(run_args, names.hosts)
    if hosts and not tasks and not nodes:
        nodes = len(hosts)
    return ResourceRequest(
        tasks=tasks,
        nodes=nodes,
        tasks_per_node=tasks_per_node,
        cpus_per_task=count(run_args, names.cpus_per_task) or 1,
        gpus_per_node=_gpus_per_node(run_args, names, tasks, nodes, tasks_per_node),
        hosts=hosts,
        excluded_hosts=_hosts(run_args, names.excluded_hosts),
        whole_nodes=any(run_args.get(name, False) is not False for name in names.whole_nodes),
    )


def _gpus_per_node(
    run_args: Mapping[str, values.Option], names: ResourceOptions, tasks: int, nodes: int, tasks_per_node: int
) -> int:
    if per_node := count(run_args, names.gpus_per_node):
        return per_node
    if tasks <= 1 and tasks_per_node <= 1 and not nodes:
        nodes = 1
    if per_task := count(run_args, names.gpus_per_task):
        if not tasks_per_node and not nodes:
            raise ValueError("how many ranks share a node is the run command's to decide")
        return per_task * (tasks_per_node or _shared(tasks, nodes) or 1)
    if total := count(run_args, names.gpus):
        if not nodes:
            raise ValueError("over how many nodes the GPUs are spread is the run command's to decide")
        return _shared(total, nodes)
    return 0


def _shared(things: int, among: int) -> int:
    return -(-things // among)


def _option(run_args: Mapping[str, values.Option], names: tuple[str, ...]) -> values.Option:
    return next((run_args[name] for name in names if not values.is_flag(run_args.get(name))), None)


def _hosts(run_args: Mapping[str, values.Option], names: tuple[str, ...]) -> tuple[str, ...]:
    """Return hosts by name; each may be followed by a number of slots as in ``n1:2``."""
    value = _option(run_args, names)
    text = "" if value is None else str(value)
    hosts = expand_hosts(text) if "[" in text else text.split(",")
    return tuple(dict.fromkeys(host.strip().partition(":")[0] for host in hosts if host.strip()))
