"""A connection for asyncio, among other tasks."""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path

import numpy as np
import pytest

from servers import DEADLINE, running_server, scripted_server
from smartsim.adapters.tensors.async_connection import connect_async
from smartsim.adapters.tensors.exchange import LostConnectionError
from smartsim.domain.addresses import Address
from smartsim.ports.tensor_store import Command, Reply

PONG = b"+PONG\r\n"
PING = Command((b"PING",))
POP = Command((b"BLPOP", b"list", b"100"))


def test_other_tasks_go_on_while_one_waits(tmp_path: Path) -> None:
    async def main(address: Address) -> None:
        waiting, pushing = [await connect_async(address, DEADLINE, DEADLINE) for _ in range(2)]
        try:
            popped = asyncio.create_task(waiting.exchange([POP]))
            clients: Reply = None
            while "blocked_clients:1" not in str(clients):
                (clients,) = await pushing.exchange([Command((b"INFO", b"clients"))])
            assert await pushing.exchange([Command((b"RPUSH", b"list", b"x"))]) == [1]
            assert await popped == [[b"list", b"x"]]
        finally:
            waiting.disconnect()
            pushing.disconnect()

    with running_server(tmp_path) as server:
        asyncio.run(asyncio.wait_for(main(server.unix), DEADLINE))


def test_other_tasks_have_their_turns_while_a_large_tensor_moves(tmp_path: Path) -> None:
    data = np.random.default_rng(0).random(8_000_000)
    put = Command((b"AI.TENSORSET", b"k", b"DOUBLE", b"8000000", b"BLOB", data))
    get = Command((b"AI.TENSORGET", b"k", b"META", b"BLOB"))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def main(address: Address) -> None:
        connection = await connect_async(address, DEADLINE, DEADLINE)
        counting = asyncio.create_task(count())
        try:
            assert await connection.exchange([put]) == [b"OK"]
            (tensor,) = await connection.exchange([get])
            assert isinstance(tensor, np.ndarray)
            assert np.array_equal(tensor, data)
        finally:
            counting.cancel()
            connection.disconnect()

    with running_server(tmp_path) as server:
        for address in (server.tcp, server.unix):
            turns = 0
            asyncio.run(asyncio.wait_for(main(address), DEADLINE))
            assert turns > 5


def half_a_reply(sock: socket.socket) -> None:
    sock.recv(100)
    sock.sendall(PONG)
    sock.recv(100)
    sock.sendall(b"$10\r\nabc")
    sock.recv(100)  # until the other side hangs up


def test_what_is_cancelled_in_the_middle_ends_its_connection() -> None:
    async def main(address: Address) -> None:
        connection = await connect_async(address, DEADLINE, DEADLINE)
        task = asyncio.create_task(connection.exchange([PING]))
        await asyncio.sleep(0)  # it has been sent
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not connection.in_step
        assert not connection.is_alive()
        with pytest.raises(LostConnectionError, match="closed"):
            await connection.exchange([PING])

    with scripted_server(half_a_reply) as server:
        asyncio.run(asyncio.wait_for(main(server.address), DEADLINE))


def test_a_timeout_of_the_caller_is_a_timeout_and_ends_the_connection() -> None:
    async def main(address: Address) -> None:
        connection = await connect_async(address, DEADLINE, DEADLINE)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await connection.exchange([PING])
        assert not connection.in_step

    with scripted_server(half_a_reply) as server:
        asyncio.run(asyncio.wait_for(main(server.address), DEADLINE))


def test_cancelling_the_greeting_leaves_no_socket_open() -> None:
    def says_nothing(sock: socket.socket) -> None:
        sock.recv(100)
        asked.set()
        assert sock.recv(100) == b""
        closed.set()

    async def main(address: Address) -> None:
        task = asyncio.create_task(connect_async(address, DEADLINE, DEADLINE))
        assert await asyncio.to_thread(asked.wait, DEADLINE)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(closed.wait, DEADLINE)

    asked, closed = threading.Event(), threading.Event()
    with scripted_server(says_nothing) as server:
        asyncio.run(main(server.address))


def test_a_connection_that_cannot_be_made_is_given_up_in_time() -> None:
    async def main(address: Address) -> None:
        with pytest.raises(TimeoutError):
            await connect_async(address, 0.05, DEADLINE)

    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(8)]
        for sock in waiting:  # more than it keeps for later
            sock.setblocking(False)
            sock.connect_ex(address)
        try:
            asyncio.run(main(Address.tcp(*address)))
        finally:
            for sock in waiting:
                sock.close()
