"""What every workload manager does, the fake like the real one."""

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dragon_runtimes import dragon_manager
from job_sites import KINDS, job_site
from real_sites import REAL_KINDS, real_site
from smartsim.adapters.clock.system import SystemClock
from smartsim.adapters.clock.virtual import VirtualClock
from smartsim.adapters.filesystem.posix import PosixFileSystem
from smartsim.adapters.wlm.local import LocalWorkloadManager
from smartsim.adapters.wlm.placing import PlacingWorkloadManager
from smartsim.adapters.wlm.scripted import Script, ScriptedMachine, ScriptedWorkloadManager
from smartsim.domain.errors import LauncherError
from smartsim.domain.lifecycle import Ended, JobEvent, Queued, Refused, Started
from smartsim.domain.resources import Node, ResourceRequest
from smartsim.domain.steps import Batch, Step
from smartsim.ports.clock import Clock
from smartsim.ports.workload_manager import WorkloadManager

DEADLINE = 30.0


@dataclass
class World:
    """A machine with a workload manager, and what it reported.

    Args:
        make: makes the workload manager, as each driver does for itself.
        clock: its time.
        directory: for files.
        batch: returns the job that a step of some name runs in, one that cannot start or one that can; None for
            managers without jobs.
        request: what steps need of an allocation; None for managers that do not care.
        srun: what starts each step, but for its name; empty for managers that start programs as they are.
        ranks: the kind of program that starts the ranks of each step; empty without one.
    """

    make: Callable[[], WorkloadManager]
    clock: Clock
    directory: Path
    batch: Callable[[str, bool], Batch | None] = lambda _name, _can_start: None
    request: ResourceRequest | None = None
    srun: tuple[str, ...] = ()
    ranks: str = ""
    reports: list[tuple[str, JobEvent]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    managers: list[WorkloadManager] = field(default_factory=list)

    def manager(self) -> WorkloadManager:
        self.managers.append(self.make())
        return self.managers[-1]

    def step(self, name: str, program: str, argument: str = "") -> Step:
        argv = (*PROGRAMS[program], argument) if argument else PROGRAMS[program]
        out = str(self.directory / name)
        can_start = program != "is missing"
        batch = self.batch(name, can_start)
        launch = (*self.srun, f"--job-name={name}") if self.srun and can_start else ()
        ranks = "srun" if launch else self.ranks
        directory = str(self.directory)
        return Step(name, argv, launch, {}, directory, f"{out}.out", f"{out}.err", batch, ranks, self.request)

    def start(self, manager: WorkloadManager, step: Step) -> None:
        """Submit a step, and wait until it runs."""
        manager.submit([step], self.report)
        self.wait_for(step.name, Started)

    def report(self, name: str, event: JobEvent) -> None:
        with self.changed:
            self.reports.append((name, event))
            self.changed.notify_all()

    def of(self, name: str) -> list[JobEvent]:
        """Return what was reported of a step, but that it waits: what never waits says nothing of it."""
        return [event for reported, event in self.reports if reported == name and not isinstance(event, Queued)]

    def wait_for(self, name: str, kind: type[JobEvent]) -> JobEvent:
        def has_come() -> bool:
            return any(isinstance(event, kind) for event in self.of(name))

        with self.changed:
            came = self.clock.wait_until(self.changed, has_come, DEADLINE)
            assert came, f"{name}: no {kind.__name__} among {self.reports}"
        return next(event for event in self.of(name) if isinstance(event, kind))

    def ended(self, name: str) -> Ended:
        event = self.wait_for(name, Ended)
        assert isinstance(event, Ended)
        return event


PROGRAMS = {
    "exits": ("/bin/sh", "-c", 'exit "$0"'),
    "runs": ("/bin/sleep", "60"),
    "is stubborn": ("/bin/sh", "-c", 'trap "" TERM; : > ready; while :; do sleep 1; done'),
    "is missing": ("/no/such/program",),
}


def _script(step: Step) -> Script:
    program = next(name for name, argv in PROGRAMS.items() if step.argv[: len(argv)] == argv)
    if program == "exits":
        return Script(duration=1.0, returncode=int(step.argv[-1]))
    if program == "is missing":
        return Script(refusal=LauncherError("there is no program"))
    return Script(duration=None, heeds_sigterm=program == "runs")


@pytest.fixture(
    params=[
        "local",
        "local on an old kernel",
        "scripted",
        "placing local",
        "placing scripted",
        "dragon",
        *KINDS,
        *REAL_KINDS,
    ]
)
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    if request.param == "local on an old kernel":
        monkeypatch.setattr(os, "pidfd_open", _not_implemented)
    with ExitStack() as stack:
        if request.param.startswith("local"):
            world = World(LocalWorkloadManager, SystemClock(), tmp_path)
        elif request.param == "placing local":
            world = World(lambda: _placing(LocalWorkloadManager(), world.clock), SystemClock(), tmp_path)
            world.request = ResourceRequest()
        elif request.param == "dragon":
            runtimes = request.getfixturevalue("dragon_directory")
            world = World(lambda: dragon_manager(runtimes), SystemClock(), tmp_path, ranks="dragon")
        elif request.param.endswith("scripted"):
            world = _scripted_world(tmp_path, places=request.param == "placing scripted")
        elif request.param in REAL_KINDS:
            site = stack.enter_context(real_site(request.param, request, tmp_path))
            world = World(site.manager, SystemClock(), tmp_path, site.batch, srun=site.srun)
        else:
            jobs = stack.enter_context(job_site(request.param, tmp_path, monkeypatch))
            world = World(
                jobs.manager,
                SystemClock(),
                tmp_path,
                lambda name, can_start: jobs.batch(name, queue="" if can_start else "nosuch"),
            )
        yield world
        left = {name for name, event in world.reports if isinstance(event, Queued | Started)}
        for manager in world.managers:
            manager.stop(left, grace=0.0)
        for name in left:
            world.ended(name)
        for manager in world.managers:
            manager.close()


def _scripted_world(directory: Path, *, places: bool) -> World:
    clock = VirtualClock()
    machine = ScriptedMachine()

    def make() -> WorkloadManager:
        scripted = ScriptedWorkloadManager(clock.call_later, clock, _script, machine=machine)
        return _placing(scripted, clock) if places else scripted

    return World(make, clock, directory, request=ResourceRequest() if places else None)


def _placing(inner: WorkloadManager, clock: Clock) -> WorkloadManager:
    """Return a manager for the CPUs of this machine, each of which runs one step at a time."""
    node = Node("here", tuple(os.sched_getaffinity(0)))
    return PlacingWorkloadManager(inner, [node], "here", PosixFileSystem(), clock, lambda _: None, binds=True)


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
    assert isinstance(world.wait_for("first", Started), Started)
    assert not [name for name, _ in world.reports if name == "third"]


def test_a_name_that_runs_is_refused_a_second_time(world: World) -> None:
    manager = world.manager()
    manager.submit([world.step("a", "runs")], world.report)
    again: list[JobEvent] = []
    manager.submit([world.step("a", "runs")], lambda _, event: again.append(event))
    assert [type(event) for event in again] == [Refused]


def test_a_step_that_is_asked_to_end_ends_by_sigterm(world: World) -> None:
    manager = world.manager()
    world.start(manager, world.step("a", "runs"))
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
    world.start(manager, world.step("a", "is stubborn"))
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
    world.start(manager, world.step("a", "runs"))
    manager.stop(["a"], grace=DEADLINE)
    manager.stop(["a"], grace=DEADLINE)
    world.ended("a")
    manager.submit([world.step("b", "exits", "0")], world.report)
    world.ended("b")
    assert [type(event) for event in world.of("a")] == [Started, Ended]


def test_another_manager_takes_over_a_running_step(world: World) -> None:
    first = world.manager()
    world.start(first, world.step("a", "runs"))
    handle = first.handle("a")
    first.close()
    world.reports.clear()
    second = world.manager()
    assert second.attach(world.step("b", "runs"), handle, world.report)
    second.stop(["b"], grace=DEADLINE)
    world.ended("b")
    assert [type(event) for event in world.of("b")] == [Started, Ended]


def test_nothing_is_taken_over_once_it_ended(world: World) -> None:
    first = world.manager()
    world.start(first, world.step("a", "runs"))
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
    deadline = time.monotonic() + DEADLINE
    while not isinstance(world.clock, VirtualClock) and not (world.directory / "ready").exists():
        assert time.monotonic() < deadline, "the program did not get ready"
        threading.Event().wait(0.005)
