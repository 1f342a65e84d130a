from __future__ import annotations

import array
import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from smartsim.app.client.arrays import wire_array
from smartsim.domain.client_errors import RedisRuntimeError
from smartsim.domain.tensor_types import WIRE_NAMES

SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, max_side=5)
ARRAYS = st.sampled_from(sorted(WIRE_NAMES)).flatmap(lambda dtype: hnp.arrays(dtype, SHAPES))


def check_can_be_sent(sent: npt.NDArray[Any], expected: npt.NDArray[Any]) -> None:
    assert type(sent) is np.ndarray
    assert sent.dtype.name in WIRE_NAMES
    assert sent.dtype.isnative
    assert sent.flags.c_contiguous
    assert sent.dtype == expected.dtype.newbyteorder("=")
    assert sent.shape == expected.shape
    assert sent.tobytes() == expected.astype(sent.dtype).tobytes()


@given(ARRAYS)
def test_an_array_that_can_be_sent_is_not_touched(data: npt.NDArray[Any]) -> None:
    assert wire_array(data) is data


@given(ARRAYS, st.data())
def test_any_other_layout_is_sent_as_it_reads(data: npt.NDArray[Any], draw: st.DataObject) -> None:
    axes = draw.draw(st.permutations(range(data.ndim)))
    steps = tuple(slice(None, None, draw.draw(st.sampled_from([-2, -1, 1, 2]))) for _ in axes)
    swapped = data.astype(data.dtype.newbyteorder()) if draw.draw(st.booleans()) else data
    given_data = np.asfortranarray(swapped).transpose(axes)[steps]
    check_can_be_sent(wire_array(given_data), given_data)


@given(ARRAYS)
def test_subclasses_become_plain_without_a_copy(data: npt.NDArray[Any]) -> None:
    masked = np.ma.masked_array(data, mask=np.ones(data.shape, dtype=bool))
    sent = wire_array(masked)
    check_can_be_sent(sent, data)
    assert np.shares_memory(sent, data)


@given(ARRAYS)
def test_what_shares_its_memory_is_sent_from_there(data: npt.NDArray[Any]) -> None:
    shared: list[object] = [memoryview(data.data), Exporter(data), Readable(data), torch.from_numpy(data)]
    for other in shared:
        sent = wire_array(other)
        check_can_be_sent(sent, data)
        assert np.shares_memory(sent, data)


class Exporter:
    """Knows DLPack, and nothing else."""

    def __init__(self, data: npt.NDArray[Any]) -> None:
        self._data = data

    def __dlpack__(self, **options: Any) -> Any:
        return self._data.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._data.__dlpack_device__()


class Readable:
    """Knows `__array__`, as TensorFlow's variables do."""

    def __init__(self, data: npt.NDArray[Any]) -> None:
        self._data = data

    def __array__(self, dtype: Any = None, *, copy: bool | None = None) -> npt.NDArray[Any]:
        return self._data


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\0\1\xff", np.array([0, 1, 255], np.uint8)),
        (bytearray(b"ab"), np.frombuffer(b"ab", np.uint8)),
        (memoryview(b"abcd")[::2], np.frombuffer(b"ac", np.uint8)),
        (array.array("d", [1, 2]), np.array([1.0, 2.0])),
        ((ctypes.c_int16 * 2)(1, -2), np.array([1, -2], np.int16)),
        (np.arange(6).reshape(2, 3).T.data, np.arange(6).reshape(2, 3).T),
        (torch.arange(6.0).reshape(2, 3).T, np.arange(6, dtype=np.float32).reshape(2, 3).T),
        (torch.tensor([True, False]), np.array([True, False])),
        (torch.nn.Parameter(torch.ones(2)).detach(), np.ones(2, np.float32)),
    ],
)
def test_what_offers_its_elements_is_an_array(data: object, expected: npt.NDArray[Any]) -> None:
    check_can_be_sent(wire_array(data), expected)


def test_tensors_of_tensorflow_are_arrays() -> None:
    import tensorflow as tf

    for tensor in (tf.reshape(tf.range(6.0), (2, 3)), tf.Variable([[1, 2]])):
        check_can_be_sent(wire_array(tensor), tensor.numpy())
    with pytest.raises(TypeError, match="Incompatible tensor type provided object: use one of float64"):
        wire_array(tf.constant(["text"]))
    with pytest.raises(TypeError, match="Incompatible tensor type provided bfloat16: use one of float64"):
        wire_array(tf.ones(2, tf.bfloat16))

    def traced(symbol: object) -> None:
        with pytest.raises(TypeError, match="cannot be read as an array: Cannot convert a symbolic"):
            wire_array(symbol)

    tf.function(traced)(tf.ones(1))


@pytest.mark.parametrize(
    "data",
    [None, 1, 1.5, 1j, True, "text", [1.0], (1.0,), {}, range(3), object(), np.float32(1), np.bool_(0), np.ndarray],
)
def test_what_is_no_array_is_refused_by_type(data: object) -> None:
    with pytest.raises(TypeError) as raised:
        wire_array(data, "tensor")
    assert str(raised.value) == f"Argument tensor is of type {type(data)}, not <class 'numpy.ndarray'>"


@pytest.mark.parametrize(
    "dtype", ["uint32", "uint64", "float16", "complex128", "U3", "S2", "O", "datetime64[s]", "i4,f8"]
)
@pytest.mark.parametrize("shape", [(3,), (), (0, 2)])
def test_other_dtypes_are_refused_by_name(dtype: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(TypeError, match=r"Incompatible tensor type provided .*: use one of float64.*bool"):
        wire_array(np.zeros(shape, dtype))


@pytest.mark.parametrize("shape", [(), (0,), (3, 0)])
@pytest.mark.parametrize("dtype", ["<f8", ">f8"])
def test_what_has_no_elements_or_dimensions_is_refused(shape: tuple[int, ...], dtype: str) -> None:
    with pytest.raises(RedisRuntimeError, match=r"An array of shape \(.*\) cannot be stored"):
        wire_array(np.zeros(shape, dtype))


@pytest.mark.parametrize("data", [b"", torch.ones(()), torch.ones(2, 0), ctypes.c_double(1)])
def test_nor_does_it_matter_what_offers_them(data: object) -> None:
    with pytest.raises(RedisRuntimeError, match=r"An array of shape \(.*\) cannot be stored"):
        wire_array(data)


@pytest.mark.parametrize(
    ("tensor", "remedy"),
    [
        (torch.ones(2).requires_grad_(), ".detach()"),
        (torch.nn.Parameter(torch.ones(2)), ".detach()"),
        (torch.ones(2).to_sparse(), ".to_dense()"),
        (torch.ones(2, device="meta"), ".cpu()"),
        (torch.ones(2, dtype=torch.bfloat16), ".float()"),
        (torch.ones(2, dtype=torch.complex64).conj(), ".resolve_conj()"),
        (torch._neg_view(torch.ones(2)), ".resolve_neg()"),
    ],
)
def test_elements_out_of_reach_are_an_error_that_says_what_to_do(tensor: torch.Tensor, remedy: str) -> None:
    with pytest.raises(TypeError) as raised:
        wire_array(tensor)
    assert "Argument data of type <class 'torch" in str(raised.value)
    assert remedy in str(raised.value)
