"""Batch jobs of Slurm."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from smartsim.domain.settings import values
from smartsim.domain.settings.batch import BatchSettings

# sbatch(1), --time: minutes, minutes:seconds, hours:minutes:seconds, days-hours, and so on down to seconds.
_TIME = re.compile(r"[0-9]+(:[0-9]+){0,2}|[0-9]+-[0-9]+(:[0-9]+){0,2}|UNLIMITED|INFINITE", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=,./\[\]*!&|()<>$~^{};?-][A-Za-z0-9_@%+=:,./\[\]*!&|()<>$~^{};?-]*")


class SbatchSettings(BatchSettings):
    """A batch job of Slurm.

    Args:
        nodes: how many.
        time: walltime: ``HH:MM:SS``, ``D-HH:MM:SS`` or another form that Slurm takes.
        account: to charge.
        batch_args: further options of ``sbatch``, without their dashes; None for one without a value.
        **kwargs: ``queue``, which Slurm calls a partition.

    Raises:
        TypeError, ValueError: an argument that cannot be.

    Example:
        >>> SbatchSettings(nodes=2, time="36:00:00", batch_args={"exclusive": None, "p": "long"}).directives()
        ('--exclusive', '-p long', '--nodes=2', '--time=36:00:00')
    """

    scheduler: ClassVar[str] = "slurm"
    options: ClassVar[Mapping[str, str]] = {
        "nodes": "nodes",
        "queue": "partition",
        "walltime": "time",
        "account": "account",
        "hostlist": "nodelist",
    }
    reserved_batch_args: ClassVar[Collection[str]] = frozenset({"array", "a", "wait", "W", "wrap", "test-only"})

    def __init__(
        self,
        nodes: int | None = None,
        time: str = "",
        account: str | None = None,
        batch_args: Mapping[str, values.Option] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__("sbatch", batch_args, nodes=nodes, time=time, account=account, **kwargs)

    def set_partition(self, partition: str) -> None:
        """Set the partition; an empty one is ignored."""
        self.set_queue(partition)

    def set_cpus_per_task(self, cpus_per_task: int) -> None:
        """Set the number of CPUs of each task, at least 1."""
        self._batch_args["cpus-per-task"] = values.positive("cpus_per_task", cpus_per_task)

    def format_batch_args(self) -> list[str]:
        """Return the options, each as it stands behind ``#SBATCH``."""
        return [_option(name, value) for name, value in self._arguments()]

    def _walltime(self, walltime: str) -> str:
        if not _TIME.fullmatch(walltime):
            raise ValueError(f"{walltime!r} is not a walltime of Slurm: write it as HH:MM:SS or D-HH:MM:SS")
        return walltime


def _option(name: str, value: str | None) -> str:
    if len(name) == 1:
        return f"-{name}" if value is None else f"-{name} {quoted(value)}"
    return f"--{name}" if value is None else f"--{name}={quoted(value)}"


def quoted(value: str) -> str:
    """Return a value as ``sbatch`` reads it in a script.

    A backslash takes the meaning from what follows, also within single quotes; ``#`` outside quotes begins a comment,
    even within a word. (Tried with Slurm 22.05.)
    """
    if _PLAIN.fullmatch(value):
        return value
    text = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
