"""What a workload manager starts: one step per model, ensemble member and shard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One thing to start, as plain data.

    Args:
        name: unique within the workload manager; `names.step_name` makes it.
        argv: the program and its arguments, containers included, exactly as they are to arrive.
        launch: words that come before `argv`: the run command and its options, as the settings render them.
        environment: variables laid over those of the driver.
        working_directory: absolute.
        stdout: the file that takes standard output; so `stderr`.
    """

    name: str
    argv: tuple[str, ...]
    launch: tuple[str, ...]
    environment: Mapping[str, str]
    working_directory: str
    stdout: str
    stderr: str

    @property
    def command(self) -> tuple[str, ...]:
        """The whole command line."""
        return self.launch + self.argv
