"""Streams, for programs that run an asyncio event loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from types import TracebackType
from typing import ParamSpec, Protocol, Self, TypeVar

from smartsim.app.client import streams
from smartsim.app.client.calls import Call
from smartsim.app.client.consumption import Consumption
from smartsim.app.client.dataset import Dataset
from smartsim.domain.client_errors import RedisReplyError

_P = ParamSpec("_P")
_T = TypeVar("_T")


class CarryOutAsync(Protocol):
    """Carries out a call, and returns what it returns."""

    async def __call__(self, call: Call[_T], /) -> _T:
        """Carry it out."""
        ...


def _names_itself(method: Callable[_P, Awaitable[_T]]) -> Callable[_P, Awaitable[_T]]:
    """Have the errors of a method say that it was this one."""

    @wraps(method)
    async def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return await method(*args, **kwargs)
        except RedisReplyError as error:
            error.method = method.__qualname__
            raise

    return call


class AsyncStream:
    """Datasets that are published one after the other, as `Stream`; each method is awaited.

    Args:
        keys: of the stream, to write and to read.
        capacity: how many datasets are kept at most; who publishes more waits.
        carry_out: asks the database.

    Example:
        >>> async def train(client):
        ...     async for dataset in await client.stream("samples").consume(group="trainer", timeout=60):
        ...         print(dataset.get_tensor("x").mean())
    """

    def __init__(self, keys: streams.Keys, capacity: int, carry_out: CarryOutAsync) -> None:
        self._keys = keys
        self._capacity = streams.parse_capacity(capacity)
        self._carry_out = carry_out

    @_names_itself
    async def publish(self, dataset: Dataset, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as in Stream
        """Add a dataset to the stream, as soon as there is room; see `Stream.publish`."""
        await self._carry_out(streams.publish(self._keys.write, self._capacity, dataset, timeout))

    @_names_itself
    async def end(self) -> None:
        """Say that nothing more will be published; see `Stream.end`."""
        await self._carry_out(streams.end(self._keys.write))

    @_names_itself
    async def consume(
        self,
        group: str = "default",
        consumer: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as in Stream
        reclaim_after: float = 60.0,
    ) -> AsyncConsumer:
        """Return a consumer of the stream; see `Stream.consume`."""
        consumption = Consumption(self._keys.read, group, consumer, timeout, reclaim_after)
        await self._carry_out(consumption.join())
        return AsyncConsumer(consumption, self._carry_out)

    @_names_itself
    async def remove_group(self, group: str) -> None:
        """Forget a group, and what was kept only for it; see `Stream.remove_group`."""
        await self._carry_out(streams.remove_group(self._keys.read, group))

    @_names_itself
    async def delete(self) -> None:
        """Remove the stream, with its datasets and its groups; see `Stream.delete`."""
        await self._carry_out(streams.delete(self._keys.read))


class AsyncConsumer:
    """One of a group that consumes a stream, as `Consumer`; each method is awaited, and it is for ``async for``.

    Example:
        >>> async def train(stream):
        ...     async with await stream.consume(timeout=60) as consumer:
        ...         while (dataset := await consumer.get()) is not None:
        ...             print(dataset.get_tensor("x").mean())
    """

    def __init__(self, consumption: Consumption, carry_out: CarryOutAsync) -> None:
        self._consumption = consumption
        self._carry_out = carry_out

    @_names_itself
    async def get(self) -> Dataset | None:
        """Acknowledge the last dataset, wait for the next one and return it; see `Consumer.get`."""
        return await self._carry_out(self._consumption.get())

    @_names_itself
    async def acknowledge(self) -> None:
        """Say that the work on the last dataset is done; see `Consumer.acknowledge`."""
        await self._carry_out(self._consumption.acknowledge())

    @_names_itself
    async def close(self) -> None:
        """Acknowledge the last dataset, and leave the group."""
        await self._carry_out(self._consumption.acknowledge())
        await self._carry_out(self._consumption.leave())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Dataset:
        dataset = await self.get()
        if dataset is None:
            raise StopAsyncIteration
        return dataset

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            await self.close()
