"""Whole datasets in transactions, for users with few rights, on replicas, and after a restart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from module_datasets import DATA, LAYOUTS, META, TENSORS, digest, everything, put, put_words, read
from module_server import Server
from scripted_worker import Peer
from servers import free_port


def test_they_work_within_a_transaction_and_a_script(db: redis.Redis) -> None:
    with db.pipeline(transaction=True) as pipeline:
        pipeline.execute_command(*put_words(TENSORS))
        pipeline.execute_command("AI._DATASETGET", META)
        pipeline.execute_command("AI._DATASETRENAME", META, "{e}.meta")
        pipeline.execute_command("AI._DATASETDEL", "{e}.meta")
        stored, got, *others = pipeline.execute()
    assert (stored, got[1:], others) == (b"OK", [LAYOUTS, DATA], [1, 1])
    put(db, TENSORS)
    assert db.eval("return redis.call('AI._DATASETGET', KEYS[1])", 1, META)[2] == DATA


def test_those_who_wait_for_a_dataset_are_woken(shared: Server, db: redis.Redis) -> None:
    with Peer(shared.socket) as waiting:
        waiting.send("AI._WAIT", 30_000, "FIELD", "{e}.meta", ".COMPLETE")
        put(db, TENSORS)
        db.execute_command("AI._DATASETRENAME", META, "{e}.meta")
        assert waiting.receive() == 1
        waiting.send("AI._WAIT", 30_000, "FIELD", META, ".COMPLETE")
        put(db, TENSORS)
        assert waiting.receive() == 1


def test_they_are_events(db: redis.Redis) -> None:
    db.config_set("notify-keyspace-events", "Ehdg")
    with db.pubsub() as events:
        events.psubscribe("__keyevent@0__:*")
        assert events.get_message(timeout=10)
        put(db, {"a": ["INT8", 1, b"1"]}, ms=100_000)
        put(db, {})
        db.publish("__keyevent@0__:over", "")
        found = []
        while (message := events.get_message(timeout=10)) and message["channel"] != b"__keyevent@0__:over":
            found.append((message["channel"].decode().split(":")[1], message["data"]))
    db.config_set("notify-keyspace-events", "")
    assert sorted(found) == [
        ("ai.tensorset", b"{d}.a"),
        ("del", b"{d}.a"),
        ("expire", b"{d}.a"),
        ("expire", b"{d}.meta"),
        ("hset", b"{d}.meta"),
        ("hset", b"{d}.meta"),
    ]


def test_a_watched_dataset_that_is_put_ends_the_transaction(shared: Server, db: redis.Redis) -> None:
    put(db, TENSORS)
    for key in (META, "{d}.b"):
        with shared.client().pipeline() as pipeline:
            pipeline.watch(key)
            put(db, TENSORS)
            pipeline.multi()
            pipeline.set("changed", "no")
            with pytest.raises(redis.WatchError):
                pipeline.execute()


def test_a_full_server_refuses_datasets_but_still_gives_and_removes_them(serve: Callable[..., Server]) -> None:
    db = serve().client()
    put(db, TENSORS)
    db.config_set("maxmemory", 1)
    for command in (put_words(TENSORS), ["AI._DATASETCOPY", META, "{e}.meta"]):
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            db.execute_command(*command)
    assert read(db)[2] == DATA
    assert db.execute_command("AI._DATASETRENAME", META, "{e}.meta") == 1
    assert db.execute_command("AI._DATASETDEL", "{e}.meta") == 1


@pytest.mark.parametrize(
    ("command", "reads", "writes"),
    [
        (put_words(TENSORS), "", "d"),
        (put_words({"b": ["INT8", 1, b"1"]}), "", "d"),
        (["AI._DATASETGET", META], "d", ""),
        (["AI._DATASETDEL", META], "", "d"),
        (["AI._DATASETCOPY", META, "{e}.meta"], "d", "e"),
        (["AI._DATASETRENAME", META, "{e}.meta"], "d", "de"),
    ],
)
def test_the_user_needs_permission_for_every_key(
    shared: Server, db: redis.Redis, command: list[Any], reads: str, writes: str
) -> None:
    rights = [*(f"%R~{{{stem}}}.?" for stem in reads), *(f"%W~{{{stem}}}.?" for stem in writes)]
    declared = ["~{d}.meta", "~{e}.meta"]
    put(db, TENSORS)
    put(db, {"z": ["INT8", 1, b"1"]}, meta="{e}.meta")
    before = everything(db)
    for missing in rights:
        held = [right for right in rights if right != missing]
        db.execute_command("ACL", "SETUSER", "guest", "reset", "on", ">pw", *declared, *held, "+@all")
        refused = pytest.raises(redis.exceptions.NoPermissionError, match=r" access the key \{[de]\}\.[abcdz]$")
        with Peer(shared.socket, "guest", "pw") as guest, refused:
            guest.ask(*command)
        assert everything(db) == before
    db.execute_command("ACL", "SETUSER", "guest", "reset", "on", ">pw", *declared, *rights, "+@all")
    with Peer(shared.socket, "guest", "pw") as guest:
        guest.ask(*command)
    db.execute_command("ACL", "DELUSER", "guest")


def test_the_cluster_finds_the_keys(db: redis.Redis) -> None:
    assert db.command_getkeys(*put_words(TENSORS)) == [META.encode()]
    assert db.command_getkeys("AI._DATASETGET", META) == [META.encode()]
    assert db.command_getkeys("AI._DATASETCOPY", META, "{e}.meta") == [META.encode(), b"{e}.meta"]


# What is left after a restart, and on replicas


def change_all(db: redis.Redis) -> None:
    """Do everything once."""
    put(db, {"gone": ["INT8", 1, b"1"]}, meta="{e}.meta")
    put(db, TENSORS, time=b"\4now")
    put(db, {"x": TENSORS["a"], **TENSORS}, meta="{lives}.meta", ms=1_000_000)
    put(db, {"b": TENSORS["b"]}, meta="{lives}.meta", ms=1_000_000)
    for command, *words in (
        ["COPY", META, "{e}.meta"],
        ["COPY", META, "{f}.meta", 1_000_000],
        ["COPY", "{lives}.meta", "{g}.meta", 0],
        ["COPY", META, "{h}.meta"],
        ["DEL", "{h}.meta"],
        ["COPY", "{lives}.meta", "{i}.meta"],
        ["RENAME", "{i}.meta", "{j}.meta"],
    ):
        assert db.execute_command(f"AI._DATASET{command}", *words) == 1


def test_they_reach_a_replica(serve: Callable[..., Server]) -> None:
    port = str(free_port())
    primary = serve("--port", port, "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0")
    db = primary.client()
    change_all(db)
    replica = serve("--replicaof", "127.0.0.1", port)
    replica.wait_for("Finished with success")
    copy = replica.client()
    assert everything(copy) == everything(db)  # as an RDB file
    db.flushall()
    change_all(db)
    assert db.wait(1, 30_000) == 1
    assert everything(copy) == everything(db)  # as commands
    assert digest(copy) == digest(db)
    assert read(copy)[2] == DATA
    with pytest.raises(redis.ReadOnlyError):
        put(copy, TENSORS)


@pytest.mark.parametrize("preamble", ["yes", "no"])
def test_they_survive_in_an_append_only_file(serve: Callable[..., Server], preamble: str) -> None:
    server = serve("--appendonly", "yes", "--aof-use-rdb-preamble", preamble)
    db = server.client()
    change_all(db)
    before = everything(db)
    for rewrite in (False, True):
        if rewrite:
            db.bgrewriteaof()
            server.wait_for("Background AOF rewrite finished successfully")
        server.stop()
        server.start()
        db = server.client()
        assert everything(db) == before
    assert read(db)[2] == DATA


def test_they_survive_in_an_rdb_file(serve: Callable[..., Server]) -> None:
    server = serve()
    db = server.client()
    change_all(db)
    before, digest_before = everything(db), digest(db)
    db.save()
    server.stop()
    server.start()
    db = server.client()
    assert everything(db) == before
    assert digest(db) == digest_before
    assert read(db)[2] == DATA
