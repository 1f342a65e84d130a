"""A preview as text: for people, and as JSON for programs."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from smartsim.domain.errors import SmartSimError

if TYPE_CHECKING:
    from smartsim.ports.file_system import FileSystem

_SHOWN_MEMBERS = 2  # of a larger ensemble the first and the last are told of
_MOST_FILES = 10_000


def render_json(description: Mapping[str, Any]) -> str:
    """Return a description for programs."""
    return json.dumps(description, indent=2, ensure_ascii=False) + "\n"


def render_text(description: Mapping[str, Any]) -> str:
    """Return a description for people. Nothing is escaped: it is what it is."""
    lines = ["=== Experiment Overview ===", "", *_fields(description["Experiment Overview"], 1)]
    lines += ["", "=== Entity Preview ==="]
    for title, entries in description.get("Entity Preview", {}).items():
        lines += ["", f"== {title} =="]
        for entry in entries:
            lines += ["", *_entry(entry, 1)]
    return "\n".join(lines) + "\n"


def _entry(entry: Mapping[str, Any], depth: int) -> Iterator[str]:
    (what, name), *fields = entry.items()
    yield f"{'  ' * depth}= {what}: {name} ="
    yield from _fields(dict(fields), depth)


def _fields(fields: Mapping[str, Any], depth: int) -> Iterator[str]:
    margin = "  " * depth
    for title, value in fields.items():
        if title == "Models":
            shown = value if len(value) <= _SHOWN_MEMBERS else [value[0], None, value[-1]]
            for member in shown:
                yield ""
                yield from _entry(member, depth + 1) if member is not None else [f"{margin}  ..."]
        elif isinstance(value, dict):
            yield f"{margin}{title}:"
            yield from _fields(value, depth + 1)
        elif title == "Command":
            yield f"{margin}{title}: {shlex.join(value)}"
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for item in value:
                yield f"{margin}{title}:"
                yield from _fields(item, depth + 1)
        elif isinstance(value, list):
            yield f"{margin}{title}:"
            yield from (f"{margin}  {item}" for item in value)
        elif "\n" in str(value):
            yield f"{margin}{title}:"
            yield from (f"{margin}  {line}".rstrip() for line in str(value).splitlines())
        else:
            yield f"{margin}{title}: {value}"


def write_preview(text: str, filename: str, suffix: str, files: FileSystem) -> str:
    """Write a preview to a file that is not there yet, and return its path.

    Args:
        text: the preview.
        filename: what is asked for; where something stands there, a number is added: ``preview_01.txt``.
        suffix: its ending, if it has none.
        files: where it is written.
    """
    stem, ending = os.path.splitext(os.path.abspath(filename))
    for number in range(_MOST_FILES):
        path = f"{stem}{f'_{number:02}' if number else ''}{ending or suffix}"
        if files.inspect(path) is None:
            files.write(path, text.encode())
            return path
    raise SmartSimError(f"There are too many previews called {filename}: remove some, or choose another name")
