"""Types and shapes of a dataset's tensors in one text, as the server takes and gives them: ``DOUBLE 2 3,INT8 5``."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

from smartsim.domain.tensor_types import WIRE_NAMES

_NAMES: Final = {wire.encode(): name for name, wire in WIRE_NAMES.items()}
_SIZES: Final = {name: int("".join(filter(str.isdigit, name)) or 8) // 8 for name in WIRE_NAMES}


class Layout(NamedTuple):
    """What a tensor is, but for its elements.

    Attributes:
        dtype: the NumPy name of their type.
        shape: the tensor's.
        size: of all elements, in bytes.
    """

    dtype: str
    shape: tuple[int, ...]
    size: int


def encode_layout(dtype: str, shape: Iterable[int]) -> bytes:
    """Return the text for one tensor.

    Example:
        >>> encode_layout("float64", (2, 3))
        b'DOUBLE 2 3'
    """
    return " ".join([WIRE_NAMES[dtype], *map(str, shape)]).encode()


def join_layouts(layouts: Iterable[bytes]) -> bytes:
    """Return the text for several tensors."""
    return b",".join(layouts)


def decode_layouts(text: bytes) -> tuple[Layout, ...]:
    """Return what a text says of some tensors.

    Raises:
        ValueError: it is none, or a tensor is of a type that NumPy arrays cannot hold (STRING).

    Example:
        >>> decode_layouts(b"DOUBLE 2 3")
        (Layout(dtype='float64', shape=(2, 3), size=48),)
    """
    return tuple(map(_decode, text.split(b","))) if text else ()


def _decode(text: bytes) -> Layout:
    name, *sides = text.split(b" ")
    dtype = _NAMES.get(name)
    if dtype is None:
        raise ValueError(f"its type is {name!r}, which this client does not read")
    if not all(side.isdigit() for side in sides):
        raise ValueError(f"{text!r} is no type and shape")
    shape = tuple(map(int, sides))
    return Layout(dtype, shape, math.prod(shape) * _SIZES[dtype])
