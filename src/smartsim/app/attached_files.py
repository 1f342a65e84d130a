"""Files that users attach to entities: looked at when they are attached, and shown in tables."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from smartsim.domain.attached_files import AttachedFiles
from smartsim.ports.file_system import FileReader, Kind

Paths: TypeAlias = str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None


def checked_files(to_copy: Paths, to_symlink: Paths, to_configure: Paths, files: FileReader) -> AttachedFiles:
    """Return files to attach, once it is certain that they are there.

    Args:
        to_copy: files and directories to copy: one path or several.
        to_symlink: files and directories to link to.
        to_configure: files and directories to copy with the tags in them replaced.
        files: looks at them.

    Raises:
        FileNotFoundError: one is not there.
        TypeError: an argument is no path.
        ValueError: one is called ``smartsim_params.txt``, or a directory to configure holds a link to a directory.
    """
    attached = AttachedFiles(_absolute(to_copy), _absolute(to_symlink), _absolute(to_configure))
    for path in (*attached.copy, *attached.symlink, *attached.configure):
        entry = files.inspect(path)
        if entry is None or entry.kind is None:
            raise FileNotFoundError(f"File or Directory {path} not found: it cannot be attached")
    for path in attached.configure:
        _refuse_directory_links(path, files)
    return attached


def files_table(attached: AttachedFiles | None) -> str:
    """Return a table of the files attached to one entity."""
    if attached is None:
        return "No file attached to this model."
    rows = attached.rows()
    return grid(rows, ["Strategy", "Files"]) if rows else "No file attached to this entity."


def grid(rows: Sequence[tuple[str, str]], headers: Sequence[str]) -> str:
    """Return a table drawn with lines; a cell may have several lines."""
    from tabulate import tabulate  # here, since only tables need it

    return tabulate(rows, headers, tablefmt="grid", disable_numparse=True)


def _absolute(paths: Paths) -> tuple[str, ...]:
    if paths is None:
        return ()
    listed = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    return tuple(os.path.abspath(os.fspath(path)) for path in listed)


def _refuse_directory_links(path: str, files: FileReader) -> None:
    top = files.inspect(path)
    if top is None or top.kind is not Kind.DIRECTORY:
        return
    for name in files.walk(path):
        entry = files.inspect(posixpath.join(path, name))
        if entry is not None and entry.is_link and entry.kind is Kind.DIRECTORY:
            raise ValueError(
                f"{posixpath.join(path, name)} is a link to a directory, which cannot be configured: attach {path} "
                "without it, and the directory it leads to separately"
            )
