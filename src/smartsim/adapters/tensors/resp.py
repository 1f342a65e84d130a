"""A tensor store in a database, over TCP or a unix socket."""

# mypy: disable-error-code="no-untyped-call"
# (redis-py leaves most of its methods without annotations)
from __future__ import annotations

import os
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import numpy.typing as npt
import redis

from smartsim.adapters.tensors.connection import TensorConnection, connect
from smartsim.adapters.tensors.wire import GarbledReplyError
from smartsim.domain.addresses import Address
from smartsim.domain.client_config import ClientConfig, RetryPolicy
from smartsim.domain.client_errors import (
    RedisBadAllocError,
    RedisConnectionError,
    RedisDatabaseError,
    RedisInternalError,
    refusal,
)

_T = TypeVar("_T")

_LOST = (OSError, redis.ConnectionError, redis.TimeoutError)


class RespTensorStore:
    """A `TensorStore` in a standalone database that has the tensor module.

    May be used from several threads: each call in progress has a connection to itself, and connections are kept for the
    next calls. A process forked from this one makes its own.

    Commands whose connection fails are sent again, as long as `config` says, unless that could do harm: all but
    `rename` leave the same behind when they are carried out twice.

    Args:
        address: where the database listens.
        config: how patient to be.

    Raises:
        RedisConnectionError: when no connection could be made in time.
    """

    def __init__(self, address: Address, config: ClientConfig) -> None:
        self._address = address
        self._config = config
        self._idle: deque[TensorConnection] = deque()
        self._closed = False
        try:
            try:
                connection = self._connect()
            except _LOST as failure:
                connection = _try_again(config.connecting, failure, self._connect)
        except _GaveUpError as error:
            raise RedisConnectionError(
                f"{error}; check that the database runs, and that SSDB says where", str(address)
            ) from error.__cause__
        except GarbledReplyError as error:
            raise RedisConnectionError(
                f"What listens there is not a database: it answered {error}", str(address)
            ) from None
        except redis.ResponseError as error:
            raise RedisConnectionError(refusal(str(error), key="").cause, str(address)) from None
        self._idle.append(connection)
        # A forked process must not speak on its parent's connections. Asking for the process id in each call is slower.
        os.register_at_fork(after_in_child=partial(_forget, weakref.ref(self._idle)))

    def put(self, key: str, data: npt.NDArray[Any]) -> None:
        """Store an array under a key, replacing what was there."""
        self._run(self._config.commands, TensorConnection.put_tensor, key, data)

    def get(self, key: str) -> npt.NDArray[Any]:
        """Return the array under a key: fresh, writable, in C order."""
        return self._run(self._config.commands, TensorConnection.get_tensor, key)

    def delete(self, key: str) -> None:
        """Remove a key; nothing happens when it is not there."""
        self._run(self._config.commands, _delete, key)

    def copy(self, source: str, destination: str) -> None:
        """Store what is under one key under another, too."""
        self.put(destination, self.get(source))

    def rename(self, source: str, destination: str) -> None:
        """Move what is under one key to another."""
        # A connection that died while idle must not fail the one attempt there is: PING, with its retries, replaces it.
        self._run(self._config.commands, _ping, source)
        self._run(RetryPolicy(timeout=0, interval=1), _rename, source, destination.encode())

    def exists(self, key: str) -> bool:
        """Return whether anything is under a key."""
        return self._run(self._config.commands, _exists, key)

    def close(self) -> None:
        """Close the connections; calls that follow fail."""
        self._closed = True
        idle, self._idle = self._idle, deque(maxlen=0)  # keeps nothing: calls in progress drop their connections
        _disconnect(idle)

    def _run(self, policy: RetryPolicy, operation: Callable[..., _T], key: str, *arguments: Any) -> _T:
        """Carry out an operation about a key, and say what went wrong in the client's exceptions."""
        name = key.encode()
        try:
            try:
                return self._attempt(operation, name, *arguments)
            except _LOST as failure:
                attempt = partial(self._attempt, operation, name, *arguments)
                if policy.attempts == 1 or not isinstance(failure, ConnectionError):
                    return _try_again(policy, failure, attempt)
                # A connection that was kept may be dead since the database was started anew: that is no reason to wait
                # before the first that is fresh.
                try:
                    return attempt()
                except _LOST as again:
                    return _try_again(policy, again, attempt, extra=1)
        except redis.ResponseError as error:
            raise refusal(str(error), key) from None
        except GarbledReplyError as error:
            raise RedisInternalError(
                f"{self._address} answered for the key {key!r} what makes no sense: {error}", key=key
            ) from None
        except MemoryError as error:
            raise RedisBadAllocError(f"There is no memory for the tensor under {key!r}: {error}", key=key) from None
        except _GaveUpError as error:
            raise RedisDatabaseError(
                f"No answer for the key {key!r} from {self._address}: {error}; check that the database still runs",
                key=key,
            ) from error.__cause__

    def _attempt(self, operation: Callable[..., _T], key: bytes, *arguments: Any) -> _T:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect()
        try:
            result = operation(connection, key, *arguments)
        except redis.ResponseError as error:
            if connection.in_step and "Protocol error" not in str(error):  # after those, the database hangs up
                self._idle.append(connection)
            raise
        except BaseException as error:
            # Whatever is left of the reply must not be taken for the next one.
            connection.disconnect()
            if isinstance(error, OSError):
                _disconnect(self._idle)  # the database has gone, and they with it
            raise
        self._idle.append(connection)
        return result

    def _connect(self) -> TensorConnection:
        if self._closed:
            raise RedisDatabaseError("The client is closed: make another")
        reply_timeout = self._config.socket_timeout
        return connect(self._address, min(reply_timeout, self._config.connecting.timeout), reply_timeout)


class _GaveUpError(Exception):
    """Nothing came of any attempt; the cause is the last failure."""


def _try_again(policy: RetryPolicy, failure: Exception, action: Callable[[], _T], extra: int = 0) -> _T:
    """Call until a connection holds, as long as the policy allows, after a first attempt that failed.

    Args:
        policy: how often, and how long.
        failure: of the first attempt.
        action: what to call.
        extra: attempts that were made besides the first.
    """
    began = time.monotonic()
    attempts = 1
    while attempts < policy.attempts and time.monotonic() - began <= policy.timeout:
        time.sleep(policy.interval)
        attempts += 1
        try:
            return action()
        except _LOST as error:
            failure = error
    reason = "it did not answer in time" if isinstance(failure, BlockingIOError) else str(failure)
    raise _GaveUpError(f"{reason} (attempts: {attempts + extra})") from failure


def _forget(idle: weakref.ref[deque[TensorConnection]]) -> None:
    if connections := idle():
        connections.clear()


def _disconnect(connections: deque[TensorConnection]) -> None:
    with suppress(IndexError):
        while True:
            connections.pop().disconnect()


def _delete(connection: TensorConnection, key: bytes) -> None:
    connection.request(b"DEL", key)


def _exists(connection: TensorConnection, key: bytes) -> bool:
    reply = connection.request(b"EXISTS", key)
    if reply not in (b":0", b":1"):
        raise GarbledReplyError(f"{reply[:60]!r} to EXISTS")
    return reply == b":1"


def _ping(connection: TensorConnection, _key: bytes) -> None:
    connection.request(b"PING")


def _rename(connection: TensorConnection, source: bytes, destination: bytes) -> None:
    connection.request(b"RENAME", source, destination)
