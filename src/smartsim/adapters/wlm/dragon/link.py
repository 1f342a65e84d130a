"""The end of a connection that belongs to a driver or a rank: one thread sends and receives."""

from __future__ import annotations

import os
import selectors
import threading
from collections.abc import Callable, Mapping
from typing import Any

from smartsim.adapters.wlm.dragon.wire import Connection, Message

_FLUSH = 5.0  # seconds that the other end has to take what is to be sent before the end


class Link:
    """A connection to the server of a runtime.

    Args:
        connection: the one, once both ends trust each other; closed with the link.
        told: is given each message, in a thread of the link.
        lost: is called there when the connection ends, unless `close` was called before. It is given the error that
            nobody has foreseen, if there was one, and None when the other end is gone.
    """

    def __init__(
        self, connection: Connection, told: Callable[[Message], None], lost: Callable[[Exception | None], None]
    ) -> None:
        self._connection = connection
        self._told = told
        self._lost = lost
        self._lock = threading.Lock()
        self._is_closing = False
        self._is_open = True
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._selector.register(connection, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="smartsim-dragon-link", daemon=True)
        self._thread.start()

    @property
    def is_open(self) -> bool:
        """Whether the connection has not ended."""
        return self._is_open

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message, soon; nothing is sent any more once the connection has ended."""
        with self._lock:
            if self._is_open:
                self._connection.send(message)
                os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Send what is to be sent, and end the connection."""
        with self._lock:
            self._is_closing = True
            if self._is_open:
                os.eventfd_write(self._wake, 1)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        failure = None
        try:
            while not self._is_done():
                events = self._selector.select(_FLUSH if self._is_closing else None)
                if not events and self._is_closing:
                    break
                for key, _ in events:
                    if key.fd == self._wake:
                        os.eventfd_read(self._wake)
                    else:
                        for message in self._connection.receive():
                            self._told(message)
        except OSError:
            pass  # the other end is gone
        except Exception as error:  # noqa: BLE001 - others wait for this thread
            failure = error
        with self._lock:
            self._is_open = False
            self._selector.close()
            self._connection.close()
            os.close(self._wake)
        if not self._is_closing:
            self._lost(failure)

    def _is_done(self) -> bool:
        """Send what the socket takes; return whether that was the last of it."""
        with self._lock:
            self._connection.flush()
            waits = self._connection.has_unsent
            self._selector.modify(self._connection, selectors.EVENT_READ | (selectors.EVENT_WRITE if waits else 0))
            return self._is_closing and not waits
