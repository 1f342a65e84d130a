"""What users hand over as a tensor, as the array that is sent."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from smartsim.domain.client_errors import RedisRuntimeError, check_type
from smartsim.domain.tensor_types import WIRE_NAMES

_DTYPES: Final = frozenset(map(np.dtype, WIRE_NAMES))
_SUPPORTED: Final = ", ".join(WIRE_NAMES)


def wire_array(data: object, argument: str = "data") -> npt.NDArray[Any]:
    """Return data as an array that can be sent: C order, native byte order, a supported dtype, not empty.

    Nothing is copied unless it has to be rearranged or converted.

    Args:
        data: a NumPy array (of a masked one all elements count, masked or not); or anything that shares its elements:
            a tensor of PyTorch (CPU, dense, no gradient), of TensorFlow (eager) or of another framework with DLPack,
            or an object with the buffer protocol (`array.array`, `memoryview`; `bytes` are of dtype uint8).
        argument: what the call names it.

    Raises:
        TypeError: it is none of these, or its elements are of an unsupported type or cannot be reached.
        RedisRuntimeError: it has no dimension, or no element.
    """
    # The usual case is decided here: every put of a small tensor would notice more.
    if type(data) is np.ndarray and data.dtype in _DTYPES and data.flags.c_contiguous and data.size and data.ndim:
        return data
    array = np.asarray(data) if isinstance(data, np.ndarray) else _shared(data, argument)
    native = array.dtype.newbyteorder("=")
    if native not in _DTYPES:
        raise TypeError(f"Incompatible tensor type provided {array.dtype}: use one of {_SUPPORTED}")
    if not (array.size and array.ndim):
        raise RedisRuntimeError(
            f"An array of shape {array.shape} cannot be stored: a tensor has at least one dimension, and none is zero"
        )
    return np.ascontiguousarray(array, dtype=native)


def _shared(data: object, argument: str) -> npt.NDArray[Any]:
    """Return the elements of something that is no NumPy array, where they are."""
    if isinstance(data, np.generic):  # it has all the protocols below, but the wire has no scalars
        check_type(data, argument, np.ndarray)
    try:
        # DLPack comes last: PyTorch exports negated views unnegated, and TensorFlow ends the process over strings.
        if hasattr(type(data), "__array__"):
            return np.asarray(data)
        if hasattr(type(data), "__dlpack__"):
            return np.from_dlpack(data)  # type: ignore[arg-type]  # just checked
    except Exception as error:
        raise TypeError(
            f"Argument {argument} of type {type(data)} cannot be read as an array: {error} (its elements must be dense "
            f"(.to_dense()), without gradient (.detach()), in the memory of the CPU (.cpu()), and of a supported type "
            f"(.float(), ...): {_SUPPORTED})"
        ) from error
    try:
        return np.asarray(memoryview(data))  # type: ignore[arg-type]  # it is asked whether it can
    except TypeError:
        check_type(data, argument, np.ndarray)
        raise
