"""What a client does with tensors, bytes and keys of any kind.

Keys are final: prefixes are there already.
"""

from __future__ import annotations

import math
from functools import lru_cache
from numbers import Real
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from smartsim.app.client.arrays import wire_array
from smartsim.app.client.calls import SHARDS, Call, check, integer, tensor, text
from smartsim.domain.client_errors import RedisKeyError, check_type, refusal
from smartsim.domain.metadata import encode_text
from smartsim.domain.slots import key_slot
from smartsim.domain.tensor_types import WIRE_NAMES
from smartsim.ports.tensor_store import Command, Request, Transaction, Word

_LONGEST: Final = 1e12
"""In seconds; the server counts milliseconds since 1970 in 64 bits."""

_MISSING: Final = "ERR tensor key is empty or in a different shard"


def put_tensor(key: str, data: object, ttl: float | None = None) -> Call[None]:
    """Store an array, for `ttl` seconds or, when None, for good."""
    name = key_bytes(key)
    put = tensor_set(name, wire_array(data))
    request: Request = put if ttl is None else Transaction((put, expire(name, ttl)))
    (reply,) = yield [request]
    check(reply)


def get_tensor(key: str) -> Call[npt.NDArray[Any]]:
    """Return the array under a key."""
    (reply,) = yield [tensor_get(key_bytes(key))]
    return tensor(reply)


def delete_tensor(key: str) -> Call[None]:
    """Remove a key; nothing happens when it is not there."""
    name = key_bytes(key)
    (reply,) = yield [Command((b"UNLINK", name), key=name)]
    check(reply)


def copy_tensor(source: str, destination: str) -> Call[None]:
    """Store a tensor under another key, too; a copy is forgotten when its original is (`ttl`)."""
    old, new = key_bytes(source), key_bytes(destination)
    if old == new:
        if not (yield from key_exists(source)):
            raise refusal(_MISSING, source)
    elif (yield from share_shard(old, new)):
        (reply,) = yield [Command((b"COPY", old, new, b"REPLACE"), key=old)]
        if not integer(reply):
            raise refusal(_MISSING, source)
    else:
        yield from _copy_through_here(old, new)


def rename_tensor(old_key: str, new_key: str) -> Call[None]:
    """Move a tensor to another key.

    In a cluster where the keys belong to different slots, for a moment both are there.
    """
    old, new = key_bytes(old_key), key_bytes(new_key)
    if (yield from share_shard(old, new)):
        (reply,) = yield [Command((b"RENAME", old, new), key=old)]
        check(reply)
    else:
        yield from _copy_through_here(old, new)
        yield from delete_tensor(old_key)


def key_exists(key: str) -> Call[bool]:
    """Return whether there is anything under a key."""
    name = key_bytes(key)
    (reply,) = yield [Command((b"EXISTS", name), key=name, changes=False)]
    return integer(reply) > 0


def put_bytes(key: str, data: object, ttl: float | None = None) -> Call[None]:
    """Store bytes, for `ttl` seconds or, when None, for good."""
    name = key_bytes(key)
    limit = () if ttl is None else (b"PX", milliseconds(ttl))
    (reply,) = yield [Command((b"SET", name, _content(data), *limit), key=name)]
    check(reply)


def get_bytes(key: str) -> Call[bytes]:
    """Return the bytes under a key."""
    name = key_bytes(key)
    (reply,) = yield [Command((b"GET", name), key=name, changes=False)]
    if reply is None:
        raise RedisKeyError(f"Nothing is stored under the key {key!r}: check the name and the data source", key=key)
    return text(reply)


def key_bytes(key: str) -> bytes:
    """Return a key as it is sent.

    Raises:
        ValueError: it has halves of surrogate pairs in it, other than those of `encode_text`.
    """
    try:
        return encode_text(key)
    except UnicodeEncodeError as error:
        raise ValueError(f"The name {key!a} cannot be sent: {error.reason}; use another") from None


def tensor_set(key: bytes, data: npt.NDArray[Any]) -> Command:
    """Return the command that stores an array (one of `wire_array`)."""
    return Command((b"AI.TENSORSET", key, *_layout(data.dtype, data.shape), b"BLOB", data), key)


@lru_cache(maxsize=1024)
def _layout(dtype: np.dtype[Any], shape: tuple[int, ...]) -> tuple[bytes, ...]:
    # A program stores the same few layouts over and over.
    return (WIRE_NAMES[dtype.name].encode(), *(b"%d" % size for size in shape))


def tensor_get(key: bytes) -> Command:
    """Return the command that is answered with the tensor under a key."""
    return Command((b"AI.TENSORGET", key, b"META", b"BLOB"), key=key, changes=False)


def expire(key: bytes, ttl: float) -> Command:
    """Return the command that has a key forgotten after so many seconds; for errors see `milliseconds`."""
    return Command((b"PEXPIRE", key, milliseconds(ttl)), key=key)


def milliseconds(ttl: float) -> bytes:
    """Return an expiry in seconds as milliseconds, as it is sent.

    Raises:
        TypeError: it is no number.
        ValueError: it is not above 0, or too large.
    """
    if isinstance(ttl, bool) or not isinstance(ttl, Real):
        raise TypeError(f"Argument ttl is of type {type(ttl)}, not {float}")
    if not 0 < ttl < _LONGEST:
        raise ValueError(f"Argument ttl is {ttl}: give the seconds as a number above 0 (and below {_LONGEST:g})")
    return b"%d" % math.ceil(ttl * 1000)


def share_shard(one: bytes, other: bytes) -> Call[bool]:
    """Return whether one command may concern both keys: they are in one slot, or the database is no cluster."""
    return key_slot(one) == key_slot(other) or not (yield SHARDS)[0].prefix


def _content(data: object) -> Word:
    """Return bytes to be sent from where they are."""
    if isinstance(data, bytes):
        return data
    try:
        view = memoryview(data)  # type: ignore[arg-type]  # it is asked whether it can
    except TypeError:
        check_type(data, "data", bytes)
        raise
    return np.frombuffer(view, np.uint8) if view.c_contiguous and view.nbytes else view.tobytes()


def _copy_through_here(old: bytes, new: bytes) -> Call[None]:
    found, left = yield [tensor_get(old), Command((b"PTTL", old), key=old, changes=False)]
    put = tensor_set(new, tensor(found))
    remaining = integer(left)
    expiry = Command((b"PEXPIRE", new, b"%d" % remaining), key=new)
    request: Request = put if remaining < 0 else Transaction((put, expiry))
    (reply,) = yield [request]
    check(reply)
