"""Whole numbers that users give."""

from __future__ import annotations

from operator import index
from typing import SupportsIndex


def integer(what: str, value: object, at_least: int = 0) -> int:
    """Return a whole number; those of NumPy are fine, a bool is none.

    Args:
        what: names the number in errors.
        value: what the user gave.
        at_least: the smallest that is allowed.

    Raises:
        TypeError: it is no integer.
        ValueError: it is too small.

    Example:
        >>> integer("port", 6379, at_least=1)
        6379
    """
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise TypeError(f"{what} must be an integer, not {type(value).__name__}: {value!r}")
    number = index(value)
    if number < at_least:
        raise ValueError(f"{what} must be at least {at_least}, not {number}")
    return number
