"""Values of the record, between dataclasses and JSON."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints


def plain(value: object) -> object:
    """Return a value as JSON has it. What JSON does not have becomes a string.

    Example:
        >>> plain({"n": (1, 2)})
        {'n': [1, 2]}
    """
    if value is None or isinstance(value, str | int | float):
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
    without = _defaults(kind)
    return {
        name: content if type(content) is str else plain(content)
        for name, content in vars(value).items()
        if name not in without or content != without[name]
    }


@cache
def _defaults(kind: Any) -> Mapping[str, object]:
    """Return what fields of a dataclass hold when they are not given; those that have to be are not among them."""
    return {
        item.name: item.default if item.default_factory is MISSING else item.default_factory()
        for item in fields(kind)
        if item.default is not MISSING or item.default_factory is not MISSING
    }


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
        return _sequence(decoder(args[0]))
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(decoder(args[1]))
    if origin in (Union, types.UnionType):
        (inner,) = (decoder(arg) for arg in args if arg is not type(None))
        return lambda value: None if value is None else inner(value)
    if is_dataclass(hint):
        return _record(hint)
    if hint is float:
        return _number
    return _exactly(hint)


def _anything(value: Any) -> Any:
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _exactly(kind: type) -> Callable[[Any], Any]:
    def decode(value: Any) -> Any:
        if type(value) is not kind:
            raise TypeError(f"{value!r} is no {kind.__name__}")
        return value

    return decode


def _sequence(item: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decode(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise TypeError(f"{value!r} is no list")
        return tuple([item(element) for element in value])

    return decode


def _mapping(item: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decode(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise TypeError(f"{value!r} is no object")
        return {name: item(element) for name, element in value.items()}

    return decode


def _record(kind: Any) -> Callable[[Any], Any]:
    hints = get_type_hints(kind)
    decoders = {item.name: decoder(hints[item.name]) for item in fields(kind)}

    def decode(value: Any) -> Any:
        if not isinstance(value, dict):
            raise TypeError(f"{value!r} is no object")
        return kind(**{name: decoders[name](item) for name, item in value.items() if name in decoders})

    return decode
