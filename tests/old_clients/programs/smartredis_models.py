"""Models with the SmartRedis client; see `cases`."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from cases import Outcome, failure, main

smartredis = importlib.import_module("smartredis")  # the wheel of old, not the package of this project


def client() -> Any:
    """Return a client of the database that the environment names."""
    return smartredis.Client(logger_name="test")


def run(file: str, backend: str, inputs: list[str], outputs: list[str], from_file: bool) -> dict[str, Any]:
    """Store a model, run it, get it back, and delete it."""
    database = client()
    blob = Path(file).read_bytes()
    nodes = {"inputs": inputs, "outputs": outputs} if inputs else {}
    if from_file:
        database.set_model_from_file("m", file, backend, device="CPU", **nodes)
    else:
        database.set_model("m", blob, backend, device="CPU", **nodes)
    database.put_tensor("x", np.arange(8, dtype="float32").reshape(2, 4))
    database.run_model("m", ["x"], ["y"])
    found = {
        "y": database.get_tensor("y"),
        "same": database.get_model("m") == blob,
        "exists": database.model_exists("m"),
        "polled": database.poll_model("m", 10, 3),
    }
    database.delete_model("m")
    return {**found, "deleted": not database.model_exists("m"), "gone": failure(database.run_model, "m", ["x"], ["y"])}


def several(file: str) -> dict[str, Any]:
    """Run a model of two inputs and two outputs, on tensors of other members of the ensemble."""
    database = client()
    database.set_model_from_file("sum", file, "TORCH")
    database.put_tensor("a", np.array([[1.0, 2.0, 3.0, 4.0]], dtype="float32"))
    database.put_tensor("b", np.array([[10.0, 20.0, 30.0, 40.0]], dtype="float32"))
    database.run_model("sum", inputs=["a", "b"], outputs=["sum_of_both", "difference"])
    return {name: database.get_tensor(name) for name in ("sum_of_both", "difference")}


def store(file: str, **options: Any) -> Outcome:
    """Store a TorchScript model as `m`."""
    return failure(client().set_model_from_file, "m", file, "TORCH", **options)


def run_many(count: int, rows: int) -> list[Any]:
    """Run `m` again and again, each time on other numbers."""
    database = client()
    found = []
    for number in range(count):
        database.put_tensor("x", np.full((rows, 4), number, dtype="float32"))
        database.run_model("m", ["x"], ["y"])
        found.append(database.get_tensor("y").tolist())
    return found


def statistics(file: str, address: str) -> dict[str, Any]:
    """Ask what the server counted, and have it begin anew."""
    database = client()
    database.set_model_from_file("m", file, "TORCH", tag="v1")
    database.put_tensor("x", np.ones((3, 4), dtype="float32"))
    database.put_tensor("wide", np.ones((3, 5), dtype="float32"))
    for _ in range(2):
        database.run_model("m", ["x", "x"], ["sum", "difference"])
    failure(database.run_model, "m", ["x", "wide"], ["sum", "difference"])
    counted = database.get_ai_info([address], "m")[0]
    return {
        "counted": counted,
        "reset": failure(database.get_ai_info, [address], "m", reset_stat=True),
        "anew": database.get_ai_info([address], "m")[0],
        "missing": failure(database.get_ai_info, [address], "missing"),
    }


def chunked(file: str, chunk: int, columns: int) -> dict[str, Any]:
    """Store a model in pieces, and run it on a row of ones."""
    database = client()
    database.set_model_chunk_size(chunk)
    database.set_model_from_file("large", file, "TORCH")
    database.put_tensor("x", np.ones((1, columns), dtype="float32"))
    database.run_model("large", ["x"], ["y"])
    y = database.get_tensor("y").tolist()
    database.set_model_chunk_size(1 << 29)  # get_model() cannot put pieces together
    return {"y": y, "same": database.get_model("large") == Path(file).read_bytes()}


def failures(file: str, both: str, torn: str) -> dict[str, Outcome | bool]:
    """Do with models what cannot be done, then what can, on one connection."""
    database = client()
    database.put_tensor("x", np.ones((2, 4), dtype="float32"))
    database.put_tensor("wide", np.ones((2, 5), dtype="float32"))
    database.set_model_from_file("m", file, "TORCH")
    database.set_model_from_file("both", both, "TORCH")
    found: dict[str, Outcome | bool] = {
        "missing model": failure(database.run_model, "missing", ["x"], ["y"]),
        "missing tensor": failure(database.run_model, "m", ["missing"], ["y"]),
        "too many inputs": failure(database.run_model, "m", ["x", "x"], ["y"]),
        "too many outputs": failure(database.run_model, "m", ["x"], ["y", "z"]),
        "wrong shape": failure(database.run_model, "both", ["x", "wide"], ["y", "z"]),
        "torn": failure(database.set_model_from_file, "torn", torn, "TORCH"),
        "over another": failure(database.set_model_from_file, "m", torn, "TORCH"),
        "foreign": failure(database.set_model, "foreign", b"no model at all", "ONNX"),
        "without nodes": failure(database.set_model, "foreign", b"no model at all", "TF"),
        "over a tensor": failure(database.set_model_from_file, "x", file, "TORCH"),
        "no model": failure(database.run_model, "x", ["x"], ["y"]),
        "delete of nothing": failure(database.delete_model, "missing"),
        "get of nothing": failure(database.get_model, "missing"),
        "stored": any(database.model_exists(name) for name in ("torn", "foreign")) or database.tensor_exists("y"),
    }
    database.run_model("m", ["x"], ["y"])
    return {**found, "usable": database.get_tensor("y").tolist() == [[3.0] * 4] * 2}


def multigpu(file: str) -> dict[str, Outcome | bool]:
    """Ask for GPUs."""
    database = client()
    model = Path(file).read_bytes()
    database.put_tensor("x", np.ones((2, 4), dtype="float32"))
    return {
        "set": failure(database.set_model_multigpu, "m", model, "TORCH", 0, 2),
        "set from file": failure(database.set_model_from_file_multigpu, "m", file, "TORCH", 0, 2),
        "set one": failure(database.set_model, "m", model, "TORCH", device="GPU"),
        "run": failure(database.run_model_multigpu, "m", 1, 0, 2, ["x"], ["y"]),
        "delete": failure(database.delete_model_multigpu, "m", 0, 2),
        "stored": any(database.model_exists(name) for name in ("m", "m.GPU:0", "m.GPU:1")),
    }


def patient_run(file: str, loops: int) -> Any:
    """Run a model that takes a while."""
    database = client()
    database.set_model_from_file("slow", file, "TORCH")
    database.put_tensor("loops", np.array([loops], dtype="int64"))
    database.run_model("slow", ["loops"], ["y"])
    return database.get_tensor("y")


def impatient_run(file: str, loops: int) -> dict[str, Outcome | bool]:
    """Run a model that takes longer than it may."""
    database = client()
    database.set_model_from_file("slow", file, "TORCH")
    database.put_tensor("loops", np.array([loops], dtype="int64"))
    return {
        "run": failure(database.run_model, "slow", ["loops"], ["late"]),
        "written": database.tensor_exists("late"),
    }


if __name__ == "__main__":
    main(run, several, store, run_many, statistics, chunked, failures, multigpu, patient_run, impatient_run)
