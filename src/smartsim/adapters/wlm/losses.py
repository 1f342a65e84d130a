"""Nodes that an allocation has lost, which is asked when a step has ended badly."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from smartsim.ports.clock import Clock

_REST = 1.0  # seconds between two questions

Then: TypeAlias = Callable[[Collection[str]], None]
"""What is done once it is known which nodes are lost."""


class Losses:
    """Asks which nodes are left, in a thread of its own, once for all who want to know meanwhile.

    Args:
        nodes: the names of those that the allocation had.
        remaining: returns the names of those that it has; may raise anything when the scheduler does not answer.
        clock: waits.
    """

    def __init__(self, nodes: Iterable[str], remaining: Callable[[], Collection[str]], clock: Clock) -> None:
        self._nodes = frozenset(nodes)
        self._remaining = remaining
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: list[Then] = []
        self._lost: frozenset[str] = frozenset()
        self._thread: threading.Thread | None = None
        self._is_closing = False

    def ask(self, then: Then) -> None:
        """Have something done with the names of the nodes that are lost by now, as far as anybody can tell."""
        with self._changed:
            if not self._is_closing:
                if self._thread is None:
                    thread = threading.Thread(target=self._run, name="smartsim-losses", daemon=True)
                    thread.start()
                    self._thread = thread
                self._waiting.append(then)
                return
        then(self._lost)

    def close(self) -> None:
        """Ask no more. Those who wait are told what is known."""
        with self._changed:
            self._is_closing = True
            thread = self._thread
            self._changed.notify_all()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                waiting, self._waiting = self._waiting, []
                if not waiting:
                    self._thread = None
                    return
            if not self._is_closing:
                with suppress(Exception):  # others wait for this thread
                    self._lost |= self._nodes.difference(self._remaining())
            for then in waiting:
                then(self._lost)
            with self._changed:
                self._clock.wait_until(self._changed, lambda: self._is_closing, _REST)
