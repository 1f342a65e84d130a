"""Schedulers with jobs on this machine, each with what a test has to know to run steps in its jobs."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from clusters.lookalikes.cluster import Queue
from clusters.lookalikes.site import Site, lookalike
from smartsim.adapters.clock.system import SystemClock
from smartsim.adapters.filesystem.posix import PosixFileSystem
from smartsim.adapters.process.subprocess import SubprocessRunner
from smartsim.adapters.wlm.batch_jobs import BatchJobs
from smartsim.adapters.wlm.cobalt import Cobalt
from smartsim.adapters.wlm.flux import Flux
from smartsim.adapters.wlm.local import LocalWorkloadManager
from smartsim.adapters.wlm.lsf import Lsf
from smartsim.adapters.wlm.pbs import Pbs
from smartsim.adapters.wlm.scheduled import ScheduledWorkloadManager
from smartsim.adapters.wlm.scheduler import Scheduler
from smartsim.domain.lifecycle import Ended, JobEvent
from smartsim.domain.settings.batch import BatchSettings
from smartsim.domain.settings.batch_flux import FluxBatchSettings
from smartsim.domain.settings.bsub import BsubBatchSettings
from smartsim.domain.settings.cobalt import CobaltBatchSettings
from smartsim.domain.settings.qsub import QsubBatchSettings
from smartsim.domain.steps import Batch, Step

DEADLINE = 60.0
_NODES = {"node1": 4, "node2": 4}


@dataclass(frozen=True)
class Kind:
    """A scheduler that has a look-alike.

    Args:
        scheduler: makes what talks to it.
        settings: makes the batch settings of a job that wants some nodes, some seconds at most, and a queue, if any.
        arrays: whether it has job arrays.
        delete: its program that deletes a job.
        deleted_by: the signal that a job gets first when it is deleted.
        limited_by: the signal that a job gets first when it is over its time limit.
    """

    scheduler: Callable[[], Scheduler]
    settings: Callable[[int, int, str], BatchSettings]
    arrays: bool = True
    delete: tuple[str, ...] = ("qdel",)
    deleted_by: signal.Signals = signal.SIGTERM
    limited_by: signal.Signals = signal.SIGTERM


KINDS: Mapping[str, Kind] = {
    "pbs": Kind(
        Pbs,
        lambda nodes, limit, queue: QsubBatchSettings(
            ncpus=4, time=str(limit), queue=queue, resources={"select": nodes, "filesystems": "home,scratch"}
        ),
    ),
    "cobalt": Kind(
        Cobalt, lambda nodes, limit, queue: CobaltBatchSettings(nodes, time=str(limit), queue=queue), arrays=False
    ),
    "lsf": Kind(
        Lsf,
        lambda nodes, limit, queue: BsubBatchSettings(time=str(limit), queue=queue, batch_args={"n": 4 * nodes}),
        delete=("bkill",),
        deleted_by=signal.SIGINT,
        limited_by=signal.SIGUSR2,
    ),
    "coral": Kind(
        Lsf,
        lambda nodes, limit, queue: BsubBatchSettings(nodes, str(limit), "P1", queue=queue, smts=4),
        delete=("bkill",),
        deleted_by=signal.SIGINT,
        limited_by=signal.SIGUSR2,
    ),
    "flux": Kind(
        Flux,
        lambda nodes, limit, queue: FluxBatchSettings(nodes, str(limit), queue=queue),
        arrays=False,
        delete=("flux", "cancel"),
        limited_by=signal.SIGALRM,
    ),
}
"""By the name of the look-alike. A minute of a time limit lasts a second on all of them."""


@dataclass
class JobSite:
    """A scheduler on which steps run in jobs, and what was reported of them."""

    kind: Kind
    site: Site
    directory: Path
    logged: list[str] = field(default_factory=list)
    reports: list[tuple[str, JobEvent]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    managers: list[ScheduledWorkloadManager] = field(default_factory=list)

    def manager(self) -> ScheduledWorkloadManager:
        """Return another manager, as another driver would have it."""
        jobs = BatchJobs(
            self.kind.scheduler(),
            SubprocessRunner(),
            PosixFileSystem(),
            SystemClock(),
            lambda _, text: self.logged.append(text),
        )
        self.managers.append(ScheduledWorkloadManager(LocalWorkloadManager(), jobs))
        return self.managers[-1]

    def batch(
        self, name: str = "job", *, nodes: int = 1, limit: int = 3600, queue: str = "", array: bool = False
    ) -> Batch:
        """Return a job."""
        settings = self.kind.settings(nodes, limit, queue)
        out = self.directory / name
        return Batch(
            name=name,
            submit=(settings.batch_cmd,),
            directives=settings.directives(),
            preamble=("export PREAMBLE='was here'",),
            script=f"{out}.sh",
            directory=f"{out}.d",
            stdout=f"{out}.out",
            stderr=f"{out}.err",
            array=array,
        )

    def step(self, name: str, *argv: str, batch: Batch | None = None, environment: Mapping[str, str] = {}) -> Step:
        """Return a step in a directory of its own."""
        where = self.directory / name
        where.mkdir()
        out = str(where / name)
        return Step(name, argv, (), environment, str(where), f"{out}.out", f"{out}.err", batch or self.batch())

    def report(self, name: str, event: JobEvent) -> None:
        """Take a report."""
        with self.changed:
            self.reports.append((name, event))
            self.changed.notify_all()

    def of(self, name: str) -> list[JobEvent]:
        """Return what was reported of a step."""
        return [event for reported, event in self.reports if reported == name]

    def wait_for(self, name: str, kind: type[JobEvent]) -> JobEvent:
        """Wait until something is reported of a step."""
        with self.changed:
            came = self.changed.wait_for(lambda: any(isinstance(event, kind) for event in self.of(name)), DEADLINE)
        assert came, f"{name}: no {kind.__name__} among {self.reports}; told: {self.logged}; {self.site.jobs()}"
        return next(event for event in self.of(name) if isinstance(event, kind))

    def ended(self, name: str) -> Ended:
        """Wait until a step ended."""
        event = self.wait_for(name, Ended)
        assert isinstance(event, Ended)
        return event


@contextmanager
def job_site(name: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobSite]:
    """Run a scheduler, the programs of which come first on the PATH."""
    queues = {"standard": Queue(), "tiny": Queue(limit=10.0)}
    with lookalike(name, directory / "cluster", _NODES, queues=queues, minute=1.0) as site:
        monkeypatch.setenv("PATH", f"{site.bin}:{os.environ['PATH']}")
        jobs = JobSite(KINDS[name], site, directory)
        try:
            yield jobs
        finally:
            for manager in jobs.managers:
                manager.close()
