"""Run settings of particular launchers, as users make them: what they need of this machine is looked up here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from smartsim.adapters.process.subprocess import SubprocessRunner
from smartsim.app.settings import RunSettings
from smartsim.domain.errors import LauncherError, ShellError, SSUnsupportedError
from smartsim.domain.settings import aprun, dragon, flux, jsrun, mpi, pals, ranks, srun, values
from smartsim.domain.settings.container import Container
from smartsim.ports.file_system import FileReader
from smartsim.ports.process_runner import ProcessRunner

_PATIENCE = 10.0  # seconds for a program to say who it is


class RankSettings(RunSettings, ranks.RankSettings):
    """What the settings of all launchers have in common.

    Args:
        exe: the program: a name in the search path, or a path. Inside a container it is left as it is.
        exe_args: its arguments: a list is handed over word by word as it is, a string is split at blanks.
        run_args: options of the run command, without their dashes; None for one without a value.
        env_vars: variables laid over the environment of the driver; None stands for one without a value.
        container: what to run it in.
        run_command: the program that starts the ranks, by its path; by default the one in the search path.
        processes: finds and runs programs; on this machine by default.
        files: looks at files; on this machine by default.
        **ignored: options of other launchers' settings; they have no effect, and a warning says so.

    Raises:
        FileNotFoundError: there is no such program.
        TypeError: it cannot be executed, or an argument has another type.
        ValueError: a word or variable cannot be handed to a program.
    """

    def __init__(
        self,
        exe: str,
        exe_args: str | list[str] | None = None,
        run_args: Mapping[str, values.Option] | None = None,
        env_vars: Mapping[str, str | float | None] | None = None,
        *,
        container: Container | None = None,
        run_command: str | None = None,
        processes: ProcessRunner | None = None,
        files: FileReader | None = None,
        **ignored: Any,
    ) -> None:
        super().__init__(
            exe,
            exe_args,
            run_command or self.program,
            run_args,
            env_vars,
            container,
            processes=processes,
            files=files,
            **ignored,
        )


class SrunSettings(RankSettings, srun.SrunSettings):
    """An executable that srun starts as a step of an allocation of Slurm.

    Args:
        exe: the program: a name in the search path, or a path. Inside a container it is left as it is.
        exe_args: its arguments: a list is handed over word by word as it is, a string is split at blanks.
        run_args: options of the run command, without their dashes; None for one without a value.
        env_vars: variables laid over the environment of the driver; None stands for that of the driver.
        alloc: the allocation to run in, as `smartsim.wlm.slurm.get_allocation` returns it; that of the driver by
            default.
        **kwargs: ``container``: what to run it in. ``run_command``: the path of the run command, by default the one in
            the search path. ``processes`` and ``files``: see `RunSettings`.

    Raises:
        FileNotFoundError: there is no such program.
        TypeError: it cannot be executed, or an argument has another type.
        ValueError: a word or variable cannot be handed to a program.

    Example:
        >>> settings = SrunSettings("echo", "hello", {"exclusive": None})
        >>> settings.set_tasks(4)
        >>> settings.set_time(hours=36)
        >>> settings.format_run_args()
        ['--exclusive', '--ntasks=4', '--time=36:00:00']
    """

    def __init__(
        self,
        exe: str,
        exe_args: str | list[str] | None = None,
        run_args: Mapping[str, values.Option] | None = None,
        env_vars: Mapping[str, str | float | None] | None = None,
        alloc: str | int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(exe, exe_args, run_args, env_vars, **kwargs)
        if isinstance(alloc, bool) or not isinstance(alloc, str | int | None):
            raise TypeError(f"alloc must be the number of an allocation, as text or int, not {alloc!r}")
        self.alloc = None if alloc is None else str(alloc)

    def _inherited(self) -> Mapping[str, str]:
        return os.environ


class AprunSettings(RankSettings, aprun.AprunSettings):
    """An executable that aprun starts in a reservation of Cray's ALPS; see `SrunSettings` for the arguments."""


class JsrunSettings(RankSettings, jsrun.JsrunSettings):
    """An executable that jsrun starts on resource sets; see `SrunSettings` for the arguments.

    Example:
        >>> settings = JsrunSettings("echo", "hello")
        >>> settings.set_num_rs(4)
        >>> settings.set_gpus_per_rs(1)
        >>> settings.format_run_args()
        ['--nrs=4', '--gpu_per_rs=1']
    """


class FluxRunSettings(RankSettings, flux.FluxRunSettings):
    """An executable that ``flux run`` starts in an instance of Flux; see `SrunSettings` for the arguments.

    Example:
        >>> settings = FluxRunSettings("echo", "hello")
        >>> settings.set_gpus_per_task(1)
        >>> settings.format_run_args()
        ['--gpus-per-task=1']
    """


class DragonRunSettings(RankSettings, dragon.DragonRunSettings):
    """An executable that a server of Dragon starts, on nodes of an allocation or on this machine.

    Args:
        exe: see `SrunSettings`; so for the others.
        exe_args: see `SrunSettings`.
        env_vars: see `SrunSettings`.
        **kwargs: see `SrunSettings`.

    Raises:
        FileNotFoundError, TypeError, ValueError: see `SrunSettings`.
    """

    def __init__(
        self,
        exe: str,
        exe_args: str | list[str] | None = None,
        env_vars: Mapping[str, str | float | None] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(exe, exe_args, None, env_vars, **kwargs)


class _MpiCommandSettings(RankSettings, mpi.MpiCommandSettings):
    """What the settings of all programs of MPI have in common.

    Args:
        exe: see `SrunSettings`; so for the others.
        exe_args: see `SrunSettings`.
        run_args: see `SrunSettings`.
        env_vars: see `SrunSettings`.
        fail_if_missing_exec: whether it is an error if the run command is not on this machine; otherwise a warning.
        processes: see `SrunSettings`.
        **kwargs: see `SrunSettings`.

    Raises:
        LauncherError: the run command is not on this machine.
        SSUnsupportedError: it is a program that only looks like one of MPI.
        FileNotFoundError, TypeError, ValueError: see `SrunSettings`.
    """

    def __init__(
        self,
        exe: str,
        exe_args: str | list[str] | None = None,
        run_args: Mapping[str, values.Option] | None = None,
        env_vars: Mapping[str, str | float | None] | None = None,
        fail_if_missing_exec: bool = True,
        *,
        processes: ProcessRunner | None = None,
        **kwargs: Any,
    ) -> None:
        runner = SubprocessRunner() if processes is None else processes
        super().__init__(exe, exe_args, run_args, env_vars, processes=runner, **kwargs)
        command = self.run_command or self.program
        if runner.find(command) is None:
            message = f"Cannot find {command}. Try passing the full path via run_command."
            if fail_if_missing_exec:
                raise LauncherError(message)
            self._warn(message)
        else:
            self._examine(command, runner)

    def _examine(self, command: str, runner: ProcessRunner) -> None:
        """See which program it is."""


class _MpiSettings(_MpiCommandSettings, mpi.MpiSettings):
    def _examine(self, command: str, runner: ProcessRunner) -> None:
        self.flavour = flavour_of(command, runner) or mpi.MpiFlavour.OPEN_MPI


class MpirunSettings(_MpiSettings, mpi.MpirunSettings):
    """An executable that mpirun starts, be it of Open MPI, MPICH or Intel MPI; see `MpiexecSettings`."""


class MpiexecSettings(_MpiSettings, mpi.MpiexecSettings):
    """An executable that mpiexec starts, be it of Open MPI, MPICH or Intel MPI.

    Options have the names of Open MPI; what another program calls differently, it is told in its own words.

    Args:
        exe: see `SrunSettings`; so for the others.
        exe_args: see `SrunSettings`.
        run_args: see `SrunSettings`.
        env_vars: see `SrunSettings`.
        fail_if_missing_exec: whether it is an error if the run command is not on this machine; otherwise a warning.
        **kwargs: see `SrunSettings`.

    Raises:
        LauncherError: the run command is not on this machine.
        SSUnsupportedError: it is that of Slurm, which starts ranks by srun.
        FileNotFoundError, TypeError, ValueError: see `SrunSettings`.

    Example:
        >>> settings = MpiexecSettings("echo", "hello", fail_if_missing_exec=False)
        >>> settings.set_tasks(4)
        >>> settings.run_args
        {'n': 4}
    """

    def _examine(self, command: str, runner: ProcessRunner) -> None:
        if "mpiexec.slurm" in _said(command, "--help", runner):
            raise SSUnsupportedError(
                f"Slurm's wrapper for mpiexec is unsupported ({command}). Use SrunSettings or MpirunSettings instead"
            )
        super()._examine(command, runner)


class OrterunSettings(_MpiSettings, mpi.OrterunSettings):
    """An executable that orterun, of Open MPI, starts; see `MpiexecSettings`."""


class PalsMpiexecSettings(_MpiCommandSettings, pals.PalsMpiexecSettings):
    """An executable that the mpiexec of PALS starts; see `MpiexecSettings` for the arguments."""


def flavour_of(command: str, runner: ProcessRunner) -> mpi.MpiFlavour | None:
    """Return whose program it is that starts ranks of MPI, as its ``--version`` tells; None when that does not."""
    return mpi.mpi_flavour(_said(command, "--version", runner))


def _said(command: str, question: str, runner: ProcessRunner) -> str:
    """Return what a program says of itself; nothing if it does not answer."""
    try:
        answer = runner.run([command, question], _PATIENCE)
    except ShellError:
        return ""
    return f"{answer.stdout}\n{answer.stderr}"
