"""Batch jobs of Grid Engine."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from smartsim.domain.errors import LauncherUnsupportedFeature, SSConfigError
from smartsim.domain.settings import values
from smartsim.domain.settings.batch import BatchSettings, checked_name, one_line
from smartsim.domain.walltime import format_walltime, parse_walltime

# sge_types(1), time_specifier: seconds, or hours:minutes:seconds.
_TIME = re.compile(r"[0-9]+(:[0-9]+:[0-9]+)?")
_ACTIONS = ("ac", "sc", "dc")


class SgeQsubBatchSettings(BatchSettings):
    """A batch job of Grid Engine.

    Args:
        time: walltime, as ``HH:MM:SS``; the resource ``h_rt``.
        ncpus: slots of the parallel environment.
        pe_type: the parallel environment: given together with `ncpus`, or neither.
        account: to charge.
        shebang: the first line of the script.
        resources: those that ``-l`` asks for, by name.
        batch_args: further options of ``qsub``, without their dash.

    Raises:
        TypeError, ValueError: an argument that cannot be.

    Example:
        >>> SgeQsubBatchSettings(time="01:00:00", ncpus=8, pe_type="mpi").directives()
        ('-pe mpi 8', '-l h_rt=01:00:00')
    """

    scheduler: ClassVar[str] = "sge"
    options: ClassVar[Mapping[str, str]] = {"account": "A"}
    reserved_batch_args: ClassVar[Collection[str]] = frozenset({"t", "sync", "b", "verify"})

    def __init__(
        self,
        time: str | None = None,
        ncpus: int | None = None,
        pe_type: str | None = None,
        account: str | None = None,
        shebang: str = "#!/bin/bash -l",
        resources: Mapping[str, str | int] | None = None,
        batch_args: Mapping[str, values.Option] | None = None,
        **kwargs: Any,
    ) -> None:
        self._ncpus: int | None = None
        self._pe_type: str | None = None
        self._context: list[tuple[str, str, str | None]] = []
        self._variables: dict[str, str] = {}
        self.resources = resources or {}
        super().__init__("qsub", batch_args, time=time, account=account, **kwargs)
        self.set_shebang(shebang)
        if ncpus is not None:
            self.set_ncpus(ncpus)
        if pe_type is not None:
            self.set_pe_type(pe_type)

    @property
    def resources(self) -> dict[str, str | int]:
        """The resources that ``-l`` asks for: a copy. Use `set_resource`, or set it anew."""
        return dict(self._resources)

    @resources.setter
    def resources(self, resources: Mapping[str, str | int]) -> None:
        self._resources = values.resources(resources)

    def set_resource(self, resource_name: str, value: str | int) -> None:
        """Set a resource that ``-l`` asks for.

        Raises:
            TypeError: the name is no string, or the value neither a string nor an integer.
        """
        self.resources = {**self._resources, resource_name: value}

    def set_hostlist(self, host_list: str | list[str]) -> None:
        """Refuse: Grid Engine chooses the hosts.

        Raises:
            LauncherUnsupportedFeature: always.
        """
        raise LauncherUnsupportedFeature(
            f"Grid Engine chooses the hosts itself: {host_list!r} cannot be asked for. set_resource('hostname', ...) "
            "narrows them down"
        )

    def set_queue(self, queue: str) -> None:
        """Refuse a queue: Grid Engine chooses it by the resources; an empty one is ignored.

        Raises:
            LauncherUnsupportedFeature: a queue is given.
        """
        if queue:
            raise LauncherUnsupportedFeature(
                f"Grid Engine chooses the queue by the resources: leave queue={queue!r} out, or give batch_args['q']"
            )

    def set_nodes(self, num_nodes: int | None) -> None:
        """Refuse a number of nodes: Grid Engine counts slots; 0 and None are ignored.

        Raises:
            LauncherUnsupportedFeature: a number is given.
        """
        if num_nodes:
            raise LauncherUnsupportedFeature(
                f"Grid Engine counts slots, not nodes: leave nodes={num_nodes!r} out, and use set_pe_type and set_ncpus"
            )

    def set_walltime(self, walltime: str) -> None:
        """Set how long the job may run: the resource ``h_rt``; an empty text is ignored.

        Args:
            walltime: ``HH:MM:SS``, ``D-HH:MM:SS``, or a number of seconds.

        Raises:
            TypeError: it is no string.
            ValueError: it is no walltime.
        """
        if values.text("walltime", walltime):
            self.set_resource("h_rt", _walltime(walltime.strip()))

    def set_ncpus(self, num_cpus: int) -> None:
        """Set the number of slots of the parallel environment, at least 1."""
        self._ncpus = values.positive("num_cpus", num_cpus)

    def set_pe_type(self, pe_type: str) -> None:
        """Set the parallel environment; ``qconf -spl`` lists them."""
        self._pe_type = checked_name(values.text("pe_type", pe_type).strip())

    def set_ngpus(self, num_gpus: int) -> None:
        """Set the number of GPUs, at least 1: the resource ``gpu``."""
        self.set_resource("gpu", values.positive("num_gpus", num_gpus))

    def set_memory_per_pe(self, memory_spec: str) -> None:
        """Set the memory of each slot, such as ``2G``: the resource ``mem``."""
        self.set_resource("mem", values.text("memory_spec", memory_spec))

    def set_hyperthreading(self, enable: bool = True) -> None:
        """Set whether to use all hardware threads of the cores: the resource ``threads``."""
        self.set_resource("threads", int(enable))

    def set_threads_per_pe(self, threads_per_core: int) -> None:
        """Set the number of OpenMP threads of each slot, at least 1: the variable ``OMP_NUM_THREADS``."""
        self._variables["OMP_NUM_THREADS"] = str(values.positive("threads_per_core", threads_per_core))

    def set_project(self, project: str) -> None:
        """Set the project; an empty one is ignored."""
        if values.text("project", project):
            self._batch_args["P"] = project

    def set_shebang(self, shebang: str) -> None:
        """Set the first line of the script.

        Raises:
            TypeError: it is no string.
            ValueError: it does not begin with ``#!``, or is more than one line.
        """
        if not values.text("shebang", shebang).startswith("#!"):
            raise ValueError(f"{shebang!r} is no first line of a script: it begins with #!")
        self.shebang = one_line("shebang", shebang)

    def update_context_variables(self, action: str, var_name: str, value: str | int | None = None) -> None:
        """Add, set or delete variables of the job's context.

        Args:
            action: ``ac`` adds a variable, ``sc`` makes it the only one, ``dc`` deletes it.
            var_name: its name.
            value: its value; none for ``dc``.

        Raises:
            ValueError: there is no such action, or the name cannot be.
            SSConfigError: a value is given to ``dc``.
        """
        if action not in _ACTIONS:
            raise ValueError(f"{action!r} is no action on context variables: choose among {', '.join(_ACTIONS)}")
        if action == "dc" and value is not None:
            raise SSConfigError(f"the context variable {var_name} is to be deleted: it takes no value ({value!r})")
        name = checked_name(values.text("var_name", var_name))
        self._context.append((action, name, None if value is None else str(value)))

    def format_batch_args(self) -> list[str]:
        """Return the options, each as it stands behind ``#$``.

        Raises:
            SSConfigError: only one of the number of slots and the parallel environment is set.
            SSReservedKeywordError: an option is among `reserved_batch_args`.
            ValueError: an option has no value, or cannot be written into a script.
        """
        if (self._ncpus is None) != (self._pe_type is None):
            raise SSConfigError(
                "slots and a parallel environment need each other: set both with set_ncpus and set_pe_type"
            )
        formatted = [] if self._ncpus is None else [f"-pe {self._pe_type} {self._ncpus}"]
        formatted += [f"-{action} {_pair(name, value)}" for action, name, value in self._context]
        formatted += [f"-l {_pair(checked_name(name), value)}" for name, value in self._resources.items()]
        formatted += [f"-v {_pair(name, value)}" for name, value in self._variables.items()]
        for name, value in self._arguments():
            if value is None:
                raise ValueError(f"the option {name} of qsub has no value: give batch_args[{name!r}] one")
            formatted.append(f"-{name} {quoted(name, value)}")
        return formatted


def _walltime(walltime: str) -> str:
    if _TIME.fullmatch(walltime):
        return walltime
    try:
        return format_walltime(parse_walltime(walltime))
    except ValueError as error:
        raise ValueError(
            f"{walltime!r} is not a walltime of Grid Engine: write it as HH:MM:SS or D-HH:MM:SS"
        ) from error


def _pair(name: str, value: str | int | None) -> str:
    """Return an item of a list of names and values, which a comma would end."""
    if value is None:
        return name
    text = one_line(name, value)
    if "," in text:
        raise ValueError(f"{name}={text!r} cannot be given to Grid Engine: a comma begins the next of a list")
    return quoted(name, f"{name}={text}")


def quoted(name: str, value: str) -> str:
    """Return a word as ``qsub`` reads it in a script.

    Quotes keep blanks together and are taken away wherever they stand, and ``#`` begins a comment even within them:
    no word can hold any of these. (Tried with Son of Grid Engine 8.1.9.)
    """
    if any(character in value for character in "\"'#"):
        raise ValueError(
            f"the option {name} cannot be {value!r} for Grid Engine: its scripts have no quotes and no '#'"
        )
    return f'"{value}"' if any(character.isspace() for character in value) else value
