"""Calls about datasets. Stems and keys are final: prefixes are there already."""

from __future__ import annotations

from smartsim.app.client import dataset_storage
from smartsim.app.client.calls import Call, integer
from smartsim.app.client.dataset import Dataset
from smartsim.app.client.dataset_content import Content
from smartsim.app.client.dataset_storage import found, get, meta_key, read, remove, write
from smartsim.app.client.tensors import key_bytes, milliseconds, share_shard
from smartsim.domain.client_errors import RedisRuntimeError
from smartsim.domain.metadata import COMPLETE
from smartsim.ports.tensor_store import Command


def put_dataset(stem: str, dataset: Dataset, ttl: float | None = None) -> Call[None]:
    """Store a dataset, replacing what was there; see `Client.put_dataset`."""
    key, expiry = key_bytes(stem), None if ttl is None else milliseconds(ttl)
    yield from write(key, _content(dataset), expiry)


def put_command(stem: str, dataset: Dataset) -> Command | None:
    """Return the command that does all of `put_dataset` for good, if there is one."""
    key = key_bytes(stem)
    return None if b"{}" in key else dataset_storage.put(key, _content(dataset))


def get_dataset(stem: str, name: str) -> Call[Dataset]:
    """Return a dataset; see `Client.get_dataset`."""
    key = key_bytes(stem)
    (reply,) = yield [get(key)]
    return Dataset.received(name, found(key, reply))


def delete_dataset(stem: str) -> Call[None]:
    """Remove a dataset; see `Client.delete_dataset`."""
    if not (yield from remove(key_bytes(stem))):
        raise RedisRuntimeError(f"There is no dataset {stem!r} that could be deleted", key=stem)


def copy_dataset(source: str, destination: str) -> Call[None]:
    """Store a dataset under another stem, too; see `Client.copy_dataset`."""
    old, new = key_bytes(source), key_bytes(destination)
    if (yield from share_shard(meta_key(old), meta_key(new))):
        yield from dataset_storage.copy(old, new)
    else:
        yield from _copy_through_client(old, new)


def rename_dataset(source: str, destination: str) -> Call[None]:
    """Store a dataset under another stem instead; see `Client.rename_dataset`.

    In a cluster where the stems belong to different slots, for a moment both are there.
    """
    old, new = key_bytes(source), key_bytes(destination)
    if (yield from share_shard(meta_key(old), meta_key(new))):
        yield from dataset_storage.rename(old, new)
    else:
        yield from _copy_through_client(old, new)
        yield from remove(old)


def dataset_exists(stem: str) -> Call[bool]:
    """Return whether there is a complete dataset; see `Client.dataset_exists`."""
    meta = meta_key(key_bytes(stem))
    (reply,) = yield [Command((b"HEXISTS", meta, COMPLETE), key=meta, changes=False)]
    return bool(integer(reply))


def _content(dataset: Dataset) -> Content:
    content = dataset.content()
    if not (content.fields or content.tensors):
        raise RedisRuntimeError(
            f"The dataset {dataset.get_name()!r} is empty: add a tensor or metadata before it is put"
        )
    return content


def _copy_through_client(old: bytes, new: bytes) -> Call[None]:
    meta = meta_key(old)
    (content,) = yield from read([old])
    (reply,) = yield [Command((b"PTTL", meta), key=meta, changes=False)]
    left = integer(reply)  # below 0: for ever, or it has gone in the meantime
    yield from write(new, content, None if left < 0 else b"%d" % max(left, 1))
