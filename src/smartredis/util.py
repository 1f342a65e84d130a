"""What scripts took from here of old: names of types, and checks of arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from smartsim.client import RedisReplyError
from smartsim.domain.metadata import SCALAR_CODES
from smartsim.domain.tensor_types import WIRE_NAMES

__all__ = ["Dtypes", "exception_handler", "init_default", "typecheck"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

_METADATA_NAMES = MappingProxyType(
    {dtype: WIRE_NAMES.get(dtype, dtype.upper()) for dtype in SCALAR_CODES}  # UINT32 and UINT64 are not for tensors
)


class Dtypes:
    """What the database calls the types of NumPy."""

    @staticmethod
    def tensor_from_numpy(array: npt.NDArray[Any]) -> str:
        """Return what the type of a tensor's elements is called, for example ``DOUBLE``.

        Raises:
            TypeError: there are no tensors of that type.
        """
        return _name(array, WIRE_NAMES, "tensor")

    @staticmethod
    def metadata_from_numpy(array: npt.NDArray[Any]) -> str:
        """Return what the type of metadata is called, for example ``DOUBLE``.

        Raises:
            TypeError: there are no metadata of that type.
        """
        return _name(array, _METADATA_NAMES, "metadata")

    @staticmethod
    def from_string(type_name: str) -> type[np.generic | str]:
        """Return the type with a name: ``DOUBLE`` is `numpy.float64`, ``STRING`` is `str`.

        Raises:
            TypeError: no type is called that.
        """
        typecheck(type_name, "type_name", str)
        if type_name == "STRING":
            return str
        for dtype, name in {**WIRE_NAMES, **_METADATA_NAMES}.items():
            if name == type_name:
                return np.dtype(dtype).type
        raise TypeError(f"Unrecognized type name {type_name}")


def init_default(default: Any, init_value: Any, expected_type: type | tuple[type, ...] | None = None) -> Any:
    """Return a value, or the default if it is None.

    Raises:
        TypeError: the value is of another type than expected.
    """
    if init_value is None:
        return default
    if expected_type is not None and not isinstance(init_value, expected_type):
        raise TypeError(f"Argument was of type {type(init_value)}, not {expected_type}")
    return init_value


def exception_handler(func: Callable[_P, _T]) -> Callable[_P, _T]:
    """Have the errors of a function say that it was this one, unless they name another."""

    @wraps(func)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return func(*args, **kwargs)
        except RedisReplyError as error:
            error.method = error.method or func.__qualname__
            raise

    return call


def typecheck(arg: object, name: str, _type: type | tuple[type, ...]) -> None:
    """Raise `TypeError` when an argument is not of a type, or of one of some types."""
    if not isinstance(arg, _type):
        raise TypeError(f"Argument {name} is of type {type(arg)}, not {_type}")


def _name(array: npt.NDArray[Any], names: Mapping[str, str], what: str) -> str:
    typecheck(array, "array", np.ndarray)
    try:
        return names[array.dtype.name]
    except KeyError:
        raise TypeError(f"Incompatible {what} type provided {array.dtype}") from None
