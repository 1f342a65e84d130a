"""What AI.DAGEXECUTE and AI.DAGRUN refuse, and which of their words are keys."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from module_server import Server
from scripted_worker import Peer, ScriptedWorker, store

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
    """A worker, with a model `m` of one input and one output."""
    with ScriptedWorker(shared.socket, TORCH="2") as worker:
        store(client, worker, "AI.MODELSTORE", "m", "TORCH", "CPU", "BLOB", "m", inputs=["x"], outputs=["y"])
        yield worker


def words(*ops: list[Any]) -> list[Any]:
    return [word for op in ops for word in ["|>", *op]]


def run(source: str, to: str) -> list[Any]:
    return ["AI.MODELEXECUTE", "m", "INPUTS", 1, source, "OUTPUTS", 1, to]


def waiting(client: Peer) -> int:
    """Return how many requests wait for the model `m`; nobody has taken one."""
    info = client.ask("AI.INFO", "m")
    return int(info[info.index(b"waiting") + 1])


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
@pytest.mark.usefixtures("worker")
def test_it_is_refused(shared: Server, client: Peer, arguments: list[Any], error: str) -> None:
    assert refusal(shared, *arguments) == error
    assert waiting(client) == 0  # nothing of it is run
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
