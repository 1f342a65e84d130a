"""An event log in a file, one JSON object per line."""

from __future__ import annotations

import json
import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from smartsim.domain.errors import TelemetryError
from smartsim.ports.event_log import Record

_ENCODER = json.JSONEncoder(ensure_ascii=False)  # `json.dumps` makes one for each call that asks for this


def parse_line(line: bytes) -> dict[str, Any] | None:
    """Return the record that is a line; None for what a crash cut short, or was never ours."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


class JsonlEventLog:
    """Appends to a file that several drivers may share.

    Each append is one `write` to a descriptor opened with O_APPEND, so records of different drivers never mix. A line
    that a crash cut short is left out by `replay`, and closed off before the next append. The descriptor is kept, until
    another file stands at the path.

    Args:
        path: the file; it and its directory are made at the first append.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._file = (0, 0)  # device and number of the file that is open
        self._end = 0  # of what was appended last
        self._descriptor = -1
        self._close: weakref.finalize[[int], JsonlEventLog] | None = None

    @property
    def path(self) -> str:
        """The file."""
        return self._path

    def append(self, records: Sequence[Record]) -> None:
        """Add records at the end.

        Raises:
            TelemetryError: they cannot be written.
        """
        self.append_lines([_ENCODER.encode(record) for record in records])

    def append_lines(self, lines: Sequence[str]) -> None:
        """Add records at the end that are JSON already.

        Raises:
            TelemetryError: they cannot be written.
        """
        if not lines:
            return
        # What is not UTF-8, such as a file name of another encoding, is written as JSON escapes it.
        content = "".join([f"{line}\n" for line in lines]).encode("utf-8", "backslashreplace")
        try:
            with self._lock:
                self._write(content)
        except OSError as error:
            raise TelemetryError(f"Cannot record events in {self._path}: {error.strerror or error}") from error

    def _write(self, lines: bytes) -> None:
        size = self._size()
        # Another driver may have been killed, or a disk full, in the middle of a line at any time.
        if size not in (0, self._end) and os.pread(self._descriptor, 1, size - 1) != b"\n":
            lines = b"\n" + lines
        written = os.write(self._descriptor, lines)
        if written != len(lines):
            raise OSError(f"only {written} of {len(lines)} bytes fitted")
        self._end = size + written

    def _size(self) -> int:
        """Return the size of the file, which is open then."""
        with suppress(OSError):
            status = os.stat(self._path)
            if (status.st_dev, status.st_ino) == self._file:
                return status.st_size
        self._file = (0, 0)  # if the next one cannot be opened, the number may soon be another file's
        if self._close is not None:
            self._close()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            descriptor = os.open(self._path, flags, 0o644)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            descriptor = os.open(self._path, flags, 0o644)
        self._close = weakref.finalize(self, os.close, descriptor)
        self._close.atexit = False  # threads may go on recording until the very end
        status = os.fstat(descriptor)
        self._descriptor, self._end, self._file = descriptor, 0, (status.st_dev, status.st_ino)
        return status.st_size

    def replay(self) -> Iterator[Record]:
        """Return the records from the first to the last."""
        try:
            stream = open(self._path, "rb")  # noqa: SIM115 - closed below; the generator may live on
        except FileNotFoundError:
            return
        with stream:
            for line in stream:
                record = parse_line(line)
                if record is not None:
                    yield record
