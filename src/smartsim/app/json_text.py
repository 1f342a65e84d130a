"""JSON of what views return."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass


def encoded(value: object) -> bytes:
    """Return JSON of a value: what JSON has, and dataclasses of such.

    It is ASCII, so that names which are no UTF-8 pass, too. Numbers that JSON does not have are null.

    Example:
        >>> encoded({"running": (1, float("inf"))})
        b'{"running":[1,null]}'
    """
    try:
        text = _text(value, allow_nan=False)
    except ValueError:
        text = _text(json.loads(_text(value, allow_nan=True), parse_constant=lambda _: None), allow_nan=False)
    return text.encode("ascii")


def indented(value: object) -> str:
    """Return the same as text that people can read, too."""
    return json.dumps(json.loads(encoded(value)), indent=2)


def _text(value: object, *, allow_nan: bool) -> str:
    return json.dumps(value, default=by_name, allow_nan=allow_nan, separators=(",", ":"))


def by_name(value: object) -> dict[str, object]:
    """Return the fields of a dataclass by name; what they hold stays as it is."""
    if not is_dataclass(value) or isinstance(value, type):
        raise TypeError(f"{value!r} has no place in JSON")
    return {item.name: getattr(value, item.name) for item in fields(value)}
