"""Tensors survive restarts and reach replicas; what is corrupt is refused."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from dumps import of_another_encoding, opened, sealed, text
from module_server import Server
from servers import free_port

TENSORS: dict[bytes, list[Any]] = {
    b"float": ["FLOAT", 2, 2, "BLOB", bytes(range(16))],
    b"double": ["DOUBLE", 3, "VALUES", -0.5, "inf", "nan"],
    b"integers": ["INT16", 1, 3, 1, "VALUES", -1, 0, 1],
    b"bools": ["BOOL", 3, "VALUES", 1, 0, 1],
    b"strings": ["STRING", 3, "VALUES", "one", "", "tw\u00f6"],
    b"scalar": ["INT64", "VALUES", 42],
    b"zeros": ["UINT16", 5],
    b"large": ["UINT8", 1 << 20, "BLOB", bytes(range(256)) * 4096],
    b"\0\xff key\r\n": ["INT8", 1, "VALUES", 7],
}


def fill(db: redis.Redis) -> dict[bytes, Any]:
    """Put `TENSORS`; returns what is then in the database."""
    for key, arguments in TENSORS.items():
        db.execute_command("AI.TENSORSET", key, *arguments)
    return content(db)


def content(db: redis.Redis) -> dict[bytes, Any]:
    return {key: db.execute_command("AI.TENSORGET", key) for key in db.scan_iter()}


def digest(db: redis.Redis) -> Any:
    return db.execute_command("DEBUG", "DIGEST")


def test_tensors_survive_in_an_rdb_file(serve: Callable[..., Server]) -> None:
    server = serve()
    db = server.client()
    before, sum_before = fill(db), digest(db)
    db.save()
    server.stop()
    server.start()
    db = server.client()
    assert content(db) == before
    assert digest(db) == sum_before


def test_tensors_survive_in_a_background_save(serve: Callable[..., Server]) -> None:
    server = serve()
    before = fill(server.client())
    server.client().bgsave()
    server.wait_for("Background saving terminated with success")
    server.stop()
    server.start()
    assert content(server.client()) == before


@pytest.mark.parametrize("preamble", ["yes", "no"])
def test_tensors_survive_in_an_append_only_file(serve: Callable[..., Server], preamble: str) -> None:
    server = serve("--appendonly", "yes", "--aof-use-rdb-preamble", preamble)
    db = server.client()
    before = fill(db)
    server.stop()
    server.start()
    db = server.client()
    assert content(db) == before

    db.bgrewriteaof()
    server.wait_for("Background AOF rewrite finished successfully")
    db.execute_command("AI.TENSORSET", "after", "FLOAT", 1, "VALUES", 1)
    before, sum_before = content(db), digest(db)
    server.stop()
    server.start()
    db = server.client()
    assert content(db) == before
    assert digest(db) == sum_before


@pytest.mark.parametrize("diskless", ["yes", "no"])
def test_tensors_reach_a_replica(serve: Callable[..., Server], diskless: str) -> None:
    port = str(free_port())
    sync = ["--repl-diskless-sync", diskless, "--repl-diskless-sync-delay", "0"]
    primary = serve("--port", port, "--bind", "127.0.0.1", *sync)
    db = primary.client()
    fill(db)
    replica = serve("--replicaof", "127.0.0.1", port)
    replica.wait_for("Finished with success")
    db.execute_command("AI.TENSORSET", "later", "FLOAT", 2, "BLOB", b"streamed")
    db.execute_command("AI.TENSORSET", "scalar", "INT64", "VALUES", 43)
    assert db.wait(1, 30_000) == 1
    copy = replica.client()
    assert content(copy) == content(db)
    assert digest(copy) == digest(db)
    with pytest.raises(redis.ReadOnlyError):
        copy.execute_command("AI.TENSORSET", "mine", "FLOAT", 1)


def test_a_dump_is_restored(db: redis.Redis) -> None:
    before = fill(db)
    dumps = {key: db.dump(key) for key in before}
    db.flushall()
    for key, dump in dumps.items():
        assert dump is not None
        db.restore(key, 0, dump)
    assert content(db) == before


def dump_of(db: redis.Redis, *arguments: Any) -> tuple[bytes, bytes]:
    """Return the body of the dump of a new tensor, and the version that belongs into its footer."""
    db.execute_command("AI.TENSORSET", "k", *arguments)
    return opened(db, "k")


def header(kind: int, *dims: int) -> bytes:
    return text(bytes([kind]) + b"".join(struct.pack("<q", dim) for dim in dims))


FLOAT, BOOL, STRING, UNKNOWN = 0, 8, 9, 10
EMPTY = b"\x05\x00"


@pytest.mark.parametrize(
    ("arguments", "old", "new"),
    [
        pytest.param(["FLOAT", 2], header(FLOAT, 2), header(UNKNOWN, 2), id="unknown type"),
        pytest.param(["FLOAT", 2], header(FLOAT, 2), header(255, 2), id="type beyond all"),
        pytest.param(["FLOAT", 2], header(FLOAT, 2), header(STRING, 2), id="another type"),
        pytest.param(["FLOAT", 2], header(FLOAT, 2), header(FLOAT, 3), id="larger shape"),
        pytest.param(["FLOAT", 2], header(FLOAT, 2), header(FLOAT, 1), id="smaller shape"),
        pytest.param(["FLOAT", 2], header(FLOAT, 2), header(FLOAT, 0), id="zero dimension"),
        pytest.param(["FLOAT", 2], header(FLOAT, 2), header(FLOAT, -2), id="negative dimension"),
        pytest.param(["FLOAT", 2], header(FLOAT, 2), header(FLOAT, -1, -2), id="negative dimensions"),
        pytest.param(["FLOAT", 2], header(FLOAT, 2), header(FLOAT, 2**62, 4, 2), id="overflow to zero"),
        pytest.param(["FLOAT", 2], header(FLOAT, 2), header(FLOAT, 2**61, 2), id="overflow of bytes"),
        pytest.param(["FLOAT", 2], header(FLOAT, 2), header(FLOAT, 2**60), id="no memory for it"),
        pytest.param(["FLOAT", 2], header(FLOAT, 2), b"\x05\x08" + header(FLOAT, 2)[2:-1], id="half a dimension"),
        pytest.param(["FLOAT", 2], header(FLOAT, 2), EMPTY, id="no header"),
        pytest.param(["FLOAT", 2], header(FLOAT, 2), b"\x02\x09", id="a number for a header"),
        pytest.param(["FLOAT", 2], header(FLOAT, 2) + b"\x05\x08", header(FLOAT, 2) + b"\x05\x09", id="blob too long"),
        pytest.param(["FLOAT", 2], b"\x05\x08" + bytes(8), EMPTY, id="no blob"),
        pytest.param(["FLOAT", 2], b"\x05\x08" + bytes(8), b"", id="end in place of the blob"),
        pytest.param(["FLOAT", 2], b"\x05\x08", b"\x05\x81" + b"\x0f" + b"\xff" * 7, id="a blob of an exabyte"),
        pytest.param(["BOOL", 2], b"\x05\x02\0\0", b"\x05\x02\0\2", id="a bool that is none"),
        pytest.param(["STRING", 2], b"\x05\x02\0\0", b"\x05\x02\0a", id="a string without end"),
        pytest.param(["STRING", 2], b"\x05\x02\0\0", b"\x05\x01\0", id="a string too few"),
    ],
)
def test_a_corrupt_tensor_is_refused(db: redis.Redis, arguments: list[Any], old: bytes, new: bytes) -> None:
    body, version = dump_of(db, *arguments)
    assert body.count(old) == 1
    with pytest.raises(redis.ResponseError, match="Bad data format"):
        db.restore("bad", 0, sealed(body.replace(old, new), version))
    assert db.exists("bad") == 0
    db.restore("good", 0, sealed(body, version))


def test_a_tensor_of_another_encoding_is_refused(db: redis.Redis) -> None:
    body, version = dump_of(db, "FLOAT", 2)
    with pytest.raises(redis.ResponseError, match="Bad data format"):
        db.restore("later", 0, sealed(of_another_encoding(body), version))


@pytest.mark.parametrize("arguments", [["FLOAT", 2, 3], ["STRING", 2, "VALUES", "a", "b"], ["BOOL", "VALUES", 1]])
def test_a_truncated_tensor_is_refused(db: redis.Redis, arguments: list[Any]) -> None:
    body, version = dump_of(db, *arguments)
    for end in range(len(body)):
        # The server would read on into the footer; what follows the cut is no data that it knows.
        with pytest.raises(redis.ResponseError, match="Bad data format"):
            db.restore("cut", 0, sealed(body[:end] + b"\xff" * len(body), version))


@settings(deadline=None, max_examples=500)
@given(st.sampled_from(sorted(TENSORS)), st.data())
def test_no_corruption_harms_the_server(lasting_db: redis.Redis, name: bytes, data: st.DataObject) -> None:
    body, version = dump_of(lasting_db, *TENSORS[name])
    front = bytearray(body[:64])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(min(10, len(front) - 1), len(front) - 1))
        front[at] = data.draw(st.integers(0, 255))
    try:
        lasting_db.restore("maybe", 0, sealed(bytes(front) + body[64:], version), replace=True)
    except redis.ResponseError:
        return
    reply = lasting_db.execute_command("AI.TENSORGET", "maybe")  # what was accepted is a whole tensor
    assert reply == (
        lasting_db.execute_command("DEBUG", "RELOAD") and lasting_db.execute_command("AI.TENSORGET", "maybe")
    )


def test_a_corrupt_file_stops_the_start_with_a_reason(serve: Callable[..., Server]) -> None:
    server = serve("--rdbchecksum", "no")
    db = server.client()
    db.execute_command("AI.TENSORSET", "k", "FLOAT", 2)
    db.save()
    server.stop()
    file = server.directory / "dump.rdb"
    saved = file.read_bytes()
    assert saved.count(header(FLOAT, 2)) == 1
    file.write_bytes(saved.replace(header(FLOAT, 2), header(FLOAT, 3)))
    with pytest.raises(AssertionError, match="corrupt tensor: data length does not match tensor shape and type"):
        server.start()
    server.stop()
    file.write_bytes(saved)
    server.start()
    assert server.client().execute_command("AI.TENSORGET", "k", "META") == [b"dtype", b"FLOAT", b"shape", [2]]
