"""How every tensor store carries out requests: batches, transactions, and several callers at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from servers import DEADLINE
from tensor_stores import Store, ask, refused, same, say, tensor_get, tensor_set, together


def test_nothing_is_a_batch(any_store: Store) -> None:
    assert any_store.run([]) == []


def test_replies_are_in_the_order_of_requests(any_store: Store, key: str) -> None:
    names = [f"{key[:-1]}.{number}}}" for number in range(100)]  # on all shards
    replies = any_store.run([say("SET", name, name) for name in names])
    assert replies == [b"OK"] * 100
    everywhere = [say("GET", name) for name in names]
    assert any_store.run(everywhere) == [name.encode() for name in names]
    assert any_store.run(everywhere[::-1]) == [name.encode() for name in names[::-1]]


def test_requests_for_a_shard_are_carried_out_in_their_order(any_store: Store, key: str) -> None:
    requests = [request for number in range(50) for request in (say("SET", key, number), say("GET", key))]
    replies = any_store.run(requests)
    assert replies[1::2] == [b"%d" % number for number in range(50)]


def test_errors_stand_in_their_places(any_store: Store, key: str) -> None:
    text, wrong, shape, tensor, unknown, exists = any_store.run(
        [
            say("SET", f"{key}.a", "text"),
            say("LLEN", f"{key}.a"),
            say("AI.TENSORSET", f"{key}.b", "FLOAT", 3, "BLOB", b"1234"),
            tensor_get(f"{key}.b"),
            say("FOO", f"{key}.a"),
            say("EXISTS", f"{key}.a"),
        ]
    )
    assert text == b"OK"
    assert refused(wrong, "WRONGTYPE")
    assert refused(shape, "data length does not match tensor shape and type")
    assert refused(tensor, "nothing is stored under this key")
    assert refused(unknown, "unknown command 'FOO'")
    assert exists == 1


def test_errors_name_the_key(any_store: Store, key: str) -> None:
    _, error = any_store.run([say("SET", key, "text"), say("LLEN", key)])
    assert refused(error, repr(key))
    assert getattr(error, "key", None) == key
    assert getattr(error, "reply", None) == "WRONGTYPE Operation against a key holding the wrong kind of value"


def test_ten_thousand_requests_at_once(any_store: Store, key: str) -> None:
    count = 10_000
    names = [f"{key[:-1]}.{number % 7}}}.{number}" for number in range(count)]
    assert any_store.run([say("SET", name, number) for number, name in enumerate(names)]) == [b"OK"] * count
    assert any_store.run([say("GET", name) for name in names]) == [b"%d" % number for number in range(count)]


def test_large_tensors_among_small_ones(any_store: Store, key: str) -> None:
    random = np.random.default_rng(1)
    sizes = (1, 3_000_000, 10, 500_000, 1, 70_000, 2_000_000, 3)
    arrays = {f"{key[:-1]}.{number}}}": random.integers(0, 255, size, np.uint8) for number, size in enumerate(sizes)}
    stored = any_store.run([tensor_set(name, array) for name, array in arrays.items()])
    assert stored == [b"OK"] * len(arrays)
    both = [request for name in arrays for request in (tensor_get(name), say("EXISTS", name))]
    replies = any_store.run(both)
    assert replies[1::2] == [1] * len(arrays)
    assert all(same(reply, array) for reply, array in zip(replies[::2], arrays.values(), strict=True))


def test_what_was_sent_stays_the_callers(any_store: Store, key: str) -> None:
    array = np.zeros(100_000)
    any_store.run([tensor_set(key, array)])
    array[:] = 1
    assert same(any_store.run([tensor_get(key)])[0], np.zeros(100_000))


def test_a_transaction_replies_with_a_list(any_store: Store, key: str) -> None:
    before, replies, after = any_store.run(
        [
            say("SET", f"{key}.a", "1"),
            together(
                say("SET", f"{key}.a", "2"),
                say("GET", f"{key}.a"),
                tensor_set(f"{key}.t", np.arange(3)),
                tensor_get(f"{key}.t"),
                say("HGETALL", f"{key}.h"),
                say("EXISTS", f"{key}.a", f"{key}.t"),
            ),
            say("GET", f"{key}.a"),
        ]
    )
    assert (before, after) == (b"OK", b"2")
    assert isinstance(replies, list)
    assert replies[:3] == [b"OK", b"2", b"OK"]
    assert same(replies[3], np.arange(3))
    assert replies[4:] == [[], 2]


def test_an_error_in_a_transaction_stands_in_its_place_and_stops_nothing(any_store: Store, key: str) -> None:
    ask(any_store, "RPUSH", f"{key}.list", "item")
    (replies,) = any_store.run(
        [
            together(
                say("SET", f"{key}.a", "1"),
                say("GET", f"{key}.list"),
                tensor_get(f"{key}.none"),
                say("GET", f"{key}.a"),
            )
        ]
    )
    assert isinstance(replies, list)
    assert (replies[0], replies[3]) == (b"OK", b"1")
    assert refused(replies[1], "WRONGTYPE")
    assert refused(replies[2], "nothing is stored under this key")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("FOO", "{k}.a"), "ERR unknown command 'FOO'"),
        (("GET", "{k}.a", "b"), "ERR wrong number of arguments for 'get' command"),
    ],
)
def test_a_transaction_with_what_is_no_command_is_not_begun(
    any_store: Store, words: tuple[str, ...], text: str
) -> None:
    ask(any_store, "DEL", "{k}.a")
    error, exists = any_store.run([together(say("SET", "{k}.a", "1"), say(*words)), say("EXISTS", "{k}.a")])
    assert refused(error, text)
    assert exists == 0


def test_nobody_sees_the_middle_of_a_transaction(any_store: Store, key: str, threads: ThreadPoolExecutor) -> None:
    names = [f"{key}.{number}" for number in range(20)]
    stop = threading.Event()

    def write() -> None:
        for number in range(1, 60):
            any_store.run([together(*(say("SET", name, number) for name in names))])

    def read() -> list[set[Any]]:
        seen = []
        while not stop.is_set():
            (replies,) = any_store.run([together(*(say("GET", name) for name in names))])
            assert isinstance(replies, list)
            seen.append(set(replies))
        return seen

    readers = [threads.submit(read) for _ in range(3)]
    threads.submit(write).result(DEADLINE)
    stop.set()
    for reader in readers:
        assert all(len(values) == 1 for values in reader.result(DEADLINE))
    assert ask(any_store, "GET", names[-1]) == b"59"


def test_threads_do_not_disturb_one_another(any_store: Store, key: str, threads: ThreadPoolExecutor) -> None:
    begin = threading.Barrier(8)

    def work(number: int) -> bool:
        data = np.full(1000 * (number + 1), number)
        names = [f"{key[:-1]}.{number}.{shard}}}" for shard in range(3)]
        begin.wait(DEADLINE)
        for _ in range(30):
            replies = any_store.run(
                [request for name in names for request in (tensor_set(name, data), tensor_get(name))]
            )
            if replies[::2] != [b"OK"] * 3 or not all(same(reply, data) for reply in replies[1::2]):
                return False
        return True

    assert all(threads.map(work, range(8), timeout=DEADLINE))


def test_counts_of_many_callers_add_up(any_store: Store, key: str, threads: ThreadPoolExecutor) -> None:
    def work(number: int) -> None:
        for item in range(50):
            ask(any_store, "RPUSH", key, f"{number}.{item}")

    list(threads.map(work, range(8), timeout=DEADLINE))
    items = ask(any_store, "LRANGE", key, 0, -1)
    assert sorted(items) == sorted(b"%d.%d" % (number, item) for number in range(8) for item in range(50))
    for number in range(8):
        own = [item for item in items if item.startswith(b"%d." % number)]
        assert own == [b"%d.%d" % (number, item) for item in range(50)]
