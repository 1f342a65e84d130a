"""What every model runtime does: the fake, and those of all frameworks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ml_models
from smartsim.adapters.ml import framework
from smartsim.adapters.ml.affine import Affine, AffineRuntime, AffineSerializer
from smartsim.adapters.ml.onnx_runtime import OnnxRuntime
from smartsim.adapters.ml.tensorflow_runtime import TensorFlowRuntime
from smartsim.adapters.ml.tflite_runtime import TfliteRuntime
from smartsim.adapters.ml.torch_runtime import TorchRuntime
from smartsim.domain.tensor_types import WIRE_NAMES
from smartsim.ports.model_runtime import (
    WRONG_INPUTS,
    LoadedModel,
    ModelBlob,
    ModelRuntime,
    ModelRuntimeError,
    Parallelism,
)

# torch says of all of TorchScript that it is deprecated; it is what the database's clients send.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated:DeprecationWarning")

DEADLINE = 60
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Kind:
    """A runtime, and how to make a model of the function 2x + 1 for it.

    Attributes:
        runtime: makes it.
        affine: the blob, for tensors {n, 4} of a dtype.
        dtypes: those that it takes.
    """

    runtime: Callable[[], ModelRuntime]
    affine: Callable[[str], ModelBlob]
    dtypes: frozenset[str] = frozenset(WIRE_NAMES)


def toy(_dtype: str) -> ModelBlob:
    return ModelBlob(AffineSerializer().serialize(Affine(2, 1)).blob)


ONE_THREAD = Parallelism(intra_op=1, inter_op=1)
FRAMEWORKS = {
    "TORCH": Kind(TorchRuntime, lambda dtype: ml_models.affine("TORCH", dtype), frozenset(WIRE_NAMES) - {"uint16"}),
    "ONNX": Kind(lambda: OnnxRuntime(ONE_THREAD), lambda dtype: ml_models.affine("ONNX", dtype)),
    "TF": Kind(lambda: TensorFlowRuntime(ONE_THREAD), lambda dtype: ml_models.affine("TF", dtype)),
    "TFLITE": Kind(lambda: TfliteRuntime(ONE_THREAD), lambda dtype: ml_models.affine("TFLITE", dtype)),
}
KINDS = {"affine": Kind(AffineRuntime, toy), **FRAMEWORKS}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@cache
def loaded(name: str) -> LoadedModel:
    return KINDS[name].runtime().load(KINDS[name].affine("float32"), "CPU")


def numbers(rows: int, dtype: str = "float32") -> Array:
    return (np.arange(rows * 4) % 50).astype(dtype).reshape(rows, 4)


@pytest.mark.parametrize(("name", "dtype"), [(name, dtype) for name in KINDS for dtype in sorted(KINDS[name].dtypes)])
def test_every_dtype_and_any_number_of_rows(name: str, dtype: str) -> None:
    model = KINDS[name].runtime().load(KINDS[name].affine(dtype), "CPU")
    for rows in (1, 3, 1, 70, 2):
        x = numbers(rows, dtype)
        (y,) = model.run([x.copy()])
        assert y.dtype == x.dtype
        assert y.flags.c_contiguous
        assert np.array_equal(y, (x.astype(np.float32) * 2 + 1).astype(dtype))


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=30)
@given(rows=st.lists(st.lists(st.floats(-1e6, 1e6, width=32), min_size=4, max_size=4), min_size=1, max_size=20))
def test_any_numbers(name: str, rows: list[list[float]]) -> None:
    x = np.array(rows, dtype=np.float32)
    (y,) = loaded(name).run([x.copy()])
    assert np.allclose(y, x * 2 + 1, rtol=1e-6)


@pytest.mark.parametrize("name", FRAMEWORKS)
@pytest.mark.parametrize("rows", [1, 32])
def test_a_perceptron_computes_what_it_should(name: str, rows: int) -> None:
    x = np.random.default_rng(rows).standard_normal((rows, ml_models.FEATURES)).astype(np.float32)
    (y,) = FRAMEWORKS[name].runtime().load(ml_models.mlp(name), "CPU").run([x.copy()])
    assert np.allclose(y, ml_models.mlp_reference(x), atol=1e-5)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_convolutional_network_computes_what_it_should(name: str) -> None:
    x = np.random.default_rng(1).standard_normal((2, *ml_models.IMAGE)).astype(np.float32)
    (y,) = FRAMEWORKS[name].runtime().load(ml_models.cnn(name), "CPU").run([x.copy()])
    assert np.allclose(y, ml_models.cnn_reference(x), atol=1e-5)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_several_inputs_and_outputs_keep_their_order(name: str) -> None:
    model = FRAMEWORKS[name].runtime().load(ml_models.sum_and_difference(name), "CPU")
    assert len(model.input_names) == len(model.output_names) == 2
    a, b = numbers(2), numbers(2)[::-1].copy()
    total, difference = model.run([a.copy(), b.copy()])
    assert np.array_equal(total, a + b)
    assert np.array_equal(difference, a - b)


def test_names_are_as_many_as_inputs_and_outputs(kind: Kind) -> None:
    model = kind.runtime().load(kind.affine("float32"), "CPU")
    assert len(model.input_names) == len(model.output_names) == 1


def test_outputs_stay_as_they_are_when_the_model_runs_again(kind: Kind) -> None:
    model = kind.runtime().load(kind.affine("float32"), "CPU")
    (first,) = model.run([numbers(3)])
    model.run([np.zeros((3, 4), np.float32)])
    assert np.array_equal(first, numbers(3) * 2 + 1)


@pytest.mark.parametrize("count", [0, 2, 3])
def test_another_number_of_inputs_is_refused(kind: Kind, count: int) -> None:
    model = kind.runtime().load(kind.affine("float32"), "CPU")
    with pytest.raises(ModelRuntimeError) as raised:
        model.run([numbers(1)] * count)
    assert str(raised.value) == WRONG_INPUTS
    assert np.array_equal(model.run([numbers(1)])[0], numbers(1) * 2 + 1)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_other_dtypes_and_shapes_are_refused_and_the_model_goes_on(name: str) -> None:
    model = FRAMEWORKS[name].runtime().load(ml_models.mlp(name), "CPU")
    good = np.ones((2, ml_models.FEATURES), np.float32)
    for bad in (good.astype(np.float64), good[:, :9].copy(), good[0, :9].copy(), good.reshape(1, 2, 2, -1)):
        with pytest.raises(ModelRuntimeError, match=r"^ERR [^\n]+$"):
            model.run([bad.copy()])
        assert np.allclose(model.run([good.copy()])[0], ml_models.mlp_reference(good), atol=1e-5)


def test_strings_are_refused(kind: Kind) -> None:
    model = kind.runtime().load(kind.affine("float32"), "CPU")
    for strings in (np.array([["a"] * 4]), np.array([[b"a"] * 4], dtype=object)):
        with pytest.raises(ModelRuntimeError, match="does not take STRING tensors"):
            model.run([strings])


def test_broken_blobs_are_refused_and_the_runtime_goes_on(kind: Kind) -> None:
    runtime, good = kind.runtime(), kind.affine("float32")
    size = len(good.blob)
    cuts = {0, 1, 4, 8, size // 4, size // 2, size - size // 8, size - 1}
    foreign = [other.affine("float32").blob for other in KINDS.values() if other is not kind]
    for blob in [b"garbage", b"\0" * 1000, b"\xff" * 1000, *foreign, *(good.blob[:cut] for cut in cuts)]:
        with pytest.raises(ModelRuntimeError, match=r"^ERR [^\n]+$"):
            runtime.load(ModelBlob(blob, good.inputs, good.outputs), "CPU")
    assert np.array_equal(runtime.load(good, "CPU").run([numbers(1)])[0], numbers(1) * 2 + 1)


def test_flipped_bytes_crash_nothing(kind: Kind) -> None:
    runtime, good = kind.runtime(), kind.affine("float32")
    random = np.random.default_rng(3)
    outcomes = set()
    for _ in range(60):
        blob = bytearray(good.blob)
        for position in random.integers(0, len(blob), 4):
            blob[position] ^= int(random.integers(1, 256))
        try:
            runtime.load(ModelBlob(bytes(blob), good.inputs, good.outputs), "CPU")
            outcomes.add("loaded")
        except ModelRuntimeError:
            outcomes.add("refused")
    assert "refused" in outcomes


def test_a_gpu_that_is_not_there_is_refused(kind: Kind) -> None:
    with pytest.raises(ModelRuntimeError, match="GPU.* requested but"):
        kind.runtime().load(kind.affine("float32"), "GPU:99")


def test_threads_do_not_disturb_one_another(kind: Kind) -> None:
    model = kind.runtime().load(kind.affine("float32"), "CPU")

    def work(number: int) -> bool:
        x = np.full((number + 1, 4), number, np.float32)
        return all(np.array_equal(model.run([x.copy()])[0], x * 2 + 1) for _ in range(100))

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(work, range(4), timeout=DEADLINE))


def test_backends_are_known_without_importing_a_framework() -> None:
    script = """
import sys
from smartsim.adapters.ml.onnx_runtime import OnnxRuntime
from smartsim.adapters.ml.tensorflow_runtime import TensorFlowRuntime
from smartsim.adapters.ml.tflite_runtime import TfliteRuntime
from smartsim.adapters.ml.torch_runtime import TorchRuntime
from smartsim.adapters.ml.torch_scripts import TorchScriptRuntime
for kind in (TorchRuntime, TorchScriptRuntime, OnnxRuntime, TensorFlowRuntime, TfliteRuntime):
    print(kind().backend)
assert not {"torch", "tensorflow", "onnxruntime", "ai_edge_litert"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.stderr == ""
    assert done.stdout.split() == ["TORCH", "TORCH", "ONNX", "TF", "TFLITE"]


@pytest.mark.parametrize(
    ("name", "extra"), [("TORCH", "torch"), ("ONNX", "onnx"), ("TF", "tensorflow"), ("TFLITE", "tflite")]
)
def test_a_framework_that_is_not_installed_is_told_with_what_to_do(
    name: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = FRAMEWORKS[name].affine("float32")
    monkeypatch.setattr(framework, "find_spec", lambda _module: None)
    runtime = FRAMEWORKS[name].runtime()
    with pytest.raises(ModelRuntimeError, match=rf"^ERR .*pip install 'smartsim-next\[{extra}\]'"):
        runtime.load(model, "CPU")
