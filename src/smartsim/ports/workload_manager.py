"""Where steps run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol, TypeAlias

from smartsim.domain.lifecycle import JobEvent
from smartsim.domain.steps import Step

Report: TypeAlias = Callable[[str, JobEvent], None]
"""How a workload manager says what became of a step: the step's name and the event. May be called from any thread, and
before `submit` returns; never twice for the same fact. It returns quickly and does not raise."""


class WorkloadManager(Protocol):
    """Starts steps, reports what becomes of them, stops them.

    `report` is told, for every step that was submitted: `Started`, or `Queued` and then `Started`, or `Refused`; and
    later exactly one `Ended` unless it was refused.
    """

    def submit(self, steps: Sequence[Step], report: Report) -> None:
        """Start steps, in order.

        The first step that cannot be started is reported as `Refused`, and those after it are not tried: the caller
        decides what becomes of those already started.

        Args:
            steps: what to start; names are unique for this workload manager.
            report: who wants to know.
        """
        ...

    def stop(self, names: Collection[str], grace: float) -> None:
        """Ask steps to end: politely first, with force after a grace period. Returns at once.

        What becomes of them is told through `report`. Names that are not running are ignored.

        Args:
            names: the steps' names.
            grace: seconds between asking and forcing.
        """
        ...

    def attach(self, step: Step, handle: Mapping[str, object], report: Report) -> bool:
        """Take over a step that an earlier driver started.

        Args:
            step: as it was submitted then.
            handle: what `handle` returned for it then.
            report: who wants to know from now on.

        Returns:
            False when the step does not run any more, or something else runs in its place.
        """
        ...

    def handle(self, name: str) -> Mapping[str, object]:
        """Return what another driver needs to `attach` to a running step, as JSON values.

        Raises:
            LauncherError: no step of that name is running.
        """
        ...

    def close(self) -> None:
        """Give up threads and handles. Steps that run go on running, and are not reported any more."""
        ...
