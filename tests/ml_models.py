"""Small models of every backend, made on the fly; importing this imports no framework.

`affine` is the same function for all of them, `mlp` and `cnn` are the same networks with the same weights, of which
`mlp_reference` and `cnn_reference` are what NumPy makes of them. Every model is made once per process.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from smartsim.domain.ml_objects import BACKENDS
from smartsim.ports.model_runtime import ModelBlob

Array = npt.NDArray[Any]

FEATURES = 128
CLASSES = 10
IMAGE = (3, 224, 224)

__all__ = [
    "BACKENDS",
    "CLASSES",
    "FEATURES",
    "IMAGE",
    "affine",
    "cnn",
    "cnn_reference",
    "mlp",
    "mlp_reference",
    "sum_and_difference",
]


@cache
def affine(backend: str, dtype: str = "float32", scale: float = 2.0, shift: float = 1.0) -> ModelBlob:
    """A tensor of any shape {n, 4} and a dtype in, scale * x + shift of the same out; computed as float32."""
    if backend == "TORCH":
        return _torch(f"return (x.to(torch.float32) * {scale} + {shift}).to(x.dtype)")
    if backend == "ONNX":
        return _onnx(
            [
                ("Cast", ["x"], ["f"], {"to": 1}),
                ("Mul", ["f", "scale"], ["s"], {}),
                ("Add", ["s", "shift"], ["t"], {}),
                ("Cast", ["t"], ["y"], {"to": _onnx_type(dtype)}),
            ],
            {"scale": np.float32(scale), "shift": np.float32(shift)},
            inputs={"x": (dtype, (None, 4))},
            outputs={"y": (dtype, (None, 4))},
        )
    tf = _tensorflow()
    return _graph(
        backend, lambda x: tf.cast(tf.cast(x, tf.float32) * scale + shift, dtype), [((None, 4), dtype)], ["y"]
    )


@cache
def sum_and_difference(backend: str) -> ModelBlob:
    """Two float32 tensors {n, 4} in, a + b and a - b out."""
    if backend == "TORCH":
        return _torch("return x + y, x - y", "x, y")
    if backend == "ONNX":
        return _onnx(
            [("Add", ["x", "y"], ["sum"], {}), ("Sub", ["x", "y"], ["difference"], {})],
            {},
            inputs={"x": ("float32", (None, 4)), "y": ("float32", (None, 4))},
            outputs={"sum": ("float32", (None, 4)), "difference": ("float32", (None, 4))},
        )
    return _graph(backend, lambda x, y: (x + y, x - y), [((None, 4), "float32")] * 2, ["sum", "difference"])


@cache
def mlp(backend: str) -> ModelBlob:
    """A float32 tensor {n, 128} in and out, through three dense layers of 128 units, ReLU between them."""
    weights = _mlp_weights()
    if backend == "TORCH":
        torch = import_module("torch")
        layers: list[Any] = []
        for weight, bias in weights:
            layers += [_torch_layer(torch.nn.Linear(FEATURES, FEATURES), weight.T, bias), torch.nn.ReLU()]
        return _scripted(torch.nn.Sequential(*layers[:-1]))
    if backend == "ONNX":
        constants = {
            f"{kind}{i}": value for i, pair in enumerate(weights) for kind, value in zip("wb", pair, strict=True)
        }
        nodes: list[tuple[str, list[str], list[str], dict[str, Any]]] = []
        for i in range(len(weights)):
            nodes += [("Gemm", [f"r{i}", f"w{i}", f"b{i}"], [f"g{i}"], {}), ("Relu", [f"g{i}"], [f"r{i + 1}"], {})]
        shape = ("float32", (None, FEATURES))
        return _onnx(nodes[:-1], constants, inputs={"r0": shape}, outputs={f"g{len(weights) - 1}": shape})
    tf = _tensorflow()

    def network(x: Any) -> Any:
        for i, (weight, bias) in enumerate(weights):
            x = tf.matmul(tf.nn.relu(x) if i else x, weight) + bias
        return x

    return _graph(backend, network, [((None, FEATURES), "float32")], ["y"])


def mlp_reference(x: Array) -> Array:
    """What `mlp` computes."""
    for i, (weight, bias) in enumerate(_mlp_weights()):
        x = (np.maximum(x, 0) if i else x) @ weight + bias
    return x


@cache
def cnn(backend: str) -> ModelBlob:
    """A float32 tensor {n, 3, 224, 224} in, {n, 10} out: two strided convolutions with ReLU, mean, a dense layer."""
    first, second, weight, bias = _cnn_weights()
    if backend == "TORCH":
        torch = import_module("torch")
        convolutions = [
            _torch_layer(torch.nn.Conv2d(kernel.shape[1], len(kernel), 3, stride=2, bias=False), kernel)
            for kernel in (first, second)
        ]
        return _scripted(
            torch.nn.Sequential(
                convolutions[0],
                torch.nn.ReLU(),
                convolutions[1],
                torch.nn.ReLU(),
                torch.nn.AdaptiveAvgPool2d(1),
                torch.nn.Flatten(),
                _torch_layer(torch.nn.Linear(len(weight), CLASSES), weight.T, bias),
            )
        )
    if backend == "ONNX":
        return _onnx(
            [
                ("Conv", ["x", "first"], ["c1"], {"strides": [2, 2]}),
                ("Relu", ["c1"], ["r1"], {}),
                ("Conv", ["r1", "second"], ["c2"], {"strides": [2, 2]}),
                ("Relu", ["c2"], ["r2"], {}),
                ("GlobalAveragePool", ["r2"], ["m"], {}),
                ("Flatten", ["m"], ["f"], {}),
                ("Gemm", ["f", "weight", "bias"], ["y"], {}),
            ],
            {"first": first, "second": second, "weight": weight, "bias": bias},
            inputs={"x": ("float32", (None, *IMAGE))},
            outputs={"y": ("float32", (None, CLASSES))},
        )
    tf = _tensorflow()

    def network(x: Any) -> Any:
        x = tf.transpose(x, (0, 2, 3, 1))  # its convolutions on the CPU want the channels last
        for kernel in (first, second):
            x = tf.nn.relu(tf.nn.conv2d(x, kernel.transpose(2, 3, 1, 0), 2, "VALID"))
        return tf.matmul(tf.reduce_mean(x, (1, 2)), weight) + bias

    return _graph(backend, network, [((None, *IMAGE), "float32")], ["y"])


def cnn_reference(x: Array) -> Array:
    """What `cnn` computes."""
    first, second, weight, bias = _cnn_weights()
    for kernel in (first, second):
        windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))[:, :, ::2, ::2]
        x = np.maximum(np.einsum("ncijkl,ockl->noij", windows, kernel, optimize=True), 0)
    return np.asarray(x.mean((2, 3)) @ weight + bias)


@cache
def _mlp_weights() -> list[tuple[Array, Array]]:
    random = np.random.default_rng(7)
    scale = FEATURES**-0.5
    return [(_floats(random, (FEATURES, FEATURES), scale), _floats(random, (FEATURES,), scale)) for _ in range(3)]


@cache
def _cnn_weights() -> tuple[Array, Array, Array, Array]:
    random = np.random.default_rng(8)
    return (
        _floats(random, (8, 3, 3, 3), 0.2),
        _floats(random, (16, 8, 3, 3), 0.1),
        _floats(random, (16, CLASSES), 0.3),
        _floats(random, (CLASSES,), 0.3),
    )


def _floats(random: np.random.Generator, shape: tuple[int, ...], scale: float) -> Array:
    return (random.standard_normal(shape) * scale).astype(np.float32)


def _torch(body: str, names: str = "x") -> ModelBlob:
    """A module of which `forward` does this."""
    torch = import_module("torch")
    unit = torch.jit.CompilationUnit(f"def forward({names}):\n    {body}\n")
    return ModelBlob(unit.forward.save_to_buffer())


def _torch_layer(layer: Any, weight: Array, bias: Array | None = None) -> Any:
    torch = import_module("torch")
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight))
        if bias is not None:
            layer.bias.copy_(torch.from_numpy(bias))
    return layer


def _scripted(module: Any) -> ModelBlob:
    torch = import_module("torch")
    file = io.BytesIO()
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # see above
        torch.jit.save(torch.jit.script(module.eval()), file)
    return ModelBlob(file.getvalue())


def _onnx_type(dtype: str) -> int:
    return int(import_module("onnx.helper").np_dtype_to_tensor_dtype(np.dtype(dtype)))


def _onnx(
    nodes: list[tuple[str, list[str], list[str], dict[str, Any]]],
    constants: dict[str, Any],
    inputs: dict[str, tuple[str, tuple[int | None, ...]]],
    outputs: dict[str, tuple[str, tuple[int | None, ...]]],
) -> ModelBlob:
    helper = import_module("onnx.helper")
    from_array = import_module("onnx.numpy_helper").from_array

    def values(described: dict[str, tuple[str, tuple[int | None, ...]]]) -> list[Any]:
        return [
            helper.make_tensor_value_info(name, _onnx_type(dtype), shape) for name, (dtype, shape) in described.items()
        ]

    graph = helper.make_graph(
        [helper.make_node(kind, into, out, **attributes) for kind, into, out, attributes in nodes],
        "graph",
        values(inputs),
        values(outputs),
        [from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return ModelBlob(model.SerializeToString(deterministic=True))


def _tensorflow() -> Any:
    return import_module("tensorflow")


def _graph(
    backend: str, function: Callable[..., Any], inputs: list[tuple[tuple[int | None, ...], str]], outputs: list[str]
) -> ModelBlob:
    """A frozen graph or a TFLite model of a function of tensors; a graph's outputs have these names."""
    tf = _tensorflow()
    specs = [tf.TensorSpec(shape, dtype) for shape, dtype in inputs]
    if backend == "TFLITE":
        # With an owner of variables, for which TensorFlow asks, inputs and outputs come out in another order.
        traced = tf.function(function).get_concrete_function(*specs)
        return ModelBlob(bytes(tf.lite.TFLiteConverter.from_concrete_functions([traced]).convert()))
    names = tuple("xy"[: len(specs)])
    graph = tf.Graph()
    with graph.as_default():
        placeholders = [
            tf.compat.v1.placeholder(spec.dtype, spec.shape, name) for spec, name in zip(specs, names, strict=True)
        ]
        results = function(*placeholders)
        for result, name in zip(results if isinstance(results, tuple) else (results,), outputs, strict=True):
            tf.identity(result, name if name not in names else f"out_{name}")
    written = tuple(name if name not in names else f"out_{name}" for name in outputs)
    return ModelBlob(graph.as_graph_def().SerializeToString(deterministic=True), names, written)
