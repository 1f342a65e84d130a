from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from smartsim.app.client.dataset import Dataset
from smartsim.app.client.dataset_converter import DatasetConverter
from smartsim.domain.client_errors import RedisKeyError, RedisRuntimeError

add = DatasetConverter.add_metadata_for_xarray
transform = DatasetConverter.transform_to_xarray


@pytest.fixture
def dataset() -> Dataset:
    dataset = Dataset("d")
    for name, shape in (("u", (2, 3)), ("v", (2, 3)), ("x", (2,)), ("y", (3,))):
        dataset.add_tensor(name, np.arange(np.prod(shape), dtype=np.float32).reshape(shape))
    for name, text in (("dim1", "x"), ("dim2", "y"), ("units", "m/s"), ("x_units", "m"), ("note", "dry")):
        dataset.add_meta_string(name, text)
    return dataset


def test_what_is_noted(dataset: Dataset) -> None:
    add(dataset, ["u", "v"], ["dim1", "dim2"], ["x", "y"], ["units", "note"])
    add(dataset, "x", "dim1", attr_names="x_units")
    noted = {name: dataset.get_meta_strings(name) for name in dataset.get_metadata_field_names() if "xarray" in name}
    assert noted == {
        "_xarray_data_names": ["u", "v", "x"],
        "_xarray_u_dim_names": ["dim1,dim2"],
        "_xarray_u_coord_names": ["x,y"],
        "_xarray_u_attr_names": ["units,note"],
        "_xarray_v_dim_names": ["dim1,dim2"],
        "_xarray_v_coord_names": ["x,y"],
        "_xarray_v_attr_names": ["units,note"],
        "_xarray_x_dim_names": ["dim1"],
        "_xarray_x_coord_names": ["null"],
        "_xarray_x_attr_names": ["x_units"],
    }


def test_arrays_with_coordinates_and_attributes(dataset: Dataset) -> None:
    add(dataset, ["u", "v"], ["dim1", "dim2"], ["x", "y"], ["units", "note"])
    add(dataset, "x", "dim1", attr_names="x_units")
    add(dataset, "y", "dim2")
    arrays = transform(dataset)
    assert arrays.keys() == {"u", "v"}
    for name, array in arrays.items():
        assert array.name == name
        assert array.dims == ("x", "y")
        assert array.attrs == {"units": "m/s", "note": "dry"}
        assert array.dtype == np.float32
        assert np.array_equal(array, dataset.get_tensor(name))
        assert set(array.coords) == {"x", "y"}
        assert array.coords["x"].attrs == {"x_units": "m"}
        assert array.coords["y"].attrs == {}
        assert np.array_equal(array.coords["y"], dataset.get_tensor("y"))


def test_an_array_without_coordinates(dataset: Dataset) -> None:
    add(dataset, "u", ["dim1", "dim2"])
    add(dataset, "v", ["dim1", "dim2"], ["x"])  # of which nothing is known
    arrays = transform(dataset)
    assert arrays.keys() == {"u", "v"}
    assert all(array.dims == ("x", "y") and not array.coords for array in arrays.values())


def test_a_dataset_says_nothing_of_arrays(dataset: Dataset) -> None:
    with pytest.raises(RedisRuntimeError, match="'_xarray_data_names' does not exist"):
        transform(dataset)


def test_what_is_noted_but_not_there(dataset: Dataset) -> None:
    add(dataset, "u", ["dim1", "absent"])
    with pytest.raises(RedisRuntimeError, match="'absent' does not exist"):
        transform(dataset)
    other = Dataset("e")
    other.add_meta_string("dim", "x")
    add(other, "absent", "dim")
    with pytest.raises(RedisKeyError, match="'absent' does not exist"):
        transform(other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, "u", "d"), "Argument dataset is of type <class 'int'>"),
        ((None, 3, "d"), "Argument data_names is of type <class 'int'>, not <class 'list'>"),
        ((None, "u", 3), "Argument dim_names is of type <class 'int'>, not <class 'list'>"),
        ((None, "u", "d", 3), "Argument coord_names is of type <class 'int'>, not <class 'list'>"),
        ((None, "u", "d", None, 3), "Argument attr_names is of type <class 'int'>, not <class 'list'>"),
        ((None, ["u", 3], "d"), "Argument data_name is of type <class 'int'>, not <class 'str'>"),
    ],
)
def test_types_of_arguments(dataset: Dataset, arguments: tuple[Any, ...], message: str) -> None:
    before = dataset.get_metadata_field_names()
    with pytest.raises(TypeError, match=message):
        add(arguments[0] or dataset, *arguments[1:])
    assert dataset.get_metadata_field_names() == before
    with pytest.raises(TypeError, match="Argument dataset"):
        transform(3)  # type: ignore[arg-type]


def test_without_xarray(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    add(dataset, "u", ["dim1", "dim2"])
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(RedisRuntimeError, match="Optional package xarray must be installed; Consider running `pip"):
        transform(dataset)
