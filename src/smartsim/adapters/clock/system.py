"""The machine's own clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class SystemClock:
    """Real time."""

    def now(self) -> float:
        """Return the wall-clock time in seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds on a clock that never goes back."""
        return time.monotonic()

    def wait_until(
        self, condition: threading.Condition, predicate: Callable[[], bool], timeout: float | None = None
    ) -> bool:
        """Wait until a predicate holds, woken by notifications of the condition."""
        return condition.wait_for(predicate, timeout)
