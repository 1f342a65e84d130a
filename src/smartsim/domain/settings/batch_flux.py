"""Batch jobs of Flux."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from smartsim.domain.settings import values
from smartsim.domain.settings.batch import BatchSettings
from smartsim.domain.walltime import parse_walltime

# Flux standard duration (RFC 23); without a unit it is minutes for --time-limit.
_TIME = re.compile(r"[0-9]+(\.[0-9]*)?(ms|[smhd])?")
_PLAIN = re.compile(r"[^A-Za-z0-9_@%+=:,./\[\]-]")


class FluxBatchSettings(BatchSettings):
    """A batch job of Flux: an instance of its own, in which steps are started.

    Args:
        nodes: how many.
        time: walltime: ``HH:MM:SS``, ``D-HH:MM:SS``, or a duration such as ``90m``.
        queue: to submit to.
        account: the bank to charge.
        batch_args: further options of ``flux batch``, without their dashes; None for one without a value.

    Raises:
        TypeError, ValueError: an argument that cannot be.

    Example:
        >>> FluxBatchSettings(nodes=2, time="36:00:00", queue="debug", batch_args={"exclusive": None}).directives()
        ('--exclusive', '--nodes=2', '--queue=debug', '--time-limit=129600s')
    """

    scheduler: ClassVar[str] = "flux"
    has_arrays: ClassVar[bool] = False
    options: ClassVar[Mapping[str, str]] = {
        "nodes": "nodes",
        "queue": "queue",
        "walltime": "time-limit",
        "account": "bank",
    }
    reserved_batch_args: ClassVar[Collection[str]] = frozenset({"cc", "bcc", "wrap", "dry-run"})

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
        super().__init__("flux", batch_args, nodes=nodes, time=time, queue=queue, account=account, **kwargs)

    def set_hostlist(self, host_list: str | list[str]) -> None:
        """Set the hosts to run on: the constraint ``host``, besides those in `batch_args`."""
        self._hosts = values.texts("host_list", host_list)

    def format_batch_args(self) -> list[str]:
        """Return the options, each as it stands behind ``#flux:``."""
        formatted = [_option(name, value) for name, value in self._arguments()]
        return [*formatted, _option("requires", f"host:{','.join(self._hosts)}")] if self._hosts else formatted

    def _walltime(self, walltime: str) -> str:
        if _TIME.fullmatch(walltime):
            return walltime
        try:
            return f"{parse_walltime(walltime)}s"
        except ValueError as error:
            raise ValueError(
                f"{walltime!r} is not a walltime of Flux: write it as HH:MM:SS, D-HH:MM:SS or a duration such as 90m"
            ) from error


def _option(name: str, value: str | None) -> str:
    if len(name) == 1:
        return f"-{name}" if value is None else f"-{name} {escaped(value)}"
    return f"--{name}" if value is None else f"--{name}={escaped(value)}"


def escaped(value: str) -> str:
    """Return a value as ``flux batch`` reads it in a script.

    It splits lines as a shell would (RFC 36), but takes three quotes of any kind in a row for the begin of a longer
    text: so every character that means something has a backslash, and there are no quotes.
    """
    return _PLAIN.sub(r"\\\g<0>", value)
