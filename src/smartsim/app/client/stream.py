"""Streams, for callers that wait."""

from __future__ import annotations

from collections.abc import Callable
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


def _names_itself(method: Callable[_P, _T]) -> Callable[_P, _T]:
    """Have the errors of a method say that it was this one."""

    @wraps(method)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return method(*args, **kwargs)
        except RedisReplyError as error:
            error.method = method.__qualname__
            raise

    return call


class CarryOut(Protocol):
    """Carries out a call, and returns what it returns."""

    def __call__(self, call: Call[_T], /) -> _T:
        """Carry it out."""
        ...


class Stream:
    """Datasets that are published one after the other, for those who consume them while they come.

    `Client.stream` makes one. Groups of consumers (trainers, say, and a monitor) each get every dataset; within a
    group, each dataset goes to one of the consumers. A dataset is kept until every group has acknowledged it, which a
    group that nobody serves never does. A stream can be used from several threads, processes and nodes.

    Args:
        keys: of the stream, to write and to read.
        capacity: how many datasets are kept at most; who publishes more waits. Several producers may exceed it by one
            each.
        carry_out: asks the database.

    Example:
        >>> stream = client.stream("samples", capacity=64)  # doctest: +SKIP
        >>> stream.publish(dataset)  # doctest: +SKIP

        and in another process:

        >>> for dataset in client.stream("samples").consume(group="trainer", timeout=60):  # doctest: +SKIP
        ...     train(dataset.get_tensor("x"))
    """

    def __init__(self, keys: streams.Keys, capacity: int, carry_out: CarryOut) -> None:
        self._keys = keys
        self._capacity = streams.parse_capacity(capacity)
        self._carry_out = carry_out

    @_names_itself
    def publish(self, dataset: Dataset, timeout: float | None = None) -> None:
        """Add a dataset to the stream, as soon as there is room.

        Args:
            dataset: a copy goes into the stream: it can be changed, and published again, afterwards. Its name need not
                be different from others'.
            timeout: how long to wait for room at most, in seconds; None for as long as it takes.

        Raises:
            RedisTimeoutError: there was no room in time; the dataset is not in the stream.
            RedisRuntimeError: the stream has ended, or the database refuses.
            RedisDatabaseError: the connection was lost; the dataset may be in the stream, or not.
        """
        self._carry_out(streams.publish(self._keys.write, self._capacity, dataset, timeout))

    @_names_itself
    def end(self) -> None:
        """Say that nothing more will be published: loops over the stream end after its last dataset.

        With several producers, the one that finishes last does this.
        """
        self._carry_out(streams.end(self._keys.write))

    @_names_itself
    def consume(
        self,
        group: str = "default",
        consumer: str | None = None,
        timeout: float | None = None,
        reclaim_after: float = 60.0,
    ) -> Consumer:
        """Return a consumer of the stream: an iterator over datasets.

        The group exists from now on: it will get everything that is in the stream, and all that comes.

        Args:
            group: those who share the datasets.
            consumer: a name of its own within the group; a new one when None. A consumer that starts again under the
                name of one that died goes on with what that one had in hand.
            timeout: how many seconds to wait for the next dataset at most; None for as long as it takes.
            reclaim_after: after so many seconds without acknowledgement, a dataset that another consumer of the group
                has in hand is delivered to this one: more than the work on a dataset takes.

        Raises:
            TypeError: an argument is of another type.
            ValueError: a name is empty, or a number is negative.
        """
        consumption = Consumption(self._keys.read, group, consumer, timeout, reclaim_after)
        self._carry_out(consumption.join())
        return Consumer(consumption, self._carry_out)

    @_names_itself
    def remove_group(self, group: str) -> None:
        """Forget a group, and what was kept only for it; nothing happens when there is none of that name."""
        self._carry_out(streams.remove_group(self._keys.read, group))

    @_names_itself
    def delete(self) -> None:
        """Remove the stream, with its datasets and its groups; nothing happens when there is none."""
        self._carry_out(streams.delete(self._keys.read))


class Consumer:
    """One of a group that consumes a stream: `Stream.consume` makes it, and one thread uses it.

    To go on to the next dataset acknowledges the one before. What is not acknowledged - since its consumer died, or
    left a loop before its end - is delivered to another consumer of the group, `reclaim_after` seconds later: so every
    dataset is worked on at least once. In a ``with`` block, the last dataset is acknowledged at the end, unless there
    was an error.

    Example:
        >>> with stream.consume(timeout=60) as consumer:  # doctest: +SKIP
        ...     while (dataset := consumer.get()) is not None:
        ...         train(dataset.get_tensor("x"))
    """

    def __init__(self, consumption: Consumption, carry_out: CarryOut) -> None:
        self._consumption = consumption
        self._carry_out = carry_out

    @_names_itself
    def get(self) -> Dataset | None:
        """Acknowledge the last dataset, wait for the next one and return it.

        Returns:
            The dataset; None when the stream has ended, and the group has acknowledged all that was in it.

        Raises:
            RedisTimeoutError: none came in time; to ask again is fine.
            RedisDatabaseError: the connection was lost; to ask again is fine.
        """
        return self._carry_out(self._consumption.get())

    @_names_itself
    def acknowledge(self) -> None:
        """Say that the work on the last dataset is done: it will not be delivered again."""
        self._carry_out(self._consumption.acknowledge())

    @_names_itself
    def close(self) -> None:
        """Acknowledge the last dataset, and leave the group."""
        self._carry_out(self._consumption.acknowledge())
        self._carry_out(self._consumption.leave())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Dataset:
        dataset = self.get()
        if dataset is None:
            raise StopIteration
        return dataset

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
