"""Models and scripts are keys like any other: they survive restarts, reach replicas, and are copied and freed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from dumps import number, of_another_encoding, opened, sealed, text
from module_server import Server
from scripted_worker import DEADLINE, Peer, ScriptedWorker, store
from servers import free_port

MIB = 1 << 20
BYTES = bytes(range(256))

# For each key the command, its arguments, and the names that a worker finds in the model.
PROGRAMS: dict[bytes, tuple[str, list[Any], list[str], list[str]]] = {
    b"torch": ("AI.MODELSTORE", ["TORCH", "cpu", "BLOB", BYTES], ["", ""], [""]),
    b"onnx": ("AI.MODELSTORE", ["ONNX", "CPU", "TAG", BYTES, "BLOB", b"x"], ["in"], ["out", "too"]),
    b"tf": (
        "AI.MODELSTORE",
        ["TF", "CPU:1", "INPUTS", 2, "INPUTS", BYTES, "OUTPUTS", 1, "c", "BLOB", b"graph"],
        ["INPUTS", "b"],
        ["c"],
    ),
    b"batched": (
        "AI.MODELSET",
        ["TORCH", "CPU", "BATCHSIZE", 8, "MINBATCHSIZE", 2, "MINBATCHTIMEOUT", 7, "BLOB", b"x"],
        ["x"],
        [],
    ),
    b"half batched": ("AI.MODELSTORE", ["TFLITE", "CPU", "TAG", "t", "BATCHSIZE", 8, "BLOB", b"x"], [], []),
    b"empty": ("AI.MODELSTORE", ["TORCH", "CPU", "BLOB", b""], [], []),
    b"large": ("AI.MODELSTORE", ["TORCH", "CPU", "BLOB", *[BYTES * 1024] * 5], [], []),
    b"\0\xff key\r\n": ("AI.SCRIPTSTORE", ["CPU", "TAG", "t", "ENTRY_POINTS", 2, "f", BYTES, "SOURCE", BYTES], [], []),
    b"script": ("AI.SCRIPTSET", ["cpu", "SOURCE", "def f(): ..."], [], []),
}


def fill(server: Server) -> dict[bytes, Any]:
    """Store `PROGRAMS`, and a tensor; returns what is then in the database."""
    with (
        Peer(server.socket) as client,
        ScriptedWorker(server.socket, TF="2", TFLITE="2", TORCH="2", ONNX="1") as worker,
    ):
        for key, (command, arguments, inputs, outputs) in PROGRAMS.items():
            assert store(client, worker, command, key, *arguments, inputs=inputs, outputs=outputs) == b"OK"
        client.ask("AI.TENSORSET", "tensor", "INT8", 2, "VALUES", 1, 2)
    return content(server)


def content(server: Server) -> dict[bytes, Any]:
    with Peer(server.socket) as client:
        names = sorted(client.ask("KEYS", "*"))
        scripts = {name for name, _ in client.ask("AI._SCRIPTSCAN")}
        models = {name for name, _ in client.ask("AI._MODELSCAN")}
        commands = dict.fromkeys(scripts, "AI.SCRIPTGET") | dict.fromkeys(models, "AI.MODELGET")
        return {name: client.ask(commands.get(name, "AI.TENSORGET"), name) for name in names}


def digest(server: Server) -> Any:
    with Peer(server.socket) as client:
        return client.ask("DEBUG", "DIGEST")


@pytest.fixture
def client(shared: Server, db: redis.Redis) -> Iterator[Peer]:
    """A client of an empty server."""
    assert db.dbsize() == 0
    with Peer(shared.socket) as client:
        yield client


@pytest.fixture
def worker(shared: Server) -> Iterator[ScriptedWorker]:
    with ScriptedWorker(shared.socket, TF="2", TFLITE="2", TORCH="2", ONNX="1") as worker:
        yield worker


def used_memory(db: redis.Redis) -> int:
    return int(db.info("memory")["used_memory"])


def wait_for_memory(db: redis.Redis, limit: int) -> None:
    """Wait until the server uses less than `limit` bytes: it frees a little at every beat of its clock."""
    deadline = time.monotonic() + DEADLINE
    while used_memory(db) >= limit:
        assert time.monotonic() < deadline, "memory is not given back"


def test_they_survive_in_an_rdb_file(serve: Callable[..., Server]) -> None:
    server = serve()
    before, sum_before = fill(server), digest(server)
    server.client().save()
    server.stop()
    server.start()
    assert content(server) == before
    assert digest(server) == sum_before


@pytest.mark.parametrize("preamble", ["yes", "no"])
def test_they_survive_in_an_append_only_file(serve: Callable[..., Server], preamble: str) -> None:
    server = serve("--appendonly", "yes", "--aof-use-rdb-preamble", preamble)
    before, sum_before = fill(server), digest(server)
    server.stop()
    server.start()
    assert content(server) == before
    assert digest(server) == sum_before

    server.client().bgrewriteaof()
    server.wait_for("Background AOF rewrite finished successfully")
    server.client().execute_command("AI.MODELDEL", "tf")
    del before[b"tf"]
    server.stop()
    server.start()
    assert content(server) == before


@pytest.mark.parametrize("diskless", ["yes", "no"])
def test_they_reach_a_replica(serve: Callable[..., Server], diskless: str) -> None:
    port = str(free_port())
    sync = ["--repl-diskless-sync", diskless, "--repl-diskless-sync-delay", "0"]
    primary = serve("--port", port, "--bind", "127.0.0.1", *sync)
    fill(primary)
    replica = serve("--replicaof", "127.0.0.1", port)
    replica.wait_for("Finished with success")
    with Peer(primary.socket) as client, ScriptedWorker(primary.socket, TORCH="2", ONNX="1") as worker:
        client.ask("SELECT", 3)
        for key in ["later", "too late"]:
            arguments = ["ONNX", "CPU", "TAG", BYTES, "BLOB", b"1", b"2"]
            store(client, worker, "AI.MODELSTORE", key, *arguments, inputs=["x"], outputs=["", "z"])
        client.ask("AI.MODELDEL", "too late")
        store(client, worker, "AI.SCRIPTSET", "script", "CPU", "SOURCE", "x")
        store(client, worker, "AI.SCRIPTSTORE", "entries", "CPU", "ENTRY_POINTS", 1, "f", "SOURCE", "x")
        assert client.ask("WAIT", 1, 30_000) == 1
        described = client.ask("AI.MODELGET", "later")
    assert content(replica) == content(primary)
    assert digest(replica) == digest(primary)
    with Peer(replica.socket) as copy:
        copy.ask("SELECT", 3)
        assert sorted(copy.ask("KEYS", "*")) == [b"entries", b"later", b"script"]
        assert copy.ask("AI.MODELGET", "later") == described
        assert copy.ask("AI.CONFIG", "GET", "MINBATCHTIMEOUT") == 1000
        for command in ["AI.MODELSTORE m TORCH CPU BLOB x", "AI.SCRIPTSET s CPU SOURCE x", "AI.MODELDEL later"]:
            with pytest.raises(redis.ReadOnlyError):
                copy.ask(*command.split())


def test_a_dump_is_restored(shared: Server, db: redis.Redis) -> None:
    before = fill(shared)
    dumps = {key: db.dump(key) for key in before}
    db.flushall()
    for key, dump in dumps.items():
        assert dump is not None
        db.restore(key, 0, dump)
    assert content(shared) == before


@pytest.mark.parametrize(
    ("key", "old", "new"),
    [
        pytest.param(b"onnx", number(3), number(4), id="unknown backend"),
        pytest.param(b"onnx", number(3), text(b"3"), id="a string for a backend"),
        pytest.param(b"onnx", number(3) + number(0), number(3) + number(0) * 0, id="a number is missing"),
        pytest.param(b"batched", number(8), number(0), id="a least batch without a batch"),
        pytest.param(b"batched", number(2) + number(7), number(0) + number(7), id="a timeout without a least batch"),
        pytest.param(b"batched", number(7), b"\x02\x81" + b"\xff" * 8, id="a negative timeout"),
        pytest.param(b"onnx", number(1) + text(b"in"), number(2) + text(b"in"), id="a name too few"),
        pytest.param(b"onnx", number(1) + text(b"in"), number(0) + text(b"in"), id="a name too many"),
        pytest.param(b"onnx", text(b"in"), number(5), id="a number for a name"),
        pytest.param(b"onnx", number(1) + text(b"in"), b"\x02\x81" + b"\xff" * 8, id="more names than there is memory"),
        pytest.param(b"onnx", text(b"in"), b"\x05\x81" + b"\x0f" + b"\xff" * 7, id="a name of an exabyte"),
        pytest.param(b"onnx", text(b"CPU"), text(b"TPU"), id="unknown device"),
        pytest.param(b"onnx", text(b"CPU"), text(b""), id="no device"),
        pytest.param(b"onnx", text(b"CPU"), text(b"CPU:12345678"), id="a device that is too long"),
        pytest.param(
            b"onnx", number(0) + text(b"x"), number(1) + text(b"f") + text(b"x"), id="entry points of a model"
        ),
        pytest.param(b"tf", number(1) + text(b"c"), number(0), id="a TF model without outputs"),
        pytest.param(b"script", text(b"cpu"), text(b"cpux"), id="a script without device"),
        pytest.param(b"script", number(0), number(1), id="the source for an entry point"),
        pytest.param(b"script", text(b"def f(): ..."), b"", id="no source"),
    ],
)
def test_a_corrupt_program_is_refused(shared: Server, db: redis.Redis, key: bytes, old: bytes, new: bytes) -> None:
    fill(shared)
    body, version = opened(db, key)
    assert old in body
    with pytest.raises(redis.ResponseError, match="Bad data format"):
        db.restore("bad", 0, sealed(body.replace(old, new, 1), version))
    assert db.exists("bad") == 0
    db.restore("good", 0, sealed(body, version))
    with pytest.raises(redis.ResponseError, match="Bad data format"):
        db.restore("later", 0, sealed(of_another_encoding(body), version))


@pytest.mark.parametrize("key", [b"batched", b"tf", b"script"])
def test_a_truncated_program_is_refused(shared: Server, db: redis.Redis, key: bytes) -> None:
    fill(shared)
    body, version = opened(db, key)
    for end in range(len(body)):
        # The server would read on into the footer; what follows the cut is no data that it knows.
        with pytest.raises(redis.ResponseError, match="Bad data format"):
            db.restore("cut", 0, sealed(body[:end] + b"\xff" * len(body), version))


@pytest.fixture(scope="module")
def dumps(shared: Server) -> dict[bytes, tuple[bytes, bytes]]:
    """The bodies of dumps of `PROGRAMS`."""
    db = shared.client()
    db.flushall()
    fill(shared)
    return {key: opened(db, key) for key in PROGRAMS}


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(sorted(PROGRAMS)), st.data())
def test_no_corruption_harms_the_server(
    shared: Server, dumps: dict[bytes, tuple[bytes, bytes]], name: bytes, data: st.DataObject
) -> None:
    body, version = dumps[name]
    front = bytearray(body[:64])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(min(10, len(front) - 1), len(front) - 1))
        front[at] = data.draw(st.integers(0, 255))
    with Peer(shared.socket) as client:
        try:
            client.ask("RESTORE", "maybe", 0, sealed(bytes(front) + body[64:], version), "REPLACE")
        except redis.ResponseError:
            return
        command = "AI.SCRIPTGET" if PROGRAMS[name][0].startswith("AI.SCRIPT") else "AI.MODELGET"
        reply = client.ask(command, "maybe")  # what was accepted is a whole program
        client.ask("DEBUG", "RELOAD")
        assert client.ask(command, "maybe") == reply


def test_a_corrupt_file_stops_the_start_with_a_reason(serve: Callable[..., Server]) -> None:
    server = serve("--rdbchecksum", "no")
    fill(server)
    server.client().save()
    server.stop()
    file = server.directory / "dump.rdb"
    saved = file.read_bytes()
    assert saved.count(text(b"CPU:1")) == 1
    file.write_bytes(saved.replace(text(b"CPU:1"), text(b"CPU?1")))
    with pytest.raises(AssertionError, match="corrupt model: invalid device"):
        server.start()
    server.stop()
    file.write_bytes(saved)
    server.start()
    assert b"tf" in content(server)


def test_a_copy_shares_and_outlives_its_source(worker: ScriptedWorker, client: Peer, db: redis.Redis) -> None:
    store(client, worker, "AI.MODELSTORE", "a", "TORCH", "CPU", "BLOB", bytes(MIB))
    before, described = used_memory(db), client.ask("AI.MODELGET", "a")
    assert client.ask("COPY", "a", "b") == 1
    assert used_memory(db) - before < MIB // 2
    assert client.ask("RENAME", "a", "c") == b"OK"
    assert client.ask("AI.MODELDEL", "b") == b"OK"
    assert client.ask("AI.MODELGET", "c") == described
    assert MIB < client.ask("MEMORY", "USAGE", "c") < MIB + 1000
    assert client.ask("OBJECT", "ENCODING", "c") == b"raw"


def test_the_digest_tells_programs_apart(shared: Server, db: redis.Redis) -> None:
    fill(shared)
    names = sorted(PROGRAMS)
    digests = db.execute_command("DEBUG", "DIGEST-VALUE", *names)
    assert len(set(digests)) == len(names)
    db.copy("tf", "copy")
    assert db.execute_command("DEBUG", "DIGEST-VALUE", "copy") == [digests[names.index(b"tf")]]


@pytest.mark.parametrize("command", [["FLUSHALL", "ASYNC"], ["FLUSHALL", "SYNC"], ["UNLINK", "model", "script"]])
def test_the_memory_is_given_back(worker: ScriptedWorker, client: Peer, db: redis.Redis, command: list[str]) -> None:
    before = used_memory(db)
    store(client, worker, "AI.MODELSTORE", "model", "TORCH", "CPU", "BLOB", bytes(8 * MIB), bytes(MIB))
    store(client, worker, "AI.SCRIPTSET", "script", "CPU", "SOURCE", bytes(8 * MIB))
    client.ask("COPY", "script", "model", "REPLACE")
    assert used_memory(db) - before > 8 * MIB
    client.ask(*command)
    wait_for_memory(db, before + MIB)


def test_a_worker_forgets_what_is_deleted(worker: ScriptedWorker, client: Peer) -> None:
    for key in ["m", "copy"]:
        client.send("AI.MODELSTORE", key, "TORCH", "CPU", "BLOB", key)
        check = worker.next()
        worker.fetch()
        worker.checked(check)
        assert client.receive() == b"OK"
    client.ask("COPY", "copy", "m", "REPLACE")
    first = worker.next()
    client.ask("FLUSHALL", "ASYNC")
    second = worker.next()
    assert (first.kind, second.kind) == ("DROP", "DROP")
    assert first.words[1] != second.words[1] == str(check.version)
