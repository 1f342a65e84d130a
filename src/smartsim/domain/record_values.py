"""Values of the record, between dataclasses and JSON."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from operator import attrgetter
from typing import Any, Union, get_args, get_origin, get_type_hints

_PLAIN = frozenset((str, int, float, bool, type(None)))
_WHOLE = 512  # bits of the largest whole number that is read: what is computed of it is to be a float


def plain(value: object) -> object:
    """Return a value as JSON has it. What JSON does not have becomes a string.

    Example:
        >>> plain({"n": (1, 2)})
        {'n': [1, 2]}
    """
    if type(value) in _PLAIN or isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return told(value)
    return str(value)


def told(value: Any) -> dict[str, object]:
    """Return the fields of a dataclass by name, as JSON has them, less those that hold their default."""
    kind: Any = type(value)
    names, defaults, contents = shape(kind)
    return {
        name: content if type(content) in _PLAIN else plain(content)
        for name, default, content in zip(names, defaults, contents(value), strict=True)
        if content is not default and content != default
    }


@cache
def shape(kind: Any) -> tuple[Sequence[str], Sequence[object], Callable[[Any], Sequence[object]]]:
    """Return the names of a dataclass's fields, of which it has several; what they hold by default; and what gets them.

    The default of those that have none is equal to nothing.
    """
    names = [item.name for item in fields(kind)]
    defaults = [item.default if item.default_factory is MISSING else item.default_factory() for item in fields(kind)]
    return names, defaults, attrgetter(*names)


@cache
def decoder(hint: Any) -> Callable[[Any], Any]:
    """Return what makes a value of some type out of JSON, and raises `TypeError` where it cannot.

    Args:
        hint: a dataclass, `str`, `int`, `float`, `bool`, `Any`, or an optional, a homogeneous tuple or a mapping of
            such.

    Example:
        >>> decoder(tuple[int, ...])([1, 2])
        (1, 2)
    """
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return _anything
    if origin is tuple:
        return _sequence(decoder(args[0]), None if args[-1] is Ellipsis else len(args))
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(decoder(args[1]))
    if origin in (Union, types.UnionType):
        (inner,) = (decoder(arg) for arg in args if arg is not type(None))
        return _optional(inner)
    if is_dataclass(hint):
        return _record(hint)
    if hint is float:
        return _number
    if hint is str:
        return _word
    if hint is int:
        return _whole
    return _exactly(hint)


def _anything(value: Any) -> Any:
    return value


def _optional(inner: Callable[[Any], Any]) -> Callable[[Any], Any]:
    last: tuple[str, Any] = ("None", None)

    def decode(value: Any) -> Any:
        nonlocal last
        # Members of an ensemble have most of their parts in common: what was decoded last serves again. Two values of
        # JSON may be equal and not the same, such as 1 and true.
        known, written = last, repr(value)
        if known[0] != written:
            known = last = (written, None if value is None else inner(value))
        return known[1]

    return decode


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(_whole(value)) if isinstance(value, int) else value


def _whole(value: Any) -> int:
    if type(value) is not int or value.bit_length() > _WHOLE:
        raise TypeError("No whole number, or one that nothing counts to")
    return value


def _word(value: Any) -> str:
    if type(value) is not str:
        raise TypeError(f"{value!r} is no str")
    return sys.intern(value)  # members of an ensemble have most of their words in common


def _exactly(kind: type) -> Callable[[Any], Any]:
    def decode(value: Any) -> Any:
        if type(value) is not kind:
            raise TypeError(f"{value!r} is no {kind.__name__}")
        return value

    return decode


def _sequence(item: Callable[[Any], Any], length: int | None) -> Callable[[Any], Any]:
    def decode(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or length not in (None, len(value)):
            raise TypeError(f"{value!r} is no list, or not as long as it has to be")
        return tuple([item(element) for element in value])

    return decode


def _mapping(item: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decode(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise TypeError(f"{value!r} is no object")
        return {sys.intern(name): item(element) for name, element in value.items()}

    return decode


def _record(kind: Any) -> Callable[[Any], Any]:
    hints = get_type_hints(kind)
    decoders = {item.name: decoder(hints[item.name]) for item in fields(kind)}

    def decode(value: Any) -> Any:
        if not isinstance(value, dict):
            raise TypeError(f"{value!r} is no object")
        return kind(**{name: decoders[name](item) for name, item in value.items() if name in decoders})

    return decode
