"""Who gets which nodes, CPUs and GPUs of an allocation, and who waits: pure planning, a state in and a state out.

What does not fit waits in order. The first that waits has a reservation: nodes, CPUs and GPUs that nobody else is given
any more, so that it waits for nothing but what runs already. Those behind it may overtake it on what it has not
reserved. So everything that fits into the allocation starts at last, provided that what runs ends at last.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from smartsim.domain.demands import Demand, rooms_for, settle
from smartsim.domain.errors import AllocationError
from smartsim.domain.resources import Lease, Node, ResourceRequest, Share

LOOKAHEAD = 100
"""How many of those that wait are looked at: the first ones."""


@dataclass(frozen=True)
class Waiting:
    """A step that waits.

    Args:
        name: of the step.
        demand: what it needs.
    """

    name: str
    demand: Demand


@dataclass(frozen=True)
class Placement:
    """How an allocation is used.

    Args:
        nodes: all that the allocation has.
        free: what of it nobody has: for each of the nodes, in their order.
        queue: who waits, in order.
        reserved: what is kept for the first that waits, be it free already or not.
    """

    nodes: tuple[Node, ...]
    free: tuple[Node, ...]
    queue: tuple[Waiting, ...] = ()
    reserved: Lease | None = None

    @classmethod
    def of(cls, nodes: Iterable[Node]) -> Placement:
        """Return an allocation that nobody uses yet."""
        nodes = tuple(nodes)
        return cls(nodes, nodes)


def enqueue(state: Placement, name: str, demand: Demand) -> Placement:
    """Return the state after a step has come that is to start when there is room; `plan` says when.

    Args:
        state: before.
        name: of the step.
        demand: what it needs, as `settle` returned it for these nodes.
    """
    return replace(state, queue=(*state.queue, Waiting(name, demand)))


def plan(state: Placement) -> tuple[dict[str, Lease], Placement]:
    """Return what those steps get that can start now, by name and in the order of the queue, and the state after that.

    Example:
        >>> from smartsim.domain.demands import settle
        >>> from smartsim.domain.resources import ResourceRequest
        >>> nodes = [Node("n1", (0, 1, 2, 3))]
        >>> state = Placement.of(nodes)
        >>> for name, tasks in (("first", 3), ("second", 3)):
        ...     state = enqueue(state, name, settle(name, ResourceRequest(tasks=tasks), nodes))
        >>> leases, state = plan(state)
        >>> leases
        {'first': Lease(shares=(Share(node='n1', tasks=3, cpus=(0, 1, 2), gpus=()),))}
        >>> plan(release(state, leases["first"]))[0].keys()
        dict_keys(['second'])
    """
    free, reserved = state.free, state.reserved
    started: dict[str, Lease] = {}
    waiting: list[Waiting] = []
    in_vain: set[Demand] = set()
    looked_at = 0
    for step in state.queue:
        if len(waiting) == LOOKAHEAD:
            break
        looked_at += 1
        if not waiting:
            lease = _lease(step.demand, state.nodes, free) or _if_free(reserved, free)
            reserved = None if lease else reserved or _reservation(step.demand, state.nodes, free)
        elif step.demand in in_vain:
            waiting.append(step)
            continue
        else:
            lease = _lease(step.demand, state.nodes, _less(free, reserved))
        if lease is None:
            waiting.append(step)
            in_vain.add(step.demand)
        else:
            started[step.name] = lease
            free = _less(free, lease)
    return started, replace(state, free=free, reserved=reserved, queue=(*waiting, *state.queue[looked_at:]))


def withdraw(state: Placement, name: str) -> Placement:
    """Return the state after a step is to start no longer."""
    first = state.queue[0].name if state.queue else None
    queue = tuple(step for step in state.queue if step.name != name)
    return replace(state, queue=queue, reserved=None if first == name else state.reserved)


def release(state: Placement, lease: Lease) -> Placement:
    """Return the state after a lease was given back."""
    shares = {share.node: share for share in lease.shares}
    free = (
        left
        if (share := shares.get(node.name)) is None
        else _part(node, {*left.cpus, *share.cpus}, {*left.gpus, *share.gpus})
        for node, left in zip(state.nodes, state.free, strict=True)
    )
    return replace(state, free=tuple(free))


def lose(state: Placement, names: Collection[str]) -> tuple[dict[str, AllocationError], Placement]:
    """Return the state after nodes have failed, and why those steps can never start, by name, that wait for them.

    Args:
        state: before.
        names: of the nodes. What is released there later is gone.
    """
    nodes, free = (tuple(node for node in some if node.name not in names) for some in (state.nodes, state.free))
    queue: list[Waiting] = []
    errors: dict[str, AllocationError] = {}
    for step in state.queue:
        try:
            queue.append(Waiting(step.name, settle(step.name, step.demand.request, nodes)))
        except AllocationError as error:
            errors[step.name] = error
    return errors, Placement(nodes, free, tuple(queue))


def take(state: Placement, lease: Lease) -> tuple[Lease, Placement]:
    """Return what of a lease, by which a step runs already, was free, and the state without that.

    It is what there is to give back when the step ends. An earlier driver started the step: meanwhile others may have
    been given some of its lease, and in another allocation some may not exist.
    """
    free = {left.name: left for left in state.free}
    shares = []
    for share in lease.shares:
        if share.node in free:
            mine = _part(free[share.node], share.cpus, share.gpus)
            shares.append(replace(share, cpus=mine.cpus, gpus=mine.gpus))
    taken = Lease(tuple(shares))
    return taken, replace(state, free=_less(state.free, taken))


def _lease(demand: Demand, nodes: Sequence[Node], free: Sequence[Node]) -> Lease | None:
    """Return what a step gets of what is free; None when that is not enough."""
    request = demand.request
    for gpus, rooms in rooms_for(request, nodes, free):
        tasks = _assign(demand.tasks, rooms)
        if tasks is not None:
            shares = (_share(request, left, tasks[left.name], gpus) for left in free if left.name in tasks)
            return Lease(tuple(shares))
    return None


def _share(request: ResourceRequest, left: Node, tasks: int, gpus: tuple[int, ...]) -> Share:
    cpus = left.cpus if request.whole_nodes else left.cpus[: tasks * request.cpus_per_task]
    return Share(left.name, tasks, cpus, left.gpus if request.whole_nodes or request.all_gpus else gpus)


def _assign(tasks: Iterable[int], rooms: Mapping[str, int]) -> Mapping[str, int] | None:
    """Return on which nodes how many tasks go: into the smallest rooms that will do, so that large ones are left."""
    left = sorted(rooms, key=rooms.__getitem__)
    assigned = {}
    for number in tasks:
        name = next((name for name in left if rooms[name] >= number), None)
        if name is None:
            return None
        left.remove(name)
        assigned[name] = number
    return assigned


def _reservation(demand: Demand, nodes: Sequence[Node], free: Sequence[Node]) -> Lease | None:
    """Return what is kept for a step that must wait: where the most is free already."""
    pairs = sorted(zip(nodes, free, strict=True), key=lambda pair: -len(pair[1].cpus))
    favoured = [Node(node.name, _first(left.cpus, node.cpus), _first(left.gpus, node.gpus)) for node, left in pairs]
    lease = _lease(demand, favoured, favoured) or _lease(demand, nodes, nodes)
    if lease is None:
        return None
    shares = {share.node: share for share in lease.shares}
    parts = [_part(node, shares[node.name].cpus, shares[node.name].gpus) for node in nodes if node.name in shares]
    return Lease(tuple(Share(part.name, shares[part.name].tasks, part.cpus, part.gpus) for part in parts))


def _first(some: Sequence[int], everything: Sequence[int]) -> tuple[int, ...]:
    return (*some, *(number for number in everything if number not in some))


def _less(free: Sequence[Node], lease: Lease | None) -> tuple[Node, ...]:
    """Return what is free without what a lease has."""
    shares = {share.node: share for share in lease.shares} if lease else {}
    return tuple(
        left
        if (share := shares.get(left.name)) is None
        else _part(left, set(left.cpus).difference(share.cpus), set(left.gpus).difference(share.gpus))
        for left in free
    )


def _if_free(lease: Lease | None, free: Sequence[Node]) -> Lease | None:
    """Return a lease if everything that it has is free."""
    if lease is None:
        return None
    by_name = {left.name: left for left in free}
    for share in lease.shares:
        left = by_name[share.node]
        if not set(share.cpus) <= set(left.cpus) or not set(share.gpus) <= set(left.gpus):
            return None
    return lease


def _part(node: Node, cpus: Collection[int], gpus: Collection[int]) -> Node:
    """Return some of a node, in its order."""
    return Node(
        node.name, tuple(cpu for cpu in node.cpus if cpu in cpus), tuple(gpu for gpu in node.gpus if gpu in gpus)
    )
