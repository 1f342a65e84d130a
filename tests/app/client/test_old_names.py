from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import smartredis.dataset
import smartredis.dataset_utils
from smartredis.error import RedisRuntimeError
from smartredis.util import Dtypes, exception_handler, init_default, typecheck
from smartsim.client import Dataset, DatasetConverter

TENSORS = {
    "float64": "DOUBLE",
    "float32": "FLOAT",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "uint8": "UINT8",
    "uint16": "UINT16",
}
METADATA = {
    "float64": "DOUBLE",
    "float32": "FLOAT",
    "int32": "INT32",
    "int64": "INT64",
    "uint32": "UINT32",
    "uint64": "UINT64",
}


def test_modules() -> None:
    assert smartredis.dataset.Dataset is Dataset
    assert smartredis.dataset_utils.DatasetConverter is DatasetConverter


def test_names_of_types() -> None:
    assert {dtype: Dtypes.tensor_from_numpy(np.ones(1, dtype)) for dtype in TENSORS} == TENSORS
    assert {dtype: Dtypes.metadata_from_numpy(np.ones(1, dtype)) for dtype in METADATA} == METADATA
    assert Dtypes.tensor_from_numpy(np.ones(1, bool)) == "BOOL"
    for dtype, name in (TENSORS | METADATA).items():
        assert Dtypes.from_string(name) is np.dtype(dtype).type
    assert Dtypes.from_string("STRING") is str


def test_types_without_a_name() -> None:
    with pytest.raises(TypeError, match="Incompatible tensor type provided uint32"):
        Dtypes.tensor_from_numpy(np.ones(1, np.uint32))
    with pytest.raises(TypeError, match="Incompatible metadata type provided int8"):
        Dtypes.metadata_from_numpy(np.ones(1, np.int8))
    with pytest.raises(TypeError, match="Unrecognized type name UINT6"):
        Dtypes.from_string("UINT6")


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (([1], None, list), [1]),
        (([1], [2], list), [2]),
        (([1], [], list), []),
        (([1], "x", (list, str)), "x"),
        (([1], "x"), "x"),
    ],
)
def test_defaults(arguments: tuple[Any, ...], value: Any) -> None:
    assert init_default(*arguments) == value


def test_a_default_of_another_type() -> None:
    with pytest.raises(TypeError, match="Argument was of type <class 'str'>, not <class 'list'>"):
        init_default([], "x", list)


def test_checks_of_types() -> None:
    typecheck(1, "n", int)
    typecheck(1, "n", (str, int))
    with pytest.raises(TypeError, match="Argument n is of type <class 'int'>, not <class 'str'>"):
        typecheck(1, "n", str)


@exception_handler
def fail(error: Exception) -> None:
    """Fail."""
    raise error


def test_errors_name_the_function() -> None:
    assert fail.__name__ == "fail"
    assert fail.__doc__ == "Fail."
    with pytest.raises(RedisRuntimeError, match=r"^fail execution failed\nfull$"):
        fail(RedisRuntimeError("full"))
    with pytest.raises(RedisRuntimeError, match=r"^Client.get execution failed\nfull$"):
        fail(RedisRuntimeError("full", "Client.get"))
    with pytest.raises(ValueError, match="^other$"):
        fail(ValueError("other"))
