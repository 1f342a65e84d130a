"""TFLite models, run by LiteRT."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from smartsim.adapters.ml.framework import check_dtypes, failure, imported_to_run
from smartsim.ports.model_runtime import WRONG_INPUTS, ModelBlob, ModelRuntimeError, Parallelism

if TYPE_CHECKING:
    import numpy.typing as npt

TFLITE: Final = "TFLITE"
_Shapes = tuple[tuple[int, ...], ...]


class TfliteRuntime:
    """Runs TFLite models.

    Args:
        parallelism: the threads that each model may use.
    """

    backend = TFLITE

    def __init__(self, parallelism: Parallelism = Parallelism()) -> None:  # noqa: B008 - it is frozen
        self._parallelism = parallelism

    def load(self, model: ModelBlob, device: str) -> TfliteModel:
        """Load a model; see `ModelRuntime.load`."""
        if device != "CPU":
            raise ModelRuntimeError(f"ERR {device} requested but the TFLITE backend runs on the CPU only")
        imported_to_run("ai_edge_litert", "tflite")
        interpreter = import_module("ai_edge_litert.interpreter").Interpreter
        try:
            return TfliteModel(interpreter, model.blob, self._parallelism.intra_op or None)
        except Exception as error:
            raise failure(error, "the TFLITE backend cannot load the model") from error


class TfliteModel:
    """A model with as many interpreters as threads ever ran it at once; see `LoadedModel`.

    Args:
        interpreter: the class.
        blob: the model.
        threads: that each interpreter may use; None leaves it to LiteRT.
    """

    def __init__(self, interpreter: Any, blob: bytes, threads: int | None) -> None:
        self._interpreter = interpreter
        self._blob = blob
        self._threads = threads
        first, shapes = self._new()
        self._inputs = first.get_input_details()
        self._outputs = first.get_output_details()
        self._idle = [(first, shapes)]

    @property
    def input_names(self) -> tuple[str, ...]:
        """As the model has them."""
        return tuple(details["name"] for details in self._inputs)

    @property
    def output_names(self) -> tuple[str, ...]:
        """As the model has them."""
        return tuple(details["name"] for details in self._outputs)

    def run(self, inputs: Sequence[npt.NDArray[Any]]) -> Sequence[npt.NDArray[Any]]:
        """Run an interpreter; see `LoadedModel.run`. Dimension 0 may be any, whatever the model says."""
        if len(inputs) != len(self._inputs):
            raise ModelRuntimeError(WRONG_INPUTS)
        check_dtypes(TFLITE, inputs)
        shapes = tuple(array.shape for array in inputs)
        try:
            interpreter, allocated = self._idle.pop()
        except IndexError:
            interpreter, allocated = self._new()
        try:
            if shapes != allocated:
                self._resize(interpreter, shapes)
            for details, array in zip(self._inputs, inputs, strict=True):
                interpreter.set_tensor(details["index"], array)
            interpreter.invoke()
            outputs = [interpreter.get_tensor(details["index"]) for details in self._outputs]
        except Exception as error:  # and what it left of the interpreter is not used again
            raise failure(error) from error
        self._idle.append((interpreter, shapes))
        return outputs

    def _new(self) -> tuple[Any, _Shapes]:
        interpreter = self._interpreter(model_content=self._blob, num_threads=self._threads)
        interpreter.allocate_tensors()
        return interpreter, tuple(tuple(details["shape"].tolist()) for details in interpreter.get_input_details())

    def _resize(self, interpreter: Any, shapes: _Shapes) -> None:
        for details, shape in zip(self._inputs, shapes, strict=True):
            known = tuple(details["shape_signature"].tolist())
            if len(known) != len(shape) or any(a not in {-1, b} for a, b in zip(known[1:], shape[1:], strict=True)):
                raise ValueError(f"the input {details['name']} takes tensors of the shape {known}, not {shape}")
            interpreter.resize_tensor_input(details["index"], shape)
        interpreter.allocate_tensors()
