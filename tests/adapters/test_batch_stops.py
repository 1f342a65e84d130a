"""Stopping steps in jobs, on a Slurm that does in virtual time what a test has planned."""

from collections.abc import Iterator

import pytest

from scripted_slurm import Job, World, no_thread_left
from smartsim.adapters.wlm import job_script
from smartsim.adapters.wlm.batch_jobs import BatchJobs
from smartsim.adapters.wlm.slurm import Slurm
from smartsim.domain.lifecycle import Ended, JobEvent, Queued


@pytest.fixture
def world() -> Iterator[World]:
    with no_thread_left():
        yield World()


def test_a_job_that_waits_is_taken_back(world: World) -> None:
    world.plan = lambda job: job.shows(0.0, "PENDING", "Priority")
    manager = world.manager()
    world.clock.call_later(100.0, lambda: manager.stop(["a"], 5.0))
    began = world.clock.now()
    manager.submit([world.step("a")], world.report)
    ended = world.ended("a")
    assert (ended.returncode, ended.reason, ended.cancelled_by) == (None, "", "")
    assert [argv for _, argv in world.commands if argv[0] == "scancel"] == [("scancel", "1")]
    assert ended.at < began + 103.0


def test_a_job_that_is_forgotten_as_soon_as_it_is_taken_back_has_ended(world: World) -> None:
    world.plan = lambda job: job.shows(0.0, "PENDING", "Priority")
    world.obeys = lambda job, _: job.shows(0.0, "")
    manager = world.manager()
    world.clock.call_later(100.0, lambda: manager.stop(["a"], 5.0))
    began = world.clock.now()
    manager.submit([world.step("a")], world.report)
    ended = world.ended("a")
    assert (ended.returncode, ended.reason) == (None, "")
    assert ended.at < began + 103.0


def test_a_job_that_runs_is_asked_first_and_then_forced(world: World) -> None:
    def obeys(job: Job, force: bool) -> None:
        if force:
            job.shows(0.5, "CANCELLED")
            job.booked(0.5, "CANCELLED by 0", "0:9")

    world.plan = lambda job: job.runs(1.0, "a")
    world.obeys = obeys
    manager = world.manager()
    world.clock.call_later(10.0, lambda: manager.stop(["a"], 20.0))
    manager.submit([world.step("a")], world.report)
    ended = world.ended("a")
    assert (ended.returncode, ended.reason, ended.cancelled_by) == (-9, "", "")
    asked, forced = ((at, argv) for at, argv in world.commands if argv[0] == "scancel")
    assert asked[1] == ("scancel", "1")
    assert forced[1] == ("scancel", "--signal=KILL", "--full", "1")
    assert 20.0 <= forced[0] - asked[0] <= 25.0
    assert world.files.read("/run/job-of-a.d/a.stop") == job_script.stop_content(0.0, 20.0)


def test_a_job_that_does_not_end_although_it_was_forced_is_told_of(world: World) -> None:
    def plan(job: Job) -> None:
        job.runs(1.0, "a")
        job.shows(500.0, "CANCELLED")

    world.plan = plan
    world.obeys = lambda *_: None
    manager = world.manager()
    world.clock.call_later(10.0, lambda: manager.stop(["a"], 5.0))
    manager.submit([world.step("a")], world.report)
    world.ended("a")
    (told,) = world.logged
    assert "a was asked to end and then forced, and still does not" in told
    assert "scancel --signal=KILL --full 1" in told
    assert 2 < world.count("scancel") < 30


def test_a_job_is_ended_as_soon_as_the_controller_answers_again(world: World) -> None:
    world.plan = lambda job: job.runs(1.0, "a")
    world.away = (9.0, 40.0)
    manager = world.manager()
    world.clock.call_later(10.0, lambda: manager.stop(["a"], 5.0))
    manager.submit([world.step("a")], world.report)
    world.ended("a")
    assert [argv for at, argv in world.commands if argv[0] == "scancel" and at >= 40.0]


def test_one_of_several_members_is_ended_by_a_file_and_the_last_of_them_by_the_scheduler(world: World) -> None:
    def plan(job: Job) -> None:
        job.runs(1.0, "a", "b", "c")
        job.ends(5.0, "c", 0)
        job.ends(12.0, "a", 143)

    world.plan = plan
    manager = world.manager()
    world.clock.call_later(10.0, lambda: manager.stop(["a"], 5.0))
    world.clock.call_later(30.0, lambda: manager.stop(["b"], 5.0))
    batch = world.batch("together")
    manager.submit([world.step(name, batch) for name in "abc"], world.report)
    world.ended("b")
    assert world.ended("a").returncode == -15
    assert [at >= 30.0 for at, argv in world.commands if argv[0] == "scancel"] == [True]
    assert world.files.read("/run/together.d/a.stop") == job_script.stop_content(0.0, 5.0)


def test_a_member_of_a_job_that_waits_is_taken_out_of_it(world: World) -> None:
    def plan(job: Job) -> None:
        job.shows(0.0, "PENDING", "Priority")
        job.shows(100.0, "RUNNING")
        job.starts(100.0, "b")
        job.ends(110.0, "b", 0)

    world.plan = plan
    manager = world.manager()
    world.clock.call_later(10.0, lambda: manager.stop(["a"], 5.0))
    batch = world.batch("together")
    manager.submit([world.step(name, batch) for name in "ab"], world.report)
    world.ended("b")
    ended = world.ended("a")
    assert ended.returncode is None
    assert ended.at < world.ended("b").at - 90.0
    assert world.count("scancel") == 0


def test_a_stop_that_comes_while_its_job_is_submitted_is_heeded(world: World) -> None:
    world.plan = lambda job: job.runs(50.0, "a")
    manager = world.manager()

    def report(name: str, event: JobEvent) -> None:
        world.report(name, event)
        if isinstance(event, Queued):
            manager.stop([name], 5.0)

    manager.submit([world.step("a")], report)
    world.ended("a")
    assert [type(event) for event in world.of("a")] == [Queued, Ended]


def test_tasks_of_srun_are_asked_to_end_through_slurm_and_srun_itself_later(world: World) -> None:
    def plan(job: Job) -> None:
        job.runs(1.0, "a", "b")
        job.ends(12.0, "a", 143)
        job.ends(50.0, "b", 0)

    asked: list[str] = []
    world.plan = plan
    manager = BatchJobs(Slurm(), world, world.files, world.clock, world.log, asked.extend)
    world.clock.call_later(10.0, lambda: manager.stop(["a"], 5.0))
    batch = world.batch("together")
    manager.submit([world.step("a", batch, "srun"), world.step("b", batch)], world.report)
    assert world.ended("a").returncode == -15
    world.ended("b")
    assert asked == ["a"]
    assert world.files.read("/run/together.d/a.stop") == job_script.stop_content(5.0, 7.0)
