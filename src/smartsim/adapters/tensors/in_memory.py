"""A tensor store in this process, for tests of code that uses a client."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from smartsim.domain.client_errors import refusal


class InMemoryTensorStore:
    """A `TensorStore` in a dictionary.

    Example:
        >>> from smartsim.client import Client
        >>> client = Client(store=InMemoryTensorStore())
        >>> client.tensor_exists("field")
        False
    """

    def __init__(self) -> None:
        self._tensors: dict[str, npt.NDArray[Any]] = {}

    def put(self, key: str, data: npt.NDArray[Any]) -> None:
        """Store an array under a key, replacing what was there."""
        self._tensors[key] = np.array(data)

    def get(self, key: str) -> npt.NDArray[Any]:
        """Return the array under a key: fresh, writable, in C order."""
        return self._stored(key).copy()

    def delete(self, key: str) -> None:
        """Remove a key; nothing happens when it is not there."""
        self._tensors.pop(key, None)

    def copy(self, source: str, destination: str) -> None:
        """Store what is under one key under another, too."""
        self._tensors[destination] = self._stored(source)

    def rename(self, source: str, destination: str) -> None:
        """Move what is under one key to another."""
        self._tensors[destination] = self._stored(source)
        if source != destination:
            del self._tensors[source]

    def exists(self, key: str) -> bool:
        """Return whether anything is under a key."""
        return key in self._tensors

    def _stored(self, key: str) -> npt.NDArray[Any]:
        try:
            return self._tensors[key]
        except KeyError:
            raise refusal("ERR tensor key is empty or in a different shard", key) from None
