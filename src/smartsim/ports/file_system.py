"""Files: looking at them, and the few changes that generating and launching an experiment makes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class Kind(Enum):
    """What a path leads to, links followed."""

    FILE = "file"
    DIRECTORY = "directory"


class Placing(Enum):
    """How a file or directory comes to stand in another place."""

    COPY = "copy"
    SYMLINK = "symlink"


@dataclass(frozen=True)
class Entry:
    """One path as it stands.

    Args:
        kind: what it leads to; None for a link that leads nowhere.
        mode: the permission bits.
        is_link: whether the path itself is a symbolic link.
    """

    kind: Kind | None
    mode: int
    is_link: bool


@dataclass(frozen=True)
class Part:
    """A part of a file.

    Args:
        content: its bytes.
        size: of all of the file at that moment, in bytes.
    """

    content: bytes
    size: int


class FileReader(Protocol):
    """Looks at files. Paths are absolute."""

    def inspect(self, path: str) -> Entry | None:
        """Return what stands at a path, or None when nothing does."""
        ...

    def names(self, directory: str) -> Sequence[str]:
        """Return the names of what stands in a directory, sorted.

        Raises:
            OSError: it cannot be read.
        """
        ...

    def walk(self, directory: str) -> Sequence[str]:
        """Return every path below a directory, relative to it and sorted, parents first; links are not followed."""
        ...

    def read(self, path: str, last: int | None = None) -> bytes:
        """Return a file's content.

        Args:
            path: the file.
            last: only so many bytes of its end; None for all of it.

        Raises:
            OSError: it cannot be read.
        """
        ...

    def read_range(self, path: str, offset: int, limit: int) -> Part:
        """Return a part of a file, and nothing behind its end.

        Args:
            path: the file.
            offset: of the first byte.
            limit: how many bytes, at most.

        Raises:
            OSError: it cannot be read.
        """
        ...


class FileSystem(FileReader, Protocol):
    """Looks at files and changes them. Every method raises `OSError` when the system refuses."""

    def write(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Write a file atomically: readers see the old content or the new, and a failure leaves the old.

        Args:
            path: the file; its directory exists.
            content: all of its new content.
            mode: its permission bits, exactly (no umask).
        """
        ...

    def append(self, path: str, content: bytes) -> None:
        """Add to the end of a file in one go; a file that is not there is made.

        Args:
            path: the file; its directory exists.
            content: what is added.
        """
        ...

    def make_directory(self, path: str, mode: int = 0o777) -> None:
        """Make a directory and its missing parents; one that exists is left as it is.

        Args:
            path: the directory.
            mode: its permission bits when it is made, less the umask.
        """
        ...

    def place(self, source: str, destination: str, placing: Placing) -> None:
        """Copy or link a file or a directory to a new place.

        A copied file keeps its permission bits and replaces a file that stands there. A copied directory gives its
        contents to the destination directory, which is made when it is missing; links in it stay links. A symbolic link
        replaces an older link.

        Raises:
            FileExistsError: a link was asked for and something that is not a link stands there.
        """
        ...

    def remove(self, path: str) -> None:
        """Remove a file, a link or a whole directory; nothing happens when nothing stands there."""
        ...

    def locked(self, path: str, timeout: float) -> AbstractContextManager[None]:
        """Keep others, in this process and in others, from locking the same path; it ends with the process, too.

        On a file system that has no locks, nobody is kept.

        Args:
            path: a file for this alone; it is made, and stays. Its directory exists.
            timeout: the longest wait for others, in seconds.

        Raises:
            TimeoutError: they took longer.
        """
        ...
