"""Connections to one database that are kept for the next calls."""

from __future__ import annotations

import os
import time
import weakref
from collections import deque
from collections.abc import Callable, Generator
from contextlib import suppress
from functools import partial
from typing import Concatenate, Final, ParamSpec, Protocol, TypeVar

import redis

from smartsim.adapters.tensors.connecting import connect
from smartsim.adapters.tensors.connection import TensorConnection
from smartsim.adapters.tensors.delivery import Batch, patience
from smartsim.adapters.tensors.exchange import LostConnectionError
from smartsim.domain.addresses import Address
from smartsim.domain.client_config import ClientConfig
from smartsim.domain.client_errors import RedisDatabaseError
from smartsim.ports.tensor_store import Reply

_P = ParamSpec("_P")
_T = TypeVar("_T")

FRESH: Final = 0.01
"""Seconds for which an idle connection is taken to be alive; to ask the kernel before each use would take time."""


def closed_error() -> RedisDatabaseError:
    """Return the error of calls after the end."""
    return RedisDatabaseError("The client is closed: make another")


class Store(Protocol):
    """What has connections."""

    def forget(self) -> None:
        """Leave the connections to the process from which this one was forked."""
        ...


def forget_in_children(store: Store) -> None:
    """Have a store forget its connections in all processes forked from this one: its parent speaks on them."""
    # Asking for the process id in each call is slower.
    reference = weakref.ref(store)

    def forget() -> None:
        if living := reference():
            living.forget()

    os.register_at_fork(after_in_child=forget)


class Pool:
    """Connections to one database."""

    def __init__(self, address: Address, config: ClientConfig) -> None:
        reply_timeout = config.socket_timeout
        connect_timeout = min(reply_timeout, config.connecting.timeout)
        self._connect = partial(
            connect, address, connect_timeout, reply_timeout, username=config.username, password=config.password
        )
        self._idle: deque[tuple[TensorConnection, float]] = deque()
        self._closed = False

    def use(
        self, operation: Callable[Concatenate[TensorConnection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """Return what an operation on a connection returns that nobody else uses meanwhile."""
        connection = self._take()
        try:
            result = operation(connection, *args, **kwargs)
        except redis.ResponseError as error:
            if "Protocol error" in str(error):  # after those, the database hangs up
                connection.disconnect()
            self._give_back(connection)
            raise
        except OSError:
            self._drop_idle()  # the database has gone, and they with it
            raise
        self._give_back(connection)
        return result

    def exchange(self, batch: Batch) -> Generator[None, None, list[Reply]]:
        """Return the replies to a batch; pause when it has been sent."""
        connection = self._take()
        try:
            replies = yield from connection.exchange_in_two(batch.requests, patience(batch.requests))
        except OSError:
            self._drop_idle()
            raise
        self._give_back(connection)
        return replies

    def close(self) -> None:
        """Close the connections, those in use as soon as they no longer are."""
        self._closed = True
        self._drop_idle()

    def forget(self) -> None:
        """Leave the connections to the process from which this one was forked."""
        self._idle.clear()

    def _take(self) -> TensorConnection:
        if self._closed:
            raise closed_error()
        while True:
            try:
                connection, since = self._idle.pop()
            except IndexError:
                break
            if time.monotonic() - since < FRESH or connection.is_alive():
                return connection
            connection.disconnect()
        try:
            return self._connect()
        except LostConnectionError as error:
            raise ConnectionError(str(error)) from error  # nothing of what is asked for was sent

    def _give_back(self, connection: TensorConnection) -> None:
        if connection.in_step:
            self._idle.append((connection, time.monotonic()))
            if self._closed:
                self._drop_idle()

    def _drop_idle(self) -> None:
        with suppress(IndexError):
            while True:
                self._idle.pop()[0].disconnect()
