"""Modules and functions of torch as TorchScript."""

from __future__ import annotations

import copy
import inspect
import io
import re
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from smartsim.adapters.ml.framework import imported
from smartsim.adapters.ml.torch_calls import TORCH, arity, parameters
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
        if isinstance(model, torch.jit.ScriptModule | torch.jit.ScriptFunction):
            compiled = model
        elif isinstance(model, torch.nn.Module):
            compiled = self._compiled(torch, model)
        else:
            raise TypeError(f"a model of torch is a torch.nn.Module or compiled by torch.jit, not {model!r}")
        schema = compiled.schema if isinstance(model, torch.jit.ScriptFunction) else compiled.forward.schema
        takes = parameters([argument for argument in schema.arguments if argument.name != "self"])
        file = io.BytesIO()
        torch.jit.save(compiled, file)
        names = () if takes.takes_list else takes.names
        return SerializedModel(file.getvalue(), TORCH, names, ("",) * arity(schema.returns[0].type))

    def _compiled(self, torch: Any, model: Any) -> Any:
        try:
            if self._example_inputs:
                return torch.jit.trace(copy.deepcopy(model).eval(), self._example_inputs)
            return torch.jit.script(model)
        except Exception as error:
            raise ValueError(
                f"TorchScript cannot compile the {type(model).__name__}: {error}\n"
                "Give example inputs to have it traced instead, if they are not what is wrong"
            ) from error


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
