"""AI.DAGEXECUTE, AI.DAGRUN and their read-only forms: several operations in one command."""

from __future__ import annotations

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


def waiting(client: Peer) -> int:
    """Return how many requests wait for the model `m`; nobody has taken one."""
    info = client.ask("AI.INFO", "m")
    return int(info[info.index(b"waiting") + 1])


def answer(worker: ScriptedWorker, item: Item, value: bytes) -> None:
    worker.done(item, Output("UINT8", [1], [value]))


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


def test_all_is_persisted_or_nothing(client: Peer) -> None:
    ops = words(put("a", b"2"), put("text", b"2"))
    with pytest.raises(redis.ResponseError, match="^WRONGTYPE "):
        client.ask("AI.DAGEXECUTE", "PERSIST", 2, "a", "text", *ops)
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


def test_an_operation_waits_for_its_inputs_alone(client: Peer, worker: ScriptedWorker) -> None:
    ops = [put("z", b"9"), run("a", "b"), run("b", "c"), run("z", "d"), get("c"), get("d")]
    client.send("AI.DAGEXECUTE", "LOAD", 1, "a", *words(*ops))
    for source, value in [(b"1", b"2"), (b"9", b"4"), (b"2", b"3")]:
        item = worker.job()
        assert item.inputs == [("UINT8 1", [source])]
        answer(worker, item, value)
    assert client.receive() == [b"OK", b"OK", b"OK", b"OK", b"3", b"4"]


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


@pytest.mark.usefixtures("worker")
def test_runs_are_refused_in_a_transaction(client: Peer) -> None:
    client.ask("MULTI")
    client.ask("AI.DAGEXECUTE", "LOAD", 1, "a", *words(run("a", "b")))
    (error,) = client.ask("EXEC")
    assert str(error) == "Cannot run RedisAI command within a transaction or a LUA script"
    assert waiting(client) == 0


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
