"""A tensor store in a database, standalone or a cluster, for callers that wait."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import redis

from smartsim.adapters.tensors.connection import TensorConnection
from smartsim.adapters.tensors.delivery import FAILURES, Batch, Outcome, patience
from smartsim.adapters.tensors.pool import Pool, forget_in_children
from smartsim.adapters.tensors.routing import Pause, Router, Routing
from smartsim.domain.addresses import Address
from smartsim.domain.client_config import ClientConfig
from smartsim.domain.client_errors import RedisDatabaseError, RedisInternalError, RedisReplyError, refusal
from smartsim.domain.tensor_types import WIRE_NAMES
from smartsim.ports.tensor_store import Command, Reply, Request, Shard, Word

_T = TypeVar("_T")

_TYPE_NAMES: Final = {np.dtype(name): wire.encode() for name, wire in WIRE_NAMES.items()}


class RespTensorStore:
    """A `TensorStore` in a database that has the tensor module.

    May be used from several threads: each call in progress has connections to itself, and they are kept for the next
    calls. A process forked from this one makes its own.

    What changes anything is sent again only if the database surely did not get it, or refused it for the time being;
    what only reads is sent again when a connection fails; both as long as `config` says.

    Args:
        addresses: where the database listens; if it is a cluster, any of its nodes, otherwise the first counts.
        config: how patient to be, and as whom to log in.
        cluster: whether it is a cluster.

    Raises:
        RedisConnectionError: when no connection could be made in time.
    """

    def __init__(self, addresses: Sequence[Address], config: ClientConfig, *, cluster: bool = False) -> None:
        self._config = config
        self._pools: dict[Address, Pool] = {}
        self._closed = False
        self._router = Router(addresses, config, cluster=cluster)
        self._only = None if cluster else self._pool(addresses[0])
        try:
            self._drive(self._router.connect())
        except BaseException:
            self.close()
            raise
        forget_in_children(self)

    def put(self, key: bytes, data: npt.NDArray[Any]) -> None:
        """Store an array under a key, replacing what was there."""
        pool = self._only or self._pool(self._router.topology.address_of_key(key))
        try:
            pool.use(TensorConnection.put_tensor, key, data)
        except FAILURES as failure:
            sides = (b"%d" % side for side in data.shape)
            words: tuple[Word, ...] = (b"AI.TENSORSET", key, _TYPE_NAMES[data.dtype], *sides, b"BLOB", data)
            self._go_on(Command(words, key), key, failure)

    def get(self, key: bytes) -> npt.NDArray[Any]:
        """Return the array under a key: fresh, writable, in C order."""
        pool = self._only or self._pool(self._router.topology.address_of_key(key))
        try:
            return pool.use(TensorConnection.get_tensor, key)
        except FAILURES as failure:
            request = Command((b"AI.TENSORGET", key, b"META", b"BLOB"), key, changes=False)
            tensor = self._go_on(request, key, failure)
        if not isinstance(tensor, np.ndarray):
            raise RedisInternalError(
                f"The database answered for the key {key!r} {str(tensor)[:60]!r}, which is no tensor"
            )
        return tensor

    def run(self, requests: Sequence[Request]) -> list[Reply]:
        """Carry out some requests, in one round trip to each shard that they concern."""
        first: Outcome | None = None
        if self._only:
            try:
                first = replies = self._only.use(TensorConnection.exchange, requests, patience(requests))
            except FAILURES as failure:
                first = failure
            else:
                for reply in replies:  # a generator would take four times as long
                    if isinstance(reply, RedisReplyError):
                        break
                else:
                    return replies  # as nearly always: there is nothing to decide
        return self._drive(self._router.route(requests), first)

    def shards(self) -> tuple[Shard, ...]:
        """Return the shards as they are now, ordered by their first slots; the only one, if it is no cluster."""
        return self._router.topology.shards

    def close(self) -> None:
        """Close the connections; calls that follow fail."""
        self._closed = True
        for pool in list(self._pools.values()):
            pool.close()

    def forget(self) -> None:
        """Leave the connections to the process from which this one was forked."""
        for pool in self._pools.values():
            pool.forget()

    def _go_on(self, request: Request, key: bytes, failure: Exception) -> Reply:
        """Return the reply to a request about a key, of which the first attempt came to nothing."""
        refused = isinstance(failure, redis.ResponseError)
        outcome: Outcome = [refusal(str(failure), key.decode(errors="backslashreplace"))] if refused else failure
        (reply,) = self._drive(self._router.route([request]), outcome)
        if isinstance(reply, RedisReplyError):
            raise reply
        return reply

    def _drive(self, routing: Routing[_T], first: Outcome | None = None) -> _T:
        """Do what is to be done, and return what it comes to.

        Args:
            routing: says what.
            first: what came of the first batch, if that has been tried already.
        """
        try:
            wanted = next(routing)
            if first is not None:
                wanted = routing.send([first])
            while True:
                if isinstance(wanted, Pause):
                    time.sleep(wanted.seconds)
                    wanted = routing.send([])
                else:
                    wanted = routing.send(self._carry_out(wanted))
        except StopIteration as end:
            result: _T = end.value
            return result

    def _carry_out(self, batches: Sequence[Batch]) -> list[Outcome]:
        """Return what comes of some batches: each is sent before the replies to any are waited for."""
        running = [self._carry_out_in_two(batch) for batch in batches]
        begun = [next(each) for each in running]
        return [next(each) or [] if outcome is None else outcome for each, outcome in zip(running, begun, strict=True)]

    def _carry_out_in_two(self, batch: Batch) -> Iterator[Outcome | None]:
        """Yield nothing when a batch has been sent, if it can be; then what came of it."""
        try:
            outcome: Outcome = yield from self._pool(batch.address).exchange(batch)
        except (*FAILURES, RedisDatabaseError) as failure:
            outcome = failure
        yield outcome

    def _pool(self, address: Address) -> Pool:
        pool = self._pools.get(address)
        if pool is None:
            pool = self._pools.setdefault(address, Pool(address, self._config))
            if self._closed:
                pool.close()
        return pool
