"""Tensors, datasets and lists of the SmartRedis client."""

from __future__ import annotations

import struct
from functools import partial
from typing import Any

import numpy as np
import pytest

from old_clients.database import Database
from old_clients.old_client import smartredis

run = partial(smartredis, "smartredis_data.py")
DTYPES = {
    "float64": b"DOUBLE",
    "float32": b"FLOAT",
    "int8": b"INT8",
    "int16": b"INT16",
    "int32": b"INT32",
    "int64": b"INT64",
    "uint8": b"UINT8",
    "uint16": b"UINT16",
}


@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_tensors_of_all_types(database: Database, transport: str) -> None:
    tensors = run("tensors", getattr(database, transport))

    values = np.arange(24).reshape(2, 3, 4)
    assert tensors == {
        dtype: {"dtype": dtype, "shape": [2, 3, 4], "values": values.astype(dtype).tolist()} for dtype in DTYPES
    }
    for dtype, name in DTYPES.items():
        _, kind, _, shape, _, blob = database.client.execute_command("AI.TENSORGET", dtype, "META", "BLOB")
        assert (kind, shape, blob) == (name, [2, 3, 4], values.astype(dtype).tobytes())


@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_a_tensor_of_8_megabytes(database: Database, transport: str) -> None:
    assert run("large_tensor", getattr(database, transport), elements=1_000_000) is True


def test_keys_of_tensors(database: Database) -> None:
    assert run("tensor_keys", database.tcp) == {
        "seen": {"a": False, "b": True, "c": True},
        "copy": {"dtype": "float64", "shape": [2], "values": [1.0, 2.0]},
        "deleted": True,
        "polled": True,
        "polled in vain": False,
    }


def test_prefixes(database: Database) -> None:
    prefixes = {"SSKEYIN": "member_0,member_1", "SSKEYOUT": "member_0"}

    assert run("prefixes", database.tcp, prefixes) == {"other": False, "own": True, "value": [3]}


def _content(offset: float) -> dict[str, Any]:
    values = (np.arange(6).reshape(2, 3) + offset).tolist()
    return {
        "tensors": {
            "t": {"dtype": "float32", "shape": [2, 3], "values": values},
            "i": {"dtype": "int64", "shape": [2], "values": [1, -2]},
        },
        "metadata": ["numbers", "texts"],
        "texts": ["hello", "wörld"],
    }


def test_datasets(database: Database) -> None:
    found = run("datasets", database.tcp)

    assert found["got"] == found["renamed"] == _content(2.0)
    assert found["seen"] == {"d": False, "copy": True, "renamed": True}
    assert found["polled"] is True
    assert found["deleted"] is True
    assert found["missing"]["type"] == "RedisKeyError"
    assert database.client.hget("{renamed}.meta", "numbers") == b"\x01" + struct.pack("=dd", 1.5, 2.0)
    assert set(database.client.keys()) == {b"{renamed}.meta", b"{renamed}.t", b"{renamed}.i"}


def test_lists_of_datasets(database: Database) -> None:
    assert run("lists", database.tcp) == {
        "length": 3,
        "all": ["d0", "d1", "d2"],
        "range": [_content(1.0), _content(2.0)],
        "copy is gone": True,
        "polled": [True, True, False],
        "deleted": True,
    }


def test_administration(database: Database) -> None:
    found = run("administration", database.tcp, address=database.tcp)

    assert found["server"]["tcp_port"] == str(database.server.tcp.port)
    assert found["configured"] == {"slowlog-max-len": "77"}
    assert found["flushed"] is True


@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_failures(database: Database, transport: str) -> None:
    found = run("failures", getattr(database, transport))

    assert found.pop("usable") is True
    expected = {
        "missing tensor": "ERR tensor key is empty or in a different shard",
        "no tensor": "WRONGTYPE Operation against a key holding the wrong kind of value",
        "over a hash": "WRONGTYPE Operation against a key holding the wrong kind of value",
        "rename of nothing": "ERR no such key",
        "copy of nothing": "ERR tensor key is empty or in a different shard",
    }
    assert found.keys() == expected.keys()
    for name, text in expected.items():
        assert found[name]["type"] == "RedisRuntimeError"
        assert found[name]["message"].endswith(text)
