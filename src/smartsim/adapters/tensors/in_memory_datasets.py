"""Commands of the in-memory tensor store for whole datasets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from smartsim.adapters.tensors.in_memory_keys import CommandKind, Commands, Keys, RefusedError, integer
from smartsim.adapters.tensors.in_memory_tensors import Tensor
from smartsim.domain.layouts import decode_layouts, encode_layout, join_layouts
from smartsim.domain.metadata import TENSOR_NAMES, Scalars, decode
from smartsim.domain.tensor_types import WIRE_NAMES
from smartsim.ports.tensor_store import Reply

_SUFFIX: Final = b".meta"
_TYPES: Final = frozenset(WIRE_NAMES.values())
_WRONG_SHAPE: Final = "ERR invalid or negative value found in tensor shape"
_UNREADABLE: Final = "ERR the field .tensor_names of the dataset cannot be read"


def _put(keys: Keys, meta: bytes, milliseconds: bytes, count: bytes, *words: bytes) -> Reply:
    fields, rest = _fields(count, words)
    tensors = _tensors(rest)
    names = _names(meta, fields)
    if len(names) != len(tensors):
        raise RefusedError("ERR there are not as many tensors as names of tensors")
    if meta in names:
        raise RefusedError("ERR a tensor cannot be named meta")
    duration = _duration(milliseconds, "ERR invalid expire time in 'AI._DATASETPUT' command")
    _remove(keys, meta)
    keys.put(meta, fields)
    for name, tensor in zip(names, tensors, strict=True):
        keys.put(name, Tensor(tensor))
    if duration:
        for name in (meta, *names):
            keys.expire(name, duration)
    return b"OK"


def _get(keys: Keys, meta: bytes) -> Reply:
    if meta not in keys:
        return None
    fields: dict[bytes, bytes] = keys.find(meta, dict) or {}
    tensors = [tensor.array for tensor in _find_tensors(keys, meta)]
    layouts = join_layouts([encode_layout(array.dtype.name, array.shape) for array in tensors])
    return [[word for field in fields.items() for word in field], layouts, *[array.tobytes() for array in tensors]]


def _delete(keys: Keys, meta: bytes) -> Reply:
    _stem(meta)
    return int(_remove(keys, meta))


def _copy(keys: Keys, source: bytes, destination: bytes, *milliseconds: bytes) -> Reply:
    return _transfer(keys, source, destination, *milliseconds, moves=False)


def _rename(keys: Keys, source: bytes, destination: bytes, *milliseconds: bytes) -> Reply:
    return _transfer(keys, source, destination, *milliseconds, moves=True)


def _transfer(keys: Keys, source: bytes, destination: bytes, *milliseconds: bytes, moves: bool) -> Reply:
    durations = [_duration(word, "ERR invalid expire time") for word in milliseconds]
    if source not in keys:
        return 0
    _find_tensors(keys, source)
    fields: dict[bytes, bytes] = keys.find(source, dict) or {}
    old, new = [source, *_names(source, fields)], [destination, *_names(destination, fields)]
    if source == destination:
        return 1
    one, other = _stem(source) + b".", _stem(destination) + b"."
    if one.startswith(other) or other.startswith(one):
        raise RefusedError("ERR the one dataset may have keys of the other, since its stem begins with the other's")
    _remove(keys, destination)
    for from_name, to_name in zip(old, new, strict=True):
        keys.duplicate(from_name, to_name)
        if moves:
            keys.remove(from_name)
        for duration in durations:
            if duration:
                keys.expire(to_name, duration)
            else:
                keys.keep(to_name)
    return 1


def _remove(keys: Keys, meta: bytes) -> bool:
    """Remove a dataset, or what is in the place of its metadata."""
    try:
        names = _names(meta, keys.find(meta, dict) or {})
    except RefusedError:
        names = []
    for name in names:
        keys.remove(name)
    return keys.remove(meta)


def _find_tensors(keys: Keys, meta: bytes) -> list[Tensor]:
    fields: dict[bytes, bytes] = keys.find(meta, dict) or {}
    tensors = []
    for name in _names(meta, fields):
        tensor = keys.find_one_of(name, (object,))
        if not isinstance(tensor, Tensor):
            missing = name.removeprefix(_stem(meta) + b".").decode(errors="replace")
            raise RefusedError(f"INCOMPLETE the dataset is without its tensor {missing}")
        tensors.append(tensor)
    return tensors


def _stem(meta: bytes) -> bytes:
    if not meta.endswith(_SUFFIX):
        raise RefusedError("ERR the key of a dataset ends in .meta")
    return meta.removesuffix(_SUFFIX)


def _names(meta: bytes, fields: dict[bytes, bytes]) -> list[bytes]:
    """Return the keys of the tensors."""
    stem = _stem(meta)
    if TENSOR_NAMES not in fields:
        return []
    try:
        names = decode(fields[TENSOR_NAMES])
    except ValueError:
        raise RefusedError(_UNREADABLE) from None
    if isinstance(names, Scalars):
        raise RefusedError(_UNREADABLE)
    return [b"%b.%b" % (stem, name) for name in names]


def _fields(count: bytes, words: Sequence[bytes]) -> tuple[dict[bytes, bytes], Sequence[bytes]]:
    """Return the fields, and the words behind them."""
    refusal = "ERR invalid number of fields in 'AI._DATASETPUT' command"
    number = 2 * integer(count, refusal)
    if not 0 < number <= len(words):
        raise RefusedError(refusal)
    return dict(zip(words[:number:2], words[1:number:2], strict=True)), words[number:]


def _duration(word: bytes, refusal: str) -> int:
    duration = integer(word, refusal)
    if duration < 0:
        raise RefusedError(refusal)
    return duration


def _tensors(words: Sequence[bytes]) -> list[npt.NDArray[Any]]:
    """Return the tensors that layouts and blobs make."""
    if not words:
        return []
    try:
        layouts = decode_layouts(words[0])
    except ValueError:
        known = all(text.split(b" ")[0].decode(errors="replace") in _TYPES for text in words[0].split(b","))
        raise RefusedError(_WRONG_SHAPE if known else "ERR invalid data type") from None
    if not all(layout.size for layout in layouts):
        raise RefusedError(_WRONG_SHAPE)
    data = b"".join(words[1:])
    missing = sum(layout.size for layout in layouts) - len(data)
    if missing > 0:
        raise RefusedError("ERR data length does not match tensor shape and type")
    if missing < 0:
        raise RefusedError("ERR there are more bytes than the tensors take")
    tensors = []
    start = 0
    for layout in layouts:
        array = np.frombuffer(data, np.uint8, layout.size, start)
        if layout.dtype == "bool" and array.max() > 1:
            raise RefusedError("ERR BOOL tensor elements must be 0 or 1")
        tensors.append(array.view(layout.dtype).reshape(layout.shape))
        start += layout.size
    return tensors


COMMANDS: Commands = {
    b"AI._DATASETPUT": CommandKind(_put, 5),
    b"AI._DATASETGET": CommandKind(_get, 1, 1),
    b"AI._DATASETDEL": CommandKind(_delete, 1, 1),
    b"AI._DATASETCOPY": CommandKind(_copy, 2, 3),
    b"AI._DATASETRENAME": CommandKind(_rename, 2, 3),
}
"""By name."""
