"""Other programs: where they are, and what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Completed:
    """A program that ran to its end.

    Args:
        returncode: its exit code; the negative signal number when a signal ended it.
        stdout: what it wrote to standard output, decoded as UTF-8 with replacement.
        stderr: what it wrote to standard error, likewise.
    """

    returncode: int
    stdout: str
    stderr: str


class ProcessRunner(Protocol):
    """Finds programs and runs short ones; what an experiment launches goes through a workload manager instead."""

    def find(self, program: str) -> str | None:
        """Return the absolute path of an executable, or None.

        Args:
            program: a name to look up in the search path, or a path (relative to the working directory).
        """
        ...

    def run(self, argv: Sequence[str], timeout: float) -> Completed:
        """Run a program to its end, without standard input.

        Args:
            argv: the program and its arguments, handed over as they are.
            timeout: seconds after which the program is killed.

        Raises:
            ShellError: it cannot be started, or did not end in time.
        """
        ...
