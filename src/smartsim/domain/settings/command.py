"""From settings to the words of a command line. Nothing is ever joined, quoted or split again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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


def application_words(
    settings: RunSettings, working_directory: str, singularity: str = "singularity"
) -> tuple[str, ...]:
    """Return the application's own command line: the container, the executable, its arguments.

    Args:
        settings: of the application.
        working_directory: where it runs; absolute.
        singularity: the program that runs Singularity images.

    Raises:
        SSUnsupportedError: the container's class names no program.

    Example:
        >>> application_words(RunSettings("/bin/echo", ["two words", "$HOME"]), "/exp/model")
        ('/bin/echo', 'two words', '$HOME')
    """
    container = settings.container.words(working_directory, singularity) if settings.container else []
    return (*container, *settings.exe, *settings.exe_args)


def launch_words(settings: RunSettings) -> tuple[str, ...]:
    """Return the words before the application's own: the run command and its options; none without a run command.

    Example:
        >>> launch_words(RunSettings("solver", run_command="my-launcher", run_args={"--cores": 4}))
        ('my-launcher', '--cores', '4')
    """
    return (settings.run_command, *settings.format_run_args()) if settings.run_command else ()
