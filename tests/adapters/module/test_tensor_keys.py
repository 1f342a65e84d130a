"""A tensor is a key like any other to the rest of the server."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from module_server import Server

MIB = 1 << 20


def put(db: redis.Redis, *arguments: Any) -> Any:
    return db.execute_command("AI.TENSORSET", *arguments)


def get(db: redis.Redis, *arguments: Any) -> Any:
    return db.execute_command("AI.TENSORGET", *arguments)


def put_bytes(db: redis.Redis, key: str, blob: bytes) -> None:
    put(db, key, "UINT8", len(blob), "BLOB", blob)


def digest(db: redis.Redis, key: str) -> Any:
    return db.execute_command("DEBUG", "DIGEST-VALUE", key)


def used_memory(db: redis.Redis) -> int:
    return int(db.info("memory")["used_memory"])


def wait_for_memory(db: redis.Redis, limit: int) -> None:
    """Wait until the server uses less than `limit` bytes: it frees a little at every beat of its clock."""
    deadline = time.monotonic() + 30
    while used_memory(db) >= limit:
        assert time.monotonic() < deadline, "memory is not given back"


def test_a_copy_outlives_its_source(db: redis.Redis) -> None:
    put_bytes(db, "a", bytes(MIB))
    before = used_memory(db)
    assert db.copy("a", "b")
    assert db.copy("a", "c", destination_db="1")
    assert used_memory(db) - before < MIB // 2, "a copy shares its blob"
    put_bytes(db, "a", b"new")
    db.delete("a")
    assert get(db, "b", "BLOB") == bytes(MIB)
    db.delete("b")
    db.execute_command("SWAPDB", 0, 1)
    assert get(db, "c", "BLOB") == bytes(MIB)
    assert db.unlink("c") == 1


def test_copy_overwrites_only_when_asked(db: redis.Redis) -> None:
    put_bytes(db, "a", b"a")
    put_bytes(db, "b", b"b")
    assert not db.copy("a", "b")
    assert db.copy("a", "b", replace=True)
    assert get(db, "b", "BLOB") == b"a"


def test_rename_moves_a_tensor(db: redis.Redis) -> None:
    put_bytes(db, "a", b"abc")
    db.rename("a", "b")
    assert get(db, "b", "BLOB") == b"abc"
    assert db.exists("a") == 0


def test_memory_usage_counts_the_blob(db: redis.Redis) -> None:
    put_bytes(db, "small", bytes(1000))
    put_bytes(db, "large", bytes(MIB))
    assert 1000 < (db.memory_usage("small") or 0) < 1400
    assert MIB < (db.memory_usage("large") or 0) < MIB + 400


@pytest.mark.parametrize(
    "other",
    [
        ["FLOAT", 2, 2, "VALUES", 1, 2, 3, 5],
        ["FLOAT", 4, "VALUES", 1, 2, 3, 4],
        ["FLOAT", 4, 1, "VALUES", 1, 2, 3, 4],
        ["INT32", 2, 2, "BLOB", b"\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40"],
    ],
)
def test_the_digest_tells_tensors_apart(db: redis.Redis, other: list[Any]) -> None:
    put(db, "a", "FLOAT", 2, 2, "VALUES", 1, 2, 3, 4)
    put(db, "same", "FLOAT", 2, 2, "BLOB", b"\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40")
    put(db, "other", *other)
    assert digest(db, "a") == digest(db, "same")
    assert digest(db, "a") != digest(db, "other")


def test_unlink_and_delete_give_the_memory_back(db: redis.Redis) -> None:
    before = used_memory(db)
    put_bytes(db, "a", bytes(8 * MIB))
    put_bytes(db, "b", bytes(8 * MIB))
    assert used_memory(db) - before > 16 * MIB
    assert db.unlink("a", "b") == 2
    wait_for_memory(db, before + MIB)


@pytest.mark.parametrize("asynchronous", [True, False])
def test_flush_gives_the_memory_back(db: redis.Redis, asynchronous: bool) -> None:
    before = used_memory(db)
    for i in range(32):
        put_bytes(db, f"large {i}", bytes(MIB))
    for i in range(3000):
        put_bytes(db, f"small {i}", b"small")
    db.copy("large 0", "shared")
    db.flushall(asynchronous=asynchronous)
    wait_for_memory(db, before + MIB)


def test_a_reply_under_way_outlives_its_tensor(shared: Server, db: redis.Redis) -> None:
    blob = bytes(range(256)) * (64 * 4096)
    put_bytes(db, "k", blob)
    before = used_memory(db)
    with socket.socket(socket.AF_UNIX) as slow, slow.makefile("rb") as replies:
        slow.settimeout(60)
        slow.connect(str(shared.socket))
        slow.sendall(b"AI.TENSORGET k BLOB\r\nPING\r\n")
        assert replies.readline() == b"$%d\r\n" % len(blob)
        db.flushall(asynchronous=True)
        put_bytes(db, "k", b"\xff" * len(blob))
        db.delete("k")
        assert replies.read(len(blob) + 2) == blob + b"\r\n"
        assert replies.readline() == b"+PONG\r\n"
    wait_for_memory(db, before - len(blob) // 2)


def test_a_small_blob_does_not_keep_a_large_buffer(shared: Server, db: redis.Redis) -> None:
    before = used_memory(db)
    client = shared.client()
    for i in range(8):
        put_bytes(client, "large", bytes(16 * MIB))
        put_bytes(client, f"small {i}", bytes(40_000))
    client.delete("large")
    client.close()
    wait_for_memory(db, before + 2 * MIB)


def test_a_new_tensor_ends_the_time_to_live_of_the_old(db: redis.Redis) -> None:
    put_bytes(db, "k", b"old")
    db.expire("k", 1000)
    put_bytes(db, "k", b"new")
    assert db.ttl("k") == -1


def test_a_tensor_expires(db: redis.Redis) -> None:
    put_bytes(db, "k", b"short")
    with db.pubsub() as events:
        db.config_set("notify-keyspace-events", "Kx")
        events.subscribe("__keyspace@0__:k")
        assert events.get_message(timeout=10)
        db.pexpire("k", 1)
        message = events.get_message(timeout=10)
    assert message is not None
    assert message["data"] == b"expired"
    assert db.exists("k") == 0


def test_setting_a_tensor_is_an_event(db: redis.Redis) -> None:
    db.config_set("notify-keyspace-events", "Kd")
    with db.pubsub() as events:
        events.subscribe("__keyspace@0__:k")
        assert events.get_message(timeout=10)
        with pytest.raises(redis.ResponseError):
            put(db, "k", "HALF", 1)
        put_bytes(db, "k", b"x")
        message = events.get_message(timeout=10)
    assert message is not None
    assert message["data"] == b"ai.tensorset"


def test_a_transaction_sets_and_gets(db: redis.Redis) -> None:
    with db.pipeline(transaction=True) as pipeline:
        pipeline.execute_command("AI.TENSORSET", "k", "UINT8", 4, "BLOB", b"abcd")
        pipeline.execute_command("AI.TENSORGET", "k", "BLOB")
        pipeline.execute_command("AI.TENSORSET", "k", "UINT8", 4, "BLOB", b"efgh")
        pipeline.execute_command("FLUSHALL", "ASYNC")
        pipeline.execute_command("AI.TENSORSET", "k", "UINT8", 4, "BLOB", b"ijkl")
        assert pipeline.execute() == [b"OK", b"abcd", b"OK", True, b"OK"]
    assert get(db, "k", "BLOB") == b"ijkl"


def test_a_watched_tensor_that_changes_ends_the_transaction(shared: Server, db: redis.Redis) -> None:
    put_bytes(db, "k", b"a")
    with shared.client().pipeline() as pipeline:
        pipeline.watch("k")
        put_bytes(db, "k", b"b")
        pipeline.multi()
        pipeline.set("changed", "no")
        with pytest.raises(redis.WatchError):
            pipeline.execute()
    assert db.exists("changed") == 0


@pytest.mark.parametrize("size", [1, 40, 64, 65, 100_000])
def test_a_script_sets_and_gets(db: redis.Redis, size: int) -> None:
    script = """
        for i = 1, 50 do
            redis.call('AI.TENSORSET', 'k' .. i, 'UINT8', ARGV[1], 'BLOB', string.rep(string.char(i), ARGV[1]))
        end
        redis.call('SET', 'other', string.rep('x', ARGV[1]))
        return redis.call('AI.TENSORGET', KEYS[1], 'BLOB')
    """
    assert db.eval(script, 1, "k7", size) == b"\x07" * size
    for i in range(1, 51):
        assert get(db, f"k{i}", "BLOB") == bytes([i]) * size


def test_a_script_sees_errors(db: redis.Redis) -> None:
    with pytest.raises(redis.ResponseError, match="invalid data type"):
        db.eval("return redis.call('AI.TENSORSET', KEYS[1], 'HALF', '1')", 1, "k")
    assert db.eval("return redis.pcall('AI.TENSORGET', KEYS[1])['err']", 1, "k").startswith(b"ERR tensor key is empty")


def test_a_full_server_refuses_tensors_but_still_gives_them(serve: Callable[..., Server]) -> None:
    db = serve().client()
    put_bytes(db, "k", b"kept")
    db.config_set("maxmemory", 1)
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        put_bytes(db, "k", b"lost")
    assert get(db, "k", "BLOB") == b"kept"
    db.config_set("maxmemory", 0)
    put_bytes(db, "k", b"more")


def test_old_tensors_are_evicted(serve: Callable[..., Server]) -> None:
    db = serve("--maxmemory", "32mb", "--maxmemory-policy", "allkeys-lru").client()
    for i in range(64):
        put_bytes(db, str(i), bytes([i]) * MIB)
    assert db.info("stats")["evicted_keys"] > 0
    assert get(db, "63", "BLOB") == bytes([63]) * MIB


def test_users_get_what_their_categories_allow(serve: Callable[..., Server]) -> None:
    server = serve()
    admin = server.client()
    put_bytes(admin, "k", b"x")
    admin.acl_setuser("reader", enabled=True, nopass=True, keys=["k"], categories=["+@read", "+@connection"])
    reader = server.client()
    reader.execute_command("AUTH", "reader", "any")
    assert get(reader, "k", "BLOB") == b"x"
    with pytest.raises(redis.exceptions.NoPermissionError):
        put_bytes(reader, "k", b"y")
    with pytest.raises(redis.exceptions.NoPermissionError):
        get(reader, "elsewhere")


def test_the_cluster_finds_the_key(db: redis.Redis) -> None:
    assert db.command_getkeys("AI.TENSORSET", "k", "FLOAT", "1") == [b"k"]
    assert db.command_getkeys("AI.TENSORGET", "k", "META") == [b"k"]


@pytest.mark.parametrize("threads", ["1", "4"])
def test_many_clients_at_once(serve: Callable[..., Server], threads: str) -> None:
    server = serve("--io-threads", threads, "--hz", "100")

    def work(seed: int) -> None:
        db = server.client()
        choose = random.Random(seed)  # noqa: S311 - a test that repeats itself
        for _ in range(300):
            key = choose.choice(["a", "b", "copy of a", "copy of b"])
            match choose.choice(["set", "set", "get", "get", "copy", "unlink", "flush"]):
                case "set":
                    put_bytes(db, key, bytes([choose.randrange(256)]) * choose.choice([10, 1000, 100_000]))
                case "get":
                    try:
                        blob = get(db, key, "BLOB")
                    except redis.ResponseError as error:
                        assert "tensor key is empty" in str(error)  # noqa: PT017 - both outcomes are right
                    else:
                        assert blob == blob[:1] * len(blob)
                case "copy":
                    db.copy(key, f"copy of {key}", replace=True)
                case "unlink":
                    db.unlink(key)
                case "flush":
                    db.flushall(asynchronous=True)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    db = server.client()
    db.flushall()
    wait_for_memory(db, 8 * MIB)
