"""Commands of the in-memory tensor store for tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from smartsim.adapters.tensors.in_memory_keys import CommandKind, Commands, Keys, RefusedError, Shared, integer
from smartsim.domain.tensor_types import WIRE_NAMES
from smartsim.ports.tensor_store import Reply

_TYPE_NAMES = {np.dtype(name): wire.encode() for name, wire in WIRE_NAMES.items()}
_DTYPES = {wire: dtype for dtype, wire in _TYPE_NAMES.items()}


@dataclass(frozen=True)
class Tensor(Shared):
    """A tensor; nobody writes into its array."""

    array: npt.NDArray[Any]


def find_tensor(keys: Keys, name: bytes) -> npt.NDArray[Any]:
    """Return a copy of the tensor under a key."""
    return keys.need(name, Tensor, "ERR tensor key is empty or in a different shard").array.copy()


def _set(keys: Keys, name: bytes, kind: bytes, *words: bytes) -> Reply:
    keys.find(name, Tensor)
    dtype = _DTYPES.get(kind)
    if dtype is None:
        raise RefusedError("ERR invalid data type")
    *dimensions, keyword, blob = words if len(words) > 1 else (*words, b"")
    if keyword != b"BLOB":
        raise RefusedError("ERR the in-memory store takes a tensor as one BLOB only")
    wrong_shape = "ERR invalid or negative value found in tensor shape"
    shape = [integer(word, wrong_shape) for word in dimensions]
    if any(dimension <= 0 for dimension in shape):
        raise RefusedError(wrong_shape)
    if math.prod(shape) * dtype.itemsize != len(blob):
        raise RefusedError("ERR data length does not match tensor shape and type")
    if dtype == np.bool_ and blob.strip(b"\0\1"):
        raise RefusedError("ERR BOOL tensor elements must be 0 or 1")
    keys.put(name, Tensor(np.frombuffer(blob, dtype).reshape(shape)))
    return b"OK"


def _get(keys: Keys, name: bytes, *parts: bytes) -> Reply:
    tensor = find_tensor(keys, name)
    if parts == (b"META", b"BLOB"):
        return tensor
    if parts == (b"META",):
        return [b"dtype", _TYPE_NAMES[tensor.dtype], b"shape", list(tensor.shape)]
    raise RefusedError("ERR unsupported data format")


COMMANDS: Commands = {
    b"AI.TENSORSET": CommandKind(_set, 3),
    b"AI.TENSORGET": CommandKind(_get, 1, 3),
}
"""By name."""
