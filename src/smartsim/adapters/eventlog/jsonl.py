"""An event log in a file, one JSON object per line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence

from smartsim.domain.errors import TelemetryError
from smartsim.ports.event_log import Record

_ENCODER = json.JSONEncoder(ensure_ascii=False)  # `json.dumps` makes one for each call that asks for this


class JsonlEventLog:
    """Appends to a file that several drivers may share.

    Each append is one `write` to a descriptor opened with O_APPEND, so records of different drivers never mix. A line
    that a crash cut short is left out by `replay`, and closed off before the next append.

    Args:
        path: the file; it and its directory are made at the first append.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def append(self, records: Sequence[Record]) -> None:
        """Add records at the end.

        Raises:
            TelemetryError: they cannot be written.
        """
        if not records:
            return
        # What is not UTF-8, such as a file name of another encoding, is written as JSON escapes it.
        lines = b"".join(_ENCODER.encode(record).encode("utf-8", "backslashreplace") + b"\n" for record in records)
        try:
            self._write(lines)
        except OSError as error:
            raise TelemetryError(f"Cannot record events in {self._path}: {error.strerror or error}") from error

    def _write(self, lines: bytes) -> None:
        descriptor = self._open()
        try:
            # Another driver may have been killed, or a disk full, in the middle of a line at any time.
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                lines = b"\n" + lines
            written = os.write(descriptor, lines)
            if written != len(lines):
                raise OSError(f"only {written} of {len(lines)} bytes fitted")
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            return os.open(self._path, flags, 0o644)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            return os.open(self._path, flags, 0o644)

    def replay(self) -> Iterator[Record]:
        """Return the records from the first to the last."""
        try:
            stream = open(self._path, "rb")  # noqa: SIM115 - closed below; the generator may live on
        except FileNotFoundError:
            return
        with stream:
            for line in stream:
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError):
                    continue  # cut short by a crash, or never ours
                if isinstance(record, dict):
                    yield record
