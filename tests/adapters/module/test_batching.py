"""How requests are queued and joined into batches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import redis

from module_server import DEADLINE, Server
from scripted_worker import Item, Output, Peer, ScriptedWorker, store


@pytest.fixture
def worker(shared: Server, db: redis.Redis) -> Iterator[ScriptedWorker]:
    assert db.ping()
    with ScriptedWorker(shared.socket, TORCH="2") as worker:
        yield worker


def store_model(server: Server, *options: Any, key: str = "m") -> None:
    with Peer(server.socket) as client, ScriptedWorker(server.socket, process=99, TORCH="2") as worker:
        words = ["AI.MODELSTORE", key, "TORCH", "CPU", *options, "BLOB", f"model {key} {options}"]
        assert store(client, worker, *words, inputs=["x"], outputs=["y"]) == b"OK"


def await_waiting(db: redis.Redis, count: int, key: str = "m") -> None:
    """Wait until so many requests for a model are queued."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        info = db.execute_command("AI.INFO", key)
        if dict(zip(info[::2], info[1::2], strict=True))[b"waiting"] == count:
            return
    raise AssertionError(f"no {count} requests wait for {key}")


class Clients:
    """Clients that each run a model on a tensor of their own, one after the other."""

    def __init__(self, server: Server, db: redis.Redis, stack: ExitStack) -> None:
        self.server, self.db, self.stack = server, db, stack
        self.peers: list[Peer] = []
        self.expected: dict[str, int] = {}

    def run(self, *shape: int, key: str = "m", dtype: str = "UINT8", fill: int | None = None) -> Peer:
        """Send a run, and wait until it is queued."""
        name = str(len(self.peers))
        data = bytes([len(self.peers) + 1 if fill is None else fill]) * _bytes(dtype, shape)
        self.db.execute_command("AI.TENSORSET", f"in{name}", dtype, *shape, "BLOB", data)
        peer = self.stack.enter_context(Peer(self.server.socket))
        peer.send("AI.MODELEXECUTE", key, "INPUTS", 1, f"in{name}", "OUTPUTS", 1, f"out{name}")
        self.peers.append(peer)
        self.expected[key] = self.expected.get(key, 0) + 1
        await_waiting(self.db, self.expected[key], key)
        return peer

    def output(self, index: int) -> list[Any]:
        assert self.peers[index].receive() == b"OK"
        reply = self.db.execute_command("AI.TENSORGET", f"out{index}", "META", "BLOB")
        return [reply[3], reply[5]]


def _bytes(dtype: str, shape: tuple[int, ...]) -> int:
    size = {"UINT8": 1, "INT8": 1, "INT16": 2}[dtype]
    for dim in shape:
        size *= dim
    return size


@contextmanager
def clients(server: Server, db: redis.Redis) -> Iterator[Clients]:
    with ExitStack() as stack:
        yield Clients(server, db, stack)


def echo(worker: ScriptedWorker, item: Item) -> None:
    """Answer a run with its own input."""
    (layout, pieces), *_ = item.inputs
    dtype, *dims = layout.split(" ")
    worker.done(item, Output(dtype, [int(dim) for dim in dims], pieces))


def first_bytes(item: Item) -> list[int]:
    return [piece[0] for piece in item.inputs[0][1]]


def test_requests_of_one_model_are_joined_and_their_outputs_split(
    shared: Server, db: redis.Redis, worker: ScriptedWorker
) -> None:
    store_model(shared, "BATCHSIZE", 6)
    with clients(shared, db) as some:
        for rows in (1, 2, 3, 1):
            some.run(rows, 2)
        item = worker.next()
        assert (item.kind, item.requests, item.rows) == ("RUN", 3, [1, 2, 3])
        assert item.inputs == [("UINT8 6 2", [b"\x01" * 2, b"\x02" * 4, b"\x03" * 6])]
        echo(worker, item)
        assert [some.output(i) for i in range(3)] == [
            [[1, 2], b"\x01\x01"],
            [[2, 2], b"\x02" * 4],
            [[3, 2], b"\x03" * 6],
        ]
        rest = worker.next()
        assert first_bytes(rest) == [4]
        echo(worker, rest)
        assert some.output(3) == [[1, 2], b"\x04\x04"]


def await_paused(db: redis.Redis, count: int) -> None:
    """Wait until the commands of so many clients are held back by CLIENT PAUSE."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        runs = [client for client in db.client_list() if client["cmd"].upper() == "AI.MODELEXECUTE"]
        if sum("b" in client["flags"] for client in runs) == count:
            return
    raise AssertionError(f"no {count} clients are paused")


@pytest.mark.parametrize(("size", "joined"), [(64, [[1, 2, 3]]), (2, [[1, 2], [3]]), (0, [[1], [2], [3]])])
def test_a_worker_that_waits_gets_all_that_the_server_reads_at_once(
    shared: Server, db: redis.Redis, worker: ScriptedWorker, size: int, joined: list[list[int]]
) -> None:
    store_model(shared, "BATCHSIZE", size)
    for number in (1, 2, 3):
        db.execute_command("AI.TENSORSET", f"in{number}", "UINT8", 1, 1, "BLOB", bytes([number]))
    worker.want()
    with ExitStack() as stack:
        peers = [stack.enter_context(Peer(shared.socket)) for _ in range(3)]
        db.execute_command("CLIENT", "PAUSE", int(1000 * DEADLINE), "WRITE")
        try:
            for number, peer in enumerate(peers, 1):
                peer.send("AI.MODELEXECUTE", "m", "INPUTS", 1, f"in{number}", "OUTPUTS", 1, f"out{number}")
                await_paused(db, number)
        finally:
            db.execute_command("CLIENT", "UNPAUSE")
        taken = []
        for _ in joined:
            item = worker.next()
            taken.append(first_bytes(item))
            echo(worker, item)
        assert taken == joined
        assert [peer.receive() for peer in peers] == [b"OK"] * 3
    assert [db.execute_command("AI.TENSORGET", f"out{number}", "BLOB") for number in (1, 2, 3)] == [b"\1", b"\2", b"\3"]
    facts = db.execute_command("AI.INFO", "m")
    assert dict(zip(facts[::2], facts[1::2], strict=True))[b"queue_time"] >= 0


def test_without_batchsize_each_request_runs_alone_in_the_order_of_arrival(
    shared: Server, db: redis.Redis, worker: ScriptedWorker
) -> None:
    store_model(shared)
    with clients(shared, db) as some:
        for _ in range(4):
            some.run(1, 2)
        for number in range(4):
            item = worker.next()
            assert first_bytes(item) == [number + 1]
            echo(worker, item)
            assert some.output(number)[0] == [1, 2]


def test_only_what_fits_is_joined_and_the_rest_keeps_its_order(
    shared: Server, db: redis.Redis, worker: ScriptedWorker
) -> None:
    store_model(shared, "BATCHSIZE", 100)
    with clients(shared, db) as some:
        some.run(1, 2)
        some.run(1, 3)
        some.run(1, 2, dtype="INT8")
        some.run(1, 2, 1)
        some.run(2, 2)
        some.run(4, 3)
        taken = []
        for _ in range(4):
            item = worker.next()
            taken.append(first_bytes(item))
            echo(worker, item)
        assert taken == [[1, 5], [2, 6], [3], [4]]


def test_a_request_as_large_as_a_batch_runs_alone(shared: Server, db: redis.Redis, worker: ScriptedWorker) -> None:
    store_model(shared, "BATCHSIZE", 2)
    with clients(shared, db) as some:
        some.run(5, 1)
        some.run(1, 1)
        item = worker.next()
        assert item.rows == [5]
        echo(worker, item)
        echo(worker, worker.next())
        assert some.output(1)[0] == [1, 1]


def test_a_batch_waits_until_it_is_large_enough(shared: Server, db: redis.Redis, worker: ScriptedWorker) -> None:
    store_model(shared, "BATCHSIZE", 10, "MINBATCHSIZE", 3, "MINBATCHTIMEOUT", 60_000)
    with clients(shared, db) as some:
        worker.want()
        some.run(1, 1)
        some.run(1, 1)
        assert not worker.answered()
        some.expected["m"] = -1  # the third makes it enough: nothing waits then
        some.run(1, 1)
        item = worker.next()
        assert item.rows == [1, 1, 1]
        echo(worker, item)


@pytest.mark.parametrize("configured", [False, True])
def test_a_batch_that_is_too_small_runs_when_it_has_waited_long_enough(
    shared: Server, db: redis.Redis, worker: ScriptedWorker, configured: bool
) -> None:
    if configured:
        assert db.execute_command("AI.CONFIG", "MINBATCHTIMEOUT", 50) == b"OK"
    timeout = [] if configured else ["MINBATCHTIMEOUT", 50]
    store_model(shared, "BATCHSIZE", 10, "MINBATCHSIZE", 3, *timeout)
    with Peer(shared.socket) as client:
        db.execute_command("AI.TENSORSET", "a", "UINT8", 1, 1, "BLOB", b"x")
        worker.want()
        began = time.monotonic()
        client.send("AI.MODELEXECUTE", "m", "INPUTS", 1, "a", "OUTPUTS", 1, "b")
        item = worker.next()
        assert time.monotonic() - began >= 0.05
        echo(worker, item)
        assert client.receive() == b"OK"
    db.execute_command("AI.CONFIG", "MINBATCHTIMEOUT", 1000)


def test_a_small_batch_that_waits_holds_up_neither_other_shapes_nor_other_models(
    shared: Server, db: redis.Redis, worker: ScriptedWorker
) -> None:
    store_model(shared, "BATCHSIZE", 4, "MINBATCHSIZE", 2, "MINBATCHTIMEOUT", 60_000)
    store_model(shared, key="other")
    with clients(shared, db) as some:
        some.run(1, 1)
        some.run(1, 2)
        some.run(1, 2)
        some.run(1, 1, key="other")
        item = worker.next()
        assert first_bytes(item) == [2, 3]
        echo(worker, item)
        item = worker.next()
        assert first_bytes(item) == [4]
        echo(worker, item)


def test_the_oldest_request_goes_first_whatever_its_model(
    shared: Server, db: redis.Redis, worker: ScriptedWorker
) -> None:
    for key in "abc":
        store_model(shared, key=key)
    with clients(shared, db) as some:
        for key in "cabca":
            some.run(1, 1, key=key)
        for number in range(5):
            item = worker.next()
            assert first_bytes(item) == [number + 1]
            echo(worker, item)


def test_an_error_goes_to_every_member_of_a_batch(shared: Server, db: redis.Redis, worker: ScriptedWorker) -> None:
    store_model(shared, "BATCHSIZE", 10)
    with clients(shared, db) as some:
        some.run(1, 1)
        some.run(1, 1)
        worker.fail(worker.next(), "ERR the model\nis ill")
        for peer in some.peers:
            with pytest.raises(redis.ResponseError, match="^the model is ill$"):
                peer.receive()
    assert not db.exists("out0", "out1")


@pytest.mark.parametrize("shape", [(3, 1), (1,), ()])
def test_an_output_of_another_number_of_rows_is_an_error(
    shared: Server, db: redis.Redis, worker: ScriptedWorker, shape: tuple[int, ...]
) -> None:
    store_model(shared, "BATCHSIZE", 10)
    with clients(shared, db) as some:
        some.run(1, 1)
        some.run(1, 1)
        worker.done(worker.next(), Output("UINT8", shape, [b"x", b"y"]))
        for peer in some.peers:
            with pytest.raises(redis.ResponseError, match="Model did not generate the expected batch size"):
                peer.receive()


def test_batches_are_counted_by_size(shared: Server, db: redis.Redis, worker: ScriptedWorker) -> None:
    store_model(shared, "BATCHSIZE", 3)
    with clients(shared, db) as some:
        for _ in range(7):
            some.run(1, 1)
        for _ in range(3):
            echo(worker, worker.next())
        assert [some.output(i)[0] for i in range(7)] == [[1, 1]] * 7
    info = db.execute_command("AI.INFO", "m")
    facts = dict(zip(info[::2], info[1::2], strict=True))
    assert (facts[b"batches"], facts[b"calls"], facts[b"samples"]) == (3, 7, 7)
