"""What every job meter does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from smartsim.adapters.wlm.job_meter import OwnJobs, SchedulerJobMeter, TellsUsage
from smartsim.adapters.wlm.pbs import Pbs
from smartsim.adapters.wlm.sge import Sge
from smartsim.adapters.wlm.slurm import Slurm
from smartsim.adapters.wlm.slurm_targets import SlurmTargets
from smartsim.domain.steps import Batch, Step
from smartsim.ports.job_meter import JobMeter, RunningStep
from smartsim.ports.process_meter import ProcessUsage
from smartsim.ports.process_runner import Completed
from smartsim.testing import ScriptedJobMeter, ScriptedProcessRunner, VirtualClock

RECORDED = Path(__file__).parent.parent / "adapters" / "recorded"
BATCH = Batch("b", ("qsub",), (), (), "/b.sh", "/b", "/b.out", "/b.err")
SCHEDULERS: dict[str, tuple[TellsUsage, str, str]] = {
    "slurm": (Slurm(), "slurm_sstat.txt", "16"),
    "pbs": (Pbs(), "pbs_usage.txt", "41.pbsserver"),
    "sge": (Sge(), "sge_qstat_jobs.txt", "8"),
}


def running(job: str) -> RunningStep:
    step = Step("m-1", ("true",), (), {}, "/", "/out", "/err", batch=BATCH)
    return RunningStep(step, {"job": job, "asked_as": job, "size": 1})


@dataclass
class Site:
    """A job that runs, and one that nobody knows."""

    meter: JobMeter
    clock: VirtualClock
    known: RunningStep
    unknown: RunningStep

    def measure(self, *steps: RunningStep) -> dict[str, ProcessUsage]:
        """Ask once that may be."""
        for _ in range(1000):
            if self.meter.is_ready():
                return dict(self.meter.measure(steps))
            self.clock.advance(1)
        raise AssertionError("it is never ready")


@pytest.fixture(params=["scripted", *SCHEDULERS])
def site(request: pytest.FixtureRequest) -> Site:
    clock = VirtualClock()
    if request.param == "scripted":
        usages = {"m-1": ProcessUsage(cpu_seconds=1.0, memory=4096, processes=1)}
        unknown = RunningStep(Step("other-1", ("true",), (), {}, "/", "/out", "/err", batch=BATCH), {"job": "99"})
        return Site(ScriptedJobMeter(usages), clock, running("7"), unknown)
    scheduler, answer, job = SCHEDULERS[request.param]
    runner = ScriptedProcessRunner(
        answers={
            scheduler.usage_query([job]): Completed(0, (RECORDED / answer).read_text(), ""),
            scheduler.usage_query(["99"]): Completed(0, "", "no such job"),
        }
    )
    targets = SlurmTargets() if request.param == "slurm" else OwnJobs()
    meter = SchedulerJobMeter(scheduler, targets, runner, clock, lambda *_: None)
    return Site(meter, clock, running(job), running("99"))


def test_a_job_that_runs_has_its_usage(site: Site) -> None:
    for _ in range(3):
        (usage,) = site.measure(site.known).values()
        assert usage.cpu_seconds > 0
        assert usage.memory > 0


def test_a_job_that_nobody_knows_has_none(site: Site) -> None:
    assert site.measure(site.unknown) == {}
    assert site.measure() == {}


def test_jobs_are_covered_and_children_of_the_driver_are_not(site: Site) -> None:
    assert site.meter.covers(site.known.step)
    assert not site.meter.covers(Step("c-1", ("true",), (), {}, "/", "/out", "/err"))
