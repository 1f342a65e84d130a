"""Which job this process runs in."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from smartsim.adapters.wlm.allocations.cobalt import CobaltJob
from smartsim.adapters.wlm.allocations.flux import FluxJob
from smartsim.adapters.wlm.allocations.job import CurrentJob
from smartsim.adapters.wlm.allocations.lsf import LsfJob
from smartsim.adapters.wlm.allocations.pbs import PbsJob
from smartsim.adapters.wlm.allocations.sge import GridEngineJob
from smartsim.adapters.wlm.allocations.slurm import SlurmJob
from smartsim.domain.resources import Node
from smartsim.ports.process_runner import ProcessRunner

# A Flux instance may run in the job of another scheduler, and is what can be used there; so it comes first.
_VARIABLES = (
    ("FLUX_URI", "flux"),
    ("PBS_JOBID", "pbs"),
    ("LSB_JOBID", "lsf"),
    ("COBALT_JOBID", "cobalt"),
    ("SLURM_JOB_ID", "slurm"),
    ("SLURM_JOBID", "slurm"),
)

_JOBS: Mapping[str, Callable[[Mapping[str, str], ProcessRunner], CurrentJob]] = {
    "slurm": SlurmJob,
    "pbs": PbsJob,
    "pals": PbsJob,
    "lsf": LsfJob,
    "sge": GridEngineJob,
    "cobalt": CobaltJob,
    "flux": FluxJob,
}


def job_variable(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the variable that tells that this process runs in a job, and of which scheduler; None outside of jobs.

    Example:
        >>> job_variable({"SLURM_JOB_ID": "17"})
        ('SLURM_JOB_ID', 'slurm')
    """
    for name, scheduler in _VARIABLES:
        if environment.get(name):
            return name, scheduler
    # Grid Engine's own variable for the number of a job, JOB_ID, could be anybody's.
    return ("JOB_ID", "sge") if environment.get("SGE_ROOT") and environment.get("JOB_ID") else None


def current_job(scheduler: str, environment: Mapping[str, str], processes: ProcessRunner) -> CurrentJob | None:
    """Return what a job of a scheduler says of itself; None for what is no scheduler.

    Args:
        scheduler: the name of the launcher.
        environment: the variables of this process.
        processes: runs the scheduler's programs.
    """
    kind = _JOBS.get(scheduler)
    return None if kind is None else kind(environment, processes)


def allocation(environment: Mapping[str, str], processes: ProcessRunner) -> tuple[Node, ...] | None:
    """Return the nodes of the job that this process runs in; None outside of jobs.

    Args:
        environment: the variables of this process.
        processes: runs the scheduler's programs.

    Raises:
        LauncherError: the scheduler does not answer, or says what cannot be read.
    """
    found = job_variable(environment)
    job = None if found is None else current_job(found[1], environment, processes)
    return None if job is None else job.nodes()
