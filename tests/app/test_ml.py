"""`smartsim.ml`: models of the frameworks as scripts hand them to an experiment."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ml_models
from smartsim import Experiment
from smartsim.adapters.ml.tensorflow_runtime import TensorFlowRuntime
from smartsim.ml.tf import freeze_model, serialize_model
from smartsim.ports.model_runtime import ModelBlob
from smartsim.testing import fake_adapters

DEADLINE = 60


@pytest.fixture(scope="module")
def model() -> Any:
    tf: Any = import_module("tensorflow")

    dense = tf.keras.layers.Dense
    return tf.keras.Sequential([tf.keras.Input((8,)), *(dense(128, "relu") for _ in range(3)), dense(2)])


def test_a_keras_model_is_frozen_into_a_file_that_runs(model: Any, tmp_path: Path) -> None:
    path, inputs, outputs = freeze_model(model, str(tmp_path / "new" / "directory"), "model")
    assert path == str(tmp_path / "new" / "directory" / "model.pb")
    assert (inputs, outputs) == (["args_0"], ["Identity"])
    x = np.random.default_rng(1).standard_normal((5, 8)).astype(np.float32)
    blob = Path(path).read_bytes()
    (y,) = TensorFlowRuntime().load(ModelBlob(blob, tuple(inputs), tuple(outputs)), "CPU").run([x.copy()])
    assert np.allclose(y, model(x).numpy(), atol=1e-6)


def test_the_suffix_is_added_once_and_files_are_replaced(model: Any, tmp_path: Path) -> None:
    (tmp_path / "model.pb").write_bytes(b"old")
    path, _, _ = freeze_model(model, tmp_path, "model.pb")
    assert path == str(tmp_path / "model.pb")
    assert Path(path).read_bytes() == serialize_model(model)[0]
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.pb"]


def test_the_same_model_gives_the_same_bytes(model: Any) -> None:
    assert serialize_model(model) == serialize_model(model)


def test_what_comes_out_goes_into_an_experiment(model: Any) -> None:
    experiment = Experiment("study", "/virtual", adapters=fake_adapters())
    member = experiment.create_model("member", experiment.create_run_settings("solve"))
    blob, inputs, outputs = serialize_model(model)
    member.add_ml_model("mlp", "TF", model=blob, inputs=inputs, outputs=outputs)
    assert member.db_models[0].inputs == ["args_0"]


@pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated:DeprecationWarning")  # TorchScript is what clients send
def test_torch_and_onnx_models_are_serialized() -> None:
    import torch

    from smartsim.ml import onnx as ml_onnx
    from smartsim.ml import torch as ml_torch

    blob, inputs, outputs = ml_torch.serialize_model(torch.nn.Linear(3, 2))
    assert (inputs, outputs) == (["input"], [""])
    assert blob.startswith(b"PK")
    traced, _, _ = ml_torch.serialize_model(torch.nn.Linear(3, 2), example_inputs=[torch.zeros(1, 3)])
    assert traced.startswith(b"PK")
    assert ml_onnx.serialize_model(ml_models.mlp("ONNX").blob) == (ml_models.mlp("ONNX").blob, ["r0"], ["g2"])


@pytest.mark.parametrize(
    ("module", "framework", "extra"),
    [("tf", "tensorflow", "tensorflow"), ("torch", "torch", "torch"), ("onnx", "onnxruntime", "onnx")],
)
def test_without_the_framework_the_import_says_how_to_get_it(module: str, framework: str, extra: str) -> None:
    script = f"""
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == {framework!r} else found(name)
import smartsim.ml.{module}
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last == f"ModuleNotFoundError: {framework} is not installed: pip install 'smartsim-next[{extra}]'"


@pytest.mark.parametrize(("module", "framework"), [("tf", "tensorflow"), ("torch", "torch"), ("onnx", "onnxruntime")])
def test_importing_does_not_import_the_framework(module: str, framework: str) -> None:
    script = f"import sys, smartsim.ml.{module}; sys.exit({framework!r} in sys.modules)"
    subprocess.run([sys.executable, "-c", script], timeout=DEADLINE, check=True)
