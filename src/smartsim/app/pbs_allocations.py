"""The job of PBS that this process runs in."""

from __future__ import annotations

import os
from collections.abc import Mapping

from smartsim.adapters.process.subprocess import SubprocessRunner
from smartsim.adapters.wlm.allocations.pbs import PbsJob
from smartsim.ports.process_runner import ProcessRunner


def get_hosts(*, environment: Mapping[str, str] | None = None, processes: ProcessRunner | None = None) -> list[str]:
    """Return the names of the nodes of the job that this process runs in, without their domain, sorted.

    Args:
        environment: the environment variables; those of this process by default.
        processes: runs PBS' programs; of this machine by default.

    Raises:
        AllocationError: this process runs in no job of PBS.
        LauncherError: PBS does not answer, or says what cannot be read.
    """
    return _job(environment, processes).hosts()


def get_queue(*, environment: Mapping[str, str] | None = None, processes: ProcessRunner | None = None) -> str:
    """Return the queue of the job that this process runs in; see `get_hosts`."""
    return _job(environment, processes).queue()


def get_tasks(*, environment: Mapping[str, str] | None = None, processes: ProcessRunner | None = None) -> int:
    """Return how many CPUs the job that this process runs in has; see `get_hosts`."""
    return _job(environment, processes).tasks()


def get_tasks_per_node(
    *, environment: Mapping[str, str] | None = None, processes: ProcessRunner | None = None
) -> dict[str, int]:
    """Return how many CPUs the job that this process runs in has on each node, by its name; see `get_hosts`."""
    return _job(environment, processes).tasks_per_node()


def _job(environment: Mapping[str, str] | None, processes: ProcessRunner | None) -> PbsJob:
    return PbsJob(
        os.environ if environment is None else environment, SubprocessRunner() if processes is None else processes
    )
