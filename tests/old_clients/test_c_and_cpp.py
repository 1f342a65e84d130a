"""Programs in C and C++ with the SmartRedis library, and what they exchange with the client of this project."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from old_clients.compiled import build, find_libraries, run
from old_clients.database import Database
from old_clients.place import Place
from smartsim.client import Client, Dataset

TENSORS = ("float64", "float32", "int8", "int16", "int32", "int64", "uint8", "uint16")
SCALARS = ("float64", "float32", "int32", "int64", "uint32", "uint64")
TEXTS = ["", "wörld", "\udce9t\udce9"]  # the last is Latin-1
VALUES, NUMBERS = np.array([[1, 2, 3], [4, 5, -6]]), np.array([7, -8])


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What to link."""
    return find_libraries(tmp_path_factory.mktemp("python"))


@pytest.mark.parametrize("program", ["c_api.c", "cpp_api.cpp"])
def test_a_program(database: Database, libraries: list[str], tmp_path: Path, affine: str, program: str) -> None:
    script = tmp_path / "script.py"
    script.write_text("def double(x):\n    return 2 * x\n")

    lines = run(build(program, libraries, tmp_path), affine, str(script), address=database.tcp).splitlines()

    assert lines[:3] == ["x: 1 2 3 4 5 6 7 8", "y: 3 5 7 9 11 13 15 17", "z: 2 4 6 8 10 12 14 16"]
    assert lines[3].endswith("ERR model key is empty")
    assert len(lines) == 4
    assert database.client.execute_command("AI.TENSORGET", "x", "META")[3] == [2, 4]


@pytest.mark.parametrize("program", ["interoperability.c", "interoperability.cpp"])
def test_what_a_program_and_python_exchange(place: Place, libraries: list[str], tmp_path: Path, program: str) -> None:
    executable = build(program, libraries, tmp_path)
    dataset = made_dataset()
    with place.client() as client:
        run(executable, "put", address=place.address)
        of_program = place.content()
        assert client.get_tensor("tensor").tolist() == VALUES.tolist()
        for read in (client.get_dataset("dataset"), *client.get_datasets_from_list("list")):
            check_same(read, dataset)
        assert client.get_list_length("list") == 1

        place.empty()
        put(client, dataset)
        assert place.content() == of_program
    assert sorted(run(executable, "get", address=place.address).splitlines()) == sorted(expected_lines())


def made_dataset() -> Dataset:
    """Return the dataset that the programs make."""
    dataset = Dataset("dataset")
    for dtype in TENSORS:
        dataset.add_tensor(dtype, VALUES.astype(dtype))
    for dtype in SCALARS:
        for number in NUMBERS.astype(dtype):
            dataset.add_meta_scalar(f"meta {dtype}", number)
    for text in TEXTS:
        dataset.add_meta_string("texts", text)
    return dataset


def put(client: Client, dataset: Dataset) -> None:
    """Do what the programs do."""
    client.put_tensor("tensor", VALUES.astype(np.float32))
    client.put_dataset(dataset)
    client.append_to_list("list", dataset)


def check_same(read: Dataset, made: Dataset) -> None:
    """Look whether a dataset was read as it was made."""
    assert read.get_tensor_names() == made.get_tensor_names()
    assert sorted(read.get_metadata_field_names()) == sorted(made.get_metadata_field_names())
    assert read.get_meta_strings("texts") == TEXTS
    for dtype in TENSORS:
        np.testing.assert_array_equal(read.get_tensor(dtype), made.get_tensor(dtype), strict=True)
    for dtype in SCALARS:
        field = f"meta {dtype}"
        np.testing.assert_array_equal(read.get_meta_scalars(field), made.get_meta_scalars(field), strict=True)


def expected_lines() -> list[str]:
    """Return what the programs write of what they read."""
    written = {dtype: VALUES.ravel().astype(dtype) for dtype in TENSORS}
    written |= {f"meta {dtype}": NUMBERS.astype(dtype) for dtype in SCALARS}
    lines = [f"{name}: {' '.join(str(int(value)) for value in values)}" for name, values in written.items()]
    return ["tensor: 1 2 3 4 5 -6", *lines, *(f"text: {text}" for text in TEXTS), "length: 1"]
