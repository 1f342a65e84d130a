"""The store of an event loop: many tasks at once, some of them cancelled, and databases that misbehave."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import numpy as np
import pytest
import redis

from servers import DEADLINE, Server, free_port, running_server, scripted_server
from smartsim.adapters.tensors.async_resp import AsyncRespTensorStore
from smartsim.domain.addresses import Address
from smartsim.domain.client_config import ClientConfig, RetryPolicy
from smartsim.domain.client_errors import (
    RedisConnectionError,
    RedisDatabaseError,
    RedisInternalError,
    RedisRuntimeError,
)
from smartsim.ports.tensor_store import Command
from tensor_stores import say, tensor_get, tensor_set
from waiting import wait_until

P = ParamSpec("P")

PONG = b"+PONG\r\n"
THREE_ATTEMPTS = ClientConfig(
    connecting=RetryPolicy(2 / 64, 1 / 64), commands=RetryPolicy(2 / 64, 1 / 64), socket_timeout=20
)
DEL, EXISTS = say("DEL", "k"), say("EXISTS", "k", changes=False)
CLIENT_ID = say("CLIENT", "ID", changes=False)
DATA = np.arange(1000.0)


def on_a_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test on an event loop of its own."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), DEADLINE))

    return run


@asynccontextmanager
async def store_at(address: Address, config: ClientConfig = THREE_ATTEMPTS) -> AsyncIterator[AsyncRespTensorStore]:
    store = await AsyncRespTensorStore.connect([address], config)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("db")) as server:
        yield server


@pytest.mark.parametrize("transport", ["tcp", "unix"])
@on_a_loop
async def test_tasks_do_not_take_the_replies_of_one_another(server: Server, transport: str) -> None:
    async with store_at(getattr(server, transport)) as store:

        async def work(number: int) -> bool:
            data = np.full(100 * number, number)
            await store.run([tensor_set(f"key{number}", data)])
            (found,) = await store.run([tensor_get(f"key{number}")])
            return isinstance(found, np.ndarray) and found.tolist() == data.tolist()

        assert all(await asyncio.gather(*map(work, range(1, 300))))


@on_a_loop
async def test_tasks_share_a_bounded_number_of_connections(server: Server) -> None:
    with redis.Redis(server.tcp.host, server.tcp.port) as other:
        other.config_resetstat()
        async with store_at(server.unix) as store:
            slow = Command((b"BLPOP", b"nothing", b"0.05"), b"nothing")
            assert await asyncio.gather(*(store.run([slow]) for _ in range(200))) == [[None]] * 200
        assert other.info("stats")["total_connections_received"] == 64


@on_a_loop
async def test_tasks_that_wait_at_the_database_leave_room_for_the_one_they_wait_for(server: Server) -> None:
    async with store_at(server.unix) as store:
        pop = Command((b"BLPOP", b"list", b"0"), b"list", patience=DEADLINE)
        waiting = [asyncio.create_task(store.run([pop])) for _ in range(80)]
        with redis.Redis(server.tcp.host, server.tcp.port) as other:
            await asyncio.to_thread(wait_until, lambda: other.info("clients")["blocked_clients"] == len(waiting))
        await store.run([say("RPUSH", "list", *range(80))])
        popped: list[Any] = [reply for (reply,) in await asyncio.gather(*waiting)]
        assert sorted(int(element) for _, element in popped) == list(range(80))


@on_a_loop
async def test_a_task_that_is_cancelled_disturbs_no_other(server: Server) -> None:
    async with store_at(server.tcp) as store:
        await store.run([tensor_set("large", np.arange(1 << 20)), say("SET", "small", "text")])
        for turns in range(12):
            task = asyncio.create_task(store.run([tensor_get("large")]))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            assert await store.run([say("GET", "small", changes=False)]) == [b"text"]
            await asyncio.gather(task, return_exceptions=True)
        (large,) = await store.run([tensor_get("large")])
        assert np.array_equal(large, np.arange(1 << 20))  # type: ignore[arg-type]  # an array


@on_a_loop
async def test_a_reply_that_breaks_off_is_asked_for_again() -> None:
    with scripted_server([PONG, b"$4\r\nab"], [PONG, b"$4\r\nabcd\r\n"]) as server:
        async with store_at(server.address) as store:
            assert await store.run([say("GET", "k", changes=False)]) == [b"abcd"]


@on_a_loop
async def test_a_change_without_an_answer_is_not_sent_again() -> None:
    with scripted_server([PONG, b""], [PONG, b":1\r\n"]) as server:
        async with store_at(server.address) as store:
            with pytest.raises(RedisDatabaseError, match="'k'.*DEL may have been carried out or not"):
                await store.run([DEL])
            assert b"".join(server.received).count(b"DEL") == 1
            assert await store.run([DEL]) == [1]


@on_a_loop
async def test_a_change_that_is_cancelled_is_not_sent_again() -> None:
    asked, done = threading.Event(), threading.Event()

    def silent(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(PONG)
        connection.recv(100)
        asked.set()
        done.wait(DEADLINE)

    with scripted_server(silent, [PONG, b":3\r\n"]) as server:
        async with store_at(server.address) as store:
            task = asyncio.create_task(store.run([DEL]))
            assert await asyncio.to_thread(asked.wait, DEADLINE)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            done.set()
            assert await store.run([EXISTS]) == [3]
            assert b"".join(server.received).count(b"DEL") == 0


@on_a_loop
async def test_garbage_is_an_error_and_the_next_call_works() -> None:
    with scripted_server([PONG, b"HTTP/1.1 400\r\n"], [PONG, b":1\r\n"]) as server:
        async with store_at(server.address) as store:
            with pytest.raises(RedisInternalError, match="'k'"):
                await store.run([EXISTS])
            assert await store.run([EXISTS]) == [1]


@on_a_loop
async def test_a_database_that_says_nothing_ends_in_an_error() -> None:
    done = threading.Event()

    def silent(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(PONG)
        done.wait(DEADLINE)

    config = replace(THREE_ATTEMPTS, commands=RetryPolicy(timeout=0, interval=1), socket_timeout=0.05)
    with scripted_server(silent) as server:
        async with store_at(server.address, config) as store:
            with pytest.raises(RedisDatabaseError, match="did not answer in time"):
                await store.run([EXISTS])
            done.set()


@on_a_loop
async def test_a_database_that_was_restarted_is_found_again(tmp_path: Path) -> None:
    with running_server(tmp_path) as first:
        async with store_at(first.tcp) as store:
            await store.run([tensor_set("k", DATA)])
            first.stop()
            with pytest.raises(RedisDatabaseError, match="check that the database still runs"):
                await store.run([EXISTS])
            with running_server(tmp_path, port=first.tcp.port):
                await store.run([tensor_set("k", DATA)])
                assert await store.run([EXISTS]) == [1]


@on_a_loop
async def test_only_the_right_password_opens_a_database(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        with redis.Redis(server.tcp.host, server.tcp.port) as admin:
            admin.config_set("requirepass", "secret")
        with pytest.raises(RedisConnectionError, match="asks for a password"):
            await AsyncRespTensorStore.connect([server.tcp], THREE_ATTEMPTS)
        async with store_at(server.tcp, replace(THREE_ATTEMPTS, password="secret")) as store:
            assert await store.run([EXISTS]) == [0]


@on_a_loop
async def test_where_nothing_listens_is_an_error_that_says_where() -> None:
    for address in (Address.unix("/nonexistent/socket"), Address.tcp("127.0.0.1", free_port())):
        with pytest.raises(RedisConnectionError, match=r"attempts: 3") as raised:
            await AsyncRespTensorStore.connect([address], THREE_ATTEMPTS)
        assert str(raised.value).endswith(f"\nCould not connect to Orchestrator at {address}")


@on_a_loop
async def test_what_the_database_refuses_stands_among_the_replies(server: Server) -> None:
    async with store_at(server.tcp) as store:
        before, refused, after = await store.run([DEL, tensor_get("k"), EXISTS])
        assert (before, after) == (0, 0)
        assert isinstance(refused, RedisRuntimeError)


@on_a_loop
async def test_a_closed_store_says_so(server: Server) -> None:
    store = await AsyncRespTensorStore.connect([server.tcp], THREE_ATTEMPTS)
    await store.close()
    await store.close()
    with pytest.raises(RedisDatabaseError, match="closed"):
        await store.run([EXISTS])


@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_a_forked_process_has_connections_of_its_own(server: Server, transport: str) -> None:
    with asyncio.Runner() as runner:
        store = runner.run(AsyncRespTensorStore.connect([getattr(server, transport)], THREE_ATTEMPTS))
        number = runner.run(store.run([CLIENT_ID]))
        child = os.fork()
        if child == 0:
            os._exit(0 if asyncio.run(store.run([CLIENT_ID])) != number else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert runner.run(store.run([CLIENT_ID])) == number
        runner.run(store.close())
