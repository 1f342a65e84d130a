"""Calls about lists of datasets.

The elements of a list are the stems of the keys of datasets, ``prefix.{name}``.
"""

from __future__ import annotations

from smartsim.app.client.calls import Call, check, integer, texts
from smartsim.app.client.dataset import Dataset
from smartsim.app.client.dataset_storage import read
from smartsim.app.client.tensors import key_bytes, share_shard
from smartsim.domain.client_errors import RedisInternalError, RedisRuntimeError, check_type
from smartsim.domain.metadata import decode_text
from smartsim.ports.tensor_store import Command, Transaction


def append_to_list(key: str, stem: str) -> Call[None]:
    """Add the stem of a dataset to the end of a list; see `Client.append_to_list`."""
    name = key_bytes(key)
    (reply,) = yield [Command((b"RPUSH", name, key_bytes(stem)), key=name)]
    check(reply)


def delete_list(key: str) -> Call[None]:
    """Remove a list; see `Client.delete_list`."""
    name = key_bytes(key)
    (reply,) = yield [Command((b"UNLINK", name), key=name)]
    check(reply)


def copy_list(source: str, destination: str) -> Call[None]:
    """Store a list under another key, too; see `Client.copy_list`."""
    old, new = key_bytes(source), key_bytes(destination)
    yield from _check_present(source)
    if old == new:
        return
    if (yield from share_shard(old, new)):
        (reply,) = yield [Command((b"COPY", old, new, b"REPLACE"), key=old)]
        if not integer(reply):
            raise _missing(source)
    else:
        yield from _copy_through_client(old, new)


def rename_list(source: str, destination: str) -> Call[None]:
    """Move a list to another key; see `Client.rename_list`.

    What others append on the way is never lost: between two shards, it stays where it was appended.
    """
    old, new = key_bytes(source), key_bytes(destination)
    yield from _check_present(source)
    if old == new:
        return
    if (yield from share_shard(old, new)):
        (reply,) = yield [Command((b"RENAME", old, new), key=old)]
        check(reply)
    else:
        copied = yield from _copy_through_client(old, new)
        (reply,) = yield [Command((b"LTRIM", old, b"%d" % copied, b"-1"), key=old)]
        check(reply)


def get_list_length(key: str) -> Call[int]:
    """Return how many datasets a list has; see `Client.get_list_length`."""
    name = key_bytes(key)
    (reply,) = yield [Command((b"LLEN", name), key=name, changes=False)]
    return integer(reply)


def get_datasets_from_list(key: str) -> Call[list[Dataset]]:
    """Return the datasets of a list; see `Client.get_datasets_from_list`."""
    return get_dataset_list_range(key, 0, -1)


def get_dataset_list_range(key: str, start_index: int, end_index: int) -> Call[list[Dataset]]:
    """Return some of the datasets of a list; see `Client.get_dataset_list_range`."""
    check_type(start_index, "start_index", int)
    check_type(end_index, "end_index", int)
    stems = yield from _elements(key_bytes(key), start_index, end_index)
    names = [_dataset_name(stem, key) for stem in stems]
    contents = yield from read(stems)
    return [Dataset.received(name, content) for name, content in zip(names, contents, strict=True)]


def _elements(key: bytes, first: int, last: int) -> Call[list[bytes]]:
    (reply,) = yield [Command((b"LRANGE", key, b"%d" % first, b"%d" % last), key=key, changes=False)]
    return texts(reply)


def _dataset_name(stem: bytes, key: str) -> str:
    """Return the name of the dataset with a stem: what stands between its first and its last brace."""
    begin, end = stem.find(b"{"), stem.rfind(b"}")
    if not 0 <= begin < end:
        raise RedisInternalError(
            f"The element {decode_text(stem)!r} of the list {key!r} is not that of a dataset", key=key
        )
    return decode_text(stem[begin + 1 : end])


def _check_present(key: str) -> Call[None]:
    if not (yield from get_list_length(key)):
        raise _missing(key)


def _copy_through_client(old: bytes, new: bytes) -> Call[int]:
    """Replace a list by the elements that another one has now; return how many."""
    elements = yield from _elements(old, 0, -1)
    if not elements:
        raise _missing(decode_text(old))
    commands = (Command((b"UNLINK", new), key=new), Command((b"RPUSH", new, *elements), key=new))
    (reply,) = yield [Transaction(commands)]
    check(reply)
    return len(elements)


def _missing(key: str) -> RedisRuntimeError:
    return RedisRuntimeError(f"There is no list {key!r}: check the name and the data source, or wait for it", key=key)
