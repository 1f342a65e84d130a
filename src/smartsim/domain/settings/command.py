"""From settings to the words of a command line. Nothing is ever joined, quoted or split again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smartsim.domain.settings.run import RunSettings


@dataclass(frozen=True)
class StepPlace:
    """Where a step runs, as far as its command line says so.

    Args:
        name: of the step.
        entity: the name of the model or shard.
        working_directory: absolute.
        stdout: the file that takes standard output; so `stderr`.
    """

    name: str
    entity: str
    working_directory: str
    stdout: str
    stderr: str


@dataclass(frozen=True)
class CommandLine:
    """A command line, and what must be written before it can be run.

    Args:
        launch: the run command and its options.
        argv: the application's own words, and those of further programs that run with it.
        files: content by absolute path.
    """

    launch: tuple[str, ...]
    argv: tuple[str, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)


def command_line(settings: RunSettings, place: StepPlace, wrapper: tuple[str, ...] = ()) -> CommandLine:
    """Return the command line of a step.

    The step's environment has to hold `settings.variables()`: what a launcher cannot be told in words, it takes there.

    Args:
        settings: of the application; with the variables that only the launch knows, such as addresses of databases.
        place: of the step.
        wrapper: the words that start the application in every rank, such as those of a colocated database.

    Raises:
        SSUnsupportedError: the container's class names no program.

    Example:
        >>> from smartsim.domain.settings.srun import SrunSettings
        >>> settings = SrunSettings("/bin/echo", ["two words", "$HOME"], env_vars={"A": 1})
        >>> settings.set_tasks(4)
        >>> line = command_line(settings, StepPlace("m-1", "m", "/exp/m", "/run/m.out", "/run/m.err"))
        >>> line.launch[-4:], line.argv
        (('m-1', '--export', 'ALL,A=1', '--ntasks=4'), ('/bin/echo', 'two words', '$HOME'))
    """
    return settings.command_line(place, wrapper)
