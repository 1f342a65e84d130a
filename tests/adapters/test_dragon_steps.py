"""The server of a Dragon runtime without Dragon: nodes, and what becomes of steps, in whichever order news comes."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.adapters.wlm.dragon.jobs import in_runtime
from smartsim.adapters.wlm.dragon.placement import DragonNode, Wish, choose, wish_of
from smartsim.adapters.wlm.dragon.steps import Rank, RankedStep, Stage, Steps
from smartsim.domain.errors import LauncherError
from smartsim.domain.settings.dragon import DragonRunSettings
from smartsim.domain.steps import Batch, Step

NODES = [DragonNode("n1", (0, 1, 2, 3), (0,)), DragonNode("n2", (0, 1))]


@dataclass(eq=False)
class Somebody:
    """A driver or a rank, and what it was told."""

    told: list[dict[str, Any]] = field(default_factory=list)
    is_dismissed: bool = False

    def tell(self, message: dict[str, Any]) -> None:
        self.told.append(message)

    def dismiss(self) -> None:
        self.is_dismissed = True

    def events(self) -> list[str]:
        told = [message for message in self.told if message["event"] != "progress"]
        return [f"{message['event']} {message.get('step', '')}".strip() for message in told]


@dataclass
class Runtime:
    """The steps of a runtime, and the processes that they have made."""

    driver: Somebody = field(default_factory=Somebody)
    ranks: list[Rank] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.steps = Steps(NODES, self.ranks.append)

    def submit(self, *wishes: Wish, is_left: bool = True) -> None:
        steps = [RankedStep(f"s{index}", ["x"], "/", "o", "e", {}, (), wish) for index, wish in enumerate(wishes)]
        self.steps.submit(self.driver, steps, is_left=is_left)

    def ready(self, rank: Rank) -> Somebody:
        self.steps.made(rank, 100 + rank.index)
        peer = Somebody()
        self.steps.ready(peer, rank.step.name, rank.index)
        return peer

    def run(self, rank: Rank) -> None:
        assert rank.stage is Stage.TOLD
        self.steps.started(rank)


# Placement


def test_options_are_read_as_the_settings_write_them() -> None:
    settings = DragonRunSettings("solver")
    settings.set_nodes(2)
    settings.set_tasks_per_node(3)
    settings.set_cpu_affinity([0, 2])
    settings.set_gpu_affinity([1])
    settings.set_node_feature("gpu")
    assert wish_of(settings.format_run_args()) == Wish(2, 3, (0, 2), (1,))
    assert wish_of(()) == Wish(1, 1)


@pytest.mark.parametrize("option", ["--nodes=0", "--nodes=x", "--nodes", "--exclusive", "--cpu-affinity=a"])
def test_options_that_dragon_does_not_have_are_named(option: str) -> None:
    with pytest.raises(LauncherError, match=option):
        wish_of([option])


@given(nodes=st.integers(1, 3), ranks=st.lists(st.integers(0, 5), min_size=3, max_size=3))
def test_the_least_used_nodes_are_taken(nodes: int, ranks: list[int]) -> None:
    three = [DragonNode(name, (0,)) for name in "abc"]
    chosen = choose(Wish(nodes), three, ranks)
    assert len(set(chosen)) == nodes
    assert sorted(ranks[place] for place in chosen) == sorted(ranks)[:nodes]


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (Wish(nodes=3), "3 nodes, and the Dragon runtime has 2 .n1, n2."),
        (Wish(nodes=2, cpus=(1, 3)), "CPU 3, and node n2 has CPUs 0, 1"),
        (Wish(cpus=(9,)), "CPU 9, and node n1 has CPUs 0, 1, 2, 3"),
        (Wish(nodes=2, gpus=(0,)), "GPU 0, and node n2 has no GPUs"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(wish: Wish, words: str) -> None:
    with pytest.raises(LauncherError, match=words):
        choose(wish, NODES, [0, 0])


def test_a_step_goes_to_a_node_that_has_what_it_asks_for() -> None:
    assert choose(Wish(cpus=(3,)), NODES, [9, 0]) == [0]


# Steps


def test_steps_start_in_their_order_whatever_the_order_of_their_processes() -> None:
    runtime = Runtime()
    runtime.submit(Wish(), Wish())
    first, second = runtime.ranks
    later = runtime.ready(second)
    assert later.told == []
    assert runtime.ready(first).told[0]["go"]
    runtime.run(first)
    runtime.run(second)
    assert runtime.driver.events() == ["started s0", "started s1", "submitted"]
    assert [message["id"] for message in runtime.driver.told if message["event"] == "started"] == [100, 100]


def test_the_first_rank_of_a_step_starts_before_the_others() -> None:
    runtime = Runtime()
    runtime.submit(Wish(nodes=2, tasks_per_node=2))
    peers = [runtime.ready(rank) for rank in runtime.ranks]
    assert [bool(peer.told) for peer in peers] == [True, False, False, False]
    assert [rank.place for rank in runtime.ranks] == [0, 0, 1, 1]
    runtime.run(runtime.ranks[0])
    assert all(peer.told for peer in peers)


def test_a_step_ends_with_the_code_of_the_rank_that_failed_first() -> None:
    runtime = Runtime()
    runtime.submit(Wish(tasks_per_node=4))
    for rank in runtime.ranks:
        runtime.ready(rank)
    for rank in runtime.ranks:
        runtime.run(rank)
    for rank, code in zip(runtime.ranks, (0, -9, 3, 0), strict=True):
        assert "ended s0" not in runtime.driver.events()
        runtime.steps.ended(rank, code)
    ended = runtime.driver.told[-1]
    assert (ended["returncode"], ended["reason"]) == (-9, "rank 1 on node n1 ended with killed by SIGKILL")
    assert not runtime.steps


def test_what_cannot_be_started_ends_what_of_it_runs_and_drops_what_comes_after() -> None:
    runtime = Runtime()
    runtime.submit(Wish(tasks_per_node=2), Wish())
    peers = [runtime.ready(rank) for rank in runtime.ranks]
    runtime.run(runtime.ranks[0])
    runtime.steps.failed(runtime.ranks[1], "there is no program")
    assert peers[0].told[-1] == {"stop": 0.0}
    assert runtime.driver.events() == []
    runtime.steps.ended(runtime.ranks[0], -15)
    assert runtime.driver.events() == ["refused s0", "submitted"]
    (reason,) = (message["reason"] for message in runtime.driver.told if message["event"] == "refused")
    assert reason == "there is no program (rank 1, on node n1)"
    assert peers[2].is_dismissed
    assert peers[2].told == []
    assert not runtime.steps


def test_what_the_runtime_does_not_have_is_refused_when_its_turn_comes() -> None:
    runtime = Runtime()
    runtime.submit(Wish(), Wish(nodes=9), Wish())
    (rank,) = runtime.ranks
    runtime.ready(rank)
    runtime.run(rank)
    assert runtime.driver.events() == ["started s0", "refused s1", "submitted"]


def test_a_process_that_dragon_cannot_make_is_the_end_of_its_step() -> None:
    runtime = Runtime()
    runtime.submit(Wish())
    runtime.steps.failed(runtime.ranks[0], "Dragon cannot")
    assert runtime.driver.events() == ["refused s0", "submitted"]


def test_steps_are_put_where_the_fewest_ranks_run() -> None:
    runtime = Runtime()
    runtime.submit(Wish(), Wish(), Wish())
    assert [rank.place for rank in runtime.ranks] == [0, 1, 0]
    for rank in runtime.ranks:
        runtime.ready(rank)
    for rank in runtime.ranks:
        runtime.run(rank)
    runtime.steps.ended(runtime.ranks[0], 0)
    runtime.steps.ended(runtime.ranks[2], 0)
    runtime.submit(Wish())
    assert runtime.ranks[3].place == 0


@pytest.mark.parametrize("is_left", [True, False])
def test_steps_go_on_without_their_driver_unless_they_are_not_to(is_left: bool) -> None:
    runtime = Runtime()
    runtime.submit(Wish(), is_left=is_left)
    peer = runtime.ready(runtime.ranks[0])
    runtime.run(runtime.ranks[0])
    runtime.steps.forget(runtime.driver)
    assert ({"stop": 0.0} in peer.told) is not is_left
    assert runtime.steps
    later = Somebody()
    assert runtime.steps.follow(later, "s0") == 100
    runtime.steps.ended(runtime.ranks[0], 0)
    assert later.events() == ["ended s0"]
    assert runtime.driver.events() == ["started s0", "submitted"]
    assert runtime.steps.follow(later, "s0") is None


def test_steps_that_a_driver_does_not_know_to_run_do_not_outlive_it() -> None:
    runtime = Runtime()
    runtime.submit(Wish(), Wish())
    peers = [runtime.ready(rank) for rank in runtime.ranks]
    runtime.steps.forget(runtime.driver)
    runtime.steps.started(runtime.ranks[0])
    assert peers[0].told[-1] == {"stop": 0.0}
    runtime.steps.ended(runtime.ranks[0], -15)
    assert peers[1].is_dismissed
    assert not runtime.steps


def test_a_rank_that_is_not_awaited_is_not_taken() -> None:
    runtime = Runtime()
    runtime.submit(Wish())
    assert runtime.steps.ready(Somebody(), "other", 0) is None
    assert runtime.steps.ready(Somebody(), "s0", 1) is None
    runtime.ready(runtime.ranks[0])
    assert runtime.steps.ready(Somebody(), "s0", 0) is None


@given(st.data())
def test_whatever_happens_each_step_is_told_of_in_order_and_once(data: st.DataObject) -> None:
    runtime = Runtime()
    count = data.draw(st.integers(1, 3))
    runtime.submit(*(Wish(tasks_per_node=data.draw(st.integers(1, 2))) for _ in range(count)))
    while live := [rank for rank in runtime.ranks if rank.stage is not Stage.ENDED]:
        rank = data.draw(st.sampled_from(live))
        if rank.stage is Stage.MADE:
            runtime.ready(rank)
        elif data.draw(st.integers(0, 9)) == 0:
            runtime.steps.ended(rank, None)
        elif rank.stage is Stage.TOLD:
            runtime.steps.started(rank)
        elif rank.stage is Stage.RUNNING:
            runtime.steps.ended(rank, data.draw(st.integers(0, 1)))
        elif not any(other.stage in (Stage.MADE, Stage.TOLD) or other.stage is Stage.RUNNING for other in live):
            pytest.fail("a rank waits for nobody")
    events = [event for event in runtime.driver.events() if event != "submitted"]
    assert runtime.driver.events().count("submitted") == 1
    assert len(set(events)) == len(events)
    starts = [event.split() for event in events if not event.startswith("ended")]
    assert [name for _, name in starts] == [f"s{index}" for index in range(len(starts))]
    assert all(kind == "started" for kind, _ in starts[:-1])
    assert {f"ended {name}" for kind, name in starts if kind == "started"} <= set(events)
    assert not runtime.steps


# Jobs

WORD = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(st.lists(WORD, min_size=1))
def test_a_step_of_a_job_arrives_in_the_runtime_of_the_job_as_it_was_meant(argv: list[str]) -> None:
    batch = Batch("job", ("sbatch",), (), ("module load x",), "/s", "/a b/$d", "/o", "/e")
    step = Step("m", tuple(argv), ("--nodes=2",), {"A": "1"}, "/w", "/o ut", "/e rr", batch, "dragon")
    inside = in_runtime(step, ("python", "member"))
    assert inside.argv == ("python", "member", "m", "/o ut", "/e rr", "--nodes=2", "--", *argv)
    assert (inside.launch, inside.ranks, inside.environment) == ((), "", {"A": "1"})
    assert inside.batch is not None
    before, export = inside.batch.preamble
    assert before == "module load x"
    assert shlex.split(export)[-1] == "/a b/$d/dragon.XXXXXX)"
    plain = in_runtime(Step("m", ("x",), ("mpirun",), {}, "/w", "/o", "/e", batch, "mpirun"), ("python", "member"))
    assert plain.command == ("mpirun", "x")
    assert plain.batch == inside.batch
