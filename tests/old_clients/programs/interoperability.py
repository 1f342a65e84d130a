"""What applications do with a database, for the client of old and for this project's, which has the same names.

Which of them it is depends on the interpreter; see `cases`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from cases import main

if TYPE_CHECKING:
    from torch import Tensor

smartredis = importlib.import_module("smartredis")  # the wheel of old, or the package of this project

Content = dict[str, Any]

TENSORS = {
    "float64": [[-1.5, 1e300, 5e-324], [float("inf"), -0.0, 0.1]],
    "float32": [[-1.5, 3.0, 1.0], [0.25, 0.0, -7.0]],
    "int8": [[-128, 127, 0], [1, 2, 3]],
    "int16": [[-32768, 32767, 0], [1, 2, 3]],
    "int32": [[-(1 << 31), (1 << 31) - 1, 0], [1, 2, 3]],
    "int64": [[-(1 << 63), (1 << 63) - 1, 0], [1, 2, 3]],
    "uint8": [[255, 0, 1], [2, 3, 4]],
    "uint16": [[65535, 0, 1], [2, 3, 4]],
}
SCALARS: dict[str, list[float]] = {
    "float64": [-1.5, 1e300, 5e-324],
    "float32": [0.25, -3.0],
    "int32": [-(1 << 31), (1 << 31) - 1],
    "int64": [-(1 << 63), (1 << 63) - 1, 0],
    "uint32": [0, (1 << 32) - 1],
    "uint64": [(1 << 64) - 1],
}
STRINGS = {
    "plain": ["hello"],
    "several": ["", "wörld", "日本語 🎉", "", 'with "quotes",\n and lines'],
    "only an empty one": [""],
    "näme": ["Straße"],
}
NAMES = [f"tensor_{number}" for number in range(6)]  # on all shards of a cluster
SPECIAL = ["with blanks", "ünïcödé", "{tag}.one", "{tag}.two", "a.b:c/d", "longer" * 50]
SCRIPT = """
def double(x):
    return 2 * x

def sum_and_difference(a, b):
    return a + b, a - b
"""


def negative(x: Tensor) -> Tensor:
    """Return the opposite. The client sends this text as it stands here."""
    return -x


def client(source: str = "") -> Any:
    """Return a client of the database that the environment names.

    Args:
        source: of what is read; empty for no prefixes.
    """
    database = smartredis.Client(logger_name="test")
    if source:
        database.set_data_source(source)
        database.use_model_ensemble_prefix(True)
    return database


def _full() -> Any:
    dataset = smartredis.Dataset("full")
    for dtype, values in TENSORS.items():
        dataset.add_tensor(dtype, np.array(values, dtype=dtype))
    dataset.add_tensor("of one element", np.array([1.0]))
    dataset.add_tensor("lärge", np.arange(50_000, dtype="int32").reshape(5, 100, 100))
    for dtype, scalars in SCALARS.items():
        for scalar in scalars:
            dataset.add_meta_scalar(dtype, np.dtype(dtype).type(scalar))
    for field, texts in STRINGS.items():
        for text in texts:
            dataset.add_meta_string(field, text)
    return dataset


def _datasets() -> list[Any]:
    tensors, metadata, other = (smartredis.Dataset(name) for name in ("only tensors", "only metadata", "Ünïcödé"))
    tensors.add_tensor("t", np.array([1.0, 2.0]))
    metadata.add_meta_string("text", "x")
    other.add_tensor("ť", np.array([3.0]))
    other.add_meta_scalar("number", 2)
    return [_full(), tensors, metadata, other]


def _step(number: int) -> Any:
    dataset = smartredis.Dataset(f"step_{number}")
    dataset.add_tensor("t", np.full((2, 2), number, dtype="float32"))
    dataset.add_meta_scalar("time", float(number))
    return dataset


def _content(dataset: Any) -> Content:
    strings = set(STRINGS) | {"text"}
    fields = sorted(dataset.get_metadata_field_names())
    return {
        "name": dataset.get_name(),
        "tensors": {name: dataset.get_tensor(name) for name in dataset.get_tensor_names()},
        "texts": {name: dataset.get_meta_strings(name) for name in fields if name in strings},
        # The array lies in the memory of the dataset, if the client is the old one.
        "numbers": {name: dataset.get_meta_scalars(name).copy() for name in fields if name not in strings},
    }


def _listed(datasets: Iterable[Any]) -> list[Content]:
    """Return the contents of what was read from a list, for which the client of old has another type."""
    return [_content(smartredis.Dataset.from_pybind(dataset)) for dataset in datasets]


def write(source: str, torch: str, onnx: str, tensorflow: str, nodes: list[list[str]]) -> Content:
    """Store something of everything; return what it was."""
    database = client(source)
    tensors = {dtype: np.array(values, dtype=dtype) for dtype, values in TENSORS.items()}
    tensors.update((name, np.array([float(number)])) for number, name in enumerate(SPECIAL))
    tensors.update((name, np.full((2, 4), number, dtype="float32")) for number, name in enumerate(NAMES))
    for name, data in tensors.items():
        database.put_tensor(name, data)
    for dataset in _datasets():
        database.put_dataset(dataset)
    for number in range(5):
        database.put_dataset(_step(number))
        database.append_to_list("steps", _step(number))
    database.set_model("torch", Path(torch).read_bytes(), "TORCH", "CPU", 8, 2, 1, "v1.0")
    database.set_model_from_file("onnx", onnx, "ONNX", device="CPU")
    inputs, outputs = nodes
    database.set_model_from_file("tf", tensorflow, "TF", device="CPU", inputs=inputs, outputs=outputs)
    database.set_script("script", SCRIPT, device="CPU")
    database.set_function("function", negative)
    return {
        "tensors": tensors,
        "datasets": [_content(dataset) for dataset in _datasets()],
        "steps": [_content(_step(number)) for number in range(5)],
        "range": [_content(_step(number)) for number in (1, 2, 3)],
        "length": 5,
        "models": {name: len(Path(path).read_bytes()) for name, path in (("torch", torch), ("onnx", onnx))},
        "script": SCRIPT,
        "exist": [True] * 6,
    }


def read(source: str) -> Content:
    """Return what `write` has stored, as it is now."""
    database = client(source)
    return {
        "tensors": {name: database.get_tensor(name) for name in [*TENSORS, *SPECIAL, *NAMES]},
        "datasets": [_content(database.get_dataset(dataset.get_name())) for dataset in _datasets()],
        "steps": _listed(database.get_datasets_from_list("steps")),
        "range": _listed(database.get_dataset_list_range("steps", 1, -2)),
        "length": database.get_list_length("steps"),
        "models": {name: len(database.get_model(name)) for name in ("torch", "onnx")},
        "script": database.get_script("script"),
        "exist": [
            database.tensor_exists("float64"),
            database.dataset_exists("full"),
            database.model_exists("tf"),
            database.model_exists("script"),
            database.poll_dataset("full", 10, 2),
            database.poll_list_length("steps", 5, 10, 2),
        ],
    }


def run(source: str) -> bool:
    """Run what `write` has stored, on tensors of all shards."""
    database = client(source)
    for number, name in enumerate(NAMES):
        other = NAMES[number - 1]
        database.run_model("torch", [name], [f"{name}_torch"])
        database.run_model("onnx", [name], [f"{name}_onnx"])
        database.run_model("tf", name, f"{name}_tf")
        database.run_script("script", "double", [name], [f"{name}_double"])
        database.run_script("script", "sum_and_difference", [name, other], [f"{name}_sum", f"{name}_difference"])
        database.run_script("function", "negative", [name], [f"{name}_negative"])
    return True


def change(source: str) -> bool:
    """Copy, rename, replace and delete what `write` has stored."""
    database = client(source)
    for number, name in enumerate(NAMES):
        if number % 3:
            database.copy_tensor(name, f"{name}_copy")
        else:
            database.rename_tensor(name, f"{name}_renamed")
    database.delete_tensor(SPECIAL[0])
    database.copy_dataset("full", "copy")
    for name in ("only tensors", "step_1", "step_2"):
        database.rename_dataset(name, f"{name} renamed")
    database.delete_dataset("only metadata")
    for target in ("copy", "other"):
        database.copy_list("steps", target)
    database.append_to_list("steps", _step(0))
    database.put_dataset(_step(0))
    database.rename_list("steps", "renamed")
    database.delete_model("onnx")
    database.delete_script("function")
    return True


def take_turns() -> list[bool]:
    """Have the other client wait for something, then wait for something of the other, kind by kind."""
    database = client()
    done = []
    database.put_tensor("tensor of old", np.ones(1))
    done.append(database.poll_tensor("tensor of new", 5, 12_000))
    database.put_dataset(_dataset_named("dataset of old"))
    done.append(database.poll_dataset("dataset of new", 5, 12_000))
    database.append_to_list("list of old", _step(0))
    database.append_to_list("list of old", _step(1))
    done.append(database.poll_list_length("list of new", 2, 5, 12_000))
    database.append_to_list("longer list of old", _step(0))
    done.append(database.poll_list_length_gte("longer list of new", 1, 5, 12_000))
    database.delete_list("list of old")
    done.append(database.poll_list_length_lte("list of new", 0, 5, 12_000))
    database.set_script("script of old", SCRIPT)
    done.append(database.poll_model("script of new", 5, 12_000))
    database.put_tensor("key of old", np.ones(1))
    done.append(database.poll_key("key of new", 5, 12_000))
    return done


def _dataset_named(name: str) -> Any:
    dataset = smartredis.Dataset(name)
    dataset.add_tensor("t", np.ones(2))
    return dataset


if __name__ == "__main__":
    main(write, read, run, change, take_turns)
