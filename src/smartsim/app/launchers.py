"""Which launcher this machine has."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TypeAlias

from smartsim.adapters.process.subprocess import SubprocessRunner
from smartsim.domain.errors import ShellError
from smartsim.ports.process_runner import Completed, ProcessRunner

_PATIENCE = 5.0  # seconds for a server to answer, before it counts as not being there

_INSIDE = (
    ("FLUX_URI", "flux"),
    ("PBS_JOBID", "pbs"),
    ("LSB_JOBID", "lsf"),
    ("COBALT_JOBID", "cobalt"),
    ("SLURM_JOB_ID", "slurm"),
    ("SLURM_JOBID", "slurm"),
)

Question: TypeAlias = tuple[tuple[str, ...], Callable[[Completed], bool]]


def _succeeds(answer: Completed) -> bool:
    return answer.returncode == 0


def _says(word: str) -> Callable[[Completed], bool]:
    return lambda answer: word in f"{answer.stdout}\n{answer.stderr}".lower()


def _is_grid_engine(answer: Completed) -> bool:
    return answer.stdout.lstrip().startswith(("SGE", "GE", "UGE", "OGS"))


_SERVING: tuple[tuple[str, tuple[Question, ...]], ...] = (
    ("pbs", ((("qsub", "--version"), _says("pbs")), (("qstat", "-B"), _succeeds))),
    ("lsf", ((("lsid",), _succeeds),)),
    ("slurm", ((("scontrol", "ping"), _says("is up")),)),
    ("sge", ((("qstat", "-help"), _is_grid_engine), (("qconf", "-sh"), _succeeds))),
    ("cobalt", ((("qstat", "--version"), _says("cobalt")),)),
    ("flux", ((("flux", "uptime"), _succeeds),)),
)


def detect_launcher(*, processes: ProcessRunner | None = None, environment: Mapping[str, str] | None = None) -> str:
    """Return the launcher that this machine has.

    Inside a job the environment tells. Elsewhere the servers of the workload managers are asked, since their client
    programs are often installed where no server answers.

    Args:
        processes: runs the client programs; those of this machine by default.
        environment: the environment variables; those of this process by default.

    Returns:
        One of ``pbs``, ``lsf``, ``slurm``, ``sge``, ``cobalt`` and ``flux``; ``local`` when there is none of them.

    Example:
        >>> detect_launcher(environment={"SLURM_JOB_ID": "17"})
        'slurm'
    """
    variables = os.environ if environment is None else environment
    for variable, launcher in _INSIDE:
        if variables.get(variable):
            return launcher
    # Grid Engine's own variable for the number of a job, JOB_ID, could be anybody's.
    if variables.get("SGE_ROOT") and variables.get("JOB_ID"):
        return "sge"
    runner = SubprocessRunner() if processes is None else processes
    for launcher, questions in _SERVING:
        if all(_answered(runner, argv, accept) for argv, accept in questions):
            return launcher
    return "local"


def _answered(runner: ProcessRunner, argv: tuple[str, ...], accept: Callable[[Completed], bool]) -> bool:
    if runner.find(argv[0]) is None:
        return False
    try:
        return accept(runner.run(argv, timeout=_PATIENCE))
    except ShellError:
        return False
