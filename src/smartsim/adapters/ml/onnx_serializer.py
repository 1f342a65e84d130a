"""ONNX models as bytes."""

from __future__ import annotations

import os
from typing import Any

from smartsim.adapters.ml.framework import imported
from smartsim.adapters.ml.onnx_runtime import ONNX, OnnxRuntime
from smartsim.ports.model_runtime import ModelBlob, ModelRuntimeError
from smartsim.ports.model_serializer import SerializedModel


class OnnxSerializer:
    """Serializes ONNX models, once onnxruntime has found them sound."""

    backend = ONNX

    def serialize(self, model: Any) -> SerializedModel:
        """Return a model as the database takes it; see `ModelSerializer.serialize`.

        Args:
            model: an `onnx.ModelProto`, bytes of one, or the path of a file of one. All weights have to be in it.
        """
        imported("onnxruntime", "onnx")
        blob = _bytes(model)
        try:
            loaded = OnnxRuntime().load(ModelBlob(blob), "CPU")
        except ModelRuntimeError as error:
            raise ValueError(str(error).removeprefix("ERR ")) from error
        return SerializedModel(blob, ONNX, loaded.input_names, loaded.output_names)


def _bytes(model: Any) -> bytes:
    if isinstance(model, bytes | bytearray | memoryview):
        return bytes(model)
    if isinstance(model, str | os.PathLike):
        with open(model, "rb") as file:
            return file.read()
    if hasattr(model, "graph") and hasattr(model, "SerializeToString"):
        return bytes(model.SerializeToString(deterministic=True))
    raise TypeError(f"an ONNX model is an onnx.ModelProto, its bytes, or the path of its file, not {model!r}")
