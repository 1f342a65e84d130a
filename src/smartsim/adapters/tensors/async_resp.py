"""A tensor store in a database, standalone or a cluster, for callers of an asyncio event loop."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from typing import Final, Self, TypeVar

from smartsim.adapters.tensors import pool
from smartsim.adapters.tensors.async_connection import AsyncTensorConnection, connect_async
from smartsim.adapters.tensors.delivery import FAILURES, Batch, Outcome, patience
from smartsim.adapters.tensors.exchange import LostConnectionError
from smartsim.adapters.tensors.routing import Pause, Router, Routing
from smartsim.domain.addresses import Address
from smartsim.domain.client_config import ClientConfig
from smartsim.domain.client_errors import RedisDatabaseError
from smartsim.ports.tensor_store import Reply, Request, Shard

_T = TypeVar("_T")

_CONNECTIONS: Final = 64
"""To one database at the same time; requests that wait there for something to happen have connections besides."""


class AsyncRespTensorStore:
    """An `AsyncTensorStore` in a database that has the tensor module; made by `connect`.

    Tasks of one event loop may use it at the same time: each call in progress has connections to itself, and they are
    kept for the next calls. A process forked from this one makes its own. What is sent again, and when, is as with
    `RespTensorStore`. A call that is cancelled may have been carried out or not; the store can be used as before.
    """

    def __init__(self, addresses: Sequence[Address], config: ClientConfig, *, cluster: bool) -> None:
        self._config = config
        self._pools: dict[Address, _AsyncPool] = {}
        self._closed = False
        self._router = Router(addresses, config, cluster=cluster)
        pool.forget_in_children(self)

    @classmethod
    async def connect(cls, addresses: Sequence[Address], config: ClientConfig, *, cluster: bool = False) -> Self:
        """Return a store that has connected to its database.

        Args:
            addresses: where the database listens; if it is a cluster, any of its nodes, otherwise the first counts.
            config: how patient to be, and as whom to log in.
            cluster: whether it is a cluster.

        Raises:
            RedisConnectionError: when no connection could be made in time.
        """
        store = cls(addresses, config, cluster=cluster)
        try:
            await store._drive(store._router.connect())
        except BaseException:
            await store.close()
            raise
        return store

    async def run(self, requests: Sequence[Request]) -> list[Reply]:
        """Carry out some requests, in one round trip to each shard that they concern."""
        return await self._drive(self._router.route(requests))

    async def shards(self) -> tuple[Shard, ...]:
        """Return the shards as they are now, ordered by their first slots; the only one, if it is no cluster."""
        return self._router.topology.shards

    async def close(self) -> None:
        """Close the connections; calls that follow fail."""
        self._closed = True
        for connections in self._pools.values():
            connections.close()

    def forget(self) -> None:
        """Leave the connections to the process from which this one was forked."""
        for connections in self._pools.values():
            connections.close()  # here only: it goes on there
        self._pools = {}

    async def _drive(self, routing: Routing[_T]) -> _T:
        """Do what is to be done, and return what it comes to."""
        try:
            wanted = next(routing)
            while True:
                if isinstance(wanted, Pause):
                    await asyncio.sleep(wanted.seconds)
                    wanted = routing.send([])
                elif len(wanted) == 1:
                    wanted = routing.send([await self._exchange(wanted[0])])
                else:
                    wanted = routing.send(await asyncio.gather(*map(self._exchange, wanted)))
        except StopIteration as end:
            result: _T = end.value
            return result

    async def _exchange(self, batch: Batch) -> Outcome:
        connections = self._pools.get(batch.address)
        if connections is None:
            connections = self._pools[batch.address] = _AsyncPool(batch.address, self._config, closed=self._closed)
        try:
            return await connections.exchange(batch)
        except (*FAILURES, RedisDatabaseError) as failure:
            return failure


class _AsyncPool:
    """Connections to one database that are kept for the next calls."""

    def __init__(self, address: Address, config: ClientConfig, *, closed: bool) -> None:
        self._address = address
        self._config = config
        self._idle: deque[tuple[AsyncTensorConnection, float]] = deque()
        self._room = asyncio.Semaphore(_CONNECTIONS)
        self._closed = closed

    async def exchange(self, batch: Batch) -> list[Reply]:
        """Return the replies to a batch, on a connection that nobody else uses meanwhile."""
        longer = patience(batch.requests)
        # What waits at the database may wait for what the others are going to do: it must not take their places.
        async with nullcontext() if longer else self._room:
            connection = await self._take()
            try:
                return await connection.exchange(batch.requests, longer)
            except OSError:
                self._drop_idle()  # the database has gone, and they with it
                raise
            finally:
                if connection.in_step:
                    self._idle.append((connection, time.monotonic()))
                    if self._closed:
                        self._drop_idle()

    def close(self) -> None:
        """Close the connections, those in use as soon as they no longer are."""
        self._closed = True
        self._drop_idle()

    async def _take(self) -> AsyncTensorConnection:
        if self._closed:
            raise pool.closed_error()
        with suppress(IndexError):
            while True:
                connection, since = self._idle.pop()
                if time.monotonic() - since < pool.FRESH or connection.is_alive():
                    return connection
                connection.disconnect()
        config = self._config
        limit = min(config.socket_timeout, config.connecting.timeout)
        try:
            return await connect_async(self._address, limit, config.socket_timeout, config.username, config.password)
        except LostConnectionError as error:
            raise ConnectionError(str(error)) from error  # nothing of what is asked for was sent

    def _drop_idle(self) -> None:
        with suppress(IndexError):
            while True:
                self._idle.pop()[0].disconnect()
