"""Databases that fail, seen through the public clients: a bounded wait, one clear error, and a client that works on."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from resp_peer import encoded
from servers import DEADLINE, free_port, running_server, scripted_server
from smartsim.client import (
    AsyncClient,
    Client,
    Dataset,
    Pending,
    RedisConnectionError,
    RedisDatabaseError,
    RedisInternalError,
    RedisReplyError,
    RedisRuntimeError,
)

X = np.arange(6.0).reshape(2, 3)
TENSOR = encoded(X)
PONG, OK = b"+PONG\r\n", b"+OK\r\n"
MAYBE = "may have been carried out"


class Caller:
    """Either client, whose calls return when they are done."""

    def __init__(self, client: Client | AsyncClient, runner: asyncio.Runner) -> None:
        self.client = client
        self._runner = runner

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.client, name)
        if isinstance(self.client, Client):
            return method  # type: ignore[no-any-return]  # all are

        async def awaited(*arguments: Any) -> Any:
            return await method(*arguments)

        return lambda *arguments: self._runner.run(awaited(*arguments))

    def pipelined(self, *calls: tuple[Any, ...]) -> list[Any]:
        """Return what the calls of a pipeline return, or the errors that they raise."""
        pending: list[Pending[Any]] = []

        async def together(client: AsyncClient) -> None:
            async with client.pipeline() as pipeline:
                pending.extend(getattr(pipeline, name)(*arguments) for name, *arguments in calls)

        with suppress(RedisReplyError):  # one of those of the calls
            if isinstance(self.client, AsyncClient):
                self._runner.run(together(self.client))
            else:
                with self.client.pipeline() as pipeline:
                    pending.extend(getattr(pipeline, name)(*arguments) for name, *arguments in calls)
        return [each.error or each.result() for each in pending]


Connect = Callable[..., Caller]


@pytest.fixture(params=["waiting", "asyncio"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Make clients of one kind, which are closed afterwards."""
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())

        def make(address: object, username: str | None = None, password: str | None = None) -> Caller:
            if request.param == "waiting":
                waiting = Client(cluster=False, address=str(address), username=username, password=password)
                return Caller(stack.enter_context(waiting), runner)
            client = AsyncClient(cluster=False, address=str(address), username=username, password=password)
            stack.callback(lambda: runner.run(client.close()))
            runner.run(client.connect())
            return Caller(client, runner)

        yield make


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("SSDB", "SR_DB_TYPE", "SSKEYIN", "SSKEYOUT", "SR_DB_USERNAME", "SR_DB_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    for name in ("SR_CONN_INTERVAL", "SR_CMD_INTERVAL"):
        monkeypatch.setenv(name, "10")
    for name in ("SR_CONN_TIMEOUT", "SR_CMD_TIMEOUT"):
        monkeypatch.setenv(name, str(int(DEADLINE)))
    return monkeypatch


def silent(sock: socket.socket) -> None:
    """Answer to nothing but the greeting, until the client hangs up."""
    sock.recv(100)
    sock.sendall(PONG)
    while sock.recv(1 << 16):
        pass


def dataset(value: float, size: int = 3) -> Dataset:
    made = Dataset("d")
    made.add_tensor("t", np.full(size, value))
    made.add_meta_scalar("value", value)
    return made


# --- nobody is there, or it goes away


def test_nobody_is_there(connect: Connect, environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("SR_CONN_TIMEOUT", "1")
    environment.setenv("SR_CONN_INTERVAL", "600")
    for address in (f"127.0.0.1:{free_port()}", f"unix://{tmp_path}/none"):
        with pytest.raises(RedisConnectionError, match=rf"attempts: 2.*SSDB.*\nCould not connect .* at {address}"):
            connect(address)


@pytest.mark.parametrize("cut", [0, 1, 20, -3, -1])
def test_half_a_reply_is_never_data(connect: Connect, cut: int) -> None:
    with scripted_server([PONG, TENSOR[: cut % len(TENSOR)]], [PONG, TENSOR, TENSOR]) as server:
        client = connect(server.address)
        for _ in range(2):
            assert np.array_equal(client.get_tensor("t"), X)
        assert server.connections == 2


@pytest.mark.parametrize("reply", [b"", b"+O"])
def test_what_changes_something_is_sent_once(connect: Connect, reply: bytes) -> None:
    with scripted_server([PONG, reply], [PONG, OK, b":1\r\n"]) as server:
        client = connect(server.address)
        with pytest.raises(RedisDatabaseError, match=MAYBE):
            client.put_tensor("t", X)
        client.put_tensor("u", X)
        assert client.tensor_exists("u")
        assert sum(b"AI.TENSORSET" in request for request in server.received) == 2


def test_silence_ends(connect: Connect, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SR_SOCKET_TIMEOUT", "100")
    with scripted_server(silent, silent, [PONG, TENSOR]) as server:
        client = connect(server.address)
        with pytest.raises(RedisDatabaseError, match=f"in time.*{MAYBE}"):
            client.put_tensor("t", X)
        assert np.array_equal(client.get_tensor("t"), X)  # asked for twice


def test_silence_for_ever_is_an_error(connect: Connect, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SR_SOCKET_TIMEOUT", "50")
    environment.setenv("SR_CMD_TIMEOUT", "1")
    environment.setenv("SR_CMD_INTERVAL", "300")
    with scripted_server(silent) as server:
        client = connect(server.address)
        for call in ("get_tensor", "get_dataset"):
            with pytest.raises(RedisDatabaseError, match=f"{call} execution failed\n.*in time.*attempts"):
                getattr(client, call)("t")


def test_in_a_pipeline_nothing_counts_as_done_that_is_not(connect: Connect) -> None:
    puts = [("put_bytes", name, b"1") for name in "abc"]
    with scripted_server([PONG, b"+OK\r\n+O"], [PONG, OK * 3]) as server:
        client = connect(server.address)
        _, *others = client.pipelined(*puts)
        assert [type(error) for error in others] == [RedisDatabaseError] * 2
        assert all(MAYBE in str(error) for error in others)
        assert client.pipelined(*puts) == [None] * 3


def test_a_database_that_goes_and_comes_back(connect: Connect, environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    options = ("--appendonly", "yes")
    with ExitStack() as stack:
        server = stack.enter_context(running_server(tmp_path, *options))
        client = connect(server.tcp)
        environment.setenv("SR_CMD_TIMEOUT", "1")
        impatient = connect(server.unix)
        client.put_tensor("t", X)
        server.stop()
        for name, *arguments in (("get_tensor", "t"), ("put_tensor", "t", X)):
            with pytest.raises(RedisDatabaseError, match=r"attempts: \d+"):
                getattr(impatient, name)(*arguments)
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(client.get_tensor, "t")
            stack.enter_context(running_server(tmp_path, *options, port=server.tcp.port))
            assert np.array_equal(waiting.result(DEADLINE), X)
        impatient.put_tensor("t", 2 * X)
        assert np.array_equal(client.get_tensor("t"), 2 * X)


# --- it is there, but cannot


def test_a_database_that_reads_its_data_is_waited_for(connect: Connect, tmp_path: Path) -> None:
    port = free_port()
    with ExitStack() as stack:
        server = stack.enter_context(running_server(tmp_path, port=port))
        filler = connect(server.tcp)
        filler.pipelined(*(("put_tensor", f"t{number}", X) for number in range(100)))
        filler.save([str(server.tcp)])
        server.stop()
        slowly = ("--key-load-delay", "5000", "--loading-process-events-interval-bytes", "1024")
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(connect, server.tcp)
            stack.enter_context(running_server(tmp_path, *slowly, port=port))
            client = waiting.result(DEADLINE)
        assert np.array_equal(client.get_tensor("t99"), X)
        (info,) = client.get_db_node_info([str(server.tcp)])
        assert "errorstat_LOADING" in info["Errorstats"]


@pytest.mark.parametrize(("call", "arguments", "reply"), [("put_tensor", ("t", X), OK), ("get_tensor", ("t",), TENSOR)])
def test_what_it_refuses_while_it_reads_its_data_is_sent_again(
    connect: Connect, call: str, arguments: tuple[Any, ...], reply: bytes
) -> None:
    loading = b"-LOADING Valkey is loading the dataset in memory\r\n"
    with scripted_server([PONG, loading, loading, reply]) as server:
        getattr(connect(server.address), call)(*arguments)
        assert len(server.received) == 4


def test_a_full_database_says_so_and_keeps_what_it_has(connect: Connect, tmp_path: Path) -> None:
    with running_server(tmp_path, "--maxmemory-policy", "noeviction") as server:
        address = str(server.tcp)
        client = connect(address)
        client.put_tensor("t", X)
        client.put_dataset(dataset(1.0))
        client.config_set("maxmemory", "1mb", address)  # less than there is
        large = np.zeros(1_000_000)
        refused: Sequence[tuple[Any, ...]] = [
            ("put_tensor", "t", X),
            ("put_tensor", "large", large),
            ("put_dataset", dataset(2.0)),
            ("put_dataset", dataset(2.0, 1_000_000)),
            ("copy_tensor", "t", "copy"),
            ("append_to_list", "l", dataset(1.0)),
            ("put_bytes", "b", b"1"),
        ]
        for name, *arguments in refused:
            with pytest.raises(RedisRuntimeError, match=rf"{name} execution failed\n(.|\n)*OOM.*maxmemory"):
                getattr(client, name)(*arguments)
        errors = client.pipelined(*refused, ("get_tensor", "t"))
        assert np.array_equal(errors.pop(), X)
        assert all(isinstance(error, RedisRuntimeError) and "OOM" in str(error) for error in errors)
        assert client.get_dataset("d").get_meta_scalars("value") == [1.0]
        client.delete_tensor("t")
        client.config_set("maxmemory", "0", address)
        client.put_dataset(dataset(2.0, 1_000_000))
        assert client.get_dataset("d").get_tensor("t").sum() == 2_000_000


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\xff\r\n", b"$2\r\nabc\r\n"])
def test_garbage_is_an_error_and_its_connection_is_given_up(connect: Connect, garbage: bytes) -> None:
    with scripted_server([PONG, garbage], [PONG, TENSOR]) as server:
        client = connect(server.address)
        with pytest.raises(RedisInternalError, match="get_tensor execution failed\n"):
            client.get_tensor("t")
        assert np.array_equal(client.get_tensor("t"), X)


@pytest.mark.parametrize("reply", [b":1\r\n", b"$-1\r\n", b"*2\r\n:1\r\n:2\r\n", encoded([b"dtype", b"FLOAT"])])
def test_what_is_no_tensor_is_not_returned_as_one(connect: Connect, reply: bytes) -> None:
    with scripted_server([PONG, reply], [PONG, TENSOR]) as server:
        client = connect(server.address)
        with pytest.raises(RedisInternalError, match="get_tensor execution failed\n"):
            client.get_tensor("t")


# --- passwords


def test_who_has_the_password_gets_in(connect: Connect, environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        with redis.Redis("127.0.0.1", server.tcp.port, socket_timeout=DEADLINE) as admin:
            admin.execute_command("ACL SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", "-flushdb")
            admin.config_set("requirepass", "other")
        connect(server.tcp, password="other").put_tensor("t", X)
        client = connect(server.unix, username="app", password="secret")
        assert np.array_equal(client.get_tensor("t"), X)
        with pytest.raises(RedisRuntimeError, match="NOPERM.*does not allow"):
            client.flush_db([str(server.unix)])
        for username, password, message in (
            (None, None, "NOAUTH.*password="),
            (None, "no", "WRONGPASS"),
            ("app", None, "NOAUTH"),
            ("app", "other", "WRONGPASS"),
            ("nobody", "secret", "WRONGPASS"),
        ):
            with pytest.raises(RedisConnectionError, match=f"{message}.*\nCould not connect .* {server.tcp}"):
                connect(server.tcp, username, password)
        environment.setenv("SR_DB_PASSWORD", "secret")
        with pytest.raises(RedisConnectionError, match="WRONGPASS"):
            connect(server.tcp)
        environment.setenv("SR_DB_USERNAME", "app")
        assert connect(server.tcp).tensor_exists("t")
        assert connect(server.tcp, username="default", password="other").tensor_exists("t")
