"""A tensor store that answers what a test has written down, and remembers what it was asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from smartsim.domain.addresses import Address
from smartsim.domain.slots import key_slot, shard_prefix
from smartsim.ports.tensor_store import Reply, Request, Shard

STANDALONE = (Shard(Address.tcp("db", 6379), (0, 16383)),)
_ENDS = ((0, 5460), (5461, 10922), (10923, 16383))
CLUSTER = tuple(Shard(Address.tcp("db", 7000 + i), slots, shard_prefix(slots[0])) for i, slots in enumerate(_ENDS))


class ScriptedStore:
    """A `TensorStore` with given replies.

    Args:
        *rounds: the replies to each `run`, in turn; a run too many, or with another number of requests, fails.
        shards: of the database.

    Attributes:
        asked: the requests of each `run`.
    """

    def __init__(self, *rounds: Sequence[Any], shards: tuple[Shard, ...] = STANDALONE) -> None:
        self._rounds = list(rounds)
        self._shards = shards
        self.asked: list[list[Request]] = []

    def run(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer what is next."""
        self.asked.append(list(requests))
        assert self._rounds, f"nothing is left to answer {requests}"
        replies = list(self._rounds.pop(0))
        assert len(replies) == len(requests), f"{replies} do not answer {requests}"
        return replies

    def shards(self) -> tuple[Shard, ...]:
        """Return the shards."""
        return self._shards

    def put(self, key: bytes, data: npt.NDArray[Any]) -> None:
        """Not part of any script."""
        raise NotImplementedError

    def get(self, key: bytes) -> npt.NDArray[Any]:
        """Not part of any script."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is open."""


def name_on(shard: int, stem: str = "t") -> str:
    """Return a name that a shard of `CLUSTER` has."""
    first, last = _ENDS[shard]
    return next(name for name in (f"{stem}{i}" for i in range(1000)) if first <= key_slot(name.encode()) <= last)
