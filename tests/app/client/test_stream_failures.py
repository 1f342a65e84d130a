"""Streams of datasets: what becomes of them when somebody dies."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import smartsim
from servers import Server, running_server
from smartsim.adapters.tensors.resp import RespTensorStore
from smartsim.app.client.stream import Stream
from smartsim.domain.client_errors import RedisDatabaseError, RedisTimeoutError
from smartsim.ports.tensor_store import Command, Reply, Request, TensorStore
from streams import CONFIG, DEADLINE, ask, drain, keys_left, number_of, publish, sample, stream_of


def test_what_a_consumer_leaves_behind_comes_to_another(stream: Stream) -> None:
    publish(stream, 1, 2)
    dead = stream.consume()
    assert number_of(dead.get()) == 1
    stream.end()
    alive = stream.consume(timeout=DEADLINE, reclaim_after=0.05)
    assert sorted(drain(alive)) == [1, 2]
    dead.acknowledge()  # it was not dead after all: nothing happens


def test_the_last_consumer_waits_for_the_last_datasets_of_the_others(stream: Stream) -> None:
    publish(stream, 1)
    stream.end()
    busy, idle = stream.consume(timeout=DEADLINE), stream.consume(timeout=DEADLINE)
    assert number_of(busy.get()) == 1
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(idle.get)
        assert not waiting.done()
        busy.acknowledge()
        assert waiting.result(DEADLINE) is None


def test_an_error_in_the_work_leaves_the_dataset_to_be_worked_on_again(stream: Stream) -> None:
    publish(stream, 1)
    with suppress(ArithmeticError), stream.consume(consumer="same") as consumer:
        consumer.get()
        raise ArithmeticError
    with stream.consume(consumer="same", timeout=0) as again:
        assert number_of(again.get()) == 1
    with pytest.raises(RedisTimeoutError):
        stream.consume(consumer="same", timeout=0).get()


def test_a_consumer_that_starts_again_goes_on_with_all_that_it_had(stream: Stream) -> None:
    publish(stream, 1, 2, 3)
    stream.consume("g", "one").get()
    stream.consume("g", "two").get()
    stream.end()
    one = stream.consume("g", "one", timeout=DEADLINE, reclaim_after=0.05)
    assert sorted(drain(one)) == [1, 2, 3]


class Flaky:
    """A store whose connection is lost once after certain commands, which are carried out nevertheless."""

    def __init__(self, store: TensorStore, word: bytes, times: int = 1) -> None:
        self._store = store
        self._word = word
        self.times = times

    def run(self, requests: list[Request]) -> list[Reply]:
        replies = self._store.run(requests)
        text = b" ".join(word for word in _words(requests) if isinstance(word, bytes))
        if self.times and self._word in text:
            self.times -= 1
            raise RedisDatabaseError("The connection was lost")
        return replies

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def _words(requests: list[Request]) -> Iterator[Any]:
    for request in requests:
        for command in [request] if isinstance(request, Command) else request.commands:
            yield from command.words


@pytest.mark.parametrize(
    "word", [b"STREAMS samples >", b"XAUTOCLAIM", b"XACK", b"XDEL", b"XGROUP CREATE", b"XGROUP DEL"]
)
def test_a_lost_answer_loses_no_dataset(store: TensorStore, word: bytes) -> None:
    publish(stream_of(store), 1, 2, 3)
    stream_of(store).end()
    flaky: Any = Flaky(store, word)
    assert drain(stream_of(flaky).consume(timeout=DEADLINE)) == [1, 2, 3]
    assert not flaky.times
    assert not [key for key in keys_left(store) if key.endswith((b".meta", b".x", b".z"))]


def test_nor_does_an_error_that_is_passed_on(store: TensorStore) -> None:
    publish(stream_of(store), 1, 2)
    flaky: Any = Flaky(store, b"AI._DATASETGET", times=2)
    consumer = stream_of(flaky).consume(timeout=DEADLINE)
    for _ in range(2):
        with pytest.raises(RedisDatabaseError):
            consumer.get()
    assert [number_of(consumer.get()) for _ in range(2)] == [1, 2]


class InterruptedOnce:
    """A store of which the first wait for a dataset is interrupted; the database delivers it one to nobody, later."""

    def __init__(self, store: TensorStore) -> None:
        self._store = store
        self._waits: list[list[Request]] = []

    def run(self, requests: list[Request]) -> list[Reply]:
        if b">" in _words(requests):
            self._waits.append(requests)
            if len(self._waits) == 1:
                raise KeyboardInterrupt
            if len(self._waits) == 2:
                self._store.run(self._waits[0])
        return self._store.run(requests)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_what_is_delivered_to_an_interrupted_call_comes_again(store: TensorStore, stream: Stream) -> None:
    publish(stream, 1, 2)
    interrupted: Any = InterruptedOnce(store)
    with stream_of(interrupted).consume(timeout=DEADLINE) as consumer:
        with pytest.raises(KeyboardInterrupt):
            consumer.get()
        assert number_of(consumer.get()) == 2
    stream.end()
    assert drain(stream.consume(timeout=5, reclaim_after=0.05)) == [1]


def test_what_was_acknowledged_and_not_removed_is_removed_by_the_next(store: TensorStore, stream: Stream) -> None:
    publish(stream, 1, 2)
    flaky: Any = Flaky(store, b"XACK", times=2)
    dying = stream_of(flaky).consume(timeout=DEADLINE)
    dying.get()
    with pytest.raises(RedisDatabaseError):
        dying.acknowledge()
    assert len(keys_left(store)) == 7
    with stream.consume(timeout=DEADLINE) as consumer:
        assert number_of(consumer.get()) == 2
    assert keys_left(store) == {b"samples"}


def test_a_publisher_that_dies_half_way_leaves_nothing_for_good(store: TensorStore, stream: Stream) -> None:
    flaky: Any = Flaky(store, b"AI._DATASETPUT")
    with pytest.raises(RedisDatabaseError):
        stream_of(flaky).publish(sample(1))
    assert ask(store, b"XLEN", b"samples") == 0
    left = [ask(store, b"PTTL", key) for key in keys_left(store)]
    assert len(left) == 3
    assert all(isinstance(time_left, int) and 0 < time_left <= 3_600_000 for time_left in left)
    publish(stream, 2)
    assert ask(store, b"XLEN", b"samples") == 1
    assert sorted(ask(store, b"PTTL", key) for key in keys_left(store))[:4] == [-1] * 4  # type: ignore[type-var]


CONSUME = """
import sys
from smartsim.adapters.tensors.resp import RespTensorStore
from smartsim.app.client.calls import carry_out
from smartsim.app.client.stream import Stream
from smartsim.app.client.streams import find_keys
from smartsim.domain.addresses import Address
from smartsim.domain.client_config import ClientConfig, RetryPolicy
from smartsim.domain.keys import Prefixes

retries = RetryPolicy(10, 0.1)
store = RespTensorStore((Address.unix(sys.argv[1]),), ClientConfig(retries, retries, 60))
stream = Stream(find_keys(Prefixes(), "samples"), 64, lambda call: carry_out(call, store))
for dataset in stream.consume(timeout=60):
    print(dataset.get_name(), flush=True)
    sys.stdin.readline()
"""


def test_the_dataset_of_a_consumer_that_is_killed_comes_to_another(server: Server) -> None:
    store = RespTensorStore((server.unix,), CONFIG)
    store.run([Command((b"FLUSHDB",))])
    stream = stream_of(store)
    source = Path(smartsim.__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, "-c", CONSUME, server.unix.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    with process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            publish(stream, 1)
            assert process.stdout.readline() == "sample 1\n"
            publish(stream, 2, 3)
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "sample 2\n"
        finally:
            process.kill()
            process.wait(DEADLINE)
    stream.end()
    assert sorted(drain(stream.consume(timeout=DEADLINE, reclaim_after=0.05))) == [2, 3]
    store.close()


def test_a_consumer_goes_on_when_the_database_was_away(tmp_path: Path) -> None:
    with running_server(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as server:
        store = RespTensorStore((server.tcp,), CONFIG)
        stream = stream_of(store)
        consumer = stream.consume(timeout=DEADLINE)
        publish(stream, 1)
        assert number_of(consumer.get()) == 1
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(consumer.get)
            _wait_until(lambda: b"blocked_clients:1" in _info(store))
            server.stop()
            with running_server(tmp_path, "--appendonly", "yes", port=server.tcp.port):
                publish(stream, 2)
                assert number_of(waiting.result(DEADLINE)) == 2
                consumer.close()
                store.close()


def _info(store: TensorStore) -> bytes:
    reply = ask(store, b"INFO")
    assert isinstance(reply, bytes)
    return reply


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    pause = threading.Event()
    while not holds():
        assert time.monotonic() < deadline
        pause.wait(0.005)
