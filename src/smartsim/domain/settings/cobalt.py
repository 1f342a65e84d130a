"""Batch jobs of Cobalt."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from smartsim.domain.errors import SSConfigError
from smartsim.domain.settings import values
from smartsim.domain.settings.batch import BatchSettings
from smartsim.domain.walltime import parse_walltime

# What Cobalt's qsub takes for --time: minutes, HH:MM, HH:MM:SS or DD:HH:MM:SS.
_TIME = re.compile(r"[0-9]+(:[0-9]+){0,3}")
_SECONDS = 60


class CobaltBatchSettings(BatchSettings):
    """A batch job of Cobalt.

    Args:
        nodes: how many. Cobalt wants a number.
        time: walltime as ``HH:MM:SS`` or ``D-HH:MM:SS``. Cobalt wants one.
        queue: to submit to.
        account: the project to charge.
        batch_args: further options of ``qsub``, without their dashes; None for one without a value.

    Raises:
        TypeError, ValueError: an argument that cannot be.

    Example:
        >>> CobaltBatchSettings(2, "01:00:00", queue="debug", batch_args={"attrs": "mcdram=flat"}).directives()
        ('--attrs=mcdram=flat', '-n 2', '-q debug', '-t 01:00:00')
    """

    scheduler: ClassVar[str] = "cobalt"
    has_arrays: ClassVar[bool] = False
    options: ClassVar[Mapping[str, str]] = {"nodes": "n", "queue": "q", "walltime": "t", "account": "A"}
    reserved_batch_args: ClassVar[Collection[str]] = frozenset({"I", "interactive"})

    def __init__(
        self,
        nodes: int | None = None,
        time: str = "",
        queue: str | None = None,
        account: str | None = None,
        batch_args: Mapping[str, values.Option] | None = None,
        **kwargs: Any,
    ) -> None:
        self._hosts: list[str] = []
        super().__init__("qsub", batch_args, nodes=nodes, time=time, queue=queue, account=account, **kwargs)

    def set_hostlist(self, host_list: str | list[str]) -> None:
        """Set the hosts to run on: the attribute ``location``."""
        self._hosts = values.texts("host_list", host_list)

    def format_batch_args(self) -> list[str]:
        """Return the options, each as it stands behind ``#COBALT``.

        Raises:
            SSConfigError: the nodes or the walltime are missing.
            SSReservedKeywordError: an option is among `reserved_batch_args`.
            ValueError: an option cannot be written into a script.
        """
        arguments = dict(self._arguments())
        for names, setter in ((("n", "nodecount"), "set_nodes"), (("t", "time"), "set_walltime")):
            if not any(name in arguments for name in names):
                raise SSConfigError(f"Cobalt takes no job without -{names[0]}: use {setter}")
        if self._hosts:
            location = f"location={','.join(self._hosts)}"
            given = arguments.get("attrs")
            arguments["attrs"] = f"{given}:{location}" if given else location
        return [_option(name, value) for name, value in arguments.items()]

    def _walltime(self, walltime: str) -> str:
        if _TIME.fullmatch(walltime):
            return walltime
        try:
            return str(-(-parse_walltime(walltime) // _SECONDS))
        except ValueError as error:
            raise ValueError(f"{walltime!r} is not a walltime of Cobalt: write it as HH:MM:SS or D-HH:MM:SS") from error


def _option(name: str, value: str | None) -> str:
    """Return an option. Cobalt splits what stands in a script at blanks, and knows no quotes."""
    if value is not None and any(character.isspace() for character in value):
        raise ValueError(
            f"the option {name}={value!r} cannot be given to Cobalt: its scripts have no values with blanks"
        )
    if len(name) == 1:
        return f"-{name}" if value is None else f"-{name} {value}"
    return f"--{name}" if value is None else f"--{name}={value}"
