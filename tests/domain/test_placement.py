"""Leases of an allocation: nobody has what another has, and everybody's turn comes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from smartsim.domain.demands import settle
from smartsim.domain.errors import AllocationError
from smartsim.domain.placement import LOOKAHEAD, Placement, enqueue, lose, plan, release, take, withdraw
from smartsim.domain.resources import Lease, Node, ResourceRequest, Share

NODES = (Node("n1", (0, 1, 2, 3), (0, 1)), Node("n2", (0, 1, 2, 3), (0, 1)))

allocations = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 3)).map(lambda size: (tuple(range(size[0])), tuple(range(size[1])))),
    min_size=1,
    max_size=5,
).map(lambda sizes: tuple(Node(f"n{number}", *size) for number, size in enumerate(sizes)))
odd_allocations = st.lists(
    st.tuples(st.sets(st.integers(0, 9), max_size=5), st.sets(st.integers(0, 4), max_size=3)), min_size=1, max_size=4
).map(lambda sizes: tuple(Node(f"n{n}", tuple(cpus), tuple(gpus)) for n, (cpus, gpus) in enumerate(sizes)))
host_names = st.lists(st.sampled_from([f"n{number}" for number in range(5)]), max_size=2, unique=True).map(tuple)
requests = st.builds(
    ResourceRequest,
    tasks=st.integers(0, 8),
    nodes=st.integers(0, 3),
    tasks_per_node=st.integers(0, 4),
    cpus_per_task=st.integers(1, 3),
    gpus_per_node=st.sampled_from([0, 0, 0, 1, 2]),
    hosts=st.one_of(st.just(()), host_names),
    excluded_hosts=st.one_of(st.just(()), host_names),
    whole_nodes=st.sampled_from([False, False, True]),
)


def planned(state: Placement, *steps: tuple[str, ResourceRequest]) -> tuple[dict[str, Lease], Placement]:
    for name, request in steps:
        state = enqueue(state, name, settle(name, request, state.nodes))
    leases, state = plan(state)
    return dict(leases), state


def one(tasks: int) -> ResourceRequest:
    return ResourceRequest(tasks=tasks)


def check_disjoint(nodes: Sequence[Node], leases: Iterable[Lease]) -> None:
    """Nothing is given that is not there, and nothing twice."""
    given = Counter(
        (share.node, kind, number)
        for lease in leases
        for share in lease.shares
        for kind, numbers in (("cpu", share.cpus), ("gpu", share.gpus))
        for number in numbers
    )
    have = {(node.name, "cpu", number) for node in nodes for number in node.cpus}
    have |= {(node.name, "gpu", number) for node in nodes for number in node.gpus}
    assert set(given) <= have
    assert all(count == 1 for count in given.values())


def check_honoured(request: ResourceRequest, lease: Lease, nodes: Sequence[Node]) -> None:
    """A lease is what the request says, no less and no more."""
    by_name = {node.name: node for node in nodes}
    names = [share.node for share in lease.shares]
    assert names == [node.name for node in nodes if node.name in names]
    assert lease.tasks == (request.tasks or max(request.nodes, 1) * max(request.tasks_per_node, 1))
    assert not request.nodes or len(names) == request.nodes
    assert not request.hosts or set(names) <= set(request.hosts)
    assert not set(names) & set(request.excluded_hosts)
    for share in lease.shares:
        assert 1 <= share.tasks <= (request.tasks_per_node or share.tasks)
        if request.whole_nodes:
            assert (share.cpus, share.gpus) == (by_name[share.node].cpus, by_name[share.node].gpus)
            assert len(share.cpus) >= share.tasks * request.cpus_per_task
            assert len(share.gpus) >= request.gpus_per_node
        else:
            assert len(share.cpus) == share.tasks * request.cpus_per_task
            assert len(share.gpus) == request.gpus_per_node
    assert request.whole_nodes or len({share.gpus for share in lease.shares}) == 1


class Steps(RuleBasedStateMachine):
    """Steps come, end and are withdrawn in any order."""

    @initialize(nodes=st.one_of(allocations, odd_allocations))
    def begin(self, nodes: tuple[Node, ...]) -> None:
        self.state = Placement.of(nodes)
        self.leases: dict[str, Lease] = {}
        self.requests: dict[str, ResourceRequest] = {}
        self.submitted = 0
        self.first: str | None = None
        self.ends_of_others: set[str] = set()

    @rule(request=requests)
    def submit(self, request: ResourceRequest) -> None:
        self.submitted += 1
        name = f"s{self.submitted}"
        try:
            demand = settle(name, request, self.state.nodes)
        except AllocationError:
            return
        self.requests[name] = request
        self.state = enqueue(self.state, name, demand)
        self.go_on()

    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        if self.leases:
            name = data.draw(st.sampled_from(sorted(self.leases)))
            self.state = release(self.state, self.leases.pop(name))
            self.go_on()

    @rule(data=st.data())
    def give_up_waiting(self, data: st.DataObject) -> None:
        if self.state.queue:
            name = data.draw(st.sampled_from([step.name for step in self.state.queue]))
            self.state = withdraw(self.state, name)
            self.go_on()

    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        """A node fails, and with it the steps that run there; who waits for it learns that, and nobody else."""
        if len(self.state.nodes) > 1:
            lost = data.draw(st.sampled_from([node.name for node in self.state.nodes]))
            waiting = [step.name for step in self.state.queue]
            errors, self.state = lose(self.state, [lost])
            assert [step.name for step in self.state.queue] == [name for name in waiting if name not in errors]
            for name in errors:
                with pytest.raises(AllocationError):
                    settle(name, self.requests[name], self.state.nodes)
            for name in [name for name, lease in self.leases.items() if lost in [share.node for share in lease.shares]]:
                self.state = release(self.state, self.leases.pop(name))
            self.first = None  # which waits for something else now
            self.go_on()

    def go_on(self) -> None:
        before = self.state
        leases, self.state = plan(before)
        assert plan(before) == (leases, self.state)
        assert plan(self.state) == ({}, self.state)
        for name, lease in leases.items():
            check_honoured(self.requests[name], lease, self.state.nodes)
        self.leases.update(leases)
        self.watch_the_first()

    def watch_the_first(self) -> None:
        """Whoever waits first waits only for what ran when it became the first."""
        first = self.state.queue[0].name if self.state.queue else None
        if first != self.first:
            self.first, self.ends_of_others = first, set(self.leases)
        if first is not None:
            assert self.ends_of_others & set(self.leases), f"{first} waits for nobody that was there before it"

    @invariant()
    def nobody_has_what_another_has(self) -> None:
        check_disjoint(self.state.nodes, self.leases.values())

    @invariant()
    def what_nobody_has_is_free(self) -> None:
        for node, left in zip(self.state.nodes, self.state.free, strict=True):
            shares = [share for lease in self.leases.values() for share in lease.shares if share.node == node.name]
            assert set(left.cpus) == set(node.cpus).difference(*(share.cpus for share in shares))
            assert set(left.gpus) == set(node.gpus).difference(*(share.gpus for share in shares))

    def teardown(self) -> None:
        """Everything that waits runs at last."""
        while self.leases:
            self.end_the_oldest()
        assert self.state.queue == ()
        assert self.state.reserved is None
        assert self.state.free == self.state.nodes

    def end_the_oldest(self) -> None:
        self.state = release(self.state, self.leases.pop(next(iter(self.leases))))
        self.go_on()


TestSteps = Steps.TestCase
TestSteps.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_tasks_are_packed_and_numbered_from_the_first_cpu() -> None:
    leases, _ = planned(Placement.of(NODES), ("a", one(2)), ("b", one(2)), ("c", one(3)))
    assert leases["a"] == Lease((Share("n1", 2, (0, 1)),))
    assert leases["b"] == Lease((Share("n1", 2, (2, 3)),))
    assert leases["c"] == Lease((Share("n2", 3, (0, 1, 2)),))


def test_a_small_step_leaves_the_free_node_alone() -> None:
    _, state = planned(Placement.of(NODES), ("a", ResourceRequest(tasks=3, hosts=("n2",))))
    leases, _ = planned(state, ("small", one(1)), ("large", one(4)))
    assert [share.node for name in ("small", "large") for share in leases[name].shares] == ["n2", "n1"]


def test_gpus_have_the_same_numbers_on_all_nodes_of_a_step() -> None:
    _, state = planned(Placement.of(NODES), ("a", ResourceRequest(gpus_per_node=1, hosts=("n1",))))
    leases, _ = planned(state, ("b", ResourceRequest(nodes=2, gpus_per_node=1)))
    assert [share.gpus for share in leases["b"].shares] == [(1,), (1,)]


def test_a_shard_on_a_node_of_its_own_keeps_others_off_it() -> None:
    shards = [(f"shard{n}", ResourceRequest(nodes=1, whole_nodes=True, hosts=(f"n{n}",))) for n in (1, 2)]
    leases, state = planned(Placement.of((*NODES, Node("n3", (0, 1)))), *shards, ("solver", one(2)), ("other", one(1)))
    assert leases["shard1"] == Lease((Share("n1", 1, (0, 1, 2, 3), (0, 1)),))
    assert leases["shard2"].shares[0].node == "n2"
    assert leases["solver"].shares[0].node == "n3"
    assert "other" not in leases
    assert "other" in plan(release(state, leases["shard2"]))[0]


def test_a_small_step_overtakes_only_where_it_is_not_in_the_way() -> None:
    running = [("a", ResourceRequest(tasks=3, hosts=("n1",))), ("b", ResourceRequest(tasks=3, hosts=("n2",)))]
    _, state = planned(Placement.of(NODES), *running)
    leases, state = planned(state, ("first", ResourceRequest(tasks=4, hosts=("n1",))), ("small", one(1)))
    assert leases == {"small": Lease((Share("n2", 1, (3,)),))}
    assert state.reserved == Lease((Share("n1", 4, (0, 1, 2, 3)),))
    leases, state = planned(state, ("smaller", one(1)))  # the last CPU of n1 is free, and kept
    assert leases == {}
    leases, _ = plan(release(state, Lease((Share("n1", 3, (0, 1, 2)),))))
    assert list(leases) == ["first"]


def test_small_steps_that_keep_coming_do_not_keep_a_large_one_waiting() -> None:
    running, state = planned(Placement.of(NODES), *((f"small{n}", one(1)) for n in range(8)), ("large", one(4)))
    ends = 0
    while "large" not in running:
        ends += 1
        state = release(state, running.pop(next(iter(running))))
        started, state = planned(state, (f"later{ends}", one(1)))
        running.update(started)
    assert ends <= 8


def test_the_head_takes_what_comes_first_although_something_else_was_kept_for_it() -> None:
    leases, state = planned(Placement.of(NODES), ("a", one(3)), ("b", one(4)), ("large", one(4)))
    assert state.reserved is not None
    assert state.reserved.shares[0].node == "n1"
    leases, state = plan(release(state, leases["b"]))
    assert leases["large"].shares[0].node == "n2"
    assert state.reserved is None


def test_who_does_not_wait_any_more_keeps_nothing() -> None:
    leases, state = planned(Placement.of(NODES), ("a", one(3)), ("b", one(4)), ("large", one(4)), ("small", one(1)))
    assert list(leases) == ["a", "b"]
    assert plan(withdraw(state, "nobody")) == ({}, state)
    leases, state = plan(withdraw(state, "large"))
    assert list(leases) == ["small"]
    assert (state.queue, state.reserved) == ((), None)


def test_what_needs_a_node_that_has_failed_can_never_run() -> None:
    on_n2 = ResourceRequest(tasks=1, hosts=("n2",))
    leases, state = planned(Placement.of(NODES), ("a", one(4)), ("b", one(4)), ("large", one(8)), ("there", on_n2))
    state = enqueue(state, "small", settle("small", one(2), state.nodes))
    errors, state = lose(state, ["n2"])
    assert list(errors) == ["large", "there"]
    assert "The allocation has 1 node with 4 CPUs and 2 GPUs (n1)" in str(errors["large"])
    assert plan(release(state, leases["b"]))[0] == {}
    assert list(plan(release(state, leases["a"]))[0]) == ["small"]


def test_what_is_kept_is_kept_until_the_step_starts() -> None:
    running = [("a", ResourceRequest(tasks=2, hosts=("n1",)))]
    running += [(name, ResourceRequest(tasks=1, hosts=("n2",))) for name in "bcde"]
    leases, state = planned(Placement.of(NODES), *running, ("large", one(4)), ("larger", one(4)))
    kept = Lease((Share("n1", 4, (0, 1, 2, 3)),))
    assert state.reserved == kept
    for name in "bcd":  # now more is free of n2 than of n1
        _, state = plan(release(state, leases[name]))
        assert state.reserved == kept
    _, state = plan(withdraw(state, "large"))
    assert state.reserved == Lease((Share("n2", 4, (0, 1, 2, 3)),))


def test_a_step_starts_on_what_was_kept_for_it_although_other_gpus_have_become_free() -> None:
    nodes = tuple(Node(name, (0, 1, 2, 3), (0, 1, 2)) for name in ("n1", "n2"))
    on_n1 = ResourceRequest(cpus_per_task=2, gpus_per_node=1, hosts=("n1",))
    on_n2 = replace(on_n1, hosts=("n2",))
    before = ("before", replace(on_n2, gpus_per_node=0))
    leases, state = planned(Placement.of(nodes), ("a", on_n1), ("b", on_n1), before, ("c", on_n2))
    more, state = planned(release(state, leases["before"]), ("d", on_n2))
    _, state = planned(state, ("both", ResourceRequest(nodes=2, cpus_per_task=2, gpus_per_node=1)))
    _, state = plan(release(state, leases["a"]))
    state = release(state, more["d"])
    assert [(left.cpus, left.gpus) for left in state.free] == [((0, 1), (0, 2)), ((0, 1), (1, 2))]
    started, state = plan(state)
    assert [(share.cpus, share.gpus) for share in started["both"].shares] == [((0, 1), (2,)), ((0, 1), (2,))]


def test_something_is_kept_where_only_few_gpus_have_the_same_numbers() -> None:
    nodes = (Node("n1", (0, 1, 2, 3), (0, 1, 2)), Node("n2", (0, 1, 2, 3), (0, 1, 3)))
    running = [(name, ResourceRequest(gpus_per_node=2, hosts=(name,))) for name in ("n1", "n2")]
    _, state = planned(Placement.of(nodes), *running, ("both", ResourceRequest(nodes=2, gpus_per_node=2)))
    assert state.reserved is not None
    assert [share.gpus for share in state.reserved.shares] == [(0, 1), (0, 1)]


def test_all_gpus_are_those_of_its_nodes() -> None:
    silent = ResourceRequest(tasks=1, all_gpus=True)
    nodes = (*NODES, Node("n3", (0, 1)))
    leases, state = planned(Placement.of(nodes), ("gpu", ResourceRequest(gpus_per_node=1, hosts=("n1",))))
    leases, state = planned(state, *((f"silent{number}", silent) for number in range(4)))
    assert [(lease.shares[0].node, lease.shares[0].gpus) for lease in leases.values()] == [
        ("n3", ()),
        ("n3", ()),
        ("n2", (0, 1)),
    ]


def test_only_so_many_of_those_that_wait_are_looked_at() -> None:
    on_n2 = ResourceRequest(tasks=4, hosts=("n2",))
    waiting = [(f"large{number}", on_n2) for number in range(LOOKAHEAD)]
    leases, state = planned(Placement.of(NODES), ("runs", on_n2), *waiting, ("small", one(1)))
    assert list(leases) == ["runs"]
    leases, state = plan(withdraw(state, "large7"))
    assert list(leases) == ["small"]


def test_what_an_earlier_driver_gave_is_taken_and_given_back() -> None:
    lease = Lease((Share("n1", 2, (1, 2), (1,)), Share("n2", 1, (3,))))
    taken, state = take(Placement.of(NODES), lease)
    assert taken == lease
    leases, _ = planned(state, ("a", one(3)), ("b", one(3)))
    assert leases == {"a": Lease((Share("n2", 3, (0, 1, 2)),))}
    assert release(state, taken) == Placement.of(NODES)


def test_of_an_old_lease_only_what_is_free_and_there_is_taken() -> None:
    leases, state = planned(Placement.of(NODES), ("a", one(2)))
    taken, after = take(state, Lease((Share("n1", 2, (1, 2, 9)), Share("gone", 1, (0,)))))
    assert taken == Lease((Share("n1", 2, (2,)),))
    assert release(after, taken) == state
    assert release(release(after, leases["a"]), taken) == Placement.of(NODES)


@given(st.one_of(allocations, odd_allocations), st.lists(requests, max_size=12), st.randoms())
def test_whatever_fits_runs_at_last(nodes: tuple[Node, ...], asked: list[ResourceRequest], order: object) -> None:
    state = Placement.of(nodes)
    fitting = []
    for number, request in enumerate(asked):
        try:
            demand = settle(f"s{number}", request, nodes)
        except AllocationError:
            continue
        fitting.append(f"s{number}")
        state = enqueue(state, f"s{number}", demand)
    ran: list[str] = []
    running: dict[str, Lease] = {}
    for _ in range(len(asked) + 1):
        leases, state = plan(state)
        ran += leases
        running.update(leases)
        check_disjoint(nodes, running.values())
        if running:
            state = release(state, running.pop(order.choice(sorted(running))))  # type: ignore[attr-defined]
    assert sorted(ran) == sorted(fitting)
    assert state.queue == ()


@pytest.mark.parametrize("count", [0, 1, 5])
def test_members_that_are_all_alike_run_side_by_side(count: int) -> None:
    leases, state = planned(Placement.of(NODES), *((f"s{n}", one(1)) for n in range(8 + count)))
    assert len(leases) == 8
    assert len(state.queue) == count
