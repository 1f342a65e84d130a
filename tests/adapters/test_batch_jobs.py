"""What becomes of steps in jobs, on a Slurm that does in virtual time what a test has planned."""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping

import pytest

from scripted_slurm import Job, World
from smartsim.adapters.wlm import job_script
from smartsim.adapters.wlm.batch_jobs import BatchJobs
from smartsim.adapters.wlm.scheduler import JobFacts
from smartsim.adapters.wlm.slurm import Slurm
from smartsim.domain.errors import LauncherError
from smartsim.domain.lifecycle import Ended, JobEvent, Queued, Refused, Resumed, Started, Suspended
from smartsim.ports.process_runner import Completed


@pytest.fixture
def world() -> Iterator[World]:
    yield World()
    for thread in threading.enumerate():
        if thread.name == "smartsim-slurm":
            thread.join(10.0)
            assert not thread.is_alive(), "somebody still follows jobs"


def submitted(world: World, *names: str, together: bool = False) -> BatchJobs:
    batch = world.batch("together") if together else None
    manager = world.manager()
    manager.submit([world.step(name, batch) for name in names], world.report)
    return manager


def runs_until(end: float, *members: str) -> Callable[[Job], None]:
    def plan(job: Job) -> None:
        job.runs(1.0, *members)
        for member in members:
            job.ends(end, member, 0)

    return plan


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


def test_an_array_of_one_step_is_a_plain_job(world: World) -> None:
    world.plan = runs_until(2.0, "a")
    world.manager().submit([world.step("a", world.batch("single", array=True))], world.report)
    world.ended("a")
    assert b"--array" not in world.files.read("/run/single.sh")
    assert world.of("a")[0] == Queued(world.of("a")[0].at, "1")


# Submission


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


# Stops


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


# srun


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


# Other drivers


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
