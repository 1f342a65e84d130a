"""Whether anybody uses a shard but those who work for it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from smartsim.adapters.work.connection import Connection, encode
from smartsim.domain.addresses import Address

_ANSWER_TIMEOUT: Final = 10.0  # seconds
_REPLICATION: Final = frozenset("SM")  # flags of a connection to a replica, or to the server that this one copies
_COMMAND: Final = "cmdstat_"
# What workers, other servers, this module and who samples the shard say, without anybody's asking for it.
_UNCOUNTED: Final = frozenset(
    (
        *("ai._worker", "auth", "hello", "ping", "info", "client|list", "replconf", "psync"),
        *("slowlog|get", "scan", "memory|usage", "type"),
    )
)


class RespUsage:
    """Asks a shard who is connected, and what was done since it was asked last.

    Every method raises `WorkSourceLostError` when the shard has gone, refuses or does not answer in time.

    Args:
        address: where the shard listens.
        user: to log in as; other connections of this user work for the shard, too.
        password: the user's.
        others: users whose connections do so as well.
    """

    def __init__(self, address: Address, user: str, password: str, others: Collection[str] = ()) -> None:
        self._users = {user, *others}
        self._connection = Connection(address, user, password, timeout=_ANSWER_TIMEOUT)
        self._done: frozenset[str] = frozenset()

    def in_use(self) -> bool:
        """Return whether a client is connected, or has given a command since the last question, or ever."""
        self._connection.send(encode("CLIENT", "LIST"), encode("INFO", "commandstats"))
        connected = has_clients(self._connection.read_string().decode(errors="replace"), self._users)
        before, self._done = self._done, commands_done(self._connection.read_string().decode(errors="replace"))
        return connected or self._done != before

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def has_clients(listing: str, own: Collection[str]) -> bool:
    r"""Return whether a reply to CLIENT LIST has a client that is neither one of ours nor another server.

    Args:
        listing: a line for each connection.
        own: the users of those that work for the shard.

    Example:
        >>> has_clients("id=3 name= flags=bU user=worker\nid=4 name= flags=N user=default\n", {"worker"})
        True
    """
    for line in listing.splitlines():
        facts = dict(word.split("=", 1) for word in line.split(" ") if "=" in word)
        if facts["user"] not in own and not _REPLICATION & set(facts["flags"]):
            return True
    return False


def commands_done(statistics: str) -> frozenset[str]:
    r"""Return the lines of INFO commandstats about what users of a database do.

    Example:
        >>> commands_done("# Commandstats\r\ncmdstat_get:calls=1\r\ncmdstat_client|list:calls=7\r\n")
        frozenset({'cmdstat_get:calls=1'})
    """
    lines = [line for line in statistics.split() if line.startswith(_COMMAND)]
    return frozenset(line for line in lines if line[len(_COMMAND) :].partition(":")[0].lower() not in _UNCOUNTED)
