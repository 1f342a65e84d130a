"""Batch jobs of PBS."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from smartsim.domain.errors import SSConfigError
from smartsim.domain.integers import integer
from smartsim.domain.settings import values
from smartsim.domain.settings.batch import BatchSettings, checked_name, one_line
from smartsim.domain.walltime import format_walltime, parse_walltime

# qsub(1B), walltime: seconds, or [[hours:]minutes:]seconds[.milliseconds].
_TIME = re.compile(r"([0-9]+:){0,2}[0-9]+(\.[0-9]+)?")
_COUNTS = ("select", "nodes")


class QsubBatchSettings(BatchSettings):
    """A batch job of PBS.

    Args:
        nodes: how many; the resource ``nodes``.
        ncpus: CPUs on each of them.
        time: walltime, as ``HH:MM:SS``; the resource ``walltime``.
        queue: to submit to.
        account: to charge.
        resources: those that ``-l`` asks for, by name; ``select`` counts chunks, and excludes ``nodes``.
        batch_args: further options of ``qsub``, without their dash.

    Raises:
        TypeError: an argument has another type.
        ValueError: nodes are counted twice, or an argument cannot be.
        SSConfigError: both ``select`` and ``nodes`` are given.

    Example:
        >>> QsubBatchSettings(ncpus=8, time="01:00:00", queue="debug", resources={"select": 2}).directives()
        ('-l select=2:ncpus=8', '-l walltime=01:00:00', '-q debug')
    """

    scheduler: ClassVar[str] = "pbs"
    options: ClassVar[Mapping[str, str]] = {"queue": "q", "account": "A"}
    reserved_batch_args: ClassVar[Collection[str]] = frozenset({"J", "I", "X", "z"})

    def __init__(
        self,
        nodes: int | None = None,
        ncpus: int | None = None,
        time: str | None = None,
        queue: str | None = None,
        account: str | None = None,
        resources: Mapping[str, str | int] | None = None,
        batch_args: Mapping[str, values.Option] | None = None,
        **kwargs: Any,
    ) -> None:
        if nodes is not None and resources and "nodes" in resources:
            raise ValueError(
                f"nodes was given twice: as nodes={nodes!r} and as resources['nodes']={resources['nodes']!r}"
            )
        self._ncpus: int | None = None
        self._hosts: list[str] = []
        self.resources = resources or {}
        super().__init__("qsub", batch_args, nodes=nodes, time=time, queue=queue, account=account, **kwargs)
        if ncpus is not None:
            self.set_ncpus(ncpus)

    @property
    def resources(self) -> dict[str, str | int]:
        """The resources that ``-l`` asks for: a copy. Use `set_resource`, or set it anew."""
        return dict(self._resources)

    @resources.setter
    def resources(self, resources: Mapping[str, str | int]) -> None:
        checked = values.resources(resources)
        for name in _COUNTS:
            if name in checked:
                integer(f"the resource {name}", checked[name], at_least=1)
        if all(name in checked for name in _COUNTS):
            raise SSConfigError("the resources select and nodes exclude each other: give one of them")
        self._resources = checked

    def set_resource(self, resource_name: str, value: str | int) -> None:
        """Set a resource that ``-l`` asks for.

        Raises:
            TypeError: the name is no string, or the value neither a string nor an integer.
            SSConfigError: it is one of ``select`` and ``nodes``, and the other is set.
        """
        self.resources = {**self._resources, resource_name: value}

    def set_nodes(self, num_nodes: int) -> None:
        """Set the number of nodes, at least 1: the resource ``nodes``."""
        self.set_resource("nodes", values.positive("num_nodes", num_nodes))

    def set_ncpus(self, num_cpus: int) -> None:
        """Set the number of CPUs on each node, or in each chunk, at least 1."""
        self._ncpus = values.positive("num_cpus", num_cpus)

    def set_hostlist(self, host_list: str | list[str]) -> None:
        """Set the hosts to run on; the nodes or chunks are spread evenly over them."""
        self._hosts = values.texts("host_list", host_list)

    def set_walltime(self, walltime: str) -> None:
        """Set how long the job may run: the resource ``walltime``; an empty text is ignored.

        Args:
            walltime: ``HH:MM:SS``, ``D-HH:MM:SS``, or a number of seconds.

        Raises:
            TypeError: it is no string.
            ValueError: it is no walltime.
        """
        if values.text("walltime", walltime):
            self.set_resource("walltime", _walltime(walltime.strip()))

    def format_batch_args(self) -> list[str]:
        """Return the options, each as it stands behind ``#PBS``.

        Raises:
            SSConfigError: neither ``select`` nor ``nodes`` is set, or the hosts cannot share them evenly.
            SSReservedKeywordError: an option is among `reserved_batch_args`.
            ValueError: an option has no value, or cannot be written into a script.
        """
        formatted = [f"-l {shlex.quote(self._selection())}"]
        formatted += [
            f"-l {shlex.quote(f'{checked_name(name)}={_resource(name, value)}')}"
            for name, value in self._resources.items()
            if name not in _COUNTS
        ]
        for name, value in self._arguments():
            if value is None:
                raise ValueError(f"the option {name} of qsub has no value: give batch_args[{name!r}] one")
            formatted.append(f"-{name} {shlex.quote(value)}")
        return formatted

    def _selection(self) -> str:
        """Return what ``-l`` asks for first: how many nodes or chunks, and what of each."""
        counted = next((name for name in _COUNTS if name in self._resources), None)
        if counted is None:
            raise SSConfigError(
                "a batch job of PBS must say how many nodes it needs: set_nodes, or resources['select']"
            )
        count = int(self._resources[counted])
        each = "" if self._ncpus is None else f":ncpus={self._ncpus}"
        if not self._hosts:
            return f"{counted}={count}{each}"
        chunks, rest = divmod(count, len(self._hosts))
        if rest:
            raise SSConfigError(
                f"{counted}={count} cannot be spread evenly over the {len(self._hosts)} hosts {', '.join(self._hosts)}"
            )
        # Every host has its own chunks, with their CPUs: `2:ncpus=8:host=a+host=b` would be two on a, and any CPU on b.
        return "select=" + "+".join(f"{chunks}{each}:host={one_line('host', host)}" for host in self._hosts)


def _walltime(walltime: str) -> str:
    if _TIME.fullmatch(walltime):
        return walltime
    try:
        return format_walltime(parse_walltime(walltime))
    except ValueError as error:
        raise ValueError(f"{walltime!r} is not a walltime of PBS: write it as HH:MM:SS or D-HH:MM:SS") from error


def _resource(name: str, value: str | int) -> str:
    """Return the value of a resource: in quotes if it holds what would end it in a list of resources."""
    text = one_line(name, value)
    if text and not any(character in ",\"'&" or character.isspace() for character in text):
        return text
    quote = next((mark for mark in "\"'" if mark not in text), None)
    if quote is None:
        raise ValueError(f"the resource {name}={text!r} cannot be asked of PBS: it holds both kinds of quotes")
    return f"{quote}{text}{quote}"
