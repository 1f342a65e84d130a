"""The job that this process runs in: its nodes, queue and tasks."""

from __future__ import annotations

import os
from collections.abc import Mapping

from smartsim.adapters.process.subprocess import SubprocessRunner
from smartsim.adapters.wlm.allocations.current import current_job
from smartsim.adapters.wlm.allocations.job import CurrentJob
from smartsim.app.launchers import detect_launcher
from smartsim.domain.errors import SSUnsupportedError
from smartsim.ports.process_runner import ProcessRunner


def get_hosts(
    launcher: str | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    processes: ProcessRunner | None = None,
) -> list[str]:
    """Return the names of the nodes of the job that this process runs in, sorted.

    Args:
        launcher: of the job; by default the one that is detected.
        environment: the environment variables; those of this process by default.
        processes: runs the scheduler's programs; those of this machine by default.

    Raises:
        SSUnsupportedError: the launcher has no jobs.
        AllocationError: this process runs in no job of it.
        LauncherError: the scheduler does not answer, or says what cannot be read.

    Example:
        >>> get_hosts(environment={"SLURM_JOB_ID": "17", "SLURM_JOB_NODELIST": "node[1-2]"})
        ['node1', 'node2']
    """
    return _job("hosts", launcher, environment, processes).hosts()


def get_queue(
    launcher: str | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    processes: ProcessRunner | None = None,
) -> str:
    """Return the queue, or partition, of the job that this process runs in.

    Args:
        launcher: see `get_hosts`; so for the others, and for what is raised.
        environment: see `get_hosts`.
        processes: see `get_hosts`.
    """
    return _job("queue", launcher, environment, processes).queue()


def get_tasks(
    launcher: str | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    processes: ProcessRunner | None = None,
) -> int:
    """Return how many tasks the job that this process runs in is for; CPUs where the scheduler counts those.

    Args:
        launcher: see `get_hosts`; so for the others, and for what is raised.
        environment: see `get_hosts`.
        processes: see `get_hosts`.
    """
    return _job("tasks", launcher, environment, processes).tasks()


def get_tasks_per_node(
    launcher: str | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    processes: ProcessRunner | None = None,
) -> dict[str, int]:
    """Return how many tasks each node of the job that this process runs in is for, by its name.

    Args:
        launcher: see `get_hosts`; so for the others, and for what is raised.
        environment: see `get_hosts`.
        processes: see `get_hosts`.
    """
    return _job("tasks per node", launcher, environment, processes).tasks_per_node()


def _job(
    what: str, launcher: str | None, environment: Mapping[str, str] | None, processes: ProcessRunner | None
) -> CurrentJob:
    variables = os.environ if environment is None else environment
    runner = SubprocessRunner() if processes is None else processes
    name = launcher.lower() if launcher else detect_launcher(processes=runner, environment=variables)
    job = current_job(name, variables, runner)
    if job is None:
        raise SSUnsupportedError(f"SmartSim cannot get {what} for launcher `{name}`: it has no jobs with nodes")
    return job
