"""A file system that lets a user change nothing outside of one directory."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager

from smartsim.embedding import Entry, FileSystem, Part, Placing


class TenantFileSystem:
    """Reads everywhere, and writes below one directory.

    Args:
        inner: does the work.
        root: the directory; absolute.
    """

    def __init__(self, inner: FileSystem, root: str) -> None:
        self._inner = inner
        self._root = os.path.realpath(root)

    def inspect(self, path: str) -> Entry | None:
        """Return what stands at a path."""
        return self._inner.inspect(path)

    def names(self, directory: str) -> Sequence[str]:
        """Return the names of what stands in a directory."""
        return self._inner.names(directory)

    def walk(self, directory: str) -> Sequence[str]:
        """Return every path below a directory."""
        return self._inner.walk(directory)

    def read(self, path: str, last: int | None = None) -> bytes:
        """Return a file's content, or its end."""
        return self._inner.read(path, last)

    def read_range(self, path: str, offset: int, limit: int) -> Part:
        """Return a part of a file."""
        return self._inner.read_range(path, offset, limit)

    def write(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Write a file of the tenant's."""
        self._inner.write(self._own(path), content, mode)

    def append(self, path: str, content: bytes) -> None:
        """Add to the end of a file of the tenant's."""
        self._inner.append(self._own(path), content)

    def make_directory(self, path: str, mode: int = 0o777) -> None:
        """Make a directory of the tenant's."""
        self._inner.make_directory(self._own(path), mode)

    def place(self, source: str, destination: str, placing: Placing) -> None:
        """Copy or link something to a place of the tenant's."""
        self._inner.place(source, self._own(destination), placing)

    def remove(self, path: str) -> None:
        """Remove something of the tenant's."""
        self._inner.remove(self._own(path))

    def locked(self, path: str, timeout: float) -> AbstractContextManager[None]:
        """Keep others from a path of the tenant's."""
        return self._inner.locked(self._own(path), timeout)

    def _own(self, path: str) -> str:
        """Return a path that is the tenant's; links in its directory do not lead out.

        Raises:
            PermissionError: it is not.
        """
        place = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        if os.path.commonpath([place, self._root]) != self._root:
            raise PermissionError(errno.EACCES, f"it is outside of {self._root}", path)
        return path
