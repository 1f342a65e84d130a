"""How somebody outside of a driver asks it for something: another process of the same user, on the same host."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

Message: TypeAlias = Mapping[str, object]
"""JSON values by name. `app.control` says which; a channel hands on whatever it is given, up to `LONGEST`."""

LONGEST = 65_536
"""Bytes that a message may have as JSON, with its line end."""

Answer: TypeAlias = Callable[[Message], Message]
"""Answers a request. It is called in several threads at once, and may take its time; it raises nothing."""


@dataclass(frozen=True)
class Address:
    """Where a driver listens, or listened: that it is known does not mean that it lives.

    Args:
        host: the name of its machine.
        pid: its process id there.
        is_here: whether that is this machine. Nobody is heard from another.
        name: the channel's own name for it.
    """

    host: str
    pid: int
    is_here: bool
    name: str


class Listener(Protocol):
    """A driver that listens."""

    def close(self) -> None:
        """Take no more requests, and wait a little for the answers to those that were taken. May be called again."""
        ...


class ControlChannel(Protocol):
    """Hands requests to the drivers of experiments. No other user is heard, and no other user's driver is asked."""

    def listen(self, directory: str, answer: Answer) -> Listener:
        """Answer what this driver is asked from now on.

        Args:
            directory: of the experiment; absolute. Several may listen there.
            answer: gives the answers.

        Raises:
            OSError: one cannot listen there.
        """
        ...

    def addresses(self, directory: str) -> Sequence[Address]:
        """Return where drivers of an experiment listen, on every machine that sees its directory.

        Raises:
            OSError: another user's drivers listen there, or the system refuses.
        """
        ...

    def ask(self, directory: str, address: Address, request: Message, timeout: float) -> Message | None:
        """Return the answer of a driver, None when it has gone.

        Args:
            directory: of the experiment; absolute.
            address: of the driver, on this machine.
            request: what it is asked.
            timeout: the longest wait in seconds.

        Raises:
            TimeoutError: it does not answer in time. It may do what it was asked for all the same.
            OSError: it is another user's, or answered something else than a message.
            ValueError: the request is too long.
        """
        ...
