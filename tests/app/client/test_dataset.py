from __future__ import annotations

import gc
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from smartsim.app.client.dataset import Dataset
from smartsim.app.client.dataset_content import Content
from smartsim.app.client.logging import LLInfo
from smartsim.domain.client_errors import RedisInternalError, RedisKeyError, RedisRuntimeError
from smartsim.domain.tensor_types import WIRE_NAMES

SCALAR_TYPES = ["float64", "float32", "int32", "int64", "uint32", "uint64"]


@pytest.fixture
def dataset() -> Dataset:
    return Dataset("d")


# --- tensors


@given(hnp.arrays(st.sampled_from(sorted(WIRE_NAMES)), hnp.array_shapes(max_dims=4, max_side=4)))
def test_tensors_come_back(data: npt.NDArray[Any]) -> None:
    dataset = Dataset("d")
    dataset.add_tensor("t", data)
    back = dataset.get_tensor("t")
    assert back.dtype == data.dtype
    assert np.array_equal(back, data, equal_nan=data.dtype.kind == "f")
    assert dataset.get_tensor_type("t") is data.dtype.type
    assert dataset.get_tensor_dims("t") == list(data.shape)
    assert dataset.get_tensor_names() == ["t"]


@pytest.mark.parametrize(
    "data",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(6.0).reshape(2, 3).astype(">f8"),
        np.arange(6.0).reshape(2, 3).view(np.matrix),
        np.broadcast_to(np.arange(3.0), (2, 3)),
    ],
    ids=["plain", "Fortran order", "other byte order", "matrix", "broadcast"],
)
def test_a_dataset_has_its_tensors_to_itself(dataset: Dataset, data: npt.NDArray[Any]) -> None:
    expected = np.array(data, dtype=np.float64)
    dataset.add_tensor("t", data)
    if data.flags.writeable:
        data[...] = -1
    back = dataset.get_tensor("t")
    assert np.array_equal(back, expected)
    assert type(back) is np.ndarray
    assert back.flags.owndata
    assert back.flags.writeable
    assert back.flags.c_contiguous
    back[...] = -2
    assert np.array_equal(dataset.get_tensor("t"), expected)


def test_tensors_of_other_frameworks_are_copied_too(dataset: Dataset) -> None:
    data = torch.arange(4)
    dataset.add_tensor("t", data)
    data[:] = 0
    assert dataset.get_tensor("t").tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("name", ["", "meta", ".meta", "t"])
def test_names_of_tensors_that_cannot_be(dataset: Dataset, name: str) -> None:
    dataset.add_tensor("t", np.ones(1))
    with pytest.raises(RedisRuntimeError, match=r"^Dataset.add_tensor execution failed\n"):
        dataset.add_tensor(name, np.zeros(1))
    assert dataset.get_tensor("t") == 1


@pytest.mark.parametrize("data", [[1, 2], np.zeros(2, dtype=np.float16), np.float64(3), "text", None])
def test_what_is_no_tensor(dataset: Dataset, data: Any) -> None:
    with pytest.raises(TypeError):
        dataset.add_tensor("t", data)
    assert dataset.get_tensor_names() == []


@pytest.mark.parametrize("shape", [(), (0,), (2, 0)])
def test_a_tensor_without_elements_or_dimensions(dataset: Dataset, shape: tuple[int, ...]) -> None:
    with pytest.raises(RedisRuntimeError, match=r"^Dataset.add_tensor execution failed\n.* shape \("):
        dataset.add_tensor("t", np.zeros(shape))


@pytest.mark.parametrize("method", ["get_tensor", "get_tensor_type", "get_tensor_dims", "get_metadata_field_type"])
def test_what_is_not_there(dataset: Dataset, method: str) -> None:
    with pytest.raises(RedisKeyError, match=rf"^Dataset.{method} execution failed\n.*'d'.*'absent'|'absent'.*'d'"):
        getattr(dataset, method)("absent")


# --- metadata


@pytest.mark.parametrize("dtype", SCALAR_TYPES)
def test_scalars_keep_their_type(dataset: Dataset, dtype: str) -> None:
    for number in (1, 2, 3):
        dataset.add_meta_scalar("m", np.dtype(dtype).type(number))
    numbers = dataset.get_meta_scalars("m")
    assert numbers.tolist() == [1, 2, 3]
    assert numbers.dtype == np.dtype(dtype)
    assert dataset.get_metadata_field_type("m") is np.dtype(dtype).type


@pytest.mark.parametrize(
    ("number", "dtype"),
    [
        (7, np.int64),
        (7.5, np.float64),
        (2**63, np.uint64),
        (np.array(7, dtype=np.int32), np.int32),
        (np.array([[7.0]], dtype=np.float32), np.float32),
        (np.array([7], dtype=">i4"), np.int32),
        ([7], np.int64),
    ],
)
def test_what_is_a_scalar(dataset: Dataset, number: Any, dtype: type) -> None:
    dataset.add_meta_scalar("m", number)
    numbers = dataset.get_meta_scalars("m")
    assert numbers.shape == (1,)
    assert numbers[0] == np.asarray(number).item()
    assert numbers.dtype == dtype
    assert numbers.dtype.isnative


@pytest.mark.parametrize("data", [[1, 2], np.ones((1, 2)), []])
def test_what_is_no_scalar(dataset: Dataset, data: Any) -> None:
    with pytest.raises(TypeError, match="^Argument provided is not a scalar"):
        dataset.add_meta_scalar("m", data)


@pytest.mark.parametrize("data", [True, np.float16(1), np.int8(1), 2**70, 1j, "1", None])
def test_types_of_scalars_that_there_are_not(dataset: Dataset, data: Any) -> None:
    with pytest.raises(TypeError, match="^Incompatible metadata type provided .*: use one of float64, float32"):
        dataset.add_meta_scalar("m", data)
    assert dataset.get_metadata_field_names() == []


def test_scalars_outlive_their_dataset() -> None:
    dataset = Dataset("d")
    for number in range(1000):
        dataset.add_meta_scalar("m", number)
    numbers = dataset.get_meta_scalars("m")
    del dataset
    gc.collect()
    assert numbers.flags.owndata
    assert numbers.flags.writeable
    assert np.array_equal(numbers, np.arange(1000))


@given(st.lists(st.text(), min_size=1))
def test_texts_come_back(texts: list[str]) -> None:
    dataset = Dataset("d")
    for text in texts:
        dataset.add_meta_string("s", text)
    assert dataset.get_meta_strings("s") == texts
    assert dataset.get_metadata_field_type("s") is str


def test_a_field_has_values_of_one_type(dataset: Dataset) -> None:
    dataset.add_meta_scalar("m", 1)
    dataset.add_meta_string("s", "a")
    with pytest.raises(RedisRuntimeError, match=r"^Dataset.add_meta_scalar execution failed\n.*'m'.*int64"):
        dataset.add_meta_scalar("m", 1.5)
    with pytest.raises(RedisRuntimeError, match=r"^Dataset.add_meta_scalar execution failed\n.*'s'.*str"):
        dataset.add_meta_scalar("s", 1)
    with pytest.raises(RedisRuntimeError, match=r"^Dataset.add_meta_string execution failed\n.*'m'.*int64"):
        dataset.add_meta_string("m", "b")
    with pytest.raises(RedisRuntimeError, match=r"^Dataset.get_meta_scalars execution failed\n.*get_meta_strings"):
        dataset.get_meta_scalars("s")
    with pytest.raises(RedisRuntimeError, match=r"^Dataset.get_meta_strings execution failed\n.*get_meta_scalars"):
        dataset.get_meta_strings("m")
    assert dataset.get_meta_scalars("m").tolist() == [1]
    assert dataset.get_meta_strings("s") == ["a"]


@pytest.mark.parametrize("method", ["get_meta_scalars", "get_meta_strings"])
def test_fields_that_are_not_there(dataset: Dataset, method: str) -> None:
    with pytest.raises(RedisRuntimeError, match=f"^Dataset.{method} execution failed\n.*'absent'"):
        getattr(dataset, method)("absent")


@pytest.mark.parametrize("name", [".tensor_names", ".COMPLETE"])
@pytest.mark.parametrize(("method", "value"), [("add_meta_scalar", 1), ("add_meta_string", "a")])
def test_fields_that_the_database_needs_itself(dataset: Dataset, name: str, method: str, value: Any) -> None:
    with pytest.raises(RedisRuntimeError, match=f"^Dataset.{method} execution failed\n.* cannot be named"):
        getattr(dataset, method)(name, value)
    assert dataset.get_metadata_field_names() == []


@pytest.mark.parametrize(
    ("method", "arguments", "argument"),
    [
        ("add_tensor", (3, np.ones(1)), "name"),
        ("get_tensor", (b"t",), "name"),
        ("add_meta_scalar", (None, 1), "name"),
        ("add_meta_string", (3, "a"), "name"),
        ("add_meta_string", ("s", b"a"), "data"),
        ("get_meta_scalars", (3,), "name"),
        ("get_metadata_field_type", (3,), "name"),
        ("__init__", (3,), "name"),
    ],
)
def test_types_of_arguments(dataset: Dataset, method: str, arguments: tuple[Any, ...], argument: str) -> None:
    with pytest.raises(TypeError, match=f"^Argument {argument} is of type <class .*>, not <class 'str'>$"):
        getattr(dataset, method)(*arguments)


# --- the dataset


def test_its_name() -> None:
    assert Dataset("na{m}e").get_name() == "na{m}e"
    with pytest.raises(RedisRuntimeError, match="empty"):
        Dataset("")


def test_it_writes_log_lines_under_its_name(dataset: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    dataset.log_data(LLInfo, "ready")
    assert capsys.readouterr().out.startswith("d@")


def test_its_description() -> None:
    dataset = Dataset("weather")
    assert str(dataset) == "DataSet (weather):\nTensors:\n  none\nMetadata:\n  none\n"
    for dtype in ("float32", "uint16", "bool"):
        dataset.add_tensor(dtype, np.ones((2, 3), dtype=dtype))
    dataset.add_meta_scalar("steps", np.int32(4))
    dataset.add_meta_string("note", "dry")
    assert str(dataset) == (
        "DataSet (weather):\nTensors:\n"
        "  float32:\n    type: float\n    dimensions: [2, 3]\n    elements: 6\n"
        "  uint16:\n    type: 16 bit unsigned integer\n    dimensions: [2, 3]\n    elements: 6\n"
        "  bool:\n    type: boolean\n    dimensions: [2, 3]\n    elements: 6\n"
        "Metadata:\n  steps:\n    type: 32 bit signed integer\n  note:\n    type: string\n"
    )


def test_scripts_may_unpack_datasets_of_lists(dataset: Dataset) -> None:
    assert Dataset.from_pybind(dataset) is dataset


def test_a_received_dataset_keeps_the_arrays() -> None:
    data = np.arange(3)
    content = Content({b"note": b"\x07\x01\0\0\0\0\0\0\0\xff"}, {"t": data})
    dataset = Dataset.received("d", content)
    assert dataset.content().tensors["t"] is data
    assert dataset.content() == content
    assert dataset.get_meta_strings("note") == ["\udcff"]
    dataset.add_meta_string("note", "more")
    assert content.fields[b"note"].endswith(b"\xff")


@given(st.dictionaries(st.binary(), st.binary()))
def test_any_metadata_are_read_or_refused(fields: dict[bytes, bytes]) -> None:
    try:
        dataset = Dataset.received("d", Content(fields, {}))
    except RedisInternalError as error:
        assert "of the dataset 'd' cannot be read: it" in str(error)  # noqa: PT017 - or no error at all
    else:
        for name in dataset.get_metadata_field_names():
            is_text = dataset.get_metadata_field_type(name) is str
            (dataset.get_meta_strings if is_text else dataset.get_meta_scalars)(name)
        assert dataset.content().fields == fields
        str(dataset)
