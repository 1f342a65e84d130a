"""What a client does with streams: datasets that are published one after the other, and consumed by groups.

A stream is one of the server, under the key that a list of its name would have. Each of its entries names a dataset,
whose keys begin with that key in braces: so everything about a stream is in one slot, and a dataset and its entry come
in one transaction. A dataset goes when every group has acknowledged it, and its entry with it: the length of the stream
is the number of datasets that somebody still needs.

What tells consumers that a stream has ended is the key ``{stream}.end``. Entries without a dataset say nothing; they
are there to wake those who wait.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Sequence
from numbers import Real
from typing import Any, Final, NamedTuple

from smartsim.app.client.calls import Call, check, integer, several, text, texts
from smartsim.app.client.dataset import Dataset
from smartsim.app.client.dataset_storage import meta_key, part_key, write
from smartsim.app.client.tensors import key_bytes
from smartsim.app.client.waiting import wait
from smartsim.domain.client_errors import (
    RedisDatabaseError,
    RedisInternalError,
    RedisRuntimeError,
    RedisTimeoutError,
    check_type,
)
from smartsim.domain.keys import Prefixes
from smartsim.domain.metadata import decode_text, encode_text
from smartsim.ports.tensor_store import Command, Reply, Request, Transaction

_UNKNOWN_FOR: Final = b"3600000"  # ms
"""A dataset that has no entry yet is forgotten after this long."""


class Keys(NamedTuple):
    """The key of a stream, where a client writes and where it reads."""

    write: bytes
    read: bytes


class Entry(NamedTuple):
    """An entry of a stream.

    Attributes:
        number: what the server calls it; later ones have higher numbers.
        name: of the dataset.
        stem: what the dataset's keys begin with; empty when there is no dataset.
        tensors: names of its tensors.
    """

    number: bytes
    name: bytes = b""
    stem: bytes = b""
    tensors: tuple[bytes, ...] = ()

    @property
    def keys(self) -> list[bytes]:
        """The keys of its dataset."""
        if not self.stem:
            return []
        return [meta_key(self.stem), *(part_key(self.stem, name) for name in self.tensors)]


class Group(NamedTuple):
    """How far a group is.

    Attributes:
        name: of the group.
        consumers: how many it has, dead ones included.
        pending: how many entries were delivered to them and not acknowledged.
        delivered: number of the last entry that was delivered.
    """

    name: bytes
    consumers: int
    pending: int
    delivered: bytes


def find_keys(prefixes: Prefixes, name: str) -> Keys:
    """Return the keys of a stream.

    Raises:
        TypeError: the name is no text.
        ValueError: it is empty, or has braces, which would tell a cluster where to put it.
    """
    check_type(name, "name", str)
    keys = Keys(key_bytes(prefixes.list_to_write(name)), key_bytes(prefixes.list_to_read(name)))
    if not name or any(brace in key for key in keys for brace in (b"{", b"}")):
        raise ValueError(f"Argument name is {name!r}: give a stream a name, without braces")
    return keys


# --- producing


def publish(key: bytes, capacity: int, dataset: Dataset, timeout: float | None) -> Call[None]:
    """Add a dataset to a stream, as soon as fewer than `capacity` are in it."""
    check_type(dataset, "dataset", Dataset)
    name = decode_text(key)
    deadline = time.monotonic() + parse_timeout(timeout)
    length = capacity
    while length >= capacity:
        reply, ended = yield [
            command(key, b"XLEN", key, changes=False),
            command(key, b"EXISTS", end_key(key), changes=False),
        ]
        if integer(ended):
            raise RedisRuntimeError(f"The stream {name!r} has ended: use another name, or delete() it first", key=name)
        length = integer(reply)
        if length >= capacity and not (
            yield from wait(key, (b"LENGTH", b"LE", b"%d" % (capacity - 1)), deadline - time.monotonic())
        ):
            raise RedisTimeoutError(
                f"The stream {name!r} has been full for {timeout} s: {capacity} datasets wait for its groups; have "
                "them consumed faster, allow for more (capacity), or remove a group that nobody serves",
                key=name,
            )
    yield from _add(key, dataset)


def _add(key: bytes, dataset: Dataset) -> Call[None]:
    content = dataset.content()
    stem = b"{%b}.%b" % (key, uuid.uuid4().hex.encode())
    entry = Entry(b"*", encode_text(dataset.get_name()), stem, tuple(map(encode_text, content.tensors)))
    tensors = (word for name in entry.tensors for word in (b"tensor", name))
    add = command(key, b"XADD", key, entry.number, b"name", entry.name, b"dataset", stem, *tensors)
    # If this client dies on the way, what nobody knows of expires.
    yield from write(stem, content, _UNKNOWN_FOR)
    (reply,) = yield [Transaction((*(command(key, b"PERSIST", part) for part in entry.keys), add))]
    check(reply)


def end(key: bytes) -> Call[None]:
    """End a stream: those who consume it are told so after its last dataset."""
    groups = yield from _find_groups(key)
    waiting = max((group.consumers for group in groups), default=0)
    wake = command(key, b"XADD", key, b"*", b"end", b"")
    (reply,) = yield from twice([Transaction((command(key, b"SET", end_key(key), b""), *([wake] * waiting)))])
    check(reply)


# --- groups


def add_group(key: bytes, group: bytes) -> Call[None]:
    """Have everything that is in a stream, and that comes to it, kept until a group has acknowledged it."""
    (reply,) = yield from twice([command(key, b"XGROUP", b"CREATE", key, group, b"0", b"MKSTREAM")])
    if not (isinstance(reply, RedisRuntimeError) and "BUSYGROUP" in reply.cause):
        check(reply)


def remove_group(key: bytes, group: str) -> Call[None]:
    """Forget a group, and remove the datasets that were kept only for it."""
    name = parse_name(group, "group")
    if not any(found.name == name for found in (yield from _find_groups(key))):
        return
    (reply,) = yield from twice([command(key, b"XGROUP", b"DESTROY", key, name)])
    check(reply)
    yield from remove_finished(key, (yield from _find_groups(key)))


def _find_groups(key: bytes) -> Call[list[Group]]:
    """Return the groups of a stream; none, when there is no stream."""
    exists = command(key, b"EXISTS", key, changes=False)
    found, reply = yield [exists, command(key, b"XINFO", b"GROUPS", key, changes=False)]
    return groups_of(reply) if integer(found) else []


def delete(key: bytes) -> Call[None]:
    """Remove a stream, with its datasets and groups; nothing happens when there is none."""
    (reply,) = yield [command(key, b"XRANGE", key, b"-", b"+", changes=False)]
    keys = [part for entry in entries_of(reply) for part in entry.keys]
    (reply,) = yield from twice([command(key, b"UNLINK", key, end_key(key), *keys)])
    check(reply)


# --- both


def parse_capacity(capacity: int) -> int:
    """Return how many datasets a stream keeps at most.

    Raises:
        TypeError: it is no integer.
        ValueError: it is not above 0.
    """
    check_type(capacity, "capacity", int)
    if capacity < 1:
        raise ValueError(f"Argument capacity is {capacity}: give the largest number of datasets to keep, 1 or more")
    return capacity


def parse_timeout(timeout: float | None) -> float:
    """Return a time-out in seconds; infinity for None.

    Raises:
        TypeError: it is no number.
        ValueError: it is negative, or no number.
    """
    return math.inf if timeout is None else parse_seconds(timeout, "timeout")


def parse_seconds(seconds: float, argument: str) -> float:
    """Return a number of seconds; for errors see `parse_timeout`."""
    if isinstance(seconds, bool) or not isinstance(seconds, Real):
        raise TypeError(f"Argument {argument} is of type {type(seconds)}, not {float}")
    if not seconds >= 0:
        raise ValueError(f"Argument {argument} is {seconds}: give seconds, none of them negative")
    return float(seconds)


def parse_name(name: str, argument: str) -> bytes:
    """Return the name of a group or of a consumer, as it is sent.

    Raises:
        TypeError: it is no text.
        ValueError: it is empty.
    """
    check_type(name, argument, str)
    if not name:
        raise ValueError(f"Argument {argument} is empty: give a name")
    return key_bytes(name)


def remove_finished(key: bytes, groups: Sequence[Group]) -> Call[None]:
    """Remove what every group has acknowledged.

    Whoever acknowledges last sees that all others have. If it dies before it has removed anything, the next one does.
    """
    last = min((group.delivered for group in groups), key=_order, default=b"0-0")
    pending = [group for group in groups if group.pending]
    ask = [
        command(key, b"XPENDING", key, group.name, b"-", last, b"%d" % group.pending, changes=False)
        for group in pending
    ]
    passed, *needed = yield [command(key, b"XRANGE", key, b"-", last, changes=False), *ask]
    still = {text(several(row)[0]) for rows in needed for row in several(rows)}
    finished = [entry for entry in entries_of(passed) if entry.number not in still]
    if not finished:
        return
    commands = [command(key, b"XDEL", key, *(entry.number for entry in finished))]
    if keys := [part for entry in finished for part in entry.keys]:
        commands.insert(0, command(key, b"UNLINK", *keys))
    check((yield from twice([Transaction(tuple(commands))])))


def twice(requests: Sequence[Request]) -> Call[list[Reply]]:
    """Make requests, which leave the same behind when they are carried out twice; do so if the answer is lost."""
    try:
        replies: list[Reply] = yield requests
    except RedisDatabaseError:
        replies = yield requests
    return replies


def command(key: bytes, *words: bytes, changes: bool = True) -> Command:
    """Return a command about a stream."""
    return Command(words, key=key, changes=changes)


def end_key(key: bytes) -> bytes:
    """Return the key that is there when a stream has ended."""
    return b"{%b}.end" % key


def delivered(reply: Reply) -> list[Entry]:
    """Return the entries in a reply to XREADGROUP, of one stream."""
    return [] if reply is None else entries_of(several(several(reply)[0])[1])


def entries_of(reply: Reply) -> list[Entry]:
    """Return the entries in a reply to XRANGE, or in a part of others."""
    return [_entry(several(row)) for row in several(reply) if row is not None]


def groups_of(reply: Reply) -> list[Group]:
    """Return the groups in a reply to XINFO GROUPS."""
    groups = []
    for row in several(reply):
        words = several(row)
        about: dict[bytes, Any] = {text(label): value for label, value in zip(words[::2], words[1::2], strict=True)}
        consumers, pending = integer(about[b"consumers"]), integer(about[b"pending"])
        groups.append(Group(text(about[b"name"]), consumers, pending, text(about[b"last-delivered-id"])))
    return groups


def _entry(row: list[Reply]) -> Entry:
    number, fields = text(row[0]), row[1]
    words = [] if fields is None else texts(fields)  # an entry that is pending, but has been removed
    named = list(zip(words[::2], words[1::2], strict=True))
    found = dict(named)
    tensors = tuple(value for field, value in named if field == b"tensor")
    return Entry(number, found.get(b"name", b""), found.get(b"dataset", b""), tensors)


def _order(number: bytes) -> tuple[int, ...]:
    try:
        return tuple(map(int, number.split(b"-")))
    except ValueError:
        raise RedisInternalError(f"The database calls an entry of a stream {number[:60]!r}") from None
