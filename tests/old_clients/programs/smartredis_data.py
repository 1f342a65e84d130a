"""Tensors, datasets and lists of datasets with the SmartRedis client; see `cases`."""

import importlib
from typing import Any

import numpy as np
from cases import Outcome, failure, main

smartredis = importlib.import_module("smartredis")  # the wheel of old, not the package of this project
DTYPES = ("float64", "float32", "int8", "int16", "int32", "int64", "uint8", "uint16")


def client() -> Any:
    """Return a client of the database that the environment names."""
    return smartredis.Client(logger_name="test")


def tensors() -> dict[str, Any]:
    """Put a tensor of each type and get it back."""
    database = client()
    for dtype in DTYPES:
        database.put_tensor(dtype, np.arange(24, dtype=dtype).reshape(2, 3, 4))
    return {dtype: database.get_tensor(dtype) for dtype in DTYPES}


def large_tensor(elements: int) -> bool:
    """Tell whether a tensor that takes many packets comes back the same."""
    database = client()
    values = np.random.default_rng(1).random(elements)
    database.put_tensor("large", values)
    return bool((database.get_tensor("large") == values).all())


def tensor_keys() -> dict[str, Any]:
    """Rename, copy, delete and look for tensors."""
    database = client()
    database.put_tensor("a", np.array([1.0, 2.0]))
    database.copy_tensor("a", "b")
    database.rename_tensor("a", "c")
    seen = {name: database.tensor_exists(name) for name in "abc"}
    database.delete_tensor("c")
    return {
        "seen": seen,
        "copy": database.get_tensor("b"),
        "deleted": not database.key_exists("c"),
        "polled": database.poll_tensor("b", 10, 3),
        "polled in vain": database.poll_tensor("c", 10, 3),
    }


def prefixes() -> dict[str, Any]:
    """Write with the prefix of one member of an ensemble and read that of another."""
    database = client()
    database.put_tensor("field", np.array([3], dtype="int32"))
    database.set_data_source("member_1")
    other = database.tensor_exists("field")
    database.set_data_source("member_0")
    return {
        "other": other,
        "own": database.key_exists("member_0.field"),
        "value": database.get_tensor("field").tolist(),
    }


def _dataset(name: str, offset: float) -> Any:
    dataset = smartredis.Dataset(name)
    dataset.add_tensor("t", np.arange(6, dtype="float32").reshape(2, 3) + np.float32(offset))
    dataset.add_tensor("i", np.array([1, -2], dtype="int64"))
    for number in (1.5, float(offset)):
        dataset.add_meta_scalar("numbers", number)
    for text in ("hello", "wörld"):
        dataset.add_meta_string("texts", text)
    return dataset


def _content(dataset: Any) -> dict[str, Any]:
    # Not get_meta_scalars(): the array that it returns lies in memory that the client has freed.
    return {
        "tensors": {name: dataset.get_tensor(name) for name in dataset.get_tensor_names()},
        "metadata": sorted(dataset.get_metadata_field_names()),
        "texts": dataset.get_meta_strings("texts"),
    }


def datasets() -> dict[str, Any]:
    """Put, get, copy, rename and delete datasets."""
    database = client()
    database.put_dataset(_dataset("d", 2.0))
    got = _content(database.get_dataset("d"))
    database.copy_dataset("d", "copy")
    database.rename_dataset("d", "renamed")
    seen = {name: database.dataset_exists(name) for name in ("d", "copy", "renamed")}
    polled = database.poll_dataset("copy", 10, 3)
    database.delete_dataset("copy")
    return {
        "got": got,
        "renamed": _content(database.get_dataset("renamed")),
        "seen": seen,
        "polled": polled,
        "deleted": not database.dataset_exists("copy"),
        "missing": failure(database.get_dataset, "copy"),
    }


def lists() -> dict[str, Any]:
    """Gather datasets in lists."""
    database = client()
    for number in range(3):
        dataset = _dataset(f"d{number}", number)
        database.put_dataset(dataset)
        database.append_to_list("list", dataset)
    database.copy_list("list", "copy")
    database.rename_list("copy", "renamed")
    found = {
        "length": database.get_list_length("list"),
        "all": [dataset.get_name() for dataset in database.get_datasets_from_list("list")],
        "range": [_content(dataset) for dataset in database.get_dataset_list_range("renamed", 1, 2)],
        "copy is gone": database.get_list_length("copy") == 0,
        "polled": [
            database.poll_list_length("list", 3, 10, 3),
            database.poll_list_length_gte("list", 2, 10, 3),
            database.poll_list_length_lte("list", 2, 10, 3),
        ],
    }
    database.delete_list("list")
    return {**found, "deleted": database.get_list_length("list") == 0}


def administration(address: str) -> dict[str, Any]:
    """Ask the server about itself, configure, save and empty it."""
    database = client()
    info = database.get_db_node_info([address])[0]
    database.config_set("slowlog-max-len", "77", address)
    database.put_tensor("x", np.ones(3))
    database.save([address])
    database.flush_db([address])
    return {
        "server": info["Server"],
        "configured": database.config_get("slowlog-max-len", address),
        "flushed": not database.tensor_exists("x"),
    }


def failures() -> dict[str, Outcome | bool]:
    """Ask for what is not there, then for what is, on one connection."""
    database = client()
    database.put_dataset(_dataset("d", 1.0))
    found: dict[str, Outcome | bool] = {
        "missing tensor": failure(database.get_tensor, "missing"),
        "no tensor": failure(database.get_tensor, "{d}.meta"),
        "over a hash": failure(database.put_tensor, "{d}.meta", np.ones(2)),
        "rename of nothing": failure(database.rename_tensor, "missing", "there"),
        "copy of nothing": failure(database.copy_tensor, "missing", "there"),
    }
    database.put_tensor("x", np.ones(2))
    return {**found, "usable": database.get_tensor("x").tolist() == [1.0, 1.0]}


if __name__ == "__main__":
    main(tensors, large_tensor, tensor_keys, prefixes, datasets, lists, administration, failures)
