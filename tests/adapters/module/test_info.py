"""AI.INFO about one model or script, and the sections of INFO about all of them and their workers."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from module_server import DEADLINE, Server
from scripted_worker import Output, Peer, ScriptedWorker, store

RUN = ["AI.MODELEXECUTE", "m", "INPUTS", 1, "a", "OUTPUTS", 1, "b"]


@pytest.fixture
def client(shared: Server, db: redis.Redis) -> Iterator[Peer]:
    with Peer(shared.socket) as client:
        db.execute_command("AI.TENSORSET", "a", "UINT8", 3, "BLOB", b"123")
        yield client


@pytest.fixture
def worker(shared: Server, client: Peer) -> Iterator[ScriptedWorker]:
    """A worker, with a model `m` that joins requests, and a script `s`; neither was run yet."""
    with ScriptedWorker(shared.socket, TORCH="2.9", ONNX="1.23, rc=1") as worker:
        model = ["AI.MODELSTORE", "m", "TORCH", "cpu", "TAG", "v1", "BATCHSIZE", 9, "BLOB", "m"]
        store(client, worker, *model, inputs=["x"], outputs=["y"])
        store(client, worker, "AI.SCRIPTSET", "s", "CPU", "SOURCE", "def f(x): return x")
        client.ask("AI.INFO", "m", "RESETSTAT")
        yield worker


def facts(client: Peer, key: Any = "m") -> dict[str, Any]:
    info = client.ask("AI.INFO", key)
    return {label.decode(): value for label, value in zip(info[::2], info[1::2], strict=True)}


def finish(worker: ScriptedWorker, microseconds: int = 1) -> int:
    """Answer the next run; returns how many requests it joined."""
    item = worker.job()
    rows = item.rows if item.requests > 1 else [3]
    worker.done(item, Output("UINT8", [sum(rows)], [b"x" * count for count in rows]), microseconds=microseconds)
    return item.requests


def sections(client: Peer, *names: str) -> dict[str, dict[str, str]]:
    """Return what INFO says, by section and field."""
    found: dict[str, dict[str, str]] = {}
    text = client.ask("INFO", *names).decode()
    for line in filter(None, text.split("\r\n")):
        if line.startswith("# "):
            fields = found[line.removeprefix("# ")] = {}
        else:
            field, value = line.split(":", 1)
            fields[field] = value
    return found


def items(value: str) -> dict[str, str]:
    return dict(item.split("=", 1) for item in value.split(","))


def newest(client: Peer, section: str) -> tuple[str, dict[str, str]]:
    """Return the newest program of a section; what was deleted may be there for a moment."""
    field, value = max(sections(client, section)[section].items(), key=lambda item: int(item[0].rsplit("_", 1)[1]))
    return field, items(value)


# AI.INFO


def test_a_model_that_was_not_run_yet(client: Peer, worker: ScriptedWorker) -> None:
    worker.want()
    info = client.ask("AI.INFO", "m")
    assert info[:10] == [b"key", b"m", b"type", b"MODEL", b"backend", b"TORCH", b"device", b"cpu", b"tag", b"v1"]
    assert info[10:18] == [b"duration", 0, b"samples", 0, b"calls", 0, b"errors", 0]
    assert facts(client) | {"waiting": 0, "running": 0, "workers": 1, "batches": 0, "batch_sizes": b""} == facts(client)


def test_what_was_run_is_counted(client: Peer, worker: ScriptedWorker) -> None:
    client.send(*RUN)
    finish(worker, 700)
    assert client.receive() == b"OK"
    client.send(*RUN)
    worker.fail(worker.job(), "ERR it broke")
    with pytest.raises(redis.ResponseError, match="it broke"):
        client.receive()
    info = facts(client)
    assert info | {"calls": 2, "errors": 1, "samples": 3, "run_time": 700, "batches": 2, "batch_sizes": b"1:2"} == info
    assert info["duration"] >= info["queue_time"] >= 0


def test_batches_are_counted_by_their_size(shared: Server, client: Peer, worker: ScriptedWorker) -> None:
    client.send(*RUN)
    first = worker.job()
    peers = [Peer(shared.socket) for _ in range(3)]
    try:
        for i, peer in enumerate(peers):
            peer.ask("AI.TENSORSET", f"a{i}", "UINT8", 3, "BLOB", b"123")
            peer.send("AI.MODELEXECUTE", "m", "INPUTS", 1, f"a{i}", "OUTPUTS", 1, f"b{i}")
            with Peer(shared.socket) as other:
                deadline = time.monotonic() + DEADLINE
                while facts(other)["waiting"] <= i:
                    assert time.monotonic() < deadline
        with Peer(shared.socket) as other:
            assert (facts(other)["running"], facts(other)["waiting"]) == (1, 3)
        worker.done(first, Output("UINT8", [3], [b"xxx"]))
        assert finish(worker) == 3
        assert [peer.receive() for peer in peers] == [b"OK"] * 3
        assert client.receive() == b"OK"
    finally:
        for peer in peers:
            peer.close()
    info = facts(client)
    assert (info["batches"], info["batch_sizes"], info["calls"], info["samples"]) == (2, b"1:1 3-4:1", 4, 12)


def test_a_script_has_no_samples(client: Peer, worker: ScriptedWorker) -> None:
    client.send("AI.SCRIPTRUN", "s", "f", "INPUTS", "a", "OUTPUTS", "b")
    worker.done(worker.job(), Output("UINT8", [1], [b"x"]))
    assert client.receive() == b"OK"
    info = facts(client, "s")
    assert (info["type"], info["backend"], info["samples"], info["calls"]) == (b"SCRIPT", b"TORCH", -1, 1)


def test_lost_workers_are_counted(shared: Server, client: Peer, worker: ScriptedWorker) -> None:
    client.send(*RUN)
    worker.job()
    with ScriptedWorker(shared.socket, process=2, TORCH="2.9") as other:
        worker.close()
        finish(other)
        assert client.receive() == b"OK"
        info = facts(client)
    assert (info["workers_lost"], info["calls"], info["errors"]) == (1, 1, 0)


def test_statistics_are_set_back(client: Peer, worker: ScriptedWorker) -> None:
    client.send(*RUN)
    finish(worker)
    assert client.receive() == b"OK"
    assert client.ask("ai.info", "m", "resetstat") == b"OK"
    info = facts(client)
    assert info["batch_sizes"] == b""
    reset = ["duration", "samples", "calls", "errors", "queue_time", "run_time", "batches", "workers_lost"]
    assert {name: info[name] for name in reset} == dict.fromkeys(reset, 0)


def test_statistics_stay_with_a_model_that_is_renamed(client: Peer, worker: ScriptedWorker) -> None:
    client.send(*RUN)
    finish(worker)
    assert client.receive() == b"OK"
    client.ask("RENAME", "m", "{m}\0\xff")
    info = facts(client, "{m}\0\xff")
    assert (info["key"], info["calls"]) == ("{m}\0\xff".encode(), 1)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["none"], "cannot find run info for key"),
        (["a"], "cannot find run info for key"),
        (["m", "RESET"], "unsupported subcommand"),
        ([], "wrong number of arguments for 'AI.INFO' command"),
        (["m", "RESETSTAT", "x"], "wrong number of arguments for 'AI.INFO' command"),
    ],
)
@pytest.mark.usefixtures("worker")
def test_it_is_refused(client: Peer, arguments: list[str], error: str) -> None:
    with pytest.raises(redis.ResponseError, match=f"^{re.escape(error)}$"):
        client.ask("AI.INFO", *arguments)


# INFO


@pytest.mark.usefixtures("worker")
def test_what_is_said_of_the_module_itself(client: Peer) -> None:
    found = sections(client, "MODULES")
    assert int(found["ai_versions"]["ai_module_version"]) >= 1
    assert found["ai_git"]["ai_git_sha"]
    assert int(found["ai_load_time_configs"]["ai_model_chunk_size"]) >= 1
    assert float(found["ai_cpu"]["ai_self_used_cpu_user"]) >= 0
    assert items(found["ai_backends_info"]["ai_TORCH"]) == {"version": "2.9", "workers": "1"}
    assert items(found["ai_backends_info"]["ai_ONNX"]) == {"version": "1.23%2C%20rc%3D1", "workers": "1"}
    assert "ai_TF" not in found["ai_backends_info"]


def test_one_section_may_be_asked_for(client: Peer) -> None:
    assert sections(client, "ai_workers").keys() == {"ai_workers"}


def test_what_is_said_of_workers(shared: Server, client: Peer, worker: ScriptedWorker) -> None:
    number = int(next(iter(sections(client, "ai_workers")["ai_workers"])).removeprefix("ai_worker_"))
    with ScriptedWorker(shared.socket, device="GPU:1", process=7, role="SUPERVISOR", TF="2.21") as supervisor:
        supervisor.unavailable("no GPU, none")
        supervisor_number = supervisor.id()
        client.send(*RUN)
        worker.job()
        with Peer(shared.socket) as other:
            found = sections(other, "ai_workers")["ai_workers"]
    common = {"process": "1", "device": "CPU", "state": "running", "jobs": "2"}
    assert items(found[f"ai_worker_{number}"]) == common | {"TORCH": "2.9", "ONNX": "1.23%2C%20rc%3D1"}
    common = {"process": "7", "device": "GPU:1", "state": "unavailable", "jobs": "0"}
    reason = "no%20GPU%2C%20none"
    assert items(found[f"ai_supervisor_{supervisor_number}"]) == common | {"TF": "2.21", "reason": reason}


def test_what_is_said_of_models_and_scripts(client: Peer, worker: ScriptedWorker) -> None:
    client.send(*RUN)
    finish(worker, 700)
    assert client.receive() == b"OK"
    client.send("AI.SCRIPTRUN", "s", "f", "INPUTS", "a", "OUTPUTS", "b")
    worker.fail(worker.job(), "ERR it broke")
    with pytest.raises(redis.ResponseError, match="it broke"):
        client.receive()
    model_field, model = newest(client, "ai_models")
    script_field, script = newest(client, "ai_scripts")
    assert model.pop("queue_time").isdigit()
    assert model == {
        "name": "m",
        "backend": "TORCH",
        "device": "cpu",
        "waiting": "0",
        "running": "0",
        "calls": "1",
        "errors": "0",
        "run_time": "700",
        "batches": "1",
        "workers_lost": "0",
        "batch_sizes": "1:1",
    }
    assert script | {"name": "s", "device": "CPU", "calls": "1", "errors": "1"} == script
    client.ask("DEL", "m", "s")
    found = sections(client, "MODULES")
    assert model_field not in found["ai_models"]
    assert script_field not in found["ai_scripts"]


@settings(deadline=None, max_examples=30)
@given(st.binary(max_size=20))
def test_any_key_can_be_told_from_what_is_said(shared: Server, key: bytes) -> None:
    with Peer(shared.socket) as client, ScriptedWorker(shared.socket, TORCH="2") as worker:
        client.ask("FLUSHALL")
        client.ask("AI.TENSORSET", "a", "UINT8", 1)
        store(client, worker, "AI.MODELSTORE", key, "TORCH", "CPU", "BLOB", os.urandom(8), inputs=["x"], outputs=["y"])
        client.send("AI.MODELEXECUTE", key, "INPUTS", 1, "a", "OUTPUTS", 1, key + b".out")
        worker.done(worker.job(), Output("UINT8", [1], [b"x"]))
        assert client.receive() == b"OK"
        _, model = newest(client, "ai_models")
        assert facts(client, key)["key"] == key
    assert unquote_to_bytes(model["name"]) == key
