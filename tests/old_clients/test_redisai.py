"""The commands that redisai-py sends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ml_models
from old_clients.database import Database
from old_clients.old_client import redisai

X = np.arange(8, dtype="float32").reshape(2, 4)


def test_tensors(database: Database) -> None:
    found = redisai("tensors", database.tcp)

    dtypes = ("float64", "float32", "int8", "int16", "int32", "int64", "uint8", "uint16", "bool")
    pattern = np.array([[0, 1], [1, 0]])
    assert found["arrays"] == {
        dtype: {"dtype": dtype, "shape": [2, 2], "values": pattern.astype(dtype).tolist()} for dtype in dtypes
    }
    assert found["list"] == {"dtype": "int32", "shape": [2, 2], "values": [[1, -2], [3, 4]]}
    assert found["mutable"]["values"] == [[9, -2], [3, 4]]
    assert found["as lists"] == {"dtype": "INT32", "shape": [2, 2], "values": [1, -2, 3, 4]}
    assert found["floats"] == {"dtype": "FLOAT", "shape": [2], "values": [0.5, -1.5]}
    assert found["strings"] == ["hello", "world"]
    assert found["description"] == {"dtype": "INT32", "shape": [2, 2]}


def test_pipelines_and_transactions(database: Database) -> None:
    x = {"dtype": "float32", "shape": [2], "values": [1.5, 2.5]}
    y = {"dtype": "INT64", "shape": [2]}
    results = ["OK", True, "OK", x, y | {"values": [3, 4]}, y]

    assert redisai("pipelines", database.tcp) == {"transaction": results, "plain": results}


@pytest.mark.parametrize("backend", ml_models.BACKENDS)
def test_models(database: Database, tmp_path: Path, backend: str) -> None:
    model = ml_models.affine(backend)
    path = tmp_path / "model"
    path.write_bytes(model.blob)

    found = redisai(
        "models",
        database.tcp,
        file=str(path),
        backend=backend.lower(),
        inputs=list(model.inputs),
        outputs=list(model.outputs),
    )

    assert [found[name] for name in ("stored", "executed", "run", "deleted")] == ["OK", "OK", "OK", ["OK", "OK"]]
    assert found["y"] == found["z"] == {"dtype": "float32", "shape": [2, 4], "values": (2 * X + 1).tolist()}
    description = found["description"]
    assert (len(description["inputs"]), len(description["outputs"])) == (1, 1)
    assert description.items() >= {"backend": backend, "device": "cpu", "tag": "v1"}.items()
    assert description.items() >= {"batchsize": 4, "minbatchsize": 1, "minbatchtimeout": 5}.items()
    assert found["description of old"].items() >= {"backend": backend, "tag": "v0", "batchsize": 0}.items()
    assert found["same"] is True
    assert found["scan"] == [["m", "v1"], ["old", "v0"]]
    assert found["left"] == []


def test_a_model_in_pieces(database: Database, large: str) -> None:
    found = redisai("chunks", database.tcp, file=large, size=3_000_000)

    size = Path(large).stat().st_size
    assert found["before"] == 535_822_336
    assert found["configured"] == "OK"
    assert found["lengths"] == [3_000_000] * (size // 3_000_000) + [size % 3_000_000]
    assert found["same"] is True
    assert found["whole"] is True


def test_scripts(database: Database) -> None:
    found = redisai("scripts", database.tcp)

    assert [found[name] for name in ("stored", "executed", "run", "deleted")] == ["OK", "OK", "OK", ["OK", "OK"]]
    assert found["y"] == [33.0, 66.0]
    assert found["z"] == [2.0, 4.0]
    assert found["description"] == {"device": "cpu", "tag": "v1", "entry points": ["total"]}
    assert found["same"] is True
    assert found["scan"] == [["old", "v0"], ["s", "v1"]]
    assert found["left"] == []


def test_statistics(database: Database, affine: str) -> None:
    found = redisai("statistics", database.tcp, file=affine)

    expected = {"key": "m", "type": "MODEL", "backend": "TORCH", "device": "cpu", "tag": "v1"}
    assert found["counted"].items() >= (expected | {"samples": 6, "calls": 2, "errors": 0}).items()
    assert found["counted"]["duration"] > 0
    assert found["reset"] == "OK"
    assert found["anew"].items() >= (expected | {"duration": 0, "samples": 0, "calls": 0, "errors": 0}).items()
    assert found["missing"] == {"type": "ResponseError", "message": "cannot find run info for key"}


def test_configuration(database: Database) -> None:
    assert redisai("configuration", database.tcp) == {
        "path": "OK",
        "asked": "/anywhere",
        "load": None,
        "unknown": {"type": "ResponseError", "message": "unsupported backend"},
    }


def test_dags(database: Database, affine: str, both: str) -> None:
    found = redisai("dags", database.tcp, file=affine, both=both)

    y = {"dtype": "float32", "shape": [1, 4], "values": [[3.0, 5.0, 7.0, 9.0]]}
    total = {"dtype": "float32", "shape": [1, 4], "values": [[8.0, 12.0, 16.0, 20.0]]}
    assert found["whole"] == ["OK", "OK", "OK", total]
    assert found["kept"] == total
    assert found["hidden"] == 0
    assert found["reading"] == ["OK", y]
    assert found["broken"]["type"] == "TypeError"  # the client cannot read an error among the results
    assert found["wrong"] == {"type": "ResponseError", "message": "INPUT key cannot be found in DAG"}
    assert found["nothing kept"] is True


def test_dags_of_before(database: Database, affine: str) -> None:
    y = {"dtype": "float32", "shape": [1, 4], "values": [[3.0, 5.0, 7.0, 9.0]]}

    assert redisai("old_dags", database.tcp, file=affine) == ["OK", "OK", y]


def test_failures(database: Database, affine: str, torn: str) -> None:
    found = redisai("failures", database.tcp, file=affine, torn=torn)

    assert found.pop("usable") is True
    assert found.pop("stored") is False
    expected = {
        "missing tensor": "tensor key is empty or in a different shard",
        "missing model": "model key is empty",
        "missing input": "tensor key is empty or in a different shard",
        "too many inputs": "Number of keys given as INPUTS here does not match model definition",
        "model in description": "model key is empty",
        "torn": "the TORCH backend cannot load the model",
        "entry point": "Function absent does not exist in the given script.",
        "signature": "Wrong number of inputs in function double. Expected 3 but was 1",
        "function": "Function does not exist: absent",
        "missing script": "script key is empty",
    }
    assert found.keys() == expected.keys()
    for name, text in expected.items():
        assert found[name]["type"] == "ResponseError", name
        assert found[name]["message"].startswith(text), name
