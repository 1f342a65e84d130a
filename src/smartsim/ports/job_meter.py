"""What jobs of a scheduler use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from smartsim.domain.steps import Step
from smartsim.ports.process_meter import ProcessUsage


@dataclass(frozen=True)
class RunningStep:
    """A step that runs, and how to find it.

    Args:
        step: as it was submitted.
        handle: what `WorkloadManager.handle` returns for it.
    """

    step: Step
    handle: Mapping[str, object]


class JobMeter(Protocol):
    """Asks what runs a step what it uses, on whichever nodes that is."""

    def covers(self, step: Step) -> bool:
        """Return whether it may tell of a step, once that runs."""
        ...

    def is_ready(self) -> bool:
        """Return whether it may be asked already: after each answer it rests, since others want something, too."""
        ...

    def measure(self, running: Sequence[RunningStep]) -> Mapping[str, ProcessUsage]:
        """Return what steps use, all at once.

        It may take seconds, and does not raise: that nobody tells is said once.

        Args:
            running: the steps.

        Returns:
            The usage by the name of the step; nothing for those that it is not told of, or not yet.
        """
        ...
