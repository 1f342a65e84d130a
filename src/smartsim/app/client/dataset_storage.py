"""How datasets are kept in a database.

A dataset with the stem ``prefix.{name}`` is a hash ``prefix.{name}.meta``, and a tensor ``prefix.{name}.<tensor>`` for
each of its tensors; the braces keep them on one shard. What replaces or reads a dataset does so in one transaction. Of
which tensors it consists has to be known before; so every transaction asks for their names once more, and what was done
with others is done again.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
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

_SAMPLE: Final = 8
"""To so many datasets of a list one looks for the names of the tensors; most lists are of datasets that are alike."""

_MOST_SERIES: Final = 256

STAGED_FOR: Final = b"3600000"  # ms
"""What is put aside is forgotten after this long, should nobody come back to it."""

_ONLY_ARRAYS: Final = frozenset({np.ndarray})


class SeenNames:
    """Which tensors the datasets had that were read: a guess at those of the next ones, that saves to ask for them.

    A guess may be wrong: whoever makes one learns in the same transaction what is right.
    """

    def __init__(self) -> None:
        self._names: dict[bytes, bytes] = {}

    def guess(self, stem: bytes) -> bytes | None:
        """Return the names that a dataset probably has, as they are stored; None if nothing is known of its like."""
        return self._names.get(_series(stem))

    def note(self, stem: bytes, names: bytes, content: Content) -> None:
        """Take note of the names that a dataset has."""
        if content.size > _FEW_BYTES:  # to receive too much after a wrong guess would cost more than to ask
            self._names.pop(_series(stem), None)
            return
        if len(self._names) >= _MOST_SERIES:
            self._names.clear()
        self._names[_series(stem)] = names


def read(stems: Sequence[bytes], seen: SeenNames | None = None) -> Call[list[Content]]:
    """Return what is stored under some stems, all in one to three round trips.

    Each is as it was at one moment, unless it was written piece by piece, as the clients of old do.

    Args:
        stems: of the keys.
        seen: what is known of the datasets that were read before.

    Raises:
        RedisKeyError: there is no dataset under one of them.
        RedisRuntimeError: a tensor of a dataset is not there, or a dataset changes all the time.
    """
    if not stems:
        return []
    guess = seen.guess(stems[0]) if seen and len(stems) == 1 else None
    names: list[Reply] = [guess] if guess else (yield from _probable_names(stems))
    contents: dict[int, Content] = {}
    left: Sequence[int] = range(len(stems))
    for _ in range(ATTEMPTS):
        tensors_of = [tensor_names(names[index], stems[index]) for index in left]
        replies = yield [_ask_content(stems[index], known) for index, known in zip(left, tensors_of, strict=True)]
        changed = []
        for index, known, reply in zip(left, tensors_of, replies, strict=True):
            stem, before = stems[index], names[index]
            fields, *tensors = parts(reply)
            metadata = pairs(fields)
            if not metadata:
                raise missing(stem)
            names[index] = now = metadata.pop(TENSOR_NAMES, None)
            if now == before:
                metadata.pop(COMPLETE, None)
                contents[index] = Content(metadata, _tensors(stem, known, tensors))
            else:
                changed.append(index)
        if not changed:
            if seen and isinstance(names[0], bytes):
                seen.note(stems[0], names[0], contents[0])
            return [contents[index] for index in range(len(stems))]
        left = changed
    raise unsteady(stems[left[0]])


def _probable_names(stems: Sequence[bytes]) -> Call[list[Reply]]:
    """Return the names of the tensors of datasets as they are stored; others may change them at any time.

    If some of many datasets have the same ones, all are taken to.
    """
    some = stems[:: max(1, len(stems) // _SAMPLE)]
    names: list[Reply] = list((yield [ask_names(stem) for stem in some]))
    if len(some) == len(stems):
        return names
    if all(isinstance(name, bytes) and name == names[0] for name in names):
        return [names[0]] * len(stems)
    return list((yield [ask_names(stem) for stem in stems]))


def write(stem: bytes, content: Content, expiry: bytes | None) -> Call[None]:
    """Replace what is under a stem.

    Args:
        stem: of the keys.
        content: what is stored from now on.
        expiry: in how many milliseconds it expires, or None.
    """
    yield from _check_slot(stem)
    if content.size < _MANY_BYTES:
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
        return _decode_names(text(reply))
    except ValueError as error:
        raise _garbled(stem, str(error)) from error


# Most datasets of a program have the same tensors.
@lru_cache(maxsize=64)
def _encode_names(names: tuple[bytes, ...]) -> bytes:
    return encode_strings(names)


@lru_cache(maxsize=64)
def _decode_names(field: bytes) -> tuple[bytes, ...]:
    names = decode(field)
    if isinstance(names, Scalars):
        raise ValueError(f"its values are of type {names.dtype}")  # noqa: TRY004 - as for all that cannot be read
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
        requests += [tensor_set(key, array), Command((b"PEXPIRE", key, STAGED_FOR), key=meta)]
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
    keys = [part_key(stem, name) for name in content.tensors]
    words = [word for field in content.fields.items() for word in field]
    names_now = _encode_names(tuple(content.tensors)) if keys else None
    if names_now is not None:
        words += (TENSOR_NAMES, names_now)
    commands = [Command((b"HSET", meta, *words, COMPLETE, b"1"), key=meta), *arrivals]
    if expiry is not None:
        commands += [Command((b"PEXPIRE", key, expiry), key=meta) for key in (meta, *keys)]
    names = set(content.tensors)
    if content.size > _FEW_BYTES:
        (reply,) = yield [ask_names(stem)]
        names |= leftovers(reply)
    done: list[Reply] = []
    for _ in range(ATTEMPTS):
        others = [part_key(stem, name) for name in names.difference(content.tensors)]
        (reply,) = yield [Transaction((ask_names(stem), unlink(meta, (meta, *keys, *others)), *commands))]
        before, *done = parts(reply)
        check(done)
        if before is None or before == names_now:  # as nearly always
            break
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
    return Transaction((metadata, *[tensor_get(part_key(stem, name)) for name in names]))


def _tensors(stem: bytes, names: Sequence[bytes], replies: Sequence[Reply]) -> dict[bytes, npt.NDArray[Any]]:
    if _ONLY_ARRAYS.issuperset(map(type, replies)):
        return dict(zip(names, replies, strict=True))  # type: ignore[arg-type]  # just looked at
    for name, reply in zip(names, replies, strict=True):
        if isinstance(reply, RedisRuntimeError):
            raise incomplete(stem, name) from reply
    return {name: tensor(reply) for name, reply in zip(names, replies, strict=True)}


def _series(stem: bytes) -> bytes:
    """Return a stem without its digits: ``step_1`` and ``step_2`` are much alike."""
    return stem.translate(None, b"0123456789")


def _garbled(stem: bytes, why: str) -> RedisInternalError:
    key, field = decode_text(stem), decode_text(TENSOR_NAMES)
    return RedisInternalError(f"The metadata field {field!r} of the dataset {key!r} cannot be read: {why}", key=key)
