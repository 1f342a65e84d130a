"""The documentation of the interface, on the methods of the clients."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])


def documented_as(method: Callable[..., Any]) -> Callable[[_F], _F]:
    """Give a function the docstring of another."""

    def document(function: _F) -> _F:
        function.__doc__ = method.__doc__
        return function

    return document


def returning(function: _F, form: str) -> _F:
    """Have the signature of a function that wraps a method of the interface say what it returns itself.

    Args:
        function: made with `functools.wraps`.
        form: what it returns, with ``{}`` in the place of what the call returns.
    """
    signature = inspect.signature(function)
    returned = str(signature.return_annotation).removeprefix("Call[").removesuffix("]")
    signature = signature.replace(return_annotation=form.format(returned))
    setattr(function, "__signature__", signature)  # noqa: B010 - functions do not declare it
    return function
