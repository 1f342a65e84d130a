"""What schedulers say that jobs use, and how often they are asked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.adapters.wlm.job_meter import OwnJobs, SchedulerJobMeter
from smartsim.adapters.wlm.pbs import Pbs
from smartsim.adapters.wlm.sge import Sge
from smartsim.adapters.wlm.slurm import Slurm
from smartsim.adapters.wlm.slurm_targets import SlurmTargets
from smartsim.app.workload_managers import asking, job_meter
from smartsim.domain.errors import LauncherError, ShellError
from smartsim.domain.steps import Batch, Step
from smartsim.ports.job_meter import RunningStep
from smartsim.ports.process_meter import ProcessUsage
from smartsim.ports.process_runner import Completed
from smartsim.testing import VirtualClock

RECORDED = Path(__file__).parent / "recorded"
BATCH = Batch("b", ("sbatch",), (), (), "/b.sh", "/b", "/b.out", "/b.err")
OFF = "16.batch|0|\n16.0|0|\n"  # what sstat says with JobAcctGatherType=jobacct_gather/none


def recorded(name: str, returncode: int = 0, stderr: str = "") -> Completed:
    return Completed(returncode, (RECORDED / name).read_text(), stderr)


# What is asked, and what the answers say


def test_one_sstat_asks_after_all_jobs_and_steps() -> None:
    assert Slurm().usage_query(["16", "17.0"]) == (
        "sstat",
        "--noheader",
        "--parsable2",
        "--noconvert",
        "--allsteps",
        "--format=JobID,NTasks,TRESUsageInTot",
        "--jobs=16,17.0",
    )


def test_a_job_of_slurm_uses_what_its_steps_use() -> None:
    found = Slurm().usages(recorded("slurm_sstat.txt"), {"16", "17", "18"})
    assert found == {
        "16": ProcessUsage(6.0, 129605632 + 237174784, 3),
        "17": ProcessUsage(2.0, 120127488, 1),
        "18": ProcessUsage(2.0, 120193024, 1),
    }


def test_a_step_of_slurm_is_told_from_its_job() -> None:
    found = Slurm().usages(recorded("slurm_sstat.txt"), {"16.0"})
    assert found == {"16.0": ProcessUsage(4.0, 237174784, 2)}


def test_an_element_that_slurm_names_twice_counts_once() -> None:
    twice = (RECORDED / "slurm_sstat.txt").read_text() * 2
    assert Slurm().usages(Completed(0, twice, ""), {"17"}) == {"17": ProcessUsage(2.0, 120127488, 1)}


def test_jobs_that_have_just_ended_are_missing() -> None:
    error = "sstat: error: couldn't get steps for job 999\n"
    assert Slurm().usages(Completed(0, "", error), {"999"}) == {}
    assert Sge().usages(Completed(1, "", "Following jobs do not exist: \n99, 77\n"), {"99"}) == {}
    assert Pbs().usages(Completed(153, "", "qstat: Unknown Job Id 99.pbsserver"), {"99.pbsserver"}) == {}


@given(st.integers(0, 999), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 2**50))
def test_days_of_cpu_time_and_any_memory_are_read(days: int, hours: int, minutes: int, seconds: int, size: int) -> None:
    time = f"{hours:02}:{minutes:02}:{seconds:02}"
    expected = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    used = f"cpu={f'{days}-' if days else ''}{time},energy=0,fs/disk=1,mem={size},pages=0,vmem=1"
    assert Slurm().usages(Completed(0, f"7.0|4|{used}\n", ""), {"7"}) == {"7": ProcessUsage(expected, size, 4)}
    usage = f"cpu={f'{days}:' if days else ''}{time}, mem=0.6 GB s, io=0.0 GB, vmem={size}.000M, maxvmem=9.000G"
    told = f"{'=' * 62}\njob_number:                 7\nusage         1:            {usage}\n"
    assert Sge().usages(Completed(0, told, ""), {"7"}) == {"7": ProcessUsage(expected, size * 2**20, 0)}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Completed(1, "", "sstat: error: Unable to contact slurm controller"), "Unable to contact"),
        (Completed(0, OFF, ""), "JobAcctGatherType"),
    ],
)
def test_a_slurm_that_tells_nothing_is_an_error(answer: Completed, words: str) -> None:
    with pytest.raises(LauncherError, match=words):
        Slurm().usages(answer, {"16"})


def test_grid_engine_tells_of_jobs_and_of_elements() -> None:
    assert Sge().usage_query(["8", "9"]) == ("qstat", "-j", "8,9")
    found = Sge().usages(recorded("sge_qstat_jobs.txt"), {"8", "9.1", "9.3"})
    assert {job: round(usage.memory / 2**20, 3) for job, usage in found.items()} == {
        "8": 217.809,
        "9.1": 217.895,
        "9.3": 217.891,
    }
    assert {(usage.cpu_seconds, usage.processes) for usage in found.values()} == {(2.0, 0)}
    with pytest.raises(LauncherError, match="unable to contact qmaster"):
        Sge().usages(Completed(1, "", "error: unable to contact qmaster"), {"8"})


def test_a_job_of_grid_engine_that_has_just_begun_uses_nothing_yet() -> None:
    told = f"{'=' * 62}\njob_number:                 7\nscript_file:                s.sh\n"
    assert Sge().usages(Completed(0, told, ""), {"7"}) == {}
    none = f"{told}usage         1:            cpu=00:00:00, mem=0.00000 GB s, io=0.00000 GB, vmem=N/A, maxvmem=N/A\n"
    assert Sge().usages(Completed(0, none, ""), {"7"}) == {}


def test_what_pbs_asks_after_jobs_tells_what_they_use() -> None:
    jobs = ["36[].pbsserver", "41.pbsserver"]
    assert Pbs().usage_query(jobs) == Pbs().query(jobs)
    asked = {"36[0].pbsserver", "36[1].pbsserver", "41.pbsserver", "42.pbsserver"}
    assert Pbs().usages(recorded("pbs_usage.txt"), asked) == {
        "36[0].pbsserver": ProcessUsage(30 * 3600 + 5, 35844 * 1024, 0),
        "41.pbsserver": ProcessUsage(1.0, 2 * 2**30, 0),
    }
    with pytest.raises(LauncherError, match="cannot connect"):
        Pbs().usages(Completed(111, "", "qstat: cannot connect to server"), asked)


# How often, and for whom


@dataclass
class World:
    """A Slurm on paper: what it answers by the name of the program, and what it was asked."""

    answers: dict[str, Callable[[Sequence[str]], Completed]] = field(default_factory=dict)
    asked: list[tuple[float, Sequence[str]]] = field(default_factory=list)
    said: list[tuple[int, str]] = field(default_factory=list)
    clock: VirtualClock = field(default_factory=VirtualClock)

    def __post_init__(self) -> None:
        self.meter = SchedulerJobMeter(
            Slurm(), SlurmTargets(), self, self.clock, lambda level, text: self.said.append((level, text))
        )

    def find(self, program: str) -> str | None:
        return f"/bin/{program}"

    def run(self, argv: Sequence[str], timeout: float) -> Completed:
        assert 0 < timeout <= 30
        self.asked.append((self.clock.monotonic(), argv))
        return self.answers[argv[0]](argv)

    def watch(self, running: Sequence[RunningStep], seconds: int) -> list[Mapping[str, ProcessUsage]]:
        """Ask as often as possible for a while, and return what is told."""
        told = []
        for _ in range(seconds):
            if self.meter.is_ready():
                told.append(self.meter.measure(running))
            self.clock.advance(1)
        return told


def member(name: str, job: str, asked_as: str = "", *, size: int = 1, ranks: str = "") -> RunningStep:
    step = Step(name, ("true",), (), {}, "/", "/out", "/err", batch=BATCH, ranks=ranks)
    return RunningStep(step, {"job": job, "asked_as": asked_as or job, "size": size})


def child(name: str) -> RunningStep:
    return RunningStep(Step(name, ("true",), ("srun",), {}, "/", "/out", "/err", ranks="srun"), {"pid": 7})


def squeue(argv: Sequence[str]) -> Completed:
    return Completed(0, "16.0|s-1\n16.batch|batch\n" if "--steps" in argv else "17_0|18\n17_1|17\n", "")


@pytest.fixture
def world() -> World:
    return World({"sstat": lambda _: recorded("slurm_sstat.txt"), "squeue": squeue})


def test_all_jobs_are_asked_after_at_once(world: World) -> None:
    running = [member("a-1", "16"), member("e-0", "17_0", "17"), member("e-1", "17_1", "17")]
    assert all(world.meter.covers(one.step) for one in running)
    assert world.meter.measure(running) == {
        "a-1": ProcessUsage(6.0, 366780416, 3),
        "e-0": ProcessUsage(2.0, 120193024, 1),
        "e-1": ProcessUsage(2.0, 120127488, 1),
    }
    assert [argv[0] for _, argv in world.asked] == ["squeue", "sstat"]
    assert world.asked[-1][1][-1] == "--jobs=16,17"


def test_steps_in_an_allocation_and_members_of_one_job_are_found_by_their_names(world: World) -> None:
    running = [child("s-1"), member("new-1", "16", size=2, ranks="srun"), member("no-1", "16", size=2)]
    assert world.meter.measure(running) == {"s-1": ProcessUsage(4.0, 237174784, 2)}


def test_slurm_is_asked_twice_a_minute_and_not_again_for_what_stays(world: World) -> None:
    running = [child("s-1"), member("e-0", "17_0", "17")]
    told = world.watch(running, 600)
    programs = [argv[0] for _, argv in world.asked]
    assert programs.count("squeue") == 2
    assert programs.count("sstat") == len(told)
    assert len(told) >= 17
    assert len(world.asked) <= 21  # two a minute
    assert set(map(len, told)) == {2}


def test_a_step_that_waits_for_its_turn_is_asked_for_no_more_often(world: World) -> None:
    assert not any(world.watch([child("waits-1")], 600))
    assert 10 <= len(world.asked) <= 21


def test_nobody_is_asked_without_jobs(world: World) -> None:
    assert world.watch([member("no-1", "16", size=2)], 100) == [{}] * 100
    assert not world.asked


def test_a_scheduler_that_is_slow_rests_longer(world: World) -> None:
    def slowly(_: Sequence[str]) -> Completed:
        world.clock.advance(6)
        return recorded("slurm_sstat.txt")

    world.answers["sstat"] = slowly
    world.watch([member("a-1", "16")], 500)
    assert [at - world.asked[0][0] for at, _ in world.asked[:3]] == [0, 126, 252]


def fails(_: Sequence[str]) -> Completed:
    raise ShellError("Cannot start sstat", ["sstat"], "No such file")


@pytest.mark.parametrize("answer", [lambda _: Completed(0, OFF, ""), fails, lambda _: Completed(0, "16.0|x|cpu=1", "")])
def test_that_jobs_are_not_told_of_is_said_once_and_soon_nobody_asks(
    world: World, answer: Callable[[Sequence[str]], Completed]
) -> None:
    world.answers["sstat"] = answer
    assert not any(world.watch([member("a-1", "16")], 3600))
    assert [level for level, _ in world.said] == [logging.INFO]
    assert "not sampled" in world.said[0][1]
    assert len(world.asked) <= 12


def test_a_scheduler_that_tells_again_is_asked_as_before(world: World) -> None:
    good = world.answers["sstat"]
    world.answers["sstat"] = fails
    running = [member("a-1", "16")]
    world.watch(running, 50)
    world.answers["sstat"] = good
    assert sum(map(bool, world.watch(running, 300))) >= 6
    assert not world.said  # once is common


def test_jobs_of_others_than_slurm_are_told_of_where_they_are_a_members_own() -> None:
    targets = OwnJobs()
    alone, shared = member("a-1", "36[2].srv", "36[].srv"), member("b-1", "41.srv", size=2)
    assert targets.covers(alone.step)
    assert not targets.covers(child("s-1").step)
    found = targets.find([alone, shared, child("s-1")], World())
    assert {name: (target.id, target.asked_as) for name, target in found.items()} == {"a-1": ("36[2].srv", "36[].srv")}


def test_what_pbs_was_asked_for_other_reasons_is_not_asked_again() -> None:
    world = World({"qstat": lambda _: recorded("pbs_usage.txt")})
    overheard = asking("pbs", world, world.clock)
    meter = job_meter("pbs", overheard, world.clock)
    assert meter is not None
    everything = Pbs().query(["36[].pbsserver", "41.pbsserver"])
    overheard.run(everything, 1)
    world.clock.advance(59)
    assert meter.measure([member("a-1", "41.pbsserver")])["a-1"].cpu_seconds == 1
    assert [argv for _, argv in world.asked] == [everything]
    world.clock.advance(31)
    assert meter.is_ready()
    assert meter.measure([member("a-1", "41.pbsserver")])["a-1"].cpu_seconds == 1
    assert [argv for _, argv in world.asked] == [everything, Pbs().query(["41.pbsserver"])]


@pytest.mark.parametrize("launcher", ["local", "lsf", "cobalt", "flux", "dragon"])
def test_nobody_tells_of_jobs_under_other_launchers(launcher: str) -> None:
    world = World()
    assert asking(launcher, world, world.clock) is world
    assert job_meter(launcher, world, world.clock) is None
