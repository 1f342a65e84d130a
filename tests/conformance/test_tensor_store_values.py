"""What every tensor store answers to the commands for keys of any type, strings, hashes and lists."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensor_stores import Store, ask, refused, same, say, tensor_get, tensor_set, wait_for

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
NUL_BREAK_UTF8 = b"\0\r\n$3\r\n\xff\xed"
SOON = 60_000  # ms: a time that does not pass in a test


def fill(store: Store, key: str) -> dict[str, str]:
    """Put a value of each type under a key, and return the keys."""
    keys = {kind: f"{key}.{kind}" for kind in ("string", "hash", "list", "tensor", "stream")}
    replies = store.run(
        [
            say("SET", keys["string"], "text"),
            say("HSET", keys["hash"], "field", "value"),
            say("RPUSH", keys["list"], "a", "b"),
            tensor_set(keys["tensor"], np.arange(3)),
            say("XADD", keys["stream"], "*", "field", "value"),
        ]
    )
    assert replies[:4] == [b"OK", 1, 2, b"OK"]
    return keys


def test_ping_is_answered_by_every_shard(any_store: Store) -> None:
    assert ask(any_store, "PING") == b"PONG"
    for shard in any_store.shards():
        assert ask(any_store, "PING", shard=shard.address) == b"PONG"


def test_shards_cover_all_slots_in_order(any_store: Store) -> None:
    shards = any_store.shards()
    ends = [-1, *(shard.slots[1] for shard in shards)]
    assert [shard.slots[0] for shard in shards] == [end + 1 for end in ends[:-1]]
    assert ends[-1] == 16383
    assert all(bool(shard.prefix) == (len(shards) > 1) for shard in shards)


def test_a_shard_is_emptied_and_counted(any_store: Store) -> None:
    shards = any_store.shards()
    for shard in shards:
        assert ask(any_store, "FLUSHDB", shard=shard.address) == b"OK"
    for number in range(30):
        ask(any_store, "SET", f"key {number}", "x")
    assert sum(ask(any_store, "DBSIZE", shard=shard.address) for shard in shards) == 30
    for shard in shards:
        ask(any_store, "FLUSHDB", shard=shard.address)
        assert ask(any_store, "DBSIZE", shard=shard.address) == 0
    assert ask(any_store, "EXISTS", "key 1") == 0


@pytest.mark.parametrize("command", ["DEL", "UNLINK"])
def test_keys_of_any_type_are_removed(any_store: Store, key: str, command: str) -> None:
    keys = fill(any_store, key)
    assert ask(any_store, "EXISTS", *keys.values(), keys["list"]) == 6
    assert ask(any_store, command, keys["list"]) == 1
    assert ask(any_store, "EXISTS", *keys.values()) == 4
    assert ask(any_store, command, *keys.values(), keys["hash"], f"{key}.none") == 4
    assert ask(any_store, "EXISTS", *keys.values()) == 0


def test_a_key_is_renamed_over_another(any_store: Store, key: str) -> None:
    keys = fill(any_store, key)
    assert ask(any_store, "RENAME", keys["tensor"], keys["list"]) == b"OK"
    exists, found = any_store.run([say("EXISTS", keys["tensor"]), tensor_get(keys["list"])])
    assert exists == 0
    assert same(found, np.arange(3))
    assert ask(any_store, "RENAME", keys["list"], keys["list"]) == b"OK"
    assert refused(ask(any_store, "RENAME", f"{key}.none", keys["list"]), "ERR no such key")
    assert ask(any_store, "EXISTS", keys["list"]) == 1


def test_a_copy_is_another(any_store: Store, key: str) -> None:
    keys = fill(any_store, key)
    copy = f"{key}.copy"
    assert ask(any_store, "COPY", keys["hash"], copy) == 1
    assert ask(any_store, "HSET", copy, "field", "other") == 0
    assert ask(any_store, "HGET", keys["hash"], "field") == b"value"
    assert ask(any_store, "COPY", keys["tensor"], copy) == 0
    assert ask(any_store, "COPY", keys["tensor"], copy, "REPLACE") == 1
    any_store.run([tensor_set(keys["tensor"], np.zeros(2))])
    assert same(any_store.run([tensor_get(copy)])[0], np.arange(3))
    assert ask(any_store, "COPY", f"{key}.none", copy, "REPLACE") == 0
    assert refused(ask(any_store, "COPY", copy, copy), "ERR source and destination objects are the same")
    assert refused(ask(any_store, "COPY", keys["hash"], copy, "OVER"), "ERR syntax error")


def test_strings_are_kept(any_store: Store, key: str) -> None:
    assert ask(any_store, "GET", key) is None
    for value in (b"", NUL_BREAK_UTF8, b"x" * 3_000_000):
        assert ask(any_store, "SET", key, value) == b"OK"
        assert ask(any_store, "GET", key) == value
    array = np.arange(100_000, dtype=np.int16)
    assert ask(any_store, "SET", key, array) == b"OK"
    assert ask(any_store, "GET", key) == array.tobytes()


def test_a_string_replaces_anything(any_store: Store, key: str) -> None:
    for name in fill(any_store, key).values():
        assert ask(any_store, "SET", name, "new") == b"OK"
        assert ask(any_store, "GET", name) == b"new"


def test_keys_expire_when_their_time_has_come(any_store: Store, key: str) -> None:
    keys = fill(any_store, key)
    replies = any_store.run(
        [
            say("SET", keys["string"], "new", "PX", 1),
            say("PEXPIRE", keys["tensor"], 1),
            say("PEXPIRE", keys["list"], 1),
            wait_for(SOON, "LENGTH", keys["list"], "LE", 0),  # the one that goes last
            say("EXISTS", *keys.values()),
            say("GET", keys["string"]),
            tensor_get(keys["tensor"]),
            say("PTTL", keys["list"]),
        ]
    )
    assert replies[:6] == [b"OK", 1, 1, 1, 2, None]
    assert refused(replies[6], "ERR tensor key is empty")
    assert replies[7] == -2


def test_time_left_is_told_and_changed(any_store: Store, key: str) -> None:
    name = f"{key}.a"
    assert ask(any_store, "PTTL", name) == -2
    assert ask(any_store, "PEXPIRE", name, SOON) == 0
    ask(any_store, "HSET", name, "field", "value")
    assert ask(any_store, "PTTL", name) == -1
    assert ask(any_store, "PEXPIRE", name, SOON) == 1
    assert 0 < ask(any_store, "PTTL", name) <= SOON
    ask(any_store, "HSET", name, "field", "other")
    assert 0 < ask(any_store, "PTTL", name) <= SOON
    assert ask(any_store, "PEXPIRE", name, 0) == 1
    assert ask(any_store, "EXISTS", name) == 0


def test_the_time_left_goes_with_the_key_and_ends_with_its_value(any_store: Store, key: str) -> None:
    first, second, third = (f"{key}.{number}" for number in range(3))
    ask(any_store, "SET", first, "x", "PX", SOON)
    ask(any_store, "RENAME", first, second)
    ask(any_store, "COPY", second, third)
    assert 0 < ask(any_store, "PTTL", second) <= SOON
    assert 0 < ask(any_store, "PTTL", third) <= SOON
    ask(any_store, "SET", second, "y")
    assert ask(any_store, "PTTL", second) == -1
    ask(any_store, "DEL", third)
    any_store.run([tensor_set(third, np.zeros(1))])
    assert ask(any_store, "PTTL", third) == -1
    ask(any_store, "PEXPIRE", third, SOON)
    any_store.run([tensor_set(third, np.zeros(1))])
    assert ask(any_store, "PTTL", third) == -1
    ask(any_store, "PEXPIRE", third, SOON)
    assert ask(any_store, "PERSIST", third) == 1
    assert ask(any_store, "PERSIST", third) == 0
    assert ask(any_store, "PTTL", third) == -1


def test_hashes_are_kept(any_store: Store, key: str) -> None:
    assert ask(any_store, "HGETALL", key) == []
    assert ask(any_store, "HGET", key, "a") is None
    assert ask(any_store, "HEXISTS", key, "a") == 0
    assert ask(any_store, "HSET", key, "a", "1", NUL_BREAK_UTF8, NUL_BREAK_UTF8) == 2
    assert ask(any_store, "HSET", key, "a", "2", "b", np.arange(3, dtype=np.int8)) == 1
    assert ask(any_store, "HGET", key, "a") == b"2"
    assert ask(any_store, "HGET", key, "none") is None
    assert ask(any_store, "HEXISTS", key, NUL_BREAK_UTF8) == 1
    assert ask(any_store, "HEXISTS", key, "none") == 0
    words = ask(any_store, "HGETALL", key)
    assert dict(zip(words[::2], words[1::2], strict=True)) == {
        b"a": b"2",
        b"b": b"\0\1\2",
        NUL_BREAK_UTF8: NUL_BREAK_UTF8,
    }


def test_lists_are_kept_in_order(any_store: Store, key: str) -> None:
    assert ask(any_store, "LLEN", key) == 0
    assert ask(any_store, "LRANGE", key, 0, -1) == []
    assert ask(any_store, "RPUSH", key, "a") == 1
    assert ask(any_store, "RPUSH", key, NUL_BREAK_UTF8, "c") == 3
    assert ask(any_store, "LLEN", key) == 3
    assert ask(any_store, "LRANGE", key, 0, -1) == [b"a", NUL_BREAK_UTF8, b"c"]


@settings(max_examples=25)
@given(size=st.integers(1, 5), first=st.integers(-7, 7), last=st.integers(-7, 7))
def test_any_range_of_a_list(any_store: Store, size: int, first: int, last: int) -> None:
    items = [b"%d" % number for number in range(size)]
    ask(any_store, "DEL", "range")
    ask(any_store, "RPUSH", "range", *items)
    wanted = (
        [item for at, item in enumerate(items) if first % size * (first >= -size) <= at] if first < 0 else items[first:]
    )
    end = last if last >= 0 else size + last
    begin, end = (at if at >= 0 else size + at for at in (first, last))
    wanted = [items[at] for at in range(size) if begin <= at <= end]
    assert ask(any_store, "LRANGE", "range", first, last) == wanted


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ("hash list tensor stream", ("GET",)),
        ("string list tensor stream", ("HSET", "f", "v")),
        ("string list tensor stream", ("HGET", "f")),
        ("string list tensor stream", ("HGETALL",)),
        ("string list tensor stream", ("HEXISTS", "f")),
        ("string hash tensor stream", ("RPUSH", "item")),
        ("string hash tensor stream", ("LRANGE", 0, -1)),
        ("string hash tensor stream", ("LLEN",)),
        ("string hash list stream", ("AI.TENSORGET", "META", "BLOB")),
        ("string hash list tensor stream", ("AI.MODELGET", "BLOB")),
        ("string list tensor stream", ("AI._WAIT", "FIELD", "f")),
        ("string hash tensor", ("AI._WAIT", "LENGTH", "EQ", 7)),
    ],
)
def test_values_of_other_types_are_refused(any_store: Store, key: str, kinds: str, words: tuple[Any, ...]) -> None:
    keys = fill(any_store, key)
    command, *arguments = words
    for kind in kinds.split():
        if command == "AI._WAIT":
            condition, *rest = arguments
            (reply,) = any_store.run([wait_for(0, condition, keys[kind], *rest)])
        else:
            reply = ask(any_store, command, keys[kind], *arguments)
        assert refused(reply, WRONG_TYPE)
    assert ask(any_store, "EXISTS", *keys.values()) == len(keys)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("GET",), "ERR wrong number of arguments for 'get' command"),
        (("GET", "{k}", "b"), "ERR wrong number of arguments for 'get' command"),
        (("HSET", "{k}", "f"), "ERR wrong number of arguments for 'hset' command"),
        (("HSET", "{k}", "f", "v", "g"), "ERR wrong number of arguments for 'hset' command"),
        (("RPUSH", "{k}"), "ERR wrong number of arguments for 'rpush' command"),
        (("LRANGE", "{k}", "x", "1"), "ERR value is not an integer or out of range"),
        (("LRANGE", "{k}", "0", "99999999999999999999"), "ERR value is not an integer or out of range"),
        (("PEXPIRE", "{k}", "soon"), "ERR value is not an integer or out of range"),
        (("SET", "{k}", "v", "PX", "soon"), "ERR value is not an integer or out of range"),
        (("SET", "{k}", "v", "PX", "0"), "ERR invalid expire time in 'set' command"),
        (("SET", "{k}", "v", "PX"), "ERR syntax error"),
        (("SET", "{k}", "v", "FOO"), "ERR syntax error"),
        (("FOO", "{k}", "b"), "ERR unknown command 'FOO', with args beginning with: '{k}' 'b'"),
    ],
)
def test_what_is_no_command_is_refused(any_store: Store, words: tuple[str, ...], text: str) -> None:
    assert refused(ask(any_store, *words), text)
    assert ask(any_store, "EXISTS", "{k}") == 0
