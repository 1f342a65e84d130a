"""Batch jobs of LSF."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from smartsim.domain.integers import integer
from smartsim.domain.settings import values
from smartsim.domain.settings.batch import BatchSettings, one_line
from smartsim.domain.walltime import parse_walltime

# bsub(1), -W: [hours:]minutes[/host_name or /host_model].
_TIME = re.compile(r"([0-9]+:)?[0-9]+(/[A-Za-z0-9_.-]+)?")
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./~^{}-]+")
_SECONDS = 60


class BsubBatchSettings(BatchSettings):
    """A batch job of LSF.

    Args:
        nodes: how many.
        time: walltime as ``HH:MM`` or ``HH:MM:SS``; seconds are rounded up to a minute, for LSF counts minutes.
        project: to charge.
        batch_args: further options of ``bsub``, without their dash; None for one without a value.
        smts: how many hardware threads of each core to use; 0 leaves it to the machine.
        **kwargs: ``account``, another word for the project, and ``queue``.

    Raises:
        TypeError, ValueError: an argument that cannot be.

    Attributes:
        walltime: as LSF takes it; None when it is not set.
        project: to charge; None when it is not set.
        smts: how many hardware threads of each core to use.
        expert_mode: whether `set_expert_mode_req` was called.
        easy_settings: the options that are left out in expert mode.

    Example:
        >>> settings = BsubBatchSettings(2, "01:00:00", project="P1", batch_args={"alloc_flags": "nvme"}, smts=4)
        >>> settings.directives()
        ('-W 01:00', '-P P1', '-alloc_flags "nvme smt4"', '-nnodes 2')
    """

    scheduler: ClassVar[str] = "lsf"
    options: ClassVar[Mapping[str, str]] = {"nodes": "nnodes", "queue": "q", "hostlist": "m"}
    reserved_batch_args: ClassVar[Collection[str]] = frozenset({"I", "Ip", "Is", "K"})

    def __init__(
        self,
        nodes: int | None = None,
        time: str | None = None,
        project: str | None = None,
        batch_args: Mapping[str, values.Option] | None = None,
        smts: int = 0,
        **kwargs: Any,
    ) -> None:
        self.walltime: str | None = None
        self.project: str | None = None
        self.expert_mode = False
        self.easy_settings = ["ln_slots", "ln_mem", "cn_cu", "nnodes"]
        self.set_smts(smts)
        super().__init__("bsub", batch_args, nodes=nodes, time=time, **kwargs)
        if project is not None:
            self.set_project(project)

    def set_walltime(self, walltime: str) -> None:
        """Set how long the job may run; an empty text is ignored.

        Args:
            walltime: ``HH:MM:SS`` or ``D-HH:MM:SS``, rounded up to minutes; or LSF's own ``HH:MM`` or minutes.

        Raises:
            TypeError: it is no string.
            ValueError: it is no walltime.
        """
        if values.text("walltime", walltime):
            self.walltime = self._walltime(walltime.strip())

    def set_project(self, project: str) -> None:
        """Set the project to charge; an empty one is ignored."""
        if values.text("project", project):
            self.project = project

    def set_account(self, account: str) -> None:
        """Set the project to charge; an empty one is ignored."""
        self.set_project(account)

    def set_smts(self, smts: int) -> None:
        """Set how many hardware threads of each core to use; 0 leaves it to the machine."""
        self.smts = integer("smts", smts)

    def set_tasks(self, num_tasks: int) -> None:
        """Set the number of slots, at least 1."""
        self._batch_args["n"] = str(values.positive("num_tasks", num_tasks))

    def set_hostlist(self, host_list: str | list[str]) -> None:
        """Set the hosts to run on."""
        self._set_option("hostlist", " ".join(values.texts("host_list", host_list)))

    def set_expert_mode_req(self, res_req: str, slots: int) -> None:
        """Ask for resources by a resource requirement; `easy_settings` then have no effect.

        Args:
            res_req: the resource requirement, as ``bsub -R`` takes it.
            slots: how many, at least 1.
        """
        requirement, count = values.text("res_req", res_req), str(values.positive("slots", slots))
        self.expert_mode = True
        self._batch_args |= {"csm": "y", "R": requirement, "n": count}

    def format_batch_args(self) -> list[str]:
        """Return the options, each as it stands behind ``#BSUB``; the walltime and the project are none of them.

        Raises:
            SSReservedKeywordError: an option is among `reserved_batch_args`.
            ValueError: an option cannot be written into a script.
        """
        arguments = dict(self._arguments())
        flags = (arguments.get("alloc_flags") or "").split()
        if self.smts and not any(flag.startswith("smt") for flag in flags):
            arguments["alloc_flags"] = " ".join([*flags, f"smt{self.smts}"])
        return [
            f"-{name}" if value is None else f"-{name} {quoted(name, value)}"
            for name, value in arguments.items()
            if not (self.expert_mode and name in self.easy_settings)
        ]

    def directives(self) -> tuple[str, ...]:
        """Return every option of the job: what stands behind ``#BSUB``, one a line.

        Raises:
            SSReservedKeywordError, ValueError: see `format_batch_args`.
        """
        own = [(name, value) for name, value in (("W", self.walltime), ("P", self.project)) if value is not None]
        return (*(f"-{name} {quoted(name, one_line(name, value))}" for name, value in own), *self.format_batch_args())

    def _walltime(self, walltime: str) -> str:
        if _TIME.fullmatch(walltime):
            return walltime
        try:
            minutes = -(-parse_walltime(walltime) // _SECONDS)
        except ValueError as error:
            raise ValueError(f"{walltime!r} is not a walltime of LSF: write it as HH:MM or HH:MM:SS") from error
        hours, minutes = divmod(minutes, 60)
        return f"{hours:02}:{minutes:02}"


def quoted(name: str, value: str) -> str:
    """Return a value as ``bsub`` reads it in a script: in quotes of one kind, where nothing has a meaning."""
    if _PLAIN.fullmatch(value):
        return value
    quote = next((mark for mark in "\"'" if mark not in value), None)
    if quote is None:
        raise ValueError(f"the option {name}={value!r} cannot be given to bsub: it holds both kinds of quotes")
    return f"{quote}{value}{quote}"
