"""AI.DAGEXECUTE, AI.DAGRUN and their read-only forms: several operations in one command."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from module_server import Server
from scripted_worker import Item, Output, Peer, ScriptedWorker, store
from servers import free_port

SET = ["AI.TENSORSET", "a", "UINT8", 1, "BLOB", b"1"]
GET = ["AI.TENSORGET", "a", "BLOB"]
NOT_IN_DAG = "ERR INPUT key cannot be found in DAG"
WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


@pytest.fixture
def client(shared: Server, db: redis.Redis) -> Iterator[Peer]:
    with Peer(shared.socket) as client:
        db.execute_command(*SET)
        db.set("text", "no tensor")
        yield client


@pytest.fixture
def worker(shared: Server, client: Peer) -> Iterator[ScriptedWorker]:
    """A worker, with a model `m` of one input and one output, and a script `s`."""
    with ScriptedWorker(shared.socket, TORCH="2") as worker:
        store(client, worker, "AI.MODELSTORE", "m", "TORCH", "CPU", "BLOB", "m", inputs=["x"], outputs=["y"])
        store(client, worker, "AI.SCRIPTSET", "s", "CPU", "SOURCE", "def f(x): return x")
        yield worker


def words(*ops: list[Any]) -> list[Any]:
    return [word for op in ops for word in ["|>", *op]]


def run(source: str, to: str) -> list[Any]:
    return ["AI.MODELEXECUTE", "m", "INPUTS", 1, source, "OUTPUTS", 1, to]


def get(key: str) -> list[Any]:
    return ["AI.TENSORGET", key, "BLOB"]


def put(key: str, value: bytes) -> list[Any]:
    return ["AI.TENSORSET", key, "UINT8", 1, "BLOB", value]


def answer(worker: ScriptedWorker, item: Item, value: bytes) -> None:
    worker.done(item, Output("UINT8", [1], [value]))


def refusal(server: Server, *arguments: Any) -> str:
    """Return the error as it is on the wire: a client's library takes the prefix away."""
    encoded = [word if isinstance(word, bytes) else str(word).encode() for word in arguments]
    with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rb") as replies:
        connection.settimeout(10)
        connection.connect(str(server.socket))
        connection.sendall(b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in encoded))
        line = replies.readline().decode()
    assert line[0] == "-"
    return line[1:].removesuffix("\r\n")


# Tensors alone


def test_a_name_stands_for_its_newest_value(client: Peer) -> None:
    ops = [get("a"), put("a", b"2"), get("a"), put("b", b"3"), get("b"), put("a", b"4"), get("a")]
    reply = client.ask("AI.DAGEXECUTE", "LOAD", 1, "a", "PERSIST", 2, "a", "b", *words(*ops))
    assert reply == [b"1", b"OK", b"2", b"OK", b"3", b"OK", b"4"]
    assert client.ask("AI.TENSORGET", "a", "BLOB") == b"4"
    assert client.ask("AI.TENSORGET", "b", "BLOB") == b"3"


def test_nothing_is_written_without_persist(client: Peer) -> None:
    assert client.ask("AI.DAGRUN", *words(put("new", b"1"), put("a", b"2"))) == [b"OK", b"OK"]
    assert client.ask("EXISTS", "new") == 0
    assert client.ask("AI.TENSORGET", "a", "BLOB") == b"1"


def test_tensors_are_replied_in_every_format(client: Peer) -> None:
    ops = [["ai.tensorget", "a", *words] for words in ([], ["META"], ["meta", "values"], ["VALUES"], ["BLOB"])]
    meta = [b"dtype", b"UINT8", b"shape", [1]]
    expected = [[*meta, b"blob", b"1"], meta, [*meta, b"values", [ord("1")]], [ord("1")], b"1"]
    assert client.ask("AI.DAGEXECUTE_RO", "LOAD", 1, "a", *words(*ops)) == expected


def test_a_blob_may_look_like_a_separator(client: Peer) -> None:
    separator = ["AI.TENSORSET", "pipe", "INT8", 2, "BLOB", "|>"]
    assert client.ask("AI.DAGRUN", *words(separator, ["AI.TENSORGET", "pipe", "BLOB"])) == [b"OK", b"|>"]


def test_keys_are_any_bytes(client: Peer) -> None:
    key = b"\0\xff|>\r\n"
    client.ask("AI.TENSORSET", key, "UINT8", 1, "BLOB", b"k")
    reply = client.ask("AI.DAGRUN", "LOAD", 2, key, "a", "PERSIST", 1, key, *words(["AI.TENSORGET", key, "BLOB"]))
    assert reply == [b"k"]
    assert client.ask("AI.TENSORGET", key, "BLOB") == b"k"


def test_what_needs_no_worker_may_stand_in_a_transaction(client: Peer) -> None:
    client.ask("MULTI")
    client.ask("AI.DAGEXECUTE", "PERSIST", 1, "a", *words(put("a", b"t")))
    assert client.ask("EXEC") == [[b"OK"]]
    assert client.ask("AI.TENSORGET", "a", "BLOB") == b"t"


def test_what_an_operation_gets_wrong_is_its_own_error_and_nothing_is_persisted(client: Peer) -> None:
    ops = [["AI.TENSORSET", "b", "UINT8", 2, "BLOB", b"1"], get("b"), put("a", b"2"), ["AI.TENSORGET", "a", "BLUB"]]
    wrong, missing, fine, unread = client.ask("AI.DAGEXECUTE", "PERSIST", 1, "a", *words(*ops))
    assert str(wrong) == "data length does not match tensor shape and type"
    assert (missing, fine) == (b"NA", b"OK")
    assert str(unread) == "unsupported data format"
    assert client.ask("AI.TENSORGET", "a", "BLOB") == b"1"


def test_all_is_persisted_or_nothing(shared: Server, client: Peer) -> None:
    ops = words(put("a", b"2"), put("text", b"2"))
    assert refusal(shared, "AI.DAGEXECUTE", "PERSIST", 2, "a", "text", *ops) == WRONG_TYPE
    assert client.ask("AI.TENSORGET", "a", "BLOB") == b"1"
    assert client.ask("GET", "text") == b"no tensor"


# Runs


def test_outputs_are_inputs_of_later_operations(client: Peer, worker: ScriptedWorker) -> None:
    script = ["AI.SCRIPTEXECUTE", "s", "f", "INPUTS", 2, "b", "a", "ARGS", 1, "x", "OUTPUTS", 1, "c"]
    client.send("AI.DAGEXECUTE", "LOAD", 1, "a", "PERSIST", 1, "c", *words(run("a", "b"), script, get("b")))
    item = worker.job()
    assert (item.kind, item.inputs) == ("RUN", [("UINT8 1", [b"1"])])
    answer(worker, item, b"2")
    item = worker.job()
    assert (item.kind, item.parts[:2]) == ("SCRIPT", (b"f", b"x"))
    assert item.inputs == [("UINT8 1", [b"2"]), ("UINT8 1", [b"1"])]
    answer(worker, item, b"3")
    assert client.receive() == [b"OK", b"OK", b"2"]
    assert client.ask("AI.TENSORGET", "c", "BLOB") == b"3"
    assert client.ask("EXISTS", "b") == 0


def test_the_older_commands_run_in_the_older_dag(client: Peer, worker: ScriptedWorker) -> None:
    model = ["AI.MODELRUN", "m", "INPUTS", "a", "OUTPUTS", "b"]
    script = ["AI.SCRIPTRUN", "s", "f", "INPUTS", "a", "$", "b", "b", "OUTPUTS", "c"]
    client.send("AI.DAGRUN", *words(SET, model, script, get("c")))
    answer(worker, worker.job(), b"2")
    item = worker.job()
    assert item.words[5] == "1"  # where the list begins
    assert item.inputs == [("UINT8 1", [value]) for value in (b"1", b"2", b"2")]
    answer(worker, item, b"3")
    assert client.receive() == [b"OK", b"OK", b"OK", b"3"]


def test_a_get_sees_what_the_name_stood_for_there(client: Peer, worker: ScriptedWorker) -> None:
    client.send(
        "AI.DAGEXECUTE", "ROUTING", "t", *words(SET, get("a"), run("a", "a"), get("a"), put("a", b"3"), get("a"))
    )
    answer(worker, worker.job(), b"2")
    assert client.receive() == [b"OK", b"1", b"OK", b"2", b"OK", b"3"]


def test_operations_that_do_not_need_each_other_run_at_the_same_time(
    shared: Server, client: Peer, worker: ScriptedWorker
) -> None:
    with ScriptedWorker(shared.socket, process=2, TORCH="2") as other:
        other.want()
        client.send("AI.DAGEXECUTE", "LOAD", 1, "a", *words(run("a", "b"), run("a", "c"), get("b"), get("c")))
        first, second = worker.job(), other.job()
        answer(other, second, b"o")
        answer(worker, first, b"w")
        assert sorted(client.receive()[2:]) == [b"o", b"w"]


def test_an_operation_waits_for_its_inputs_alone(shared: Server, client: Peer, worker: ScriptedWorker) -> None:
    with ScriptedWorker(shared.socket, process=2, TORCH="2") as other:
        other.want()
        client.send("AI.DAGEXECUTE", "LOAD", 1, "a", *words(run("a", "b"), run("b", "c"), run("a", "d"), get("c")))
        items = {worker: worker.job(), other: other.job()}
        assert [item.inputs for item in items.values()] == [[("UINT8 1", [b"1"])]] * 2
        for each, item in items.items():
            answer(each, item, b"2")
        last = worker if worker.answered() else other
        item = last.job()
        assert item.inputs == [("UINT8 1", [b"2"])]
        answer(last, item, b"3")
        assert client.receive() == [b"OK", b"OK", b"OK", b"3"]


def test_what_failed_takes_only_what_needs_it_along(client: Peer, worker: ScriptedWorker) -> None:
    ops = [run("a", "b"), run("b", "c"), run("c", "d"), run("a", "e"), get("d"), get("e"), put("f", b"f")]
    client.send("AI.DAGEXECUTE", "LOAD", 1, "a", "PERSIST", 2, "e", "f", *words(*ops))
    worker.fail(worker.job(), "ERR it broke")
    answer(worker, worker.job(), b"5")
    failed, *others = client.receive()
    assert str(failed) == "it broke"
    assert others == [b"NA", b"NA", b"OK", b"NA", b"5", b"OK"]
    assert client.ask("EXISTS", "e", "f") == 0


def test_a_device_without_worker_is_an_error_of_its_operation(shared: Server, client: Peer) -> None:
    with ScriptedWorker(shared.socket, TORCH="2") as worker:
        store(client, worker, "AI.MODELSTORE", "m", "TORCH", "CPU", "BLOB", "m", inputs=["x"], outputs=["y"])
    failed, missing, fine = client.ask("AI.DAGEXECUTE", "LOAD", 1, "a", *words(run("a", "b"), get("b"), get("a")))
    assert "no worker" in str(failed)
    assert (missing, fine) == (b"NA", b"1")


def test_what_is_loaded_or_run_may_be_replaced_meanwhile(client: Peer, worker: ScriptedWorker, shared: Server) -> None:
    client.send("AI.DAGEXECUTE", "LOAD", 1, "a", *words(run("a", "b"), run("a", "c"), get("a"), get("c")))
    item = worker.job()
    with Peer(shared.socket) as other:
        assert other.ask("DEL", "m", "a") == 2
    answer(worker, item, b"2")
    item = worker.job()
    assert item.inputs == [("UINT8 1", [b"1"])]
    assert worker.fetch().payload == b"m"
    answer(worker, item, b"3")
    assert client.receive() == [b"OK", b"OK", b"1", b"3"]


def test_the_key_to_persist_may_turn_into_another_kind_meanwhile(
    shared: Server, client: Peer, worker: ScriptedWorker
) -> None:
    client.send("AI.DAGEXECUTE", "PERSIST", 2, "a", "b", *words(SET, run("a", "b"), put("a", b"9")))
    item = worker.job()
    with Peer(shared.socket) as other:
        other.ask("SET", "b", "text")
    answer(worker, item, b"2")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        client.receive()
    assert client.ask("GET", "b") == b"text"
    assert client.ask("AI.TENSORGET", "a", "BLOB") == b"1"


def test_it_persists_in_the_database_of_its_client(client: Peer, worker: ScriptedWorker, db: redis.Redis) -> None:
    client.ask("COPY", "m", "m", "DB", 3)
    client.ask("SELECT", 3)
    client.send("AI.DAGEXECUTE", "PERSIST", 1, "b", *words(SET, run("a", "b")))
    answer(worker, worker.job(), b"2")
    assert client.receive() == [b"OK", b"OK"]
    assert client.ask("AI.TENSORGET", "b", "BLOB") == b"2"
    assert db.exists("b") == 0


def test_the_timeout_is_that_of_the_whole(shared: Server, client: Peer, worker: ScriptedWorker) -> None:
    client.send("AI.DAGEXECUTE", "PERSIST", 1, "c", "TIMEOUT", 30, *words(SET, run("a", "b"), run("b", "c")))
    item = worker.job()
    with pytest.raises(redis.ResponseError, match="^timed out after 30 ms$"):
        client.receive()
    answer(worker, item, b"2")
    with Peer(shared.socket) as other:
        other.send(*run("a", "d"))
        item = worker.job()
        assert item.inputs == [("UINT8 1", [b"1"])]  # nothing came between
        answer(worker, item, b"2")
        assert other.receive() == b"OK"
    assert client.ask("EXISTS", "b", "c") == 0


def test_a_client_that_goes_away_takes_what_is_not_run_yet_along(
    shared: Server, client: Peer, worker: ScriptedWorker
) -> None:
    with Peer(shared.socket) as leaver:
        number = leaver.id()
        leaver.send("AI.DAGEXECUTE", "LOAD", 1, "a", "PERSIST", 1, "c", *words(run("a", "b"), run("b", "c")))
        item = worker.job()
        assert client.ask("CLIENT", "KILL", "ID", number) == 1
    answer(worker, item, b"2")
    client.send(*run("a", "d"))
    item = worker.job()
    assert item.inputs == [("UINT8 1", [b"1"])]
    answer(worker, item, b"3")
    assert client.receive() == b"OK"
    assert client.ask("EXISTS", "b", "c") == 0


def test_a_last_run_goes_on_when_the_client_has_gone(shared: Server, client: Peer, worker: ScriptedWorker) -> None:
    with Peer(shared.socket) as leaver:
        number = leaver.id()
        leaver.send("AI.DAGEXECUTE", "LOAD", 1, "a", "PERSIST", 1, "b", *words(run("a", "b")))
        item = worker.job()
        assert client.ask("CLIENT", "KILL", "ID", number) == 1
    answer(worker, item, b"2")
    client.send(*run("a", "d"))
    answer(worker, worker.job(), b"3")  # so the server has seen the answer before
    assert client.receive() == b"OK"
    assert client.ask("AI.TENSORGET", "b", "BLOB") == b"2"


def test_runs_are_refused_in_a_transaction(client: Peer, worker: ScriptedWorker) -> None:
    client.ask("MULTI")
    client.ask("AI.DAGEXECUTE", "LOAD", 1, "a", *words(run("a", "b")))
    (error,) = client.ask("EXEC")
    assert str(error) == "Cannot run RedisAI command within a transaction or a LUA script"
    worker.want()
    assert not worker.answered()


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_it_does_what_one_command_after_the_other_would_do(shared: Server, data: st.DataObject) -> None:
    names = st.sampled_from("xyz")
    expected: list[Any] = []
    values: dict[str, int] = {"x": 0}
    ops: list[list[Any]] = [put("x", b"\0")]
    runs = 0
    for kind in data.draw(st.lists(st.sampled_from(["set", "get", "run"]), max_size=15)):
        known = st.sampled_from(sorted(values))
        if kind == "set":
            name, value = data.draw(names), data.draw(st.integers(0, 100))
            values[name] = value
            ops.append(put(name, bytes([value])))
        elif kind == "run":
            source, name = data.draw(known), data.draw(names)
            values[name] = values[source] + 1
            ops.append(run(source, name))
            runs += 1
        else:
            name = data.draw(known)
            ops.append(get(name))
        expected.append(bytes([values[name]]) if kind == "get" else b"OK")
    with Peer(shared.socket) as client, ScriptedWorker(shared.socket, TORCH="2") as worker:
        client.ask("FLUSHALL")
        store(client, worker, "AI.MODELSTORE", "m", "TORCH", "CPU", "BLOB", "m", inputs=["x"], outputs=["y"])
        client.send("AI.DAGEXECUTE", "PERSIST", len(values), *values, *words(*ops))
        for _ in range(runs):
            item = worker.job()
            answer(worker, item, bytes([item.inputs[0][1][0][0] + 1]))
        assert client.receive() == [b"OK", *expected]
        kept = {name: client.ask("AI.TENSORGET", name, "VALUES") for name in values}
    assert kept == {name: [value] for name, value in values.items()}


# Replication


def test_what_is_persisted_reaches_a_replica_which_reads_but_does_not_write(serve: Callable[..., Server]) -> None:
    port = str(free_port())
    primary = serve("--port", port, "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0")
    replica = serve("--replicaof", "127.0.0.1", port)
    replica.wait_for("Finished with success")
    with Peer(primary.socket) as client, ScriptedWorker(primary.socket, TORCH="2") as worker:
        store(client, worker, "AI.MODELSTORE", "m", "TORCH", "CPU", "BLOB", "m", inputs=["x"], outputs=["y"])
        client.ask("AI.DAGEXECUTE", "PERSIST", 1, "now", *words(put("now", b"n")))
        client.send("AI.DAGEXECUTE", "PERSIST", 2, "a", "b", *words(SET, run("a", "b")))
        answer(worker, worker.job(), b"2")
        assert client.receive() == [b"OK", b"OK"]
    assert primary.client().wait(1, 30_000) == 1
    with Peer(replica.socket) as reader:
        gets = words(*(["AI.TENSORGET", key, "BLOB"] for key in ("now", "a", "b")))
        assert reader.ask("AI.DAGEXECUTE_RO", "LOAD", 3, "now", "a", "b", *gets) == [b"n", b"1", b"2"]
        with pytest.raises(redis.ReadOnlyError):
            reader.ask("AI.DAGEXECUTE", "LOAD", 3, "now", "a", "b", *gets)


# What is wrong


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["AI.DAGEXECUTE"], "ERR missing arguments for 'AI.DAGEXECUTE' command"),
        (["AI.DAGEXECUTE_RO", "LOAD", 1, "a"], "ERR missing arguments for 'AI.DAGEXECUTE_RO' command"),
        (["AI.DAGRUN", "|>", "x"], "ERR wrong number of arguments for 'AI.DAGRUN' command"),
        (["AI.DAGRUN_RO"], "ERR wrong number of arguments for 'AI.DAGRUN_RO' command"),
        (["AI.DAGEXECUTE", "LOAD", "x", "a", *words(GET)], "ERR Invalid or missing number of keys to LOAD"),
        (["AI.DAGEXECUTE", "LOAD", 0, *words(SET)], "ERR Invalid or missing number of keys to LOAD"),
        (["AI.DAGRUN", "PERSIST", -1, *words(SET)], "ERR Invalid or missing number of keys to PERSIST"),
        (
            ["AI.DAGRUN", "LOAD", 9, "a", *words(GET)],
            "ERR number of keys to LOAD does not match the number of given arguments",
        ),
        (["AI.DAGEXECUTE", "ROUTING", *words(SET)], "ERR Missing ROUTING value"),
        (["AI.DAGEXECUTE", "LOAD", 1, "a", "PERSIST", 1, "a", "ROUTING"], "ERR Missing ROUTING value"),
        (["AI.DAGRUN", "LOAD", 1, "a", "TIMEOUT"], "ERR No value provided for TIMEOUT"),
        (["AI.DAGRUN", "TIMEOUT", "x", *words(SET)], "ERR Invalid value for TIMEOUT"),
        (["AI.DAGRUN", "TIMEOUT", 0, *words(SET)], "ERR Invalid value for TIMEOUT"),
        (["AI.DAGRUN", "x\r\ny", *words(SET)], "ERR Invalid DAG command. Unexpected argument:  x  y"),
        (
            ["AI.DAGRUN", "LOAD", 1, "a", "LOAD", 1, "a", *words(GET)],
            "ERR Invalid DAG command. Unexpected argument:  LOAD",
        ),
        (["AI.DAGEXECUTE", *words(SET)], "ERR AI.DAGEXECUTE needs at least one of LOAD, PERSIST and ROUTING"),
        (["AI.DAGEXECUTE_RO", "PERSIST", 1, "a", *words(SET)], "ERR PERSIST cannot be used in a read-only DAG"),
        (["AI.DAGRUN_RO", "PERSIST", 1, "a", *words(SET)], "ERR PERSIST cannot be used in a read-only DAG"),
        (["AI.DAGEXECUTE", "LOAD", 1, "a", "ROUTING", "t"], "ERR DAG is empty"),
        (["AI.DAGEXECUTE", "LOAD", 1, "a", "ROUTING", "t", "|>"], "ERR DAG is empty"),
        (["AI.DAGRUN", *words(SET, ["PING"])], "Unsupported command within DAG"),
        (["AI.DAGRUN", *words(SET, ["AI.DAGRUN", *words(SET)])], "Unsupported command within DAG"),
        (
            ["AI.DAGRUN", *words(["AI.TENSORSET", "a", "INT8"])],
            "ERR wrong number of arguments for 'AI.TENSORSET' command",
        ),
        (["AI.DAGRUN", *words(["AI.TENSORGET"]), "|>"], "ERR wrong number of arguments for 'AI.TENSORGET' command"),
        (["AI.DAGEXECUTE", "LOAD", 1, "none", *words(GET)], "ERR tensor key is empty or in a different shard"),
        (["AI.DAGEXECUTE", "LOAD", 1, "text", *words(GET)], WRONG_TYPE),
        (["AI.DAGEXECUTE", "ROUTING", "t", *words(GET)], NOT_IN_DAG),
        (["AI.DAGEXECUTE", "ROUTING", "t", *words(run("a", "b"), SET)], NOT_IN_DAG),
        (["AI.DAGEXECUTE", "PERSIST", 1, "b", *words(SET)], "ERR PERSIST key cannot be found in DAG"),
        (["AI.DAGEXECUTE", "PERSIST", 2, "a", "a", *words(SET)], "ERR PERSIST keys must be unique"),
        (
            ["AI.DAGRUN", *words(SET, ["AI.MODELRUN", "m", "TIMEOUT", 9, "INPUTS", "a", "OUTPUTS", "b"])],
            "ERR TIMEOUT not allowed within a DAG command",
        ),
        (
            ["AI.DAGEXECUTE", "PERSIST", 1, "a", *words(SET, ["AI.MODELRUN", "m", "INPUTS", "a", "OUTPUTS", "b"])],
            "Deprecated AI.MODELRUN cannot be used in AI.DAGEXECUTE command",
        ),
        (
            ["AI.DAGRUN", *words(SET, run("a", "b"))],
            "AI.MODELEXECUTE cannot be used in a deprecated AI.DAGRUN command",
        ),
        (
            ["AI.DAGEXECUTE_RO", "LOAD", 1, "a", *words(["AI.SCRIPTEXECUTE", "s", "f", "INPUTS", 1, "a"])],
            "ERR AI.SCRIPTEXECUTE cannot be used in a read-only DAG",
        ),
        (
            ["AI.DAGEXECUTE", "LOAD", 1, "a", *words(["AI.MODELEXECUTE", "none", *run("a", "b")[2:]])],
            "ERR model key is empty",
        ),
        (["AI.DAGEXECUTE", "LOAD", 1, "a", *words(["AI.MODELEXECUTE", "a", *run("a", "b")[2:]])], WRONG_TYPE),
        (
            ["AI.DAGRUN", "LOAD", 1, "a", *words(["AI.SCRIPTRUN", "none", "f", "INPUTS", "a"])],
            "ERR script key is empty",
        ),
        (
            [
                "AI.DAGEXECUTE",
                *["LOAD", 1, "a"],
                *words(["AI.MODELEXECUTE", "m", "INPUTS", 2, "a", "a", "OUTPUTS", 1, "b"]),
            ],
            "Number of keys given as INPUTS here does not match model definition",
        ),
    ],
)
def test_it_is_refused(shared: Server, client: Peer, worker: ScriptedWorker, arguments: list[Any], error: str) -> None:
    assert refusal(shared, *arguments) == error
    worker.want()
    assert not worker.answered()  # nothing of it was run
    assert client.ask("AI.TENSORGET", "a", "BLOB") == b"1"


# Keys


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (["AI.DAGRUN", "LOAD", 2, "k1", "k2", "TIMEOUT", 9, "PERSIST", 1, "k3", *words(SET)], ["k1", "k2", "k3"]),
        (["AI.DAGEXECUTE", "LOAD", 1, "|>", *words(run("a", "b"), SET, run("b", "c"))], ["|>", "m", "m"]),
        (
            ["AI.DAGEXECUTE", "ROUTING", "t", *words(["AI.SCRIPTEXECUTE", "s", "f", "KEYS", 2, "k1", "k2"])],
            ["s", "k1", "k2"],
        ),
        (["AI.DAGRUN", *words(["AI.MODELRUN", "m"], ["AI.SCRIPTRUN"], ["AI.TENSORSET"])], ["m"]),
        (["AI.DAGRUN", "LOAD", 1, "k1", "PERSIST", 3, "k2"], ["k1"]),
        (["AI.DAGEXECUTE_RO", "LOAD", 1, "k1", "|>", "AI.MODELEXECUTE"], ["k1"]),
    ],
)
def test_it_says_which_words_are_keys(client: Peer, arguments: list[Any], keys: list[str]) -> None:
    assert client.ask("COMMAND", "GETKEYS", *arguments) == [key.encode() for key in keys]


@given(st.lists(st.sampled_from(["LOAD", "PERSIST", "ROUTING", "1", "2", "99999", "-1", "|>", "AI.SCRIPTEXECUTE"])))
@settings(deadline=None, max_examples=50)
def test_keys_of_what_is_malformed_are_words_of_it(shared: Server, arguments: list[str]) -> None:
    with Peer(shared.socket) as client:
        try:
            keys = client.ask("COMMAND", "GETKEYS", "AI.DAGRUN", *arguments)
        except redis.ResponseError as error:
            assert str(error) == "Invalid arguments specified for command"  # noqa: PT017 - it has no keys
        else:
            assert {key.decode() for key in keys} <= set(arguments)
