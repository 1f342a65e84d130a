"""Jobs and steps on a real Slurm: what becomes of them, and what is told of it."""

import logging
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from real_sites import REAL_KINDS, RealSite
from schedulers import Slurm
from smartsim.adapters.wlm.slurm import NO_OUTPUT
from smartsim.adapters.wlm.srun import step_ids
from smartsim.domain.lifecycle import Ended, Queued, Refused, Started, Suspended
from smartsim.domain.steps import Batch, Step
from smartsim.ports.workload_manager import WorkloadManager
from waiting import wait_until

DEADLINE = 60.0
OVER_LIMIT = 200.0  # the controller looks for jobs over their time limit every half minute
GREEDY = "memory = bytearray(400 << 20); memory[::4096] = bytes(len(memory[::4096])); input()"
SAVES = 'trap "echo saved; exit 3" TERM; : > "ready.$SLURM_PROCID"; while :; do sleep 0.02; done'
STUBBORN = 'trap "" TERM; : > "ready.$SLURM_PROCID"; while :; do sleep 0.02; done'
SLEEPER = ("/bin/sleep", "300")


def site_of(slurm: Slurm, directory: Path) -> RealSite:
    return RealSite(REAL_KINDS["slurm jobs"], slurm, directory)


def job(site: RealSite, name: str, *directives: str, array: bool = False) -> Batch:
    batch = site.batch(name, True, *directives, array=array)
    assert batch is not None
    return batch


def number_of(site: RealSite, name: str) -> str:
    event = site.of(name)[0]
    assert isinstance(event, Queued)
    return event.native_id


@pytest.fixture(scope="module", autouse=True)
def limited(slurm_cluster: Slurm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealSite]:
    """A job, and a step in an allocation, that go over their time limit of a minute while the other tests run."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in slurm_cluster.variables.items():
            patch.setenv(name, value)
        site = site_of(slurm_cluster, tmp_path_factory.mktemp("limited"))
        manager = site.manager()
        granted = slurm_cluster.run("salloc", "--no-shell", "--time=1", "--ntasks=1", "--mem=100")
        srun = ("srun", f"--jobid={granted.stderr.split()[-1]}", "--ntasks=1")
        batch = job(site, "limited", "--time=1", "--ntasks=1", "--mem=100")
        manager.submit([site.step("batch", *SLEEPER, batch=batch), site.step("step", *SLEEPER, srun=srun)], site.report)
        yield site
        manager.stop(["batch", "step"], 0.0)
        for name in ("batch", "step"):
            site.ended(name)
        manager.close()


@pytest.fixture
def site(slurm: Slurm, tmp_path: Path) -> Iterator[RealSite]:
    site = site_of(slurm, tmp_path)
    before = slurm.jobs()
    yield site
    wait_until(lambda: not slurm.jobs() - before)


@pytest.fixture
def manager(site: RealSite) -> Iterator[WorkloadManager]:
    manager = site.manager()
    yield manager
    names = {name for name, event in site.reports if isinstance(event, Queued | Started)}
    manager.stop(names, grace=0.0)
    for name in names:
        site.ended(name)
    manager.close()


@pytest.fixture
def allocation(slurm: Slurm) -> Iterator[str]:
    granted = slurm.run("salloc", "--no-shell", "--nodes=2", "--ntasks-per-node=2", "--mem=400", "--time=10")
    number = granted.stderr.split()[-1]
    yield number
    slurm.cancel(number)


# Jobs


def test_a_failed_member_of_a_batch_ensemble_is_seen_as_its_own_failure(
    site: RealSite, manager: WorkloadManager
) -> None:
    batch = job(site, "ensemble", "--ntasks=1", "--mem=100")
    codes = [0, 7, 0, 255]
    steps = [site.step(f"m{i}", "/bin/sh", "-c", f"exit {code}", batch=batch) for i, code in enumerate(codes)]
    manager.submit([*steps, site.step("killed", "/bin/sh", "-c", "kill -9 $$", batch=batch)], site.report)
    assert [site.ended(step.name).returncode for step in steps] == codes
    assert site.ended("killed").returncode == -signal.SIGKILL
    assert len({event.native_id for _, event in site.reports if isinstance(event, Started)}) == 1
    assert site.runner.count("sbatch") == 1


def test_elements_of_a_job_array_are_jobs_of_their_own(site: RealSite, manager: WorkloadManager) -> None:
    batch = job(site, "array", "--ntasks=1", "--mem=100", array=True)
    steps = [site.step(f"m{i}", "/bin/sh", "-c", f"echo {i}; exit {i}", batch=batch) for i in range(6)]
    manager.submit(steps, site.report)
    assert [site.ended(step.name).returncode for step in steps] == list(range(6))
    assert [Path(step.stdout).read_text() for step in steps] == [f"{i}\n" for i in range(6)]
    number = number_of(site, "m0").partition("_")[0]
    assert [number_of(site, step.name) for step in steps] == [f"{number}_{i}" for i in range(6)]
    assert site.runner.count("sbatch") == 1


def test_two_hundred_members_in_one_job_and_as_an_array(site: RealSite, manager: WorkloadManager) -> None:
    together, array = job(site, "t", "--ntasks=1", "--mem=100"), job(site, "a", "--ntasks=1", "--mem=50", array=True)
    steps = [site.step(f"t{i}", "/bin/sh", "-c", f"exit {i % 50}", batch=together) for i in range(200)]
    steps += [site.step(f"a{i}", "/bin/sh", "-c", f"exit {i % 50}", batch=array) for i in range(200)]
    manager.submit(steps, site.report)
    assert [site.ended(step.name).returncode for step in steps] == [i % 50 for i in range(200)] * 2


def test_a_hundred_jobs_are_followed_with_few_queries(site: RealSite, manager: WorkloadManager) -> None:
    steps = [
        site.step(f"s{i}", "/bin/sh", "-c", "sleep 2; exit 0", batch=job(site, f"s{i}", "--ntasks=1", "--mem=50"))
        for i in range(100)
    ]
    manager.submit(steps, site.report)
    assert {site.ended(step.name).returncode for step in steps} == {0}
    assert site.runner.count("squeue") + site.runner.count("sacct") <= 10


@pytest.mark.parametrize("state", ["waits", "runs"])
def test_who_cancelled_a_job_is_told(site: RealSite, manager: WorkloadManager, slurm: Slurm, state: str) -> None:
    hold = ["--hold"] if state == "waits" else []
    manager.submit([site.step("a", *SLEEPER, batch=job(site, "a", "--mem=100", *hold))], site.report)
    if state == "runs":
        site.wait_for("a", Started)
    slurm.cancel(number_of(site, "a"))
    ended = site.ended("a")
    assert ended.cancelled_by == "root"
    assert ended.returncode == (-signal.SIGTERM if state == "runs" else None)


def test_a_job_that_waits_and_one_that_runs_are_stopped(site: RealSite, manager: WorkloadManager, slurm: Slurm) -> None:
    manager.submit([site.step("waits", *SLEEPER, batch=job(site, "w", "--hold"))], site.report)
    manager.submit([site.step("runs", "/bin/sh", "-c", SAVES, batch=job(site, "r", "--mem=100"))], site.report)
    wait_until((site.directory / "runs" / "ready.0").exists)
    manager.stop(["waits", "runs"], grace=DEADLINE)
    for name, returncode in (("waits", None), ("runs", 3)):
        ended = site.ended(name)
        assert (ended.returncode, ended.cancelled_by, ended.reason) == (returncode, "", "")
    assert not [event for event in site.of("waits") if isinstance(event, Started)]
    wait_until(lambda: not slurm.jobs() & {number_of(site, "waits"), number_of(site, "runs")})


def test_one_of_several_members_and_one_element_are_stopped_alone(site: RealSite, manager: WorkloadManager) -> None:
    together, array = job(site, "t", "--ntasks=1", "--mem=100"), job(site, "a", "--ntasks=1", "--mem=100", array=True)
    steps = [
        site.step(f"{kind}{i}", *SLEEPER, batch=batch)
        for kind, batch in (("t", together), ("a", array))
        for i in (0, 1)
    ]
    manager.submit(steps, site.report)
    for step in steps:
        site.wait_for(step.name, Started)
    manager.stop(["t0", "a0"], grace=DEADLINE)
    assert site.ended("t0").returncode == site.ended("a0").returncode == -signal.SIGTERM
    assert not [name for name, event in site.reports if isinstance(event, Ended) and name in ("t1", "a1")]


def test_what_takes_more_memory_than_it_asked_for_is_said_to_have_done_so(
    site: RealSite, manager: WorkloadManager
) -> None:
    command = ("/bin/sh", "-c", f"sleep 60 | {sys.executable} -c '{GREEDY}'")
    manager.submit([site.step("a", *command, batch=job(site, "a", "--ntasks=1", "--mem=100"))], site.report)
    ended = site.ended("a")
    assert ended.reason.startswith("out of memory")
    assert ended.returncode == -signal.SIGKILL
    assert not ended.cancelled_by


def test_a_job_that_is_lost_with_its_node_says_so_and_is_not_run_again(
    site: RealSite, manager: WorkloadManager, slurm: Slurm
) -> None:
    node = slurm.nodes[3]
    batch = job(site, "a", f"--nodelist={node}", "--ntasks=1", "--mem=100")
    manager.submit([site.step("a", *SLEEPER, batch=batch)], site.report)
    site.wait_for("a", Started)
    with slurm.node_down(node):
        ended = site.ended("a")
    assert ended.reason.startswith("node failure")
    assert ended.returncode != 0


def test_a_controller_that_restarts_loses_nothing(
    site: RealSite, manager: WorkloadManager, slurm: Slurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartsim.adapters.wlm.inquiry._LONGEST", 2.0)
    go = site.directory / "go"
    waits = f"until [ -e {go} ]; do sleep 0.05; done; exit"
    batch = job(site, "t", "--ntasks=1", "--mem=100")
    steps = [site.step("ends", "/bin/sh", "-c", f"{waits} 4", batch=batch), site.step("stays", *SLEEPER, batch=batch)]
    manager.submit(steps, site.report)
    site.wait_for("stays", Started)
    site.wait_for("ends", Started)
    with slurm.controller_stopped():
        go.touch()
        assert site.ended("ends").returncode == 4
        wait_until(lambda: "slurm does not answer" in site.told())
    wait_until(lambda: "slurm answers again" in site.told(logging.INFO))
    assert site.told().count("slurm does not answer") == 1
    assert not [event for event in site.of("stays") if isinstance(event, Ended)]
    manager.stop(["stays"], grace=DEADLINE)
    assert site.ended("stays").returncode == -signal.SIGTERM


def test_a_suspended_job_is_told_to_be_so(site: RealSite, manager: WorkloadManager, slurm: Slurm) -> None:
    manager.submit([site.step("a", *SLEEPER, batch=job(site, "a", "--ntasks=1", "--mem=100"))], site.report)
    site.wait_for("a", Started)
    slurm.ask("scontrol", "suspend", number_of(site, "a"))
    site.wait_for("a", Suspended)
    slurm.ask("scontrol", "resume", number_of(site, "a"))


def test_a_job_that_will_never_start_is_told_of(site: RealSite, manager: WorkloadManager, slurm: Slurm) -> None:
    manager.submit([site.step("first", *SLEEPER, batch=job(site, "f", "--hold"))], site.report)
    after = f"--dependency=afterok:{number_of(site, 'first')}"
    manager.submit([site.step("second", *SLEEPER, batch=job(site, "s", after))], site.report)
    slurm.cancel(number_of(site, "first"))
    site.ended("first")
    wait_until(lambda: "(second) does not start: a job that it depends on" in site.told())


@pytest.mark.parametrize(
    ("directive", "words"),
    [
        ("--partition=nosuch", ["invalid partition specified: nosuch", "--partition", "sinfo"]),
        ("--constraint=nosuch", ["Invalid feature specification", "--constraint"]),
        ("--nodes=99", ["More processors requested than permitted", "--nodes"]),
        ("--mem=99999", ["Memory specification can not be satisfied", "--mem"]),
        ("--gres=nosuch:1", ["Invalid generic resource", "--gres"]),
        ("--nodelist=nosuch", ["Invalid node name specified", "--nodelist"]),
        ("--time=soon", ["Invalid --time specification", "Correct the option"]),
        ("--reservation=nosuch", ["Requested reservation is invalid", "--reservation"]),
        ("--no-such-option", ["unrecognized option '--no-such-option'", "Correct the option"]),
    ],
)
def test_a_refusal_names_the_option_what_slurm_said_and_what_to_do(
    site: RealSite, manager: WorkloadManager, directive: str, words: list[str]
) -> None:
    batch = job(site, "bad job", directive)
    manager.submit([site.step("a", *SLEEPER, batch=batch), site.step("b", *SLEEPER, batch=job(site, "b"))], site.report)
    (refused,) = site.of("a")
    assert isinstance(refused, Refused)
    for word in ("Job bad job", "sbatch --parsable", *words):
        assert word in str(refused.error)
    assert not site.of("b")


def test_paths_with_odd_characters_are_what_they_are(slurm: Slurm, tmp_path: Path) -> None:
    directory = tmp_path / 'it\'s 100%j "odd" $HOME'
    directory.mkdir()
    site = site_of(slurm, directory)
    manager = site.manager()
    step = site.step("a b", "/bin/sh", "-c", "pwd; exit 5", batch=job(site, "a b", "--ntasks=1", "--mem=100"))
    manager.submit([step], site.report)
    assert site.ended("a b").returncode == 5
    assert Path(step.stdout).read_text() == f"{step.working_directory}\n"
    wait_until((directory / "a b.log").exists)
    manager.close()


def test_a_job_whose_output_cannot_be_opened_says_so(site: RealSite, manager: WorkloadManager, tmp_path: Path) -> None:
    batch = replace(job(site, "a", "--ntasks=1", "--mem=100"), stdout=str(tmp_path / "gone" / "a.out"))
    manager.submit([site.step("a", "/bin/true", batch=batch)], site.report)
    assert site.ended("a").reason == NO_OUTPUT


# Steps of srun in jobs


def test_members_with_ranks_run_side_by_side_and_one_of_them_is_stopped_politely(
    site: RealSite, manager: WorkloadManager
) -> None:
    batch = job(site, "t", "--nodes=2", "--ntasks-per-node=2", "--mem=400")
    srun = ("srun", "--exact", "--nodes=2", "--ntasks=2", "--mem=100")
    steps = [site.step(name, "/bin/sh", "-c", SAVES, batch=batch, srun=srun) for name in "ab"]
    manager.submit(steps, site.report)
    for step in steps:
        for rank in range(2):
            wait_until(Path(step.working_directory, f"ready.{rank}").exists)
    manager.stop(["a"], grace=DEADLINE)
    assert site.ended("a").returncode == 3
    assert Path(steps[0].stdout).read_text() == "saved\nsaved\n"
    assert not [event for event in site.of("b") if isinstance(event, Ended)]
    manager.stop(["b"], grace=DEADLINE)
    assert site.ended("b").returncode == 3
    assert Path(steps[1].stdout).read_text() == "saved\nsaved\n"


# Steps of srun that are children


def ranks(site: RealSite, name: str, code: str, allocation: str, *options: str) -> Step:
    srun = ("srun", f"--jobid={allocation}", "--nodes=2", "--ntasks=2", *options)
    return site.step(name, "/bin/sh", "-c", code, srun=srun)


@pytest.mark.parametrize("code", [0, 7])
def test_the_exit_code_of_a_step_is_that_of_its_program(
    site: RealSite, manager: WorkloadManager, allocation: str, code: int
) -> None:
    manager.submit([ranks(site, "a", f"exit {code}", allocation)], site.report)
    ended = site.ended("a")
    assert (ended.returncode, ended.reason, ended.cancelled_by) == (code, "", "")
    assert site.runner.count("sacct") <= (0 if code == 0 else 8)


def test_all_tasks_of_a_step_are_asked_to_end(site: RealSite, manager: WorkloadManager, allocation: str) -> None:
    step = ranks(site, "a", SAVES, allocation)
    manager.submit([step], site.report)
    for rank in range(2):
        wait_until(Path(step.working_directory, f"ready.{rank}").exists)
    manager.stop(["a"], grace=DEADLINE)
    ended = site.ended("a")
    assert (ended.returncode, ended.reason) == (3, "")
    assert Path(step.stdout).read_text() == "saved\nsaved\n"


def test_no_task_outlives_a_step_that_does_not_listen(
    site: RealSite, manager: WorkloadManager, allocation: str
) -> None:
    step = ranks(site, "a", STUBBORN, allocation)
    manager.submit([step], site.report)
    for rank in range(2):
        wait_until(Path(step.working_directory, f"ready.{rank}").exists)
    manager.stop(["a"], grace=0.5)
    assert site.ended("a").returncode == -signal.SIGKILL
    wait_until(lambda: "a" not in step_ids(site.runner))
    assert not site.told()


def test_a_step_that_waits_for_room_is_stopped(site: RealSite, manager: WorkloadManager, allocation: str) -> None:
    first = ranks(site, "first", SAVES, allocation, "--exclusive", "--cpus-per-task=2")
    manager.submit([first], site.report)
    wait_until(Path(first.working_directory, "ready.1").exists)
    manager.submit([ranks(site, "second", SAVES, allocation, "--exclusive", "--cpus-per-task=2")], site.report)
    manager.stop(["second"], grace=DEADLINE)
    site.ended("second")
    assert not list((site.directory / "second").glob("ready.*"))
    assert not [event for event in site.of("first") if isinstance(event, Ended)]


def test_who_cancelled_a_step_is_told(site: RealSite, manager: WorkloadManager, slurm: Slurm, allocation: str) -> None:
    step = ranks(site, "a", SAVES, allocation)
    manager.submit([step], site.report)
    wait_until(Path(step.working_directory, "ready.1").exists)
    slurm.cancel(step_ids(site.runner)["a"][0])
    ended = site.ended("a")
    assert (ended.returncode, ended.cancelled_by) == (-signal.SIGKILL, "root")


def test_a_step_that_takes_more_memory_than_it_asked_for_is_said_to_have_done_so(
    site: RealSite, manager: WorkloadManager, allocation: str
) -> None:
    greedy = f"sleep 60 | {sys.executable} -c '{GREEDY}'"
    srun = ("srun", f"--jobid={allocation}", "--nodes=1", "--ntasks=1", "--mem=100")
    manager.submit([site.step("a", "/bin/sh", "-c", greedy, srun=srun)], site.report)
    ended = site.ended("a")
    assert ended.reason.startswith("out of memory")
    assert not ended.cancelled_by


def test_a_step_that_is_lost_with_its_node_has_not_ended_well(
    site: RealSite, manager: WorkloadManager, slurm: Slurm
) -> None:
    node = slurm.nodes[3]
    granted = slurm.run("salloc", "--no-shell", f"--nodelist={node}", "--ntasks=1", "--mem=100")
    srun = ("srun", f"--jobid={granted.stderr.split()[-1]}", "--ntasks=1")
    step = site.step("a", "/bin/sh", "-c", SAVES, srun=srun)
    manager.submit([step], site.report)
    wait_until(Path(step.working_directory, "ready.0").exists)
    with slurm.node_down(node):
        ended = site.ended("a")
    assert ended.returncode != 0
    assert ended.reason.startswith("node failure")


# What took its time meanwhile


@pytest.mark.parametrize("name", ["batch", "step"])
def test_the_time_limit_is_told(limited: RealSite, name: str) -> None:
    ended = limited.ended(name, OVER_LIMIT)
    assert ended.reason == "time limit: the job ran longer than it was given"
    assert ended.returncode == -signal.SIGTERM
    assert not ended.cancelled_by
