"""TorchScript models and sources that only the clients of old need; see `ml_models` for the others."""

from __future__ import annotations

import io
import warnings
from importlib import import_module

FIXED_POINT = 2.0
"""What the slow ones compute."""

SLOW_SCRIPT = """
def slow(loops):
    x = loops.new_zeros([20000]).float()
    for _ in range(int(loops.item())):
        x = x * 0.5 + 1.0
    return x[:3]
"""
"""As many loops as it is told, on too few numbers for more than one thread: threads that share a core take for ever."""


def slow() -> bytes:
    """Return a model that does what `SLOW_SCRIPT` does."""
    unit = import_module("torch").jit.CompilationUnit(SLOW_SCRIPT.replace("slow", "forward"))
    blob: bytes = unit.forward.save_to_buffer()
    return blob


def large(columns: int) -> bytes:
    """Return a model that adds 1 to each element of {n, columns}, with the square of `columns` weights."""
    torch = import_module("torch")
    layer = torch.nn.Linear(columns, columns)
    torch.nn.init.eye_(layer.weight)
    torch.nn.init.ones_(layer.bias)
    stream = io.BytesIO()
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # torch wants to be rid of TorchScript
        torch.jit.save(torch.jit.script(layer), stream)
    return stream.getvalue()
