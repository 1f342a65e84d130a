"""The threads that sample what runs, as tests see them."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

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
