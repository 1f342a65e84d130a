"""AI._WAIT: clients that wait for keys, and what wakes them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import redis

from module_server import Server
from scripted_worker import Output, Peer, ScriptedWorker, store
from servers import free_port
from waiting import wait_until

HOUR = 60 * 60 * 1000
TENSOR = ["UINT8", 1, "BLOB", b"1"]


def blocked(db: redis.Redis) -> int:
    return int(db.info("clients")["blocked_clients"])


def transact(db: redis.Redis, *commands: Sequence[Any]) -> Any:
    with db.pipeline(transaction=True) as pipeline:
        for command in commands:
            pipeline.execute_command(*command)
        return pipeline.execute()


@contextmanager
def waiting(server: Server, *condition: Any, count: int = 1, ms: int = HOUR) -> Iterator[Sequence[Peer]]:
    """Clients that wait for a condition."""
    with ExitStack() as stack:
        db = server.client()
        before = blocked(db)
        peers = [stack.enter_context(Peer(server.socket)) for _ in range(count)]
        for peer in peers:
            peer.send("AI._WAIT", ms, *condition)
        wait_until(lambda: blocked(db) == before + count)
        yield peers


@pytest.fixture(autouse=True)
def _all_leave(shared: Server) -> Iterator[None]:
    yield
    with shared.client() as db:
        wait_until(lambda: blocked(db) == 0)


# What it answers at once

HOLDS = [
    ["EXISTS", "text"],
    ["exists", "tensor"],
    ["FIELD", "hash", "f"],
    ["field", "hash", b"\0\xff"],
    ["LENGTH", "list", "EQ", 2],
    ["length", "list", "ge", 1],
    ["LENGTH", "list", "LE", 2],
    ["LENGTH", "stream", "GE", 1],
    ["LENGTH", "nothing", "EQ", 0],
    ["LENGTH", "nothing", "LE", 5],
]
NOT_YET = [
    ["EXISTS", "nothing"],
    ["FIELD", "nothing", "f"],
    ["FIELD", "hash", "F"],
    ["LENGTH", "list", "EQ", 1],
    ["LENGTH", "list", "GE", 3],
    ["LENGTH", "list", "LE", 1],
    ["LENGTH", "stream", "EQ", 0],
    ["LENGTH", "nothing", "GE", 1],
]
WRONG_TYPE = [
    ["FIELD", "list", "f"],
    ["FIELD", "tensor", "f"],
    ["LENGTH", "hash", "GE", 0],
    ["LENGTH", "tensor", "GE", 0],
    ["LENGTH", "text", "EQ", 0],
]


@pytest.fixture
def keys(db: redis.Redis) -> redis.Redis:
    """A client of a server with a key of each kind."""
    db.set("text", "t")
    db.execute_command("AI.TENSORSET", "tensor", *TENSOR)
    db.hset("hash", mapping={"f": "1", b"\0\xff": "2"})
    db.rpush("list", "1", "2")
    db.xadd("stream", {"f": "1"})
    return db


@pytest.mark.parametrize("ms", [0, 1, HOUR])
@pytest.mark.parametrize("condition", HOLDS)
def test_it_answers_at_once_when_it_holds(keys: redis.Redis, condition: list[Any], ms: int) -> None:
    assert keys.execute_command("AI._WAIT", ms, *condition) == 1


@pytest.mark.parametrize("ms", [0, 1])
@pytest.mark.parametrize("condition", NOT_YET)
def test_it_answers_in_the_end_when_it_does_not_hold(keys: redis.Redis, condition: list[Any], ms: int) -> None:
    assert keys.execute_command("AI._WAIT", ms, *condition) == 0


@pytest.mark.parametrize("condition", WRONG_TYPE)
def test_another_type_of_key_is_an_error(keys: redis.Redis, condition: list[Any]) -> None:
    for ms in (0, HOUR):
        with pytest.raises(redis.ResponseError, match="^WRONGTYPE "):
            keys.execute_command("AI._WAIT", ms, *condition)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], "wrong number of arguments for 'AI._WAIT' command"),
        ([1, "EXISTS"], "wrong number of arguments for 'AI._WAIT' command"),
        ([1, "EXISTS", "k", "f"], "wrong number of arguments for 'AI._WAIT' command"),
        ([1, "FIELD", "k"], "wrong number of arguments for 'AI._WAIT' command"),
        ([1, "FIELD", "k", "f", "f"], "wrong number of arguments for 'AI._WAIT' command"),
        ([1, "LENGTH", "k", "EQ"], "wrong number of arguments for 'AI._WAIT' command"),
        ([1, "LENGTH", "k", "EQ", 1, 1], "wrong number of arguments for 'AI._WAIT' command"),
        ([-1, "EXISTS", "k"], "a wait takes 0 to 3600000 milliseconds"),
        ([HOUR + 1, "EXISTS", "k"], "a wait takes 0 to 3600000 milliseconds"),
        (["1.5", "EXISTS", "k"], "a wait takes 0 to 3600000 milliseconds"),
        ([1, "GONE", "k"], "a wait is for EXISTS, FIELD or LENGTH"),
        ([1, "LENGTH", "k", "GT", 1], "a LENGTH is to be EQ, GE or LE"),
        ([1, "LENGTH", "k", "EQ", -1], "a LENGTH is an integer from 0 on"),
        ([1, "LENGTH", "k", "EQ", "one"], "a LENGTH is an integer from 0 on"),
    ],
)
def test_what_cannot_be_read_is_an_error(db: redis.Redis, words: list[Any], error: str) -> None:
    with pytest.raises(redis.ResponseError, match=f"^{re.escape(error)}$"):
        db.execute_command("AI._WAIT", *words)


def test_within_a_transaction_or_a_script_it_answers_at_once(db: redis.Redis) -> None:
    wait = ["AI._WAIT", HOUR, "EXISTS", "k"]
    assert transact(db, wait, ["SET", "k", "v"], wait) == [0, True, 1]
    script = "return redis.call('AI._WAIT', 1000000, 'EXISTS', KEYS[1])"
    assert [db.eval(script, 1, key) for key in ("k", "nothing")] == [1, 0]


# What wakes it

WAKING: list[tuple[list[Any], list[list[Any]], list[Any]]] = [
    # condition, before, what makes it hold
    (["EXISTS", "k"], [], ["SET", "k", "v"]),
    (["EXISTS", "k"], [], ["AI.TENSORSET", "k", *TENSOR]),
    (["EXISTS", "k"], [], ["AI.DAGEXECUTE", "PERSIST", 1, "k", "|>", "AI.TENSORSET", "k", *TENSOR]),
    (["EXISTS", "k"], [["SET", "a", "v"]], ["RENAME", "a", "k"]),
    (["EXISTS", "k"], [["SET", "a", "v"]], ["COPY", "a", "k"]),
    (["EXISTS", "k"], [], ["EVAL", "return redis.call('SET', KEYS[1], 'v')", 1, "k"]),
    (["EXISTS", "k"], [["SELECT", 1], ["SET", "k", "v"]], ["MOVE", "k", 0]),
    (["EXISTS", "k"], [["SELECT", 1], ["HSET", "k", "f", "v"], ["SELECT", 0]], ["SWAPDB", 0, 1]),
    (["FIELD", "h", "f"], [["HSET", "h", "g", "1"]], ["HSET", "h", "f", "v"]),
    (["FIELD", "h", "f"], [], ["HINCRBY", "h", "f", 1]),
    (["FIELD", "h", "f"], [["HSET", "h", "g", "1"], ["HSET", "a", "f", "1"]], ["RENAME", "a", "h"]),
    (["LENGTH", "l", "GE", 3], [["RPUSH", "l", "1"]], ["LPUSH", "l", "2", "3"]),
    (["LENGTH", "l", "EQ", 1], [["RPUSH", "l", "1", "2", "3"]], ["LTRIM", "l", 0, 0]),
    (["LENGTH", "l", "EQ", 1], [["RPUSH", "l", "1", "2"]], ["RPOPLPUSH", "l", "l2"]),
    (["LENGTH", "l", "LE", 1], [["RPUSH", "l", "1", "2"]], ["BLPOP", "l", 0]),
    (["LENGTH", "l", "EQ", 0], [["RPUSH", "l", "1"]], ["LPOP", "l"]),
    (["LENGTH", "l", "EQ", 0], [["RPUSH", "l", "1"]], ["DEL", "l"]),
    (["LENGTH", "l", "EQ", 0], [["RPUSH", "l", "1"]], ["RENAME", "l", "l2"]),
    (["LENGTH", "l", "EQ", 0], [["RPUSH", "l", "1"]], ["MOVE", "l", 1]),
    (["LENGTH", "l", "EQ", 0], [["RPUSH", "l", "1"]], ["PEXPIRE", "l", 1]),
    (["LENGTH", "l", "LE", 0], [["RPUSH", "l", "1"]], ["FLUSHALL"]),
    (["LENGTH", "l", "LE", 0], [["RPUSH", "l", "1"]], ["FLUSHDB", "ASYNC"]),
    (["LENGTH", "l", "LE", 0], [["RPUSH", "l", "1"]], ["SWAPDB", 0, 1]),
    (["LENGTH", "x", "GE", 2], [["XADD", "x", "*", "f", "1"]], ["XADD", "x", "*", "f", "2"]),
    (["LENGTH", "x", "EQ", 1], [["XADD", "x", "1-1", "f", "1"], ["XADD", "x", "2-1", "f", "2"]], ["XDEL", "x", "1-1"]),
    (["LENGTH", "x", "EQ", 0], [["XADD", "x", "1-1", "f", "1"]], ["DEL", "x"]),
]


@pytest.mark.parametrize(("condition", "before", "waking"), WAKING)
def test_what_makes_it_hold_wakes_it(
    shared: Server, db: redis.Redis, condition: list[Any], before: list[list[Any]], waking: list[Any]
) -> None:
    with Peer(shared.socket) as writer:
        for command in before:
            writer.ask(*command)
        with waiting(shared, *condition) as (waiter,):
            db.set("unrelated", "v")
            assert not waiter.answered()
            writer.ask(*waking)
            assert waiter.receive() == 1


def test_restore_and_store_wake_it(db: redis.Redis, shared: Server) -> None:
    db.rpush("a", "1", "2")
    dump = db.dump("a")
    with waiting(shared, "LENGTH", "b", "GE", 2) as (waiter,):
        db.execute_command("RESTORE", "b", 0, dump)
        assert waiter.receive() == 1
    with waiting(shared, "EXISTS", "m") as (waiter,), ScriptedWorker(shared.socket, TORCH="2") as worker:
        with Peer(shared.socket) as client:
            store(client, worker, "AI.MODELSTORE", "m", "TORCH", "CPU", "BLOB", "m", inputs=["x"], outputs=["y"])
        assert waiter.receive() == 1


def test_the_outputs_of_a_run_wake_it(shared: Server, worker: ScriptedWorker, client: Peer) -> None:
    store(client, worker, "AI.MODELSTORE", "m", "TORCH", "CPU", "BLOB", "m", inputs=["x"], outputs=["y"])
    client.ask("AI.TENSORSET", "a", *TENSOR)
    with waiting(shared, "EXISTS", "b") as (waiter,):
        client.send("AI.MODELEXECUTE", "m", "INPUTS", 1, "a", "OUTPUTS", 1, "b")
        item = worker.job()
        assert not waiter.answered()
        worker.done(item, Output("UINT8", [1], [b"2"]))
        assert waiter.receive() == 1
    assert client.receive() == b"OK"


def test_eviction_wakes_it(serve: Callable[..., Server]) -> None:
    server = serve("--maxmemory-policy", "allkeys-random")
    db = server.client()
    db.rpush("l", "1")
    with waiting(server, "LENGTH", "l", "EQ", 0) as (waiter,):
        db.config_set("maxmemory", 1)
        assert waiter.receive() == 1


def test_it_wakes_those_of_its_database_alone(shared: Server, db: redis.Redis) -> None:
    with waiting(shared, "EXISTS", "k") as (waiter,):
        db.execute_command("SELECT", 1)
        db.set("k", "v")
        assert not waiter.answered()
        db.execute_command("SELECT", 0)
        db.set("k", "v")
        assert waiter.receive() == 1


def test_a_transaction_is_looked_at_when_it_is_complete(shared: Server, db: redis.Redis) -> None:
    with waiting(shared, "EXISTS", "k") as (waiter,), waiting(shared, "LENGTH", "l", "EQ", 2) as (counter,):
        transact(db, ["SET", "k", "v"], ["RPUSH", "l", "1", "2"], ["RPUSH", "l", "3"], ["DEL", "k"])
        db.eval("redis.call('SET', KEYS[1], 'v'); redis.call('DEL', KEYS[1])", 1, "k")
        db.ping()
        assert not waiter.answered()
        assert not counter.answered()
        transact(db, ["RPOP", "l"], ["SET", "k", "v"])
        assert (waiter.receive(), counter.receive()) == (1, 1)


def test_a_key_that_becomes_another_type_is_an_error(shared: Server, db: redis.Redis) -> None:
    with waiting(shared, "FIELD", "k", "f") as (waiter,), waiting(shared, "LENGTH", "k", "GE", 1) as (other,):
        db.set("k", "v")
        for peer in (waiter, other):
            with pytest.raises(redis.ResponseError, match="^WRONGTYPE "):
                peer.receive()


def test_many_wait_for_one_key_and_each_is_answered_once(shared: Server, db: redis.Redis) -> None:
    with (
        waiting(shared, "LENGTH", "l", "GE", 1, count=20) as first,
        waiting(shared, "LENGTH", "l", "GE", 2, count=20) as second,
    ):
        db.rpush("l", "1")
        assert [peer.receive() for peer in first] == [1] * 20
        assert not any(peer.answered() for peer in second)
        assert db.rpush("l", "2", "3") == 3
        assert [peer.receive() for peer in second] == [1] * 20
        for peer in (*first, *second):
            assert peer.ask("AI._WAIT", 0, "EXISTS", "nothing") == 0


def test_clients_wait_again_and_again(shared: Server, db: redis.Redis) -> None:
    with Peer(shared.socket) as waiter:
        for number in range(1, 200):
            waiter.send("AI._WAIT", HOUR, "LENGTH", "l", "GE", number)
            db.rpush("l", "x")
            assert waiter.receive() == 1


# Those who do not wait any longer


def test_time_is_up(db: redis.Redis) -> None:
    began = time.monotonic()
    assert db.execute_command("AI._WAIT", 50, "EXISTS", "k") == 0
    assert time.monotonic() - began >= 0.05


def test_unblocked_clients(shared: Server, db: redis.Redis) -> None:
    with Peer(shared.socket) as waiter:
        number = waiter.id()
        for how in ("TIMEOUT", "ERROR"):
            waiter.send("AI._WAIT", HOUR, "EXISTS", "k")
            wait_until(lambda: blocked(db) == 1)
            assert db.execute_command("CLIENT", "UNBLOCK", number, how) == 1
            if how == "TIMEOUT":
                assert waiter.receive() == 0
            else:
                with pytest.raises(redis.ResponseError, match="^UNBLOCKED "):
                    waiter.receive()
        assert waiter.ask("RESET") == b"RESET"
    db.set("k", "v")


def test_killed_and_gone_clients(shared: Server, db: redis.Redis) -> None:
    with waiting(shared, "EXISTS", "k") as (waiter,), Peer(shared.socket) as other:
        number = other.id()
        other.send("AI._WAIT", HOUR, "EXISTS", "k")
        wait_until(lambda: blocked(db) == 2)
        assert db.execute_command("CLIENT", "KILL", "ID", number) == 1
        wait_until(lambda: blocked(db) == 1)
        with waiting(shared, "EXISTS", "k", count=5):
            pass
        wait_until(lambda: blocked(db) == 1)
        db.set("k", "v")
        assert waiter.receive() == 1
    db.delete("k")
    db.set("k", "v")


def test_a_woken_client_that_is_killed_at_once(shared: Server, db: redis.Redis) -> None:
    with Peer(shared.socket) as waiter:
        number = waiter.id()
        waiter.send("AI._WAIT", HOUR, "EXISTS", "k")
        wait_until(lambda: blocked(db) == 1)
        transact(db, ["SET", "k", "v"], ["CLIENT", "KILL", "ID", number], ["CLIENT", "UNBLOCK", number])
    db.ping()


# Access


def test_it_is_a_read_of_its_key(shared: Server, db: redis.Redis) -> None:
    assert db.command_getkeys("AI._WAIT", "1", "FIELD", "k", "f") == [b"k"]
    db.acl_setuser("reader", enabled=True, nopass=True, keys=["k"], categories=["+@read", "+@connection"])
    with Peer(shared.socket, "reader", "any") as reader:
        assert reader.ask("AI._WAIT", 0, "EXISTS", "k") == 0
        with pytest.raises(redis.exceptions.NoPermissionError):
            reader.ask("AI._WAIT", 0, "EXISTS", "other")
    db.acl_deluser("reader")


# Replicas and clusters


def test_a_replica_wakes_its_own(serve: Callable[..., Server]) -> None:
    port = str(free_port())
    primary = serve("--port", port, "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0")
    replica = serve("--replicaof", "127.0.0.1", port)
    replica.wait_for("Finished with success")
    db = primary.client()
    with waiting(replica, "EXISTS", "k") as (waiter,):
        transact(db, ["SET", "k", "v"], ["DEL", "k"])
        assert db.wait(1, 30_000) == 1
        assert not waiter.answered()
        db.execute_command("AI.TENSORSET", "k", *TENSOR)
        assert waiter.receive() == 1


def test_a_replica_wakes_its_own_after_it_got_everything_anew(serve: Callable[..., Server]) -> None:
    port = str(free_port())
    primary = serve("--port", port, "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0")
    replica = serve("--replicaof", "127.0.0.1", port)
    replica.wait_for("Finished with success")
    with waiting(replica, "FIELD", "h", "f") as (waiter,):
        new_history = ["DEBUG", "CHANGE-REPL-ID"], ["CLIENT", "KILL", "TYPE", "REPLICA"]
        transact(primary.client(), *new_history, ["HSET", "h", "f", "v"])
        assert waiter.receive() == 1


def test_who_waits_at_a_replica_that_is_promoted_or_a_primary_that_is_not_any_more(
    serve: Callable[..., Server],
) -> None:
    port = str(free_port())
    server = serve()
    with waiting(server, "EXISTS", "k", ms=300) as (waiter,):
        server.client().replicaof("127.0.0.1", port)
        with pytest.raises(redis.ResponseError, match="^UNBLOCKED "):
            waiter.receive()
    with waiting(server, "EXISTS", "k") as (waiter,):
        server.client().replicaof("NO", "ONE")
        server.client().set("k", "v")
        assert waiter.receive() == 1


def test_a_slot_that_moves_away_sends_those_who_wait_after_it(serve: Callable[..., Server]) -> None:
    ports = [(str(free_port()), str(free_port())) for _ in range(2)]
    servers = [
        serve("--cluster-enabled", "yes", "--bind", "127.0.0.1", "--port", port, "--cluster-port", bus)
        for port, bus in ports
    ]
    with ExitStack() as stack:
        first, second = (stack.enter_context(Peer(server.socket)) for server in servers)
        first.ask("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        first.ask("CLUSTER", "MEET", "127.0.0.1", *ports[1])
        for peer in (first, second):
            wait_until(lambda peer=peer: b"cluster_state:ok" in peer.ask("CLUSTER", "INFO"))  # type: ignore[misc]
        slot, there = first.ask("CLUSTER", "KEYSLOT", "k"), second.ask("CLUSTER", "MYID")
        with pytest.raises(redis.ResponseError, match=f"^MOVED {slot} |^{slot} "):
            second.ask("AI._WAIT", HOUR, "EXISTS", "k")
        with waiting(servers[0], "EXISTS", "k") as (waiter,):
            for peer in (second, first):
                peer.ask("CLUSTER", "SETSLOT", slot, "NODE", there)
            with pytest.raises(redis.ResponseError, match=f"^MOVED {slot} |^{slot} "):
                waiter.receive()
