"""What becomes of steps in jobs, on a Slurm that does in virtual time what a test has planned."""

import math
import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence

import pytest

from scripted_slurm import Job, World, no_thread_left, runs_until, submitted
from smartsim.adapters.filesystem.in_memory import InMemoryFileSystem
from smartsim.adapters.wlm.scheduler import JobFacts
from smartsim.adapters.wlm.slurm import Slurm
from smartsim.domain.errors import LauncherError
from smartsim.domain.lifecycle import Ended, JobEvent, Queued, Resumed, Started, Suspended
from smartsim.ports.process_runner import Completed


@pytest.fixture
def world() -> Iterator[World]:
    with no_thread_left():
        yield World()


def test_a_member_is_queued_starts_and_ends_with_its_own_exit_code(world: World) -> None:
    def plan(job: Job) -> None:
        job.runs(5.0, "a", "b")
        job.ends(7.0, "a", 0)
        job.ends(8.0, "b", 3)
        job.shows(8.0, "FAILED")

    world.plan = plan
    began = world.clock.now()
    submitted(world, "a", "b", together=True)
    assert world.ended("b").returncode == 3
    assert world.ended("a") == Ended(began + 7.0, 0)
    assert [type(event) for event in world.of("a")] == [Queued, Started, Ended]
    assert world.of("b")[1] == Started(began + 5.0, "1")
    assert world.ended("b").reason == ""


def test_an_exit_that_says_enough_is_told_without_asking_the_scheduler(world: World) -> None:
    def plan(job: Job) -> None:
        job.runs(0.1, "a")
        job.ends(0.2, "a", 7)

    world.plan = plan
    submitted(world, "a")
    assert world.ended("a").returncode == 7
    assert world.count("squeue") + world.count("sacct") == 0


def test_one_query_asks_after_all_jobs_and_few_are_needed_in_a_minute(world: World) -> None:
    def plan(job: Job) -> None:
        number = int(job.id)
        job.runs(number / 4, f"s{number}")
        job.ends(60.0, f"s{number}", 0)

    world.plan = plan
    submitted(world, *(f"s{number}" for number in range(1, 101)))
    assert [world.ended(f"s{number}").returncode for number in range(1, 101)] == [0] * 100
    queries = [argv for _, argv in world.commands if argv[0] == "squeue"]
    assert 3 <= len(queries) <= 10
    assert all(len(argv[-1].split(",")) == 100 for argv in queries)


def test_many_submissions_one_after_another_cost_few_queries(world: World) -> None:
    manager = world.manager()

    def submit_next(number: int) -> None:
        manager.submit([world.step(f"s{number}")], world.report)
        if number < 60:
            world.clock.call_later(1.0, lambda: submit_next(number + 1))

    def plan(job: Job) -> None:
        job.runs(0.0, f"s{job.id}")
        job.ends(100.0, f"s{job.id}", 0)

    world.plan = plan
    submit_next(1)
    assert world.ended("s1").returncode == 0
    assert sum(at <= 60.0 for at, argv in world.commands if argv[0] == "squeue") <= 10
    world.ended("s60")


def test_a_job_that_the_scheduler_does_not_show_yet_is_not_lost(world: World) -> None:
    def plan(job: Job) -> None:
        job.shows(20.0, "RUNNING")
        job.starts(20.0, "a")
        job.ends(100.0, "a", 0)

    world.plan = plan
    submitted(world, "a")
    assert world.ended("a").returncode == 0


def test_a_job_that_was_purged_is_looked_up_in_the_books(world: World) -> None:
    def plan(job: Job) -> None:
        job.runs(1.0, "a")
        job.shows(10.0, "")
        job.booked(15.0, "FAILED", "9:0")

    world.plan = plan
    submitted(world, "a")
    ended = world.ended("a")
    assert ended.returncode == 9
    assert ended.reason == "job 1 ended with exit code 9, and it left no exit code: see /run/job-of-a.err"


def test_a_job_that_nobody_knows_any_more_is_said_to_be_unknown(world: World) -> None:
    def plan(job: Job) -> None:
        job.runs(1.0, "a", "b")
        job.ends(10.0, "b", 137)
        job.shows(10.0, "")

    world.plan = plan
    submitted(world, "a", "b", together=True)
    ended = world.ended("a")
    assert ended.returncode is None
    assert ended.reason == "unknown: slurm does not know job 1 any more, and it left no exit code"
    assert world.ended("b").returncode == -9
    assert ended.at < world.of("a")[0].at + 120.0


def test_nothing_is_concluded_from_a_scheduler_that_does_not_answer(world: World) -> None:
    def plan(job: Job) -> None:
        job.runs(1.0, "a", "b")
        job.ends(1200.0, "a", 4)
        job.shows(2000.0, "TIMEOUT")
        job.booked(2000.0, "TIMEOUT", "0:0")

    world.plan = plan
    world.away = (5.0, 2500.0)
    submitted(world, "a", "b", together=True)
    assert world.ended("a").returncode == 4
    assert world.ended("b").reason == "time limit: the job ran longer than it was given"
    assert len(world.logged) == 2
    assert "slurm does not answer" in world.logged[0]
    assert "squeue did not end within 30 s" in world.logged[0]
    assert world.logged[1] == "slurm answers again"


def test_one_query_that_fails_is_nothing_to_speak_of(world: World) -> None:
    def plan(job: Job) -> None:
        job.runs(0.2, "a")
        job.ends(60.0, "a", 0)

    world.plan = plan
    world.away = (1.0, 3.0)
    submitted(world, "a")
    world.ended("a")
    assert world.logged == []


def test_an_answer_that_cannot_be_read_is_none(world: World) -> None:
    class Confused(Slurm):
        def facts(self, answer: Completed, jobs: Collection[str]) -> Mapping[str, JobFacts]:
            return {jobs[99]: answer.stdout.split()[99]}  # type: ignore[dict-item,index]

    def plan(job: Job) -> None:
        job.runs(0.2, "a")
        job.ends(60.0, "a", 0)

    world.plan = plan
    manager = world.manager(Confused())
    manager.submit([world.step("a")], world.report)
    assert world.ended("a").returncode == 0
    assert "does not answer: list index out of range" in world.logged[0]


def test_a_state_that_nobody_knows_ends_nothing(world: World) -> None:
    def plan(job: Job) -> None:
        job.runs(0.2, "a")
        job.shows(1.0, "BRAND_NEW_STATE", "a reason | with (odd) words")
        job.ends(60.0, "a", 0)

    world.plan = plan
    submitted(world, "a")
    assert world.ended("a").returncode == 0


def test_a_suspended_job_goes_on_later(world: World) -> None:
    def plan(job: Job) -> None:
        job.runs(0.2, "a")
        job.shows(10.0, "SUSPENDED")
        job.shows(60.0, "RUNNING")
        job.ends(120.0, "a", 0)

    world.plan = plan
    submitted(world, "a")
    world.ended("a")
    assert [type(event) for event in world.of("a")] == [Queued, Started, Suspended, Resumed, Ended]


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("TIMEOUT", "time limit: the job ran longer than it was given"),
        ("OUT_OF_MEMORY", "out of memory: it used more than it was given"),
        ("NODE_FAIL", "node failure: a node of the job failed"),
        ("PREEMPTED", "preempted: a job of higher priority took its nodes"),
        ("DEADLINE", "deadline: the job could not have ended by its --deadline"),
    ],
)
@pytest.mark.parametrize("leaves_exit", [True, False])
def test_why_a_job_was_ended_is_told(world: World, state: str, reason: str, leaves_exit: bool) -> None:
    def plan(job: Job) -> None:
        job.runs(1.0, "a")
        if leaves_exit:
            job.ends(30.0, "a", 143, "TERM")
        job.shows(31.0, state)
        job.booked(33.0, state, "0:0")

    world.plan = plan
    submitted(world, "a")
    ended = world.ended("a")
    assert ended.reason == reason
    assert ended.returncode == (-15 if leaves_exit else None)
    assert not ended.cancelled_by


def test_a_member_that_is_cut_short_has_not_ended_well_however_it_took_that(world: World) -> None:
    def plan(job: Job) -> None:
        job.runs(1.0, "a")
        job.ends(30.0, "a", 0, "TERM")
        job.shows(31.0, "TIMEOUT")
        job.booked(31.0, "TIMEOUT", "0:0")

    world.plan = plan
    submitted(world, "a")
    ended = world.ended("a")
    assert (ended.returncode, ended.reason) == (None, "time limit: the job ran longer than it was given")


def test_who_cancelled_a_job_is_told(world: World) -> None:
    def plan(job: Job) -> None:
        job.runs(1.0, "a")
        job.ends(30.0, "a", 143, "TERM")
        job.shows(30.0, "CANCELLED")
        job.booked(33.0, "CANCELLED by 0", "0:0")

    world.plan = plan
    submitted(world, "a")
    ended = world.ended("a")
    assert (ended.returncode, ended.cancelled_by, ended.reason) == (-15, "root", "")


def test_a_job_that_somebody_cancels_while_it_waits_has_no_files_to_wait_for(world: World) -> None:
    def plan(job: Job) -> None:
        job.shows(0.0, "PENDING", "Priority")
        job.shows(31.0, "CANCELLED")
        job.booked(31.0, "CANCELLED by 0", "0:0")

    world.plan = plan
    began = world.clock.now()
    submitted(world, "a")
    ended = world.ended("a")
    assert (ended.returncode, ended.cancelled_by) == (None, "root")
    assert ended.at == began + 31.5


def test_a_site_without_accounts_still_tells_that_a_job_was_cancelled(world: World) -> None:
    def plan(job: Job) -> None:
        job.runs(1.0, "a")
        job.ends(30.0, "a", 143, "TERM")
        job.shows(30.0, "CANCELLED")

    world.plan = plan
    submitted(world, "a")
    ended = world.ended("a")
    assert (ended.returncode, ended.cancelled_by) == (-15, "somebody")


def test_a_crash_of_one_member_is_told_while_the_others_go_on(world: World) -> None:
    def plan(job: Job) -> None:
        job.runs(1.0, "a", "b")
        job.ends(5.0, "a", 139)
        job.ends(100.0, "b", 0)

    world.plan = plan
    began = world.clock.now()
    submitted(world, "a", "b", together=True)
    world.ended("b")
    assert world.ended("a") == Ended(began + 5.0, -11)
    assert [name for name, event in world.reports if isinstance(event, Ended)] == ["a", "b"]


def test_a_job_that_ends_well_without_a_word_of_its_members_ended_well(world: World) -> None:
    world.plan = lambda job: job.shows(1.0, "COMPLETED")
    submitted(world, "a", "b", together=True)
    assert world.ended("a").returncode == 0
    assert world.ended("b").returncode == 0


def test_the_exit_code_of_a_job_of_several_is_not_taken_for_that_of_a_member(world: World) -> None:
    def plan(job: Job) -> None:
        job.shows(1.0, "FAILED", "NonZeroExitCode")
        job.booked(1.0, "FAILED", "3:0")

    world.plan = plan
    submitted(world, "a", "b", together=True)
    ended = world.ended("a")
    assert ended.returncode is None
    assert ended.reason == "job 1 ended with exit code 3 before it started: see /run/together.err"


def test_last_files_of_a_job_may_be_late(world: World) -> None:
    def plan(job: Job) -> None:
        job.runs(1.0, "a")
        job.shows(10.0, "FAILED")
        job.booked(10.0, "FAILED", "1:0")
        job.ends(19.0, "a", 6)

    world.plan = plan
    submitted(world, "a")
    assert world.ended("a").returncode == 6


def test_a_job_that_will_not_start_by_itself_is_told_of_once(world: World) -> None:
    def plan(job: Job) -> None:
        job.shows(0.0, "PENDING", "DependencyNeverSatisfied")
        job.shows(200.0, "CANCELLED")
        job.booked(200.0, "CANCELLED by 0", "0:0")

    world.plan = plan
    submitted(world, "a")
    assert world.ended("a").cancelled_by == "root"
    assert len(world.logged) == 1
    assert "Job 1 (a) does not start" in world.logged[0]
    assert "--dependency" in world.logged[0]


def test_a_job_that_is_put_back_into_the_queue_goes_on_later(world: World) -> None:
    def plan(job: Job) -> None:
        job.runs(1.0, "a", "b")
        job.ends(5.0, "a", 0)
        job.shows(10.0, "NODE_FAIL")
        job.shows(10.2, "PENDING", "BeginTime")
        job.shows(100.0, "RUNNING")
        job.ends(150.0, "b", 0)

    world.plan = plan
    submitted(world, "a", "b", together=True)
    assert world.ended("b").returncode == 0


def test_elements_of_an_array_are_told_apart(world: World) -> None:
    def plan(job: Job) -> None:
        for index in range(3):
            job.shows(0.0, "RUNNING", element=f"_{index}")
            job.starts(1.0, f"m{index}")
        job.ends(2.0, "m0", 5)
        job.shows(20.0, "TIMEOUT", element="_1")
        job.ends(40.0, "m2", 0)

    world.plan = plan
    batch = world.batch("together", array=True)
    world.manager().submit([world.step(f"m{index}", batch) for index in range(3)], world.report)
    assert [world.ended(f"m{index}").returncode for index in range(3)] == [5, None, 0]
    assert world.ended("m1").reason.startswith("time limit")
    queued = [world.of(f"m{index}")[0] for index in range(3)]
    assert [event.native_id for event in queued if isinstance(event, Queued)] == ["1_0", "1_1", "1_2"]
    assert "--jobs=1" in {argv[-1] for _, argv in world.commands if argv[0] == "squeue"}


def test_what_is_copied_for_each_element_does_not_grow_with_the_array(world: World) -> None:
    sizes = []
    for count in (2, 100):
        batch = world.batch(f"array{count:03}", array=True)
        names = [f"m{count}_{index}" for index in range(count)]
        world.plan = runs_until(2.0, *names)
        world.manager().submit([world.step(name, batch) for name in names], world.report)
        assert {world.ended(name).returncode for name in names} == {0}
        submitted = list(world.jobs.values())[-1].script
        sizes.append(len(world.files.read(submitted)))
        assert posixpath.basename(submitted) == posixpath.basename(batch.script)  # by which schedulers call a job
        assert f". {posixpath.dirname(submitted)}/script\n".encode() in world.files.read(submitted)
        for path in (batch.script, f"{batch.directory}/script"):
            assert f"member {count - 1} m{count}_{count - 1} ".encode() in world.files.read(path)
    assert sizes[1] - sizes[0] <= len("0-99") - len("0-1")


def test_an_array_of_one_step_is_a_plain_job(world: World) -> None:
    world.plan = runs_until(2.0, "a")
    world.manager().submit([world.step("a", world.batch("single", array=True))], world.report)
    world.ended("a")
    assert b"--array" not in world.files.read("/run/single.sh")
    assert world.of("a")[0] == Queued(world.of("a")[0].at, "1")


def test_an_exit_code_of_0_is_not_believed_of_an_srun_that_gave_up(world: World) -> None:
    def plan(job: Job) -> None:
        job.runs(1.0, "a", "b")
        job.later(5.0, lambda: world.files.write("/run/a.err", b"srun: error: Node failure on node4\n"))
        job.ends(5.0, "a", 0)
        job.ends(5.0, "b", 0)
        job.shows(7.0, "NODE_FAIL")
        job.booked(8.0, "NODE_FAIL", "0:0")

    world.plan = plan
    batch = world.batch("together")
    world.manager().submit([world.step(name, batch, "srun") for name in "ab"], world.report)
    ended = world.ended("a")
    assert ended.returncode is None
    assert ended.reason == "node failure: a node of the job failed"
    assert world.ended("b") == Ended(world.ended("b").at, 0)


class BrokenFiles(InMemoryFileSystem):
    """Files that nobody can list from some time on, for a reason that nobody has foreseen."""

    def __init__(self, world: World) -> None:
        super().__init__(["/run"])
        self._clock = world.clock
        self.breaks = world.clock.monotonic() + 10.0
        self.heals = math.inf

    def walk(self, directory: str) -> Sequence[str]:
        if self.breaks <= self._clock.monotonic() < self.heals:
            raise ZeroDivisionError("something odd")
        return super().walk(directory)


def test_an_error_that_nobody_has_foreseen_ends_all_waits_and_tells_what_may_still_run(world: World) -> None:
    world.files = BrokenFiles(world)
    world.plan = lambda job: job.runs(1.0, "a", "b", "c")
    manager = world.manager()
    manager.submit([world.step(name) for name in "ab"], world.report)
    manager.submit([world.step("c")], world.report)
    for number, name in enumerate("abc", start=1):
        ended = world.ended(name)
        assert (ended.returncode, ended.cancelled_by) == (None, "")
        assert ended.reason == (
            "unknown: what follows jobs of slurm failed (ZeroDivisionError: something odd). Job "
            f"{number} may still run: see whether it does, and end it with `scancel {number}`"
        )
    warning, details = world.logged
    assert "ZeroDivisionError: something odd" in warning
    assert "1, 2, 3" in warning
    assert "in walk" in details


def test_jobs_are_followed_again_after_an_error_that_nobody_has_foreseen(world: World) -> None:
    files = BrokenFiles(world)
    world.files = files
    world.plan = lambda job: job.runs(1.0, "a")
    manager = world.manager()
    manager.submit([world.step("a")], world.report)
    world.ended("a")
    files.heals = 0.0
    world.plan = runs_until(2.0, "b")
    manager.submit([world.step("b")], world.report)
    assert world.ended("b").returncode == 0
    with pytest.raises(LauncherError, match="No job has a step named 'a'"):
        manager.handle("a")


def test_an_error_of_who_is_told_of_one_step_does_not_keep_others_waiting(world: World) -> None:
    def told(name: str, event: JobEvent) -> None:
        if name == "a" and isinstance(event, Started):
            raise ZeroDivisionError("something odd")
        world.report(name, event)

    world.plan = lambda job: job.runs(1.0, "a", "b")
    manager = world.manager()
    manager.submit([world.step("b")], world.report)
    manager.submit([world.step("a")], told)
    assert world.ended("a").reason.startswith("unknown")
    assert world.ended("b").reason.startswith("unknown")
