from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.domain.demands import settle
from smartsim.domain.errors import AllocationError
from smartsim.domain.resources import Node, ResourceRequest

FOUR = [Node(f"n{number}", (0, 1, 2, 3), (0, 1)) for number in range(1, 5)]
MIXED = [Node("big", tuple(range(8))), Node("small", (0, 1)), Node("other", (0, 1))]


@pytest.mark.parametrize(
    ("request_", "tasks"),
    [
        (ResourceRequest(), (1,)),
        (ResourceRequest(tasks=4), (4,)),
        (ResourceRequest(tasks=5), (3, 2)),
        (ResourceRequest(tasks=16), (4, 4, 4, 4)),
        (ResourceRequest(nodes=3), (1, 1, 1)),
        (ResourceRequest(nodes=3, tasks_per_node=2), (2, 2, 2)),
        (ResourceRequest(tasks_per_node=3), (3,)),
        (ResourceRequest(tasks=4, tasks_per_node=2), (2, 2)),
        (ResourceRequest(tasks=4, nodes=2), (2, 2)),
        (ResourceRequest(tasks=7, nodes=3), (3, 3, 1)),
        (ResourceRequest(tasks=4, nodes=3), (2, 1, 1)),
        (ResourceRequest(tasks=2, cpus_per_task=3), (1, 1)),
        (ResourceRequest(tasks=2, whole_nodes=True), (2,)),
        (ResourceRequest(nodes=1, whole_nodes=True), (1,)),
        (ResourceRequest(tasks=8, hosts=("n4", "n2")), (4, 4)),
        (ResourceRequest(gpus_per_node=2), (1,)),
    ],
)
def test_what_is_left_open_is_chosen(request_: ResourceRequest, tasks: tuple[int, ...]) -> None:
    assert settle("solver", request_, FOUR).tasks == tasks


def test_nodes_of_different_sizes_get_what_goes_on_them() -> None:
    assert settle("solver", ResourceRequest(tasks=12, nodes=3), MIXED).tasks == (8, 2, 2)
    assert settle("solver", ResourceRequest(tasks=10), MIXED).tasks == (8, 2)
    assert settle("solver", ResourceRequest(tasks=7, nodes=2), MIXED).tasks == (5, 2)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (ResourceRequest(tasks=17), "solver asks for 17 tasks of 1 CPU of the allocation"),
        (ResourceRequest(cpus_per_task=5), "1 task of 5 CPUs"),
        (ResourceRequest(nodes=5), "5 tasks of 1 CPU, 5 nodes"),
        (ResourceRequest(gpus_per_node=3), "3 GPUs on each node"),
        (ResourceRequest(nodes=2, tasks=9, whole_nodes=True), "9 tasks of 1 CPU, 2 whole nodes"),
        (ResourceRequest(hosts=("n1", "n9", "m1")), "m1, n9 do not belong to it"),
        (ResourceRequest(tasks=5, hosts=("n1",)), "on n1 only"),
        (ResourceRequest(tasks=13, excluded_hosts=("n1",)), "not on n1"),
        (ResourceRequest(nodes=3, tasks=2), "ask for fewer nodes, or for more tasks"),
        (ResourceRequest(nodes=2, tasks=8, tasks_per_node=3), "so many tasks do not go on so many nodes"),
        (ResourceRequest(cpus_per_task=0), "no rank be without a CPU"),
        (ResourceRequest(nodes=-1), "no number may be negative"),
    ],
)
def test_what_can_never_be_given_is_refused_in_words(request_: ResourceRequest, words: str) -> None:
    with pytest.raises(AllocationError) as refusal:
        settle("solver", request_, FOUR)
    assert words in str(refusal.value)
    assert "The allocation has 4 nodes with 4 CPUs and 2 GPUs (n1, n2, n3, n4)" in str(refusal.value)


def test_an_allocation_of_many_nodes_is_told_in_short() -> None:
    nodes = [Node(f"n{number}", (0,)) for number in range(200)] + [Node("fat", tuple(range(9)))]
    with pytest.raises(AllocationError, match=r"200 nodes with 1 CPU, 1 node with 9 CPUs \(n0, .*, n7, \.\.\.\)"):
        settle("solver", ResourceRequest(tasks=1000), nodes)


def test_an_allocation_without_nodes_gives_nothing() -> None:
    with pytest.raises(AllocationError, match="The allocation has no nodes"):
        settle("solver", ResourceRequest(), [])


@given(
    st.lists(st.integers(0, 8), max_size=6),
    st.builds(
        ResourceRequest,
        tasks=st.integers(0, 20),
        nodes=st.integers(0, 5),
        tasks_per_node=st.integers(0, 6),
        cpus_per_task=st.integers(1, 3),
        whole_nodes=st.booleans(),
    ),
)
def test_a_demand_is_what_was_asked_for_and_goes_on_the_nodes(sizes: list[int], request: ResourceRequest) -> None:
    nodes = [Node(f"n{number}", tuple(range(size))) for number, size in enumerate(sizes)]
    rooms = sorted((size // request.cpus_per_task for size in sizes), reverse=True)
    if request.tasks_per_node:
        rooms = [min(room, request.tasks_per_node) for room in rooms]
    tasks = request.tasks or max(request.nodes, 1) * max(request.tasks_per_node, 1)
    counts = [request.nodes] if request.nodes else range(1, tasks + 1)
    # The fewest nodes on which it goes at all, each with a task.
    fewest = next(
        (n for n in counts if n <= tasks and n <= len(rooms) and rooms[n - 1] > 0 and sum(rooms[:n]) >= tasks), None
    )
    if fewest is None:
        with pytest.raises(AllocationError):
            settle("solver", request, nodes)
        return
    demand = settle("solver", request, nodes).tasks
    assert len(demand) == fewest
    assert sum(demand) == tasks
    assert min(demand) >= 1
    assert all(here <= room for here, room in zip(demand, rooms, strict=False))
    assert list(demand) == sorted(demand, reverse=True)
