"""The commands for models and scripts as values: what they take, what they reply, what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from module_server import Server
from scripted_worker import Peer, ScriptedWorker, store

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
CHUNK_SIZE = 535822336
BYTES = bytes(range(256))


def refused(client: Peer, *arguments: Any) -> str:
    """Send a command that is refused; returns the error, without the prefix ERR."""
    with pytest.raises(redis.ResponseError) as error:
        client.ask(*arguments)
    return str(error.value)


def meta(reply: list[Any]) -> dict[bytes, Any]:
    return dict(zip(reply[::2], reply[1::2], strict=True))


TF_MODEL = ["TF", "gpu:3", "TAG", BYTES, "BATCHSIZE", 4, "MINBATCHSIZE", 2, "MINBATCHTIMEOUT", 7]
TF_META = [
    *[b"backend", b"TF", b"device", b"gpu:3", b"tag", BYTES, b"batchsize", 4, b"minbatchsize", 2],
    *[b"inputs", [b"a", b"b"], b"outputs", [b"c"], b"minbatchtimeout", 7],
]


def store_tf(shared: Server, client: Peer, key: str, *names: Any) -> Any:
    with ScriptedWorker(shared.socket, device="GPU:3", TF="2.21") as worker:
        command = "AI.MODELSTORE" if isinstance(names[1], int) else "AI.MODELSET"
        return store(client, worker, command, key, *TF_MODEL, *names, "BLOB", b"graph")


@pytest.mark.parametrize(
    "names", [["INPUTS", 2, "a", "b", "OUTPUTS", 1, "c"], ["inputs", "a", "b", "outputs", "c"]], ids=["counted", "bare"]
)
def test_a_model_is_described(shared: Server, client: Peer, names: list[Any]) -> None:
    client.ask("FLUSHALL")
    assert store_tf(shared, client, "m", *names) == b"OK"
    assert client.ask("AI.MODELGET", "m", "META") == TF_META
    assert client.ask("AI.MODELGET", "m", "META", "BLOB") == [*TF_META, b"blob", b"graph"]
    assert client.ask("AI.MODELGET", "m", "blob", "meta") == [*TF_META, b"blob", b"graph"]
    assert client.ask("AI.MODELGET", "m") == [*TF_META, b"blob", b"graph"]
    assert client.ask("AI.MODELGET", "m", "BLOB") == b"graph"


def test_the_names_of_other_backends_are_those_that_a_worker_finds(worker: ScriptedWorker, client: Peer) -> None:
    store(client, worker, "AI.MODELSTORE", "m", "onnx", "cpu", "BLOB", b"x", inputs=["", "b"], outputs=["y"])
    assert client.ask("AI.MODELGET", "m", "META") == [
        *[b"backend", b"ONNX", b"device", b"cpu", b"tag", b"", b"batchsize", 0, b"minbatchsize", 0],
        *[b"inputs", [b"", b"b"], b"outputs", [b"y"], b"minbatchtimeout", 0],
    ]


@pytest.mark.parametrize(
    ("size", "reply"),
    [
        (8, b"0123456"),
        (7, [b"0123456", b""]),
        (6, [b"012345", b"6"]),
        (3, [b"012", b"345", b"6"]),
        (1, [b"0", b"1", b"2", b"3", b"4", b"5", b"6", b""]),
    ],
)
def test_a_large_model_comes_in_pieces(worker: ScriptedWorker, client: Peer, size: int, reply: Any) -> None:
    store(client, worker, "AI.MODELSTORE", "m", "TORCH", "CPU", "BLOB", b"012", b"", b"3", b"456")
    assert client.ask("AI.CONFIG", "MODEL_CHUNK_SIZE", size) == b"OK"
    try:
        assert client.ask("AI.CONFIG", "GET", "MODEL_CHUNK_SIZE") == size
        assert client.ask("AI.MODELGET", "m", "BLOB") == reply
        assert meta(client.ask("AI.MODELGET", "m"))[b"blob"] == reply
    finally:
        client.ask("AI.CONFIG", "MODEL_CHUNK_SIZE", CHUNK_SIZE)


def test_a_script_is_described(worker: ScriptedWorker, client: Peer) -> None:
    described = [b"device", b"CPU", b"tag", b"t", b"Entry Points", [b"f", b"g"]]
    store(
        client,
        worker,
        *["AI.SCRIPTSTORE", "s", "CPU", "TAG", "t", "ENTRY_POINTS", "2", "f", "g", "SOURCE"],
        "def f(): ...",
    )
    assert client.ask("AI.SCRIPTGET", "s", "META") == described
    assert client.ask("AI.SCRIPTGET", "s", "source") == b"def f(): ..."
    assert client.ask("AI.SCRIPTGET", "s") == [*described, b"source", b"def f(): ..."]
    assert client.ask("AI.SCRIPTGET", "s", "META", "SOURCE") == [*described, b"source", b"def f(): ..."]
    store(client, worker, "AI.SCRIPTSET", "s", "CPU", "SOURCE", "def g(): ...")
    assert client.ask("AI.SCRIPTGET", "s", "META") == [b"device", b"CPU", b"tag", b"", b"Entry Points", []]


def test_models_and_scripts_are_listed_with_their_tags(worker: ScriptedWorker, client: Peer) -> None:
    client.ask("AI.TENSORSET", "tensor", "FLOAT", 1)
    client.ask("SET", "string", "x")
    assert client.ask("AI._MODELSCAN") == client.ask("AI._SCRIPTSCAN") == []
    store(client, worker, "AI.MODELSTORE", BYTES, "TORCH", "CPU", "TAG", BYTES, "BLOB", b"x")
    for i in range(40):
        store(client, worker, "AI.MODELSTORE", f"m{i}", "TORCH", "CPU", "BLOB", b"x")
    store(client, worker, "AI.SCRIPTSET", "s", "CPU", "TAG", "v1", "SOURCE", "x")
    assert sorted(client.ask("AI._MODELSCAN")) == sorted(
        [[BYTES, BYTES], *([f"m{i}".encode(), b""] for i in range(40))]
    )
    assert client.ask("AI._SCRIPTSCAN") == [[b"s", b"v1"]]
    client.ask("SELECT", 1)
    assert client.ask("AI._MODELSCAN") == client.ask("AI._SCRIPTSCAN") == []


@pytest.mark.parametrize("key", [BYTES, b"{\0\0}.m", b"{\xed\xeb}.m", b"\r\n"])
def test_keys_and_tags_are_any_bytes(worker: ScriptedWorker, client: Peer, key: bytes) -> None:
    store(client, worker, "AI.MODELSTORE", key, "TORCH", "CPU", "TAG", key, "BLOB", key)
    reply = meta(client.ask("AI.MODELGET", key))
    assert reply[b"tag"] == reply[b"blob"] == key
    assert client.ask("AI.MODELDEL", key) == b"OK"
    store(client, worker, "AI.SCRIPTSET", key, "CPU", "TAG", key, "SOURCE", key)
    reply = meta(client.ask("AI.SCRIPTGET", key))
    assert reply[b"tag"] == reply[b"source"] == key
    assert client.ask("AI.SCRIPTDEL", key) == b"OK"
    assert client.ask("EXISTS", key) == 0


def test_deleting_is_an_event(worker: ScriptedWorker, client: Peer, db: redis.Redis) -> None:
    db.config_set("notify-keyspace-events", "Kd")
    with db.pubsub() as events:
        events.psubscribe("__keyspace@0__:*")
        assert events.get_message(timeout=10)
        store(client, worker, "AI.MODELSTORE", "m", "TORCH", "CPU", "BLOB", b"x")
        store(client, worker, "AI.SCRIPTSET", "s", "CPU", "SOURCE", "x")
        client.ask("AI.MODELDEL", "m")
        client.ask("AI.SCRIPTDEL", "s")
        messages = [events.get_message(timeout=10) or {} for _ in range(4)]
    assert [message["data"] for message in messages] == [
        *[b"ai.modelstore", b"ai.scriptstore", b"ai.modeldel", b"ai.scriptdel"]
    ]


@pytest.mark.parametrize("command", ["AI.MODELGET", "AI.MODELDEL", "AI.SCRIPTGET", "AI.SCRIPTDEL"])
def test_a_key_must_hold_the_right_kind(worker: ScriptedWorker, client: Peer, command: str) -> None:
    store(client, worker, "AI.MODELSTORE", "model", "TORCH", "CPU", "BLOB", b"x")
    store(client, worker, "AI.SCRIPTSET", "script", "CPU", "SOURCE", "x")
    client.ask("SET", "string", "x")
    other = "script" if "MODEL" in command else "model"
    assert refused(client, command, other) == WRONG_TYPE
    assert refused(client, command, "string") == WRONG_TYPE
    assert refused(client, command, "nothing") == f"{'model' if 'MODEL' in command else 'script'} key is empty"
    assert client.ask("EXISTS", "model", "script", "string") == 3


@pytest.mark.parametrize(
    ("command", "most"),
    [
        ("AI.MODELGET", 3),
        ("AI.MODELDEL", 1),
        ("AI._MODELSCAN", 0),
        ("AI.SCRIPTGET", 3),
        ("AI.SCRIPTDEL", 1),
        ("AI._SCRIPTSCAN", 0),
    ],
)
def test_the_number_of_arguments_is_checked(client: Peer, command: str, most: int) -> None:
    wrong = f"wrong number of arguments for '{command}' command"
    assert refused(client, command, *"abcd"[: most + 1]) == wrong
    if most > 0:
        assert refused(client, command) == wrong


def test_parts_have_names(worker: ScriptedWorker, client: Peer) -> None:
    store(client, worker, "AI.MODELSTORE", "m", "TORCH", "CPU", "BLOB", b"x")
    store(client, worker, "AI.SCRIPTSET", "s", "CPU", "SOURCE", "x")
    assert refused(client, "AI.MODELGET", "m", "SOURCE") == "unsupported data format"
    assert refused(client, "AI.SCRIPTGET", "s", "META", "BLOB") == "unsupported data format"


def test_the_configuration_is_set_and_read(client: Peer) -> None:
    assert client.ask("AI.CONFIG", "GET", "MODEL_CHUNK_SIZE") == CHUNK_SIZE
    assert client.ask("AI.CONFIG", "GET", "MINBATCHTIMEOUT") == 1000
    assert client.ask("ai.config", "minbatchtimeout", 250) == b"OK"
    assert client.ask("AI.CONFIG", "get", "minbatchtimeout") == 250
    assert client.ask("AI.CONFIG", "MINBATCHTIMEOUT", 1000) == b"OK"
    for path in [b"/opt/backends", b"/opt/\xff"]:
        assert client.ask("AI.CONFIG", "BACKENDSPATH", path) == b"OK"
        assert client.ask("AI.CONFIG", "GET", "BACKENDSPATH") == path
    assert client.ask("AI.CONFIG", "GET", "COLOUR") is None


def test_a_backend_is_loaded_when_a_worker_has_it(shared: Server, client: Peer) -> None:
    assert refused(client, "AI.CONFIG", "LOADBACKEND", "TORCH", "torch.so") == "error loading backend"
    with ScriptedWorker(shared.socket, role="SUPERVISOR", TORCH="2.13"):
        assert refused(client, "AI.CONFIG", "LOADBACKEND", "TORCH", "torch.so") == "error loading backend"
    with ScriptedWorker(shared.socket, TORCH="2.13"):
        assert client.ask("AI.CONFIG", "LOADBACKEND", "torch", "torch.so") == b"OK"
        assert refused(client, "AI.CONFIG", "LOADBACKEND", "ONNX", "onnx.so") == "error loading backend"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("", "wrong number of arguments for 'AI.CONFIG' command"),
        ("GET", "wrong number of arguments for 'AI.CONFIG' command"),
        ("COLOUR red", "unsupported subcommand"),
        ("LOADBACKEND PERL perl.so", "unsupported backend"),
        ("LOADBACKEND TORCH", "wrong number of arguments for 'AI.CONFIG' command"),
        ("BACKENDSPATH", "BACKENDSPATH: missing path argument"),
        ("MODEL_CHUNK_SIZE", "MODEL_CHUNK_SIZE: missing chunk size"),
        ("MODEL_CHUNK_SIZE 0", "MODEL_CHUNK_SIZE: invalid chunk size"),
        ("MODEL_CHUNK_SIZE -1", "MODEL_CHUNK_SIZE: invalid chunk size"),
        ("MODEL_CHUNK_SIZE big", "MODEL_CHUNK_SIZE: invalid chunk size"),
        ("MINBATCHTIMEOUT", "MINBATCHTIMEOUT: missing milliseconds"),
        ("MINBATCHTIMEOUT 0", "MINBATCHTIMEOUT: invalid milliseconds"),
        ("MINBATCHTIMEOUT soon", "MINBATCHTIMEOUT: invalid milliseconds"),
    ],
)
def test_the_configuration_is_checked(client: Peer, arguments: str, error: str) -> None:
    assert refused(client, "AI.CONFIG", *arguments.split()) == error
    assert client.ask("AI.CONFIG", "GET", "MODEL_CHUNK_SIZE") == CHUNK_SIZE
    assert client.ask("AI.CONFIG", "GET", "MINBATCHTIMEOUT") == 1000
