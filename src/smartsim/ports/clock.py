"""The time, and waiting for something to become true."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Where the application reads the time and where it waits."""

    def now(self) -> float:
        """Return the wall-clock time in seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Return seconds on a clock that never goes back; only differences mean something."""
        ...

    def wait_until(
        self, condition: threading.Condition, predicate: Callable[[], bool], timeout: float | None = None
    ) -> bool:
        """Wait until a predicate holds.

        Args:
            condition: held by the caller (once); notified by whoever changes what the predicate reads. It is released
                while waiting.
            predicate: what to wait for; called with the condition held.
            timeout: the longest wait in seconds; None waits for ever.

        Returns:
            What the predicate says at the end.
        """
        ...
