"""Batch settings as users make them: the program that submits is looked up here, and warnings are logged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smartsim.adapters.process.subprocess import SubprocessRunner
from smartsim.app.logs import get_logger
from smartsim.app.settings import LoggedSettings, found, known_launcher
from smartsim.domain.errors import SmartSimError
from smartsim.domain.settings import batch, batch_flux, bsub, cobalt, qsub, sbatch, sge, values
from smartsim.ports.process_runner import ProcessRunner


class BatchSettings(LoggedSettings, batch.BatchSettings):
    """A batch job: how it is submitted, with which options, and what its script does first.

    Args:
        batch_cmd: the program that submits: a name in the search path, or a path.
        batch_args: its options, as they stand in the script; None for one without a value.
        processes: finds programs; on this machine by default.
        **kwargs: ``nodes``, ``queue``, ``time`` (walltime) and ``account``.
    """

    _processes: ProcessRunner

    def __init__(
        self,
        batch_cmd: str,
        batch_args: Mapping[str, values.Option] | None = None,
        *,
        processes: ProcessRunner | None = None,
        **kwargs: Any,
    ) -> None:
        self._processes = processes or SubprocessRunner()
        super().__init__(batch_cmd, batch_args, **kwargs)

    def set_batch_command(self, command: str) -> None:
        """Set the program that submits: a name in the search path, or a path.

        Raises:
            TypeError: it is no string.
        """
        super().set_batch_command(found(command, self._processes))


class SbatchSettings(BatchSettings, sbatch.SbatchSettings):
    """A batch job of Slurm.

    Args:
        nodes: how many.
        time: walltime: ``HH:MM:SS``, ``D-HH:MM:SS`` or another form that Slurm takes.
        account: to charge.
        batch_args: further options of ``sbatch``, without their dashes; None for one without a value.
        processes: finds programs; on this machine by default.
        **kwargs: ``queue``, which Slurm calls a partition. Others have no effect, and a warning says so.

    Raises:
        TypeError, ValueError: an argument that cannot be.

    Example:
        >>> SbatchSettings(nodes=2, time="36:00:00", batch_args={"exclusive": None, "p": "long"}).format_batch_args()
        ['--exclusive', '-p long', '--nodes=2', '--time=36:00:00']
    """

    def __init__(
        self,
        nodes: int | None = None,
        time: str = "",
        account: str | None = None,
        batch_args: Mapping[str, values.Option] | None = None,
        *,
        processes: ProcessRunner | None = None,
        **kwargs: Any,
    ) -> None:
        self._processes = processes or SubprocessRunner()
        sbatch.SbatchSettings.__init__(self, nodes, time, account, batch_args, **kwargs)


class QsubBatchSettings(BatchSettings, qsub.QsubBatchSettings):
    """A batch job of PBS.

    Args:
        nodes: how many; the resource ``nodes``.
        ncpus: CPUs on each of them.
        time: walltime, as ``HH:MM:SS``; the resource ``walltime``.
        queue: to submit to.
        account: to charge.
        resources: those that ``-l`` asks for, by name; ``select`` counts chunks, and excludes ``nodes``.
        batch_args: further options of ``qsub``, without their dash.
        processes: finds programs; on this machine by default.
        **kwargs: have no effect, and a warning says so.

    Raises:
        TypeError: an argument has another type.
        ValueError: nodes are counted twice, or an argument cannot be.
        SSConfigError: both ``select`` and ``nodes`` are given.

    Example:
        >>> QsubBatchSettings(ncpus=8, queue="debug", resources={"select": 2, "filesystems": "home"}).directives()
        ('-l select=2:ncpus=8', '-l filesystems=home', '-q debug')
    """

    def __init__(
        self,
        nodes: int | None = None,
        ncpus: int | None = None,
        time: str | None = None,
        queue: str | None = None,
        account: str | None = None,
        resources: Mapping[str, str | int] | None = None,
        batch_args: Mapping[str, values.Option] | None = None,
        *,
        processes: ProcessRunner | None = None,
        **kwargs: Any,
    ) -> None:
        self._processes = processes or SubprocessRunner()
        qsub.QsubBatchSettings.__init__(self, nodes, ncpus, time, queue, account, resources, batch_args, **kwargs)


class BsubBatchSettings(BatchSettings, bsub.BsubBatchSettings):
    """A batch job of LSF.

    Args:
        nodes: how many.
        time: walltime as ``HH:MM`` or ``HH:MM:SS``; seconds are rounded up to a minute, for LSF counts minutes.
        project: to charge.
        batch_args: further options of ``bsub``, without their dash; None for one without a value.
        smts: how many hardware threads of each core to use; 0 leaves it to the machine.
        processes: finds programs; on this machine by default.
        **kwargs: ``account``, which is the project, and ``queue``. Others have no effect, and a warning says so.

    Raises:
        TypeError, ValueError: an argument that cannot be.

    Attributes:
        walltime: as LSF takes it; None when it is not set.
        project: to charge; None when it is not set.
        smts: how many hardware threads of each core to use.
        expert_mode: whether `set_expert_mode_req` was called.
        easy_settings: the options that are left out in expert mode.

    Example:
        >>> BsubBatchSettings(2, "01:00:00", project="P1", batch_args={"alloc_flags": "nvme"}, smts=4).directives()
        ('-W 01:00', '-P P1', '-alloc_flags "nvme smt4"', '-nnodes 2')
    """

    def __init__(
        self,
        nodes: int | None = None,
        time: str | None = None,
        project: str | None = None,
        batch_args: Mapping[str, values.Option] | None = None,
        smts: int = 0,
        *,
        processes: ProcessRunner | None = None,
        **kwargs: Any,
    ) -> None:
        self._processes = processes or SubprocessRunner()
        bsub.BsubBatchSettings.__init__(self, nodes, time, project, batch_args, smts, **kwargs)


class SgeQsubBatchSettings(BatchSettings, sge.SgeQsubBatchSettings):
    """A batch job of Grid Engine.

    Args:
        time: walltime, as ``HH:MM:SS``; the resource ``h_rt``.
        ncpus: slots of the parallel environment.
        pe_type: the parallel environment: given together with `ncpus`, or neither.
        account: to charge.
        shebang: the first line of the script.
        resources: those that ``-l`` asks for, by name.
        batch_args: further options of ``qsub``, without their dash.
        processes: finds programs; on this machine by default.
        **kwargs: have no effect, and a warning says so.

    Raises:
        TypeError, ValueError: an argument that cannot be.
        LauncherUnsupportedFeature: nodes or a queue are asked for.

    Example:
        >>> SgeQsubBatchSettings(time="01:00:00", ncpus=8, pe_type="mpi").format_batch_args()
        ['-pe mpi 8', '-l h_rt=01:00:00']
    """

    def __init__(
        self,
        time: str | None = None,
        ncpus: int | None = None,
        pe_type: str | None = None,
        account: str | None = None,
        shebang: str = "#!/bin/bash -l",
        resources: Mapping[str, str | int] | None = None,
        batch_args: Mapping[str, values.Option] | None = None,
        *,
        processes: ProcessRunner | None = None,
        **kwargs: Any,
    ) -> None:
        self._processes = processes or SubprocessRunner()
        sge.SgeQsubBatchSettings.__init__(self, time, ncpus, pe_type, account, shebang, resources, batch_args, **kwargs)


class CobaltBatchSettings(BatchSettings, cobalt.CobaltBatchSettings):
    """A batch job of Cobalt.

    Args:
        nodes: how many. Cobalt wants a number.
        time: walltime as ``HH:MM:SS`` or ``D-HH:MM:SS``. Cobalt wants one.
        queue: to submit to.
        account: the project to charge.
        batch_args: further options of ``qsub``, without their dashes; None for one without a value.
        processes: finds programs; on this machine by default.
        **kwargs: have no effect, and a warning says so.

    Raises:
        TypeError, ValueError: an argument that cannot be.
    """

    def __init__(
        self,
        nodes: int | None = None,
        time: str = "",
        queue: str | None = None,
        account: str | None = None,
        batch_args: Mapping[str, values.Option] | None = None,
        *,
        processes: ProcessRunner | None = None,
        **kwargs: Any,
    ) -> None:
        self._processes = processes or SubprocessRunner()
        cobalt.CobaltBatchSettings.__init__(self, nodes, time, queue, account, batch_args, **kwargs)


class FluxBatchSettings(BatchSettings, batch_flux.FluxBatchSettings):
    """A batch job of Flux: an instance of its own, in which steps are started.

    Args:
        nodes: how many.
        time: walltime: ``HH:MM:SS``, ``D-HH:MM:SS``, or a duration such as ``90m``.
        queue: to submit to.
        account: the bank to charge.
        batch_args: further options of ``flux batch``, without their dashes; None for one without a value.
        processes: finds programs; on this machine by default.
        **kwargs: have no effect, and a warning says so.

    Raises:
        TypeError, ValueError: an argument that cannot be.
    """

    def __init__(
        self,
        nodes: int | None = None,
        time: str = "",
        queue: str | None = None,
        account: str | None = None,
        batch_args: Mapping[str, values.Option] | None = None,
        *,
        processes: ProcessRunner | None = None,
        **kwargs: Any,
    ) -> None:
        self._processes = processes or SubprocessRunner()
        batch_flux.FluxBatchSettings.__init__(self, nodes, time, queue, account, batch_args, **kwargs)


_CLASSES: Mapping[str, type[BatchSettings]] = {
    "slurm": SbatchSettings,
    "pbs": QsubBatchSettings,
    "pals": QsubBatchSettings,
    "lsf": BsubBatchSettings,
    "sge": SgeQsubBatchSettings,
    "cobalt": CobaltBatchSettings,
    "flux": FluxBatchSettings,
}


def create_batch_settings(
    launcher: str,
    nodes: int | None = None,
    time: str = "",
    queue: str | None = None,
    account: str | None = None,
    batch_args: Mapping[str, values.Option] | None = None,
    *,
    processes: ProcessRunner | None = None,
    **kwargs: Any,
) -> BatchSettings:
    """Return batch settings for a launcher.

    Args:
        launcher: its name; "auto", and "dragon", which runs in the jobs of others, stand for what this machine has.
        nodes: how many. Grid Engine counts slots instead, so it has no effect there: give `ncpus` and `pe_type`.
        time: walltime.
        queue: queue or partition.
        account: account to charge.
        batch_args: further options of the batch job.
        processes: finds programs, and runs them to find out which launcher there is; on this machine by default.
        **kwargs: for the settings of particular launchers, such as `ncpus` and `resources` of PBS.

    Raises:
        SmartSimError: the launcher has no batch jobs.
        SSUnsupportedError: there is no such launcher.
        LauncherUnsupportedFeature: a queue is given to Grid Engine.
        SSConfigError, TypeError, ValueError: see the classes.

    Example:
        >>> create_batch_settings("slurm", nodes=2, time="01:00:00", queue="debug").format_batch_args()
        ['--nodes=2', '--partition=debug', '--time=01:00:00']
    """
    name = known_launcher(launcher, processes)
    if name == "dragon":
        name = known_launcher("auto", processes)
    if name == "local":
        raise SmartSimError(
            "Local launcher does not support batch workloads: leave batch settings out, or use a scheduler"
        )
    settings = {"time": time, "queue": queue, "account": account, "batch_args": batch_args, **kwargs}
    if name != "sge":
        settings["nodes"] = nodes
    elif nodes is not None and nodes != 1:
        get_logger(__name__).warning(
            f"nodes={nodes!r} has no effect on Grid Engine, which counts slots: give ncpus and pe_type"
        )
    return _CLASSES[name](processes=processes, **settings)
