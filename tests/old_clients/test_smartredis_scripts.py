"""Scripts and functions of the SmartRedis client."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from old_clients.database import Database
from old_clients.old_client import smartredis

run = partial(smartredis, "smartredis_scripts.py")
RUNTIME_ERROR = "RedisRuntimeError"


@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_scripts(database: Database, tmp_path: Path, transport: str) -> None:
    path = tmp_path / "script.py"
    path.write_text("def double(x):\n    return 2 * x\n")

    found = run("run", getattr(database, transport), file=str(path))

    assert found["tensors"] == {
        "doubled": [2.0, 4.0],
        "sum": [11.0, 22.0],
        "difference": [-9.0, -18.0],
        "total": [21.0, 42.0],
        "doubled from file": [2.0, 4.0],
    }
    assert all(found[name] is True for name in ("same", "exists", "deleted"))
    assert found["gone"]["type"] == RUNTIME_ERROR
    assert found["gone"]["message"].endswith("ERR script key is empty")


def test_a_function(database: Database) -> None:
    assert run("function", database.tcp) == [-1.0, -2.0]


def test_statistics(database: Database) -> None:
    counted = run("statistics", database.tcp, address=database.tcp)

    expected = {"key": "s", "type": "SCRIPT", "backend": "TORCH", "device": "CPU", "tag": ""}
    assert counted.items() >= (expected | {"samples": "-1", "calls": "2", "errors": "1"}).items()
    assert int(counted["duration"]) > 0


def test_failures(database: Database) -> None:
    found = run("failures", database.tcp)

    assert found.pop("usable") is True
    assert found.pop("stored") is False
    expected = {
        "missing script": "ERR script key is empty",
        "missing function": "Function does not exist: triple",
        "missing tensor": "ERR tensor key is empty or in a different shard",
        "too few inputs": "Wrong number of inputs provided to function: sum_and_difference",
        "too few outputs": "Function returned unexpected number of outputs - sum_and_difference",
        "raises": "AssertionError: no such luck",
        "syntax": "ERR the script does not compile",
        "over another": "ERR the script does not compile",
        "over a tensor": "WRONGTYPE Operation against a key holding the wrong kind of value",
        "delete of nothing": "ERR script key is empty",
        "get of nothing": "ERR script key is empty",
    }
    assert found.keys() == expected.keys()
    for name, text in expected.items():
        assert found[name]["type"] == RUNTIME_ERROR, name
        assert text in found[name]["message"], name


def test_gpus_that_nobody_serves(database: Database) -> None:
    found = run("multigpu", database.tcp)

    assert found.pop("stored") is False
    expected = dict.fromkeys(("set", "set function"), "ERR no worker serves the device GPU:0")
    expected |= dict.fromkeys(("run", "delete"), "ERR script key is empty")
    assert found.keys() == expected.keys()
    for name, text in expected.items():
        assert found[name]["type"] == RUNTIME_ERROR, name
        assert text in found[name]["message"], name
