"""What is written of the processes of jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from smartsim.app.job_samples import JobSamples
from smartsim.app.jobs import Job
from smartsim.domain.errors import LauncherError
from smartsim.domain.lifecycle import JobState
from smartsim.domain.metrics import JobsSampled, JobUsage
from smartsim.domain.status import SmartSimStatus
from smartsim.domain.steps import Batch, Step
from smartsim.ports.process_meter import ProcessUsage
from smartsim.testing import ScriptedProcessMeter, VirtualClock

BATCH = Batch("b", ("sbatch",), (), (), "/b.sh", "/b", "/b.out", "/b.err")


@dataclass
class Site:
    """Jobs, and what their processes use."""

    jobs: list[Job] = field(default_factory=list)
    handles: dict[str, Mapping[str, object]] = field(default_factory=dict)
    meter: ScriptedProcessMeter = field(default_factory=ScriptedProcessMeter)
    clock: VirtualClock = field(default_factory=VirtualClock)

    def __post_init__(self) -> None:
        self.samples = JobSamples(lambda: list(self.jobs), self.handle, self.meter, self.clock, interval=5.0)

    def handle(self, job: Job) -> Mapping[str, object]:
        if job.step.name not in self.handles:
            raise LauncherError(f"No step named {job.step.name!r} is running on this machine")
        return self.handles[job.step.name]

    def add(self, pid: int | None, *, batch: Batch | None = None, ranks: str = "") -> Job:
        name = f"m{len(self.jobs)}-1"
        step = Step(name, ("true",), (), {}, "/", "/out", "/err", batch=batch, ranks=ranks)
        job = Job(name, "Model", object(), step, 0, kill_on_interrupt=True)
        job.state = replace(JobState(submitted_at=0.0), status=SmartSimStatus.STATUS_RUNNING)
        self.jobs.append(job)
        if pid is not None:
            self.handles[name] = {"pid": pid}
            self.meter.usages[pid] = ProcessUsage(cpu_seconds=pid + 0.123, memory=pid, processes=1)
        return job

    def look(self, times: int = 1) -> list[JobsSampled]:
        seen: list[JobsSampled] = []
        for _ in range(times):
            seen += self.samples.sample()
            self.clock.advance(5.0)
        return seen


@pytest.fixture
def site() -> Site:
    return Site()


def test_all_jobs_are_in_one_sample(site: Site) -> None:
    site.add(7)
    site.add(8)
    site.meter.usages[8] = ProcessUsage(1.0, 4096, 3, gpu_memory=5, gpu_utilization=0.5)
    begin = site.clock.now()
    assert site.look() == [JobsSampled(begin, (JobUsage("m0-1", 7.12, 7, 1), JobUsage("m1-1", 1.0, 4096, 3, 5, 0.5)))]


def test_jobs_elsewhere_are_not_looked_for(site: Site) -> None:
    site.add(7, batch=BATCH)
    site.add(8, ranks="srun")
    site.handles[site.add(None).step.name] = {"job": "77"}
    assert not site.samples.has_any()
    assert site.look() == []
    site.add(9, ranks="mpirun")
    assert site.samples.has_any()
    assert [usage.step for sample in site.look() for usage in sample.jobs] == ["m3-1"]


def test_a_job_that_waits_is_waited_for(site: Site) -> None:
    job = site.add(None)
    job.state = replace(job.state, status=SmartSimStatus.STATUS_QUEUED)
    assert site.samples.has_any()
    assert site.look() == []
    site.handles[job.step.name] = {"pid": 7}
    site.meter.usages[7] = ProcessUsage(1.0, 4096, 1)
    job.state = replace(job.state, status=SmartSimStatus.STATUS_RUNNING)
    assert len(site.look()) == 1


def test_a_job_that_ended_is_left_out(site: Site) -> None:
    site.add(7)
    site.add(8)
    site.look()
    del site.meter.usages[7]  # its process has just ended
    assert [usage.step for sample in site.look() for usage in sample.jobs] == ["m1-1"]
    site.jobs.clear()
    assert not site.samples.has_any()
    assert site.look() == []


def test_a_job_that_ends_before_it_is_found_is_left_out(site: Site) -> None:
    site.add(None)
    assert not site.samples.has_any()
    assert site.look() == []


def test_a_job_that_runs_for_long_is_written_more_seldom_than_a_new_one(site: Site) -> None:
    old = site.add(7)
    site.look(10_000)  # 14 hours
    new = site.add(8)
    samples = site.look(60)  # five minutes
    steps = [usage.step for sample in samples for usage in sample.jobs]
    assert steps.count(new.step.name) == 60
    assert 1 <= steps.count(old.step.name) <= 2
