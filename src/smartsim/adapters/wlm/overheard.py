"""Answers of a scheduler to one part of a driver that tell another one what it would ask."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smartsim.adapters.wlm.scheduler import Command
    from smartsim.ports.clock import Clock
    from smartsim.ports.process_runner import Completed, ProcessRunner

_FRESH = 60.0  # seconds that an answer counts


class Overheard:
    """Runs commands, and remembers the last answer to those of one kind. Safe in several threads.

    Args:
        runner: runs the commands.
        clock: tells the time.
        kind: the first words of these commands.
    """

    def __init__(self, runner: ProcessRunner, clock: Clock, kind: Command) -> None:
        self._runner = runner
        self._clock = clock
        self._kind = kind
        self._heard: tuple[float, Completed | None] = (-math.inf, None)

    def find(self, program: str) -> str | None:
        """Return the path of a program."""
        return self._runner.find(program)

    def run(self, argv: Sequence[str], timeout: float) -> Completed:
        """Run a program."""
        answer = self._runner.run(argv, timeout)
        if tuple(argv[: len(self._kind)]) == self._kind:
            self._heard = (self._clock.monotonic(), answer)
        return answer

    def recent(self) -> Completed | None:
        """Return the last answer; None if that was long ago."""
        at, answer = self._heard
        return answer if self._clock.monotonic() < at + _FRESH else None


class Listener:
    """Runs commands of that kind only when nothing of it was overheard lately, whichever jobs they name.

    Args:
        overheard: what was.
    """

    def __init__(self, overheard: Overheard) -> None:
        self._overheard = overheard

    def find(self, program: str) -> str | None:
        """Return the path of a program."""
        return self._overheard.find(program)

    def run(self, argv: Sequence[str], timeout: float) -> Completed:
        """Return what a command answers, or has just answered."""
        return self._overheard.recent() or self._overheard.run(argv, timeout)
