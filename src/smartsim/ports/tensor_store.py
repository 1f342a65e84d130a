"""Arrays under keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy.typing as npt


class TensorStore(Protocol):
    """A store of tensors, as `Client` sees it. Keys are final: prefixes are the client's business.

    Several threads may use one store. Every method raises an error of `smartsim.domain.client_errors`:
    `RedisDatabaseError` when the store cannot be reached or does not answer in time, `RedisRuntimeError` when it
    refuses, `RedisInternalError` when what it answers makes no sense, `RedisBadAllocError` when memory runs out on this
    side. After any of them the store can be used as before.
    """

    def put(self, key: str, data: npt.NDArray[Any]) -> None:
        """Store an array under a key, replacing what was there.

        Args:
            key: the final key.
            data: at least one dimension, none of them zero; C order, native byte order, a dtype of the wire
                (float64 float32 int8 int16 int32 int64 uint8 uint16 bool). The store does not keep it: the caller may
                change it afterwards.
        """
        ...

    def get(self, key: str) -> npt.NDArray[Any]:
        """Return the array under a key: fresh, writable, in C order."""
        ...

    def delete(self, key: str) -> None:
        """Remove a key; nothing happens when it is not there."""
        ...

    def copy(self, source: str, destination: str) -> None:
        """Store what is under one key under another, too."""
        ...

    def rename(self, source: str, destination: str) -> None:
        """Move what is under one key to another."""
        ...

    def exists(self, key: str) -> bool:
        """Return whether anything is under a key."""
        ...
