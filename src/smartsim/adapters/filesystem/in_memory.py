"""A file system in a dictionary."""

from __future__ import annotations

import errno
import os
import posixpath
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from smartsim.ports.file_system import Entry, Kind, Part, Placing


@dataclass(frozen=True)
class _File:
    content: bytes
    mode: int


@dataclass(frozen=True)
class _Directory:
    mode: int


@dataclass(frozen=True)
class _Link:
    target: str


_Node = _File | _Directory | _Link
_LINK_DEPTH = 40


class InMemoryFileSystem:
    """Files for tests: nothing reaches the disk.

    Args:
        directories: what exists at first, besides the root.

    Example:
        >>> files = InMemoryFileSystem(["/study"])
        >>> files.write("/study/input.txt", b"dt = 0.1")
        >>> files.read("/study/input.txt")
        b'dt = 0.1'
    """

    def __init__(self, directories: Sequence[str] = ()) -> None:
        self._nodes: dict[str, _Node] = {"/": _Directory(0o755)}
        self._locks: dict[str, threading.Lock] = {}
        for directory in directories:
            self.make_directory(directory)

    def inspect(self, path: str) -> Entry | None:
        """Return what stands at a path, or None when nothing does."""
        place = self._place_of(path)
        node = self._nodes.get(place)
        if node is None:
            return None
        is_link = isinstance(node, _Link)
        end = self._nodes.get(self._resolve(path))
        if end is None or isinstance(end, _Link):
            return Entry(kind=None, mode=0o777, is_link=True)
        kind = Kind.DIRECTORY if isinstance(end, _Directory) else Kind.FILE
        return Entry(kind=kind, mode=end.mode, is_link=is_link)

    def names(self, directory: str) -> Sequence[str]:
        """Return the names of what stands in a directory, sorted."""
        return [path for path in self.walk(directory) if "/" not in path]

    def walk(self, directory: str) -> Sequence[str]:
        """Return every path below a directory, relative to it and sorted."""
        base = self._resolve(directory)
        node = self._nodes.get(base)
        if not isinstance(node, _Directory):
            raise _error(errno.ENOENT if node is None else errno.ENOTDIR, directory)
        return sorted(posixpath.relpath(path, base) for path in self._below(base))

    def read(self, path: str, last: int | None = None) -> bytes:
        """Return a file's content, or its end."""
        node = self._nodes.get(self._resolve(path))
        if not isinstance(node, _File):
            raise _error(errno.ENOENT if node is None else errno.EISDIR, path)
        return node.content if last is None else node.content[max(0, len(node.content) - last) :]

    def read_range(self, path: str, offset: int, limit: int) -> Part:
        """Return a part of a file."""
        content = self.read(path)
        return Part(content[offset : offset + limit], len(content))

    def write(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Write a file; a link there is replaced."""
        place = self._place_of(path)
        self._need_parent(place)
        if isinstance(self._nodes.get(place), _Directory):
            raise _error(errno.EISDIR, path)
        self._nodes[place] = _File(bytes(content), mode)

    def append(self, path: str, content: bytes) -> None:
        """Add to the end of a file."""
        entry = self.inspect(path)
        if entry is None:
            self.write(path, content)
        else:
            self.write(path, self.read(path) + content, entry.mode)

    def make_directory(self, path: str, mode: int = 0o777) -> None:
        """Make a directory and its missing parents."""
        place = self._resolve(path)
        node = self._nodes.get(place)
        if isinstance(node, _Directory):
            return
        if node is not None:
            raise _error(errno.EEXIST, path)
        self.make_directory(posixpath.dirname(place), mode)
        self._nodes[place] = _Directory(mode & ~0o022)

    def place(self, source: str, destination: str, placing: Placing) -> None:
        """Copy or link a file or a directory to a new place."""
        if placing is Placing.SYMLINK:
            place = self._place_of(destination)
            self._need_parent(place)
            if not isinstance(self._nodes.get(place), _Link | None):
                raise _error(errno.EEXIST, destination)
            self._nodes[place] = _Link(source)
            return
        origin = self._resolve(source)
        node = self._nodes.get(origin)
        if isinstance(node, _Directory):
            self.make_directory(destination)
            target = self._resolve(destination)
            for path in sorted(self._below(origin)):
                self._nodes[posixpath.join(target, posixpath.relpath(path, origin))] = self._nodes[path]
        elif isinstance(node, _File):
            target = self._resolve(destination)
            if isinstance(self._nodes.get(target), _Directory):
                target = posixpath.join(target, posixpath.basename(source))
            self._need_parent(target)
            self._nodes[target] = node
        else:
            raise _error(errno.ENOENT, source)

    def remove(self, path: str) -> None:
        """Remove a file, a link or a whole directory."""
        place = self._place_of(path)
        if isinstance(self._nodes.pop(place, None), _Directory):
            for below in self._below(place):
                del self._nodes[below]

    @contextmanager
    def locked(self, path: str, timeout: float) -> Iterator[None]:
        """Keep others from locking the same path."""
        self.write(path, b"")
        lock = self._locks.setdefault(self._place_of(path), threading.Lock())
        if not lock.acquire(timeout=timeout):
            raise TimeoutError(errno.ETIMEDOUT, f"Somebody has held it for {timeout:g} s", path)
        try:
            yield
        finally:
            lock.release()

    def _below(self, directory: str) -> list[str]:
        start = directory.rstrip("/") + "/"
        return [path for path in self._nodes if path.startswith(start) and path != "/"]

    def _place_of(self, path: str) -> str:
        """Where the path itself stands: links in its directory are followed, a link at its end is not."""
        path = posixpath.normpath(path)
        if path == "/":
            return path
        return posixpath.join(self._resolve(posixpath.dirname(path)), posixpath.basename(path))

    def _resolve(self, path: str) -> str:
        for _ in range(_LINK_DEPTH):
            path = self._place_of(path)
            node = self._nodes.get(path)
            if not isinstance(node, _Link):
                return path
            path = posixpath.join(posixpath.dirname(path), node.target)
        raise _error(errno.ELOOP, path)

    def _need_parent(self, place: str) -> None:
        parent = self._nodes.get(posixpath.dirname(place))
        if parent is None:
            raise _error(errno.ENOENT, place)
        if not isinstance(parent, _Directory):
            raise _error(errno.ENOTDIR, place)


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
