"""TorchScript functions and scripts."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from smartsim.adapters.ml.framework import failure
from smartsim.adapters.ml.torch_calls import (
    TORCH,
    Parameters,
    flat,
    imported_torch,
    mode_of,
    parameters,
    to_arrays,
    to_tensors,
    torch_device,
)
from smartsim.adapters.ml.torch_operations import checked_operations
from smartsim.ports.model_runtime import ModelRuntimeError, Parallelism

if TYPE_CHECKING:
    import numpy.typing as npt

_EXCEPTIONS = {
    name: kind for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, Exception)
}
_ENTRY_POINT = ("List[Tensor]", "List[str]", "List[str]")


class TorchScriptRuntime:
    """Compiles and runs TorchScript.

    Args:
        parallelism: the threads that torch may use, in the whole process.
    """

    backend = TORCH

    def __init__(self, parallelism: Parallelism = Parallelism()) -> None:  # noqa: B008 - it is frozen
        self._parallelism = parallelism

    def load(self, source: str, entry_points: Sequence[str], device: str) -> TorchScript:
        """Compile a script; see `ScriptRuntime.load`. Of Python it knows `torch`, `math` and the exceptions."""
        torch = imported_torch(self._parallelism)
        place = torch_device(torch, device)
        unit = torch.jit.CompilationUnit()
        try:
            unit.define(f"{source}\n", {"torch": torch, "math": math, **_EXCEPTIONS}.get)
            functions = {function.name: function for function in unit.get_functions()}
            # Inlined: what they call in torch is in no unit of theirs.
            operations = checked_operations(torch, ((name, f.inlined_graph) for name, f in functions.items()))
        except Exception as error:
            raise failure(error, "the script does not compile") from error
        for name in entry_points:
            _check_entry_point(name, functions.get(name))
        return TorchScript(torch, functions, frozenset(entry_points), operations, place)


class TorchScript:
    """A compiled script; see `LoadedScript`.

    Args:
        torch: the module.
        functions: compiled, by name.
        entry_points: the names of some of them.
        operations: the kinds in all of them.
        device: as torch calls it.
    """

    def __init__(
        self,
        torch: Any,
        functions: dict[str, Any],
        entry_points: frozenset[str],
        operations: frozenset[str],
        device: str,
    ) -> None:
        self._torch = torch
        self._mode = mode_of(torch, operations)
        self._functions: dict[str, tuple[Any, Parameters]] = {
            name: (function, parameters(function.schema.arguments)) for name, function in functions.items()
        }
        self._entry_points = entry_points
        self._device = device

    def call(
        self,
        function: str,
        inputs: Sequence[npt.NDArray[Any]],
        keys: Sequence[str],
        args: Sequence[str],
        list_start: int,
        outputs: int,
    ) -> Sequence[npt.NDArray[Any]]:
        """Call a function; see `LoadedScript.call`."""
        compiled, takes = self._functions.get(function, (None, None))
        if compiled is None or takes is None:
            raise ModelRuntimeError(f"Function does not exist: {function}")
        tensors = to_tensors(self._torch, inputs, self._device)
        if function in self._entry_points:
            return self._call(function, compiled, [tensors, list(keys), list(args)], outputs)
        if not takes.only_tensors:
            raise ModelRuntimeError(f"Unsupported input type in function definition: {function}")
        arguments = takes.bind(tensors, list_start)
        if arguments is None:
            raise ModelRuntimeError(f"Wrong number of inputs provided to function: {function}")
        return self._call(function, compiled, arguments, outputs)

    def _call(self, name: str, function: Any, arguments: Sequence[Any], outputs: int) -> Sequence[npt.NDArray[Any]]:
        try:
            with self._mode():
                result = function(*arguments)
                tensors = [] if result is None else flat(self._torch, result)
                if tensors is not None and len(tensors) == outputs:
                    return to_arrays(tensors)
        except Exception as error:
            raise failure(error) from error
        if tensors is None:
            raise ModelRuntimeError(f"Function returned non-tensor values - {name}")
        raise ModelRuntimeError(f"Function returned unexpected number of outputs - {name}")


def _check_entry_point(name: str, function: Any) -> None:
    if function is None:
        raise ModelRuntimeError(f"Function {name} does not exist in the given script.")
    types = tuple(argument.type.annotation_str for argument in function.schema.arguments)
    if len(types) != len(_ENTRY_POINT):
        raise ModelRuntimeError(f"Wrong number of inputs in function {name}. Expected 3 but was {len(types)}")
    if types != _ENTRY_POINT:
        raise ModelRuntimeError(
            f"Wrong inputs type in function {name}. Expected signature similar to: "
            f"def {name}(tensors: List[Tensor], keys: List[str], args: List[str])"
        )
