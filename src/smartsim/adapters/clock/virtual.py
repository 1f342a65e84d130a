"""A clock that moves only when somebody waits or says so: whole experiments pass in milliseconds."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable


class VirtualClock:
    """Time for tests.

    Whoever waits makes the time pass: what was scheduled happens in order, in the waiting thread, until the predicate
    holds. Fakes schedule what they do with `call_later`.

    Args:
        start: the first time, in seconds since the epoch.

    Example:
        >>> clock = VirtualClock(start=0.0)
        >>> clock.call_later(60.0, lambda: print("a minute later"))
        >>> clock.advance(90.0)
        a minute later
        >>> clock.now()
        90.0
    """

    def __init__(self, start: float = 1_000_000_000.0) -> None:
        self._start = start
        self._elapsed = 0.0
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def now(self) -> float:
        """Return the virtual time in seconds since the epoch."""
        return self._start + self._elapsed

    def monotonic(self) -> float:
        """Return the virtual seconds since the clock was made."""
        return self._elapsed

    def call_later(self, delay: float, action: Callable[[], None]) -> None:
        """Have something happen once some virtual seconds have passed; what is due together happens in this order."""
        heapq.heappush(self._timers, (self._elapsed + delay, next(self._order), action))

    def advance(self, seconds: float) -> None:
        """Let virtual seconds pass, and what is due in them happen."""
        end = self._elapsed + seconds
        while self._timers and self._timers[0][0] <= end:
            self._run_next()
        self._elapsed = end

    def wait_until(
        self, condition: threading.Condition, predicate: Callable[[], bool], timeout: float | None = None
    ) -> bool:
        """Let time pass until a predicate holds.

        Raises:
            RuntimeError: nothing is scheduled any more and there is no timeout: real time would wait for ever.
        """
        end = None if timeout is None else self._elapsed + timeout
        while not predicate():
            if not self._timers and end is None:
                raise RuntimeError("Nothing is scheduled that could end this wait, and it has no timeout")
            if end is not None and (not self._timers or self._timers[0][0] > end):
                self._elapsed = end
                return predicate()
            condition.release()
            try:
                self._run_next()
            finally:
                condition.acquire()
        return True

    def _run_next(self) -> None:
        when, _, action = heapq.heappop(self._timers)
        self._elapsed = max(self._elapsed, when)
        action()
