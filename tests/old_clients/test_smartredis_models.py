"""Models of the SmartRedis client, on every backend."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import ml_models
from old_clients.database import Database, running_database
from old_clients.old_client import smartredis

run = partial(smartredis, "smartredis_models.py")
RUNTIME_ERROR = "RedisRuntimeError"


@pytest.mark.parametrize("backend", ml_models.BACKENDS)
@pytest.mark.parametrize("from_file", [False, True])
def test_every_backend(database: Database, tmp_path: Path, backend: str, from_file: bool) -> None:
    model = ml_models.affine(backend)
    path = tmp_path / "model"
    path.write_bytes(model.blob)

    found = run(
        "run",
        database.tcp,
        file=str(path),
        backend=backend,
        inputs=list(model.inputs),
        outputs=list(model.outputs),
        from_file=from_file,
    )

    assert found["y"] == {"dtype": "float32", "shape": [2, 4], "values": [[1, 3, 5, 7], [9, 11, 13, 15]]}
    assert all(found[name] is True for name in ("same", "exists", "polled", "deleted"))
    assert found["gone"]["type"] == RUNTIME_ERROR
    assert found["gone"]["message"].endswith("ERR model key is empty")


def test_several_inputs_and_outputs(database: Database, both: str) -> None:
    found = run("several", database.unix, file=both)

    assert found["sum_of_both"]["values"] == [[11.0, 22.0, 33.0, 44.0]]
    assert found["difference"]["values"] == [[-9.0, -18.0, -27.0, -36.0]]


def test_options_of_a_model(database: Database, affine: str) -> None:
    options = {"batch_size": 8, "min_batch_size": 2, "min_batch_timeout": 20, "tag": "v 1"}

    assert run("store", database.tcp, file=affine, device="cpu", **options) is None

    reply = database.client.execute_command("AI.MODELGET", "m", "META")
    meta = dict(zip(reply[::2], reply[1::2], strict=True))
    assert (meta[b"backend"], meta[b"device"], meta[b"tag"]) == (b"TORCH", b"CPU", b"v 1")
    assert (meta[b"batchsize"], meta[b"minbatchsize"], meta[b"minbatchtimeout"]) == (8, 2, 20)


def test_runs_of_several_clients_share_batches(database: Database, affine: str) -> None:
    # Neither client's two rows are enough for a batch: without the other they would wait for ten minutes.
    options = {"batch_size": 4, "min_batch_size": 4, "min_batch_timeout": 600_000}
    assert run("store", database.tcp, file=affine, **options) is None

    def many(name: str) -> Any:
        own = {"SSKEYIN": name, "SSKEYOUT": name, "SR_SOCKET_TIMEOUT": "60000"}
        return run("run_many", database.tcp, own, count=5, rows=2)

    with ThreadPoolExecutor() as pool:
        results = list(pool.map(many, ["one", "other"]))

    expected = [[[2.0 * number + 1.0] * 4] * 2 for number in range(5)]
    assert results == [expected, expected]
    assert database.statistics("m")["calls"] == 10


def test_statistics(database: Database, both: str) -> None:
    found = run("statistics", database.tcp, file=both, address=database.tcp)

    expected = {"key": "m", "type": "MODEL", "backend": "TORCH", "device": "CPU", "tag": "v1"}
    assert found["counted"].items() >= (expected | {"samples": "6", "calls": "3", "errors": "1"}).items()
    assert int(found["counted"]["duration"]) > 0
    assert found["reset"]["type"] == RUNTIME_ERROR  # the client cannot read the OK
    nothing = {"duration": "0", "samples": "0", "calls": "0", "errors": "0"}
    assert found["anew"].items() >= (expected | nothing).items()
    assert found["missing"]["type"] == RUNTIME_ERROR
    assert found["missing"]["message"].endswith("ERR cannot find run info for key")


def test_a_large_model_in_chunks(database: Database, large: str) -> None:
    found = run("chunked", database.tcp, file=large, chunk=3_000_000, columns=2000)

    assert found["y"] == [[2.0] * 2000]
    assert found["same"] is True


@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_failures(database: Database, transport: str, affine: str, both: str, torn: str) -> None:
    found = run("failures", getattr(database, transport), file=affine, both=both, torn=torn)

    assert found.pop("usable") is True
    assert found.pop("stored") is False
    expected = {
        "missing model": "ERR model key is empty",
        "missing tensor": "ERR tensor key is empty or in a different shard",
        "too many inputs": "Number of keys given as INPUTS here does not match model definition",
        "too many outputs": "Number of keys given as OUTPUTS here does not match model definition",
        "wrong shape": "The size of tensor a (4) must match the size of tensor b (5)",
        "torn": "ERR the TORCH backend cannot load the model",
        "over another": "ERR the TORCH backend cannot load the model",
        "foreign": "ERR the ONNX backend cannot load the model",
        "without nodes": "ERR INPUTS not specified for TF",
        "over a tensor": "WRONGTYPE Operation against a key holding the wrong kind of value",
        "no model": "WRONGTYPE Operation against a key holding the wrong kind of value",
        "delete of nothing": "ERR model key is empty",
        "get of nothing": "ERR model key is empty",
    }
    assert found.keys() == expected.keys()
    for name, text in expected.items():
        assert found[name]["type"] == RUNTIME_ERROR, name
        assert text in found[name]["message"], name


def test_gpus_that_nobody_serves(database: Database, affine: str) -> None:
    found = run("multigpu", database.tcp, file=affine)

    assert found.pop("stored") is False
    expected = dict.fromkeys(("set", "set from file", "set one"), "ERR no worker serves the device GPU:0")
    expected |= dict.fromkeys(("run", "delete"), "ERR model key is empty")
    assert found.keys() == expected.keys()
    for name, text in expected.items():
        assert found[name]["type"] == RUNTIME_ERROR, name
        assert text in found[name]["message"], name


def test_without_a_worker_the_error_comes_at_once(tmp_path: Path, affine: str) -> None:
    with running_database(tmp_path, worker=False) as database:
        failure = run("store", database.tcp, file=affine)

    assert failure["type"] == RUNTIME_ERROR
    assert failure["message"].endswith(
        "ERR no worker serves the device CPU: none is connected to this database (python -m smartsim.app.worker)"
    )
