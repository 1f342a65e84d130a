"""Everything that redisai-py can do; see `cases`."""

import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from cases import Outcome, failure, main

redisai = importlib.import_module("redisai")

SCRIPT = """
def double(x):
    return 2 * x

def total(tensors: List[Tensor], keys: List[str], args: List[str]):
    return torch.stack(tensors).sum(dim=0) * float(args[0])
"""
ENTRY_POINTS = ["total"]


def client() -> Any:
    """Return a client of the database that the environment names."""
    host, port = os.environ["SSDB"].split(":")
    return redisai.Client(host=host, port=int(port))


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {_plain(name): _plain(item) for name, item in value.items()}
    return value


def tensors() -> dict[str, Any]:
    """Put tensors as arrays and as lists; get them as arrays, lists and descriptions."""
    database = client()
    dtypes = ("float64", "float32", "int8", "int16", "int32", "int64", "uint8", "uint16", "bool")
    for dtype in dtypes:
        database.tensorset(dtype, np.array([[0, 1], [1, 0]], dtype=dtype))
    database.tensorset("list", [1, -2, 3, 4], shape=[2, 2], dtype="int32")
    database.tensorset("floats", (0.5, -1.5), dtype="float")
    database.tensorset("strings", ["hello", "world"], dtype="str")
    mutable = database.tensorget("list", as_numpy_mutable=True)
    mutable[0, 0] = 9
    return {
        "arrays": {dtype: database.tensorget(dtype) for dtype in dtypes},
        "list": database.tensorget("list"),
        "mutable": mutable,
        "as lists": _plain(database.tensorget("list", as_numpy=False)),
        "floats": _plain(database.tensorget("floats", as_numpy=False)),
        "strings": database.tensorget("strings").tolist(),
        "description": _plain(database.tensorget("list", meta_only=True)),
    }


def pipelines() -> dict[str, Any]:
    """Put and get tensors in transactions and in plain pipelines."""
    database = client()
    found = {}
    for name, transaction in (("transaction", True), ("plain", False)):
        pipeline = database.pipeline(transaction=transaction)
        pipeline.tensorset("x", np.array([1.5, 2.5], dtype="float32"))
        pipeline.set("key", "value")
        pipeline.tensorset("y", [3, 4], dtype="int64")
        pipeline.tensorget("x")
        pipeline.tensorget("y", as_numpy=False)
        pipeline.tensorget("y", meta_only=True)
        found[name] = _plain(pipeline.execute())
    return found


def models(file: str, backend: str, inputs: list[str], outputs: list[str]) -> dict[str, Any]:
    """Store, look at, run and delete a model, with the commands of now and of before."""
    database = client()
    blob = Path(file).read_bytes()
    nodes = {"inputs": inputs, "outputs": outputs} if inputs else {}
    stored = database.modelstore("m", backend, "cpu", blob, batch=4, minbatch=1, minbatchtimeout=5, tag="v1", **nodes)
    database.modelset("old", backend, "cpu", blob, tag="v0", **nodes)
    database.tensorset("x", np.arange(8, dtype="float32").reshape(2, 4))
    found = {
        "stored": stored,
        "executed": database.modelexecute("m", ["x"], ["y"], timeout=60_000),
        "run": database.modelrun("old", ["x"], ["z"]),
        "y": database.tensorget("y"),
        "z": database.tensorget("z"),
        "description": _plain(database.modelget("m", meta_only=True)),
        "description of old": _plain(database.modelget("old", meta_only=True)),
        "same": database.modelget("m")["blob"] == blob,
        "scan": sorted(_plain(database.modelscan())),
        "deleted": [database.modeldel("m"), database.modeldel("old")],
    }
    return {**found, "left": database.modelscan()}


def chunks(file: str, size: int) -> dict[str, Any]:
    """Get a model in pieces."""
    database = client()
    blob = Path(file).read_bytes()
    before = database.config("MODEL_CHUNK_SIZE")
    configured = database.config("MODEL_CHUNK_SIZE", size)
    database.modelstore("m", "torch", "cpu", blob)
    pieces = database.modelget("m")["blob"]
    database.config("MODEL_CHUNK_SIZE", before)
    return {
        "before": before,
        "configured": configured,
        "lengths": [len(piece) for piece in pieces],
        "same": b"".join(pieces) == blob,
        "whole": database.modelget("m")["blob"] == blob,
    }


def scripts() -> dict[str, Any]:
    """Store, look at, run and delete scripts, with the commands of now and of before."""
    database = client()
    stored = database.scriptstore("s", "cpu", SCRIPT, ENTRY_POINTS, tag="v1")
    database.scriptset("old", "cpu", SCRIPT, tag="v0")
    database.tensorset("a", np.array([1, 2], dtype="float32"))
    database.tensorset("b", np.array([10, 20], dtype="float32"))
    found = {
        "stored": stored,
        "executed": database.scriptexecute("s", "total", keys=["k"], inputs=["a", "b"], args=["3"], outputs=["y"]),
        "run": database.scriptrun("old", "double", ["a"], ["z"]),
        "y": database.tensorget("y").tolist(),
        "z": database.tensorget("z").tolist(),
        "description": _plain(database.scriptget("s", meta_only=True)),
        "same": _plain(database.scriptget("s")["source"]) == SCRIPT,
        "scan": sorted(_plain(database.scriptscan())),
        "deleted": [database.scriptdel("s"), database.scriptdel("old")],
    }
    return {**found, "left": database.scriptscan()}


def statistics(file: str) -> dict[str, Any]:
    """Ask what the server counted, and have it begin anew."""
    database = client()
    database.modelstore("m", "torch", "cpu", Path(file).read_bytes(), tag="v1")
    database.tensorset("x", np.ones((3, 4), dtype="float32"))
    for _ in range(2):
        database.modelexecute("m", ["x"], ["y"])
    return {
        "counted": _plain(database.infoget("m")),
        "reset": _plain(database.inforeset("m")),
        "anew": _plain(database.infoget("m")),
        "missing": failure(database.infoget, "missing"),
    }


def configuration() -> dict[str, Any]:
    """Ask for a setting, and for backends as they were loaded from files."""
    database = client()
    return {
        "path": database.config("BACKENDSPATH", "/anywhere"),
        "asked": _plain(database.config("BACKENDSPATH")),
        "load": failure(database.loadbackend, "TORCH", "/nowhere/torch.so"),
        "unknown": failure(database.loadbackend, "CAFFE", "/nowhere/caffe.so"),
    }


def dags(file: str, both: str) -> dict[str, Any]:
    """Run several commands as one, on tensors that others do not see."""
    database = client()
    database.modelstore("{1}m", "torch", "cpu", Path(file).read_bytes())
    database.modelstore("{1}both", "torch", "cpu", Path(both).read_bytes())
    database.scriptstore("{1}s", "cpu", SCRIPT, ENTRY_POINTS)
    database.tensorset("{1}x", np.array([[1, 2, 3, 4]], dtype="float32"))

    whole = database.dag(load=["{1}x"], persist=["{1}total"], timeout=60_000)
    whole.tensorset("one", np.ones((1, 4), dtype="float32"))
    whole.modelexecute("{1}m", ["{1}x"], ["y"])
    whole.scriptexecute("{1}s", "total", inputs=["one", "y"], args=["2"], outputs=["{1}total"])
    whole.tensorget("{1}total")

    reading = database.dag(load=["{1}x"], readonly=True)
    reading.modelexecute("{1}m", ["{1}x"], ["y"])
    reading.tensorget("y")

    broken = database.dag(load=["{1}x"], persist=["{1}other"])
    broken.modelexecute("{1}m", ["{1}x"], ["{1}other"])
    broken.tensorset("wide", np.ones((1, 5), dtype="float32"))
    broken.modelexecute("{1}both", ["{1}x", "wide"], ["y", "z"])
    broken.tensorget("y")

    wrong = database.dag(load=["{1}x"], persist=["{1}other"])
    wrong.modelexecute("{1}m", ["{1}absent"], ["{1}other"])
    return {
        "whole": _plain(whole.execute()),
        "kept": database.tensorget("{1}total"),
        "hidden": database.exists("y", "one"),
        "reading": _plain(reading.execute()),
        "broken": failure(broken.execute),
        "wrong": failure(wrong.execute),
        "nothing kept": database.exists("{1}other") == 0,
    }


def old_dags(file: str) -> Any:
    """Run several commands as one, the way it was done before."""
    database = client()
    database.modelset("m", "torch", "cpu", Path(file).read_bytes())
    dag = database.dag()
    dag.tensorset("x", np.array([[1, 2, 3, 4]], dtype="float32"))
    dag.modelrun("m", ["x"], ["y"])
    dag.tensorget("y")
    return _plain(dag.run())


def failures(file: str, torn: str) -> dict[str, Outcome | bool]:
    """Do what cannot be done, then what can, on one connection."""
    database = client()
    database.modelstore("m", "torch", "cpu", Path(file).read_bytes())
    database.scriptstore("s", "cpu", SCRIPT, ENTRY_POINTS)
    database.tensorset("x", np.ones((2, 4), dtype="float32"))
    found: dict[str, Outcome | bool] = {
        "missing tensor": failure(database.tensorget, "missing"),
        "missing model": failure(database.modelexecute, "missing", ["x"], ["y"]),
        "missing input": failure(database.modelexecute, "m", ["missing"], ["y"]),
        "too many inputs": failure(database.modelexecute, "m", ["x", "x"], ["y"]),
        "model in description": failure(database.modelget, "missing"),
        "torn": failure(database.modelstore, "torn", "torch", "cpu", Path(torn).read_bytes()),
        "entry point": failure(database.scriptstore, "bad", "cpu", SCRIPT, ["absent"]),
        "signature": failure(database.scriptstore, "bad", "cpu", SCRIPT, ["double"]),
        "function": failure(database.scriptexecute, "s", "absent", inputs=["x"], outputs=["y"]),
        "missing script": failure(database.scriptget, "missing"),
        "stored": bool(database.exists("torn", "bad", "y")),
    }
    database.modelexecute("m", ["x"], ["y"])
    return {**found, "usable": database.tensorget("y").tolist() == [[3.0] * 4] * 2}


if __name__ == "__main__":
    main(tensors, pipelines, models, chunks, scripts, statistics, configuration, dags, old_dags, failures)
