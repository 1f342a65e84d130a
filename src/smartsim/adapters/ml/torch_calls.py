"""How TorchScript models and functions are called: devices, parameters, results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from smartsim.adapters.ml.framework import DTYPES, check_dtypes, gpu_index, imported_to_run
from smartsim.ports.model_runtime import ModelRuntimeError, Parallelism

if TYPE_CHECKING:
    import numpy.typing as npt

TORCH: Final = "TORCH"
_DTYPES = DTYPES - {np.dtype("uint16")}
_TENSOR = ("Tensor", "Optional[Tensor]")
_DIFFERENTIATING = {"aten::grad", "aten::backward"}
_SETTING_THREADS: Final = Lock()


def imported_torch(parallelism: Parallelism) -> Any:
    """Return torch, with as many threads as it may use. It takes the number of those for operations only once."""
    torch = imported_to_run("torch", "torch")
    with _SETTING_THREADS:
        if parallelism.intra_op and torch.get_num_threads() != parallelism.intra_op:
            torch.set_num_threads(parallelism.intra_op)
        if parallelism.inter_op and torch.get_num_interop_threads() != parallelism.inter_op:
            torch.set_num_interop_threads(parallelism.inter_op)
    return torch


def mode_of(torch: Any, operations: frozenset[str]) -> Callable[[], AbstractContextManager[Any]]:
    """Return the mode in which a program runs: with gradients only if it asks for some, as of an energy for forces.

    Args:
        torch: the module.
        operations: the kinds in the program.
    """
    mode: Callable[[], AbstractContextManager[Any]] = (
        torch.enable_grad if operations & _DIFFERENTIATING else torch.inference_mode
    )
    return mode


def torch_device(torch: Any, device: str) -> str:
    """Return what torch calls a device.

    Raises:
        ModelRuntimeError: there is no such GPU.
    """
    gpu = gpu_index(device)
    if gpu is None:
        return "cpu"
    if not torch.cuda.is_available():
        raise ModelRuntimeError("GPU requested but Torch couldn't find CUDA")
    if gpu >= torch.cuda.device_count():
        raise ModelRuntimeError(f"ERR {device} requested but Torch finds {torch.cuda.device_count()} GPUs")
    return f"cuda:{gpu}"


def to_tensors(torch: Any, inputs: Sequence[npt.NDArray[Any]], device: str) -> list[Any]:
    """Return tensors that share the memory of arrays, or copies of them on a GPU.

    Raises:
        ModelRuntimeError: an array is of a dtype that the backend does not take (UINT16, STRING).
    """
    check_dtypes(TORCH, inputs, _DTYPES)
    tensors = [torch.from_numpy(array) for array in inputs]
    return tensors if device == "cpu" else [tensor.to(device) for tensor in tensors]


def flat(torch: Any, result: Any) -> list[Any] | None:
    """Return the tensors in what a function returned: one, or tuples and lists of them; None if it is anything else."""
    if isinstance(result, torch.Tensor):
        return [result]
    if not isinstance(result, tuple | list):
        return None
    tensors = []
    for element in result:
        inner = flat(torch, element)
        if inner is None:
            return None
        tensors += inner
    return tensors


def to_arrays(tensors: Sequence[Any]) -> list[npt.NDArray[Any]]:
    """Return arrays that share the memory of tensors where that is the host's and in C order, or copies."""
    return [tensor.contiguous().numpy(force=True) for tensor in tensors]


@dataclass(frozen=True)
class Parameters:
    """What a function takes.

    Attributes:
        names: of the tensors that must be given.
        optional: how many more may be.
        takes_list: whether a list of all further tensors follows.
        only_tensors: whether there is nothing else that must be given.
    """

    names: tuple[str, ...]
    optional: int
    takes_list: bool
    only_tensors: bool

    def bind(self, tensors: Sequence[Any], list_start: int = -1) -> Sequence[Any] | None:
        """Return the arguments of a call, None if the number of tensors does not fit.

        Args:
            tensors: those given.
            list_start: the position among them with which the list begins; -1 for where its parameter stands.
        """
        single = len(self.names) + self.optional
        if self.takes_list:
            if list_start not in {-1, single} or len(tensors) < single:
                return None
            return [*tensors[:single], list(tensors[single:])]
        return tensors if list_start == -1 and len(self.names) <= len(tensors) <= single else None


def parameters(arguments: Sequence[Any]) -> Parameters:
    """Return what a function takes, from the arguments of its schema."""
    single = 0
    while single < len(arguments) and arguments[single].type.annotation_str in _TENSOR:
        single += 1
    names = tuple(argument.name for argument in arguments[:single] if not argument.has_default_value())
    rest = arguments[single:]
    takes_list = bool(rest) and rest[0].type.annotation_str == "List[Tensor]"
    only_tensors = all(argument.has_default_value() for argument in rest[takes_list:])
    return Parameters(names, single - len(names), takes_list, only_tensors)
