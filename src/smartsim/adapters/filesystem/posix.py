"""The file system of this machine."""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from smartsim.ports.file_system import Entry, Kind, Part, Placing

_serial = itertools.count()
_LOCK_INTERVAL = 0.005  # seconds between two tries: flock waits for ever or not at all
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL)


class PosixFileSystem:
    """Files as the operating system has them."""

    def inspect(self, path: str) -> Entry | None:
        """Return what stands at a path, or None when nothing does."""
        try:
            status = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError, ValueError):  # the last: no path can be like that
            return None
        is_link = stat.S_ISLNK(status.st_mode)
        if is_link:
            try:
                status = os.stat(path)
            except OSError:
                return Entry(kind=None, mode=stat.S_IMODE(status.st_mode), is_link=True)
        kind = Kind.DIRECTORY if stat.S_ISDIR(status.st_mode) else Kind.FILE
        return Entry(kind=kind, mode=stat.S_IMODE(status.st_mode), is_link=is_link)

    def names(self, directory: str) -> Sequence[str]:
        """Return the names of what stands in a directory, sorted."""
        with _possible(directory):
            return sorted(os.listdir(directory))

    def walk(self, directory: str) -> Sequence[str]:
        """Return every path below a directory, relative to it and sorted; links are not followed."""
        found: list[str] = []
        for parent, directories, files in os.walk(directory, onerror=_raise):
            found.extend(os.path.relpath(os.path.join(parent, name), directory) for name in (*directories, *files))
        return sorted(found)

    def read(self, path: str, last: int | None = None) -> bytes:
        """Return a file's content, or its end."""
        with open(path, "rb") as stream:
            if last is not None:
                stream.seek(max(0, stream.seek(0, os.SEEK_END) - last))
            return stream.read()

    def read_range(self, path: str, offset: int, limit: int) -> Part:
        """Return a part of a file. One that is no plain file, such as a pipe, is not waited for."""
        with _possible(path):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                number = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.ESPIPE
                raise OSError(number, os.strerror(number), path)
            content = b""
            while limit > len(content) and (more := os.pread(descriptor, limit - len(content), offset + len(content))):
                content += more
            return Part(content, status.st_size)
        finally:
            os.close(descriptor)

    def write(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Write a file atomically, through a temporary file beside it."""
        temporary = f"{path}.{os.getpid()}.{next(_serial)}.part"
        # Made unreadable for others until it has its mode: what is written may be a secret.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            try:
                written = os.write(descriptor, content)
                while written < len(content):
                    written += os.write(descriptor, memoryview(content)[written:])
                os.fchmod(descriptor, mode)
            finally:
                os.close(descriptor)
            os.rename(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise

    def append(self, path: str, content: bytes) -> None:
        """Add to the end of a file in one `write`."""
        with open(path, "ab", buffering=0) as stream:
            if stream.write(content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    def make_directory(self, path: str, mode: int = 0o777) -> None:
        """Make a directory and its missing parents; one that exists is left as it is."""
        try:
            os.mkdir(path, mode)
        except FileNotFoundError:
            os.makedirs(path, mode, exist_ok=True)
        except FileExistsError:
            if not os.path.isdir(path):
                raise

    def place(self, source: str, destination: str, placing: Placing) -> None:
        """Copy or link a file or a directory to a new place."""
        if placing is Placing.SYMLINK:
            _link(source, destination)
        elif os.path.isdir(source):
            shutil.copytree(source, destination, symlinks=True, dirs_exist_ok=True, copy_function=shutil.copy)
        else:
            shutil.copy(source, destination)

    def remove(self, path: str) -> None:
        """Remove a file, a link or a whole directory; nothing happens when nothing stands there."""
        try:
            os.unlink(path)
        except (FileNotFoundError, NotADirectoryError):
            return
        except (IsADirectoryError, PermissionError):
            if not os.path.isdir(path):
                raise
            shutil.rmtree(path)

    @contextmanager
    def locked(self, path: str, timeout: float) -> Iterator[None]:
        """Keep others from locking the same path."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _lock(descriptor, path, timeout)
            yield
        finally:
            os.close(descriptor)


def _lock(descriptor: int, path: str, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TimeoutError(errno.ETIMEDOUT, f"Somebody has held it for {timeout:g} s", path) from None
            time.sleep(_LOCK_INTERVAL)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            return
        else:
            return


def _link(target: str, path: str) -> None:
    try:
        os.symlink(target, path)
    except FileExistsError:
        if not os.path.islink(path):
            raise
        temporary = f"{path}.{os.getpid()}.{next(_serial)}.part"
        os.symlink(target, temporary)
        os.rename(temporary, path)


@contextmanager
def _possible(path: str) -> Iterator[None]:
    """Say of a path that no file can have, such as one with a NUL, that nothing is there."""
    try:
        yield
    except ValueError as error:
        raise FileNotFoundError(errno.ENOENT, f"No file can be called so ({error})", path) from None


def _raise(error: OSError) -> None:
    raise error
