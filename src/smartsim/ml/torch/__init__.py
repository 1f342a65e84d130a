"""Modules and functions of torch as the database takes them: TorchScript. Importing this needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from smartsim.adapters.ml.framework import require
from smartsim.adapters.ml.torch_serializer import TorchSerializer, function_source
from smartsim.app.serialization import serialized

__all__ = ["DataLoader", "DynamicDataGenerator", "StaticDataGenerator", "function_source", "serialize_model"]

if TYPE_CHECKING:
    from smartsim.ml.torch.data import DataLoader, DynamicDataGenerator, StaticDataGenerator

require("torch", extra="torch")


def serialize_model(model: Any, example_inputs: Sequence[Any] = ()) -> tuple[bytes, list[str], list[str]]:
    """Return a module as TorchScript: the same bytes for the same module.

    Args:
        model: a `torch.nn.Module`, or what `torch.jit.script` or `torch.jit.trace` made.
        example_inputs: one tensor per input, to have the module traced instead of compiled.

    Returns:
        The bytes, and the names of its inputs and outputs, which the database does not ask for.

    Raises:
        TypeError: this is no module.
        ValueError: TorchScript cannot compile it.

    Example:
        ::

            blob, _, _ = serialize_model(torch.nn.Linear(8, 2))
            simulation.add_ml_model("linear", "TORCH", model=blob)
    """
    return serialized(TorchSerializer(example_inputs), model)


def __getattr__(name: str) -> Any:
    """Return what is derived from classes of the framework, which is imported then and not before."""
    if name in __all__:
        from smartsim.ml.torch import data

        return getattr(data, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
