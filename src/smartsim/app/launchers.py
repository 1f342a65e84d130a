"""Which launcher this machine has."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from smartsim.adapters.process.subprocess import SubprocessRunner
from smartsim.adapters.wlm.allocations.current import job_variable
from smartsim.app.logs import get_logger
from smartsim.domain.errors import ShellError
from smartsim.ports.process_runner import Completed, ProcessRunner

_PATIENCE = 5.0  # seconds for a server to answer, before it counts as not being there

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
    """Return the launcher that this machine has; the log says how it was found.

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
    launcher, reason = find_launcher(
        SubprocessRunner() if processes is None else processes, os.environ if environment is None else environment
    )
    get_logger(__name__).info(f"Detected launcher {launcher}: {reason}")
    return launcher


def find_launcher(processes: ProcessRunner, environment: Mapping[str, str]) -> tuple[str, str]:
    """Return the launcher that this machine has, and how that was found; see `detect_launcher`."""
    inside = job_variable(environment)
    if inside is not None:
        variable, launcher = inside
        return launcher, f"this process runs in a job of it ({variable} is set)"
    for launcher, questions in _SERVING:
        said = _all_answered(processes, questions)
        if said is not None:
            return launcher, f"{shlex.join(questions[-1][0])} answers {said!r}"
    return "local", "this machine has no workload manager that answers"


def _all_answered(runner: ProcessRunner, questions: Sequence[Question]) -> str | None:
    """Return the first line of the last answer if all are as they should be; otherwise None."""
    said = None
    for argv, accept in questions:
        said = _answered(runner, argv, accept)
        if said is None:
            return None
    return said


def _answered(runner: ProcessRunner, argv: tuple[str, ...], accept: Callable[[Completed], bool]) -> str | None:
    """Return the first line of an answer that is as it should be; otherwise None."""
    if runner.find(argv[0]) is None:
        return None
    try:
        answer = runner.run(argv, timeout=_PATIENCE)
    except ShellError:
        return None
    return next(iter(answer.stdout.strip().splitlines()), "") if accept(answer) else None
