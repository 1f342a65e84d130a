"""Samples of jobs that run elsewhere: what their scheduler says that they use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from smartsim.app.job_samples import LONGEST, RUNNING, job_usage
from smartsim.app.sampling import Pace
from smartsim.domain.errors import SmartSimError
from smartsim.domain.metrics import JobsSampled
from smartsim.ports.job_meter import RunningStep

if TYPE_CHECKING:
    from smartsim.app.jobs import Job
    from smartsim.ports.clock import Clock
    from smartsim.ports.job_meter import JobMeter

_SHORTEST = 30.0  # seconds between two samples of a job: nodes may look at it no more often
_FIRST = 10.0  # seconds that a job runs before the first one: sooner the scheduler may not know what it uses


class ScheduledSamples:
    """Asks the scheduler after all jobs at once, as seldom as it wants to be asked.

    Args:
        active: returns the jobs that have not ended.
        handle: returns what tells how to find one that runs, as `WorkloadManager.handle` does.
        meter: asks.
        clock: tells the time.
        interval: seconds between two samples of a job, but 30 at least.
    """

    def __init__(
        self,
        active: Callable[[], Sequence[Job]],
        handle: Callable[[Job], Mapping[str, object]],
        meter: JobMeter,
        clock: Clock,
        interval: float,
    ) -> None:
        self._active = active
        self._handle = handle
        self._meter = meter
        self._clock = clock
        self._interval = max(interval, _SHORTEST)
        self._since: dict[str, float] = {}  # when a job was seen first
        self._paces: dict[str, Pace] = {}

    def has_any(self) -> bool:
        """Return whether the scheduler may tell of a job, now or soon."""
        return any(self._meter.covers(job.step) for job in self._active())

    def sample(self) -> Iterator[JobsSampled]:
        """Ask what the jobs use of which a sample is due, and return one of all, unless there are none."""
        jobs = {job.step.name: job for job in self._active() if self._runs(job)}
        now = self._clock.monotonic()
        self._since = {name: self._since.get(name, now) for name in jobs}
        if not self._meter.is_ready():
            return
        known = [name for name, since in self._since.items() if now >= since + _FIRST]
        self._paces = {name: self._paces.get(name) or Pace(now, self._interval, LONGEST) for name in known}
        running = []
        for name, pace in self._paces.items():
            if pace.is_due(now):
                with suppress(SmartSimError):  # it has ended
                    running.append(RunningStep(jobs[name].step, self._handle(jobs[name])))
        at, found = self._clock.now(), self._meter.measure(running) if running else {}
        if found:
            yield JobsSampled(at, tuple(job_usage(name, usage) for name, usage in found.items()))

    def _runs(self, job: Job) -> bool:
        return job.state.status in RUNNING and self._meter.covers(job.step)
