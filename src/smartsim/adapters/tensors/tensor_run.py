"""Large tensors of one layout that follow one another: received at once, each into the memory of its array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from smartsim.adapters.tensors import wire

_MOST_BYTES: Final = 16 * 1024 * 1024
_MOST_TENSORS: Final = 64


class TensorRun:
    """A guess: that what follows the payload of a tensor are other tensors of the same layout.

    What of the guess turns out to be wrong costs a copy of what was received with it. When it is right, eight tensors
    of 64 KiB are read together in four fifths of the time that it takes with one receive for each.

    Args:
        layout: of all.
        rest: where the rest of the first payload goes.
        following: how many other tensors are expected.
        room: where goes what comes after the last.

    Attributes:
        tensors: those that follow the first.
        room: where the next bytes go, in this order.
    """

    def __init__(self, layout: wire.Layout, rest: memoryview, following: int, room: memoryview) -> None:
        self._head = wire.CRLF + layout.header
        self._unit = len(self._head) + layout.size
        following = min(following, _MOST_TENSORS, _MOST_BYTES // self._unit)
        self.tensors: list[npt.NDArray[Any]] = [np.empty(layout.shape, layout.dtype) for _ in range(following)]
        self._parts = [rest]
        for tensor in self.tensors:
            self._parts += (memoryview(bytearray(len(self._head))), wire.elements_of(tensor))
        self._parts.append(room)
        self.room = list(self._parts)
        self._behind = -len(rest)  # so many bytes have come that are behind the first payload
        self._right = 0  # so many tensors were rightly expected

    def received(self, count: int) -> None:
        """Say how many bytes have come."""
        self._behind += count
        while count >= len(self.room[0]):
            count -= len(self.room.pop(0))
            if not self.room:
                return
        self.room[0] = self.room[0][count:]

    def end(self) -> tuple[Sequence[npt.NDArray[Any]], bytes] | None:
        """Return the tensors that have come after the first, and the bytes behind their last; None if more are to come.

        The line end after the last payload is among those bytes.
        """
        while (behind := self._behind - self._right * self._unit) > 0:
            of_head = min(behind, len(self._head))
            if self._right == len(self.tensors) or self._from(self._right, of_head) != self._head[:of_head]:
                return self.tensors[: self._right], self._from(self._right, behind)
            if behind < self._unit:
                break
            self._right += 1
        return None

    def _from(self, tensor: int, count: int) -> bytes:
        """Return so many of the bytes that were received from the head of a tensor on."""
        found = bytearray()
        for part in self._parts[1 + 2 * tensor :]:
            found += part[: count - len(found)]
            if len(found) == count:
                break
        return bytes(found)
