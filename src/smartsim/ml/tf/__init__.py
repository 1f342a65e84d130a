"""Models of TensorFlow and Keras as the database takes them: frozen graphs. Importing this needs TensorFlow."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from smartsim.adapters.ml.framework import require
from smartsim.adapters.ml.tensorflow_serializer import TensorFlowSerializer
from smartsim.app.serialization import serialized, serialized_to_file

__all__ = ["DynamicDataGenerator", "StaticDataGenerator", "freeze_model", "serialize_model"]

if TYPE_CHECKING:
    from smartsim.ml.tf.data import DynamicDataGenerator, StaticDataGenerator

require("tensorflow", extra="tensorflow")


def freeze_model(model: Any, output_dir: str | os.PathLike[str], file_name: str) -> tuple[str, list[str], list[str]]:
    """Write a model to a file, as a frozen graph.

    Args:
        model: a Keras model whose inputs are known, a SavedModel or the path of one, or a `tf.function` with an input
            signature.
        output_dir: the directory; made if it is not there.
        file_name: of the file in it; ``.pb`` is added unless it is there.

    Returns:
        The path, and the names of the input and the output nodes.

    Raises:
        TypeError: this is no model of TensorFlow.
        ValueError: the model does not know its inputs.
        OSError: the file cannot be written.

    Example:
        ::

            path, inputs, outputs = freeze_model(model, exp.exp_path, "mnist.pb")
            simulation.add_ml_model("mnist", "TF", model_path=path, inputs=inputs, outputs=outputs)
    """
    return serialized_to_file(TensorFlowSerializer(), model, output_dir, file_name, ".pb")


def serialize_model(model: Any) -> tuple[bytes, list[str], list[str]]:
    """Return a model as a frozen graph: the same bytes for the same model.

    Args:
        model: see `freeze_model`.

    Returns:
        The bytes, and the names of the input and the output nodes.

    Raises:
        TypeError: this is no model of TensorFlow.
        ValueError: the model does not know its inputs.

    Example:
        ::

            blob, inputs, outputs = serialize_model(model)
            simulation.add_ml_model("mnist", "TF", model=blob, inputs=inputs, outputs=outputs)
    """
    return serialized(TensorFlowSerializer(), model)


def __getattr__(name: str) -> Any:
    """Return what is derived from classes of the framework, which is imported then and not before."""
    if name in __all__:
        from smartsim.ml.tf import data

        return getattr(data, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
