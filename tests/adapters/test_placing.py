"""Steps that share an allocation, on virtual time; and a few on the CPUs of this machine."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from smartsim.adapters.clock.system import SystemClock
from smartsim.adapters.clock.virtual import VirtualClock
from smartsim.adapters.filesystem.in_memory import InMemoryFileSystem
from smartsim.adapters.filesystem.posix import PosixFileSystem
from smartsim.adapters.wlm.local import LocalWorkloadManager
from smartsim.adapters.wlm.placing import PlacingWorkloadManager
from smartsim.adapters.wlm.scripted import Script, ScriptedMachine, ScriptedWorkloadManager
from smartsim.domain.errors import AllocationError, LauncherError, ShellError
from smartsim.domain.lifecycle import Ended, JobEvent, JobState, Queued, Refused, Started, StopRequested, advance
from smartsim.domain.resources import Node, ResourceRequest
from smartsim.domain.settings.mpi import MpiFlavour
from smartsim.domain.status import SmartSimStatus
from smartsim.domain.steps import Batch, Step
from smartsim.ports.workload_manager import Report, WorkloadManager

DEADLINE = 30.0
NODES = (Node("n1", (0, 1, 2, 3), (0, 1)), Node("n2", (0, 1, 2, 3), (0, 1)))
CPUS = ResourceRequest(tasks=4)
ONE = ResourceRequest(tasks=1)


def step(name: str, request: ResourceRequest | None = CPUS, ranks: str = "srun", **others: Any) -> Step:
    launch = {"srun": ("srun", "--gres=none"), "mpirun": ("/opt/mpirun",)}.get(ranks, ())
    return Step(name, ("solver",), launch, {}, "/w", f"/{name}.out", f"/{name}.err", None, ranks, request, **others)


def value(step: Step, option: str) -> str:
    return next(word.partition("=")[2] for word in step.launch if word.startswith(f"{option}="))


@dataclass
class Site:
    """An allocation of two nodes, on which steps run for ten seconds."""

    clock: VirtualClock = field(default_factory=VirtualClock)
    machine: ScriptedMachine = field(default_factory=ScriptedMachine)
    files: InMemoryFileSystem = field(default_factory=InMemoryFileSystem)
    scripts: dict[str, Script] = field(default_factory=dict)
    events: list[tuple[str, JobEvent]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    told: list[Callable[[str, JobEvent], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inner, self.manager = self.driver()

    def driver(self) -> tuple[ScriptedWorkloadManager, PlacingWorkloadManager]:
        inner = ScriptedWorkloadManager(self.clock.call_later, self.clock, self.script, machine=self.machine)
        return inner, self.around(inner)

    def around(self, inner: WorkloadManager) -> PlacingWorkloadManager:
        return PlacingWorkloadManager(inner, NODES, "n1", self.files, self.clock, self.flavour, binds=True)

    def flavour(self, program: str) -> MpiFlavour:
        self.asked.append(program)
        return MpiFlavour.MPICH

    def script(self, step: Step) -> Script:
        return self.scripts.get(step.name, Script(duration=10.0))

    def report(self, name: str, event: JobEvent) -> None:
        self.events.append((name, event))
        for listener in list(self.told):
            listener(name, event)

    def submit(self, *steps: Step) -> None:
        self.manager.submit(steps, self.report)

    def of(self, name: str) -> list[JobEvent]:
        return [event for reported, event in self.events if reported == name]

    def kinds(self, name: str) -> list[type[JobEvent]]:
        return [type(event) for event in self.of(name)]

    def started(self) -> list[str]:
        return [name for name, event in self.events if isinstance(event, Started)]

    def status(self, name: str, stopped_by: str = "") -> SmartSimStatus:
        """Return what becomes of a job of which all that was said."""
        state = JobState(self.clock.now())
        for event in self.of(name):
            if isinstance(event, Ended) and stopped_by:
                state, _ = advance(state, StopRequested(event.at, stopped_by))
            state, _ = advance(state, event)
        return state.status


@pytest.fixture
def site() -> Site:
    return Site()


# Whose turn it is


def test_what_fits_starts_at_once_and_the_rest_when_something_ends(site: Site) -> None:
    site.submit(*(step(name) for name in "abcd"))
    assert site.started() == ["a", "b"]
    assert site.of("c") == [Queued(site.clock.now(), "waiting")]
    site.clock.advance(10.0)
    assert site.started() == ["a", "b", "c", "d"]
    assert site.kinds("a") == [Started, Ended]
    assert site.kinds("d") == [Queued, Started]
    site.clock.advance(10.0)
    assert site.status("d") is SmartSimStatus.STATUS_COMPLETED


def test_the_inner_manager_is_told_of_the_lease(site: Site) -> None:
    site.submit(step("a", ONE), step("b"), step("c", ResourceRequest(tasks=3)))
    assert [value(inner, "--nodelist") for inner in site.inner.submitted] == ["n1", "n2", "n1"]
    assert [value(inner, "--ntasks") for inner in site.inner.submitted] == ["1", "4", "3"]


def test_the_start_of_a_step_tells_its_lease(site: Site) -> None:
    site.submit(step("a", ResourceRequest(tasks=6, gpus_per_node=1)), step("free", None))
    (started,) = site.of("a")
    assert isinstance(started, Started)
    assert [(share.node, share.tasks, share.cpus, share.gpus) for share in started.placement] == [
        ("n1", 3, (0, 1, 2), (0,)),
        ("n2", 3, (0, 1, 2), (0,)),
    ]
    (unplaced,) = site.of("free")
    assert isinstance(unplaced, Started)
    assert unplaced.placement == ()


def test_a_file_with_ranks_is_written_before_the_step_starts(site: Site) -> None:
    seen = []
    site.told.append(lambda name, _: seen.append(site.files.read(f"/{name}.ranks")))
    site.submit(step("a", ResourceRequest(tasks=2, cpus_per_task=2), "mpirun"))
    assert seen == [b"n1:2 binding=user:0+1,2+3\n"]
    assert site.inner.submitted[0].launch == ("/opt/mpirun", "-n", "2", "-f", "/a.ranks")


def test_a_program_is_asked_once_whose_it_is(site: Site) -> None:
    site.submit(step("a", ONE, "mpirun"), step("b", ONE, "mpirun"), step("c", ONE))
    assert site.asked == ["/opt/mpirun"]


def test_a_shard_has_its_node_for_itself(site: Site) -> None:
    site.scripts["shard"] = Script(duration=None)
    site.submit(
        step("shard", ResourceRequest(nodes=1, whole_nodes=True, hosts=("n1",))), step("a", ONE), step("b", CPUS)
    )
    assert [value(inner, "--nodelist") for inner in site.inner.submitted] == ["n1", "n2"]
    site.clock.advance(10.0)
    assert [value(inner, "--nodelist") for inner in site.inner.submitted] == ["n1", "n2", "n2"]


def test_a_process_of_the_driver_runs_on_its_node(site: Site) -> None:
    site.submit(step("a", ONE, ""), step("b", CPUS, ""))
    assert [(inner.name, inner.cpus) for inner in site.inner.submitted] == [("a", (0,))]
    site.clock.advance(10.0)
    assert [(inner.name, inner.cpus) for inner in site.inner.submitted] == [("a", (0,)), ("b", (0, 1, 2, 3))]


def test_a_step_for_which_there_is_room_by_the_time_it_is_said_to_wait_starts(site: Site) -> None:
    site.told.append(lambda _, event: site.clock.advance(10.0) if isinstance(event, Queued) else None)
    site.submit(step("a"), step("b"), step("c"))
    assert site.kinds("c") == [Queued, Started]


def test_that_a_step_waits_is_said_once(site: Site) -> None:
    site.scripts["a"] = site.scripts["c"] = Script(duration=10.0, queued_for=5.0)
    site.submit(step("a"), step("b"), step("c"))
    site.clock.advance(30.0)
    assert site.kinds("a") == [Queued, Started, Ended]
    assert site.kinds("c") == [Queued, Started, Ended]


def test_ranks_are_not_bound_where_the_numbers_of_cpus_are_not_known(site: Site) -> None:
    manager = PlacingWorkloadManager(site.inner, NODES, "n1", site.files, site.clock, site.flavour)
    manager.submit([step("a", ONE, ""), step("b", ONE, "mpirun")], site.report)
    assert site.inner.submitted[0].cpus == ()
    assert site.files.read("/b.ranks") == b"n1:1\n"


def test_two_hundred_members_run_eight_at_a_time(site: Site) -> None:
    site.submit(*(step(f"m{number}", ONE) for number in range(200)))
    running = peak = 0
    for _ in range(25):
        site.clock.advance(10.0)
    for _, event in site.events:
        running += isinstance(event, Started) - isinstance(event, Ended)
        peak = max(peak, running)
    assert peak == 8
    assert site.started() == [f"m{number}" for number in range(200)]
    assert all(site.status(f"m{number}") is SmartSimStatus.STATUS_COMPLETED for number in range(200))


# Steps without a request


def test_steps_that_ask_for_nothing_do_not_wait(site: Site) -> None:
    site.submit(step("a"), step("b"), step("c", None), step("d"))
    assert site.started() == ["a", "b", "c"]
    assert site.inner.submitted[2].launch == ("srun", "--overlap", "--gres=none")


def test_steps_of_a_batch_job_are_passed_on_together_as_they_are() -> None:
    submissions: list[Sequence[Step]] = []

    class Inner(ScriptedWorkloadManager):
        def submit(self, steps: Sequence[Step], report: Report) -> None:
            submissions.append(steps)
            super().submit(steps, report)

    site = Site()
    manager = site.around(Inner(site.clock.call_later, site.clock))
    job = Batch("job", ("sbatch",), (), (), "/job.sh", "/job", "/job.out", "/job.err")
    members = [
        Step(name, ("solver",), ("srun",), {}, "/w", f"/{name}.out", f"/{name}.err", job, "srun", CPUS)
        for name in "abc"
    ]
    manager.submit([*members, step("d")], site.report)
    assert submissions[0] == members
    assert len(submissions) == 2


# What is refused


def test_a_step_that_can_never_fit_is_refused_at_once_and_ends_the_submission(site: Site) -> None:
    site.submit(step("a"), step("huge", ResourceRequest(tasks=9)), step("b"))
    (refusal,) = site.of("huge")
    assert isinstance(refusal, Refused)
    assert isinstance(refusal.error, AllocationError)
    assert "huge asks for 9 tasks" in str(refusal.error)
    assert site.started() == ["a"]
    assert site.of("b") == []


def test_a_step_that_asks_for_another_node_than_its_own_is_refused(site: Site) -> None:
    site.submit(step("a", ResourceRequest(hosts=("n2",)), ""), step("b"))
    assert site.kinds("a") == [Refused]
    assert site.of("b") == []


def test_a_refused_step_leaves_its_part_to_others(site: Site) -> None:
    site.scripts["bad"] = Script(refusal=LauncherError("no such program"))
    site.submit(step("a"), step("bad"), step("never"))
    assert site.kinds("bad") == [Refused]
    assert site.of("never") == []
    site.submit(step("b"))
    assert site.started() == ["a", "b"]


@pytest.mark.parametrize("request_", [CPUS, None])
def test_a_refusal_ends_the_submission_whether_the_step_asked_for_something_or_not(
    site: Site, request_: ResourceRequest | None
) -> None:
    site.scripts["bad"] = Script(refusal=LauncherError("no such program"))
    site.submit(step("bad", request_), step("b"), step("c", None))
    assert [name for name, _ in site.events] == ["bad"]


def test_a_step_that_waited_and_is_refused_then_has_ended_with_the_reason(site: Site) -> None:
    site.scripts["bad"] = Script(refusal=ShellError("Job step bad failed to launch", ["solver"], "no such program"))
    site.submit(step("a"), step("b"), step("bad"), step("c"))
    site.clock.advance(10.0)
    assert site.kinds("bad") == [Queued, Ended]
    ended = site.of("bad")[-1]
    assert isinstance(ended, Ended)
    assert ended.returncode is None
    assert "no such program" in ended.reason
    assert site.status("bad") is SmartSimStatus.STATUS_FAILED
    assert site.started() == ["a", "b", "c"]


def test_hundreds_of_refusals_in_a_row_are_one_after_the_other(site: Site) -> None:
    bad = [f"bad{number}" for number in range(2000)]
    site.scripts.update(dict.fromkeys(bad, Script(refusal=LauncherError("no such program"))))
    site.submit(step("a"), step("b"), *(step(name, ONE) for name in bad), step("c"))
    site.clock.advance(10.0)
    assert all(site.kinds(name) == [Queued, Ended] for name in bad)
    assert site.started() == ["a", "b", "c"]


def test_a_file_that_cannot_be_written_is_a_refusal_in_words(site: Site) -> None:
    site.files.write("/w", b"a file, and no directory")
    bad = step("a", ONE, "mpirun")
    site.submit(Step("a", bad.argv, bad.launch, {}, "/", "/w/a.out", "/w/a.err", None, "mpirun", ONE))
    (refusal,) = site.of("a")
    assert isinstance(refusal, Refused)
    assert "Cannot write" in str(refusal.error)
    site.submit(step("b"), step("c"))
    assert site.started() == ["b", "c"]


def test_an_error_that_nobody_has_foreseen_refuses_one_step_and_keeps_no_other_waiting(site: Site) -> None:
    written = site.files.write

    def write(path: str, content: bytes, mode: int = 0o666) -> None:
        if "b" in path:
            raise ZeroDivisionError("something odd")
        written(path, content, mode)

    site.files.write = write  # type: ignore[method-assign]
    site.submit(*(step(name, ResourceRequest(tasks=8), "mpirun") for name in "abc"))
    site.clock.advance(10.0)
    assert site.started() == ["a", "c"]
    ended = site.of("b")[-1]
    assert isinstance(ended, Ended)
    assert ended.reason == "b cannot be started: ZeroDivisionError: something odd"


def test_a_program_whose_flavour_cannot_be_told_is_refused() -> None:
    site = Site()

    def flavour(program: str) -> MpiFlavour:
        raise ShellError("cannot be started", [program])

    manager = PlacingWorkloadManager(site.inner, NODES, "n1", site.files, site.clock, flavour)
    manager.submit([step("a", ONE, "mpirun")], site.report)
    assert site.kinds("a") == [Refused]


@pytest.mark.parametrize("waits", [False, True])
def test_a_name_is_taken_while_its_step_runs_or_waits(site: Site, waits: bool) -> None:
    site.submit(*(step(name) for name in ("abc" if waits else "c")))
    again: list[JobEvent] = []
    site.manager.submit([step("c")], lambda _, event: again.append(event))
    assert [type(event) for event in again] == [Refused]
    site.clock.advance(20.0)
    site.submit(step("c"))
    assert site.started().count("c") == 2


# Stopping


def test_a_step_that_waits_ends_when_it_is_stopped(site: Site) -> None:
    site.submit(*(step(name) for name in "abcd"))
    site.manager.stop(["c"], grace=5.0)
    assert site.kinds("c") == [Queued, Ended]
    assert site.status("c", stopped_by="somebody") is SmartSimStatus.STATUS_CANCELLED
    site.clock.advance(30.0)
    assert site.started() == ["a", "b", "d"]
    assert len(site.of("c")) == 2


def test_stopping_the_first_lets_the_next_go_on(site: Site) -> None:
    site.scripts["a"] = Script(duration=None)
    whole = ResourceRequest(nodes=2, whole_nodes=True)
    site.submit(step("a", ONE), step("whole", whole), step("b", ResourceRequest(tasks=3)))
    assert site.started() == ["a"]
    site.manager.stop(["whole"], grace=5.0)
    assert site.started() == ["a", "b"]


def test_a_running_step_is_stopped_by_the_inner_manager_and_its_part_is_free_then(site: Site) -> None:
    site.scripts["a"] = Script(duration=None)
    site.submit(step("a"), step("b", None), step("c"), step("d"))
    site.manager.stop(["a", "b", "unknown"], grace=5.0)
    assert site.started() == ["a", "b", "c"]
    site.clock.advance(1.0)
    assert site.kinds("a") == [Started, Ended]
    assert site.kinds("b") == [Started, Ended]
    assert site.started() == ["a", "b", "c", "d"]


def test_a_step_can_be_stopped_as_soon_as_it_is_said_to_wait(site: Site) -> None:
    def stop(name: str, event: JobEvent) -> None:
        if isinstance(event, Queued):
            site.manager.stop([name], grace=5.0)

    site.told.append(stop)
    site.submit(step("a"), step("b"), step("c"), step("d"))
    assert site.kinds("c") == site.kinds("d") == [Queued, Ended]
    site.clock.advance(30.0)
    assert site.started() == ["a", "b"]


def test_a_step_can_be_stopped_as_soon_as_its_turn_has_come(site: Site) -> None:
    site.scripts["c"] = Script(duration=None, heeds_sigterm=False)

    def stop(name: str, event: JobEvent) -> None:
        if name == "c" and isinstance(event, Started):
            site.manager.stop(["c"], grace=5.0)
            site.manager.stop(["c"], grace=9.0)

    site.told.append(stop)
    site.submit(step("a"), step("b"), step("c"))
    site.clock.advance(15.0)
    assert site.kinds("c") == [Queued, Started, Ended]


def test_steps_may_be_submitted_when_another_has_ended(site: Site) -> None:
    def follow_up(name: str, event: JobEvent) -> None:
        if isinstance(event, Ended) and len(name) < 4:
            site.submit(step(f"{name}+"))

    site.told.append(follow_up)
    site.submit(step("a"), step("b"), step("c"))
    for _ in range(8):
        site.clock.advance(10.0)
    assert sorted(site.started()) == sorted([f"{name}{'+' * more}" for name in "abc" for more in range(4)])


# The end of the driver


def test_steps_that_wait_never_start_once_the_driver_has_ended(site: Site) -> None:
    site.submit(*(step(name) for name in "abcd"))
    site.manager.close()
    assert site.kinds("a") == [Started]
    for name in "cd":
        assert site.kinds(name) == [Queued, Ended]
        assert site.status(name) is SmartSimStatus.STATUS_CANCELLED
    site.clock.advance(60.0)
    assert site.started() == ["a", "b"]


def test_a_step_that_comes_to_wait_after_the_end_is_cancelled_too(site: Site) -> None:
    site.told.append(lambda name, _: site.manager.close() if name == "c" else None)
    site.submit(*(step(name) for name in "abc"))
    assert site.kinds("c") == [Queued, Ended]


# Nodes that fail


class Cancelling(ScriptedWorkloadManager):
    """Tells of every end that somebody has cancelled the step, as Slurm's books do when a node is lost."""

    def submit(self, steps: Sequence[Step], report: Report) -> None:
        def told(name: str, event: JobEvent) -> None:
            report(name, replace(event, cancelled_by="root") if isinstance(event, Ended) else event)

        super().submit(steps, told)


class Losing:
    """A site, of whose nodes some may have failed when that is asked."""

    def __init__(self, *left: str, inner: type[ScriptedWorkloadManager] = ScriptedWorkloadManager) -> None:
        self.left: Sequence[str] | None = left
        self.asked = 0
        self.site = site = Site()
        site.inner = inner(site.clock.call_later, site.clock, site.script, machine=site.machine)
        self.manager = PlacingWorkloadManager(
            site.inner, NODES, "n1", site.files, SystemClock(), site.flavour, remaining=self.remaining
        )
        self.news = threading.Condition()

    def remaining(self) -> Sequence[str]:
        self.asked += 1
        if self.left is None:
            raise ShellError("cannot be asked", ["scontrol"])
        return self.left

    def submit(self, *steps: Step) -> None:
        self.manager.submit(steps, self.report)

    def report(self, name: str, event: JobEvent) -> None:
        with self.news:
            self.site.report(name, event)
            self.news.notify_all()

    def ended(self, name: str) -> Ended:
        with self.news:
            assert self.news.wait_for(lambda: isinstance(self.site.of(name)[-1], Ended), DEADLINE), self.site.events
        event = self.site.of(name)[-1]
        assert isinstance(event, Ended)
        return event


@pytest.mark.parametrize("inner", [ScriptedWorkloadManager, Cancelling])
def test_nothing_is_placed_on_a_node_that_has_failed(inner: type[ScriptedWorkloadManager]) -> None:
    losing = Losing("n1", inner=inner)
    site = losing.site
    site.scripts["a"] = Script(duration=10.0, returncode=-9)
    on_n2 = ResourceRequest(tasks=4, hosts=("n2",))
    losing.submit(step("a", on_n2), step("b"), step("c"), step("large", ResourceRequest(tasks=8)), step("there", on_n2))
    assert site.started() == ["a", "b"]
    site.clock.advance(10.0)
    ended = losing.ended("a")
    assert (ended.returncode, ended.reason) == (-9, "node failure: n2 failed while it ran there")
    assert not ended.cancelled_by
    for name in ("large", "there"):
        ended = losing.ended(name)
        assert ended.returncode is None
        assert f"Step {name} asks for" in ended.reason
        assert "It had more before n2 failed" in ended.reason
    losing.submit(step("d"))
    assert site.started() == ["a", "b", "c"]
    assert site.of("d") == [Queued(site.of("d")[0].at, "waiting")]
    losing.submit(step("e", on_n2))
    (refused,) = site.of("e")
    assert isinstance(refused, Refused)
    assert "n2 do not belong to it" in str(refused.error)
    losing.manager.close()


@pytest.mark.parametrize("left", [None, ("n1", "n2")])
def test_a_step_that_fails_by_itself_is_reported_as_it_was(left: Sequence[str] | None) -> None:
    losing = Losing()
    losing.left = left
    losing.site.scripts["a"] = Script(duration=10.0, returncode=7)
    losing.submit(step("a"))
    losing.site.clock.advance(10.0)
    ended = losing.ended("a")
    assert (ended.returncode, ended.reason) == (7, "")
    assert losing.asked == 1
    losing.manager.close()


def test_nobody_asks_why_steps_ended_well_or_were_stopped() -> None:
    losing = Losing()
    losing.submit(step("a"), step("b"))
    losing.manager.stop(["b"], 5.0)
    losing.site.clock.advance(10.0)
    assert (losing.ended("a").returncode, losing.ended("b").returncode) == (0, -15)
    assert losing.asked == 0
    losing.manager.close()


def test_another_driver_takes_over_the_lease(site: Site) -> None:
    site.scripts["a"] = Script(duration=100.0)
    site.submit(step("a", ResourceRequest(tasks=3, hosts=("n1",))))
    handle = json.loads(json.dumps(site.manager.handle("a")))
    site.manager.close()
    _, site.manager = site.driver()
    assert site.manager.attach(step("z"), handle, site.report)
    site.submit(step("b"), step("c", ONE), step("d", ONE))
    assert site.started() == ["a", "z", "b", "c"]
    assert json.loads(json.dumps(site.manager.handle("z"))) == handle
    site.clock.advance(100.0)
    assert site.kinds("z") == [Started, Ended]
    site.submit(step("whole", ResourceRequest(nodes=2, whole_nodes=True)))
    assert isinstance(site.of("whole")[0], Started)


def test_a_lease_of_what_does_not_run_any_more_is_free(site: Site) -> None:
    site.submit(step("a"))
    handle = dict(site.manager.handle("a"))
    site.clock.advance(10.0)
    assert not site.manager.attach(step("z"), handle, site.report)
    site.submit(step("b"), step("c"))
    assert site.started() == ["a", "b", "c"]


def test_a_step_without_a_lease_is_taken_over_without_one(site: Site) -> None:
    site.submit(step("a", None))
    handle: Mapping[str, object] = site.manager.handle("a")
    assert "lease" not in handle
    _, site.manager = site.driver()
    assert site.manager.attach(step("z"), handle, site.report)
    site.manager.stop(["z"], grace=1.0)
    site.clock.advance(1.0)
    assert site.kinds("z") == [Started, Ended]


def test_a_step_that_waits_has_no_handle(site: Site) -> None:
    site.submit(*(step(name) for name in "abc"))
    with pytest.raises(LauncherError, match="c is not running: it waits"):
        site.manager.handle("c")


# Real processes and threads


def submit_and_wait(manager: PlacingWorkloadManager, steps: Collection[Step]) -> dict[str, list[JobEvent]]:
    events: dict[str, list[JobEvent]] = {}
    changed = threading.Condition()

    def report(name: str, event: JobEvent) -> None:
        with changed:
            events.setdefault(name, []).append(event)
            changed.notify_all()

    threads = [threading.Thread(target=manager.submit, args=([step], report)) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    with changed:
        assert changed.wait_for(
            lambda: len(events) == len(steps) and all(isinstance(of[-1], Ended | Refused) for of in events.values()),
            DEADLINE,
        ), events
    return events


def local(*nodes: Node) -> PlacingWorkloadManager:
    return PlacingWorkloadManager(
        LocalWorkloadManager(), nodes, "here", PosixFileSystem(), SystemClock(), lambda _: None, binds=True
    )


def process(directory: Path, name: str, *argv: str) -> Step:
    out, err = str(directory / f"{name}.out"), str(directory / f"{name}.err")
    return Step(name, argv, (), {}, str(directory), out, err, request=ONE)


def test_processes_are_bound_to_the_cpus_that_they_have(tmp_path: Path) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    manager = local(Node("here", tuple(cpus)))
    names = [f"p{number}" for number in range(len(cpus))]
    steps = [process(tmp_path, name, "/bin/sh", "-c", "grep Cpus_allowed_list /proc/self/status") for name in names]
    events = submit_and_wait(manager, steps)
    manager.close()
    assert all(events[name][-1].returncode == 0 for name in names)  # type: ignore[union-attr]
    bound = {(tmp_path / f"{name}.out").read_text().split()[1] for name in names}
    assert bound <= {str(cpu) for cpu in cpus}


def test_the_driver_is_bound_to_nothing(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    manager = local(Node("here", (min(before),)))
    ended = threading.Event()

    def report(_: str, event: JobEvent) -> None:
        if isinstance(event, Ended):
            ended.set()

    manager.submit([process(tmp_path, "p", "/bin/true")], report)
    assert os.sched_getaffinity(0) == before
    assert ended.wait(DEADLINE)
    manager.close()


def test_a_process_cannot_be_bound_to_cpus_that_are_not_there(tmp_path: Path) -> None:
    manager = local(Node("here", (4000,)))
    events = submit_and_wait(manager, [process(tmp_path, "p", "/bin/true")])
    manager.close()
    (refusal,) = events["p"]
    assert isinstance(refusal, Refused)
    assert "it cannot be bound to the CPUs 4000 of this machine: this process has" in str(refusal.error)


def test_many_threads_share_one_cpu(tmp_path: Path) -> None:
    (cpu, *_) = sorted(os.sched_getaffinity(0))
    manager = local(Node("here", (cpu,)))
    # Each makes a directory that only one can have at a time.
    script = "mkdir alone && sleep 0.01 && rmdir alone"
    steps = [process(tmp_path, f"p{number}", "/bin/sh", "-c", script) for number in range(30)]
    events = submit_and_wait(manager, steps)
    manager.close()
    for of in events.values():
        assert [type(event) for event in of] in ([Started, Ended], [Queued, Started, Ended])
        assert isinstance(of[-1], Ended)
        assert of[-1].returncode == 0
