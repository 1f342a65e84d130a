"""What a dataset is in the database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Content(NamedTuple):
    """What a dataset is in the database.

    Attributes:
        fields: the metadata without the reserved fields, as in `smartsim.domain.metadata`.
        tensors: by name, in the order in which they were added.
    """

    fields: Mapping[bytes, bytes]
    tensors: Mapping[str, npt.NDArray[Any]]


class Place(NamedTuple):
    """Where a tensor is that was received.

    Attributes:
        shape: the tensor's.
        dtype: of its elements.
        blob: with them among others, by its number.
        start: of the first of them in that, in bytes.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    blob: int
    start: int


class ReceivedTensors(Mapping[str, npt.NDArray[Any]]):
    """Tensors where they were received; the arrays are made when somebody asks for them.

    Args:
        places: where they are, by name.
        blobs: large enough for that.
    """

    __slots__ = ("_blobs", "_places")

    def __init__(self, places: Mapping[str, Place], blobs: Sequence[Any]) -> None:
        self._places = places
        self._blobs = blobs

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        shape, dtype, blob, start = self._places[name]
        return np.ndarray(shape, dtype, self._blobs[blob], start)

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
