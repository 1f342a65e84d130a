"""How datasets are kept in a database.

A dataset with the stem ``prefix.{name}`` is a hash ``prefix.{name}.meta``, and a tensor ``prefix.{name}.<tensor>`` for
each of its tensors; the braces keep them on one shard. Commands of the server's module take, give, remove, copy and
rename a whole dataset in one step, so nobody sees one in the middle of it; see `docs/module.md`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from smartsim.app.client.calls import SHARDS, Call, check, integer, pairs, several, text
from smartsim.app.client.dataset import Content
from smartsim.app.client.tensors import tensor_set
from smartsim.domain.client_errors import RedisInternalError, RedisKeyError, RedisRuntimeError
from smartsim.domain.layouts import decode_layouts, encode_layout, join_layouts
from smartsim.domain.metadata import COMPLETE, TENSOR_NAMES, Scalars, decode, decode_text, encode_strings, encode_text
from smartsim.ports.tensor_store import Command, Reply, Word

_BLOB: Final = 1 << 20
"""Tensors are sent together in blobs of so many bytes: one by one, eight of 64 KiB took the server a third longer. It
keeps a blob as long as one of its tensors is there."""

_MANY_BYTES: Final = 1 << 28
"""The server keeps what arrives of a command, and hangs up when it is 1 GiB (its client-query-buffer-limit)."""

_STAGED_FOR: Final = b"3600000"  # ms
"""What is put aside is forgotten after this long, should nobody come back to it."""

_NEVER: Final = b"0"

_INCOMPLETE: Final = "INCOMPLETE the dataset is without its tensor "


def read(stems: Sequence[bytes]) -> Call[list[Content]]:
    """Return what is stored under some stems, all in one round trip.

    Each is as it was at one moment, unless it was written piece by piece, as the clients of old do.

    Args:
        stems: of the keys.

    Raises:
        RedisKeyError: there is no dataset under one of them.
        RedisRuntimeError: a tensor of a dataset is not there.
    """
    if not stems:
        return []
    replies = yield [
        Command((b"AI._DATASETGET", key), key=key, changes=False) for key in [meta_key(stem) for stem in stems]
    ]
    return [_content(stem, reply) for stem, reply in zip(stems, replies, strict=True)]


def write(stem: bytes, content: Content, expiry: bytes | None) -> Call[None]:
    """Replace what is under a stem.

    Args:
        stem: of the keys.
        content: what is stored from now on.
        expiry: in how many milliseconds it expires, or None.
    """
    if b"{}" in stem:
        yield from _check_slot(stem)
    if content.size < _MANY_BYTES:
        (reply,) = yield [_put(stem, content, expiry or _NEVER)]
        check(reply)
    else:
        yield from _write_staged(stem, content, expiry or _NEVER)


def remove(stem: bytes) -> Call[bool]:
    """Remove what is under a stem; return whether there was anything."""
    key = meta_key(stem)
    (reply,) = yield [Command((b"AI._DATASETDEL", key), key=key)]
    return bool(integer(reply))


def copy(old: bytes, new: bytes) -> Call[None]:
    """Replace what is under a stem by what is under another in its slot.

    Raises:
        RedisKeyError: there is no dataset.
        RedisRuntimeError: a tensor of it is not there.
    """
    yield from _transfer(b"AI._DATASETCOPY", old, new)


def rename(old: bytes, new: bytes) -> Call[None]:
    """Do as `copy` does, and remove what was copied."""
    yield from _transfer(b"AI._DATASETRENAME", old, new)


def meta_key(stem: bytes) -> bytes:
    """Return the key of the metadata of a dataset."""
    return stem + b".meta"


def part_key(stem: bytes, name: bytes) -> bytes:
    """Return the key of a tensor of a dataset."""
    return b"%b.%b" % (stem, name)


# --- writing


def _put(stem: bytes, content: Content, expiry: bytes) -> Command:
    key = meta_key(stem)
    tensors = content.tensors.values()
    words: list[Word] = [b"AI._DATASETPUT", key, expiry, *_fields(content)]
    if tensors:
        words.append(join_layouts([_layout(array.dtype, array.shape) for array in tensors]))
        words += [tuple(tensors)] if content.size <= _BLOB else _blobs(tensors)
    return Command(tuple(words), key)


def _fields(content: Content) -> list[bytes]:
    """Return how many fields the hash has, then these with their values."""
    words = [word for field in content.fields.items() for word in field]
    if content.tensors:
        words += (TENSOR_NAMES, _encode_names(tuple(content.tensors)))
    words += (COMPLETE, b"1")
    return [b"%d" % (len(words) // 2), *words]


# Most datasets of a program have the same tensors.
@lru_cache(maxsize=64)
def _encode_names(names: tuple[str, ...]) -> bytes:
    return encode_strings(map(encode_text, names))


@lru_cache(maxsize=1024)
def _layout(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    return encode_layout(dtype.name, shape)


def _blobs(tensors: Iterable[npt.NDArray[Any]]) -> list[tuple[npt.NDArray[Any], ...]]:
    blobs: list[list[npt.NDArray[Any]]] = []
    room = 0
    for array in tensors:
        if array.nbytes > room:
            blobs.append([])
            room = _BLOB
        blobs[-1].append(array)
        room -= array.nbytes
    return [tuple(blob) for blob in blobs]


def _write_staged(stem: bytes, content: Content, expiry: bytes) -> Call[None]:
    """Store the parts of a dataset under another stem, each by a command of its own, and then rename it."""
    aside = stem + uuid.uuid4().hex.encode()  # in the same slot, and for whom it may be
    key = meta_key(aside)
    parts = [part_key(aside, encode_text(name)) for name in content.tensors]
    requests = [Command((b"HSET", key, *_fields(content)[1:]), key)]
    requests += [tensor_set(part, array) for part, array in zip(parts, content.tensors.values(), strict=True)]
    requests += [Command((b"PEXPIRE", part, _STAGED_FOR), key) for part in (key, *parts)]
    try:
        check((yield requests))
        (reply,) = yield [Command((b"AI._DATASETRENAME", key, meta_key(stem), expiry), key)]
        if _missing_tensor(reply) or not integer(reply):
            raise RedisRuntimeError("The database dropped tensors while they arrived: give it more memory (maxmemory)")
    except RedisRuntimeError:
        yield [Command((b"UNLINK", key, *parts), key)]
        raise


def _check_slot(stem: bytes) -> Call[None]:
    """Make sure that the keys of a dataset are on one shard: the server does not look into an empty pair of braces."""
    if stem[stem.find(b"{") :].startswith(b"{}"):
        shards = yield SHARDS
        if shards[0].prefix:
            name = decode_text(stem)
            raise RedisRuntimeError(f"The dataset {name!r} cannot be stored in a cluster: begin its name without '}}'")


def _transfer(name: bytes, old: bytes, new: bytes) -> Call[None]:
    key = meta_key(old)
    (reply,) = yield [Command((name, key, meta_key(new)), key)]
    _check_complete(old, reply)
    if not integer(reply):
        raise _absent(old)


# --- reading


def _content(stem: bytes, reply: Reply) -> Content:
    if reply is None:
        raise _absent(stem)
    _check_complete(stem, reply)
    try:
        hash_fields, layouts, *blobs = several(reply)
        fields = pairs(hash_fields)
        fields.pop(COMPLETE, None)
        expected = _expected(fields.pop(TENSOR_NAMES, None), text(layouts))
        return Content(fields, _cut(expected, blobs))
    except (ValueError, TypeError) as error:
        key = decode_text(stem)
        raise RedisInternalError(f"The dataset {key!r} cannot be read: {error}", key=key) from error


class _Expected(NamedTuple):
    """A tensor that is to come."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    size: int


# Most datasets of a program have the same tensors.
@lru_cache(maxsize=256)
def _expected(names_field: bytes | None, layouts: bytes) -> tuple[_Expected, ...]:
    names = [] if names_field is None else decode(names_field)
    if isinstance(names, Scalars):
        raise ValueError(f"the names of its tensors are of type {names.dtype}")  # noqa: TRY004 - as for all of it
    return tuple(
        _Expected(decode_text(name), layout.shape, np.dtype(layout.dtype), layout.size)
        for name, layout in zip(names, decode_layouts(layouts), strict=True)
    )


def _cut(expected: Iterable[_Expected], blobs: Iterable[Any]) -> dict[str, npt.NDArray[Any]]:
    """Return the tensors that are in some blobs, where they are.

    Raises:
        TypeError: they are not.
    """
    tensors = {}
    rest = iter(blobs)
    blob: Any = b""
    start = 0
    for name, shape, dtype, size in expected:
        if start == len(blob):
            blob, start = next(rest, b""), 0
        tensors[name] = np.ndarray(shape, dtype, blob, start)
        start += size
    return tensors


def _check_complete(stem: bytes, reply: Reply) -> None:
    if name := _missing_tensor(reply):
        key = decode_text(stem)
        raise RedisRuntimeError(
            f"The tensor {name!r} of the dataset {key!r} is not there: a client of old is writing the dataset, or "
            "did not finish; wait until it is complete (poll_dataset), or put it again",
            key=key,
        )


def _missing_tensor(reply: Reply) -> str:
    """Return which tensor is missing, if it is that what a reply says."""
    if isinstance(reply, RedisRuntimeError) and reply.reply.startswith(_INCOMPLETE):
        return reply.reply.removeprefix(_INCOMPLETE)
    return ""


def _absent(stem: bytes) -> RedisKeyError:
    key = decode_text(stem)
    return RedisKeyError(f"There is no dataset {key!r}: check the name and the data source, or wait for it", key=key)
