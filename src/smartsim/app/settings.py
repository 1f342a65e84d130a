"""Run settings as users make them: programs are looked up on this machine, and warnings are logged."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from smartsim.adapters.filesystem.posix import PosixFileSystem
from smartsim.adapters.process.subprocess import SubprocessRunner
from smartsim.app.launchers import detect_launcher
from smartsim.app.logs import get_logger
from smartsim.domain.errors import SSUnsupportedError
from smartsim.domain.launchers import LAUNCHERS
from smartsim.domain.settings import run, values
from smartsim.domain.settings.base import SettingsBase
from smartsim.domain.settings.container import Container
from smartsim.ports.file_system import FileReader, Kind
from smartsim.ports.process_runner import ProcessRunner

_CONTAINER_PROGRAMS = ("singularity", "apptainer")


class LoggedSettings(SettingsBase):
    """Settings whose warnings are logged."""

    def _warn(self, message: str) -> None:
        get_logger(__name__).warning(message)

    def _inform(self, message: str) -> None:
        get_logger(__name__).info(message)


class RunSettings(LoggedSettings, run.RunSettings):
    """An executable with its arguments and environment, and the command that starts it.

    Args:
        exe: the program: a name in the search path, or a path. Inside a container it is left as it is.
        exe_args: its arguments: a list is handed over word by word as it is, a string is split at blanks.
        run_command: the program that starts it, or empty to start it directly.
        run_args: options of the run command, as they are to stand in the command line.
        env_vars: variables laid over the environment of the driver; None stands for one without a value.
        container: what to run it in.
        processes: finds programs; on this machine by default.
        files: looks at files; on this machine by default.
        **ignored: options of other launchers' settings; they have no effect, and a warning says so.

    Raises:
        FileNotFoundError: there is no such program.
        TypeError: it cannot be executed, or an argument has another type.
        ValueError: a word or variable cannot be handed to a program.

    Example:
        >>> settings = RunSettings("echo", ["two words", "$HOME"], env_vars={"OMP_NUM_THREADS": 4})
        >>> settings.exe_args
        ['two words', '$HOME']
    """

    def __init__(
        self,
        exe: str,
        exe_args: str | list[str] | None = None,
        run_command: str | None = "",
        run_args: Mapping[str, values.Option] | None = None,
        env_vars: Mapping[str, str | float | None] | None = None,
        container: Container | None = None,
        *,
        processes: ProcessRunner | None = None,
        files: FileReader | None = None,
        **ignored: Any,
    ) -> None:
        runner = SubprocessRunner() if processes is None else processes
        super().__init__(
            exe if container else _executable(exe, runner, PosixFileSystem() if files is None else files),
            exe_args,
            found(run_command, runner) if run_command else run_command,
            run_args,
            env_vars,
            container,
        )
        if container:
            self.container_program = self._container_program(runner)
        if ignored:
            self._warn(f"{type(self).__name__} does not know the arguments {', '.join(ignored)}: they have no effect")

    def _container_program(self, runner: ProcessRunner) -> str:
        for program in _CONTAINER_PROGRAMS:
            path = runner.find(program)
            if path is not None:
                return path
        self._warn(
            f"Unable to find {' or '.join(_CONTAINER_PROGRAMS)} on this machine: {self.exe[0]} can only run where "
            f"{_CONTAINER_PROGRAMS[0]} is in PATH"
        )
        return _CONTAINER_PROGRAMS[0]


def known_launcher(launcher: str, processes: ProcessRunner | None) -> str:
    """Return a launcher's name in lower case, "auto" resolved.

    Raises:
        SSUnsupportedError: there is no such launcher.
    """
    name = values.text("launcher", launcher).lower()
    if name == "auto":
        return detect_launcher(processes=processes)
    if name not in LAUNCHERS:
        raise SSUnsupportedError(f"Launcher type not supported: {launcher}. Choose among {', '.join(LAUNCHERS)}, auto")
    return name


def _executable(exe: str, runner: ProcessRunner, files: FileReader) -> str:
    """Return the absolute path of a program."""
    path = runner.find(values.text("exe", exe))
    if path is not None:
        return path
    entry = files.inspect(os.path.abspath(exe))
    if entry is not None and entry.kind is Kind.FILE:
        raise TypeError(f"File, {exe}, is not an executable: allow it with chmod +x, or run it with its interpreter")
    raise FileNotFoundError(
        f"Could not locate executable {exe}: install it, load the module that puts it into PATH, or give its full path"
    )


def found(program: str, runner: ProcessRunner) -> str:
    """Return the absolute path of a program, or its name when it is not there: it may be where the job runs."""
    return runner.find(values.text("a command", program)) or program
