"""How every tensor store waits: until another caller has changed something, or for as long as it was given."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from servers import DEADLINE
from smartsim.ports.tensor_store import Request
from tensor_stores import LONG, UNTIL_IT_WAITS, Store, ask, begun, refused, say, tensor_set, together, wait_for

SHORT = 30  # ms: a wait that nothing ends


def test_what_is_so_already_is_not_awaited(any_store: Store, key: str) -> None:
    text, fields, items, stream = (f"{key}.{name}" for name in ("text", "fields", "items", "stream"))
    any_store.run([say("SET", text, "x"), say("HSET", fields, "f", "v"), say("RPUSH", items, "a", "b")])
    ask(any_store, "XADD", stream, "*", "f", "v")
    replies = any_store.run(
        [
            wait_for(LONG, "EXISTS", text),
            wait_for(LONG, "FIELD", fields, "f"),
            wait_for(LONG, "LENGTH", items, "EQ", 2),
            wait_for(LONG, "LENGTH", items, "GE", 1),
            wait_for(LONG, "LENGTH", items, "LE", 3),
            wait_for(LONG, "LENGTH", stream, "EQ", 1),
            wait_for(LONG, "LENGTH", f"{key}.none", "LE", 0),
            wait_for(0, "EXISTS", text),
        ]
    )
    assert replies == [1] * 8


def test_a_wait_for_nothing_ends_in_time(any_store: Store, key: str) -> None:
    ask(any_store, "HSET", f"{key}.fields", "f", "v")
    replies = any_store.run(
        [
            wait_for(SHORT, "EXISTS", f"{key}.none"),
            wait_for(SHORT, "FIELD", f"{key}.fields", "g"),
            wait_for(SHORT, "LENGTH", f"{key}.none", "GE", 1),
            wait_for(0, "EXISTS", f"{key}.none"),
            say("PING", key=key.encode()),
        ]
    )
    assert replies == [0, 0, 0, 0, b"PONG"]


@pytest.mark.parametrize(
    ("wait", "event"),
    [
        (("EXISTS",), say("SET", "{k}", "x")),
        (("EXISTS",), tensor_set("{k}", np.zeros(3))),
        (("EXISTS",), say("XADD", "{k}", "*", "f", "v")),
        (("EXISTS",), say("RENAME", "{k}.other", "{k}")),
        (("EXISTS",), say("COPY", "{k}.other", "{k}")),
        (("FIELD", "f"), say("HSET", "{k}", "f", "v")),
        (("LENGTH", "EQ", 2), say("RPUSH", "{k}", "a", "b")),
        (("LENGTH", "GE", 1), say("RPUSH", "{k}", "a", "b")),
        (("LENGTH", "EQ", 1), say("XADD", "{k}", "*", "f", "v")),
        (("EXISTS",), together(say("SET", "{k}", "x"), say("GET", "{k}"))),
        (("FIELD", "f"), together(say("HSET", "{k}", "e", "v"), say("HSET", "{k}", "f", "v"))),
    ],
    ids=str,
)
def test_a_wait_ends_when_it_comes_true(
    any_store: Store, threads: ThreadPoolExecutor, wait: tuple[Any, ...], event: Request
) -> None:
    any_store.run([say("DEL", "{k}", "{k}.other"), say("RPUSH", "{k}.other", "a")])
    condition, *words = wait
    waiting = begun(threads, any_store, wait_for(LONG, condition, "{k}", *words), say("DEL", "{k}"))
    any_store.run([event])
    assert waiting.result(DEADLINE) == [1, 1]


@pytest.mark.parametrize("command", ["DEL", "UNLINK"])
def test_a_wait_for_a_list_to_be_short_ends_when_it_has_gone(
    any_store: Store, key: str, threads: ThreadPoolExecutor, command: str
) -> None:
    ask(any_store, "RPUSH", key, "a", "b")
    waiting = begun(threads, any_store, wait_for(LONG, "LENGTH", key, "LE", 1))
    ask(any_store, command, key)
    assert waiting.result(DEADLINE) == [1]


def test_a_wait_ends_when_it_cannot_come_true(any_store: Store, key: str, threads: ThreadPoolExecutor) -> None:
    waiting = begun(threads, any_store, wait_for(LONG, "FIELD", key, "f"))
    ask(any_store, "SET", key, "x")
    assert refused(waiting.result(DEADLINE)[0], "WRONGTYPE")


def test_what_undoes_itself_wakes_nobody(any_store: Store, key: str, threads: ThreadPoolExecutor) -> None:
    waiting = begun(threads, any_store, wait_for(LONG, "EXISTS", key))
    any_store.run([together(say("SET", key, "x"), say("DEL", key))])
    with pytest.raises(TimeoutError):
        waiting.result(UNTIL_IT_WAITS)
    ask(any_store, "SET", key, "x")
    assert waiting.result(DEADLINE) == [1]


def test_one_change_ends_all_waits_for_it(any_store: Store, key: str, threads: ThreadPoolExecutor) -> None:
    waiting = [begun(threads, any_store, wait_for(LONG, "EXISTS", key)) for _ in range(10)]
    ask(any_store, "SET", key, "x")
    assert [wait.result(DEADLINE) for wait in waiting] == [[1]] * 10


def test_within_a_transaction_nothing_waits(any_store: Store, key: str) -> None:
    (replies,) = any_store.run(
        [together(wait_for(LONG, "EXISTS", key), say("SET", key, "x"), wait_for(LONG, "EXISTS", key))]
    )
    assert replies == [0, b"OK", 1]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((5, "EXISTS"), "wrong number of arguments for 'AI._WAIT' command"),
        ((5, "EXISTS", "{k}", "x"), "wrong number of arguments for 'AI._WAIT' command"),
        ((5, "FIELD", "{k}"), "wrong number of arguments for 'AI._WAIT' command"),
        ((5, "LENGTH", "{k}", "EQ"), "wrong number of arguments for 'AI._WAIT' command"),
        (("x", "EXISTS", "{k}"), "ERR a wait takes 0 to 3600000 milliseconds"),
        ((-1, "EXISTS", "{k}"), "ERR a wait takes 0 to 3600000 milliseconds"),
        ((3_600_001, "EXISTS", "{k}"), "ERR a wait takes 0 to 3600000 milliseconds"),
        ((5, "PRESENCE", "{k}"), "ERR a wait is for EXISTS, FIELD or LENGTH"),
        ((5, "LENGTH", "{k}", "GT", 1), "ERR a LENGTH is to be EQ, GE or LE"),
        ((5, "LENGTH", "{k}", "EQ", "x"), "ERR a LENGTH is an integer from 0 on"),
        ((5, "LENGTH", "{k}", "EQ", -1), "ERR a LENGTH is an integer from 0 on"),
    ],
)
def test_a_wait_for_nonsense_is_refused(any_store: Store, words: tuple[str | int, ...], text: str) -> None:
    assert refused(ask(any_store, "AI._WAIT", *words, key=b"{k}"), text)
