"""A launcher on a scheduler: steps of the driver's own allocation, and steps in jobs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from smartsim.domain.errors import LauncherError
from smartsim.domain.lifecycle import JobEvent, Refused
from smartsim.domain.steps import together

if TYPE_CHECKING:
    from smartsim.domain.steps import Step
    from smartsim.ports.workload_manager import Report, WorkloadManager


class ScheduledWorkloadManager:
    """Runs steps without a batch as children of the driver, and the others in jobs of a scheduler.

    Args:
        children: runs those without.
        jobs: runs those with one.
    """

    def __init__(self, children: WorkloadManager, jobs: WorkloadManager) -> None:
        self._children = children
        self._jobs = jobs

    def submit(self, steps: Sequence[Step], report: Report) -> None:
        """Start steps, in order, until one cannot be started. The steps of one job start with the first of them."""
        refused = False

        def watch(name: str, event: JobEvent) -> None:
            nonlocal refused
            refused = refused or isinstance(event, Refused)
            report(name, event)

        for group in together(steps):
            manager = self._children if group[0].batch is None else self._jobs
            manager.submit(group, watch)
            if refused:
                return

    def stop(self, names: Collection[str], grace: float) -> None:
        """Have steps end, wherever they run."""
        self._children.stop(names, grace)
        self._jobs.stop(names, grace)

    def attach(self, step: Step, handle: Mapping[str, object], report: Report) -> bool:
        """Take over a step that an earlier driver started."""
        manager = self._jobs if "job" in handle else self._children
        return manager.attach(step, handle, report)

    def handle(self, name: str) -> Mapping[str, object]:
        """Return what another driver needs to take a step over."""
        try:
            return self._jobs.handle(name)
        except LauncherError:
            return self._children.handle(name)

    def close(self) -> None:
        """Follow the steps no longer. They go on."""
        self._jobs.close()
        self._children.close()
