"""Datasets as the arrays of xarray, with dimensions, coordinates and attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartsim.app.client.dataset import Dataset
from smartsim.domain.client_errors import RedisRuntimeError, check_type

if TYPE_CHECKING:
    import xarray as xr

_DATA_NAMES = "_xarray_data_names"
_NONE = "null"


class DatasetConverter:
    """Makes `xarray.DataArray` objects of datasets.

    The dataset says how: `add_metadata_for_xarray` notes which of its tensors have which dimensions, coordinates and
    attributes; what these are called is in metadata fields of the dataset.

    Example:
        >>> import numpy as np
        >>> dataset = Dataset("weather")
        >>> dataset.add_tensor("temperature", np.ones(3))
        >>> dataset.add_tensor("x", np.arange(3))
        >>> dataset.add_meta_string("dim", "x")
        >>> dataset.add_meta_string("units", "K")
        >>> DatasetConverter.add_metadata_for_xarray(dataset, "temperature", "dim", "x", "units")
        >>> DatasetConverter.add_metadata_for_xarray(dataset, "x", "dim")
        >>> array = DatasetConverter.transform_to_xarray(dataset)["temperature"]
        >>> array.dims, list(array.coords), array.attrs
        (('x',), ['x'], {'units': 'K'})
    """

    @staticmethod
    def add_metadata_for_xarray(
        dataset: Dataset,
        data_names: list[str] | str,
        dim_names: list[str] | str,
        coord_names: list[str] | str | None = None,
        attr_names: list[str] | str | None = None,
    ) -> None:
        """Note in a dataset how some of its tensors become arrays.

        Args:
            dataset: with the tensors.
            data_names: the tensors.
            dim_names: metadata fields of the dataset that name the tensors' dimensions, in their order.
            coord_names: tensors of the dataset that are coordinates of these. For each of them this is called, too.
            attr_names: metadata fields of the dataset that become attributes.

        Raises:
            TypeError: an argument is of another type.
        """
        check_type(dataset, "dataset", Dataset)
        tensors = _list(data_names, "data_name")
        kinds = {
            "dim_names": _list(dim_names, "dim_name"),
            "coord_names": _list([] if coord_names is None else coord_names, "coord_name"),
            "attr_names": _list([] if attr_names is None else attr_names, "attr_name"),
        }
        for tensor in tensors:
            dataset.add_meta_string(_DATA_NAMES, tensor)
            for kind, names in kinds.items():
                dataset.add_meta_string(f"_xarray_{tensor}_{kind}", ",".join(names) or _NONE)

    @staticmethod
    def transform_to_xarray(dataset: Dataset) -> dict[str, xr.DataArray]:
        """Return the tensors of a dataset for which `add_metadata_for_xarray` was called.

        Returns:
            An `xarray.DataArray` for each, by name; those that are coordinates of others are found there.

        Raises:
            RedisRuntimeError: xarray is not installed, or the metadata are not there.
            RedisKeyError: a tensor is not there.
        """
        check_type(dataset, "dataset", Dataset)
        try:
            import xarray as xr
        except ImportError as error:
            raise RedisRuntimeError(
                "Optional package xarray must be installed; Consider running `pip install smartsim-next[xarray]`",
                "DatasetConverter.transform_to_xarray",
            ) from error
        names = dict.fromkeys(dataset.get_meta_strings(_DATA_NAMES))
        coordinates = {name: _noted(dataset, name, "coord_names") for name in names}
        taken = {coordinate for several in coordinates.values() for coordinate in several}
        variables = {name: _variable(dataset, name) for name in names}
        return {
            name: xr.DataArray(
                variable,
                coords={other: variables[other] for other in coordinates[name] if other in variables},
                name=name,
            )
            for name, variable in variables.items()
            if name not in taken
        }


def _list(names: list[str] | str, argument: str) -> list[str]:
    """Return the names that were given: several or one."""
    if isinstance(names, str):
        return [names]
    check_type(names, f"{argument}s", list)
    for name in names:
        check_type(name, argument, str)
    return names


def _noted(dataset: Dataset, tensor: str, kind: str) -> list[str]:
    """Return the names of one kind that were noted for a tensor."""
    names = _first(dataset, f"_xarray_{tensor}_{kind}")
    return [] if names in {"", _NONE} else names.split(",")


def _first(dataset: Dataset, field: str) -> str:
    texts = dataset.get_meta_strings(field)
    if not texts:
        raise RedisRuntimeError(f"The metadata field {field!r} has no text", "DatasetConverter.transform_to_xarray")
    return texts[0]


def _variable(dataset: Dataset, tensor: str) -> xr.Variable:
    """Return a tensor with its dimensions and attributes."""
    import xarray as xr

    dimensions = [_first(dataset, field) for field in _noted(dataset, tensor, "dim_names")]
    attributes = {field: _first(dataset, field) for field in _noted(dataset, tensor, "attr_names")}
    return xr.Variable(dimensions, dataset.get_tensor(tensor), attributes)
