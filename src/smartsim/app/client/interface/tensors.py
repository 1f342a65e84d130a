"""Tensors, bytes and keys."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from smartsim.app.client import tensors, waiting
from smartsim.app.client.calls import Call
from smartsim.app.client.interface.naming import Naming, key


class TensorInterface(Naming):
    """Calls about tensors."""

    def put_tensor(self, name: str, data: Any, ttl: float | None = None) -> Call[None]:
        """Store an array under a name, replacing what was there.

        Args:
            name: without prefix; the client adds its own.
            data: an array of at least one dimension, none of them zero; float64, float32, int8, int16, int32, int64,
                uint8, uint16 or bool. Any memory layout and byte order: what is sent is in C order. (Clients in C, C++
                and Fortran do not know bool.) PyTorch and TensorFlow tensors in the host's memory will do as well, and
                whatever else speaks DLPack or the buffer protocol.
            ttl: after so many seconds the database forgets it; never, when None.

        Raises:
            TypeError: not an array, or of another dtype.
            RedisRuntimeError: it has no dimension or no element, or the database refuses.

        Example:
            >>> client.put_tensor("temperature", np.full((64, 64), 293.15))  # doctest: +SKIP
        """
        return tensors.put_tensor(key(self.prefixes.tensor_to_write, name), data, ttl)

    def get_tensor(self, name: str) -> Call[npt.NDArray[Any]]:
        """Return the array under a name.

        Returns:
            A new array that owns its memory: writable, in C order.

        Raises:
            RedisRuntimeError: there is none.

        Example:
            >>> client.get_tensor("temperature").mean()  # doctest: +SKIP
            np.float64(293.15)
        """
        return tensors.get_tensor(key(self.prefixes.tensor_to_read, name))

    def delete_tensor(self, name: str) -> Call[None]:
        """Remove a tensor; nothing happens when there is none of that name."""
        return tensors.delete_tensor(key(self.prefixes.tensor_to_read, name))

    def copy_tensor(self, src_name: str, dest_name: str) -> Call[None]:
        """Store a tensor under another name, too.

        Args:
            src_name: read under the prefix of the data source.
            dest_name: written under the prefix of this client.

        Raises:
            RedisRuntimeError: there is no such tensor.
        """
        source = key(self.prefixes.tensor_to_read, src_name, "src_name")
        return tensors.copy_tensor(source, key(self.prefixes.tensor_to_write, dest_name, "dest_name"))

    def rename_tensor(self, old_name: str, new_name: str) -> Call[None]:
        """Give a tensor another name.

        Args:
            old_name: read under the prefix of the data source.
            new_name: written under the prefix of this client.

        Raises:
            RedisRuntimeError: there is no such tensor.
        """
        old = key(self.prefixes.tensor_to_read, old_name, "old_name")
        return tensors.rename_tensor(old, key(self.prefixes.tensor_to_write, new_name, "new_name"))

    def tensor_exists(self, name: str) -> Call[bool]:
        """Return whether there is a tensor of that name, under the prefix of the data source."""
        return tensors.key_exists(key(self.prefixes.tensor_to_read, name))

    def key_exists(self, key: str) -> Call[bool]:
        """Return whether there is anything under a key; no prefix is added."""
        return tensors.key_exists(_plain(key))

    def poll_tensor(self, name: str, poll_frequency_ms: int, num_tries: int) -> Call[bool]:
        """Wait until there is a tensor of a name, for ``poll_frequency_ms * num_tries`` ms at most.

        The database tells when it is there: there is nothing to gain from short pauses.

        Args:
            name: looked for under the prefix of the data source.
            poll_frequency_ms: what the clients of old paused between two looks.
            num_tries: for how many such pauses to wait.

        Returns:
            Whether it came.

        Raises:
            ValueError: a number is negative.

        Example:
            >>> if not client.poll_tensor("temperature", 100, 600):  # doctest: +SKIP
            ...     raise SystemExit("no temperature within a minute")
        """
        return waiting.poll_key(key(self.prefixes.tensor_to_read, name), poll_frequency_ms, num_tries)

    def poll_key(self, key: str, poll_frequency_ms: int, num_tries: int) -> Call[bool]:
        """Wait until there is something under a key, to which no prefix is added; otherwise as `poll_tensor`."""
        return waiting.poll_key(_plain(key), poll_frequency_ms, num_tries)

    def put_bytes(self, name: str, data: Any, ttl: float | None = None) -> Call[None]:
        """Store bytes under a name, replacing what was there.

        Args:
            name: prefixed as names of tensors are.
            data: bytes, or whatever lends its memory: a bytearray, a memoryview, an `io.BytesIO`'s ``getbuffer()``.
            ttl: after so many seconds the database forgets it; never, when None.

        Raises:
            TypeError: it lends no memory.

        Example:
            >>> client.put_bytes("settings", b"[solver]")  # doctest: +SKIP
        """
        return tensors.put_bytes(key(self.prefixes.tensor_to_write, name), data, ttl)

    def get_bytes(self, name: str) -> Call[bytes]:
        """Return the bytes under a name.

        Raises:
            RedisKeyError: there are none.
            RedisRuntimeError: what is there is something else.
        """
        return tensors.get_bytes(key(self.prefixes.tensor_to_read, name))


def _plain(name: str) -> str:
    return key(str, name, "key")
