"""AI._DATASETPUT, AI._DATASETGET, AI._DATASETDEL, AI._DATASETCOPY, AI._DATASETRENAME: whole datasets in one step."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from module_datasets import (
    DATA,
    LAYOUTS,
    META,
    TENSORS,
    digest,
    everything,
    get,
    names_field,
    put,
    put_by_parts,
    read,
    used_memory,
)
from scripted_worker import Output, Peer, ScriptedWorker, store

LENGTH = "data length does not match tensor shape and type"
SHAPE = "invalid or negative value found in tensor shape"
UNREADABLE = "the field .tensor_names of the dataset cannot be read"


# What is put, and what is got


@pytest.mark.parametrize("blobs", [1, 2, 4])
def test_what_is_put_is_what_the_clients_of_old_would_have_put(db: redis.Redis, blobs: int) -> None:
    put(db, TENSORS, blobs=blobs, time=b"\4now", note=b"")
    found, found_digest = everything(db), digest(db)
    db.flushall()
    put_by_parts(db, TENSORS, time=b"\4now", note=b"")
    assert found == everything(db)
    assert found_digest == digest(db)


@pytest.mark.parametrize("blobs", [1, 2, 4])
def test_what_is_got_is_what_was_put(db: redis.Redis, blobs: int) -> None:
    put(db, TENSORS, blobs=blobs, time=b"\4now")
    assert len(get(db)) == 2 + blobs
    fields = {b"time": b"\4now", b".tensor_names": names_field("abcd"), b".COMPLETE": b"1"}
    assert read(db) == (fields, LAYOUTS, DATA)


def test_what_the_clients_of_old_have_put_is_got(db: redis.Redis) -> None:
    put_by_parts(db, TENSORS, time=b"\4now")
    assert get(db)[1:] == [LAYOUTS, b"abc", b"12345678", b"\1", b"xy"]


def test_a_tensor_that_was_replaced_alone_is_got_with_the_others(db: redis.Redis) -> None:
    put(db, TENSORS)
    db.execute_command("AI.TENSORSET", "{d}.b", "INT8", 1, "VALUES", 7)
    assert get(db)[1:] == [b"INT8 3,INT8 1,BOOL,UINT16 1", b"abc", b"\7", b"\1xy"]
    db.execute_command("AI.TENSORSET", "{d}.d", "STRING", 1, "VALUES", "text")
    assert get(db)[1:] == [b"INT8 3,INT8 1,BOOL,STRING 1", b"abc", b"\7", b"\1", b"text\0"]


def test_a_dataset_without_tensors(db: redis.Redis) -> None:
    put(db, {}, time=b"\4now")
    assert get(db) == [[b"time", b"\4now", b".COMPLETE", b"1"], b""]
    db.hset("{e}.meta", ".tensor_names", names_field([]))
    assert get(db, "{e}.meta")[1:] == [b""]


@settings(deadline=None, max_examples=100)
@given(
    st.binary(max_size=20),
    st.dictionaries(
        st.binary(max_size=20).filter(lambda name: name != b"meta"),
        st.tuples(st.sampled_from(["INT8", "INT16", "DOUBLE"]), st.lists(st.integers(1, 4), max_size=3), st.booleans()),
        max_size=6,
    ),
    st.dictionaries(st.binary().filter(lambda field: field != b".tensor_names"), st.binary(), max_size=4),
)
def test_any_dataset_comes_back(
    lasting_db: redis.Redis, stem: bytes, tensors: dict[bytes, tuple[str, list[int], bool]], fields: dict[bytes, bytes]
) -> None:
    lasting_db.flushall()
    blobs = [b""]
    expected = []
    for number, (dtype, shape, joined) in enumerate(tensors.values()):
        size = {"INT8": 1, "INT16": 2, "DOUBLE": 8}[dtype]
        for side in shape:
            size *= side
        data = bytes([number]) * size
        expected.append(data)
        if joined or not blobs[-1]:
            blobs[-1] += data
        else:
            blobs.append(data)
    layouts = ",".join(" ".join([dtype, *map(str, shape)]) for dtype, shape, _ in tensors.values()).encode()
    stored = {**fields, b".tensor_names": names_field(list(tensors))}
    words = [word for field in stored.items() for word in field]
    rest = [layouts, *blobs] if tensors else []
    assert lasting_db.execute_command("AI._DATASETPUT", stem + b".meta", 0, len(stored), *words, *rest) == b"OK"
    found, found_layouts, *found_blobs = lasting_db.execute_command("AI._DATASETGET", stem + b".meta")
    assert dict(zip(found[::2], found[1::2], strict=True)) == stored
    assert found_layouts == layouts
    assert b"".join(found_blobs) == b"".join(expected)
    for name, data in zip(tensors, expected, strict=True):
        assert lasting_db.execute_command("AI.TENSORGET", stem + b"." + name, "BLOB") == data
    assert lasting_db.dbsize() == 1 + len(tensors)


# Parts of a blob


def test_tensors_that_share_a_blob_are_like_others(db: redis.Redis) -> None:
    put(db, TENSORS)
    assert db.execute_command("AI.TENSORGET", "{d}.b") == [b"dtype", b"FLOAT", b"shape", [2, 1], b"blob", b"12345678"]
    assert db.execute_command("AI.TENSORGET", "{d}.a", "VALUES") == [97, 98, 99]
    db.copy("{d}.b", "copy")
    db.rename("{d}.d", "renamed")
    dumped = db.dump("{d}.a")
    assert dumped
    db.delete("{d}.a", "{d}.b", "{d}.c", META)
    db.restore("restored", 0, dumped)
    found = [db.execute_command("AI.TENSORGET", key, "BLOB") for key in ("copy", "renamed", "restored")]
    assert found == [b"12345678", b"xy", b"abc"]
    assert 100 < (db.memory_usage("copy") or 0) < 400


def test_a_worker_gets_its_part_of_a_blob(db: redis.Redis, client: Peer, worker: ScriptedWorker) -> None:
    store(client, worker, "AI.MODELSTORE", "m", "TORCH", "CPU", "BLOB", "m", inputs=["x"], outputs=["y"])
    put(db, TENSORS)
    client.send("AI.MODELEXECUTE", "m", "INPUTS", 1, "{d}.b", "OUTPUTS", 1, "out")
    item = worker.next()
    assert item.inputs == [("FLOAT 2 1", [b"12345678"])]
    worker.done(item, Output("INT8", [1], [b"z"]))
    assert client.receive() == b"OK"


def test_the_memory_of_a_blob_comes_back_with_its_last_tensor(db: redis.Redis) -> None:
    before = used_memory(db)
    half = 4 << 20
    put(db, {name: ["INT8", half, bytes(half)] for name in ("a", "b")})
    db.delete("{d}.a")
    assert used_memory(db) - before > 2 * half
    assert db.execute_command("AI.TENSORGET", "{d}.b", "BLOB") == bytes(half)
    db.delete("{d}.b")
    deadline = time.monotonic() + 30
    while used_memory(db) - before > half:
        assert time.monotonic() < deadline


# What is wrong


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], "wrong number of arguments for 'AI._DATASETPUT' command"),
        ([META, 0, 1, "f"], "wrong number of arguments for 'AI._DATASETPUT' command"),
        ([META, 0, 1, "f", "v", "INT8 1"], "wrong number of arguments for 'AI._DATASETPUT' command"),
        (["{d}.data", 0, 1, "f", "v"], "the key of a dataset ends in .meta"),
        (["meta", 0, 1, "f", "v"], "the key of a dataset ends in .meta"),
        ([META, -1, 1, "f", "v"], "invalid expire time in 'AI._DATASETPUT' command"),
        ([META, "soon", 1, "f", "v"], "invalid expire time in 'AI._DATASETPUT' command"),
        ([META, 1 << 62, 1, "f", "v"], "invalid expire time in 'AI._DATASETPUT' command"),
        ([META, 0, 0, "f", "v"], "invalid number of fields in 'AI._DATASETPUT' command"),
        ([META, 0, 2, "f", "v"], "invalid number of fields in 'AI._DATASETPUT' command"),
        ([META, 0, "one", "f", "v"], "invalid number of fields in 'AI._DATASETPUT' command"),
        ([META, 0, 1, ".tensor_names", ""], UNREADABLE),
        ([META, 0, 1, ".tensor_names", b"\1"], UNREADABLE),
        ([META, 0, 1, ".tensor_names", b"\7\1"], UNREADABLE),
        ([META, 0, 1, ".tensor_names", names_field("a")[:-1]], UNREADABLE),
        ([META, 0, 1, ".tensor_names", b"\7" + b"\xff" * 9], UNREADABLE),
    ],
)
def test_a_put_that_cannot_be_read_is_refused(db: redis.Redis, words: list[Any], error: str) -> None:
    with pytest.raises(redis.ResponseError, match=f"^{error}$"):
        db.execute_command("AI._DATASETPUT", *words)
    assert db.dbsize() == 0


@pytest.mark.parametrize(
    ("names", "rest", "error"),
    [
        ("a", [], "there are not as many tensors as names of tensors"),
        ("a", ["INT8 1,INT8 1", b"12"], "there are not as many tensors as names of tensors"),
        ("", ["INT8 1", b"1"], "there are not as many tensors as names of tensors"),
        (["meta"], ["INT8 1", b"1"], "a tensor cannot be named meta"),
        ("a", ["", b""], "invalid data type"),
        ("a", ["HALF 1", b"1"], "invalid data type"),
        ("a", ["STRING 1", b"\0"], "invalid data type"),
        ("a", ["INT8 0", b""], SHAPE),
        ("a", ["INT8 -1", b"1"], SHAPE),
        ("a", ["INT8 +1", b"1"], SHAPE),
        ("a", ["INT8  1", b"1"], SHAPE),
        ("a", ["INT8 1 ", b"1"], SHAPE),
        ("a", ["INT8 1x", b"1"], SHAPE),
        ("a", ["INT8 99999999999999999999", b"1"], SHAPE),
        ("a", ["DOUBLE 4611686018427387904 4611686018427387904", b"1"], SHAPE),
        ("ab", ["INT8 1,", b"1"], "invalid data type"),
        ("ab", [",INT8 1", b"1"], "invalid data type"),
        ("a", ["INT8 1", b""], LENGTH),
        ("a", ["INT8 2", b"1"], LENGTH),
        ("a", ["INT8 2", b"1", b"2"], LENGTH),
        ("ab", ["INT8 1,INT8 1", b"1"], LENGTH),
        ("ab", ["INT8 1,INT8 1", b"", b"12"], LENGTH),
        ("a", ["INT8 1", b"12"], "there are more bytes than the tensors take"),
        ("a", ["INT8 1", b"1", b""], "there are more bytes than the tensors take"),
        ("a", ["INT8 1", b"1", b"2"], "there are more bytes than the tensors take"),
        ("ab", ["INT8 1,BOOL 1", b"\1\2"], "BOOL tensor elements must be 0 or 1"),
    ],
)
def test_tensors_that_do_not_fit_are_refused_and_nothing_changes(
    db: redis.Redis, names: Sequence[str], rest: list[Any], error: str
) -> None:
    put(db, TENSORS, time=b"\4now")
    before = everything(db)
    with pytest.raises(redis.ResponseError, match=f"^{error}$"):
        db.execute_command("AI._DATASETPUT", META, 0, 1, ".tensor_names", names_field(names), *rest)
    assert everything(db) == before


COMMANDS = [["AI._DATASETGET", META], ["AI._DATASETCOPY", META, "{e}.meta"], ["AI._DATASETRENAME", META, "{e}.meta"]]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("other", [None, "text"])
def test_a_dataset_without_one_of_its_tensors_says_which(
    db: redis.Redis, command: list[str], other: str | None
) -> None:
    put(db, TENSORS)
    db.delete("{d}.c")
    if other:
        db.set("{d}.c", other)
    before = db.dbsize()
    with pytest.raises(redis.ResponseError, match="^INCOMPLETE the dataset is without its tensor c$"):
        db.execute_command(*command)
    assert db.dbsize() == before


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_no_dataset_is_refused(db: redis.Redis, command: list[str]) -> None:
    db.set(META, "text")
    with pytest.raises(redis.ResponseError, match="^WRONGTYPE "):
        db.execute_command(*command)
    db.delete(META)
    db.hset(META, ".tensor_names", "garbled")
    with pytest.raises(redis.ResponseError, match=f"^{UNREADABLE}$"):
        db.execute_command(*command)
    db.hset("data", "field", "value")
    with pytest.raises(redis.ResponseError, match="^the key of a dataset ends in .meta$"):
        db.execute_command(command[0], "data", *command[2:])
    assert db.dbsize() == 2


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["AI._DATASETGET"], "wrong number of arguments for 'AI._DATASETGET' command"),
        (["AI._DATASETGET", META, META], "wrong number of arguments for 'AI._DATASETGET' command"),
        (["AI._DATASETDEL"], "wrong number of arguments for 'AI._DATASETDEL' command"),
        (["AI._DATASETDEL", "{d}.a"], "the key of a dataset ends in .meta"),
        (["AI._DATASETCOPY", META], "wrong number of arguments for 'AI._DATASETCOPY' command"),
        (["AI._DATASETRENAME", META, "{e}.meta", 0, 0], "wrong number of arguments for 'AI._DATASETRENAME' command"),
        (["AI._DATASETRENAME", META, "{e}.meta", -1], "invalid expire time in 'AI._DATASETRENAME' command"),
        (["AI._DATASETCOPY", META, "{e}.a"], "the key of a dataset ends in .meta"),
        (["AI._DATASETCOPY", META, "{d}.x.meta"], "the one dataset may have keys of the other, .*"),
    ],
)
def test_other_words_that_are_wrong_change_nothing(db: redis.Redis, words: list[Any], error: str) -> None:
    put(db, TENSORS)
    before = everything(db)
    with pytest.raises(redis.ResponseError, match=f"^{error}$"):
        db.execute_command(*words)
    assert everything(db) == before


def test_what_is_not_there(db: redis.Redis) -> None:
    assert get(db) is None
    assert db.execute_command("AI._DATASETDEL", META) == 0
    put(db, TENSORS, meta="{e}.meta")
    for command in ("AI._DATASETCOPY", "AI._DATASETRENAME"):
        assert db.execute_command(command, META, "{e}.meta") == 0
    assert db.dbsize() == 5


# What is replaced


def test_a_put_replaces_all_that_was_there(db: redis.Redis) -> None:
    put(db, TENSORS, ms=100_000, old=b"\4x")
    db.set("{d}.new", "text")
    put(db, {"b": ["INT8", 1, b"b"], "new": ["INT8", 1, b"n"]})
    assert read(db)[1:] == (b"INT8 1,INT8 1", b"bn")
    assert sorted(everything(db)) == [b"{d}.b", b"{d}.meta", b"{d}.new"]
    assert {db.pttl(key) for key in db.scan_iter()} == {-1}
    put(db, {}, time=b"\4now")
    assert list(everything(db)) == [b"{d}.meta"]


@pytest.mark.parametrize("there", [["SET", META, "text"], ["HSET", META, ".tensor_names", "garbled"]])
def test_a_put_and_a_removal_take_what_is_no_dataset(db: redis.Redis, there: list[str]) -> None:
    db.execute_command(*there)
    put(db, TENSORS)
    assert read(db)[2] == DATA
    db.flushall()
    db.execute_command(*there)
    assert db.execute_command("AI._DATASETDEL", META) == 1
    assert db.dbsize() == 0


def test_the_lifetime_of_a_put_is_that_of_all_keys(db: redis.Redis) -> None:
    put(db, TENSORS, ms=100_000)
    assert all(90_000 < db.pttl(key) <= 100_000 for key in db.scan_iter())
    put(db, TENSORS)
    assert {db.pttl(key) for key in db.scan_iter()} == {-1}


def test_a_dataset_is_deleted_with_all_its_tensors(db: redis.Redis) -> None:
    put(db, TENSORS)
    put(db, TENSORS, meta="{e}.meta")
    db.delete("{d}.b")
    assert db.execute_command("AI._DATASETDEL", META) == 1
    assert sorted(everything(db)) == [b"{e}.a", b"{e}.b", b"{e}.c", b"{e}.d", b"{e}.meta"]


@pytest.mark.parametrize("moves", [False, True])
@pytest.mark.parametrize(("ms", "lives"), [((), 100_000), ((0,), None), ((50_000,), 50_000)])
def test_a_dataset_takes_the_place_of_another(
    db: redis.Redis, moves: bool, ms: Sequence[int], lives: int | None
) -> None:
    put(db, TENSORS, ms=100_000, time=b"\4now")
    put(db, {"a": ["INT8", 1, b"1"], "z": ["INT8", 1, b"2"]}, meta="{e}.meta", other=b"\4x")
    db.set("{e}.b", "text")
    before = get(db)
    assert db.execute_command("AI._DATASETRENAME" if moves else "AI._DATASETCOPY", META, "{e}.meta", *ms) == 1
    assert get(db, "{e}.meta") == before
    assert get(db) == (None if moves else before)
    theirs = {key for key in db.scan_iter() if key.startswith(b"{e}.")}
    assert theirs == {b"{e}.meta", b"{e}.a", b"{e}.b", b"{e}.c", b"{e}.d"}
    if lives is None:
        assert {db.pttl(key) for key in theirs} == {-1}
    else:
        assert all(lives - 10_000 < db.pttl(key) <= lives for key in theirs)
    assert db.dbsize() == (5 if moves else 10)


@pytest.mark.parametrize("command", ["AI._DATASETCOPY", "AI._DATASETRENAME"])
def test_a_dataset_that_takes_its_own_place_stays(db: redis.Redis, command: str) -> None:
    put(db, TENSORS, ms=100_000)
    assert db.execute_command(command, META, META) == 1
    assert read(db)[2] == DATA
    assert all(db.pttl(key) > 0 for key in db.scan_iter())


def test_a_copy_shares_the_blobs(db: redis.Redis) -> None:
    put(db, {"a": ["INT8", 4 << 20, bytes(4 << 20)]})
    before = used_memory(db)
    assert db.execute_command("AI._DATASETCOPY", META, "{e}.meta") == 1
    assert used_memory(db) - before < 1 << 20
