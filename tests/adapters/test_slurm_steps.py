"""Steps of srun on a Slurm that answers what a test has planned, in virtual time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from scripted_slurm import HeldClock
from smartsim.adapters.wlm.scripted import Script, ScriptedWorkloadManager
from smartsim.adapters.wlm.slurm_steps import SrunSteps
from smartsim.adapters.wlm.srun import OUT_OF_MEMORY
from smartsim.domain.errors import LauncherError, ShellError
from smartsim.domain.lifecycle import Ended, JobEvent, Refused, Started
from smartsim.domain.steps import Step
from smartsim.ports.process_runner import Completed

DEADLINE = 30.0


@dataclass
class World:
    """Children of a driver, and a Slurm.

    Attributes:
        scripts: what each child does, by its name; by default it runs until it is stopped.
        steps: the names of the steps that `squeue` shows.
        queue: what `squeue` says of jobs.
        books: what `sacct` says.
        answers: whether Slurm answers at all.
        on_signal: is called with the signal when `scancel` signals steps.
    """

    directory: Path
    scripts: dict[str, Script] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)
    queue: str = ""
    books: str = ""
    answers: bool = True
    on_signal: Callable[[str], None] = lambda _: None
    clock: HeldClock = field(default_factory=HeldClock)
    commands: list[tuple[str, ...]] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)
    reports: list[tuple[str, JobEvent]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self.children = ScriptedWorkloadManager(
            self.clock.call_later, self.clock, lambda step: self.scripts.get(step.name, Script(None))
        )
        self.manager = SrunSteps(self.children, self, self.clock, lambda _, text: self.logged.append(text), "52")

    def step(self, name: str, *options: str, ranks: str = "srun") -> Step:
        out = str(self.directory / name)
        return Step(name, (name,), ("srun", *options), {}, "/", f"{out}.out", f"{out}.err", ranks=ranks)

    def submit(self, *names: str) -> None:
        self.manager.submit([self.step(name) for name in names], self.report)

    def report(self, name: str, event: JobEvent) -> None:
        with self.changed:
            self.reports.append((name, event))
            self.changed.notify_all()

    def of(self, name: str) -> list[JobEvent]:
        return [event for reported, event in self.reports if reported == name]

    def ended(self, name: str) -> Ended:
        self.clock.goes.set()
        with self.changed:
            assert self.changed.wait_for(lambda: isinstance(self.of(name)[-1], Ended), DEADLINE), self.reports
        event = self.of(name)[-1]
        assert isinstance(event, Ended)
        return event

    def find(self, program: str) -> str | None:
        return program

    def run(self, argv: Sequence[str], timeout: float) -> Completed:
        self.commands.append(tuple(argv))
        if not self.answers:
            raise ShellError(f"{argv[0]} did not end within {timeout:g} s and was killed", argv, "it may wait")
        if argv[0] == "scancel":
            self.on_signal(argv[1].removeprefix("--signal="))
            return Completed(0, "", "")
        if argv[0] == "sacct":
            return (
                Completed(0, self.books, "") if self.books != "disabled" else Completed(1, "", "accounting is disabled")
            )
        if "--steps" in argv:
            return Completed(0, "".join(f"52.{i}|{name}\n" for i, name in enumerate(self.steps)), "")
        return Completed(0, self.queue, "")

    def programs(self) -> list[str]:
        return [argv[0] for argv in self.commands]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.clock.goes.set()
    for thread in threading.enumerate():
        if thread.name == "smartsim-srun":
            thread.join(10.0)
            assert not thread.is_alive()


def test_a_step_that_ends_well_is_told_of_at_once(world: World) -> None:
    world.scripts["a"] = Script(5.0, 0)
    began = world.clock.now()
    world.submit("a")
    world.clock.advance(5.0)
    assert world.of("a") == [Started(began, "1"), Ended(began + 5.0, 0)]
    assert world.commands == []


def test_why_steps_failed_is_asked_once_for_all_of_them(world: World) -> None:
    world.scripts.update({name: Script(5.0, 137) for name in ("a", "b", "c|d")})
    world.books = "52|RUNNING|0:0|driver\n52.0|FAILED|0:9|a\n52.1|CANCELLED by 0|0:9|b\n52.2|FAILED|7:0|c|d\n"
    world.submit("a", "b", "c|d")
    world.clock.advance(5.0)
    at = world.clock.now()
    assert world.ended("a") == Ended(at, -9)
    assert world.ended("b") == Ended(at, -9, cancelled_by="root")
    assert world.ended("c|d") == Ended(at, -9)
    assert world.programs().count("sacct") == 1
    assert "--jobs=52" in next(argv for argv in world.commands if argv[0] == "sacct")


def test_books_may_be_late(world: World) -> None:
    world.scripts["a"] = Script(5.0, 143)
    world.books = "52|RUNNING|0:0|driver\n52.0|RUNNING|0:0|a\n"
    world.clock.call_later(7.0, lambda: setattr(world, "books", "52|RUNNING|0:0|x\n52.0|CANCELLED by 0|0:15|a\n"))
    world.submit("a")
    world.clock.advance(5.0)
    assert world.ended("a").cancelled_by == "root"


def test_a_reason_that_never_comes_is_not_waited_for(world: World) -> None:
    world.scripts["a"] = Script(5.0, 7)
    world.submit("a")
    world.clock.advance(5.0)
    assert world.ended("a") == Ended(world.of("a")[0].at + 5.0, 7)
    assert world.clock.monotonic() < 30.0


@pytest.mark.parametrize("trouble", ["disabled", "away"])
def test_without_accounts_or_without_slurm_the_exit_code_is_told_all_the_same(world: World, trouble: str) -> None:
    world.scripts["a"] = Script(5.0, 7)
    world.books = trouble
    world.answers = trouble != "away"
    world.submit("a")
    world.clock.advance(5.0)
    world.ended("a")
    assert world.clock.monotonic() <= 6.0


def test_why_the_allocation_ended_tells_more_than_that_its_step_was_cancelled(world: World) -> None:
    world.scripts["a"] = Script(5.0, 143)
    world.queue = "52|TIMEOUT|TimeLimit\n"
    world.books = "52|RUNNING|0:0|driver\n52.0|CANCELLED|0:15|a\n"
    world.submit("a")
    world.clock.advance(5.0)
    assert world.ended("a").reason == "time limit: the job ran longer than it was given"
    assert world.ended("a").cancelled_by == ""


def test_the_books_are_asked_for_the_job_that_the_options_name_or_that_srun_gets_by_itself(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.manager = SrunSteps(world.children, world, world.clock, lambda *_: None)
    world.scripts.update({name: Script(5.0, 143) for name in "abc"})
    world.books = "7|TIMEOUT|0:0|x\n8|TIMEOUT|0:0|x\n9|TIMEOUT|0:0|c\n9.0|CANCELLED|0:15|c\n"
    steps = [world.step("a", "--jobid=7"), world.step("b", "--jobid", "8"), world.step("c")]
    world.manager.submit(steps, world.report)
    world.clock.advance(5.0)
    for name in "abc":
        assert world.ended(name).reason.startswith("time limit")
    asked = {word for argv in world.commands if argv[0] == "sacct" for word in argv}
    assert {"--jobs=7,8", "--name=c"} <= asked


def test_memory_is_told_by_the_words_of_slurm_alone(world: World) -> None:
    world.scripts["a"] = Script(5.0, 137)
    world.submit("a")
    Path(world.step("a").stderr).write_text("srun: Exceeded job memory limit\n")
    world.clock.advance(5.0)
    assert world.of("a")[-1] == Ended(world.clock.now(), -9, OUT_OF_MEMORY)
    assert world.commands == []


def test_an_exit_code_of_0_is_not_believed_of_an_srun_that_gave_up(world: World) -> None:
    world.scripts["a"] = Script(5.0, 0)
    world.queue = "52|NODE_FAIL|NodeDown\n"
    world.submit("a")
    Path(world.step("a").stderr).write_text("srun: error: Node failure on node4\n")
    world.clock.advance(5.0)
    ended = world.ended("a")
    assert ended.returncode is None
    assert ended.reason.startswith("node failure")


def test_an_srun_that_gave_up_without_a_reason_is_read_up_on(world: World) -> None:
    world.scripts["a"] = Script(5.0, 0)
    world.submit("a")
    Path(world.step("a").stderr).write_text("srun: Job step aborted: Waiting up to 32 seconds\n")
    world.clock.advance(5.0)
    ended = world.ended("a")
    assert (ended.returncode, ended.reason) == (None, f"srun gave the step up: see {world.step('a').stderr}")


def test_a_node_that_fails_is_the_reason_by_the_words_of_srun(world: World) -> None:
    world.scripts["a"] = Script(5.0, 137)
    (world.directory / "a.err").write_text(
        "srun: error: Node failure on node[3-4]\nsrun: error: node3: task 1: Killed\n"
    )
    world.submit("a")
    world.clock.advance(5.0)
    assert world.ended("a") == Ended(world.clock.now(), -9, "node failure: node[3-4] failed")
    assert world.commands == []


def test_books_that_stopped_when_the_job_lost_a_node_are_not_waited_for(world: World) -> None:
    world.scripts["a"] = Script(5.0, 137)
    world.books = "52|RESIZING|0:0|driver\n52.0|RESIZING|0:0|a\n52|RUNNING|0:0|driver\n"
    world.submit("a")
    world.clock.advance(5.0)
    at = world.clock.now()
    assert world.ended("a") == Ended(at, -9)
    assert world.clock.now() < at + 2.0


def test_other_children_are_left_to_those_who_start_them(world: World) -> None:
    world.scripts["a"] = Script(5.0, 143)
    world.manager.submit([world.step("a", ranks="mpirun"), world.step("b", ranks="")], world.report)
    world.clock.advance(5.0)
    assert world.of("a")[-1] == Ended(world.clock.now(), 143)
    world.manager.stop(["b"], 5.0)
    world.clock.advance(0.0)
    assert world.of("b")[-1] == Ended(world.clock.now(), -15)
    assert world.commands == []


def test_what_is_refused_is_forgotten(world: World) -> None:
    world.scripts["a"] = Script(refusal=LauncherError("no program"))
    world.submit("a")
    assert [type(event) for event in world.of("a")] == [Refused]
    world.scripts["a"] = Script(5.0, 0)
    world.submit("a")
    world.clock.advance(5.0)
    assert world.of("a")[-1] == Ended(world.clock.now(), 0)


# Stops


def ends_child(world: World, name: str) -> None:
    world.steps.remove(name)
    world.children.stop([name], 0.0)


def test_tasks_are_asked_to_end_through_slurm(world: World) -> None:
    world.steps = ["x", "a"]
    world.on_signal = lambda _: ends_child(world, "a")
    world.submit("a")
    world.manager.stop(["a"], 5.0)
    assert world.ended("a").returncode == -15
    assert [argv for argv in world.commands if argv[0] == "scancel"] == [("scancel", "--signal=TERM", "52.1")]


def test_tasks_that_do_not_listen_are_killed_through_slurm(world: World) -> None:
    world.steps = ["a"]
    world.on_signal = lambda signal: ends_child(world, "a") if signal == "KILL" else None
    world.submit("a")
    world.manager.stop(["a"], 5.0)
    world.ended("a")
    assert [argv[1] for argv in world.commands if argv[0] == "scancel"] == ["--signal=TERM", "--signal=KILL"]
    assert 5.0 <= world.clock.monotonic() <= 7.0
    assert world.logged == []


def test_an_srun_without_a_step_is_ended_itself(world: World) -> None:
    world.submit("a")
    world.manager.stop(["a"], 60.0)
    assert world.ended("a").returncode == -15
    assert "scancel" not in world.programs()
    assert world.clock.monotonic() < 10.0


def test_an_srun_is_ended_itself_when_slurm_does_not_answer(world: World) -> None:
    world.answers = False
    world.submit("a")
    world.manager.stop(["a"], 5.0)
    assert world.ended("a").returncode == -15


def test_tasks_that_outlive_their_srun_are_killed_until_they_are_gone_and_told_of(world: World) -> None:
    world.steps = ["a"]
    world.scripts["a"] = Script(None, heeds_sigterm=False)
    world.submit("a")
    world.manager.stop(["a"], 5.0)
    assert world.ended("a").returncode == -9
    for thread in threading.enumerate():
        if thread.name == "smartsim-srun":
            thread.join(DEADLINE)
    (told,) = world.logged
    assert "The step a was asked to end and then killed, and Slurm still shows it" in told


def test_closing_sees_stops_through(world: World) -> None:
    world.steps = ["a"]
    world.on_signal = lambda _: ends_child(world, "a")
    world.submit("a")
    world.manager.stop(["a"], 5.0)
    world.clock.goes.set()
    world.manager.close()
    assert isinstance(world.of("a")[-1], Ended)


@pytest.mark.parametrize("is_stopped", [False, True])
def test_an_error_that_nobody_has_foreseen_keeps_nobody_waiting(world: World, is_stopped: bool) -> None:
    def breaks(argv: Sequence[str], timeout: float) -> Completed:  # noqa: ARG001 - see ProcessRunner
        raise ZeroDivisionError("something odd")

    world.run = breaks  # type: ignore[method-assign]
    world.scripts["a"] = Script(None if is_stopped else 5.0, 7)
    world.submit("a")
    if is_stopped:
        world.manager.stop(["a"], 5.0)
    else:
        world.clock.advance(5.0)
    assert world.ended("a").returncode == (-15 if is_stopped else 7)
    warning, details = world.logged
    assert "ZeroDivisionError: something odd" in warning
    assert "in breaks" in details
