"""What every model serializer does: the fake, and those of the frameworks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import ml_models
from smartsim.adapters.ml import framework
from smartsim.adapters.ml.affine import Affine, AffineRuntime, AffineSerializer
from smartsim.adapters.ml.onnx_runtime import OnnxRuntime
from smartsim.adapters.ml.onnx_serializer import OnnxSerializer
from smartsim.adapters.ml.tensorflow_runtime import TensorFlowRuntime
from smartsim.adapters.ml.tensorflow_serializer import TensorFlowSerializer
from smartsim.adapters.ml.torch_runtime import TorchRuntime
from smartsim.adapters.ml.torch_serializer import TorchSerializer
from smartsim.ports.model_runtime import ModelBlob, ModelRuntime
from smartsim.ports.model_serializer import ModelSerializer

# torch says of all of TorchScript that it is deprecated; it is what the database's clients send.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated:DeprecationWarning")


@dataclass(frozen=True)
class Kind:
    """A serializer, the runtime for what it makes, and a model of the function 2x + 1 that it takes."""

    serializer: Callable[[], ModelSerializer]
    runtime: Callable[[], ModelRuntime]
    model: Callable[[], Any]
    extra: str = ""


def torch_model() -> Any:
    torch = import_module("torch")
    layer = torch.nn.Linear(4, 4)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(4) * 2)
        layer.bias.fill_(1)
    return layer


def keras_model() -> Any:
    keras = import_module("tensorflow").keras
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])
    model.set_weights([np.eye(4) * 2, np.ones(4)])
    return model


KINDS = {
    "affine": Kind(AffineSerializer, AffineRuntime, lambda: Affine(2, 1)),
    "TORCH": Kind(TorchSerializer, TorchRuntime, torch_model, "torch"),
    "ONNX": Kind(OnnxSerializer, OnnxRuntime, lambda: ml_models.affine("ONNX").blob, "onnx"),
    "TF": Kind(TensorFlowSerializer, TensorFlowRuntime, keras_model, "tensorflow"),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


def test_what_is_serialized_runs_and_computes_the_same(kind: Kind) -> None:
    serializer, runtime = kind.serializer(), kind.runtime()
    made = serializer.serialize(kind.model())
    assert made.backend == serializer.backend == runtime.backend
    model = runtime.load(ModelBlob(made.blob, made.inputs, made.outputs), "CPU")
    assert (model.input_names, model.output_names) == (made.inputs, made.outputs)
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    (y,) = model.run([x.copy()])
    assert np.allclose(y, x * 2 + 1)


def test_the_same_model_gives_the_same_bytes(kind: Kind) -> None:
    model = kind.model()
    assert kind.serializer().serialize(model) == kind.serializer().serialize(model)


@pytest.mark.parametrize("thing", [None, 3, object(), ["model"]])
def test_what_is_no_model_is_refused(kind: Kind, thing: Any) -> None:
    with pytest.raises(TypeError, match="not (None|3|<object|\\['model'\\])"):
        kind.serializer().serialize(thing)


@pytest.mark.parametrize("name", ["TORCH", "ONNX", "TF"])
def test_a_framework_that_is_not_installed_is_named_with_its_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = KINDS[name].model()
    monkeypatch.setattr(framework, "find_spec", lambda _module: None)
    with pytest.raises(ModuleNotFoundError, match=rf"pip install 'smartsim-next\[{KINDS[name].extra}\]'"):
        KINDS[name].serializer().serialize(model)
