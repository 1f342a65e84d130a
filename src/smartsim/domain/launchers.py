"""The launchers, and what each of them can start."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from smartsim.domain.errors import AllocationError, SSUnsupportedError
from smartsim.domain.settings.batch import BatchSettings
from smartsim.domain.settings.run import RunSettings

LAUNCHERS = ("local", "slurm", "pbs", "pals", "lsf", "sge", "cobalt", "flux", "dragon")

_RANKS: Mapping[str, Collection[str]] = {
    "slurm": ("srun", "mpirun"),
    "pbs": ("aprun", "mpirun", "pals"),
    "pals": ("aprun", "mpirun", "pals"),
    "lsf": ("jsrun", "mpirun"),
    "sge": ("mpirun",),
    "cobalt": ("aprun", "mpirun"),
    "flux": ("flux", "mpirun"),
    "dragon": ("dragon",),
}
"""What may start ranks under a launcher; under the local one anything may."""

_JOB = {
    "slurm": ("SLURM_JOB_ID", "SLURM_JOBID"),
    "pbs": ("PBS_JOBID",),
    "lsf": ("LSB_JOBID",),
    "sge": ("JOB_ID",),
    "cobalt": ("COBALT_JOBID",),
    "flux": ("FLUX_URI",),
}
_ALLOCATION: Mapping[str, Collection[str]] = {
    "srun": _JOB["slurm"],
    "aprun": (*_JOB["pbs"], *_JOB["cobalt"]),
    "pals": _JOB["pbs"],
    "jsrun": _JOB["lsf"],
    "flux": _JOB["flux"],
    "mpirun": tuple(variable for variables in _JOB.values() for variable in variables),
}
"""The variables one of which is there, if what starts ranks can find nodes for them."""


def check_settings(entity: str, settings: RunSettings, launcher: str) -> None:
    """Do nothing when a launcher can start what some settings describe.

    Args:
        entity: whose settings they are.
        settings: of the entity.
        launcher: the name of the launcher.

    Raises:
        SSUnsupportedError: it cannot.
    """
    if launcher != "local" and settings.ranks and settings.ranks not in _RANKS[launcher]:
        raise SSUnsupportedError(
            f"RunSettings type {type(settings).__name__} not supported by this launcher: {entity} cannot be started by "
            f"{launcher}. Make its settings with create_run_settings of the experiment"
        )


def check_allocation(entity: str, settings: RunSettings, launcher: str, environment: Collection[str]) -> None:
    """Do nothing when there are nodes for what is not a part of a batch job.

    Args:
        entity: whose settings they are.
        settings: of the entity.
        launcher: the name of the launcher.
        environment: the names of the driver's variables.

    Raises:
        AllocationError: the driver is in no allocation, and the settings name none.
    """
    if launcher == "local" or not settings.ranks or settings.allocation is not None:
        return
    variables = _ALLOCATION.get(settings.ranks, ())
    if variables and not any(variable in environment for variable in variables):
        raise AllocationError(
            f"Step creation failed: {entity} is started by {settings.ranks}, and this driver runs in no allocation "
            f"(none of {', '.join(variables)} is set). Run the driver inside a job, or give the entity batch settings"
        )


_BATCH: Mapping[str, Collection[str]] = {
    "slurm": ("slurm",),
    "pbs": ("pbs",),
    "pals": ("pbs",),
    "lsf": ("lsf",),
    "sge": ("sge",),
    "cobalt": ("cobalt",),
    "flux": ("flux",),
    "dragon": ("slurm", "pbs"),
}
"""The schedulers that a launcher submits batch jobs to."""


def check_batch(entity: str, settings: BatchSettings, launcher: str) -> None:
    """Do nothing when a launcher can submit a batch job.

    Args:
        entity: what runs in it.
        settings: of the job.
        launcher: the name of the launcher.

    Raises:
        TypeError: it has no batch jobs.
        SSUnsupportedError: the settings are for another scheduler.
    """
    if launcher == "local":
        raise TypeError(
            f"Local Launcher only supports entities with RunSettings, not {type(settings).__name__} ({entity})"
        )
    if settings.scheduler not in _BATCH[launcher]:
        raise SSUnsupportedError(
            f"BatchSettings type {type(settings).__name__} not supported by this launcher: {entity} cannot be "
            f"submitted by {launcher}. Make its settings with create_batch_settings of the experiment"
        )
