"""The SmartRedis client on a cluster of three shards."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

import ml_models
from old_clients.database import Database
from old_clients.old_client import smartredis

run = partial(smartredis, "smartredis_cluster.py")
NAMES = [f"tensor_{number}" for number in range(12)]
PREFIXES = (b"{\0\0}", b"{8M}", b"{\xed\xeb}")  # for the slots 0, 5461 and 10923, with which the shards begin


@pytest.fixture
def address(shards: Sequence[Database]) -> str:
    """What `SSDB` says of it."""
    return ",".join(shard.tcp for shard in shards)


def test_tensors(shards: Sequence[Database], address: str) -> None:
    found = run("tensors", address)

    assert found == {"found": {name: [float(number)] * 2 for number, name in enumerate(NAMES)}, "left": []}
    keys = {key for shard in shards for key in shard.stored()}
    assert keys == {f"{name}_renamed".encode() for name in NAMES}
    assert all(shard.client.dbsize() for shard in shards)


def test_datasets(address: str) -> None:
    assert run("datasets", address) == {
        "gathered": sorted(NAMES[1:]),
        "renamed": [NAMES[0]],
        "tensor": [len(NAMES[1])],
        "gone": True,
    }


@pytest.mark.parametrize("backend", ml_models.BACKENDS)
def test_models(shards: Sequence[Database], address: str, tmp_path: Path, backend: str) -> None:
    model = ml_models.affine(backend)
    path = tmp_path / "model"
    path.write_bytes(model.blob)

    found = run(
        "models",
        address,
        file=str(path),
        backend=backend,
        inputs=list(model.inputs),
        outputs=list(model.outputs),
    )

    assert found["results"] == [[[2.0 * number + 1.0] * 4] for number in range(len(NAMES))]
    assert found["exists"] is True
    assert found["length"] == len(model.blob)
    assert found["gone"]["message"].endswith("ERR model key is empty")
    keys = {key for shard in shards for key in shard.stored()}
    (left,) = (key for key in keys if key.endswith(b".TMP"))  # by the run that failed
    assert keys - {left} == {f"{name}{end}".encode() for name in NAMES for end in ("", "_y")}


def test_scripts(address: str) -> None:
    found = run("scripts", address)

    assert found["results"] == [[2.0 * number] * 2 for number in range(len(NAMES))]
    assert found["total"] == [11.0, 11.0]
    assert found["same"] is True
    assert found["gone"]["message"].endswith("ERR script key is empty")


def test_administration(shards: Sequence[Database], address: str, affine: str) -> None:
    found = run("administration", address, addresses=[shard.tcp for shard in shards], file=affine)

    assert found["ports"] == [str(shard.server.tcp.port) for shard in shards]
    assert found["sizes"] == ["3", "3", "3"]
    assert [model["key"] for model in found["models"]] == ["m", "m", "m"]
    assert sum(int(model["calls"]) for model in found["models"]) == len(NAMES)
    for shard, prefix in zip(shards, PREFIXES, strict=True):
        assert shard.client.execute_command("AI._MODELSCAN") == [[prefix + b".m", b""]]


def test_failures(address: str, torn: str) -> None:
    found = run("failures", address, torn=torn)

    expected = {
        "missing tensor": "ERR tensor key is empty or in a different shard",
        "missing model": "ERR model key is empty",
        "torn": "ERR the TORCH backend cannot load the model",
        "syntax": "ERR the script does not compile",
    }
    assert found.keys() == expected.keys()
    for name, text in expected.items():
        assert found[name]["type"] == "RedisRuntimeError", name
        assert text in found[name]["message"], name
