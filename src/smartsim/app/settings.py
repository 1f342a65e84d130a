"""Settings as users make them: programs are looked up on this machine, and warnings are logged."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from smartsim.adapters.filesystem.posix import PosixFileSystem
from smartsim.adapters.process.subprocess import SubprocessRunner
from smartsim.app.bootstrap import LAUNCHERS
from smartsim.app.launchers import detect_launcher
from smartsim.app.logs import get_logger
from smartsim.domain.errors import SmartSimError, SSUnsupportedError
from smartsim.domain.settings import batch, run, values
from smartsim.domain.settings.base import SettingsBase
from smartsim.domain.settings.container import Container
from smartsim.ports.file_system import FileReader, Kind
from smartsim.ports.process_runner import ProcessRunner

_LATER_RUN_COMMANDS = ("srun", "mpirun", "mpiexec", "orterun", "aprun", "jsrun")


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
            _found(run_command, runner) if run_command else run_command,
            run_args,
            env_vars,
            container,
        )
        if ignored:
            self._warn(f"{type(self).__name__} does not know the arguments {', '.join(ignored)}: they have no effect")


class BatchSettings(LoggedSettings, batch.BatchSettings):
    """A batch job: how it is submitted, with which options, and what its script does first.

    Args:
        batch_cmd: the program that submits: a name in the search path, or a path.
        batch_args: its options, as they stand in the script.
        processes: finds programs; on this machine by default.
        **kwargs: ``nodes``, ``queue``, ``time`` (walltime) and ``account``.
    """

    def __init__(
        self,
        batch_cmd: str,
        batch_args: Mapping[str, values.Option] | None = None,
        *,
        processes: ProcessRunner | None = None,
        **kwargs: Any,
    ) -> None:
        self._processes = SubprocessRunner() if processes is None else processes
        super().__init__(batch_cmd, batch_args, **kwargs)

    def set_batch_command(self, command: str) -> None:
        """Set the program that submits: a name in the search path, or a path.

        Raises:
            TypeError: it is no string.
        """
        super().set_batch_command(_found(command, self._processes))


def create_run_settings(
    launcher: str,
    exe: str,
    exe_args: str | list[str] | None = None,
    run_command: str | None = "auto",
    run_args: Mapping[str, values.Option] | None = None,
    env_vars: Mapping[str, str | float | None] | None = None,
    container: Container | None = None,
    *,
    processes: ProcessRunner | None = None,
    **kwargs: Any,
) -> RunSettings:
    """Return run settings for a launcher.

    Args:
        launcher: its name, or "auto" for what this machine has.
        exe: see `RunSettings`; so for the others.
        exe_args: see `RunSettings`.
        run_command: "auto" takes the launcher's own, which the local one does not have. A program of your own is
            started with `run_args` as they are.
        run_args: see `RunSettings`.
        env_vars: see `RunSettings`.
        container: see `RunSettings`.
        processes: see `RunSettings`.
        **kwargs: see `RunSettings`.

    Raises:
        SSUnsupportedError: this version has no settings for the launcher, or for the run command.
        FileNotFoundError, TypeError, ValueError: see `RunSettings`.
    """
    launcher = _known(launcher, processes)
    command = "" if run_command is None else values.text("run_command", run_command)
    if command.lower() == "auto":
        if launcher != "local":
            raise SSUnsupportedError(
                f"This version has no run settings for the launcher {launcher}: use launcher='local', or name a "
                "run_command of your own"
            )
        command = ""
    if command.lower() in _LATER_RUN_COMMANDS:
        raise SSUnsupportedError(
            f"This version has no settings for the run command {command}: leave run_command out, or run a script that "
            f"calls {command}"
        )
    return RunSettings(exe, exe_args, command, run_args, env_vars, container, processes=processes, **kwargs)


def create_batch_settings(
    launcher: str,
    nodes: int | None = None,  # noqa: ARG001 - no launcher of this version has batch jobs; so for those below
    time: str = "",  # noqa: ARG001
    queue: str | None = None,  # noqa: ARG001
    account: str | None = None,  # noqa: ARG001
    batch_args: Mapping[str, values.Option] | None = None,  # noqa: ARG001
    *,
    processes: ProcessRunner | None = None,
    **kwargs: Any,  # noqa: ARG001
) -> BatchSettings:
    """Return batch settings for a launcher.

    Args:
        launcher: its name, or "auto" for what this machine has.
        nodes: how many nodes.
        time: walltime.
        queue: queue or partition.
        account: account to charge.
        batch_args: further options of the batch job.
        processes: runs programs to find out which launcher there is; on this machine by default.
        **kwargs: for settings of particular launchers.

    Raises:
        SmartSimError: the launcher has no batch jobs.
        SSUnsupportedError: this version has no batch settings for it.
    """
    launcher = _known(launcher, processes)
    if launcher == "local":
        raise SmartSimError(
            "Local launcher does not support batch workloads: leave batch settings out, or use a scheduler"
        )
    raise SSUnsupportedError(f"This version has no batch settings for the launcher {launcher}")


def _known(launcher: str, processes: ProcessRunner | None) -> str:
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


def _found(program: str, runner: ProcessRunner) -> str:
    """Return the absolute path of a program, or its name when it is not there: it may be where the job runs."""
    return runner.find(values.text("a command", program)) or program
