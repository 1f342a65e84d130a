"""Nothing is stored before a worker has found it sound, and the same store runs but once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from module_server import Server
from scripted_worker import DEADLINE, Peer, ScriptedWorker, store
from servers import free_port

MODEL = ["AI.MODELSTORE", "k", "TORCH", "CPU", "BLOB", b"new"]
SCRIPT = ["AI.SCRIPTSTORE", "k", "CPU", "ENTRY_POINTS", 1, "f", "SOURCE", "def f(): ..."]


@pytest.fixture
def other(shared: Server) -> Iterator[Peer]:
    with Peer(shared.socket) as other:
        yield other


def refused(client: Peer, *arguments: Any) -> str:
    """Send a command, if one is given, that is refused; returns the error, without the prefix ERR."""
    if arguments:
        client.send(*arguments)
    with pytest.raises(redis.ResponseError) as error:
        client.receive()
    return str(error.value)


def idle(worker: ScriptedWorker, client: Peer) -> bool:
    """Return whether the worker has nothing to do after all that the server was told."""
    worker.want()
    client.ask("PING")
    return not worker.answered()


def test_a_worker_gets_the_program_that_it_checks(worker: ScriptedWorker, client: Peer) -> None:
    client.send("AI.MODELSTORE", "k", "TF", "cpu", "INPUTS", 2, "a", "b", "OUTPUTS", 1, "c", "BLOB", b"one", b"two")
    check = worker.next()
    assert (check.kind, check.words[3:]) == ("CHECK", ("TF",))
    program = worker.fetch()
    assert (program.kind, program.backend, program.names) == ("MODEL", "TF", ([b"a", b"b"], [b"c"]))
    assert program.payload == b"onetwo"
    worker.checked(check, ["a", "b"], ["c"])
    assert client.receive() == b"OK"
    client.ask("DEL", "k")

    client.send(*SCRIPT)
    check = worker.job()
    program = worker.fetch()
    assert (program.kind, program.backend, program.names) == ("SCRIPT", "TORCH", ([b"f"], []))
    assert program.payload == b"def f(): ..."
    worker.fail(check, "Function f does not exist in the given script.")
    assert refused(client) == "Function f does not exist in the given script."


@pytest.mark.parametrize("command", [MODEL, SCRIPT])
def test_what_is_not_sound_is_not_stored(worker: ScriptedWorker, client: Peer, other: Peer, command: list[Any]) -> None:
    client.send(*command)
    check = worker.next()
    assert other.ask("EXISTS", "k") == 0
    worker.fail(check, "ERR not sound:\nline 1")
    assert refused(client) == "not sound: line 1"
    assert client.ask("EXISTS", "k") == 0


@pytest.mark.parametrize("command", [MODEL, SCRIPT])
def test_what_is_not_sound_overwrites_nothing(worker: ScriptedWorker, client: Peer, command: list[Any]) -> None:
    store(client, worker, *command[:-1], "old")
    before = client.ask("DUMP", "k")
    client.send(*command)
    worker.fail(worker.job(), "ERR not sound")
    assert refused(client) == "not sound"
    assert client.ask("DUMP", "k") == before
    assert store(client, worker, *command) == b"OK"
    assert client.ask("DUMP", "k") != before


@pytest.mark.parametrize("command", [MODEL, SCRIPT])
def test_what_is_there_already_is_not_checked_again(worker: ScriptedWorker, client: Peer, command: list[Any]) -> None:
    store(client, worker, *command, inputs=["x"])
    before = client.ask("DUMP", "k")
    assert client.ask(*command) == b"OK"
    assert client.ask("DUMP", "k") == before
    assert idle(worker, client)


@pytest.mark.parametrize(
    "change",
    [
        {3: "cpu"},
        {4: "TAG", 5: "t", 6: "BLOB", 7: b"new"},
        {4: "BATCHSIZE", 5: 2, 6: "BLOB", 7: b"new"},
        {2: "ONNX"},
        {5: b"newer"},
    ],
)
def test_any_change_is_checked(worker: ScriptedWorker, client: Peer, change: dict[int, Any]) -> None:
    store(client, worker, *MODEL)
    changed = [change.get(i, word) for i, word in enumerate([*MODEL, *([None] * (max(change) - 5))])]
    client.send(*changed)
    worker.checked(worker.job())
    assert client.receive() == b"OK"


def test_the_same_store_joins_the_one_under_way(worker: ScriptedWorker, client: Peer, other: Peer) -> None:
    client.send(*MODEL)
    check = worker.next()
    other.send(*MODEL)
    worker.checked(check)
    assert client.receive() == other.receive() == b"OK"
    assert idle(worker, client)


def test_a_client_that_lost_patience_finds_its_store_under_way(
    shared: Server, worker: ScriptedWorker, client: Peer
) -> None:
    with Peer(shared.socket) as impatient:
        impatient.send(*MODEL)
        check = worker.next()
    client.send(*MODEL)
    worker.checked(check)
    assert client.receive() == b"OK"
    assert idle(worker, client)


def test_a_client_that_lost_patience_finds_its_store_done(shared: Server, worker: ScriptedWorker, client: Peer) -> None:
    with Peer(shared.socket) as impatient:
        number = str(impatient.id())
        impatient.send(*MODEL)
        check = worker.next()
    deadline = time.monotonic() + DEADLINE
    while f"id={number} " in client.ask("CLIENT", "LIST").decode():
        assert time.monotonic() < deadline
    worker.fail(check, "ERR not sound")
    assert idle(worker, client)
    assert refused(client, *MODEL) == "not sound"
    assert idle(worker, client)


def test_another_store_of_the_key_is_a_check_of_its_own(worker: ScriptedWorker, client: Peer, other: Peer) -> None:
    client.send(*MODEL)
    first = worker.next()
    other.send(*MODEL[:-1], b"newer")
    worker.fail(first, "ERR not sound")
    worker.checked(worker.job())
    assert refused(client) == "not sound"
    assert other.receive() == b"OK"
    assert client.ask("AI.MODELGET", "k", "BLOB") == b"newer"


def test_the_same_store_in_another_database_is_another(worker: ScriptedWorker, client: Peer, other: Peer) -> None:
    other.ask("SELECT", 5)
    client.send(*MODEL)
    first = worker.next()
    other.send(*MODEL)
    worker.fail(first, "ERR not sound")
    worker.checked(worker.job())
    assert refused(client) == "not sound"
    assert other.receive() == b"OK"
    assert client.ask("EXISTS", "k") == 0
    assert other.ask("AI._MODELSCAN") == [[b"k", b""]]


def test_without_a_worker_nothing_is_stored(shared: Server, db: redis.Redis, client: Peer) -> None:
    assert db.dbsize() == 0
    with ScriptedWorker(shared.socket, TORCH="2.13"):
        assert "ONNX" in refused(client, "AI.MODELSTORE", "k", "ONNX", "CPU", "BLOB", b"x")
        assert "GPU:1" in refused(client, "AI.MODELSTORE", "k", "TORCH", "GPU:1", "BLOB", b"x")
    assert "CPU" in refused(client, *SCRIPT)
    assert client.ask("DBSIZE") == 0


def test_a_store_does_not_fit_into_a_transaction(worker: ScriptedWorker, client: Peer, db: redis.Redis) -> None:
    error = "Cannot run RedisAI command within a transaction or a LUA script"
    with db.pipeline(transaction=True) as pipeline:
        pipeline.execute_command(*MODEL)
        pipeline.set("after", 1)
        reply, _ = pipeline.execute(raise_on_error=False)
    assert str(reply) == error
    with pytest.raises(redis.ResponseError, match=error):
        db.eval("return redis.call('AI.SCRIPTSET', 'k', 'CPU', 'SOURCE', 'x')", 0)
    assert db.exists("k") == 0
    assert idle(worker, client)


@pytest.mark.parametrize("command", [MODEL, SCRIPT])
def test_a_key_that_holds_something_else_is_left(
    worker: ScriptedWorker, client: Peer, other: Peer, command: list[Any]
) -> None:
    client.ask("SET", "k", "x")
    assert refused(client, command[0], "k", "nonsense").startswith("WRONGTYPE")
    assert refused(client, *command).startswith("WRONGTYPE")
    client.ask("DEL", "k")
    client.send(*command)
    check = worker.next()
    other.ask("SET", "k", "y")
    worker.checked(check)
    assert refused(client).startswith("WRONGTYPE")
    assert client.ask("GET", "k") == b"y"


def test_a_new_model_ends_the_time_to_live_of_the_old(worker: ScriptedWorker, client: Peer) -> None:
    store(client, worker, *MODEL)
    client.ask("EXPIRE", "k", 1000)
    store(client, worker, *MODEL[:-1], b"newer")
    assert client.ask("TTL", "k") == -1


def test_a_full_server_refuses_models(serve: Callable[..., Server]) -> None:
    server = serve()
    with Peer(server.socket) as client, ScriptedWorker(server.socket, TORCH="2.13") as worker:
        store(client, worker, *MODEL)
        client.ask("CONFIG", "SET", "maxmemory", 1)
        assert "maxmemory" in refused(client, *MODEL[:-1], b"newer")
        assert client.ask("AI.MODELGET", "k", "BLOB") == b"new"


def test_a_model_whose_check_ends_on_a_replica_is_not_stored(serve: Callable[..., Server]) -> None:
    server = serve()
    with (
        Peer(server.socket) as client,
        Peer(server.socket) as admin,
        ScriptedWorker(server.socket, TORCH="2") as worker,
    ):
        number = worker.id()
        client.send(*MODEL)
        check = worker.next()
        admin.ask("REPLICAOF", "127.0.0.1", free_port())
        assert "instance state changed" in refused(client)  # the server says so to all that it has to unblock
        worker.checked(check)
        deadline = time.monotonic() + DEADLINE
        while b" flags=b" not in admin.ask("CLIENT", "LIST", "ID", number):  # until it waits for the next item
            assert time.monotonic() < deadline
        admin.ask("REPLICAOF", "NO", "ONE")
        assert admin.ask("DBSIZE") == 0
