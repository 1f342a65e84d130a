"""How a dataset is laid out in a reply: most of those that a program reads are laid out as the one before."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

import numpy as np

from smartsim.adapters.tensors.wire import CRLF
from smartsim.domain.metadata import COMPLETE, TENSOR_NAMES
from smartsim.ports.tensor_store import Reply

_LARGEST: Final = 4 * 1024 * 1024
"""In bytes; where more is to be received, the time for parsing does not count."""

_MOST_WORDS: Final = 64
"""Of the metadata; where there are many, to look at each is what takes the time."""

_TEXTS: Final = frozenset({bytes})
_BLOBS: Final = frozenset({bytes, np.ndarray})
_ALIKE: Final = frozenset({TENSOR_NAMES, COMPLETE})
"""Fields of the metadata of which the values are alike, too."""


class DatasetForm:
    """Which bytes all replies to AI._DATASETGET share that are laid out alike, and where the others are.

    They share all but the values of the metadata and the elements of the tensors: so to look whether these bytes are
    there is all the parsing that is left.

    Args:
        fields: of the metadata: names and values in turn.
        layouts: of the tensors.
        blobs: sizes of the blobs of their elements.

    Attributes:
        size: of such a reply, in bytes.
    """

    __slots__ = (
        "_begin",
        "_blobs",
        "_fields",
        "_layouts",
        "_positions",
        "_shared",
        "_shared_begin",
        "_size_of_begin",
        "_whole",
        "size",
    )

    def __init__(self, fields: Sequence[bytes], layouts: bytes, blobs: Sequence[int]) -> None:
        self._fields: list[Reply] = list(fields)
        self._layouts = layouts
        self._positions = [n for n in range(1, len(fields), 2) if fields[n - 1] not in _ALIKE]
        shared: list[bytes] = []
        others: list[str] = []  # each follows the shared bytes of the same position
        text = b"*%d\r\n*%d\r\n" % (2 + len(blobs), len(fields))
        for position, word in enumerate(fields):
            text += b"$%d\r\n" % len(word)
            if position in self._positions:
                shared.append(text)
                others.append(f"{len(word)}s")
                text = CRLF
            else:
                text += word + CRLF
        text += b"$%d\r\n%b\r\n" % (len(layouts), layouts)
        for size in blobs:
            shared.append(text + b"$%d\r\n" % size)
            others.append(f"{size}x0s")  # nothing is taken out
            text = CRLF
        self._shared = (*shared, text)
        self._shared_begin = self._shared[: len(self._positions) + 1]
        whole, begin = _struct(self._shared, others), _struct(self._shared_begin, others)
        self.size, self._whole = whole.size, whole.unpack_from
        self._size_of_begin, self._begin = begin.size, begin.unpack_from
        self._blobs: list[tuple[int, int]] = []
        start = begin.size
        for size, behind in zip(blobs, self._shared[len(self._shared_begin) :], strict=True):
            self._blobs.append((start, start + size))
            start += size + len(behind)

    def begins(self, data: memoryview) -> bool:
        """Tell whether such a reply begins with some bytes: all those before the first blob, at least."""
        return len(data) >= self._size_of_begin and self._begin(data)[::2] == self._shared_begin

    def read(self, data: bytes | memoryview, start: int = 0) -> Reply:
        """Return the reply that starts somewhere, its blobs cut out of the data; None if none of this form does."""
        if len(data) - start < self.size:
            return None
        parts = self._whole(data, start)
        if parts[::2] != self._shared:
            return None
        fields = self._fields.copy()
        for number, position in enumerate(self._positions):
            fields[position] = parts[2 * number + 1]
        reply: list[Reply] = [fields, self._layouts]
        for begin, end in self._blobs:
            blob = data[start + begin : start + end]
            reply.append(blob if isinstance(blob, bytes) else np.frombuffer(blob, np.uint8))
        return reply


class FormFinder:
    """Finds out which form replies have.

    Attributes:
        form: of two replies that came one after the other; None before that.
    """

    def __init__(self) -> None:
        self.form: DatasetForm | None = None
        self._last: tuple[object, ...] = ()

    def see(self, reply: Reply) -> None:
        """Take note of a reply that did not have the form."""
        match reply:
            case [list(fields), bytes(layouts), *blobs] if max(len(fields), len(blobs)) <= _MOST_WORDS:
                if _TEXTS.issuperset(map(type, fields)) and _BLOBS.issuperset(map(type, blobs)):
                    sizes: list[int] = list(map(len, blobs))  # type: ignore[arg-type]  # just looked at
                    seen = (tuple(map(len, fields)), layouts, sizes)  # type: ignore[arg-type]  # likewise
                    # To make a form takes as long as to do without one, so a single reply is no reason.
                    if seen == self._last and sum(sizes) < _LARGEST:
                        self.form = DatasetForm(fields, layouts, sizes)  # type: ignore[arg-type]  # likewise
                    self._last = seen


def _struct(shared: Sequence[bytes], others: Sequence[str]) -> struct.Struct:
    """Return what takes apart the bytes that are shared, and the others between them."""
    parts = [f"{len(text)}s{other}" for text, other in zip(shared, [*others[: len(shared) - 1], ""], strict=True)]
    return struct.Struct("".join(parts))
