"""The one reader of a dashboard, for all who ask."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from smartsim.app.reading import ExperimentReader
from smartsim.ports.clock import Clock

INTERVAL = 0.5
"""Seconds for which what was read is new enough."""


class LiveRecord:
    """Reads what was added to a record when somebody asks, and not more often than each half second.

    Nothing is read while nobody asks. May be used from several threads.

    Args:
        reader: of the experiment.
        clock: tells the time.
    """

    def __init__(self, reader: ExperimentReader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self._lock = threading.Lock()
        self._read_at: float | None = None

    @contextmanager
    def reading(self) -> Iterator[ExperimentReader]:
        """Hand out the reader; nobody else uses it meanwhile."""
        with self._lock:
            now = self._clock.monotonic()
            if self._read_at is None or now - self._read_at >= INTERVAL:
                self._reader.refresh()
                self._read_at = self._clock.monotonic()
            yield self._reader

    def now(self) -> float:
        """Return the time, in seconds since the epoch."""
        return self._clock.now()
