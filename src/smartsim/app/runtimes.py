"""The frameworks that run models and scripts: which are installed, and their runtimes."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from smartsim.ports.model_runtime import ModelRuntime, Parallelism, ScriptRuntime

_DISTRIBUTIONS: Final[Mapping[str, str]] = {
    "torch": "TORCH",
    "onnxruntime": "ONNX",
    "onnxruntime_gpu": "ONNX",
    "onnxruntime_rocm": "ONNX",
    "tensorflow": "TF",
    "tensorflow_cpu": "TF",
    "tensorflow_rocm": "TF",
    "ai_edge_litert": "TFLITE",
}
"""The packages that bring a framework, and its backend."""

EXTRAS: Final[Mapping[str, str]] = {"TORCH": "torch", "ONNX": "onnx", "TF": "tensorflow", "TFLITE": "tflite"}
"""What to install, `smartsim-next[...]`, by backend."""

_ENDING: Final = ".dist-info"


def installed_versions(paths: Sequence[str] = ()) -> dict[str, str]:
    """Return the versions of the installed frameworks, by backend. Nothing is imported, not even NumPy.

    What is installed has a directory called `<name>-<version>.dist-info`, says the PyPA specification "Recording
    installed projects". `importlib.metadata` reads the same, but takes longer to import than a database to start.

    Args:
        paths: where to look; by default where Python does.
    """
    found: dict[str, str] = {}
    for path in paths or sys.path:
        try:
            entries = os.listdir(path or ".")
        except OSError:
            continue
        for entry in entries:
            name, _, version = entry.removesuffix(_ENDING).partition("-")
            backend = _DISTRIBUTIONS.get(name.lower()) if entry.endswith(_ENDING) else None
            if backend is not None:
                found.setdefault(backend, version)
    return found


def model_runtimes(parallelism: Parallelism) -> dict[str, ModelRuntime]:
    """Return what runs the models of a worker, by backend; frameworks are imported when they load something."""
    from smartsim.adapters.ml.onnx_runtime import OnnxRuntime
    from smartsim.adapters.ml.tensorflow_runtime import TensorFlowRuntime
    from smartsim.adapters.ml.tflite_runtime import TfliteRuntime
    from smartsim.adapters.ml.torch_runtime import TorchRuntime

    runtimes: list[ModelRuntime] = [
        TorchRuntime(parallelism),
        OnnxRuntime(parallelism, _log),
        TensorFlowRuntime(parallelism),
        TfliteRuntime(parallelism),
    ]
    return {runtime.backend: runtime for runtime in runtimes}


def script_runtime(parallelism: Parallelism) -> ScriptRuntime:
    """Return what runs scripts."""
    from smartsim.adapters.ml.torch_scripts import TorchScriptRuntime

    return TorchScriptRuntime(parallelism)


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the standard error of a worker is its log
