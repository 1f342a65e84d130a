"""Steps of a Dragon runtime in batch jobs of the scheduler that the machine has."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from smartsim.adapters.wlm.dragon.manager import RANKS
from smartsim.domain.errors import LauncherError

if TYPE_CHECKING:
    from smartsim.domain.steps import Batch, Step
    from smartsim.ports.workload_manager import Report, WorkloadManager

_SCHEDULERS = {"sbatch": "slurm", "qsub": "pbs"}
_SCHEDULER = "scheduler"  # in a handle


class DragonJobs:
    """Runs steps with a batch in jobs, in each of which the steps share a Dragon runtime.

    Args:
        jobs: makes what runs jobs of a scheduler, by its name.
        member: the program that has a step run in the runtime of the job that it runs in, and ends as the step does.
    """

    def __init__(self, jobs: Callable[[str], WorkloadManager], member: Sequence[str]) -> None:
        self._make = jobs
        self._member = tuple(member)
        self._jobs: dict[str, WorkloadManager] = {}

    def submit(self, steps: Sequence[Step], report: Report) -> None:
        """Submit the job of steps, all of which have the same one."""
        batch = steps[0].batch
        if batch is None:
            raise LauncherError(f"{steps[0].name} has no job to run in")
        jobs = self._of(scheduler_of(batch))
        jobs.submit([in_runtime(step, self._member) for step in steps], report)

    def stop(self, names: Collection[str], grace: float) -> None:
        """Have steps end. A job that still waits is taken back."""
        for jobs in self._jobs.values():
            jobs.stop(names, grace)

    def attach(self, step: Step, handle: Mapping[str, object], report: Report) -> bool:
        """Follow a step whose job an earlier driver submitted."""
        scheduler = str(handle.get(_SCHEDULER))
        return scheduler in _SCHEDULERS.values() and self._of(scheduler).attach(step, handle, report)

    def handle(self, name: str) -> Mapping[str, object]:
        """Return the job of a step, and whose it is."""
        for scheduler, jobs in self._jobs.items():
            try:
                return {**jobs.handle(name), _SCHEDULER: scheduler}
            except LauncherError:
                continue
        raise LauncherError(f"No job has a step named {name!r}")

    def close(self) -> None:
        """Follow the jobs no longer. They go on."""
        for jobs in self._jobs.values():
            jobs.close()

    def _of(self, scheduler: str) -> WorkloadManager:
        if scheduler not in self._jobs:
            self._jobs[scheduler] = self._make(scheduler)
        return self._jobs[scheduler]


def scheduler_of(batch: Batch) -> str:
    """Return the name of the scheduler that a job is submitted to.

    Raises:
        LauncherError: Dragon has no nodes in its jobs.
    """
    program = posixpath.basename(batch.submit[0])
    if program not in _SCHEDULERS:
        raise LauncherError(
            f"Job {batch.name} is submitted with {program}: Dragon runs in jobs of {', '.join(_SCHEDULERS.values())}"
        )
    return _SCHEDULERS[program]


def in_runtime(step: Step, member: Sequence[str]) -> Step:
    """Return a step of a job as one that the script of the job runs.

    Args:
        step: the one; without ranks of Dragon it is returned as it is, but for its job.
        member: see `DragonJobs`.
    """
    batch = step.batch
    if batch is None:
        return step
    # A directory for each run of the script: elements of an array, and jobs that are started again, are on their own.
    directory = posixpath.join(shlex.quote(batch.directory), "dragon.XXXXXX")
    preamble = (*batch.preamble, f"export SMARTSIM_DRAGON_SERVER_PATH=$(mktemp -d {directory})")
    step = replace(step, batch=replace(batch, preamble=preamble))
    if step.ranks != RANKS:
        return step
    argv = (*member, step.name, step.stdout, step.stderr, *step.launch, "--", *step.argv)
    return replace(step, argv=argv, launch=(), ranks="")
