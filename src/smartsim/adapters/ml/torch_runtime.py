"""TorchScript models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from smartsim.adapters.ml.framework import failure
from smartsim.adapters.ml.torch_archive import load_checked
from smartsim.adapters.ml.torch_calls import (
    TORCH,
    flat,
    imported_torch,
    mode_of,
    parameters,
    to_arrays,
    to_tensors,
    torch_device,
)
from smartsim.ports.model_runtime import WRONG_INPUTS, ModelBlob, ModelRuntimeError, Parallelism

if TYPE_CHECKING:
    import numpy.typing as npt


class TorchRuntime:
    """Runs modules that `torch.jit.save` wrote. Their code runs in TorchScript's interpreter; nothing is unpickled.

    Args:
        parallelism: the threads that torch may use, in the whole process.
    """

    backend = TORCH

    def __init__(self, parallelism: Parallelism = Parallelism()) -> None:  # noqa: B008 - it is frozen
        self._parallelism = parallelism

    def load(self, model: ModelBlob, device: str) -> TorchModel:
        """Load a module, for evaluation; see `ModelRuntime.load`."""
        torch = imported_torch(self._parallelism)
        place = torch_device(torch, device)
        try:
            module, operations = load_checked(torch, model.blob, place)
            return TorchModel(torch, module.eval(), operations, place)
        except Exception as error:
            raise failure(error, "the TORCH backend cannot load the model, which has to be TorchScript") from error


class TorchModel:
    """A module on its device; see `LoadedModel`.

    Args:
        torch: the module.
        module: the compiled module.
        operations: the kinds in it.
        device: as torch calls it.
    """

    def __init__(self, torch: Any, module: Any, operations: frozenset[str], device: str) -> None:
        schema = module.forward.schema
        self._torch = torch
        self._device = device
        self._mode = mode_of(torch, operations)
        self._forward = module.forward
        self._parameters = parameters(schema.arguments[1:])  # without `self`
        if not self._parameters.only_tensors:
            raise ValueError(f"forward takes something else than tensors: {schema}")
        self._outputs = _arity(schema.returns[0].type)

    @property
    def input_names(self) -> tuple[str, ...]:
        """The parameters of `forward` that have no default; empty when it takes a list of tensors."""
        return () if self._parameters.takes_list else self._parameters.names

    @property
    def output_names(self) -> tuple[str, ...]:
        """One empty name for each tensor; none when it returns a list of tensors."""
        return ("",) * self._outputs

    def run(self, inputs: Sequence[npt.NDArray[Any]]) -> Sequence[npt.NDArray[Any]]:
        """Call `forward`; see `LoadedModel.run`."""
        torch = self._torch
        arguments = self._parameters.bind(to_tensors(torch, inputs, self._device))
        if arguments is None:
            raise ModelRuntimeError(WRONG_INPUTS)
        try:
            with self._mode():
                result = self._forward(*arguments)
                tensors = flat(torch, result)
                if tensors is not None:
                    return to_arrays(tensors)
        except Exception as error:
            raise failure(error) from error
        raise ModelRuntimeError(f"ERR the model returned a {type(result).__name__}: it has to return tensors")


def _arity(result: Any) -> int:
    """Return how many tensors a type stands for, 0 when that shows in a run only."""
    if result.kind() == "TensorType":
        return 1
    if result.kind() != "TupleType":
        return 0
    inner = [_arity(element) for element in result.elements()]
    return sum(inner) if all(inner) else 0
