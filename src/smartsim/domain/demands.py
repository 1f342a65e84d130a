"""What steps need of an allocation, with everything said that their requests leave open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from smartsim.domain.errors import AllocationError
from smartsim.domain.resources import Node, ResourceRequest

_NAMED = 8  # nodes that an error names


@dataclass(frozen=True)
class Demand:
    """What a step needs, whatever else runs.

    Args:
        request: as it was made.
        tasks: how many ranks on each of its nodes, the most first.
    """

    request: ResourceRequest
    tasks: tuple[int, ...]


def settle(name: str, request: ResourceRequest, nodes: Sequence[Node]) -> Demand:
    """Return what a step needs, chosen by what the whole allocation has where the request leaves it open.

    These are as few nodes as will do, and the same number of tasks on each of them; where that does not come out even,
    fewer on the last, or on smaller nodes.

    Args:
        name: of the step.
        request: what it asks for.
        nodes: of the allocation, in use or not.

    Raises:
        AllocationError: the allocation can never give it.

    Example:
        >>> four = [Node(name, (0, 1, 2, 3)) for name in ("n1", "n2", "n3")]
        >>> settle("solver", ResourceRequest(tasks=6), four).tasks
        (3, 3)
        >>> settle("solver", ResourceRequest(nodes=3, tasks=4), four).tasks
        (2, 1, 1)
    """
    tasks = request.tasks or max(request.nodes, 1) * max(request.tasks_per_node, 1)
    problem = _contradiction(request, tasks, nodes)
    if problem is None:
        counts = (request.nodes,) if request.nodes else range(1, min(tasks, len(nodes)) + 1)
        for count in counts:
            for _, rooms in rooms_for(request, nodes, nodes):
                most = request.tasks_per_node or tasks
                largest = sorted((min(room, most) for room in rooms.values()), reverse=True)[:count]
                if len(largest) == count and largest[-1] > 0 and sum(largest) >= tasks:
                    return Demand(request, _shape(tasks, largest))
        problem = "which is more than it has of that"
    raise AllocationError(
        f"Step {name} asks for {_describe(request, tasks)} of the allocation, {problem}. The allocation has "
        f"{_inventory(nodes)}. Ask for what it has, or run in a larger one"
    )


def rooms_for(
    request: ResourceRequest, nodes: Sequence[Node], free: Sequence[Node]
) -> Iterator[tuple[tuple[int, ...], Mapping[str, int]]]:
    """Yield GPUs that a step may have, and for how many tasks there is room then on which nodes.

    One environment tells all ranks of their GPUs, so these have the same numbers on all nodes.

    Args:
        request: what it asks for.
        nodes: of the allocation.
        free: what of each of them nobody has.
    """
    allowed = [
        left
        for node, left in zip(nodes, free, strict=True)
        if (not request.hosts or node.name in request.hosts)
        and node.name not in request.excluded_hosts
        and (not request.whole_nodes or left == node)
        and (not request.all_gpus or left.gpus == node.gpus)
    ]
    count = request.gpus_per_node
    for gpus in dict.fromkeys(left.gpus[:count] for left in allowed if len(left.gpus) >= count):
        yield (
            gpus,
            {left.name: len(left.cpus) // request.cpus_per_task for left in allowed if set(gpus) <= set(left.gpus)},
        )


def _shape(tasks: int, rooms: Sequence[int]) -> tuple[int, ...]:
    """Return how many tasks go on each of some nodes with room for them, the largest first."""
    even = -(-tasks // len(rooms))
    shape = []
    left = tasks
    for others in reversed(range(len(rooms))):
        shape.append(min(even, left - others))
        left -= shape[-1]
    if all(here <= room for here, room in zip(shape, rooms, strict=True)):
        return tuple(shape)
    shape, left = [], tasks
    for others, room in zip(reversed(range(len(rooms))), reversed(rooms), strict=True):
        shape.append(min(room, left // (others + 1)))
        left -= shape[-1]
    return tuple(reversed(shape))


def _contradiction(request: ResourceRequest, tasks: int, nodes: Sequence[Node]) -> str | None:
    """Return what is wrong with a request, in words."""
    numbers = (request.tasks, request.nodes, request.tasks_per_node, request.gpus_per_node, request.cpus_per_task - 1)
    if min(numbers) < 0:
        return "where no number may be negative, and no rank be without a CPU"
    unknown = set(request.hosts).difference(node.name for node in nodes)
    if unknown:
        return f"and {', '.join(sorted(unknown))} do not belong to it"
    if request.nodes > tasks:
        return "where each node must have a task: ask for fewer nodes, or for more tasks"
    if request.nodes and request.tasks_per_node and tasks > request.nodes * request.tasks_per_node:
        return "where so many tasks do not go on so many nodes"
    return None


def _describe(request: ResourceRequest, tasks: int) -> str:
    words = [f"{_count(tasks, 'task')} of {_count(request.cpus_per_task, 'CPU')}"]
    if request.tasks_per_node:
        words.append(f"at most {_count(request.tasks_per_node, 'task')} on a node")
    if request.gpus_per_node:
        words.append(f"{_count(request.gpus_per_node, 'GPU')} on each node")
    nodes = "whole nodes" if request.whole_nodes else "nodes"
    if request.nodes:
        words.append(f"{request.nodes} {nodes}")
    elif request.whole_nodes:
        words.append(nodes)
    if request.hosts:
        words.append(f"on {', '.join(request.hosts)} only")
    if request.excluded_hosts:
        words.append(f"not on {', '.join(request.excluded_hosts)}")
    return ", ".join(words)


def _inventory(nodes: Sequence[Node]) -> str:
    sizes = Counter((len(node.cpus), len(node.gpus)) for node in nodes)
    have = [
        f"{_count(count, 'node')} with {_count(cpus, 'CPU')}" + (f" and {_count(gpus, 'GPU')}" if gpus else "")
        for (cpus, gpus), count in sizes.items()
    ]
    names = [node.name for node in nodes[:_NAMED]] + (["..."] if len(nodes) > _NAMED else [])
    return f"{', '.join(have)} ({', '.join(names)})" if nodes else "no nodes"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
