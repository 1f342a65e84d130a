"""How datasets are kept in a database.

A dataset with the stem ``prefix.{name}`` is a hash ``prefix.{name}.meta``, and a tensor ``prefix.{name}.<tensor>`` for
each of its tensors; the braces keep them on one shard. What replaces or reads a dataset does so in one transaction. Of
which tensors it consists has to be known before; so every transaction asks for their names once more, and what was done
with others is done again.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy.typing as npt

from smartsim.app.client.calls import SHARDS, Call, check, integer, pairs, several, tensor, text
from smartsim.app.client.dataset import Content
from smartsim.app.client.tensors import tensor_get, tensor_set
from smartsim.domain.client_errors import RedisInternalError, RedisKeyError, RedisReplyError, RedisRuntimeError
from smartsim.domain.metadata import COMPLETE, TENSOR_NAMES, Scalars, decode, decode_text, encode_strings
from smartsim.ports.tensor_store import Command, Reply, Transaction

ATTEMPTS: Final = 10
"""How often something is done again because others changed the dataset in the meantime."""

_FEW_BYTES: Final = 1 << 20
"""Sending so much once more, now and then, costs less than a round trip every time."""

_MANY_BYTES: Final = 1 << 28
"""The server keeps what arrives in a transaction, and hangs up when it is 1 GiB (its client-query-buffer-limit)."""

_STAGED_FOR: Final = b"3600000"  # ms


def read(stems: Sequence[bytes]) -> Call[list[Content]]:
    """Return what is stored under some stems, all in two round trips.

    Each is as it was at one moment, unless it was written piece by piece, as the clients of old do.

    Raises:
        RedisKeyError: there is no dataset under one of them.
        RedisRuntimeError: a tensor of a dataset is not there, or a dataset changes all the time.
    """
    if not stems:
        return []
    names = list((yield [ask_names(stem) for stem in stems]))
    contents: dict[int, Content] = {}
    for _ in range(ATTEMPTS):
        left = [index for index in range(len(stems)) if index not in contents]
        tensors_of = [tensor_names(names[index], stems[index]) for index in left]
        replies = yield [_ask_content(stems[index], known) for index, known in zip(left, tensors_of, strict=True)]
        for index, known, reply in zip(left, tensors_of, replies, strict=True):
            fields, *tensors = parts(reply)
            metadata = pairs(fields)
            if not metadata:
                raise missing(stems[index])
            before, names[index] = names[index], metadata.pop(TENSOR_NAMES, None)
            if names[index] == before:
                metadata.pop(COMPLETE, None)
                contents[index] = Content(metadata, _tensors(stems[index], known, tensors))
        if len(contents) == len(stems):
            return [contents[index] for index in range(len(stems))]
    raise unsteady(next(stem for index, stem in enumerate(stems) if index not in contents))


def write(stem: bytes, content: Content, expiry: bytes | None) -> Call[None]:
    """Replace what is under a stem.

    Args:
        stem: of the keys.
        content: what is stored from now on.
        expiry: in how many milliseconds it expires, or None.
    """
    yield from _check_slot(stem)
    if sum(array.nbytes for array in content.tensors.values()) < _MANY_BYTES:
        arrivals = [tensor_set(part_key(stem, name), array) for name, array in content.tensors.items()]
        yield from _replace(stem, content, arrivals, expiry)
    else:
        yield from _write_staged(stem, content, expiry)


def remove(stem: bytes) -> Call[bool]:
    """Remove what is under a stem; return whether there was anything."""
    meta = meta_key(stem)
    (reply,) = yield [ask_names(stem)]
    names = leftovers(reply)
    removed = 0
    for _ in range(ATTEMPTS):
        clear = unlink(meta, [meta, *(part_key(stem, name) for name in names)])
        (reply,) = yield [Transaction((ask_names(stem), clear))]
        before, count = parts(reply)
        removed += integer(count)
        found = leftovers(before)
        if found <= names:
            break
        names |= found
    return bool(removed)


def meta_key(stem: bytes) -> bytes:
    """Return the key of the metadata of a dataset."""
    return stem + b".meta"


def part_key(stem: bytes, name: bytes) -> bytes:
    """Return the key of a tensor of a dataset."""
    return b"%b.%b" % (stem, name)


def ask_names(stem: bytes) -> Command:
    """Return the command that is answered with the names of the tensors of a dataset."""
    return Command((b"HGET", meta_key(stem), TENSOR_NAMES), key=meta_key(stem), changes=False)


def unlink(key: bytes, keys: Iterable[bytes]) -> Command:
    """Return the command that removes some keys; they are in the slot of the first argument."""
    return Command((b"UNLINK", *keys), key=key)


def parts(reply: Reply) -> list[Reply]:
    """Return the replies of a transaction; they may be errors."""
    return reply if isinstance(reply, list) else several(reply)


def tensor_names(reply: Reply, stem: bytes) -> tuple[bytes, ...]:
    """Return the names of the tensors of a dataset."""
    if reply is None:
        return ()
    try:
        names = decode(text(reply))
    except ValueError as error:
        raise _garbled(stem, str(error)) from error
    if isinstance(names, Scalars):
        raise _garbled(stem, f"its values are of type {names.dtype}")
    return tuple(dict.fromkeys(names))


def leftovers(reply: Reply) -> set[bytes]:
    """Return the names of the tensors of a dataset that is about to go; none, if it makes no sense."""
    try:
        return set(tensor_names(reply, b""))
    except RedisReplyError:
        return set()


def missing(stem: bytes) -> RedisKeyError:
    """Return the error that there is no dataset."""
    key = decode_text(stem)
    return RedisKeyError(f"There is no dataset {key!r}: check the name and the data source, or wait for it", key=key)


def incomplete(stem: bytes, name: bytes) -> RedisRuntimeError:
    """Return the error that a tensor of a dataset is not there."""
    key = decode_text(stem)
    tensor_name = decode_text(name)
    return RedisRuntimeError(
        f"The tensor {tensor_name!r} of the dataset {key!r} is not there: a client of old is writing the dataset, or "
        "did not finish; wait until it is complete (poll_dataset), or put it again",
        key=key,
    )


def unsteady(stem: bytes) -> RedisRuntimeError:
    """Return the error that a dataset changed whenever it was looked at."""
    key = decode_text(stem)
    return RedisRuntimeError(f"The dataset {key!r} is replaced by others all the time: try again", key=key)


def _write_staged(stem: bytes, content: Content, expiry: bytes | None) -> Call[None]:
    """Store tensors under other keys first, each by a command of its own, and put them in place when all are there."""
    mark = b".%b.staged" % uuid.uuid4().hex.encode()
    keys = [part_key(stem, name) for name in content.tensors]
    staged = [key + mark for key in keys]
    meta = meta_key(stem)
    requests = []
    for key, array in zip(staged, content.tensors.values(), strict=True):
        requests += [tensor_set(key, array), Command((b"PEXPIRE", key, _STAGED_FOR), key=meta)]
    arrivals = []
    for source, key in zip(staged, keys, strict=True):  # the server copies no elements; COPY can be done again
        arrivals += [Command((b"COPY", source, key, b"REPLACE"), key=meta), Command((b"PERSIST", key), key=meta)]
    try:
        check((yield requests))
        _, _, *arrived = yield from _replace(stem, content, arrivals, expiry)
        if not all(integer(copied) for copied in arrived[: len(arrivals) : 2]):
            raise RedisRuntimeError("The database dropped tensors while they arrived: give it more memory (maxmemory)")
    except RedisRuntimeError:
        yield [unlink(meta, staged)]
        raise
    yield [unlink(meta, staged)]


def _replace(stem: bytes, content: Content, arrivals: Iterable[Command], expiry: bytes | None) -> Call[list[Reply]]:
    """Replace what is under a stem, in one transaction.

    Args:
        stem: of the keys.
        content: what is stored from now on.
        arrivals: what stores the tensors; may be done again.
        expiry: in how many milliseconds it expires, or None.

    Returns:
        The replies: that nothing is there any more, that the metadata are, and those to the arrivals.
    """
    meta = meta_key(stem)
    words = [word for field in content.fields.items() for word in field]
    if content.tensors:
        words += [TENSOR_NAMES, encode_strings(content.tensors)]
    names = set(content.tensors)
    if sum(array.nbytes for array in content.tensors.values()) > _FEW_BYTES:
        (reply,) = yield [ask_names(stem)]
        names |= leftovers(reply)
    commands = [Command((b"HSET", meta, *words, COMPLETE, b"1"), key=meta), *arrivals]
    if expiry is not None:
        keys = [meta, *(part_key(stem, name) for name in content.tensors)]
        commands += [Command((b"PEXPIRE", key, expiry), key=meta) for key in keys]
    done: list[Reply] = []
    for _ in range(ATTEMPTS):
        clear = unlink(meta, [meta, *(part_key(stem, name) for name in names)])
        (reply,) = yield [Transaction((ask_names(stem), clear, *commands))]
        before, *done = parts(reply)
        check(done)
        found = leftovers(before)
        if found <= names:
            break
        names |= found
    return done


def _check_slot(stem: bytes) -> Call[None]:
    """Make sure that the keys of a dataset are on one shard: the server does not look into an empty pair of braces."""
    if stem[stem.find(b"{") :].startswith(b"{}"):
        shards = yield SHARDS
        if shards[0].prefix:
            name = decode_text(stem)
            raise RedisRuntimeError(f"The dataset {name!r} cannot be stored in a cluster: begin its name without '}}'")


def _ask_content(stem: bytes, names: Iterable[bytes]) -> Transaction:
    meta = meta_key(stem)
    metadata = Command((b"HGETALL", meta), key=meta, changes=False)
    return Transaction((metadata, *(tensor_get(part_key(stem, name)) for name in names)))


def _tensors(stem: bytes, names: Sequence[bytes], replies: Sequence[Reply]) -> dict[bytes, npt.NDArray[Any]]:
    for name, reply in zip(names, replies, strict=True):
        if isinstance(reply, RedisRuntimeError):
            raise incomplete(stem, name) from reply
    return {name: tensor(reply) for name, reply in zip(names, replies, strict=True)}


def _garbled(stem: bytes, why: str) -> RedisInternalError:
    key, field = decode_text(stem), decode_text(TENSOR_NAMES)
    return RedisInternalError(f"The metadata field {field!r} of the dataset {key!r} cannot be read: {why}", key=key)
