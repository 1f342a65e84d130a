"""Commands of the in-memory tensor store for keys of any type, strings, hashes and lists, and for waiting."""

from __future__ import annotations

from collections.abc import Sized
from typing import Final

from smartsim.adapters.tensors.in_memory_keys import CommandKind, Commands, Keys, NotYet, RefusedError, integer
from smartsim.adapters.tensors.in_memory_streams import Stream
from smartsim.ports.tensor_store import Reply

_OK: Final = b"OK"
_LONGEST_WAIT: Final = 3_600_000  # ms
_COMPARISONS = {b"EQ": int.__eq__, b"GE": int.__ge__, b"LE": int.__le__}


def _ping(_keys: Keys) -> Reply:
    return b"PONG"


def _flush(keys: Keys) -> Reply:
    keys.clear()
    return _OK


def _size(keys: Keys) -> Reply:
    return len(keys)


def _delete(keys: Keys, *names: bytes) -> Reply:
    return sum(map(keys.remove, names))


def _exists(keys: Keys, *names: bytes) -> Reply:
    return sum(name in keys for name in names)


def _rename(keys: Keys, old: bytes, new: bytes) -> Reply:
    if old not in keys:
        raise RefusedError("ERR no such key")
    if old != new:
        keys.duplicate(old, new)
        keys.remove(old)
    return _OK


def _copy(keys: Keys, source: bytes, destination: bytes, *options: bytes) -> Reply:
    if options not in ((), (b"REPLACE",)):
        raise RefusedError("ERR syntax error")
    if source == destination:
        raise RefusedError("ERR source and destination objects are the same")
    if source not in keys or (destination in keys and not options):
        return 0
    keys.duplicate(source, destination)
    return 1


def _expire(keys: Keys, name: bytes, milliseconds: bytes) -> Reply:
    duration = integer(milliseconds)
    if name not in keys:
        return 0
    if duration > 0:
        keys.expire(name, duration)
    else:
        keys.remove(name)
    return 1


def _time_to_live(keys: Keys, name: bytes) -> Reply:
    return keys.milliseconds_left(name) if name in keys else -2


def _persist(keys: Keys, name: bytes) -> Reply:
    return int(name in keys and keys.keep(name))


def _set(keys: Keys, name: bytes, value: bytes, *options: bytes) -> Reply:
    if options and (len(options) != 2 or options[0] != b"PX"):  # noqa: PLR2004 - PX and its number
        raise RefusedError("ERR syntax error")
    duration = integer(options[1]) if options else None
    if duration is not None and duration <= 0:
        raise RefusedError("ERR invalid expire time in 'set' command")
    keys.put(name, value)
    if duration is not None:
        keys.expire(name, duration)
    return _OK


def _get(keys: Keys, name: bytes) -> Reply:
    return keys.find(name, bytes)


def _hash_set(keys: Keys, name: bytes, *words: bytes) -> Reply:
    if len(words) % 2:
        raise RefusedError("ERR wrong number of arguments for 'hset' command")
    fields: dict[bytes, bytes] = keys.find_or_make(name, dict)
    before = len(fields)
    fields.update(zip(words[::2], words[1::2], strict=True))
    return len(fields) - before


def _hash(keys: Keys, name: bytes) -> dict[bytes, bytes]:
    return keys.find(name, dict) or {}


def _hash_get(keys: Keys, name: bytes, field: bytes) -> Reply:
    return _hash(keys, name).get(field)


def _hash_get_all(keys: Keys, name: bytes) -> Reply:
    return [word for pair in _hash(keys, name).items() for word in pair]


def _hash_exists(keys: Keys, name: bytes, field: bytes) -> Reply:
    return int(field in _hash(keys, name))


def _append(keys: Keys, name: bytes, *items: bytes) -> Reply:
    values: list[bytes] = keys.find_or_make(name, list)
    values.extend(items)
    return len(values)


def _list_range(keys: Keys, name: bytes, start: bytes, end: bytes) -> Reply:
    first, last = integer(start), integer(end)
    values: list[Reply] = keys.find(name, list) or []
    first = max(0, first + len(values) if first < 0 else first)
    return values[first : last + 1 if last >= 0 else max(0, len(values) + last + 1)]


def _list_length(keys: Keys, name: bytes) -> Reply:
    return len(keys.find(name, list) or [])


def _wait(keys: Keys, milliseconds: bytes, kind: bytes, name: bytes, *words: bytes) -> Reply | NotYet:
    refusal = f"ERR a wait takes 0 to {_LONGEST_WAIT} milliseconds"
    duration = integer(milliseconds, refusal)
    if not 0 <= duration <= _LONGEST_WAIT:
        raise RefusedError(refusal)
    counts = {b"EXISTS": 0, b"FIELD": 1, b"LENGTH": 2}
    if kind not in counts:
        raise RefusedError("ERR a wait is for EXISTS, FIELD or LENGTH")
    if len(words) != counts[kind]:
        raise RefusedError("ERR wrong number of arguments for 'AI._WAIT' command")
    if kind == b"EXISTS":
        holds = name in keys
    elif kind == b"FIELD":
        holds = words[0] in _hash(keys, name)
    else:
        holds = _has_length(keys, name, *words)
    return 1 if holds else NotYet(duration / 1000, otherwise=0)


def _has_length(keys: Keys, name: bytes, comparison: bytes, number: bytes) -> bool:
    if comparison not in _COMPARISONS:
        raise RefusedError("ERR a LENGTH is to be EQ, GE or LE")
    refusal = "ERR a LENGTH is an integer from 0 on"
    wanted = integer(number, refusal)
    if wanted < 0:
        raise RefusedError(refusal)
    present: Sized | None = keys.find_one_of(name, (list, Stream))
    return _COMPARISONS[comparison](len(present or ()), wanted)


COMMANDS: Commands = {
    b"PING": CommandKind(_ping, 0, 0),
    b"FLUSHDB": CommandKind(_flush, 0, 0),
    b"DBSIZE": CommandKind(_size, 0, 0),
    b"DEL": CommandKind(_delete, 1),
    b"UNLINK": CommandKind(_delete, 1),
    b"EXISTS": CommandKind(_exists, 1),
    b"RENAME": CommandKind(_rename, 2, 2),
    b"COPY": CommandKind(_copy, 2),
    b"PEXPIRE": CommandKind(_expire, 2, 2),
    b"PERSIST": CommandKind(_persist, 1, 1),
    b"PTTL": CommandKind(_time_to_live, 1, 1),
    b"SET": CommandKind(_set, 2),
    b"GET": CommandKind(_get, 1, 1),
    b"HSET": CommandKind(_hash_set, 3),
    b"HGET": CommandKind(_hash_get, 2, 2),
    b"HGETALL": CommandKind(_hash_get_all, 1, 1),
    b"HEXISTS": CommandKind(_hash_exists, 2, 2),
    b"RPUSH": CommandKind(_append, 2),
    b"LRANGE": CommandKind(_list_range, 3, 3),
    b"LLEN": CommandKind(_list_length, 1, 1),
    b"AI._WAIT": CommandKind(_wait, 3),
}
"""By name."""
