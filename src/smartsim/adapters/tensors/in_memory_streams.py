"""Commands of the in-memory tensor store for streams, and for the groups that consume them."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from smartsim.adapters.tensors.in_memory_keys import CommandKind, Commands, Keys, NotYet, RefusedError, integer
from smartsim.ports.tensor_store import Reply

_OK: Final = b"OK"
_READ: Final = (b"GROUP", b"COUNT", b"STREAMS")
_SYNTAX_ERROR: Final = "ERR syntax error"
_ATTEMPTS: Final = 10
"""So many entries are looked at for each that may be claimed."""

_NUMBER = re.compile(rb"(\d{1,20})(?:-(\d{1,20}))?")
_LARGEST: Final = 2**64 - 1

Number: TypeAlias = tuple[int, int]
"""Of an entry: milliseconds, and a count within them."""


@dataclass
class _Delivery:
    """An entry that a consumer has and has not acknowledged."""

    consumer: bytes
    at: float
    times: int

    def again(self, consumer: bytes) -> None:
        """Deliver it once more."""
        self.consumer, self.at, self.times = consumer, time.monotonic(), self.times + 1

    def idle(self) -> int:
        """Return how long ago it was delivered, in ms."""
        return int((time.monotonic() - self.at) * 1000)


@dataclass
class _Group:
    """Consumers that share the entries of a stream."""

    last: Number
    consumers: set[bytes] = field(default_factory=set)
    pending: dict[Number, _Delivery] = field(default_factory=dict)


@dataclass
class Stream:
    """Entries in the order in which they were added, and who consumes them."""

    entries: dict[Number, list[bytes]] = field(default_factory=dict)
    last: Number = (0, 0)
    groups: dict[bytes, _Group] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.entries)

    def row(self, number: Number) -> Reply:
        """Return an entry as replies have it; without fields if it has been removed."""
        fields = self.entries.get(number)
        return [_text(number), None if fields is None else list(fields)]


def _add(keys: Keys, name: bytes, number: bytes, *fields: bytes) -> Reply:
    if number != b"*":
        raise RefusedError("ERR the in-memory store numbers entries itself: give * for the number")
    if len(fields) % 2:
        raise RefusedError("ERR wrong number of arguments for 'xadd' command")
    stream = keys.find_or_make(name, Stream)
    milliseconds, count = stream.last
    now = time.time_ns() // 1_000_000
    stream.last = (now, 0) if now > milliseconds else (milliseconds, count + 1)
    stream.entries[stream.last] = list(fields)
    return _text(stream.last)


def _length(keys: Keys, name: bytes) -> Reply:
    return len(keys.find(name, Stream) or ())


def _range(keys: Keys, name: bytes, first: bytes, last: bytes) -> Reply:
    begin, end = _number(first, 0), _number(last, _LARGEST)
    stream = keys.find(name, Stream) or Stream()
    return [stream.row(number) for number in stream.entries if begin <= number <= end]


def _remove(keys: Keys, name: bytes, *numbers: bytes) -> Reply:
    stream = keys.find(name, Stream)
    if stream is None:
        return 0
    wanted = [_number(number, 0) for number in numbers]
    return sum(stream.entries.pop(number, None) is not None for number in wanted)


def _manage_group(keys: Keys, subcommand: bytes, name: bytes, group: bytes, *words: bytes) -> Reply:
    if subcommand == b"CREATE" and words[1:] == (b"MKSTREAM",):
        return _create_group(keys, name, group, words[0])
    stream = keys.need(
        name,
        Stream,
        "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM "
        "option to create an empty stream automatically.",
    )
    if subcommand == b"DESTROY" and not words:
        return int(stream.groups.pop(group, None) is not None)
    if subcommand != b"DELCONSUMER" or len(words) != 1:
        raise RefusedError(f"ERR unknown subcommand or wrong number of arguments for '{subcommand.decode()}'")
    if group not in stream.groups:
        raise RefusedError(f"NOGROUP No such consumer group '{_quoted(group)}' for key name '{_quoted(name)}'")
    found = stream.groups[group]
    found.consumers.discard(words[0])
    theirs = [number for number, delivery in found.pending.items() if delivery.consumer == words[0]]
    for number in theirs:
        del found.pending[number]
    return len(theirs)


def _create_group(keys: Keys, name: bytes, group: bytes, begin: bytes) -> Reply:
    number = _number(begin, 0)
    stream = keys.find_or_make(name, Stream)
    if group in stream.groups:
        raise RefusedError("BUSYGROUP Consumer Group name already exists")
    stream.groups[group] = _Group(number)
    return _OK


def _groups(keys: Keys, subcommand: bytes, name: bytes) -> Reply:
    if subcommand != b"GROUPS":
        raise RefusedError(f"ERR unknown subcommand '{subcommand.decode()}'. Try XINFO HELP.")
    stream = keys.need(name, Stream, "ERR no such key")
    return [_about(text, group) for text, group in sorted(stream.groups.items())]


def _about(name: bytes, group: _Group) -> Reply:
    counts: list[Reply] = [b"consumers", len(group.consumers), b"pending", len(group.pending)]
    return [b"name", name, *counts, b"last-delivered-id", _text(group.last)]


def _read(keys: Keys, *words: bytes) -> Reply | NotYet:
    """XREADGROUP GROUP group consumer COUNT n [BLOCK ms] STREAMS key number."""
    group_word, group_name, consumer, count_word, count = words[:5]
    block, (streams_word, name, number) = words[5:-3], words[-3:]
    if (group_word, count_word, streams_word, *block[:1]) not in (_READ, (*_READ, b"BLOCK")):
        raise RefusedError(_SYNTAX_ERROR)
    most = integer(count)
    seconds = integer(block[1], "ERR timeout is not an integer or out of range") / 1000 if block else None
    missing = "NOGROUP No such key '{}' or consumer group '{}' in XREADGROUP with GROUP option"
    stream, group = _find_group(keys, name, group_name, missing)
    group.consumers.add(consumer)
    if number != b">":
        return [[name, _delivered_before(stream, group, consumer, _number(number, 0), most)]]
    new = [entry for entry in stream.entries if entry > group.last][:most]
    if not new:
        return None if seconds is None else NotYet(seconds or math.inf, otherwise=None)
    group.last = new[-1]
    group.pending.update((entry, _Delivery(consumer, time.monotonic(), 1)) for entry in new)
    return [[name, [stream.row(entry) for entry in new]]]


def _delivered_before(stream: Stream, group: _Group, consumer: bytes, after: Number, count: int) -> list[Reply]:
    pending = sorted(group.pending.items())
    theirs = [(number, each) for number, each in pending if each.consumer == consumer and number > after][:count]
    for number, delivery in theirs:
        if number in stream.entries:
            delivery.again(consumer)
    return [stream.row(number) for number, _ in theirs]


def _claim(
    keys: Keys, name: bytes, group_name: bytes, consumer: bytes, idle: bytes, begin: bytes, keyword: bytes, count: bytes
) -> Reply:
    if keyword != b"COUNT":
        raise RefusedError(_SYNTAX_ERROR)
    patience = integer(idle, "ERR Invalid min-idle-time argument for XAUTOCLAIM")
    first, left = _number(begin, 0), integer(count)
    stream, group = _find_group(keys, name, group_name, "NOGROUP No such key '{}' or consumer group '{}'")
    group.consumers.add(consumer)
    claimed: list[Reply] = []
    removed: list[Reply] = []
    candidates = [number for number in sorted(group.pending) if number >= first]
    looked_at = 0
    for number in candidates[: left * _ATTEMPTS]:
        if len(claimed) + len(removed) == left:
            break
        looked_at += 1
        if number not in stream.entries:
            del group.pending[number]
            removed.append(_text(number))
        elif group.pending[number].idle() >= patience:
            group.pending[number].again(consumer)
            claimed.append(stream.row(number))
    return [_text(candidates[looked_at]) if looked_at < len(candidates) else b"0-0", claimed, removed]


def _acknowledge(keys: Keys, name: bytes, group: bytes, *numbers: bytes) -> Reply:
    stream = keys.find(name, Stream)
    if stream is None or group not in stream.groups:
        return 0
    wanted = [_number(number, 0) for number in numbers]
    pending = stream.groups[group].pending
    return sum(pending.pop(number, None) is not None for number in wanted)


def _pending(keys: Keys, name: bytes, group: bytes, first: bytes, last: bytes, count: bytes) -> Reply:
    begin, end, most = _number(first, 0), _number(last, _LARGEST), integer(count)
    _, found = _find_group(keys, name, group, "NOGROUP No such key '{}' or consumer group '{}'")
    listed = [number for number in sorted(found.pending) if begin <= number <= end][: max(0, most)]
    deliveries = [(number, found.pending[number]) for number in listed]
    return [[_text(number), each.consumer, each.idle(), each.times] for number, each in deliveries]


def _find_group(keys: Keys, name: bytes, group: bytes, missing: str) -> tuple[Stream, _Group]:
    stream = keys.find(name, Stream)
    if stream is None or group not in stream.groups:
        raise RefusedError(missing.format(_quoted(name), _quoted(group)))
    return stream, stream.groups[group]


def _quoted(name: bytes) -> str:
    return name.decode(errors="replace")


def _text(number: Number) -> bytes:
    return b"%d-%d" % number


def _number(text: bytes, missing: int) -> Number:
    """Return the number that a text is; ``-`` and ``+`` are the least and the largest."""
    if text in (b"-", b"+"):
        return (0, 0) if text == b"-" else (_LARGEST, _LARGEST)
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise RefusedError("ERR Invalid stream ID specified as stream command argument")
    return int(match[1]), int(match[2]) if match[2] else missing


COMMANDS: Commands = {
    b"XADD": CommandKind(_add, 4),
    b"XLEN": CommandKind(_length, 1, 1),
    b"XRANGE": CommandKind(_range, 3, 3),
    b"XDEL": CommandKind(_remove, 2),
    b"XGROUP": CommandKind(_manage_group, 3),
    b"XINFO": CommandKind(_groups, 2, 2),
    b"XREADGROUP": CommandKind(_read, 8, 10),
    b"XAUTOCLAIM": CommandKind(_claim, 7, 7),
    b"XACK": CommandKind(_acknowledge, 3),
    b"XPENDING": CommandKind(_pending, 5, 5),
}
"""By name."""
