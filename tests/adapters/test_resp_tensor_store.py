"""The store when the database, or the way to it, misbehaves: one clear error in bounded time, and usable afterwards."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import redis

from servers import DEADLINE, Server, free_port, running_server, scripted_server
from smartsim.adapters.tensors import pool
from smartsim.adapters.tensors.resp import RespTensorStore
from smartsim.domain.addresses import Address
from smartsim.domain.client_config import ClientConfig, RetryPolicy, read_client_config
from smartsim.domain.client_errors import (
    RedisBadAllocError,
    RedisConnectionError,
    RedisDatabaseError,
    RedisInternalError,
    RedisRuntimeError,
)
from smartsim.ports.tensor_store import Command, Transaction

PONG = b"+PONG\r\n"
OK = b"+OK\r\n"
DATA = np.arange(1000, dtype=np.float64)
REPLY = (
    b"*6\r\n$5\r\ndtype\r\n$6\r\nDOUBLE\r\n$5\r\nshape\r\n*1\r\n:1000\r\n$4\r\nblob\r\n$8000\r\n%b\r\n" % DATA.tobytes()
)
DEL = Command((b"DEL", b"k"), b"k")
EXISTS = Command((b"EXISTS", b"k"), b"k", changes=False)
THREE_ATTEMPTS = ClientConfig(
    connecting=RetryPolicy(timeout=20, interval=1 / 64), commands=RetryPolicy(2 / 64, 1 / 64), socket_timeout=20
)
ONE_ATTEMPT = ClientConfig(THREE_ATTEMPTS.connecting, RetryPolicy(timeout=0, interval=1), socket_timeout=20)
PATIENT = read_client_config(dict[str, str]().get)


@contextmanager
def store_at(address: Address, config: ClientConfig = THREE_ATTEMPTS) -> Iterator[RespTensorStore]:
    with closing(RespTensorStore([address], config)) as store:
        yield store


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("db")) as server:
        yield server


@pytest.mark.parametrize("sent", [0, 1, 60, len(REPLY) // 2, len(REPLY) - 1])
def test_a_reply_that_breaks_off_is_asked_for_again(sent: int) -> None:
    with scripted_server([PONG, REPLY[:sent]], [PONG, REPLY]) as server, store_at(server.address) as store:
        assert np.array_equal(store.get(b"k"), DATA)
        assert server.connections == 2


def test_a_put_without_an_answer_is_not_sent_again() -> None:
    with scripted_server([PONG, b""], [PONG, OK]) as server, store_at(server.address) as store:
        with pytest.raises(RedisDatabaseError, match=r"for the key 'k'.*AI.TENSORSET may have been carried out or not"):
            store.put(b"k", np.zeros(1))
        assert len([request for request in server.received if b"TENSORSET" in request]) == 1
        store.put(b"k", np.zeros(1))


def test_what_reads_is_sent_again_behind_what_has_its_answer() -> None:
    with scripted_server([PONG, b":1\r\n"], [PONG, b":2\r\n"]) as server, store_at(server.address) as store:
        assert store.run([DEL, EXISTS]) == [1, 2]
        assert b"".join(server.received).count(b"DEL") == 1


def test_what_changes_something_is_not_sent_again_behind_what_has_its_answer() -> None:
    with scripted_server([PONG, b":1\r\n"], [PONG, OK]) as server, store_at(server.address) as store:
        with pytest.raises(RedisDatabaseError, match="DEL may have been carried out"):
            store.run([EXISTS, DEL])
        assert b"".join(server.received).count(b"DEL") == 1


def test_replies_that_always_break_off_end_in_an_error() -> None:
    with scripted_server([PONG, REPLY[:100]]) as server, store_at(server.address) as store:
        with pytest.raises(RedisDatabaseError, match=r"No answer for the key 'k' from .*attempts: 4") as raised:
            store.get(b"k")
        assert str(server.address) in str(raised.value)
        assert server.connections == 4  # one more than the policy has: the first may have been dead already


def test_a_database_that_says_nothing_ends_in_an_error() -> None:
    done = threading.Event()

    def silent(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(PONG)
        done.wait(DEADLINE)

    config = replace(ONE_ATTEMPT, socket_timeout=0.05)
    with scripted_server(silent) as server, store_at(server.address, config) as store:
        with pytest.raises(RedisDatabaseError, match="did not answer in time"):
            store.get(b"k")
        done.set()


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b":1\r\n", OK])
def test_garbage_is_an_error_at_once_and_the_next_call_works(garbage: bytes) -> None:
    with scripted_server([PONG, garbage], [PONG, REPLY]) as server, store_at(server.address) as store:
        with pytest.raises(RedisInternalError, match=r"'k'"):
            store.get(b"k")
        assert np.array_equal(store.get(b"k"), DATA)


def test_another_commands_reply_is_not_taken() -> None:
    with scripted_server([PONG, b":7\r\n"], [PONG, OK]) as server, store_at(server.address) as store:
        with pytest.raises(RedisInternalError, match=":7"):
            store.put(b"k", DATA)
        store.put(b"k", DATA)


def test_more_replies_than_requests_are_none() -> None:
    with scripted_server([PONG, b":1\r\n:1\r\n"], [PONG, b":2\r\n"]) as server, store_at(server.address) as store:
        with pytest.raises(RedisInternalError, match="for the key 'k' what makes no sense"):
            store.run([EXISTS])
        assert store.run([EXISTS]) == [2]


@pytest.mark.parametrize(
    "refusal", [b"-LOADING it reads", b"-MASTERDOWN it copies", b"-TRYAGAIN", b"-CLUSTERDOWN it is"]
)
def test_what_is_refused_for_the_time_being_is_sent_again(refusal: bytes) -> None:
    wait = refusal + b"\r\n"
    with scripted_server([PONG, wait, wait, OK, wait, REPLY]) as server, store_at(server.address) as store:
        store.put(b"k", DATA)
        assert np.array_equal(store.get(b"k"), DATA)
        assert server.connections == 1


@pytest.mark.parametrize(
    ("reply", "advice"),
    [
        (b"-OOM command not allowed when used memory > 'maxmemory'.\r\n", "maxmemory"),
        (b"-MOVED 12 127.0.0.1:1\r\n", "cluster"),
        (b"-ERR unknown command 'AI.TENSORGET', with args\r\n", "module"),
    ],
)
def test_a_refusal_comes_at_once_with_advice_and_the_connection_stays(reply: bytes, advice: str) -> None:
    with scripted_server([PONG, reply, REPLY]) as server, store_at(server.address) as store:
        with pytest.raises(RedisRuntimeError, match=advice):
            store.get(b"k")
        assert np.array_equal(store.get(b"k"), DATA)
        assert server.connections == 1


def test_more_than_memory_holds_is_an_error_and_the_next_call_works() -> None:
    huge = REPLY.replace(b":1000", b":%d" % (1 << 56)).replace(b"$8000", b"$%d" % (1 << 59))
    with scripted_server([PONG, huge], [PONG, REPLY]) as server, store_at(server.address) as store:
        with pytest.raises(RedisBadAllocError, match="'k'"):
            store.get(b"k")
        assert np.array_equal(store.get(b"k"), DATA)


def test_an_interrupted_call_leaves_no_half_read_reply() -> None:
    asked, done = threading.Event(), threading.Event()

    def breaks_off(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(PONG)
        connection.recv(1000)
        connection.sendall(REPLY[:4000])
        asked.set()
        done.wait(DEADLINE)
        connection.sendall(REPLY[4000:])

    def interrupt() -> None:
        asked.wait(DEADLINE)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    def handler(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGUSR1, handler)
    thread = threading.Thread(target=interrupt)
    try:
        with scripted_server(breaks_off, [PONG, REPLY]) as server, store_at(server.address) as store:
            thread.start()
            with pytest.raises(KeyboardInterrupt):
                store.get(b"k")
            done.set()
            assert np.array_equal(store.get(b"k"), DATA)
    finally:
        done.set()
        thread.join(DEADLINE)
        signal.signal(signal.SIGUSR1, previous)


def test_a_database_that_goes_on_loading_is_an_error_in_the_end() -> None:
    loading = b"-LOADING Redis is loading the dataset in memory\r\n"
    with scripted_server([PONG, *[loading] * 3, OK]) as server, store_at(server.address) as store:
        with pytest.raises(RedisRuntimeError, match="reading its data from disk"):
            store.put(b"k", DATA)
        store.put(b"k", DATA)


def test_a_database_that_is_still_loading_is_waited_for() -> None:
    loading = [b"-LOADING Redis is loading the dataset in memory\r\n"]
    with scripted_server(loading, loading, [PONG, REPLY]) as server, store_at(server.address) as store:
        assert np.array_equal(store.get(b"k"), DATA)


def test_a_database_that_starts_late_is_waited_for(tmp_path: Path) -> None:
    port = free_port()
    stores: list[RespTensorStore] = []
    thread = threading.Thread(
        target=lambda: stores.append(RespTensorStore([Address.tcp("127.0.0.1", port)], THREE_ATTEMPTS))
    )
    thread.start()
    with running_server(tmp_path, port=port):
        thread.join(DEADLINE)
        stores[0].put(b"k", DATA)
        stores[0].close()


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (Address.unix("/nonexistent/socket"), "No such file"),
        (Address.tcp("host.invalid", 6379), "host.invalid"),
    ],
)
def test_where_nothing_listens_is_an_error_that_says_where(address: Address, reason: str) -> None:
    config = replace(PATIENT, connecting=RetryPolicy(timeout=2 / 64, interval=1 / 64))
    with pytest.raises(RedisConnectionError, match=rf"{reason}.*attempts: \d") as raised:
        RespTensorStore([address], config)
    assert str(raised.value).endswith(f"\nCould not connect to Orchestrator at {address}")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not a database"),
        (OK, "not a database"),
        (b"-NOAUTH Authentication required.\r\n", "password"),
        (b"-NOPERM no permissions to run the 'ping' command\r\n", "not allow"),
    ],
)
def test_what_listens_but_will_not_do_is_an_error_at_once(reply: bytes, reason: str) -> None:
    with scripted_server([reply]) as server:
        with pytest.raises(RedisConnectionError, match=reason):
            RespTensorStore([server.address], PATIENT)
        assert server.connections == 1


def test_only_the_right_password_opens_a_database(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        with redis.Redis(server.tcp.host, server.tcp.port) as admin:
            admin.config_set("requirepass", "secret")
        with pytest.raises(RedisConnectionError, match="asks for a password"):
            RespTensorStore([server.tcp], PATIENT)
        with pytest.raises(RedisConnectionError, match="user name or the password is not right"):
            RespTensorStore([server.tcp], replace(PATIENT, password="wrong"))
        with store_at(server.tcp, replace(PATIENT, password="secret")) as store:
            store.put(b"k", DATA)


@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_a_tensor_beyond_the_limit_of_the_database_is_refused_at_once(tmp_path: Path, transport: str) -> None:
    with (
        running_server(tmp_path, "--proto-max-bulk-len", "1mb") as server,
        store_at(getattr(server, transport), ONE_ATTEMPT) as store,
    ):
        for elements in ((1 << 17) + 1, 1 << 18, 1 << 20, 1 << 22):
            with pytest.raises(RedisRuntimeError, match="proto-max-bulk-len"):
                store.put(b"k", np.zeros(elements))
            store.put(b"k", DATA)
            assert np.array_equal(store.get(b"k"), DATA)


def test_a_full_database_is_an_error_until_there_is_room(tmp_path: Path) -> None:
    with running_server(tmp_path, "--maxmemory", "16mb") as server, store_at(server.tcp) as store:
        keys = [b"k%d" % number for number in range(20)]

        def fill() -> None:
            for key in keys:
                store.put(key, np.zeros(1 << 17))

        with pytest.raises(RedisRuntimeError, match="maxmemory"):
            fill()
        store.run([Command((b"DEL", *keys), keys[0])])
        store.put(b"k", DATA)
        assert np.array_equal(store.get(b"k"), DATA)


def test_a_database_that_was_restarted_is_found_again(tmp_path: Path) -> None:
    with running_server(tmp_path) as first, store_at(first.tcp) as store:
        store.put(b"k", DATA)
        first.stop()
        with pytest.raises(RedisDatabaseError, match="check that the database still runs"):
            store.get(b"k")
        with running_server(tmp_path, port=first.tcp.port):
            store.put(b"k", DATA)
            assert np.array_equal(store.get(b"k"), DATA)


def test_connections_that_died_while_idle_are_replaced_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "FRESH", 0.0)  # as if they had been idle for long
    with running_server(tmp_path) as first, store_at(first.tcp, ONE_ATTEMPT) as store:
        store.put(b"k", DATA)
        first.stop()
        with running_server(tmp_path, port=first.tcp.port):
            store.run([DEL])
            store.put(b"k", DATA)


def test_one_attempt_finds_out_about_all_idle_connections(tmp_path: Path) -> None:
    two_attempts = replace(THREE_ATTEMPTS, commands=RetryPolicy(timeout=1 / 64, interval=1 / 64))
    with running_server(tmp_path) as first, store_at(first.tcp, two_attempts) as store:
        begin = threading.Barrier(4)

        def work() -> None:
            begin.wait(DEADLINE)
            for _ in range(20):
                store.run([EXISTS])

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE)
        first.stop()
        with running_server(tmp_path, port=first.tcp.port):
            assert store.run([EXISTS]) == [0]
            store.put(b"k", DATA)


@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_many_requests_have_their_replies_in_order(server: Server, transport: str) -> None:
    with store_at(getattr(server, transport)) as store:
        keys = [b"key%d" % number for number in range(3000)]
        stored = store.run([Command((b"SET", key, key[3:]), key) for key in keys])
        assert stored == [b"OK"] * len(keys)
        assert store.run([Command((b"GET", key), key, changes=False) for key in keys]) == [key[3:] for key in keys]
        first, second = store.run(
            [Transaction((DEL, Command((b"INCR", b"k"), b"k"))), Command((b"INCR", b"key1"), b"key1")]
        )
        assert first == [0, 1]
        assert second == 2
        store.run([DEL])


def test_what_the_database_refuses_stands_among_the_replies(server: Server) -> None:
    with store_at(server.tcp) as store:
        before, refused, after = store.run([EXISTS, Command((b"AI.TENSORGET", b"k"), b"k", changes=False), EXISTS])
        assert (before, after) == (0, 0)
        assert isinstance(refused, RedisRuntimeError)
        assert refused.key == "k"


def test_what_is_no_tensor_is_refused_and_left_alone(server: Server) -> None:
    with redis.Redis(server.tcp.host, server.tcp.port) as other, store_at(server.tcp) as store:
        other.set("text", "hello")
        for call in (lambda: store.get(b"text"), lambda: store.put(b"text", DATA)):
            with pytest.raises(RedisRuntimeError, match="something of another kind"):
                call()
        assert other.get("text") == b"hello"


def test_tensors_of_other_clients_are_read_or_refused(server: Server) -> None:
    with redis.Redis(server.tcp.host, server.tcp.port) as other, store_at(server.tcp) as store:
        other.execute_command("AI.TENSORSET", "strings", "STRING", 2, "VALUES", "a", "b")
        other.execute_command("AI.TENSORSET", "matrix", "INT16", 2, 1, "VALUES", 7, 8)
        with pytest.raises(RedisRuntimeError, match="strings"):
            store.get(b"strings")
        matrix = store.get(b"matrix")
        assert matrix.dtype == np.int16
        assert matrix.tolist() == [[7], [8]]


@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_a_forked_process_has_connections_of_its_own(server: Server, transport: str) -> None:
    with store_at(getattr(server, transport)) as store:
        store.put(b"parent", DATA)
        child = os.fork()
        if child == 0:
            right = np.array_equal(store.get(b"parent"), DATA)
            store.put(b"child", DATA + 1)
            os._exit(0 if right else 1)
        for _ in range(100):
            assert np.array_equal(store.get(b"parent"), DATA)
        assert os.waitpid(child, 0)[1] == 0
        assert np.array_equal(store.get(b"child"), DATA + 1)


def test_a_closed_store_says_so(server: Server) -> None:
    store = RespTensorStore([server.tcp], THREE_ATTEMPTS)
    store.close()
    store.close()
    with pytest.raises(RedisDatabaseError, match="closed"):
        store.get(b"k")


def test_closing_ends_the_connections_of_calls_in_progress() -> None:
    asked, answer, gone = threading.Event(), threading.Event(), threading.Event()

    def slow(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(PONG)
        connection.recv(1000)
        asked.set()
        answer.wait(DEADLINE)
        connection.sendall(OK)
        if connection.recv(1) == b"":
            gone.set()

    with scripted_server(slow) as server:
        store = RespTensorStore([server.address], THREE_ATTEMPTS)
        thread = threading.Thread(target=store.put, args=(b"k", np.zeros(1)))
        thread.start()
        assert asked.wait(DEADLINE)
        store.close()
        answer.set()
        thread.join(DEADLINE)
        assert gone.wait(DEADLINE)
