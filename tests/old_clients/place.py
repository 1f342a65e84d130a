"""Databases of either kind, and all that is in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from old_clients.database import Database
from smartsim.client import Client

Content: TypeAlias = dict[tuple[int, bytes], Any]
"""What is under each key of each shard, as bytes."""


@dataclass(frozen=True)
class Place:
    """A database.

    Attributes:
        address: what `SSDB` says of it.
        shards: all of them.
    """

    address: str
    shards: Sequence[Database]

    def empty(self) -> None:
        """Remove everything."""
        for shard in self.shards:
            shard.client.flushall()

    def content(self) -> Content:
        """Return everything that there is."""
        return {
            (number, key): _value(shard, key)
            for number, shard in enumerate(self.shards)
            for key in sorted(shard.stored())
        }

    def client(self) -> Client:
        """Return a client of this project."""
        return Client(cluster=len(self.shards) > 1, address=self.address)


def _value(shard: Database, key: bytes) -> Any:
    match shard.client.type(key):
        case b"hash":
            return shard.client.hgetall(key)
        case b"list":
            return shard.client.lrange(key, 0, -1)
        case b"AI_TENSOR":
            return shard.client.execute_command("AI.TENSORGET", key, "META", "BLOB")
        case b"AI__MODEL":
            return shard.client.execute_command("AI.MODELGET", key, "META", "BLOB")
        case b"AI_SCRIPT":
            return shard.client.execute_command("AI.SCRIPTGET", key, "META", "SOURCE")
    raise AssertionError(f"what is {key!r}?")
