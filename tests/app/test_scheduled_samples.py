"""What is written of jobs that run elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from smartsim.app.jobs import Job
from smartsim.app.scheduled_samples import ScheduledSamples
from smartsim.domain.errors import LauncherError
from smartsim.domain.lifecycle import JobState
from smartsim.domain.metrics import JobsSampled, JobUsage
from smartsim.domain.status import SmartSimStatus
from smartsim.domain.steps import Batch, Step
from smartsim.ports.job_meter import RunningStep
from smartsim.ports.process_meter import ProcessUsage
from smartsim.testing import ScriptedJobMeter, VirtualClock

BATCH = Batch("b", ("sbatch",), (), (), "/b.sh", "/b", "/b.out", "/b.err")
TICK = 5.0
DAY = 17280  # ticks


class Meter(ScriptedJobMeter):
    """One that counts."""

    asked = 0
    rests = False

    def is_ready(self) -> bool:
        return not self.rests

    def measure(self, running: Sequence[RunningStep]) -> Mapping[str, ProcessUsage]:
        self.asked += 1
        assert all("job" in one.handle for one in running)
        return super().measure(running)


@dataclass
class Site:
    """Jobs of a scheduler."""

    jobs: list[Job] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    meter: Meter = field(default_factory=Meter)
    clock: VirtualClock = field(default_factory=VirtualClock)

    def __post_init__(self) -> None:
        self.samples = ScheduledSamples(lambda: list(self.jobs), self.handle, self.meter, self.clock, interval=TICK)

    def handle(self, job: Job) -> Mapping[str, object]:
        if job.step.name in self.gone:
            raise LauncherError(f"No job has a step named {job.step.name!r}")
        return {"job": "7"}

    def add(self, status: SmartSimStatus = SmartSimStatus.STATUS_RUNNING, *, batch: Batch | None = BATCH) -> Job:
        name = f"m{len(self.jobs)}-1"
        step = Step(name, ("true",), (), {}, "/", "/out", "/err", batch=batch)
        job = Job(name, "Model", object(), step, 0, kill_on_interrupt=True)
        job.state = replace(JobState(submitted_at=0.0), status=status)
        self.jobs.append(job)
        self.meter.usages[name] = ProcessUsage(cpu_seconds=1.234, memory=4096, processes=2)
        return job

    def look(self, times: int) -> list[JobsSampled]:
        seen: list[JobsSampled] = []
        for _ in range(times):
            seen += self.samples.sample()
            self.clock.advance(TICK)
        return seen


@pytest.fixture
def site() -> Site:
    return Site()


def test_all_jobs_are_in_one_sample_of_which_the_first_comes_soon(site: Site) -> None:
    site.add()
    site.add(SmartSimStatus.STATUS_PAUSED)
    begin = site.clock.now()
    assert site.look(5) == [JobsSampled(begin + 10, (JobUsage("m0-1", 1.23, 4096, 2), JobUsage("m1-1", 1.23, 4096, 2)))]


def test_however_short_the_interval_is_half_a_minute_passes(site: Site) -> None:
    site.add()
    site.look(120)  # ten minutes
    assert 10 <= site.meter.asked <= 41


def test_a_scheduler_that_rests_is_not_asked(site: Site) -> None:
    site.add()
    site.meter.rests = True
    assert site.look(60) == []
    assert site.meter.asked == 0
    site.meter.rests = False
    assert len(site.look(1)) == 1  # it has run long enough meanwhile


def test_jobs_that_wait_and_children_of_the_driver_are_not_asked_for(site: Site) -> None:
    site.add(batch=None)
    assert not site.samples.has_any()
    waits = site.add(SmartSimStatus.STATUS_QUEUED)
    assert site.samples.has_any()
    assert site.look(20) == []
    assert site.meter.asked == 0
    waits.state = replace(waits.state, status=SmartSimStatus.STATUS_RUNNING)
    assert [usage.step for sample in site.look(3) for usage in sample.jobs] == [waits.step.name]


def test_a_job_that_ends_meanwhile_is_left_out(site: Site) -> None:
    site.add()
    site.add()
    site.gone.add("m0-1")
    assert [usage.step for sample in site.look(3) for usage in sample.jobs] == ["m1-1"]
    del site.meter.usages["m1-1"]
    assert site.look(20) == []
    site.jobs.clear()
    assert not site.samples.has_any()


def test_jobs_that_run_for_long_are_asked_for_more_seldom(site: Site) -> None:
    site.add()
    site.look(DAY)
    before = site.meter.asked
    site.look(720)  # an hour
    assert 11 <= site.meter.asked - before <= 13
