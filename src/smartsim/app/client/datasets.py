"""Calls about datasets. Stems and keys are final: prefixes are there already."""

from __future__ import annotations

from collections.abc import Sequence

from smartsim.app.client.calls import Call, check, integer
from smartsim.app.client.dataset import Dataset
from smartsim.app.client.dataset_storage import (
    ATTEMPTS,
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
from smartsim.domain.client_errors import RedisRuntimeError
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
    names = yield from _present(old)
    if old == new:
        return
    if (yield from share_shard(meta_key(old), meta_key(new))):
        yield from _copy_within_slot(old, new, names)
    else:
        yield from _copy_through_client(old, new)


def rename_dataset(source: str, destination: str) -> Call[None]:
    """Store a dataset under another stem instead; see `Client.rename_dataset`."""
    old, new = key_bytes(source), key_bytes(destination)
    names = yield from _present(old)
    if old == new:
        return
    if (yield from share_shard(meta_key(old), meta_key(new))):
        yield from _rename_within_slot(old, new, names)
    else:
        yield from _copy_through_client(old, new)
        yield from remove(old)


def dataset_exists(stem: str) -> Call[bool]:
    """Return whether there is a complete dataset; see `Client.dataset_exists`."""
    meta = meta_key(key_bytes(stem))
    (reply,) = yield [Command((b"HEXISTS", meta, COMPLETE), key=meta, changes=False)]
    return bool(integer(reply))


def _present(stem: bytes) -> Call[tuple[bytes, ...]]:
    """Return the names of the tensors of a dataset, all of which are there."""
    (reply,) = yield [ask_names(stem)]
    names = tensor_names(reply, stem)
    for _ in range(ATTEMPTS):
        keys = [meta_key(stem), *(part_key(stem, name) for name in names)]
        exist = [Command((b"EXISTS", key), key=key, changes=False) for key in keys]
        (reply,) = yield [Transaction((ask_names(stem), *exist))]
        before, metadata, *tensors = parts(reply)
        if not integer(metadata):
            raise missing(stem)
        found = tensor_names(before, stem)
        if found == names:
            for name, there in zip(names, tensors, strict=True):
                if not integer(there):
                    raise incomplete(stem, name)
            return names
        names = found
    raise unsteady(stem)


def _copy_within_slot(old: bytes, new: bytes, names: tuple[bytes, ...]) -> Call[None]:
    stale: set[bytes] = set()
    for _ in range(ATTEMPTS):
        before, replaced, *copied = yield from _transfer(old, new, (b"meta", *names), b"COPY", b"REPLACE")
        if not integer(copied[0]):
            raise missing(old)
        check(copied)
        stale |= leftovers(replaced) | set(names)
        found = tensor_names(before, old)
        if found == names:
            yield from _drop(new, stale.difference(names))
            return
        names = found
    raise unsteady(old)


def _rename_within_slot(old: bytes, new: bytes, names: tuple[bytes, ...]) -> Call[None]:
    before, replaced, *renamed = yield from _transfer(old, new, (b"meta", *names), b"RENAME")
    found = tensor_names(before, old)
    if before is None and isinstance(renamed[0], RedisRuntimeError):
        raise missing(old)
    check(renamed[0])
    late = [name for name in found if name not in names]
    if late:  # the dataset was replaced by one with other tensors; its metadata are moved already
        yield from _transfer(old, new, late, b"RENAME")
    yield from _drop(new, (leftovers(replaced) | set(names)).difference(found))


def _transfer(old: bytes, new: bytes, names: Sequence[bytes], word: bytes, *options: bytes) -> Call[list[Reply]]:
    """Copy or rename keys of a dataset; return which tensors both datasets had before, and the replies."""
    commands = [
        Command((word, part_key(old, name), part_key(new, name), *options), key=part_key(old, name)) for name in names
    ]
    (reply,) = yield [Transaction((ask_names(old), ask_names(new), *commands))]
    return parts(reply)


def _copy_through_client(old: bytes, new: bytes) -> Call[None]:
    meta = meta_key(old)
    (content,) = yield from read([old])
    (left,) = yield [Command((b"PTTL", meta), key=meta, changes=False)]
    yield from write(new, content, b"%d" % integer(left) if integer(left) > 0 else None)


def _drop(stem: bytes, names: set[bytes]) -> Call[None]:
    if names:
        check((yield [unlink(meta_key(stem), [part_key(stem, name) for name in names])]))
