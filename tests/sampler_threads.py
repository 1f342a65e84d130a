"""The threads that sample what runs, as tests see them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

_DEADLINE = 30.0
_EARLIER: set[threading.Thread] = set()


@pytest.fixture
def earlier_samplers() -> Iterator[None]:
    """Leave out those of experiments that earlier tests have not closed."""
    _EARLIER.update(threading.enumerate())
    yield
    _EARLIER.clear()


def samplers() -> list[threading.Thread]:
    """Return those that this test has started, and that run."""
    return [thread for thread in threading.enumerate() if thread.name == "smartsim-sampler" and thread not in _EARLIER]


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition.

    Args:
        condition: that is to come true.
        what: is said if it does not in time.
    """
    deadline = time.monotonic() + _DEADLINE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.001)
