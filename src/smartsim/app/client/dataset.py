"""Datasets: tensors and metadata under one name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from smartsim.app.client.arrays import wire_array
from smartsim.app.client.dataset_content import Content
from smartsim.app.client.logging import SRObject
from smartsim.domain.client_errors import (
    RedisInternalError,
    RedisKeyError,
    RedisReplyError,
    RedisRuntimeError,
    check_type,
)
from smartsim.domain.metadata import (
    COMPLETE,
    SCALAR_CODES,
    STRING_CODE,
    TENSOR_NAMES,
    Scalars,
    check,
    decode,
    decode_text,
    encode_scalars,
    encode_strings,
    encode_text,
)

_DTYPES = {code: np.dtype(dtype) for dtype, code in SCALAR_CODES.items()}


class Dataset(SRObject):
    """Tensors and metadata that belong together, under one name.

    It lives in this process: `Client.put_dataset` stores it, `Client.get_dataset` returns a new one. Metadata are
    fields, each with any number of numbers of one type, or of texts.

    Args:
        name: under which it is stored.

    Raises:
        RedisRuntimeError: the name is empty.

    Example:
        >>> dataset = Dataset("step_10")
        >>> dataset.add_tensor("pressure", np.ones((2, 3)))
        >>> dataset.add_meta_scalar("time", 0.1)
        >>> dataset.get_tensor("pressure").shape, dataset.get_meta_scalars("time")
        ((2, 3), array([0.1]))
    """

    def __init__(self, name: str) -> None:
        check_type(name, "name", str)
        if not name:
            raise RedisRuntimeError("Argument name is empty: give a name", "Dataset")
        super().__init__(name)
        self._fields: dict[str, bytes | bytearray] = {}
        self._tensors: Mapping[str, npt.NDArray[Any]] = {}

    @classmethod
    def received(cls, name: str, content: Content) -> Dataset:
        """Return the dataset that a database holds; it keeps the arrays it is given.

        Raises:
            RedisInternalError: a field of the metadata is garbled.
        """
        dataset = cls(name)
        for field, value in content.fields.items():
            try:
                check(value)
            except ValueError as error:
                raise RedisInternalError(
                    f"The metadata field {decode_text(field)!r} of the dataset {name!r} cannot be read: {error}",
                    key=name,
                ) from error
            dataset._fields[decode_text(field)] = value
        dataset._tensors = content.tensors
        return dataset

    @staticmethod
    def from_pybind(dataset: Dataset) -> Dataset:
        """Return the dataset itself: scripts call this on what `Client.get_datasets_from_list` returned of old."""
        check_type(dataset, "dataset", Dataset)
        return dataset

    def get_data(self) -> Dataset:
        """Return the dataset itself: of old, what `from_pybind` and `set_data` take."""
        return self

    def set_data(self, dataset: Dataset) -> None:
        """Become another dataset: from now on both have the same name, tensors and metadata."""
        check_type(dataset, "dataset", Dataset)
        self.__dict__ = dataset.__dict__

    def content(self) -> Content:
        """Return what a database is to hold; the arrays are those of this dataset."""
        return Content({encode_text(field): bytes(value) for field, value in self._fields.items()}, {**self._tensors})

    def get_name(self) -> str:
        """Return the name of the dataset."""
        return self._context

    def add_tensor(self, name: str, data: Any) -> None:
        """Add a tensor; the dataset keeps a copy of it.

        Args:
            name: other than ``meta`` and ``.meta``, which the database needs itself.
            data: what `Client.put_tensor` takes.

        Raises:
            TypeError: not an array, or of an unsupported dtype.
            RedisRuntimeError: there is a tensor of that name already, the name cannot be used, or the array has no
                dimension or no element.
        """
        check_type(name, "name", str)
        if name in self._tensors:
            raise RedisRuntimeError(f"The tensor {name!r} already exists: use another name", "Dataset.add_tensor", name)
        if name in {"", "meta", ".meta"}:
            raise RedisRuntimeError(f"A tensor cannot be named {name!r}: use another name", "Dataset.add_tensor", name)
        encode_text(name)
        try:
            array = wire_array(data)
        except RedisReplyError as error:
            error.method, error.key = "Dataset.add_tensor", name
            raise
        converted = isinstance(data, np.ndarray) and not np.may_share_memory(array, data)
        if not isinstance(self._tensors, dict):
            self._tensors = dict(self._tensors)
        self._tensors[name] = array if converted else array.copy()

    def get_tensor(self, name: str) -> npt.NDArray[Any]:
        """Return a copy of a tensor.

        Raises:
            RedisKeyError: there is none of that name.
        """
        return self._tensor(name, "get_tensor").copy()

    def get_tensor_names(self) -> list[str]:
        """Return the names of the tensors, in the order in which they were added."""
        return list(self._tensors)

    def get_tensor_type(self, name: str) -> type[np.generic]:
        """Return the type of a tensor's elements, for example `numpy.float32`.

        Raises:
            RedisKeyError: there is no tensor of that name.
        """
        return self._tensor(name, "get_tensor_type").dtype.type

    def get_tensor_dims(self, name: str) -> list[int]:
        """Return the dimensions of a tensor.

        Raises:
            RedisKeyError: there is no tensor of that name.
        """
        return list(self._tensor(name, "get_tensor_dims").shape)

    def add_meta_scalar(self, name: str, data: Any) -> None:
        """Add a number to a field of the metadata, which is made when it is not there.

        Args:
            name: of the field.
            data: a number, or an array with one element: float64, float32, int32, int64, uint32 or uint64. An `int`
                is an int64, a `float` a float64.

        Raises:
            TypeError: it is not one number, or of another type.
            RedisRuntimeError: the field has values of another type.
        """
        scalar = np.asarray(data)
        if scalar.size != 1:
            raise TypeError(f"Argument provided is not a scalar: it has {scalar.size} elements")
        if scalar.dtype.name not in SCALAR_CODES:
            raise TypeError(f"Incompatible metadata type provided {scalar.dtype}: use one of {', '.join(SCALAR_CODES)}")
        packed = scalar.astype(scalar.dtype.newbyteorder("<")).tobytes()
        self._append(name, encode_scalars(scalar.dtype.name, packed), "add_meta_scalar")

    def add_meta_string(self, name: str, data: str) -> None:
        """Add a text to a field of the metadata, which is made when it is not there.

        Raises:
            RedisRuntimeError: the field has numbers.
        """
        check_type(data, "data", str)
        self._append(name, encode_strings([encode_text(data)]), "add_meta_string")

    def get_meta_scalars(self, name: str) -> npt.NDArray[Any]:
        """Return the numbers of a field of the metadata.

        Returns:
            A new array of one dimension.

        Raises:
            RedisRuntimeError: there is no such field, or it has texts.
        """
        values = self._values(name, "get_meta_scalars")
        if not isinstance(values, Scalars):
            raise RedisRuntimeError(
                f"The metadata field {name!r} has texts: use get_meta_strings", "Dataset.get_meta_scalars", name
            )
        return np.frombuffer(values.packed, np.dtype(values.dtype).newbyteorder("<")).astype(values.dtype)

    def get_meta_strings(self, name: str) -> list[str]:
        """Return the texts of a field of the metadata.

        Raises:
            RedisRuntimeError: there is no such field, or it has numbers.
        """
        values = self._values(name, "get_meta_strings")
        if isinstance(values, Scalars):
            raise RedisRuntimeError(
                f"The metadata field {name!r} has numbers: use get_meta_scalars", "Dataset.get_meta_strings", name
            )
        return [decode_text(text) for text in values]

    def get_metadata_field_names(self) -> list[str]:
        """Return the names of the fields of the metadata."""
        return list(self._fields)

    def get_metadata_field_type(self, name: str) -> type[np.generic | str]:
        """Return the type of a field's values, for example `numpy.int64`; `str` for texts.

        Raises:
            RedisKeyError: there is no such field.
        """
        check_type(name, "name", str)
        if name not in self._fields:
            method = "Dataset.get_metadata_field_type"
            raise RedisKeyError(f"The dataset {self._context!r} does not have the field {name!r}", method, name)
        code = self._fields[name][0]
        return str if code == STRING_CODE else _DTYPES[code].type

    def __str__(self) -> str:
        tensors = "".join(
            f"  {name}:\n    type: {_in_words(array.dtype)}\n    dimensions: {list(array.shape)}\n"
            f"    elements: {array.size}\n"
            for name, array in self._tensors.items()
        )
        fields = "".join(
            f"  {name}:\n    type: {'string' if value[0] == STRING_CODE else _in_words(_DTYPES[value[0]])}\n"
            for name, value in self._fields.items()
        )
        none = "  none\n"
        return f"DataSet ({self._context}):\nTensors:\n{tensors or none}Metadata:\n{fields or none}"

    def _tensor(self, name: str, method: str) -> npt.NDArray[Any]:
        check_type(name, "name", str)
        if name not in self._tensors:
            cause = f"The tensor {name!r} does not exist in the dataset {self._context!r}"
            raise RedisKeyError(cause, f"Dataset.{method}", name)
        return self._tensors[name]

    def _values(self, name: str, method: str) -> Scalars | list[bytes]:
        check_type(name, "name", str)
        if name not in self._fields:
            cause = f"The metadata field {name!r} does not exist in the dataset {self._context!r}"
            raise RedisRuntimeError(cause, f"Dataset.{method}", name)
        return decode(bytes(self._fields[name]))

    def _append(self, name: str, field: bytes, method: str) -> None:
        """Add to a field the values of another one."""
        check_type(name, "name", str)
        if encode_text(name) in {TENSOR_NAMES, COMPLETE}:
            cause = f"A metadata field cannot be named {name!r}: use another name"
            raise RedisRuntimeError(cause, f"Dataset.{method}", name)
        present = self._fields.get(name)
        if present is None:
            self._fields[name] = field
            return
        if present[0] != field[0]:
            has = self.get_metadata_field_type(name).__name__
            cause = f"The metadata field {name!r} has values of another type, {has}: use another name"
            raise RedisRuntimeError(cause, f"Dataset.{method}", name)
        if isinstance(present, bytes):
            present = self._fields[name] = bytearray(present)
        present += field[1:]


def _in_words(dtype: np.dtype[Any]) -> str:
    if dtype.kind in "iu":
        return f"{8 * dtype.itemsize} bit {'un' if dtype.kind == 'u' else ''}signed integer"
    return {"float64": "double", "float32": "float", "bool": "boolean"}[dtype.name]
