"""Models in memory as bytes or files that the database takes."""

from __future__ import annotations

import os
from typing import Any

from smartsim.adapters.filesystem.posix import PosixFileSystem
from smartsim.ports.model_serializer import ModelSerializer


def serialized(serializer: ModelSerializer, model: Any) -> tuple[bytes, list[str], list[str]]:
    """Return the bytes of a model, and the names of its inputs and outputs."""
    result = serializer.serialize(model)
    return result.blob, list(result.inputs), list(result.outputs)


def serialized_to_file(
    serializer: ModelSerializer, model: Any, directory: str | os.PathLike[str], file_name: str, suffix: str
) -> tuple[str, list[str], list[str]]:
    """Write the bytes of a model to a file.

    Args:
        serializer: makes the bytes.
        model: what it takes.
        directory: made if it is not there.
        file_name: of the file in it.
        suffix: what is added to the name unless it is there.

    Returns:
        The path, and the names of the model's inputs and outputs.
    """
    name = file_name if file_name.endswith(suffix) else file_name + suffix
    path = os.path.join(os.fspath(directory), name)
    blob, inputs, outputs = serialized(serializer, model)
    files = PosixFileSystem()
    files.make_directory(os.fspath(directory))
    files.write(path, blob)
    return path, inputs, outputs


def serializer_of(backend: str) -> ModelSerializer:
    """Return what serializes the models of a backend; its framework is imported when it does.

    Args:
        backend: ``TORCH``, ``ONNX`` or ``TF``.

    Raises:
        TypeError: there is none: TFLite models are bytes to begin with.
    """
    from smartsim.adapters.ml.onnx_serializer import OnnxSerializer
    from smartsim.adapters.ml.tensorflow_serializer import TensorFlowSerializer
    from smartsim.adapters.ml.torch_serializer import TorchSerializer

    serializers: tuple[ModelSerializer, ...] = (TorchSerializer(), OnnxSerializer(), TensorFlowSerializer())
    for serializer in serializers:
        if serializer.backend == backend:
            return serializer
    raise TypeError(
        f"a {backend} model in memory is the bytes of its file: give what TensorFlow's TFLiteConverter returned"
    )
