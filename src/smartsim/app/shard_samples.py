"""Samples that the supervisor of a shard takes when the driver has gone.

They are those of the driver, at the same interval, in the same file. This module is imported when the first one is
due, so that a supervisor whose driver lives stays as small as it was.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from smartsim.adapters.clock.system import SystemClock
from smartsim.adapters.database import usage
from smartsim.adapters.eventlog.jsonl import JsonlEventLog
from smartsim.adapters.filesystem.posix import PosixFileSystem
from smartsim.adapters.work.connection import Connection, encode
from smartsim.app.database_samples import DatabaseSamples, SampledServer
from smartsim.app.sampling import Samples
from smartsim.domain.errors import SmartSimError
from smartsim.ports.database_server import Credentials, LargestKeys, ServerUsage
from smartsim.ports.work_source import WorkRefusedError

if TYPE_CHECKING:
    from smartsim.app.sampling_turns import Turn
    from smartsim.domain.addresses import Address


class ShardSamples:
    """Samples of one server.

    Args:
        name: of the server.
        address: where it listens.
        credentials: of the user that samples.
        turn: of the driver that has gone.
    """

    def __init__(self, name: str, address: Address, credentials: Credentials, turn: Turn) -> None:
        clock, server = SystemClock(), SampledServer(turn.database, name, "", Observer(), address, credentials)
        self._source = DatabaseSamples(lambda: [server], PosixFileSystem(), clock, turn.interval)
        self._samples = Samples(JsonlEventLog(posixpath.normpath(turn.metrics)), clock)

    def take(self) -> None:
        """Take one, if it is time for it."""
        self._samples.take(list(self._source.sample()))


class Observer:
    """Asks a server as `ValkeyServer` does, without redis-py: that alone is larger than a supervisor."""

    def usage(
        self, address: Address, credentials: Credentials, timeout: float, *, lists_clients: bool = False
    ) -> ServerUsage:
        """Ask a shard what it uses, in one go."""
        with _Exchange(address, credentials, timeout) as exchange:
            return usage.ask(exchange, lists_clients=lists_clients)

    def largest_keys(
        self, address: Address, credentials: Credentials, timeout: float, known: LargestKeys
    ) -> LargestKeys:
        """Look for the largest keys of a shard among some more of them."""
        with _Exchange(address, credentials, timeout) as exchange:
            return usage.look_for_keys(exchange, known)


class _Exchange:
    """A connection to a shard for commands that are sent together."""

    def __init__(self, address: Address, credentials: Credentials, timeout: float) -> None:
        try:
            self._connection = Connection(address, credentials.username, credentials.password, timeout)
        except WorkRefusedError as error:
            raise SmartSimError(f"The shard at {address} lets nobody in: {error}") from error

    def __enter__(self) -> Self:
        try:
            self([("HELLO", "2", "SETNAME", usage.CLIENT)])
        except BaseException:
            self._connection.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def __call__(self, commands: Sequence[Sequence[usage.Word]]) -> list[Any]:
        self._connection.send(b"".join(encode(*map(_word, words)) for words in commands))
        return [self._connection.read_reply() for _ in commands]


def _word(word: usage.Word) -> str:
    return word.decode(errors="surrogateescape") if isinstance(word, bytes) else str(word)
