"""How datasets are kept in a database.

A dataset with the stem ``prefix.{name}`` is a hash ``prefix.{name}.meta``, and a tensor ``prefix.{name}.<tensor>`` for
each of its tensors; the braces keep them on one shard. Commands of the server's module take, give, remove, copy and
rename a whole dataset in one step, so nobody sees one in the middle of it; see `docs/module.md`.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import Any, Final, NamedTuple

import numpy as np

from smartsim.app.client.calls import SHARDS, Call, check, integer, pairs, several, text
from smartsim.app.client.dataset_content import Content, Place, ReceivedTensors
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

_BLOB_TYPES: Final = frozenset({bytes, np.ndarray})

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
    replies = yield [get(stem) for stem in stems]
    return [found(stem, reply) for stem, reply in zip(stems, replies, strict=True)]


def get(stem: bytes) -> Command:
    """Return the command that is answered with what is stored under a stem; see `found`."""
    key = stem + b".meta"
    return Command((b"AI._DATASETGET", key), key, None, False)  # noqa: FBT003 - by name, that takes twice as long


def write(stem: bytes, content: Content, expiry: bytes | None) -> Call[None]:
    """Replace what is under a stem.

    Args:
        stem: of the keys.
        content: what is stored from now on.
        expiry: in how many milliseconds it expires, or None.
    """
    expiry = expiry or _NEVER
    if b"{}" in stem:
        yield from _check_slot(stem)
    if command := put(stem, content, expiry):
        (reply,) = yield [command]
        check(reply)
    else:
        yield from _write_staged(stem, content, expiry)


def put(stem: bytes, content: Content, expiry: bytes = _NEVER) -> Command | None:
    """Return the command that does all that `write` does, if there is one."""
    arrays = tuple(content.tensors.values())
    form = _form(tuple(content.tensors), tuple(map(_dtype_and_shape, arrays)))
    if form.size >= _MANY_BYTES:
        return None
    key = stem + b".meta"
    fields = _fields(content, form)
    blobs = [arrays[blob] for blob in form.blobs]
    number = b"%d" % (len(fields) // 2)
    words: tuple[Word, ...] = (b"AI._DATASETPUT", key, expiry, number, *fields, *form.layouts, *blobs)
    return Command(words, key)


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


class _Form(NamedTuple):
    """Tensors, but for their elements.

    Attributes:
        fields: that list them, and the one that says that all is there: names and values in turn.
        layouts: theirs, in a list of none or one.
        blobs: which of them are sent together: first, and behind the last.
        size: of all together, in bytes.
    """

    fields: tuple[bytes, ...]
    layouts: tuple[bytes, ...]
    blobs: tuple[slice, ...]
    size: int


_dtype_and_shape: Final = attrgetter("dtype", "shape")


# Most datasets of a program have the same tensors.
@lru_cache(maxsize=64)
def _form(names: tuple[str, ...], kinds: tuple[tuple[np.dtype[Any], tuple[int, ...]], ...]) -> _Form:
    complete = (COMPLETE, b"1")
    if not names:
        return _Form(complete, (), (), 0)
    fields = (TENSOR_NAMES, encode_strings(map(encode_text, names)), *complete)
    layouts = join_layouts([encode_layout(dtype.name, shape) for dtype, shape in kinds])
    sizes = [dtype.itemsize * math.prod(shape) for dtype, shape in kinds]
    return _Form(fields, (layouts,), _blobs(sizes), sum(sizes))


def _blobs(sizes: Sequence[int]) -> tuple[slice, ...]:
    """Return which tensors of some sizes are sent together."""
    first = [0]
    room = _BLOB
    for number, size in enumerate(sizes):
        if size > room and number > first[-1]:
            first.append(number)
            room = _BLOB
        room -= size
    return tuple(map(slice, first, [*first[1:], len(sizes)]))


def _fields(content: Content, form: _Form) -> list[bytes]:
    """Return the fields that the hash has: names and values in turn."""
    return [*chain.from_iterable(content.fields.items()), *form.fields]


def _write_staged(stem: bytes, content: Content, expiry: bytes) -> Call[None]:
    """Store the parts of a dataset under another stem, each by a command of its own, and then rename it."""
    aside = stem + uuid.uuid4().hex.encode()  # in the same slot, and for whom it may be
    key = meta_key(aside)
    form = _form(tuple(content.tensors), tuple(map(_dtype_and_shape, content.tensors.values())))
    parts = [part_key(aside, encode_text(name)) for name in content.tensors]
    requests = [Command((b"HSET", key, *_fields(content, form)), key)]
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


def found(stem: bytes, reply: Reply) -> Content:
    """Return what is stored under a stem.

    Args:
        stem: of the keys.
        reply: to `get`.

    Raises:
        RedisKeyError: there is no dataset.
        RedisRuntimeError: a tensor of it is not there.
        RedisInternalError: it makes no sense.
    """
    if reply is None:
        raise _absent(stem)
    if not isinstance(reply, list):
        _check_complete(stem, reply)
        reply = several(reply)
    try:
        hash_fields, layouts, *rest = reply
        if not _BLOB_TYPES.issuperset(map(type, rest)):
            raise TypeError(f"{str(rest)[:60]!r} where elements should be")
        blobs: list[Any] = rest
        fields = pairs(hash_fields)
        fields.pop(COMPLETE, None)
        places = _places(fields.pop(TENSOR_NAMES, None), text(layouts), tuple(map(len, blobs)))
        blobs.append(b"")
        return Content(fields, ReceivedTensors(places, blobs))
    except (ValueError, TypeError) as error:
        key = decode_text(stem)
        raise RedisInternalError(f"The dataset {key!r} cannot be read: {error}", key=key) from error


# Most datasets of a program have the same tensors.
@lru_cache(maxsize=256)
def _places(names_field: bytes | None, layouts: bytes, sizes: tuple[int, ...]) -> Mapping[str, Place]:
    """Return where the tensors are, given the field that lists them, their layouts and the sizes of the blobs.

    One without elements may be behind the last blob.

    Raises:
        ValueError: they cannot be there.
    """
    names = [] if names_field is None else decode(names_field)
    if isinstance(names, Scalars):
        raise ValueError(f"the names of its tensors are of type {names.dtype}")  # noqa: TRY004 - as for all of it
    places = {}
    blob, start, end = -1, 0, 0
    for name, layout in zip(map(decode_text, names), decode_layouts(layouts), strict=True):
        if start == end:
            blob, start = min(blob + 1, len(sizes)), 0
            end = sizes[blob] if blob < len(sizes) else 0
        if start + layout.size > end:
            raise ValueError(f"of the elements of its tensor {name!r}, only {end - start} bytes are there")
        dtype = np.dtype(layout.dtype)
        np.broadcast_to(np.zeros((), dtype), layout.shape)  # raises if NumPy has no such arrays
        places[name] = Place(layout.shape, dtype, blob, start)
        start += layout.size
    return places


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
