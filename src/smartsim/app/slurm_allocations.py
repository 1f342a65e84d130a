"""Allocations of Slurm: asked for, given back, and what the partitions have."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress

from smartsim.adapters.process.subprocess import SubprocessRunner
from smartsim.adapters.wlm.allocations import salloc
from smartsim.adapters.wlm.allocations.job import PATIENCE, answer
from smartsim.adapters.wlm.allocations.slurm import SlurmJob
from smartsim.domain.errors import LauncherError
from smartsim.domain.settings import values
from smartsim.ports.process_runner import ProcessRunner

_IN_THE_QUEUE = 7 * 24 * 3600.0
"""Seconds that an allocation may be waited for. A queue can be long; Ctrl-C withdraws the request."""


def get_allocation(
    nodes: int = 1,
    time: str | None = None,
    account: str | None = None,
    options: Mapping[str, str | int | None] | None = None,
    *,
    processes: ProcessRunner | None = None,
) -> str:
    """Ask Slurm for an allocation, and wait until it is granted. It lasts until `release_allocation`.

    Args:
        nodes: how many.
        time: walltime, ``HH:MM:SS`` or ``D-HH:MM:SS``; the partition's default when None.
        account: to charge.
        options: further options of ``salloc``, without dashes; None for one without a value.
        processes: runs ``salloc``; of this machine by default.

    Returns:
        Its number, for ``SrunSettings(alloc=...)``.

    Raises:
        AllocationError: it is refused; the message has what ``salloc`` said.
        LauncherError: there is no ``salloc``.
        SSReservedKeywordError: an option is one of the other arguments.
        ValueError: the time has another form, or there are no nodes.

    Example:
        Two nodes with all their memory, for an hour::

            allocation = get_allocation(nodes=2, time="01:00:00", options={"exclusive": None, "mem": 0})
    """
    runner = _runner(processes)
    mark = f"smartsim-{secrets.token_hex(8)}"
    words = salloc.salloc_words(nodes, time, account, options, mark)
    program = runner.find(words[0])
    if program is None:
        raise LauncherError(
            "Attempted slurm function without access to slurm(salloc) at the call site: load the module of Slurm"
        )
    try:
        said = runner.run([program, *words[1:]], timeout=_IN_THE_QUEUE)
    except BaseException:
        # The request stays in the queue when salloc is stopped, and would be granted to nobody.
        _withdraw(runner, mark)
        raise
    return salloc.granted(said)


def release_allocation(alloc_id: str, *, processes: ProcessRunner | None = None) -> None:
    """Give an allocation back. One that has ended is fine.

    Args:
        alloc_id: its number.
        processes: runs ``scancel``; of this machine by default.

    Raises:
        AllocationError: there is none of that number, or it is somebody else's.
        LauncherError: there is no ``scancel``, or Slurm does not answer.
    """
    runner = _runner(processes)
    program = runner.find("scancel")
    if program is None:
        raise LauncherError("There is no scancel in the search path: load the module of Slurm")
    salloc.check_released(runner.run([program, "-v", values.text("alloc_id", alloc_id)], timeout=PATIENCE), alloc_id)


def validate(
    nodes: int = 1, ppn: int = 1, partition: str | None = None, *, processes: ProcessRunner | None = None
) -> bool:
    """Return whether a partition has enough nodes with enough CPUs, busy or not.

    Args:
        nodes: how many.
        ppn: processes on each of them; each needs a CPU.
        partition: its name; the default one when None.
        processes: runs ``sinfo``; of this machine by default.

    Raises:
        LauncherError: there is no such partition, no default one, no ``sinfo``, or no answer.
    """
    runner = _runner(processes)
    name = get_default_partition(processes=runner) if partition is None else partition
    partitions = salloc.parse_partitions(answer(runner, salloc.PARTITIONS))
    if name not in partitions:
        raise LauncherError(
            f"Partition {name} is not found on this system: choose among {', '.join(partitions) or 'none'}"
        )
    wanted = values.positive("ppn", ppn)
    enough = sum(count for cpus, count in partitions[name].items() if cpus >= wanted)
    return enough >= values.positive("nodes", nodes)


def get_default_partition(*, processes: ProcessRunner | None = None) -> str:
    """Return the partition that jobs go to which name none.

    Args:
        processes: runs ``sinfo``; of this machine by default.

    Raises:
        LauncherError: there is none, no ``sinfo``, or no answer.
    """
    return salloc.parse_default_partition(answer(_runner(processes), salloc.DEFAULT_PARTITION))


def get_hosts(*, environment: Mapping[str, str] | None = None, processes: ProcessRunner | None = None) -> list[str]:
    """Return the names of the nodes of the job that this process runs in, sorted.

    Args:
        environment: the environment variables; those of this process by default.
        processes: runs Slurm's programs; of this machine by default.

    Raises:
        AllocationError: this process runs in no job of Slurm.
        LauncherError: a variable of Slurm cannot be read.
    """
    return _job(environment, processes).hosts()


def get_queue(*, environment: Mapping[str, str] | None = None, processes: ProcessRunner | None = None) -> str:
    """Return the partition of the job that this process runs in; see `get_hosts`."""
    return _job(environment, processes).queue()


def get_tasks(*, environment: Mapping[str, str] | None = None, processes: ProcessRunner | None = None) -> int:
    """Return how many tasks the job that this process runs in is for; see `get_hosts`."""
    return _job(environment, processes).tasks()


def get_tasks_per_node(
    *, environment: Mapping[str, str] | None = None, processes: ProcessRunner | None = None
) -> dict[str, int]:
    """Return how many tasks each node of the job that this process runs in is for, by its name; see `get_hosts`."""
    return _job(environment, processes).tasks_per_node()


def _withdraw(runner: ProcessRunner, mark: str) -> None:
    with suppress(LauncherError):
        jobs = salloc.parse_marked_jobs(answer(runner, salloc.COMMENTS), mark)
        if jobs:
            answer(runner, ("scancel", *jobs))


def _runner(processes: ProcessRunner | None) -> ProcessRunner:
    return SubprocessRunner() if processes is None else processes


def _job(environment: Mapping[str, str] | None, processes: ProcessRunner | None) -> SlurmJob:
    return SlurmJob(os.environ if environment is None else environment, _runner(processes))
