"""Waiting until there is something to read, whatever the number of the descriptor."""

from __future__ import annotations

import selectors
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike


def is_readable(source: FileDescriptorLike, timeout: float) -> bool:
    """Return whether there is something to read, or the end, before the time is over.

    Args:
        source: what is to be read.
        timeout: in seconds.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(source, selectors.EVENT_READ)
        return bool(selector.select(timeout))
