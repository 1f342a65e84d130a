"""Samples of jobs: what their processes on the driver's machine use. Of others `scheduled_samples` tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from smartsim.app.sampling import Pace
from smartsim.domain.errors import SmartSimError
from smartsim.domain.metrics import JobsSampled, JobUsage
from smartsim.domain.status import SmartSimStatus

if TYPE_CHECKING:
    from smartsim.app.jobs import Job
    from smartsim.ports.clock import Clock
    from smartsim.ports.process_meter import ProcessMeter, ProcessUsage

LONGEST = 300.0
"""The most seconds between two samples of a job."""
_NEARBY = ("", "mpirun")  # what starts ranks as processes of its own; those of others are nobody's here
RUNNING = (SmartSimStatus.STATUS_RUNNING, SmartSimStatus.STATUS_PAUSED)


class JobSamples:
    """Looks at the processes of all jobs at once.

    Args:
        active: returns the jobs that have not ended.
        handle: returns what tells how to find one that runs, as `WorkloadManager.handle` does.
        meter: looks at processes.
        clock: tells the time.
        interval: seconds between two looks.
    """

    def __init__(
        self,
        active: Callable[[], Sequence[Job]],
        handle: Callable[[Job], Mapping[str, object]],
        meter: ProcessMeter,
        clock: Clock,
        interval: float,
    ) -> None:
        self._active = active
        self._handle = handle
        self._meter = meter
        self._clock = clock
        self._interval = interval
        self._roots: dict[str, int | None] = {}  # the process of each step; None if it is none of this machine
        self._paces: dict[str, Pace] = {}

    def has_any(self) -> bool:
        """Return whether a job has processes here, or may soon have."""
        return any(self._may_be_here(job) for job in self._active())

    def _may_be_here(self, job: Job) -> bool:
        if job.step.batch is not None or job.step.ranks not in _NEARBY:
            return False
        return job.state.status not in RUNNING or self._root(job) is not None

    def _root(self, job: Job) -> int | None:
        name = job.step.name
        if name not in self._roots:
            try:
                pid = self._handle(job).get("pid")
            except SmartSimError:  # it has ended
                return None
            self._roots[name] = pid if isinstance(pid, int) else None
        return self._roots[name]

    def sample(self) -> Iterator[JobsSampled]:
        """Look at the processes of all jobs, and return one sample, unless there are none."""
        jobs = [job for job in self._active() if job.state.status in RUNNING and self._may_be_here(job)]
        roots = {job.step.name: root for job in jobs if (root := self._root(job)) is not None}
        self._roots = {name: root for name, root in self._roots.items() if root is None or name in roots}
        now = self._clock.monotonic()
        self._paces = {
            name: self._paces.get(name) or Pace(began=now, interval=self._interval, longest=LONGEST) for name in roots
        }
        due = [name for name, pace in self._paces.items() if pace.is_due(now)]
        if not due:
            return
        at, found = self._clock.now(), self._meter.measure(set(roots.values()))
        usages = tuple(job_usage(name, usage) for name in due if (usage := found.get(roots[name])) is not None)
        if usages:
            yield JobsSampled(at, usages)


def job_usage(step: str, usage: ProcessUsage) -> JobUsage:
    """Return what is written of the usage of a step, given its name."""
    return JobUsage(
        step=step,
        cpu_seconds=round(usage.cpu_seconds, 2),
        memory=usage.memory,
        processes=usage.processes,
        gpu_memory=usage.gpu_memory,
        gpu_utilization=usage.gpu_utilization,
    )
