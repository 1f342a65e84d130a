"""The SmartRedis client on a cluster; see `cases`."""

import importlib
from typing import Any

import numpy as np
from cases import Outcome, failure, main

smartredis = importlib.import_module("smartredis")  # the wheel of old, not the package of this project
NAMES = [f"tensor_{number}" for number in range(12)]  # on all shards

SCRIPT = """
def double(x):
    return 2 * x

def total(a, b):
    return a + b
"""


def client() -> Any:
    """Return a client of the cluster that the environment names."""
    return smartredis.Client(logger_name="test")


def tensors() -> dict[str, Any]:
    """Put tensors on all shards; copy, rename and delete them from one to another."""
    database = client()
    for number, name in enumerate(NAMES):
        database.put_tensor(name, np.full(2, number, dtype="float32"))
        database.copy_tensor(name, f"{name}_copy")
        database.rename_tensor(f"{name}_copy", f"{name}_renamed")
    found = {name: database.get_tensor(f"{name}_renamed").tolist() for name in NAMES}
    for name in NAMES:
        database.delete_tensor(name)
    return {"found": found, "left": [name for name in NAMES if database.tensor_exists(name)]}


def datasets() -> dict[str, Any]:
    """Put datasets on all shards and gather them in a list."""
    database = client()
    for name in NAMES:
        dataset = smartredis.Dataset(name)
        dataset.add_tensor("t", np.array([len(name)], dtype="int64"))
        dataset.add_meta_string("name", name)
        database.put_dataset(dataset)
        database.append_to_list("list", dataset)
    database.rename_dataset(NAMES[0], "renamed")
    return {
        "gathered": sorted(dataset.get_name() for dataset in database.get_dataset_list_range("list", 1, -1)),
        "renamed": database.get_dataset("renamed").get_meta_strings("name"),
        "tensor": database.get_dataset(NAMES[1]).get_tensor("t").tolist(),
        "gone": not database.dataset_exists(NAMES[0]),
    }


def models(file: str, backend: str, inputs: list[str], outputs: list[str]) -> dict[str, Any]:
    """Run a model on tensors of all shards."""
    database = client()
    nodes = {"inputs": inputs, "outputs": outputs} if inputs else {}
    database.set_model_from_file("m", file, backend, tag="v1", **nodes)
    results = []
    for number, name in enumerate(NAMES):
        database.put_tensor(name, np.full((1, 4), number, dtype="float32"))
        database.run_model("m", [name], [f"{name}_y"])
        results.append(database.get_tensor(f"{name}_y").tolist())
    found = {"results": results, "exists": database.model_exists("m"), "length": len(database.get_model("m"))}
    database.delete_model("m")
    return {**found, "gone": failure(database.run_model, "m", [NAMES[0]], ["y"])}


def scripts() -> dict[str, Any]:
    """Run a script on tensors of all shards, two of them at once."""
    database = client()
    database.set_script("s", SCRIPT)
    results = []
    for number, name in enumerate(NAMES):
        database.put_tensor(name, np.full(2, number, dtype="float32"))
        database.run_script("s", "double", [name], [f"{name}_y"])
        results.append(database.get_tensor(f"{name}_y").tolist())
    database.run_script("s", "total", [NAMES[3], NAMES[8]], ["total"])
    found = {
        "results": results,
        "total": database.get_tensor("total").tolist(),
        "same": database.get_script("s") == SCRIPT,
    }
    database.delete_script("s")
    return {**found, "gone": failure(database.run_script, "s", "double", [NAMES[0]], ["y"])}


def administration(addresses: list[str], file: str) -> dict[str, Any]:
    """Ask each shard about itself, its cluster and a model."""
    database = client()
    database.set_model_from_file("m", file, "TORCH")
    for name in NAMES:
        database.put_tensor(name, np.ones((1, 4), dtype="float32"))
        database.run_model("m", [name], [f"{name}_y"])
    return {
        "ports": [info["Server"]["tcp_port"] for info in database.get_db_node_info(addresses)],
        "sizes": [info["cluster_size"] for info in database.get_db_cluster_info(addresses)],
        "models": database.get_ai_info(addresses, "m"),
    }


def failures(torn: str) -> dict[str, Outcome]:
    """Do what cannot be done."""
    database = client()
    database.put_tensor("x", np.ones((2, 4), dtype="float32"))
    return {
        "missing tensor": failure(database.get_tensor, "missing"),
        "missing model": failure(database.run_model, "missing", ["x"], ["y"]),
        "torn": failure(database.set_model_from_file, "torn", torn, "TORCH"),
        "syntax": failure(database.set_script, "bad", "def broken(x):\n    return x +\n"),
    }


if __name__ == "__main__":
    main(tensors, datasets, models, scripts, administration, failures)
