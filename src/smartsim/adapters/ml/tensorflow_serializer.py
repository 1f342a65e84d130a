"""Models of TensorFlow and Keras as frozen graphs."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from smartsim.adapters.ml.framework import imported
from smartsim.adapters.ml.tensorflow_operations import check_operations
from smartsim.adapters.ml.tensorflow_runtime import TF
from smartsim.ports.model_serializer import SerializedModel

_SIGNATURE = "serving_default"


class TensorFlowSerializer:
    """Freezes models: one graph, with the variables' values as constants."""

    backend = TF

    def serialize(self, model: Any) -> SerializedModel:
        """Return a model as the database takes it; see `ModelSerializer.serialize`.

        Args:
            model: a Keras model whose inputs are known, the path of a SavedModel, what `tf.saved_model.load` returned,
                a `tf.function` with an input signature, or a concrete function. Of a SavedModel, its signature
                ``serving_default``.
        """
        tf = imported("tensorflow", "tensorflow")
        function, _owner = _concrete_function(tf, model)
        freeze = import_module("tensorflow.python.framework.convert_to_constants").convert_variables_to_constants_v2
        frozen = freeze(function)
        definition = _in_order(
            frozen.graph.as_graph_def(), [tensor.op.name for tensor in (*frozen.inputs, *frozen.outputs)]
        )
        check_operations(definition)
        return SerializedModel(
            definition.SerializeToString(deterministic=True),
            TF,
            tuple(_node(tensor) for tensor in frozen.inputs),
            tuple(_node(tensor) for tensor in frozen.outputs),
        )


def _concrete_function(tf: Any, model: Any) -> tuple[Any, Any]:
    """Return a function from tensors to tensors, and what owns its variables: it must live while they are needed."""
    if isinstance(model, tf.keras.Model):
        return _of_keras(tf, model), model
    if isinstance(model, str | os.PathLike):
        model = tf.saved_model.load(os.fspath(model))
    if isinstance(model, tf.types.experimental.ConcreteFunction):
        return model, model
    if isinstance(model, tf.types.experimental.PolymorphicFunction):
        return model.get_concrete_function(), model
    if not hasattr(model, "signatures"):
        raise TypeError(
            f"a model of TensorFlow is a Keras model, a SavedModel or the path of one, or a tf.function, not {model!r}"
        )
    if _SIGNATURE not in model.signatures:
        raise ValueError(f"the SavedModel has no signature {_SIGNATURE!r} but {sorted(model.signatures)}")
    return model.signatures[_SIGNATURE], model


def _of_keras(tf: Any, model: Any) -> Any:
    try:
        known = model.inputs
    except (AttributeError, ValueError):
        known = None
    if not known:
        raise ValueError(
            f"the Keras model {model.name!r} does not know its inputs: build it, or begin it with keras.Input; "
            "or save a subclass of keras.Model with its method export() and give the path"
        )
    inputs = model.input if len(known) > 1 else known[0]
    specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in tf.nest.flatten(inputs)]
    # The name of the parameter is the name of the inputs, by which scripts know them: args_0, args_1, ...
    call = tf.function(lambda *args: model(tf.nest.pack_sequence_as(inputs, args), training=False))
    return call.get_concrete_function(*specs)


def _in_order(definition: Any, names: list[str]) -> Any:
    """Return a graph with its nodes in order, and without those that the named ones do without.

    Freezing a graph with loops leaves to chance their order, some that nothing uses, and a mark of tracing on others.
    """
    nodes = {node.name: node for node in definition.node}
    needed: dict[str, Any] = {}
    while names:
        name = names.pop()
        if name not in needed:
            node = needed[name] = nodes[name]
            node.input[:] = sorted(node.input, key=lambda given: given if given.startswith("^") else "")
            node.attr.pop("_has_manual_control_dependencies", None)
            names += [given.removeprefix("^").partition(":")[0] for given in node.input]
    return type(definition)(
        node=[needed[name] for name in sorted(needed)], library=definition.library, versions=definition.versions
    )


def _node(tensor: Any) -> str:
    """Return the name of the node that a tensor comes from, which stands for its first output."""
    return str(tensor.name).removesuffix(":0")
