"""Run settings for a launcher given by name."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from smartsim.adapters.process.subprocess import SubprocessRunner
from smartsim.app import rank_settings
from smartsim.app.logs import get_logger
from smartsim.app.settings import RunSettings, known_launcher
from smartsim.domain.errors import SmartSimError
from smartsim.domain.settings import values
from smartsim.domain.settings.container import Container
from smartsim.ports.process_runner import ProcessRunner

_CLASSES: Mapping[str, type[rank_settings.RankSettings]] = {
    "srun": rank_settings.SrunSettings,
    "mpirun": rank_settings.MpirunSettings,
    "mpiexec": rank_settings.MpiexecSettings,
    "orterun": rank_settings.OrterunSettings,
    "aprun": rank_settings.AprunSettings,
    "jsrun": rank_settings.JsrunSettings,
    "flux": rank_settings.FluxRunSettings,
}
_SEARCH: Mapping[str, tuple[str, ...]] = {
    "slurm": ("srun", "mpirun", "mpiexec"),
    "pbs": ("aprun", "mpirun", "mpiexec"),
    "pals": ("mpiexec",),
    "lsf": ("jsrun", "mpirun", "mpiexec"),
    "sge": ("mpirun", "mpiexec"),
    "cobalt": ("aprun", "mpirun", "mpiexec"),
    "flux": ("flux", "mpirun", "mpiexec"),
}
"""The run commands that "auto" looks for, in this order; launchers without any start programs directly."""


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
        run_command: what starts ranks: "srun", "mpirun", "mpiexec", "orterun", "aprun", "jsrun" or "flux"; "auto" takes
            the first of the launcher's own that is there, and none for the local one. One of these by its path
            (``/opt/mpi/bin/mpirun``) is that very program. A program of your own is started with `run_args` as they
            are. The launcher dragon starts programs itself, whatever is given here.
        run_args: options of the run command.
        env_vars: see `RunSettings`.
        container: see `RunSettings`.
        processes: see `RunSettings`.
        **kwargs: for settings of particular launchers, such as `alloc` for those of srun.

    Raises:
        SmartSimError: this machine has none of the launcher's run commands.
        SSUnsupportedError: there is no such launcher.
        LauncherError: a run command of MPI that was asked for is not there.
        FileNotFoundError, TypeError, ValueError: see `RunSettings`.

    Example:
        >>> create_run_settings("local", "echo", "hello").exe_args
        ['hello']
    """
    runner = SubprocessRunner() if processes is None else processes
    launcher = known_launcher(launcher, runner)
    command = "" if run_command is None else values.text("run_command", run_command)
    if launcher == "dragon":
        if run_args:
            get_logger(__name__).warning(f"The launcher dragon has no run command: {dict(run_args)} has no effect")
        return rank_settings.DragonRunSettings(exe, exe_args, env_vars, container=container, processes=runner, **kwargs)
    if command.lower() == "auto":
        command = available_run_command(launcher, runner)
        if not command and launcher in _SEARCH:
            raise SmartSimError(
                f"Could not find a run command for the launcher {launcher}: none of {', '.join(_SEARCH[launcher])} is "
                "in PATH. Load the module that has it, or pass run_command"
            )
    known = _CLASSES.get(posixpath.basename(command).lower())
    if known is None:
        return RunSettings(exe, exe_args, command, run_args, env_vars, container, processes=runner, **kwargs)
    if known is rank_settings.MpiexecSettings and launcher == "pals":
        known = rank_settings.PalsMpiexecSettings
    if "/" in command:
        kwargs["run_command"] = command
    return known(exe, exe_args, run_args, env_vars, container=container, processes=runner, **kwargs)


def available_run_command(launcher: str, runner: ProcessRunner) -> str:
    """Return the first of a launcher's own run commands that this machine has; empty when there is none."""
    return next((command for command in _SEARCH.get(launcher, ()) if runner.find(command) is not None), "")
