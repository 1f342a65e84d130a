"""What every workload manager does, the fake like the real one."""

import contextlib
import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from smartsim.adapters.clock.virtual import VirtualClock
from smartsim.adapters.wlm.local import LocalWorkloadManager
from smartsim.adapters.wlm.scripted import Script, ScriptedMachine, ScriptedWorkloadManager
from smartsim.domain.errors import LauncherError
from smartsim.domain.lifecycle import Ended, JobEvent, Refused, Started
from smartsim.domain.steps import Step
from smartsim.ports.clock import Clock
from smartsim.ports.workload_manager import WorkloadManager

DEADLINE = 30.0


@dataclass
class World:
    """A machine with a workload manager, and what it reported."""

    make: Callable[[], WorkloadManager]
    clock: Clock
    directory: Path
    reports: list[tuple[str, JobEvent]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    managers: list[WorkloadManager] = field(default_factory=list)

    def manager(self) -> WorkloadManager:
        self.managers.append(self.make())
        return self.managers[-1]

    def step(self, name: str, program: str, argument: str = "") -> Step:
        argv = (*PROGRAMS[program], argument) if argument else PROGRAMS[program]
        out = str(self.directory / name)
        return Step(name, argv, (), {}, str(self.directory), f"{out}.out", f"{out}.err")

    def report(self, name: str, event: JobEvent) -> None:
        with self.changed:
            self.reports.append((name, event))
            self.changed.notify_all()

    def of(self, name: str) -> list[JobEvent]:
        return [event for reported, event in self.reports if reported == name]

    def ended(self, name: str) -> Ended:
        def has_ended() -> bool:
            return any(isinstance(event, Ended) for event in self.of(name))

        with self.changed:
            assert self.clock.wait_until(self.changed, has_ended, DEADLINE), f"{name} did not end: {self.reports}"
        return next(event for event in self.of(name) if isinstance(event, Ended))


PROGRAMS = {
    "exits": ("/bin/sh", "-c", 'exit "$0"'),
    "runs": ("/bin/sleep", "60"),
    "is stubborn": ("/bin/sh", "-c", 'trap "" TERM; while :; do sleep 1; done'),
    "is missing": ("/no/such/program",),
}


def _script(step: Step) -> Script:
    program = next(name for name, argv in PROGRAMS.items() if step.argv[: len(argv)] == argv)
    if program == "exits":
        return Script(duration=1.0, returncode=int(step.argv[-1]))
    if program == "is missing":
        return Script(refusal=LauncherError("there is no program"))
    return Script(duration=None, heeds_sigterm=program == "runs")


@pytest.fixture(params=["local", "local on an old kernel", "scripted"])
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    if request.param == "local on an old kernel":
        monkeypatch.setattr(os, "pidfd_open", _not_implemented)
    if request.param.startswith("local"):
        from smartsim.adapters.clock.system import SystemClock

        world = World(LocalWorkloadManager, SystemClock(), tmp_path)
    else:
        clock = VirtualClock()
        machine = ScriptedMachine()
        world = World(
            lambda: ScriptedWorkloadManager(clock.call_later, clock, _script, machine=machine), clock, tmp_path
        )
    yield world
    for manager in world.managers:
        left = {name for name, event in world.reports if isinstance(event, Started)}
        manager.stop(left, grace=0.0)
    for name in {name for name, event in world.reports if isinstance(event, Started)}:
        world.ended(name)
    for manager in world.managers:
        manager.close()


def test_a_step_is_started_and_ends_with_its_exit_code(world: World) -> None:
    world.manager().submit([world.step("a", "exits", "7")], world.report)
    ended = world.ended("a")
    started = world.of("a")[0]
    assert ended.returncode == 7
    assert isinstance(started, Started)
    assert started.native_id
    assert started.at <= ended.at


def test_many_steps_are_told_apart(world: World) -> None:
    world.manager().submit([world.step(f"s{code}", "exits", str(code)) for code in range(20)], world.report)
    assert [world.ended(f"s{code}").returncode for code in range(20)] == list(range(20))
    assert len({event.native_id for _, event in world.reports if isinstance(event, Started)}) == 20


def test_the_first_step_that_cannot_start_ends_the_submission(world: World) -> None:
    steps = [world.step("first", "runs"), world.step("second", "is missing"), world.step("third", "runs")]
    world.manager().submit(steps, world.report)
    assert [type(event) for event in world.of("second")] == [Refused]
    assert isinstance(world.of("first")[0], Started)
    assert world.of("third") == []


def test_a_name_that_runs_is_refused_a_second_time(world: World) -> None:
    manager = world.manager()
    manager.submit([world.step("a", "runs")], world.report)
    again: list[JobEvent] = []
    manager.submit([world.step("a", "runs")], lambda _, event: again.append(event))
    assert [type(event) for event in again] == [Refused]


def test_a_step_that_is_asked_to_end_ends_by_sigterm(world: World) -> None:
    manager = world.manager()
    manager.submit([world.step("a", "runs")], world.report)
    manager.stop(["a"], grace=DEADLINE)
    assert world.ended("a").returncode == -15


def test_a_step_can_be_stopped_as_soon_as_its_start_is_told(world: World) -> None:
    manager = world.manager()

    def report(name: str, event: JobEvent) -> None:
        world.report(name, event)
        if isinstance(event, Started):
            manager.stop([name], grace=DEADLINE)
            threading.Event().wait(0.05)  # a manager that does not know the step yet has the time to show it

    manager.submit([world.step("a", "runs")], report)
    assert world.ended("a").returncode == -15


def test_a_step_that_does_not_listen_is_killed(world: World) -> None:
    manager = world.manager()
    manager.submit([world.step("a", "is stubborn")], world.report)
    _let_the_trap_be_set(world)
    manager.stop(["a"], grace=0.2)
    assert world.ended("a").returncode == -9


def test_stopping_what_does_not_run_is_no_error(world: World) -> None:
    manager = world.manager()
    manager.submit([world.step("a", "exits", "0")], world.report)
    world.ended("a")
    manager.stop(["a", "never heard of"], grace=1.0)
    assert len(world.of("a")) == 2


def test_each_end_is_reported_once(world: World) -> None:
    manager = world.manager()
    manager.submit([world.step("a", "runs")], world.report)
    manager.stop(["a"], grace=DEADLINE)
    manager.stop(["a"], grace=DEADLINE)
    world.ended("a")
    manager.submit([world.step("b", "exits", "0")], world.report)
    world.ended("b")
    assert [type(event) for event in world.of("a")] == [Started, Ended]


def test_another_manager_takes_over_a_running_step(world: World) -> None:
    first = world.manager()
    first.submit([world.step("a", "runs")], lambda *_: None)
    handle = first.handle("a")
    first.close()
    second = world.manager()
    assert second.attach(world.step("b", "runs"), handle, world.report)
    second.stop(["b"], grace=DEADLINE)
    world.ended("b")
    assert [type(event) for event in world.of("b")] == [Started, Ended]


def test_nothing_is_taken_over_once_it_ended(world: World) -> None:
    first = world.manager()
    first.submit([world.step("a", "runs")], world.report)
    handle = first.handle("a")
    first.stop(["a"], grace=DEADLINE)
    world.ended("a")
    assert not world.manager().attach(world.step("b", "runs"), handle, world.report)
    assert world.of("b") == []


def test_only_running_steps_have_a_handle(world: World) -> None:
    with pytest.raises(LauncherError, match="never"):
        world.manager().handle("never")


def _not_implemented(_: int) -> int:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def _let_the_trap_be_set(world: World) -> None:
    """Wait until the shell ignores SIGTERM, which a real one does a moment after its start."""
    event = world.of("a")[0]
    assert isinstance(event, Started)
    status = Path(f"/proc/{event.native_id}/status")
    deadline = time.monotonic() + DEADLINE
    while isinstance(world.managers[0], LocalWorkloadManager) and time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError, StopIteration):
            ignored = next(line for line in status.read_text().splitlines() if line.startswith("SigIgn:"))
            if int(ignored.split()[1], 16) & (1 << 14):
                return
        threading.Event().wait(0.005)
