"""What every tensor store answers to the commands for streams and their groups."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from servers import DEADLINE
from smartsim.ports.tensor_store import Command
from tensor_stores import LONG, Store, ask, begun, refused, say, together

ANY_TIME = 3_600_000  # ms


def add(store: Store, key: str, *values: str) -> list[bytes]:
    """Add an entry for each value, and return their numbers."""
    return [ask(store, "XADD", key, "*", "field", value) for value in values]


def create(store: Store, key: str, group: str = "g") -> Any:
    return ask(store, "XGROUP", "CREATE", key, group, 0, "MKSTREAM", key=key.encode())


def read(key: str, consumer: str = "c", count: int = 1, number: str = ">", block: int | None = None) -> Command:
    blocking = () if block is None else ("BLOCK", block)
    words = ("GROUP", "g", consumer, "COUNT", count, *blocking, "STREAMS", key, number)
    return say("XREADGROUP", *words, key=key.encode(), patience=(block or 0) / 1000)


def rows(numbers: list[bytes], *values: str) -> list[Any]:
    return [[number, [b"field", value.encode()]] for number, value in zip(numbers, values, strict=True)]


def delivered(store: Store, request: Command) -> Any:
    """Return the rows of one stream that a read gives; None for nil."""
    (reply,) = store.run([request])
    if reply is None:
        return None
    assert isinstance(reply, list), reply
    ((name, entries),) = reply  # type: ignore[misc]  # of a list of lists of replies
    assert name == request.key
    return entries


def about_groups(store: Store, key: str) -> dict[bytes, dict[bytes, Any]]:
    found = {}
    for row in ask(store, "XINFO", "GROUPS", key, key=key.encode()):
        about = dict(zip(row[::2], row[1::2], strict=True))
        found[about.pop(b"name")] = about
    return found


def order(number: bytes) -> tuple[int, ...]:
    return tuple(map(int, number.split(b"-")))


def test_entries_are_numbered_upwards_and_kept_in_order(any_store: Store, key: str) -> None:
    assert ask(any_store, "XLEN", key) == 0
    assert ask(any_store, "XRANGE", key, "-", "+") == []
    numbers = add(any_store, key, *"abcde")
    assert sorted(numbers, key=order) == numbers
    assert len(set(numbers)) == 5
    assert ask(any_store, "XLEN", key) == 5
    assert ask(any_store, "XRANGE", key, "-", "+") == rows(numbers, *"abcde")
    assert ask(any_store, "XRANGE", key, "-", numbers[2]) == rows(numbers[:3], *"abc")
    assert ask(any_store, "XRANGE", key, numbers[1], numbers[3]) == rows(numbers[1:4], *"bcd")
    assert ask(any_store, "XRANGE", key, numbers[3], numbers[1]) == []


def test_entries_have_any_fields_in_order_more_than_once(any_store: Store, key: str) -> None:
    fields = [b"b", b"\0\r\n", b"a", b"", b"b", b"\xff"]
    number = ask(any_store, "XADD", key, "*", *fields)
    assert ask(any_store, "XRANGE", key, "-", "+") == [[number, fields]]


def test_entries_are_removed(any_store: Store, key: str) -> None:
    assert ask(any_store, "XDEL", key, "1-1") == 0
    numbers = add(any_store, key, *"abc")
    assert ask(any_store, "XDEL", key, numbers[1], numbers[2], "1-1") == 2
    assert ask(any_store, "XRANGE", key, "-", "+") == rows(numbers[:1], "a")
    assert ask(any_store, "XDEL", key, numbers[0]) == 1
    assert refused(ask(any_store, "XDEL", key, "x"), "ERR Invalid stream ID")
    assert (ask(any_store, "XLEN", key), ask(any_store, "EXISTS", key)) == (0, 1)
    (after,) = add(any_store, key, "d")
    assert order(after) > order(numbers[2])


def test_groups_are_made_once_and_destroyed(any_store: Store, key: str) -> None:
    assert create(any_store, key) == b"OK"
    assert ask(any_store, "XLEN", key) == 0
    assert refused(create(any_store, key), "BUSYGROUP")
    assert create(any_store, key, "h") == b"OK"
    assert set(about_groups(any_store, key)) == {b"g", b"h"}
    assert ask(any_store, "XGROUP", "DESTROY", key, "h", key=key.encode()) == 1
    assert ask(any_store, "XGROUP", "DESTROY", key, "h", key=key.encode()) == 0
    assert set(about_groups(any_store, key)) == {b"g"}


def test_a_group_is_given_each_entry_once(any_store: Store, key: str) -> None:
    numbers = add(any_store, key, *"abc")
    create(any_store, key)
    assert delivered(any_store, read(key, "c")) == rows(numbers[:1], "a")
    assert delivered(any_store, read(key, "d", 5)) == rows(numbers[1:], *"bc")
    assert delivered(any_store, read(key, "c")) is None
    about = about_groups(any_store, key)[b"g"]
    assert about[b"consumers"] == 2
    assert about[b"pending"] == 3
    assert about[b"last-delivered-id"] == numbers[2]


def test_every_group_is_given_every_entry(any_store: Store, key: str) -> None:
    create(any_store, key, "h")
    create(any_store, key)
    numbers = add(any_store, key, *"ab")
    assert delivered(any_store, read(key, "c", 2)) == rows(numbers, *"ab")
    other = ("GROUP", "h", "c", "COUNT", 2, "STREAMS", key, ">")
    assert ask(any_store, "XREADGROUP", *other, key=key.encode()) == [[key.encode(), rows(numbers, *"ab")]]


def test_what_was_not_acknowledged_is_given_again_to_who_asks_for_it(any_store: Store, key: str) -> None:
    create(any_store, key)
    numbers = add(any_store, key, *"abc")
    any_store.run([read(key, "c"), read(key, "d"), read(key, "c")])
    assert delivered(any_store, read(key, "c", 5, "0")) == rows([numbers[0], numbers[2]], *"ac")
    assert delivered(any_store, read(key, "c", 1, "0")) == rows(numbers[:1], "a")
    assert delivered(any_store, read(key, "c", 5, numbers[0].decode())) == rows(numbers[2:], "c")
    assert delivered(any_store, read(key, "e", 5, "0")) == []
    ask(any_store, "XDEL", key, numbers[0])
    assert delivered(any_store, read(key, "c", 1, "0")) == [[numbers[0], None]]


def test_acknowledged_entries_are_not_pending(any_store: Store, key: str) -> None:
    assert ask(any_store, "XACK", key, "g", "1-1") == 0
    create(any_store, key)
    assert ask(any_store, "XACK", key, "none", "1-1") == 0
    numbers = add(any_store, key, *"abc")
    any_store.run([read(key, "c", 2)])
    assert ask(any_store, "XACK", key, "g", *numbers) == 2
    assert ask(any_store, "XACK", key, "g", *numbers) == 0
    assert about_groups(any_store, key)[b"g"][b"pending"] == 0
    assert delivered(any_store, read(key, "c", 5, "0")) == []
    assert ask(any_store, "XLEN", key) == 3


def test_pending_entries_are_listed(any_store: Store, key: str) -> None:
    create(any_store, key)
    numbers = add(any_store, key, *"abc")
    any_store.run([read(key, "c"), read(key, "d"), read(key, "c"), read(key, "c", 1, "0")])
    listed = ask(any_store, "XPENDING", key, "g", "-", "+", 10)
    assert [(number, consumer, times) for number, consumer, _, times in listed] == [
        (numbers[0], b"c", 2),
        (numbers[1], b"d", 1),
        (numbers[2], b"c", 1),
    ]
    assert all(0 <= idle < ANY_TIME for _, _, idle, _ in listed)
    assert [row[0] for row in ask(any_store, "XPENDING", key, "g", "-", numbers[1], 10)] == numbers[:2]
    assert [row[0] for row in ask(any_store, "XPENDING", key, "g", "-", "+", 1)] == numbers[:1]


def test_what_others_left_is_claimed(any_store: Store, key: str) -> None:
    create(any_store, key)
    numbers = add(any_store, key, *"abc")
    any_store.run([read(key, "c", 3)])
    claim = (key, "g", "d")
    assert ask(any_store, "XAUTOCLAIM", *claim, ANY_TIME, 0, "COUNT", 1) == [b"0-0", [], []]
    assert ask(any_store, "XAUTOCLAIM", *claim, 0, 0, "COUNT", 1) == [numbers[1], rows(numbers[:1], "a"), []]
    assert ask(any_store, "XAUTOCLAIM", *claim, 0, numbers[1], "COUNT", 5) == [b"0-0", rows(numbers[1:], *"bc"), []]
    assert delivered(any_store, read(key, "c", 5, "0")) == []
    assert delivered(any_store, read(key, "d", 5, "0")) == rows(numbers, *"abc")
    times = [row[3] for row in ask(any_store, "XPENDING", key, "g", "-", "+", 10)]
    assert times == [3, 3, 3]


def test_what_is_claimed_after_it_was_removed_is_told(any_store: Store, key: str) -> None:
    create(any_store, key)
    numbers = add(any_store, key, *"ab")
    any_store.run([read(key, "c", 2), say("XDEL", key, numbers[0])])
    claimed = ask(any_store, "XAUTOCLAIM", key, "g", "d", 0, 0, "COUNT", 5)
    assert claimed == [b"0-0", rows(numbers[1:], "b"), numbers[:1]]
    assert about_groups(any_store, key)[b"g"][b"pending"] == 1


def test_a_consumer_that_leaves_is_forgotten(any_store: Store, key: str) -> None:
    create(any_store, key)
    add(any_store, key, *"ab")
    any_store.run([read(key, "c"), read(key, "d"), read(key, "e")])
    assert about_groups(any_store, key)[b"g"][b"consumers"] == 3
    leave = ("XGROUP", "DELCONSUMER", key, "g")
    assert ask(any_store, *leave, "c", key=key.encode()) == 1
    assert ask(any_store, *leave, "e", key=key.encode()) == 0
    assert ask(any_store, *leave, "none", key=key.encode()) == 0
    about = about_groups(any_store, key)[b"g"]
    assert (about[b"consumers"], about[b"pending"]) == (1, 1)


def test_streams_are_copied_whole(any_store: Store, key: str) -> None:
    create(any_store, key)
    numbers = add(any_store, key, *"ab")
    any_store.run([read(key, "c"), say("COPY", key, f"{key}.copy"), say("XDEL", key, *numbers)])
    assert ask(any_store, "XRANGE", f"{key}.copy", "-", "+") == rows(numbers, *"ab")
    assert about_groups(any_store, f"{key}.copy")[b"g"][b"pending"] == 1


def test_a_read_waits_for_an_entry(any_store: Store, key: str, threads: ThreadPoolExecutor) -> None:
    create(any_store, key)
    waiting = begun(threads, any_store, read(key, "c", block=LONG))
    numbers = add(any_store, key, "a")
    assert waiting.result(DEADLINE) == [[[key.encode(), rows(numbers, "a")]]]
    waiting = begun(threads, any_store, read(key, "c", block=LONG))
    any_store.run([together(say("SET", f"{key}.text", "x"), say("XADD", key, "*", "field", "b"))])
    ((_, ((_, fields),)),) = waiting.result(DEADLINE)[0]  # type: ignore[misc]  # of lists of lists
    assert fields == [b"field", b"b"]


def test_one_entry_ends_one_read(any_store: Store, key: str, threads: ThreadPoolExecutor) -> None:
    create(any_store, key)
    waiting = [begun(threads, any_store, read(key, f"c{number}", block=LONG)) for number in range(4)]
    any_store.run([together(*(say("XADD", key, "*", "field", value) for value in "abcd"))])
    values = [wait.result(DEADLINE)[0][0][1][0][1][1] for wait in waiting]  # type: ignore[index]  # of lists of lists
    assert sorted(values) == [b"a", b"b", b"c", b"d"]  # type: ignore[type-var]  # all of them bytes


def test_a_read_for_nothing_ends_in_time(any_store: Store, key: str) -> None:
    create(any_store, key)
    (reply, ping) = any_store.run([read(key, "c", block=30), say("PING", key=key.encode())])
    assert (reply, ping) == (None, b"PONG")
    assert about_groups(any_store, key)[b"g"][b"consumers"] == 1
    assert any_store.run([together(read(key, "c", block=LONG))]) == [[None]]


def test_a_read_ends_when_its_group_does(any_store: Store, key: str, threads: ThreadPoolExecutor) -> None:
    create(any_store, key)
    waiting = begun(threads, any_store, read(key, "c", block=LONG))
    ask(any_store, "DEL", key)
    assert refused(waiting.result(DEADLINE)[0], "NOGROUP")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("XREADGROUP", "GROUP", "g", "c", "COUNT", 1, "STREAMS", "{k}", ">"), "NOGROUP"),
        (("XREADGROUP", "GROUP", "g", "c", "COUNT", 1, "BLOCK", LONG, "STREAMS", "{k}", ">"), "NOGROUP"),
        (("XREADGROUP", "GROUP", "g", "c", "COUNT", 1, "BLOCK", "x", "STREAMS", "{k}", ">"), "ERR timeout is not"),
        (("XREADGROUP", "GROUP", "g", "c", "COUNT", 1, "SOON", 1, "STREAMS", "{k}", ">"), "ERR syntax error"),
        (("XAUTOCLAIM", "{k}", "g", "c", 0, 0, "COUNT", 1), "NOGROUP"),
        (("XPENDING", "{k}", "g", "-", "+", 1), "NOGROUP"),
        (("XINFO", "GROUPS", "{k}"), "ERR no such key"),
        (("XGROUP", "DESTROY", "{k}", "g"), "requires the key to exist"),
        (("XGROUP", "DELCONSUMER", "{k}", "g", "c"), "requires the key to exist"),
        (("XGROUP", "CREATE", "{k}", "g", "x", "MKSTREAM"), "ERR Invalid stream ID"),
        (("XADD", "{k}", "*", "f"), "wrong number of arguments for 'xadd' command"),
        (("XADD", "{k}", "*", "f", "v", "g"), "wrong number of arguments for 'xadd' command"),
        (("XRANGE", "{k}", "x", "+"), "ERR Invalid stream ID"),
    ],
)
def test_nonsense_about_streams_is_refused(any_store: Store, words: tuple[str | int, ...], text: str) -> None:
    name, *arguments = words
    assert refused(ask(any_store, str(name), *arguments, key=b"{k}"), text)
    assert ask(any_store, "EXISTS", "{k}") == 0


def test_a_consumer_of_no_group_is_refused(any_store: Store, key: str) -> None:
    create(any_store, key, "h")
    assert refused(any_store.run([read(key)])[0], "NOGROUP")
    assert refused(ask(any_store, "XGROUP", "DELCONSUMER", key, "g", "c", key=key.encode()), "NOGROUP")
    assert refused(ask(any_store, "XPENDING", key, "g", "-", "+", 1), "NOGROUP")
