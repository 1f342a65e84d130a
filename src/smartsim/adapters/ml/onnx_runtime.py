"""ONNX models, run by onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from smartsim.adapters.ml.framework import check_dtypes, failure, gpu_index, imported_to_run
from smartsim.ports.model_runtime import WRONG_INPUTS, ModelBlob, ModelRuntimeError, Parallelism

if TYPE_CHECKING:
    import numpy.typing as npt

ONNX: Final = "ONNX"
_CPU: Final = "CPUExecutionProvider"
_CUDA: Final = "CUDAExecutionProvider"
_ERRORS_ONLY: Final = 3


class OnnxRuntime:
    """Runs ONNX models.

    Args:
        parallelism: the threads that each model may use.
        log: takes a line per model that says by what it really runs.
    """

    backend = ONNX

    def __init__(
        self,
        parallelism: Parallelism = Parallelism(),  # noqa: B008 - it is frozen
        log: Callable[[str], object] = lambda _line: None,
    ) -> None:
        self._parallelism = parallelism
        self._log = log

    def load(self, model: ModelBlob, device: str) -> OnnxModel:
        """Load a model; see `ModelRuntime.load`. All of it has to be in the blob: files beside it are not read."""
        ort = imported_to_run("onnxruntime", "onnx")
        options = ort.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        options.intra_op_num_threads = self._parallelism.intra_op
        options.inter_op_num_threads = self._parallelism.inter_op
        # Weights may be said to lie in files, relative to here: a model must not read what is none of its business.
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
        # Threads that wait for the next run in a loop would keep cores from the simulation.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        gpu = gpu_index(device)
        providers = [_CPU] if gpu is None else [(_CUDA, {"device_id": gpu}), _CPU]
        if gpu is not None and _CUDA not in ort.get_available_providers():
            raise ModelRuntimeError(f"ERR {device} requested but this onnxruntime has no {_CUDA}")
        try:
            session = ort.InferenceSession(model.blob, options, providers=providers)
        except Exception as error:
            raise failure(error, "the ONNX backend cannot load the model") from error
        loaded = OnnxModel(session)
        if gpu is not None and loaded.provider != _CUDA:
            raise ModelRuntimeError(f"ERR {device} requested but onnxruntime would run the model by {loaded.provider}")
        self._log(f"An ONNX model for {device} runs by {loaded.provider}")
        return loaded


class OnnxModel:
    """A session; see `LoadedModel`."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._inputs = tuple(str(node.name) for node in session.get_inputs())
        self._outputs = tuple(str(node.name) for node in session.get_outputs())

    @property
    def provider(self) -> str:
        """What really runs the model, in onnxruntime's words."""
        return str(self._session.get_providers()[0])

    @property
    def input_names(self) -> tuple[str, ...]:
        """As the graph has them."""
        return self._inputs

    @property
    def output_names(self) -> tuple[str, ...]:
        """As the graph has them."""
        return self._outputs

    def run(self, inputs: Sequence[npt.NDArray[Any]]) -> Sequence[npt.NDArray[Any]]:
        """Run the session; see `LoadedModel.run`."""
        if len(inputs) != len(self._inputs):
            raise ModelRuntimeError(WRONG_INPUTS)
        check_dtypes(ONNX, inputs)
        try:
            # Arrays in and out share their memory with the session's values.
            outputs: list[npt.NDArray[Any]] = self._session.run(
                self._outputs, dict(zip(self._inputs, inputs, strict=True))
            )
        except Exception as error:
            raise failure(error) from error
        for name, output in zip(self._outputs, outputs, strict=True):
            if not isinstance(output, np.ndarray):
                raise ModelRuntimeError(f"ERR the output {name} is a {type(output).__name__}, not a tensor")
        return outputs
