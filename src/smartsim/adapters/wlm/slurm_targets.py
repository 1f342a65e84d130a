"""What steps are for ``sstat``, which knows numbers alone: those of jobs, even for elements of arrays, and of steps.

``squeue`` tells them. They stay what they are as long as a step runs, so that it is asked for new steps only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from smartsim.adapters.wlm import srun
from smartsim.adapters.wlm.inquiry import TIMEOUT
from smartsim.adapters.wlm.job_meter import OwnJobs, Target
from smartsim.domain.errors import LauncherError

if TYPE_CHECKING:
    from smartsim.domain.steps import Step
    from smartsim.ports.job_meter import RunningStep
    from smartsim.ports.process_runner import ProcessRunner


class SlurmTargets:
    """Jobs and elements that steps have to themselves, and steps of ``srun``, in jobs and in allocations."""

    def __init__(self) -> None:
        self._own = OwnJobs()
        self._known: dict[str, Target] = {}

    def covers(self, step: Step) -> bool:
        """Return whether a step runs in a job, or by ``srun``."""
        return self._own.covers(step) or step.ranks == srun.RANKS

    def find(self, running: Sequence[RunningStep], runner: ProcessRunner) -> Mapping[str, Target]:
        """Return what steps are; those of ``srun`` that Slurm does not show (yet) are missing."""
        own = self._own.find(running, runner)
        found = {name: target for name, target in own.items() if target.id == target.asked_as}
        elements = {name: target for name, target in own.items() if name not in found}
        names = {one.step.name for one in running if one.step.name not in own and one.step.ranks == srun.RANKS}
        self._known = {name: target for name, target in self._known.items() if name in elements or name in names}
        new = {name: target for name, target in elements.items() if name not in self._known}
        if new:
            numbers = _element_numbers(runner, sorted({target.asked_as for target in new.values()}))
            self._known |= {
                name: Target(numbers[target.id], target.asked_as)
                for name, target in new.items()
                if target.id in numbers
            }
        if names - self._known.keys():
            ids = srun.step_ids(runner)
            self._known |= {name: Target(ids[name][-1], ids[name][-1]) for name in names if name in ids}
        return found | self._known


def _element_numbers(runner: ProcessRunner, arrays: Collection[str]) -> dict[str, str]:
    """Return the number of each element of arrays, such as 124 for ``123_0``.

    Raises:
        LauncherError: Slurm does not answer.
    """
    answer = runner.run(("squeue", "--noheader", "--array", "--format=%i|%A", f"--jobs={','.join(arrays)}"), TIMEOUT)
    if answer.returncode:
        raise LauncherError(f"squeue failed: {answer.stderr.strip()}")
    return dict(line.split("|", 1) for line in answer.stdout.splitlines() if "|" in line)
