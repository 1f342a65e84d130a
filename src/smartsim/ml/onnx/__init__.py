"""ONNX models as the database takes them. Importing this needs onnxruntime, which checks them."""

from __future__ import annotations

from typing import Any

from smartsim.adapters.ml.framework import require
from smartsim.adapters.ml.onnx_serializer import OnnxSerializer
from smartsim.app.serialization import serialized

__all__ = ["serialize_model"]

require("onnxruntime", extra="onnx")


def serialize_model(model: Any) -> tuple[bytes, list[str], list[str]]:
    """Return a model as bytes.

    Args:
        model: an `onnx.ModelProto`, bytes of one, or the path of a file of one. All weights have to be in it.

    Returns:
        The bytes, and the names of its inputs and outputs, which the database does not ask for.

    Raises:
        TypeError: this is no ONNX model.
        ValueError: onnxruntime cannot load it.
        OSError: the file cannot be read.

    Example:
        ::

            blob, _, _ = serialize_model("model.onnx")
            simulation.add_ml_model("model", "ONNX", model=blob)
    """
    return serialized(OnnxSerializer(), model)
