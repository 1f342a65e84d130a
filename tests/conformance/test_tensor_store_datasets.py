"""What every tensor store answers to the commands for whole datasets."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from smartsim.domain.client_errors import RedisRuntimeError
from tensor_stores import Store, ask, same, say, tensor_get, tensor_set

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
UNREADABLE = "ERR the field .tensor_names of the dataset cannot be read"
SHAPE = "ERR invalid or negative value found in tensor shape"
LENGTH = "ERR data length does not match tensor shape and type"
SOON = 60_000  # ms: a time that does not pass in a test
TENSORS = {"a": np.arange(6.0).reshape(2, 3), "b": np.array([True, False]), "c": np.arange(50_000, dtype=np.int32)}
LAYOUTS = b"DOUBLE 2 3,BOOL 2,INT32 50000"


def names_of(*names: str) -> bytes:
    return b"\7" + b"".join(struct.pack("<Q", len(name)) + name.encode() for name in names)


def put(store: Store, stem: str, ms: int = 0, /, **tensors: npt.NDArray[Any]) -> Any:
    fields: list[str | bytes] = ["time", b"\4now"]
    data: tuple[Any, ...] = ()
    if tensors:
        fields += [".tensor_names", names_of(*tensors)]
        data = (LAYOUTS if len(tensors) > 1 else b"DOUBLE 2 3", tuple(tensors.values()))
    command = say("AI._DATASETPUT", f"{stem}.meta", ms, len(fields) // 2, *fields)
    (reply,) = store.run([command._replace(words=(*command.words, *data))])
    return reply


def says(reply: Any, error: str) -> bool:
    """Return whether a reply is an error; its key is no part of what is looked at."""
    assert isinstance(reply, RedisRuntimeError), reply
    return reply.reply.startswith(error)


def data_of(reply: Any) -> bytes:
    return b"".join(part if isinstance(part, bytes) else part.tobytes() for part in reply[2:])


def keys_of(store: Store, stem: str) -> list[str]:
    names = ["meta", "a", "b", "c", "x"]
    replies = store.run([say("EXISTS", f"{stem}.{name}") for name in names])
    return [name for name, reply in zip(names, replies, strict=True) if reply]


@pytest.fixture
def stem(key: str) -> str:
    return f"{{{key}}}"


def test_a_dataset_comes_back_and_its_parts_are_keys(any_store: Store, stem: str) -> None:
    assert put(any_store, stem, **TENSORS) == b"OK"
    reply = ask(any_store, "AI._DATASETGET", f"{stem}.meta")
    assert reply[:2] == [[b"time", b"\4now", b".tensor_names", names_of(*TENSORS)], LAYOUTS]
    assert data_of(reply) == b"".join(tensor.tobytes() for tensor in TENSORS.values())
    assert ask(any_store, "HGET", f"{stem}.meta", "time") == b"\4now"
    for name, tensor in TENSORS.items():
        (found,) = any_store.run([tensor_get(f"{stem}.{name}")])
        assert same(found, tensor)


def test_a_dataset_that_came_in_parts(any_store: Store, stem: str) -> None:
    any_store.run([say("HSET", f"{stem}.meta", ".tensor_names", names_of("a"))])
    any_store.run([tensor_set(f"{stem}.a", TENSORS["a"])])
    reply = ask(any_store, "AI._DATASETGET", f"{stem}.meta")
    assert reply[:2] == [[b".tensor_names", names_of("a")], b"DOUBLE 2 3"]
    assert data_of(reply) == TENSORS["a"].tobytes()


def test_a_dataset_replaces_all_that_was_there(any_store: Store, stem: str) -> None:
    ask(any_store, "SET", f"{stem}.a", "text")
    assert put(any_store, stem, SOON, **TENSORS) == b"OK"
    assert all(0 < ask(any_store, "PTTL", f"{stem}.{part}") <= SOON for part in ("meta", *TENSORS))
    assert put(any_store, stem, x=TENSORS["a"]) == b"OK"
    assert keys_of(any_store, stem) == ["meta", "x"]
    assert {ask(any_store, "PTTL", f"{stem}.{part}") for part in ("meta", "x")} == {-1}
    assert put(any_store, stem) == b"OK"
    assert keys_of(any_store, stem) == ["meta"]
    assert ask(any_store, "AI._DATASETGET", f"{stem}.meta") == [[b"time", b"\4now"], b""]


@pytest.mark.parametrize("moves", [False, True])
def test_a_dataset_is_copied_or_renamed_over_another(any_store: Store, stem: str, *, moves: bool) -> None:
    command = "AI._DATASETRENAME" if moves else "AI._DATASETCOPY"
    old, new = f"{stem}.meta", f"new.{stem}.meta"
    assert ask(any_store, command, old, new) == 0
    put(any_store, stem, SOON, **TENSORS)
    put(any_store, f"new.{stem}", x=TENSORS["a"])
    assert ask(any_store, command, old, new) == 1
    assert keys_of(any_store, f"new.{stem}") == ["meta", "a", "b", "c"]
    assert keys_of(any_store, stem) == ([] if moves else ["meta", "a", "b", "c"])
    assert 0 < ask(any_store, "PTTL", f"new.{stem}.b") <= SOON
    for ms in (0, 2 * SOON):
        put(any_store, stem, SOON, **TENSORS)
        assert ask(any_store, command, old, new, ms) == 1
        assert (ask(any_store, "PTTL", f"new.{stem}.c") > SOON) == (ms > 0)
    assert ask(any_store, command, new, new) == 1
    assert keys_of(any_store, f"new.{stem}") == ["meta", "a", "b", "c"]
    assert says(ask(any_store, command, new, f"new.{stem}.x.meta"), "ERR the one dataset may have keys of the other")


def test_a_dataset_is_deleted(any_store: Store, stem: str) -> None:
    assert ask(any_store, "AI._DATASETDEL", f"{stem}.meta") == 0
    put(any_store, stem, **TENSORS)
    ask(any_store, "UNLINK", f"{stem}.b")
    assert ask(any_store, "AI._DATASETDEL", f"{stem}.meta") == 1
    assert keys_of(any_store, stem) == []
    assert ask(any_store, "AI._DATASETGET", f"{stem}.meta") is None
    ask(any_store, "SET", f"{stem}.meta", "text")
    assert ask(any_store, "AI._DATASETDEL", f"{stem}.meta") == 1


def test_what_is_no_dataset_or_not_a_whole_one_is_refused(any_store: Store, stem: str) -> None:
    meta, other = f"{stem}.meta", f"new.{stem}.meta"
    commands = (["AI._DATASETGET", meta], ["AI._DATASETCOPY", meta, other], ["AI._DATASETRENAME", meta, other])
    put(any_store, stem, **TENSORS)
    for there in (["UNLINK", f"{stem}.b"], ["SET", f"{stem}.b", "text"]):
        ask(any_store, *there)
        for command in commands:
            assert says(ask(any_store, *command), "INCOMPLETE the dataset is without its tensor b")
    ask(any_store, "HSET", meta, ".tensor_names", "garbled")
    for command in commands:
        assert says(ask(any_store, *command), UNREADABLE)
    ask(any_store, "SET", meta, "text")
    for command in commands:
        assert says(ask(any_store, *command), WRONG_TYPE)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["soon", 1, "f", "v"], "ERR invalid expire time in 'AI._DATASETPUT' command"),
        ([-1, 1, "f", "v"], "ERR invalid expire time in 'AI._DATASETPUT' command"),
        ([0, 0, "f", "v"], "ERR invalid number of fields in 'AI._DATASETPUT' command"),
        ([0, 2, "f", "v"], "ERR invalid number of fields in 'AI._DATASETPUT' command"),
        ([0, 1, ".tensor_names", "a"], UNREADABLE),
        ([0, 1, ".tensor_names", names_of("a")], "ERR there are not as many tensors as names of tensors"),
        ([0, 1, ".tensor_names", names_of("meta"), "INT8 1", "1"], "ERR a tensor cannot be named meta"),
        ([0, 1, ".tensor_names", names_of("a"), "HALF 1", "12"], "ERR invalid data type"),
        ([0, 1, ".tensor_names", names_of("a"), "INT8 0", "1"], SHAPE),
        ([0, 1, ".tensor_names", names_of("a"), "INT8 x", "1"], SHAPE),
        ([0, 1, ".tensor_names", names_of("a"), "INT8 2", "1"], LENGTH),
        ([0, 1, ".tensor_names", names_of("a"), "INT8 1", "12"], "ERR there are more bytes than the tensors take"),
        ([0, 1, ".tensor_names", names_of("a"), "BOOL 1", "2"], "ERR BOOL tensor elements must be 0 or 1"),
    ],
)
def test_a_put_that_makes_no_sense_changes_nothing(any_store: Store, stem: str, words: list[Any], error: str) -> None:
    put(any_store, stem, **TENSORS)
    before = data_of(ask(any_store, "AI._DATASETGET", f"{stem}.meta"))
    assert says(ask(any_store, "AI._DATASETPUT", f"{stem}.meta", *words), error)
    assert data_of(ask(any_store, "AI._DATASETGET", f"{stem}.meta")) == before


def test_keys_that_are_no_datasets_are_refused(any_store: Store, stem: str) -> None:
    key = f"{stem}.data"
    assert says(ask(any_store, "AI._DATASETPUT", key, 0, 1, "f", "v"), "ERR the key of a dataset ends in .meta")
    assert says(ask(any_store, "AI._DATASETDEL", key), "ERR the key of a dataset ends in .meta")
    put(any_store, stem)
    for command in ("AI._DATASETCOPY", "AI._DATASETRENAME"):
        assert says(ask(any_store, command, f"{stem}.meta", key), "ERR the key of a dataset ends in .meta")
