"""What every asynchronous tensor store does on its event loop; what it answers is in the suites of all stores."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import numpy as np
import pytest

from servers import DEADLINE
from smartsim.domain.client_errors import RedisDatabaseError
from smartsim.ports.tensor_store import AsyncTensorStore
from tensor_stores import KINDS, LONG, UNTIL_IT_WAITS, async_opener, same, say, tensor_get, tensor_set, wait_for

Opened: TypeAlias = Callable[[], AbstractAsyncContextManager[AsyncTensorStore]]


@pytest.fixture(params=KINDS)
def opened(request: pytest.FixtureRequest) -> Opened:
    """Opens a store on the running event loop."""

    opener = async_opener(request.param, request)

    @asynccontextmanager
    async def opened() -> AsyncIterator[AsyncTensorStore]:
        store = await opener()
        try:
            yield store
        finally:
            await store.close()

    return opened


def run(test: Callable[[AsyncTensorStore], Awaitable[Any]], opened: Opened) -> None:
    """Run a test, in time; see that it leaves no thread behind."""
    threads = set(threading.enumerate())

    async def whole() -> None:
        async with asyncio.timeout(DEADLINE), opened() as store:
            await test(store)

    asyncio.run(whole())
    assert set(threading.enumerate()) <= threads  # others may have ended


async def waiting(task: asyncio.Task[Any]) -> None:
    """Return when a task has begun to wait for the store."""
    done, _ = await asyncio.wait([task], timeout=UNTIL_IT_WAITS)
    assert not done


def test_many_tasks_at_once(opened: Opened, key: str) -> None:
    async def test(store: AsyncTensorStore) -> None:
        async def work(number: int) -> bool:
            name, data = f"{key[:-1]}.{number}}}", np.full(10 * number + 1, number)
            stored, found = await store.run([tensor_set(name, data), tensor_get(name)])
            return stored == b"OK" and same(found, data)

        assert all(await asyncio.gather(*(work(number) for number in range(200))))

    run(test, opened)


def test_the_loop_goes_on_while_tasks_wait(opened: Opened, key: str) -> None:
    async def test(store: AsyncTensorStore) -> None:
        tasks = [asyncio.create_task(store.run([wait_for(LONG, "EXISTS", key)])) for _ in range(20)]
        await waiting(tasks[0])
        assert await store.run([say("SET", key, "x")]) == [b"OK"]
        assert await asyncio.gather(*tasks) == [[1]] * 20

    run(test, opened)


def test_a_cancelled_wait_leaves_a_store_that_works(opened: Opened, key: str) -> None:
    async def test(store: AsyncTensorStore) -> None:
        for number in range(3):
            task = asyncio.create_task(store.run([wait_for(LONG, "EXISTS", key), say("SET", f"{key}.{number}", "x")]))
            await waiting(task)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await store.run([say("GET", f"{key}.text"), say("SET", f"{key}.text", number)]) == [
                b"%d" % (number - 1) if number else None,
                b"OK",
            ]

    run(test, opened)


def test_a_wait_may_be_given_less_time_by_its_caller(opened: Opened, key: str) -> None:
    async def test(store: AsyncTensorStore) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(store.run([wait_for(LONG, "EXISTS", key)]), UNTIL_IT_WAITS)
        assert await store.run([say("PING")]) == [b"PONG"]

    run(test, opened)


def test_a_large_tensor_that_nobody_waited_for_leaves_a_store_that_works(opened: Opened, key: str) -> None:
    data = np.arange(4_000_000)

    async def test(store: AsyncTensorStore) -> None:
        await store.run([tensor_set(key, data)])
        for _ in range(5):
            task = asyncio.create_task(store.run([tensor_get(key)] * 3))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        (found,) = await store.run([tensor_get(key)])
        assert same(found, data)

    run(test, opened)


def test_a_closed_store_carries_out_nothing(opened: Opened, key: str) -> None:
    async def test(store: AsyncTensorStore) -> None:
        await store.run([say("SET", key, "x")])
        await store.close()
        with pytest.raises(RedisDatabaseError, match="closed"):
            await store.run([say("GET", key)])

    run(test, opened)
