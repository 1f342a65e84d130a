"""Submitting jobs and taking them over, on a Slurm that does in virtual time what a test has planned."""

import threading
from collections.abc import Iterator

import pytest

from scripted_slurm import Job, World, no_thread_left, runs_until, submitted
from smartsim.adapters.wlm import job_script
from smartsim.domain.errors import LauncherError
from smartsim.domain.lifecycle import Ended, JobEvent, Refused, Started


@pytest.fixture
def world() -> Iterator[World]:
    with no_thread_left():
        yield World()


def test_the_first_job_that_is_refused_ends_the_submission(world: World) -> None:
    world.plan = runs_until(2.0, "a")
    world.refuses = {"--partition=nosuch": "sbatch: error: invalid partition specified: nosuch"}
    bad = world.batch("bad", "--partition=nosuch")
    steps = [world.step("a"), world.step("b", bad), world.step("b2", bad), world.step("c")]
    world.manager().submit(steps, world.report)
    world.ended("a")
    (refused,) = world.of("b")
    assert isinstance(refused, Refused)
    for words in ("Job bad", "sbatch --parsable /run/bad.sh", "invalid partition specified: nosuch", "sinfo"):
        assert words in str(refused.error)
    assert not world.of("b2")
    assert not world.of("c")
    assert world.count("sbatch") == 2


def test_a_job_of_which_nobody_knows_whether_it_was_accepted_starts_nothing(world: World) -> None:
    world.refuses = {"solver": "..."}
    world.manager().submit([world.step("a", world.batch("j"))], world.report)
    (refused,) = world.of("a")
    assert isinstance(refused, Refused)
    assert "sbatch did not end within" in str(refused.error)
    assert world.files.read("/run/j.d/a.stop") == job_script.stop_content(0.0, 0.0)


def test_the_script_is_for_its_owner_alone_and_can_be_run(world: World) -> None:
    world.plan = runs_until(2.0, "a")
    submitted(world, "a")
    world.ended("a")
    entry = world.files.inspect("/run/job-of-a.sh")
    assert entry is not None
    assert entry.mode == 0o700


def test_a_script_that_cannot_be_written_refuses_the_step(world: World) -> None:
    world.files.write("/run/file", b"")
    batch = world.batch("file/j")
    world.manager().submit([world.step("a", batch)], world.report)
    (refused,) = world.of("a")
    assert isinstance(refused, Refused)
    assert "/run/file/j.sh" in str(refused.error)
    assert world.count("sbatch") == 0


def test_two_steps_of_one_name_do_not_run_at_once(world: World) -> None:
    world.plan = runs_until(30.0, "a")
    manager = world.manager()
    again: list[JobEvent] = []

    def report(name: str, event: JobEvent) -> None:
        world.report(name, event)
        if isinstance(event, Started):
            manager.submit([world.step("a", world.batch("two"))], lambda _, event: again.append(event))

    manager.submit([world.step("a", world.batch("one"))], report)
    world.ended("a")
    assert [type(event) for event in again] == [Refused]
    assert world.count("sbatch") == 1


HANDLE = {"job": "7", "asked_as": "7", "directory": "/run/j.d", "member": "a", "size": 2}


def left_by_another_driver(world: World) -> Job:
    world.files.make_directory("/run/j.d")
    world.jobs["7"] = job = Job("7", "/run/j.sh", world)
    world.show("7", "RUNNING")
    return job


def test_the_handle_of_a_step_tells_where_it_is(world: World) -> None:
    world.plan = runs_until(30.0, "a", "b")
    manager = world.manager()
    handles: list[object] = []

    def report(name: str, event: JobEvent) -> None:
        world.report(name, event)
        if isinstance(event, Started):
            handles.append(manager.handle(name))

    batch = world.batch("together")
    manager.submit([world.step(name, batch) for name in "ab"], report)
    world.ended("a")
    world.ended("b")
    assert handles[0] == {"job": "1", "asked_as": "1", "directory": "/run/together.d", "member": "a", "size": 2}
    with pytest.raises(LauncherError, match="'a'"):
        manager.handle("a")


def test_a_step_that_another_driver_started_is_followed_under_its_new_name(world: World) -> None:
    job = left_by_another_driver(world)
    job.starts(5.0, "a")
    job.ends(40.0, "a", 9)
    assert world.manager().attach(world.step("new"), HANDLE, world.report)
    assert world.ended("new").returncode == 9
    assert [type(event) for event in world.of("new")] == [Started, Ended]


def test_a_step_is_ended_without_its_job_when_another_driver_has_the_others(world: World) -> None:
    job = left_by_another_driver(world)
    job.starts(0.0, "a")
    job.ends(20.0, "a", 143)
    manager = world.manager()
    world.clock.call_later(5.0, lambda: manager.stop(["new"], 5.0))
    assert manager.attach(world.step("new"), HANDLE, world.report)
    world.ended("new")
    assert world.count("scancel") == 0
    assert world.files.read("/run/j.d/a.stop") == job_script.stop_content(0.0, 5.0)


def test_a_step_is_ended_with_its_job_when_the_others_have_ended(world: World) -> None:
    job = left_by_another_driver(world)
    world.files.write("/run/j.d/b.exit", b"1 0\n")
    job.starts(0.0, "a")
    manager = world.manager()
    world.clock.call_later(5.0, lambda: manager.stop(["new"], 5.0))
    assert manager.attach(world.step("new"), HANDLE, world.report)
    world.ended("new")
    assert world.count("scancel") == 1


def test_a_step_that_has_ended_is_not_taken_over(world: World) -> None:
    left_by_another_driver(world)
    world.files.write("/run/j.d/a.exit", b"1700000000000000 0\n")
    assert not world.manager().attach(world.step("new"), HANDLE, world.report)


@pytest.mark.parametrize("state", ["FAILED", ""], ids=["ended", "unknown"])
def test_a_step_whose_job_is_over_is_not_taken_over(world: World, state: str) -> None:
    left_by_another_driver(world)
    world.show("7", state)
    world.books["7"] = "7|FAILED|1:0"
    assert not world.manager().attach(world.step("new"), HANDLE, world.report)


@pytest.mark.parametrize("handle", [{}, {"pid": 12}, {**HANDLE, "size": "many"}])
def test_a_handle_of_something_else_is_refused(world: World, handle: dict[str, object]) -> None:
    assert not world.manager().attach(world.step("new"), handle, world.report)


def test_a_step_is_taken_over_although_the_scheduler_is_away(world: World) -> None:
    job = left_by_another_driver(world)
    job.ends(200.0, "a", 3)
    world.away = (0.0, 100.0)
    assert world.manager().attach(world.step("new"), HANDLE, world.report)
    assert world.ended("new").returncode == 3


# The thread


def test_closing_leaves_jobs_alone(world: World) -> None:
    world.plan = lambda job: job.runs(1.0, "a")
    manager = world.manager()
    started = threading.Event()

    def report(name: str, event: JobEvent) -> None:
        world.report(name, event)
        if isinstance(event, Started):
            started.set()

    manager.submit([world.step("a")], report)
    world.clock.goes.set()
    assert started.wait(10.0)
    manager.close()
    assert world.count("scancel") == 0
    assert not [thread for thread in threading.enumerate() if thread.name == "smartsim-slurm"]


def test_the_thread_ends_with_the_last_job_and_another_begins_with_the_next(world: World) -> None:
    world.plan = runs_until(5.0, "a", "b")
    manager = world.manager()
    for name in "ab":
        manager.submit([world.step(name)], world.report)
        world.ended(name)
        for thread in threading.enumerate():
            if thread.name == "smartsim-slurm":
                thread.join(10.0)
                assert not thread.is_alive()
