"""What keeps workers running, connected to a shard."""

from __future__ import annotations

import os
from collections.abc import Mapping

from smartsim.adapters.work.connection import Connection, encode, encode_hello
from smartsim.domain.addresses import Address
from smartsim.ports.work_source import Drop, Kill, WorkSourceLostError


class RespSupervision:
    """Says that the workers of a device are kept running, and is told which of them to end.

    Every method raises `WorkSourceLostError` when the shard has gone or refuses.

    Args:
        address: where the shard listens.
        user: to log in as.
        password: the user's.

    Raises:
        WorkSourceLostError: there is no shard, or it does not let the user in.
    """

    def __init__(self, address: Address, user: str, password: str) -> None:
        self._connection = Connection(address, user, password)

    def hello(self, device: str, versions: Mapping[str, str]) -> None:
        """Say what the workers can run.

        Args:
            device: theirs.
            versions: of the frameworks, by backend.
        """
        self._connection.send(encode_hello("SUPERVISOR", device, os.getpid(), versions))
        self._connection.read_ok()

    def unavailable(self, text: str) -> None:
        """Say that the workers do not start.

        Args:
            text: why; clients are told.
        """
        self._connection.send(encode("AI._WORKER", "UNAVAILABLE", text))
        self._connection.read_ok()

    def next(self) -> Kill | Drop:
        """Wait until there is something to do."""
        self._connection.send(encode("AI._WORKER", "NEXT"))
        words = b" ".join(self._connection.read_strings()).split(b" ")
        try:
            numbers = tuple(map(int, words[1:]))
        except ValueError:
            numbers = ()
        if words[0] == b"KILL" and len(numbers) == 1:
            return Kill(*numbers)
        if words[0] == b"DROP":
            return Drop(numbers)
        raise WorkSourceLostError(f"The shard gives {words[0][:20]!r} to what only keeps workers running")

    def hang_up(self) -> None:
        """Have the thread that waits in `next` lose the shard."""
        self._connection.hang_up()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
