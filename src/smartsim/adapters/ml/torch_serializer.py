"""Modules and functions of torch as TorchScript."""

from __future__ import annotations

import copy
import inspect
import io
import re
import textwrap
import warnings
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

from smartsim.adapters.ml.framework import imported
from smartsim.adapters.ml.torch_calls import TORCH
from smartsim.adapters.ml.torch_names import renamed
from smartsim.adapters.ml.torch_runtime import TorchRuntime
from smartsim.ports.model_runtime import ModelBlob, ModelRuntimeError
from smartsim.ports.model_serializer import SerializedModel


class TorchSerializer:
    """Serializes modules: compiled (`torch.jit.script`), or traced (`torch.jit.trace`) if there are example inputs.

    Args:
        example_inputs: one tensor per input. What the module does with them is recorded, and its branches are not.
    """

    backend = TORCH

    def __init__(self, example_inputs: Sequence[Any] = ()) -> None:
        self._example_inputs = tuple(example_inputs)

    def serialize(self, model: Any) -> SerializedModel:
        """Return a module as the database takes it; see `ModelSerializer.serialize`.

        Args:
            model: a `torch.nn.Module`, or what `torch.jit.script` or `torch.jit.trace` made. It is evaluated, not
                trained, where it is run.
        """
        torch = imported("torch", "torch")
        with warnings.catch_warnings():
            # Torch advises against TorchScript, which is what the database runs, and what its users have.
            warnings.filterwarnings("ignore", ".*torch.jit", DeprecationWarning)
            return self._serialize(torch, model)

    def _serialize(self, torch: Any, model: Any) -> SerializedModel:
        if isinstance(model, torch.jit.ScriptModule | torch.jit.ScriptFunction):
            compiled = model
        elif isinstance(model, torch.nn.Module):
            compiled = self._compiled(torch, model)
        else:
            raise TypeError(f"a model of torch is a torch.nn.Module or compiled by torch.jit, not {model!r}")
        file = io.BytesIO()
        torch.jit.save(compiled, file)
        blob = _without_origin(file)
        try:
            loaded = TorchRuntime().load(ModelBlob(blob), "CPU")
        except ModelRuntimeError as error:
            raise ValueError(str(error).removeprefix("ERR ")) from error
        return SerializedModel(blob, TORCH, loaded.input_names, loaded.output_names)

    def _compiled(self, torch: Any, model: Any) -> Any:
        try:
            if not self._example_inputs:
                return torch.jit.script(model)
            # Traced as a function: a module would be named otherwise each time that it is traced.
            still = copy.deepcopy(model).eval().requires_grad_(requires_grad=False)

            def forward(*tensors: Any) -> Any:
                return still(*tensors)

            return torch.jit.trace(forward, self._example_inputs)
        except Exception as error:
            raise ValueError(
                f"TorchScript cannot compile the {type(model).__name__}: {error}\n"
                "Give example inputs to have it traced instead, if they are not what is wrong"
            ) from error


def _without_origin(archive: io.BytesIO) -> bytes:
    """Return a TorchScript archive without what it says of how it was made: the same model gives the same bytes.

    That are the files of the Python source, for a traced module the lines that called, and the number of models that
    the process had compiled before.
    """
    with zipfile.ZipFile(archive) as old:
        root = old.namelist()[0].partition("/")[0]
        records = {
            name.removeprefix(f"{root}/"): old.read(name)
            for name in old.namelist()
            if not name.endswith((".debug_pkl", "/.data/serialization_id"))
        }
    stripped = io.BytesIO()
    with zipfile.ZipFile(stripped, "w") as new:
        for name, content in renamed(records).items():
            new.writestr(zipfile.ZipInfo(f"{root}/{name}"), content)
    return stripped.getvalue()


def function_source(function: Callable[..., Any]) -> str:
    """Return the source of a function as the database takes it for a script: from its ``def`` on, without decorators.

    Raises:
        ValueError: the source is not to be had, as with functions typed into a prompt, or it has no ``def``.

    Example:
        >>> print(function_source(textwrap.dedent))  # doctest: +ELLIPSIS
        def dedent(text):
        ...
    """
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError) as error:
        raise ValueError(
            f"the source of {function!r} is not to be had: write it to a file, or give its text"
        ) from error
    begin = re.search(r"^def ", source, re.MULTILINE)
    if begin is None:
        raise ValueError(f"{function!r} is not made by a def statement, which TorchScript wants")
    return source[begin.start() :]
