"""Calls about datasets. Stems and keys are final: prefixes are there already."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence

from smartsim.app.client.calls import Call, check, integer
from smartsim.app.client.dataset import Dataset
from smartsim.app.client.dataset_storage import (
    ATTEMPTS,
    STAGED_FOR,
    SeenNames,
    ask_names,
    incomplete,
    leftovers,
    meta_key,
    missing,
    part_key,
    parts,
    read,
    remove,
    tensor_names,
    unlink,
    unsteady,
    write,
)
from smartsim.app.client.tensors import key_bytes, milliseconds, share_shard
from smartsim.domain.client_errors import RedisKeyError, RedisRuntimeError
from smartsim.domain.metadata import COMPLETE
from smartsim.ports.tensor_store import Command, Reply, Transaction


def put_dataset(stem: str, dataset: Dataset, ttl: float | None = None) -> Call[None]:
    """Store a dataset, replacing what was there; see `Client.put_dataset`."""
    key, expiry = key_bytes(stem), None if ttl is None else milliseconds(ttl)
    content = dataset.content()
    if not (content.fields or content.tensors):
        raise RedisRuntimeError(
            f"The dataset {dataset.get_name()!r} is empty: add a tensor or metadata before it is put"
        )
    yield from write(key, content, expiry)


def get_dataset(stem: str, name: str, seen: SeenNames | None = None) -> Call[Dataset]:
    """Return a dataset; see `Client.get_dataset`."""
    (content,) = yield from read([key_bytes(stem)], seen)
    return Dataset.received(name, content)


def delete_dataset(stem: str) -> Call[None]:
    """Remove a dataset; see `Client.delete_dataset`."""
    if not (yield from remove(key_bytes(stem))):
        raise RedisRuntimeError(f"There is no dataset {stem!r} that could be deleted", key=stem)


def copy_dataset(source: str, destination: str) -> Call[None]:
    """Store a dataset under another stem, too; see `Client.copy_dataset`."""
    old, new = key_bytes(source), key_bytes(destination)
    if old == new:
        yield from _present(old, new)
    elif (yield from share_shard(meta_key(old), meta_key(new))):
        yield from _copy_within_slot(old, new)
    else:
        yield from _copy_through_client(old, new)


def rename_dataset(source: str, destination: str) -> Call[None]:
    """Store a dataset under another stem instead; see `Client.rename_dataset`."""
    old, new = key_bytes(source), key_bytes(destination)
    if old == new:
        yield from _present(old, new)
    elif (yield from share_shard(meta_key(old), meta_key(new))):
        names, replaced = yield from _present(old, new)
        yield from _rename_within_slot(old, new, names, replaced)
    else:
        yield from _copy_through_client(old, new)
        yield from remove(old)


def dataset_exists(stem: str) -> Call[bool]:
    """Return whether there is a complete dataset; see `Client.dataset_exists`."""
    meta = meta_key(key_bytes(stem))
    (reply,) = yield [Command((b"HEXISTS", meta, COMPLETE), key=meta, changes=False)]
    return bool(integer(reply))


def _present(old: bytes, new: bytes) -> Call[tuple[tuple[bytes, ...], set[bytes]]]:
    """Return the names of the tensors of a dataset, all of which are there, and of those of another in its slot."""
    (reply,) = yield [ask_names(old)]
    names = tensor_names(reply, old)
    for _ in range(ATTEMPTS):
        exist = [Command((b"EXISTS", key), key=key, changes=False) for key in _keys(old, names)]
        (reply,) = yield [Transaction((ask_names(old), ask_names(new), *exist))]
        before, others, *there = parts(reply)
        if not integer(there[0]):
            raise missing(old)
        found = tensor_names(before, old)
        if found == names:
            _check_there(old, names, there)
            return names, leftovers(others)
        names = found
    raise unsteady(old)


def _check_there(stem: bytes, names: Sequence[bytes], there: Sequence[Reply]) -> None:
    """Raise the error that a part of a dataset is not there, given whether each of `_keys` is."""
    for name, one in zip(names, there[1:], strict=True):
        if not integer(one):
            raise incomplete(stem, name)


def _copy_within_slot(old: bytes, new: bytes) -> Call[None]:
    """Set copies aside until they are those of one moment, and put them in place at one moment."""
    mark = _mark()
    staged: set[bytes] = set()
    try:
        names, left, replaced = yield from _stage(old, new, mark, staged)
        yield from _put_in_place(old, new, mark, names, left, replaced)
    except (RedisRuntimeError, RedisKeyError):
        yield [unlink(meta_key(old), staged)]
        raise
    yield [unlink(meta_key(old), staged)]


def _stage(old: bytes, new: bytes, mark: bytes, staged: set[bytes]) -> Call[tuple[tuple[bytes, ...], int, set[bytes]]]:
    """Copy the keys of a dataset to marked ones; return its tensors' names, its expiry, and the names of the other's.

    Args:
        old: stem of the dataset.
        new: stem of the other.
        mark: is put after the keys.
        staged: takes the marked keys.
    """
    meta = meta_key(old)
    (reply,) = yield [ask_names(old)]
    names = tensor_names(reply, old)
    for _ in range(ATTEMPTS):
        keys = _keys(old, names)
        staged.update(key + mark for key in keys)
        commands = [Command((b"COPY", key, key + mark, b"REPLACE"), key=meta) for key in keys]
        commands += [Command((b"PEXPIRE", key + mark, STAGED_FOR), key=meta) for key in keys]
        expiry = Command((b"PTTL", meta), key=meta, changes=False)
        (reply,) = yield [Transaction((ask_names(old), ask_names(new), expiry, *commands))]
        before, others, left, *copied = parts(reply)
        check(copied)
        if not integer(copied[0]):
            raise missing(old)
        found = tensor_names(before, old)
        if found == names:
            _check_there(old, names, copied[: len(keys)])
            return names, integer(left), leftovers(others)
        names = found
    raise unsteady(old)


def _put_in_place(
    old: bytes, new: bytes, mark: bytes, names: tuple[bytes, ...], left: int, replaced: set[bytes]
) -> Call[None]:
    """Replace a dataset by marked copies of another; what was done without all names of its tensors is done again."""
    meta = meta_key(new)
    arrivals = []
    expiry = _expiry(left)
    for source, key in zip(_keys(old, names), _keys(new, names), strict=True):
        ending = (b"PERSIST", key) if expiry is None else (b"PEXPIRE", key, expiry)
        copy = Command((b"COPY", source + mark, key, b"REPLACE"), key=meta)
        arrivals += [copy, Command(ending, key=meta)]
    known = replaced.union(names)
    for _ in range(ATTEMPTS):
        (reply,) = yield [Transaction((ask_names(new), unlink(meta, _keys(new, sorted(known))), *arrivals))]
        before, _, *arrived = parts(reply)
        check(arrived)
        if not all(integer(copied) for copied in arrived[::2]):
            raise missing(old)  # they were all removed
        found = leftovers(before)
        if found <= known:
            return
        known |= found


def _rename_within_slot(old: bytes, new: bytes, names: tuple[bytes, ...], replaced: set[bytes]) -> Call[None]:
    aside = _aside(new, replaced.difference(names))
    moves = [
        Command((b"RENAME", *both), key=both[0]) for both in zip(_keys(old, names), _keys(new, names), strict=True)
    ]
    (reply,) = yield [Transaction((ask_names(old), ask_names(new), *moves, *_moves(new, aside)))]
    before, others, *renamed = parts(reply)
    if before is None and isinstance(renamed[0], RedisRuntimeError):
        yield from _bring_back(new, aside, set(aside))
        raise missing(old)
    check(renamed[0])
    found = tensor_names(before, old)
    late = [name for name in found if name not in names]
    if late:  # the dataset was replaced by one with other tensors; its metadata are moved already
        keys = ((part_key(old, name), part_key(new, name)) for name in late)
        yield [Transaction(tuple(Command((b"RENAME", *both), key=both[0]) for both in keys))]
    yield from _bring_back(new, aside, set())
    yield from _drop(new, leftovers(others).union(names).difference(found, replaced))


def _copy_through_client(old: bytes, new: bytes) -> Call[None]:
    meta = meta_key(old)
    (content,) = yield from read([old])
    (left,) = yield [Command((b"PTTL", meta), key=meta, changes=False)]
    yield from write(new, content, _expiry(integer(left)))


def _expiry(left: int) -> bytes | None:
    """Return the expiry of a copy, given that of the original as PTTL tells it: below 0 for none."""
    return None if left < 0 else b"%d" % max(left, 1)


def _drop(stem: bytes, names: set[bytes]) -> Call[None]:
    """Remove tensors that a dataset had, unless others have replaced it by one that has them again.

    So they go out of the way first, and come back if they are needed: a look before would be a look too early.
    """
    if names:
        aside = _aside(stem, names)
        (reply,) = yield [Transaction((ask_names(stem), *_moves(stem, aside)))]
        yield from _bring_back(stem, aside, names & leftovers(parts(reply)[0]))


def _aside(stem: bytes, names: set[bytes]) -> dict[bytes, bytes]:
    """Return keys of which nobody else knows, for some tensors."""
    mark = _mark()
    return {name: part_key(stem, name) + mark for name in sorted(names)}


def _moves(stem: bytes, aside: dict[bytes, bytes]) -> list[Command]:
    return [Command((b"RENAME", part_key(stem, name), key), key=key) for name, key in aside.items()]


def _bring_back(stem: bytes, aside: dict[bytes, bytes], names: set[bytes]) -> Call[None]:
    """Put some tensors that are aside back, unless others are there now, and remove what is aside."""
    if aside:
        copies = [Command((b"COPY", aside[name], part_key(stem, name)), key=meta_key(stem)) for name in sorted(names)]
        check((yield [Transaction((*copies, unlink(meta_key(stem), aside.values())))]))


def _mark() -> bytes:
    return b".%b.aside" % uuid.uuid4().hex.encode()


def _keys(stem: bytes, names: Iterable[bytes]) -> list[bytes]:
    """Return the keys of a dataset, that of the metadata first."""
    return [meta_key(stem), *(part_key(stem, name) for name in names)]
