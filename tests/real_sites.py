"""Real schedulers on this machine, on which steps run in jobs or in an allocation."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from schedulers import DEADLINE, Cluster
from smartsim.adapters.clock.system import SystemClock
from smartsim.adapters.filesystem.posix import PosixFileSystem
from smartsim.adapters.process.subprocess import SubprocessRunner
from smartsim.adapters.wlm.batch_jobs import BatchJobs
from smartsim.adapters.wlm.local import LocalWorkloadManager
from smartsim.adapters.wlm.scheduled import ScheduledWorkloadManager
from smartsim.adapters.wlm.scheduler import Scheduler
from smartsim.adapters.wlm.sge import Sge
from smartsim.adapters.wlm.slurm import Slurm
from smartsim.adapters.wlm.slurm_steps import SrunSteps
from smartsim.adapters.wlm.srun import signal_steps
from smartsim.domain.lifecycle import Ended, JobEvent
from smartsim.domain.steps import Batch, Step
from smartsim.ports.process_runner import Completed
from smartsim.ports.workload_manager import WorkloadManager


class CountingRunner(SubprocessRunner):
    """Runs programs, and remembers which."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, ...]] = []

    def run(self, argv: object, timeout: float) -> Completed:
        """Run a program to its end."""
        assert isinstance(argv, tuple)
        self.commands.append(argv)
        return super().run(argv, timeout)

    def count(self, program: str) -> int:
        """Return how often a program was run."""
        return sum(command[0] == program for command in self.commands)


@dataclass(frozen=True)
class Real:
    """A real scheduler.

    Args:
        cluster: the fixture that runs it.
        scheduler: makes what talks to it.
        submit: its program that submits.
        queue: the directive that asks for a queue.
        in_allocation: whether steps run in an allocation, and not in jobs.
    """

    cluster: str
    scheduler: Callable[[], Scheduler]
    submit: str
    queue: str
    in_allocation: bool = False


REAL_KINDS: Mapping[str, Real] = {
    "slurm jobs": Real("slurm", Slurm, "sbatch", "--partition={}"),
    "slurm steps": Real("slurm", Slurm, "sbatch", "--partition={}", in_allocation=True),
    "sge jobs": Real("sge", Sge, "qsub", "-q {}"),
}


@dataclass
class RealSite:
    """A real scheduler, and managers of its jobs.

    Attributes:
        logged: what users were told, with levels of `logging`.
        runner: what runs its commands.
        srun: what starts steps in the allocation, if there is one.
    """

    kind: Real
    cluster: Cluster
    directory: Path
    logged: list[tuple[int, str]] = field(default_factory=list)
    runner: CountingRunner = field(default_factory=CountingRunner)
    srun: tuple[str, ...] = ()
    reports: list[tuple[str, JobEvent]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def manager(self) -> WorkloadManager:
        """Return another manager, as another driver would have it."""
        clock, files = SystemClock(), PosixFileSystem()
        children: WorkloadManager = LocalWorkloadManager()
        if not isinstance(self.kind.scheduler(), Slurm):
            return ScheduledWorkloadManager(
                children, BatchJobs(self.kind.scheduler(), self.runner, files, clock, self.log)
            )
        jobs = BatchJobs(
            Slurm(), self.runner, files, clock, self.log, partial(signal_steps, self.runner, signal="TERM")
        )
        return ScheduledWorkloadManager(SrunSteps(children, self.runner, clock, self.log), jobs)

    def step(self, name: str, *argv: str, batch: Batch | None = None, srun: Sequence[str] = ()) -> Step:
        """Return a step in a directory of its own; started by `srun`, if options are given for it."""
        where = self.directory / name
        where.mkdir()
        launch = (*srun, f"--job-name={name}") if srun else ()
        out = str(where / name)
        ranks = "srun" if srun else ""
        return Step(name, argv, launch, {}, str(where), f"{out}.out", f"{out}.err", batch, ranks)

    def report(self, name: str, event: JobEvent) -> None:
        """Take a report."""
        with self.changed:
            self.reports.append((name, event))
            self.changed.notify_all()

    def of(self, name: str) -> list[JobEvent]:
        """Return what was reported of a step."""
        return [event for reported, event in self.reports if reported == name]

    def wait_for(self, name: str, kind: type[JobEvent], deadline: float = DEADLINE) -> JobEvent:
        """Wait until something is reported of a step."""
        with self.changed:
            came = self.changed.wait_for(lambda: any(isinstance(event, kind) for event in self.of(name)), deadline)
        assert came, f"{name}: no {kind.__name__} among {self.of(name)}; told: {self.logged}"
        return next(event for event in self.of(name) if isinstance(event, kind))

    def ended(self, name: str, deadline: float = DEADLINE) -> Ended:
        """Wait until a step ended."""
        event = self.wait_for(name, Ended, deadline)
        assert isinstance(event, Ended)
        return event

    def log(self, level: int, text: str) -> None:
        """Take what users are told."""
        self.logged.append((level, text))

    def told(self, least: int = logging.WARNING) -> str:
        """Return what users were told at some level, and above."""
        return "\n".join(text for level, text in self.logged if level >= least)

    def batch(self, name: str, can_start: bool = True, *directives: str, array: bool = False) -> Batch | None:
        """Return a job."""
        if self.kind.in_allocation:
            return None
        out = self.directory / name
        if not can_start:
            directives += (self.kind.queue.format("nosuch"),)
        return Batch(
            name, (self.kind.submit,), directives, (), f"{out}.sh", f"{out}.d", f"{out}.log", f"{out}.log", array=array
        )


@contextmanager
def real_site(kind: str, request: pytest.FixtureRequest, directory: Path) -> Iterator[RealSite]:
    """Have one of `REAL_KINDS`, with an allocation if that is what it is about."""
    real = REAL_KINDS[kind]
    cluster = request.getfixturevalue(real.cluster)
    site = RealSite(real, cluster, directory)
    if not real.in_allocation:
        before = cluster.jobs()
        yield site
        # A job whose members have all ended may stay in the queue for a moment.
        deadline = time.monotonic() + DEADLINE
        while cluster.jobs() - before and time.monotonic() < deadline:
            time.sleep(0.1)
        return
    granted = cluster.run("salloc", "--no-shell", "--nodes=2", "--time=10")
    job = granted.stderr.split()[-1]
    site.srun = ("srun", f"--jobid={job}", "--nodes=1", "--ntasks=1", "--overlap")
    try:
        yield site
    finally:
        cluster.cancel(job)
