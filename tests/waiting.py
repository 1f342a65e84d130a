"""Waiting for what nothing tells of."""

from __future__ import annotations

import time
from collections.abc import Callable

DEADLINE = 60.0  # seconds
_PAUSE = 0.005


def wait_until(condition: Callable[[], object], what: str = "it did not come about in time") -> None:
    """Wait for a condition.

    Args:
        condition: that is to come true.
        what: is said if it does not in time.
    """
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(_PAUSE)
