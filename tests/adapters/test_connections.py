"""Both connections, the one that waits and the one for asyncio, with real databases and with ones that misbehave."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import redis

from readiness import is_readable
from servers import DEADLINE, Server, free_port, running_server, scripted_server
from smartsim.adapters.tensors.async_connection import AsyncTensorConnection, connect_async
from smartsim.adapters.tensors.connecting import connect
from smartsim.adapters.tensors.connection import TensorConnection
from smartsim.adapters.tensors.exchange import LostConnectionError
from smartsim.adapters.tensors.wire import GarbledReplyError
from smartsim.domain.addresses import Address
from smartsim.domain.client_errors import RedisRuntimeError
from smartsim.ports.tensor_store import Command, Reply, Request, Transaction

PONG = b"+PONG\r\n"
PING = Command((b"PING",))


@dataclass
class Waiting:
    """Calls of either connection, which return when they are done."""

    connection: TensorConnection | AsyncTensorConnection
    runner: asyncio.Runner

    def exchange(self, requests: Sequence[Request], patience: float = 0.0) -> list[Reply]:
        if isinstance(self.connection, TensorConnection):
            return self.connection.exchange(requests, patience)
        return self.runner.run(self.connection.exchange(requests, patience))


Connect = Callable[..., Waiting]


@pytest.fixture(params=["waiting", "asyncio"])
def connecting(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Make connections of one kind, which are closed afterwards."""
    made: list[Waiting] = []

    def make(
        address: Address, reply_timeout: float = DEADLINE, username: str | None = None, password: str | None = None
    ) -> Waiting:
        arguments = (address, DEADLINE, reply_timeout, username, password)
        connection = connect(*arguments) if request.param == "waiting" else runner.run(connect_async(*arguments))
        made.append(Waiting(connection, runner))
        return made[-1]

    with asyncio.Runner() as runner:
        yield make
        for each in made:
            each.connection.disconnect()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("db")) as server:
        yield server


def put(key: bytes, data: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Command:
    sides = (b"%d" % side for side in data.shape)
    return Command((b"AI.TENSORSET", key, b"DOUBLE", *sides, b"BLOB", data), key)


def get(key: bytes) -> Command:
    return Command((b"AI.TENSORGET", key, b"META", b"BLOB"), key, changes=False)


@pytest.fixture(params=["tcp", "unix"])
def address(request: pytest.FixtureRequest, server: Server) -> Address:
    address: Address = getattr(server, request.param)
    return address


def test_requests_of_every_kind(connecting: Connect, address: Address) -> None:
    small, large = np.arange(12.0).reshape(3, 4), np.random.default_rng(0).random((1000, 3000))
    each = connecting(address)
    assert each.exchange([put(b"s", small), put(b"l", large), Command((b"SET", b"b", large))]) == [b"OK"] * 3
    requests: list[Request] = [
        get(b"s"),
        get(b"l"),
        get(b"none"),
        Command((b"GET", b"b")),
        Transaction((get(b"s"), PING, get(b"l"))),
    ]
    first, second, missing, text, together = each.exchange(requests)
    assert isinstance(together, list)
    for reply, expected in ((first, small), (second, large), (together[0], small), (together[2], large)):
        assert np.array_equal(reply, expected)  # type: ignore[arg-type]  # an array, which it sees itself
    assert isinstance(missing, RedisRuntimeError)
    assert missing.key == "none"
    assert text == large.tobytes()
    assert together[1] == b"PONG"


def test_thousands_of_requests(connecting: Connect, address: Address) -> None:
    each = connecting(address)
    keys = [b"k%d" % number for number in range(3000)]
    assert each.exchange([put(key, np.array([float(key[1:])])) for key in keys]) == [b"OK"] * 3000
    replies = each.exchange([get(key) for key in keys])
    assert [float(reply[0]) for reply in replies if isinstance(reply, np.ndarray)] == list(range(3000))


def test_large_replies_of_many_requests(connecting: Connect, address: Address) -> None:
    each = connecting(address)
    data = np.random.default_rng(0).random(200_000)
    replies = each.exchange([put(b"l", data), *[get(b"l")] * 100])
    assert all(np.array_equal(reply, data) for reply in replies[1:])  # type: ignore[arg-type]  # as above


@pytest.mark.parametrize(
    ("username", "command"),
    [
        (None, (b"CONFIG", b"SET", b"requirepass", b"secret")),
        ("app", (b"ACL", b"SETUSER", b"app", b"on", b">secret", b"~*", b"+@all")),
    ],
)
def test_a_password_opens_the_database(
    connecting: Connect, tmp_path: Path, username: str | None, command: tuple[bytes, ...]
) -> None:
    with running_server(tmp_path) as server:
        admin = connecting(server.unix)
        assert admin.exchange([Command(command)]) == [b"OK"]
        assert admin.exchange([Command((b"ACL", b"SETUSER", b"default", b"resetpass", b">secret"))]) == [b"OK"]
        assert connecting(server.tcp, username=username, password="secret").exchange([PING]) == [b"PONG"]
        with pytest.raises(redis.ResponseError, match="WRONGPASS"):
            connecting(server.tcp, username=username, password="wrong")
        with pytest.raises(redis.ResponseError, match="NOAUTH"):
            connecting(server.tcp)


def test_a_password_is_not_told_to_whoever_reads_the_error(connecting: Connect) -> None:
    reply = b"-ERR unknown command 'AUTH', with args beginning with: 'secret' \r\n"
    with scripted_server([reply]) as server, pytest.raises(redis.ResponseError, match="unknown command") as raised:
        connecting(server.address, password="secret")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("reply", [b"-LOADING no\r\n", b"-ERR max number of clients reached\r\n"])
def test_a_database_that_is_not_ready_is_none_yet(connecting: Connect, reply: bytes) -> None:
    with scripted_server([reply]) as server, pytest.raises(redis.ConnectionError):
        connecting(server.address)


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"+OK\r\n", b"+PONG\r\n+PONG\r\n"])
def test_something_else_is_no_database(connecting: Connect, reply: bytes) -> None:
    with scripted_server([reply]) as server, pytest.raises(GarbledReplyError):
        connecting(server.address)


def test_nobody_there(connecting: Connect, tmp_path: Path) -> None:
    for nowhere in (Address.tcp("127.0.0.1", free_port()), Address.unix(str(tmp_path / "none"))):
        with pytest.raises((OSError, redis.ConnectionError)):
            connecting(nowhere)
    with scripted_server([b""]) as server, pytest.raises(LostConnectionError):
        connecting(server.address)


def test_a_closed_connection_is_seen_before_it_is_used(connecting: Connect, tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        for address in (server.tcp, server.unix):
            each = connecting(address)
            assert each.connection.is_alive()
            identity, killed = each.exchange([Command((b"CLIENT", b"ID")), PING])
            assert killed == b"PONG"
            kill = Command((b"CLIENT", b"KILL", b"ID", str(identity).encode()))
            assert connecting(address).exchange([kill]) == [1]
            assert not each.connection.is_alive()
            with pytest.raises(LostConnectionError) as caught:
                each.exchange([PING])
            assert caught.value.replies == []
            assert not each.connection.in_step
            assert not each.connection.is_alive()
            with pytest.raises(LostConnectionError, match="closed") as caught:
                each.exchange([PING])
            assert not caught.value.sent


def test_a_connection_with_bytes_that_nobody_asked_for_is_not_used(connecting: Connect) -> None:
    def speaks_unasked(sock: socket.socket) -> None:
        sock.recv(100)
        sock.sendall(PONG)
        asked.wait(DEADLINE)
        sock.sendall(b":1\r\n")
        sock.recv(100)  # until the other side hangs up

    asked = threading.Event()
    with scripted_server(speaks_unasked) as server:
        each = connecting(server.address)
        try:
            assert each.connection.is_alive()
            asked.set()
            sock = each.connection._sock
            assert sock is not None
            assert is_readable(sock, DEADLINE)
            assert not each.connection.is_alive()
        finally:
            each.connection.disconnect()


def test_slow_answers_are_waited_for_as_long_as_was_said(connecting: Connect, address: Address) -> None:
    each = connecting(address, reply_timeout=0.1)
    wait = Command((b"BLPOP", b"nothing", b"0.3"))
    assert each.exchange([wait], patience=DEADLINE) == [None]
    assert each.exchange([PING]) == [b"PONG"]
    with pytest.raises(LostConnectionError, match="in time") as caught:
        each.exchange([PING, Command((b"BLPOP", b"nothing", b"100"))])
    assert caught.value.replies == [b"PONG"]
    assert caught.value.sent
    assert caught.value.timed_out
    assert not each.connection.in_step


@pytest.mark.parametrize("reply", [b"", b"$5\r\nab", b"*2\r\n:1\r\n"])
def test_a_reply_that_breaks_off_is_none(connecting: Connect, reply: bytes) -> None:
    with scripted_server([PONG, reply]) as server:
        each = connecting(server.address)
        with pytest.raises(LostConnectionError) as caught:
            each.exchange([PING])
        assert caught.value.sent
        assert not each.connection.in_step


def test_garbage_ends_the_connection(connecting: Connect) -> None:
    with scripted_server([PONG, b":1\r\n:2\r\n"]) as server:
        each = connecting(server.address)
        with pytest.raises(GarbledReplyError):
            each.exchange([PING])
        assert not each.connection.in_step


def test_what_is_too_large_is_refused_with_the_reason(connecting: Connect, tmp_path: Path) -> None:
    data = np.zeros(1 << 20)
    with running_server(tmp_path, "--proto-max-bulk-len", "1mb") as server:
        for address in (server.tcp, server.unix):
            each = connecting(address)
            (refused,) = each.exchange([put(b"k", data)])
            assert isinstance(refused, RedisRuntimeError)
            assert "larger than the database takes" in str(refused)
            assert not each.connection.in_step
            again = connecting(address)
            with pytest.raises(LostConnectionError) as caught:
                again.exchange([put(b"s", np.zeros(1)), put(b"k", data), PING])
            assert caught.value.replies[0] == b"OK"
            assert not caught.value.sent
            if isinstance(again.connection, TensorConnection):
                waiting = connecting(address).connection
                assert isinstance(waiting, TensorConnection)
                with pytest.raises(redis.ResponseError, match="invalid bulk length"):
                    waiting.put_tensor(b"k", data)
                assert not waiting.in_step


def test_a_host_that_vanished_is_noticed(connecting: Connect, server: Server) -> None:
    sock = connecting(server.tcp).connection._sock
    assert sock is not None
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= DEADLINE
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_tensors_alone_on_a_connection_that_waits(server: Server) -> None:
    connection = connect(server.unix, DEADLINE, DEADLINE)
    try:
        data = np.random.default_rng(0).random((300, 7))
        connection.put_tensor(b"alone", data)
        assert np.array_equal(connection.get_tensor(b"alone"), data)
        with pytest.raises(redis.ResponseError, match="key"):
            connection.get_tensor(b"none")
        assert connection.exchange([PING]) == [b"PONG"]
    finally:
        connection.disconnect()
    with pytest.raises(LostConnectionError) as caught:
        connection.put_tensor(b"alone", data)
    assert not caught.value.sent


@pytest.mark.parametrize("call", ["put_tensor", "get_tensor"])
def test_what_may_have_been_carried_out_is_told_of_a_tensor_alone(call: str) -> None:
    with scripted_server([PONG, b""]) as server:
        connection = connect(server.address, DEADLINE, DEADLINE)
        operation = partial(getattr(connection, call), b"k", *[np.zeros(1)] * (call == "put_tensor"))
        with pytest.raises(LostConnectionError) as caught:
            operation()
        assert caught.value.sent
        with pytest.raises(LostConnectionError) as caught:
            operation()
        assert not caught.value.sent


def test_a_tensor_that_was_not_sent_whole_was_not_carried_out() -> None:
    def never_reads(sock: socket.socket) -> None:
        sock.recv(100)
        sock.sendall(PONG)
        ended.wait(DEADLINE)

    ended = threading.Event()
    with scripted_server(never_reads) as server:
        connection = connect(server.address, DEADLINE, 0.2)
        try:
            with pytest.raises(LostConnectionError, match="in time") as caught:
                connection.put_tensor(b"k", np.zeros(4_000_000))
        finally:
            ended.set()
        assert not caught.value.sent
