"""Events as lines of JSON, made without the objects between them: drivers write three of them for every job."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from functools import cache
from json.encoder import encode_basestring as _string
from math import isfinite
from operator import attrgetter
from typing import Any

from smartsim.domain import record
from smartsim.domain.record_values import plain, shape

_ENCODER = json.JSONEncoder(ensure_ascii=False)  # `json.dumps` makes one for each call that asks for this
_FIRST = ("at", "recorded")  # fields that every event has, and that are written before the others


def line(event: record.Event, recorded: float) -> str:
    """Return an event as it is written, as the text of a JSON object without an end of line.

    It says the same as `record.write`.

    Args:
        event: the one.
        recorded: the time, in seconds since the epoch.

    Example:
        >>> line(record.Launched(2.0, "5f"), recorded=2.5)
        '{"version": 1, "event": "launched", "at": 2.0, "recorded": 2.5, "run_id": "5f"}'
    """
    if isinstance(event, record.Unknown):
        return _ENCODER.encode(record.write(event, recorded))
    head = f'"version": {record.VERSION}, "event": "{event.event}", "at": {_number(event.at)}'
    return f'{{{head}, "recorded": {_number(recorded)}{_fields(event)}}}'


def _fields(value: Any) -> str:
    """Return the fields of a dataclass, less those that hold their default; each behind a comma."""
    kind: Any = type(value)
    names, defaults, contents = _shape(kind)
    text = ""
    for name, default, content in zip(names, defaults, contents(value), strict=True):
        if content is not default and content != default:
            write = _TEXTS.get(type(content), _other)
            text += f"{name}{write(content)}"
    return text


@cache
def _shape(kind: Any) -> tuple[Sequence[str], Sequence[object], Callable[[Any], Sequence[object]]]:
    """Return what stands before the values of a dataclass, what they are by default, and what gets them."""
    names, defaults, _ = shape(kind)
    own = [(name, default) for name, default in zip(names, defaults, strict=True) if name not in _FIRST]
    contents = [name for name, _ in own]
    get = attrgetter(*contents) if len(own) > 1 else lambda value: [getattr(value, name) for name in contents]
    return [f', "{name}": ' for name in contents], [default for _, default in own], get


def _number(value: float) -> str:
    return float.__repr__(value) if type(value) is float and isfinite(value) else _ENCODER.encode(value)


def _list(values: Iterable[object]) -> str:
    return f"[{', '.join([_TEXTS.get(type(value), _other)(value) for value in values])}]"


def _object(values: Mapping[object, object]) -> str:
    fields = [f"{_string(str(name))}: {_TEXTS.get(type(value), _other)(value)}" for name, value in values.items()]
    return f"{{{', '.join(fields)}}}"


def _other(value: Any) -> str:
    if is_dataclass(value):
        return f"{{{_fields(value).removeprefix(', ')}}}"
    return _ENCODER.encode(plain(value))


_TEXTS: Mapping[type, Callable[[Any], str]] = {
    str: _string,
    int: int.__repr__,
    float: _number,
    tuple: _list,
    list: _list,
    dict: _object,
}
