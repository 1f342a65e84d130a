"""Scripts and functions with the SmartRedis client; see `cases`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
from cases import Outcome, failure, main

if TYPE_CHECKING:
    from torch import Tensor

smartredis = importlib.import_module("smartredis")  # the wheel of old, not the package of this project

SOURCE = """
def double(x):
    return 2 * x

def sum_and_difference(a, b):
    return a + b, a - b

def total(tensors: List[Tensor]):
    return torch.stack(tensors).sum(dim=0)

def fails(x):
    assert x.numel() < 1, "no such luck"
    return x
"""


def client() -> Any:
    """Return a client of the database that the environment names."""
    database = smartredis.Client(logger_name="test")
    database.put_tensor("a", np.array([1.0, 2.0], dtype="float32"))
    database.put_tensor("b", np.array([10.0, 20.0], dtype="float32"))
    return database


def run(file: str) -> dict[str, Any]:
    """Store a script, run its functions, get it back, and delete it."""
    database = client()
    database.set_script("s", SOURCE, device="CPU")
    database.run_script("s", "double", ["a"], ["doubled"])
    database.run_script("s", "sum_and_difference", ["a", "b"], ["sum", "difference"])
    database.run_script("s", "total", ["a", "b", "b"], ["total"])
    database.set_script_from_file("from_file", file)
    database.run_script("from_file", "double", ["a"], ["doubled from file"])
    found = {
        "tensors": {
            name: database.get_tensor(name).tolist()
            for name in ("doubled", "sum", "difference", "total", "doubled from file")
        },
        "same": database.get_script("s") == SOURCE,
        "exists": database.model_exists("s"),
    }
    database.delete_script("s")
    return {
        **found,
        "deleted": not database.model_exists("s"),
        "gone": failure(database.run_script, "s", "double", ["a"], ["y"]),
    }


def negative(x: Tensor) -> Tensor:
    """Return the opposite. The client sends this text as it stands here."""
    return -x


def function() -> list[float]:
    """Store a Python function and run it."""
    database = client()
    database.set_function("f", negative)
    database.run_script("f", "negative", ["a"], ["y"])
    values: list[float] = database.get_tensor("y").tolist()
    return values


def statistics(address: str) -> Any:
    """Ask what the server counted."""
    database = client()
    database.set_script("s", SOURCE)
    database.run_script("s", "double", ["a"], ["y"])
    failure(database.run_script, "s", "fails", ["a"], ["y"])
    return database.get_ai_info([address], "s")[0]


def failures() -> dict[str, Outcome | bool]:
    """Do with scripts what cannot be done, then what can, on one connection."""
    database = client()
    database.set_script("s", SOURCE)
    found: dict[str, Outcome | bool] = {
        "missing script": failure(database.run_script, "missing", "double", ["a"], ["y"]),
        "missing function": failure(database.run_script, "s", "triple", ["a"], ["y"]),
        "missing tensor": failure(database.run_script, "s", "double", ["missing"], ["y"]),
        "too few inputs": failure(database.run_script, "s", "sum_and_difference", ["a"], ["y", "z"]),
        "too few outputs": failure(database.run_script, "s", "sum_and_difference", ["a", "b"], ["y"]),
        "raises": failure(database.run_script, "s", "fails", ["a"], ["y"]),
        "syntax": failure(database.set_script, "bad", "def broken(x):\n    return x +\n"),
        "over another": failure(database.set_script, "s", "def broken(x):\n    return x +\n"),
        "over a tensor": failure(database.set_script, "a", SOURCE),
        "delete of nothing": failure(database.delete_script, "missing"),
        "get of nothing": failure(database.get_script, "missing"),
        "stored": database.model_exists("bad") or database.tensor_exists("y"),
    }
    database.run_script("s", "double", ["a"], ["y"])
    return {**found, "usable": database.get_tensor("y").tolist() == [2.0, 4.0]}


def multigpu() -> dict[str, Outcome | bool]:
    """Ask for GPUs."""
    database = client()
    return {
        "set": failure(database.set_script_multigpu, "s", SOURCE, 0, 2),
        "set function": failure(database.set_function_multigpu, "f", negative, 0, 2),
        "run": failure(database.run_script_multigpu, "s", "double", ["a"], ["y"], 1, 0, 2),
        "delete": failure(database.delete_script_multigpu, "s", 0, 2),
        "stored": any(database.model_exists(name) for name in ("s", "s.GPU:0", "f", "f.GPU:0")),
    }


def store(source: str) -> bool:
    """Store a script, and tell whether it is there."""
    database = client()
    database.set_script("s", source)
    return bool(database.model_exists("s"))


def patient_run(source: str, loops: int) -> Any:
    """Run a function that takes a while."""
    database = client()
    database.set_script("slow", source)
    database.put_tensor("loops", np.array([loops], dtype="int64"))
    database.run_script("slow", "slow", ["loops"], ["y"])
    return database.get_tensor("y")


if __name__ == "__main__":
    main(run, function, statistics, failures, multigpu, store, patient_run)
