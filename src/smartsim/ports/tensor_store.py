"""A database of tensors, datasets, models and scripts, as the client sees it.

What a client says is a list of requests, in the words of the protocol that all clients share (RESP commands and the
``AI.*`` commands); what carries them out is behind this port.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from smartsim.domain.addresses import Address
from smartsim.domain.client_errors import RedisRuntimeError

if TYPE_CHECKING:
    import numpy.typing as npt

Word: TypeAlias = "bytes | npt.NDArray[Any] | tuple[npt.NDArray[Any], ...]"
"""A word of a command; an array in C order stands for the bytes of its elements, which are sent from where they are.
Several arrays stand for those of all, one after the other."""

Reply: TypeAlias = "int | bytes | npt.NDArray[Any] | RedisRuntimeError | list[Reply] | None"
"""What a database says: nil, a number, a text, a tensor (always to ``AI.TENSORGET key META BLOB``), an error, several.
The blobs in a reply to ``AI._DATASETGET`` may be arrays of bytes.

An error is the exception for it, which is handed over, not raised.
"""


class Command(NamedTuple):
    """A command for the database.

    Attributes:
        words: its name in capital letters, and its arguments.
        key: carried out by the shard that has this key.
        shard: carried out by this shard, instead; any one will do when neither is given.
        changes: whether it changes anything. One that does is sent again only if the database surely did not get it.
        patience: how many seconds longer than others its answer may take.
    """

    words: tuple[Word, ...]
    key: bytes | None = None
    shard: Address | None = None
    changes: bool = True
    patience: float = 0.0


class Transaction(NamedTuple):
    """Commands that are carried out with no other between them, by one shard; the reply is the list of theirs.

    Attributes:
        commands: they have keys of one slot, or the same shard.
    """

    commands: tuple[Command, ...]


Request: TypeAlias = Command | Transaction


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of a database.

    Attributes:
        address: where it listens.
        slots: first and last of the hash slots that it serves; a shard with several ranges of slots is listed once for
            each, in the order of their first slots.
        prefix: with it and a dot before it, a name becomes a key of this shard: ``{8M}.name``; empty for a database
            that is no cluster.
    """

    address: Address
    slots: tuple[int, int]
    prefix: bytes = b""


class TensorStore(Protocol):
    """A database, for callers that wait. Keys are final: prefixes are the client's business.

    Several threads may use one store. Every method raises an error of `smartsim.domain.client_errors`:
    `RedisDatabaseError` when the database cannot be reached or does not answer in time, `RedisInternalError` when what
    it answers makes no sense, `RedisBadAllocError` when memory runs out on this side. After any of them the store can
    be used as before.
    """

    def put(self, key: bytes, data: npt.NDArray[Any]) -> None:
        """Store an array under a key, replacing what was there.

        Args:
            key: the final key.
            data: at least one dimension, none of them zero; C order, native byte order, a dtype of the wire
                (float64 float32 int8 int16 int32 int64 uint8 uint16 bool). The store does not keep it: the caller may
                change it afterwards.

        Raises:
            RedisRuntimeError: the database refuses.
        """
        ...

    def get(self, key: bytes) -> npt.NDArray[Any]:
        """Return the array under a key: fresh, writable, in C order.

        Raises:
            RedisRuntimeError: there is none.
        """
        ...

    def run(self, requests: Sequence[Request]) -> list[Reply]:
        """Carry out some requests, in one round trip to each shard that they concern.

        Those for one shard are carried out in their order, except that one which a cluster redirects, since its slot is
        moving, comes after the others. What the database refuses stops no other request: the error stands among the
        replies.
        """
        ...

    def shards(self) -> tuple[Shard, ...]:
        """Return the shards as they are now, ordered by their first slots; the only one, if it is no cluster."""
        ...

    def close(self) -> None:
        """Close the connections; calls that follow fail."""
        ...


class AsyncTensorStore(Protocol):
    """A database, for callers of an asyncio event loop; otherwise as `TensorStore`."""

    async def run(self, requests: Sequence[Request]) -> list[Reply]:
        """Carry out some requests, in one round trip to each shard that they concern."""
        ...

    async def shards(self) -> tuple[Shard, ...]:
        """Return the shards as they are now, ordered by their first slots."""
        ...

    async def close(self) -> None:
        """Close the connections; calls that follow fail."""
        ...
