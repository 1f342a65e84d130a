"""What the adapters of all frameworks have in common."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from smartsim.domain.tensor_types import WIRE_NAMES
from smartsim.ports.model_runtime import ModelRuntimeError

if TYPE_CHECKING:
    import numpy.typing as npt

DTYPES: Final = frozenset(map(np.dtype, WIRE_NAMES))
"""Those that tensors can have, STRING aside."""


def require(module: str, extra: str) -> None:
    """See that a framework is installed. Does not import it.

    Args:
        module: what is imported.
        extra: the extra of this package that brings it.

    Raises:
        ModuleNotFoundError: it is not installed; the message says what to do.
    """
    if find_spec(module) is None:
        raise ModuleNotFoundError(f"{module} is not installed: pip install 'smartsim-next[{extra}]'", name=module)


def imported(module: str, extra: str) -> Any:
    """Import a framework; see `require`."""
    require(module, extra)
    return import_module(module)


def imported_to_run(module: str, extra: str) -> Any:
    """Import a framework, for a client.

    Raises:
        ModelRuntimeError: it is not installed, or broken.
    """
    try:
        return imported(module, extra)
    except Exception as error:
        raise failure(error) from error


def failure(error: Exception, doing: str = "") -> ModelRuntimeError:
    """Return what a client is told when a framework raised an error.

    Args:
        error: what it raised.
        doing: what could not be done, if its message alone would puzzle.
    """
    message = str(error).strip() or type(error).__name__
    return ModelRuntimeError(f"ERR {doing}: {message}" if doing else f"ERR {message}")


def check_dtypes(backend: str, inputs: Sequence[npt.NDArray[Any]], accepted: frozenset[np.dtype[Any]] = DTYPES) -> None:
    """Refuse arrays that a backend does not take.

    Raises:
        ModelRuntimeError: the first that is of another dtype.
    """
    for position, array in enumerate(inputs):
        if array.dtype not in accepted:
            name = WIRE_NAMES.get(array.dtype.name, "STRING")
            raise ModelRuntimeError(
                f"ERR the {backend} backend does not take {name} tensors, which input {position} is"
            )


def gpu_index(device: str) -> int | None:
    """Return the number of the GPU that a device is, None for the CPU.

    Example:
        >>> gpu_index("GPU:1"), gpu_index("CPU")
        (1, None)
    """
    return int(device.partition(":")[2]) if device != "CPU" else None
