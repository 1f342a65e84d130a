"""What the conformance suites of tensor stores share."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pytest

from old_clients.database import Database
from servers import DEADLINE
from smartsim.adapters.ml.onnx_runtime import OnnxRuntime
from smartsim.adapters.tensors.async_resp import AsyncRespTensorStore
from smartsim.adapters.tensors.in_memory import AsyncInMemoryTensorStore, InMemoryTensorStore
from smartsim.adapters.tensors.resp import RespTensorStore
from smartsim.domain.addresses import Address
from smartsim.domain.client_config import read_client_config
from smartsim.domain.client_errors import RedisRuntimeError
from smartsim.domain.tensor_types import WIRE_NAMES
from smartsim.ports.tensor_store import AsyncTensorStore, Command, Reply, Request, Shard, TensorStore, Transaction

_T = TypeVar("_T")


KINDS: Final = ("fake", "tcp", "unix", "cluster")
LONG: Final = 20_000
"""A wait that something ends sooner, in ms."""

UNTIL_IT_WAITS: Final = 0.05
"""After so many seconds a request that is not answered is taken to wait."""

_CONFIG: Final = read_client_config(lambda _: None)


def open_store(kind: str, request: pytest.FixtureRequest) -> TensorStore:
    """Return a store of a kind; those that need a database find it in the fixtures of a test."""
    if kind == "fake":
        return InMemoryTensorStore(OnnxRuntime())
    return RespTensorStore(_addresses(kind, request), _CONFIG, cluster=kind == "cluster")


def async_opener(kind: str, request: pytest.FixtureRequest) -> Callable[[], Awaitable[AsyncTensorStore]]:
    """Return what opens an asynchronous store of a kind, on the event loop that is to use it."""
    if kind == "fake":

        async def open_fake() -> AsyncTensorStore:
            return AsyncInMemoryTensorStore(InMemoryTensorStore(OnnxRuntime()))

        return open_fake
    return partial(AsyncRespTensorStore.connect, _addresses(kind, request), _CONFIG, cluster=kind == "cluster")


def _addresses(kind: str, request: pytest.FixtureRequest) -> list[Address]:
    if kind == "cluster":
        shards: Sequence[Database] = request.getfixturevalue("cluster")
        return [shard.server.tcp for shard in shards]
    database: Database = request.getfixturevalue("database")
    return [database.server.tcp if kind == "tcp" else database.server.unix]


class OnALoop:
    """An asynchronous store, for callers that wait, of which there may be several: its event loop is in a thread."""

    def __init__(self, opener: Callable[[], Awaitable[AsyncTensorStore]]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._store = self._wait_for(opener())

    def run(self, requests: Sequence[Request]) -> list[Reply]:
        return self._wait_for(self._store.run(requests))

    def shards(self) -> tuple[Shard, ...]:
        return self._wait_for(self._store.shards())

    def close(self) -> None:
        """Close the store; what is called then still finds the loop."""
        self._wait_for(self._store.close())

    def end(self) -> None:
        """End the loop and its thread."""
        self.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE)
        self._loop.close()

    def _wait_for(self, what: Awaitable[_T]) -> _T:
        async def wait() -> _T:
            return await what

        return asyncio.run_coroutine_threadsafe(wait(), self._loop).result(2 * DEADLINE)


Store: TypeAlias = TensorStore | OnALoop
"""What runs requests."""


def say(name: str, *words: str | bytes | int | npt.NDArray[Any], **options: Any) -> Command:
    """Return a command; its key is the first word after the name, unless `options` name another, or a shard."""
    encoded = tuple(word if isinstance(word, bytes | np.ndarray) else str(word).encode() for word in words)
    if encoded and not options.keys() & {"key", "shard"}:
        options["key"] = encoded[0]
    return Command((name.encode(), *encoded), **options)


def tensor_set(key: str | bytes, data: npt.NDArray[Any]) -> Command:
    """Return the command that stores an array."""
    return say("AI.TENSORSET", key, WIRE_NAMES[data.dtype.name], *data.shape, "BLOB", data)


def tensor_get(key: str | bytes) -> Command:
    """Return the command that asks for one."""
    return say("AI.TENSORGET", key, "META", "BLOB", changes=False)


def wait_for(milliseconds: int, condition: str, key: str, *words: str | int) -> Command:
    """Return the command that waits for something about a key."""
    patience = milliseconds / 1000
    return say("AI._WAIT", milliseconds, condition, key, *words, key=key.encode(), changes=False, patience=patience)


def ask(store: Store, name: str, *words: str | bytes | int | npt.NDArray[Any], **options: Any) -> Any:
    """Return the reply to one command."""
    (reply,) = store.run([say(name, *words, **options)])
    return reply


def together(*commands: Command) -> Transaction:
    """Return a transaction."""
    return Transaction(commands)


def begun(threads: ThreadPoolExecutor, store: Store, *requests: Request) -> Future[list[Reply]]:
    """Begin to run requests that wait."""
    future = threads.submit(store.run, requests)
    with pytest.raises(TimeoutError):
        future.result(UNTIL_IT_WAITS)
    return future


def refused(reply: Reply, text: str) -> bool:
    """Return whether a reply is an error with a text in it."""
    assert isinstance(reply, RedisRuntimeError), reply
    assert text in str(reply)
    return True


def same(one: Any, other: npt.NDArray[Any]) -> bool:
    """Return whether two arrays are equal in dtype, shape and elements."""
    assert isinstance(one, np.ndarray), one
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
