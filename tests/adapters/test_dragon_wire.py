"""Connections to the server of a Dragon runtime."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from queue import SimpleQueue
from typing import Any

import pytest

from smartsim.adapters.clock.system import SystemClock
from smartsim.adapters.wlm.dragon.connected import Connected, Followed
from smartsim.adapters.wlm.dragon.link import Link
from smartsim.adapters.wlm.dragon.runtime import Place, Runtime
from smartsim.adapters.wlm.dragon.wire import Connection, ask, establish
from smartsim.adapters.wlm.local import LocalWorkloadManager
from smartsim.domain.lifecycle import JobEvent, Refused
from smartsim.domain.steps import Step

DEADLINE = 30.0
TOKEN = b"token"


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    with client, server:
        yield client, server


def serve(endpoint: socket.socket, token: bytes, told: SimpleQueue[Any]) -> threading.Thread:
    """Be a server that answers every message with itself, until the other end has gone."""

    def run() -> None:
        connection = Connection(endpoint, token, serves=True)
        endpoint.settimeout(DEADLINE)
        try:
            while True:
                connection.flush()
                for message in connection.receive():
                    told.put(message)
                    connection.send(message)
        except OSError as error:
            told.put(error)
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_both_ends_prove_that_they_know_the_token(ends: tuple[socket.socket, socket.socket]) -> None:
    told: SimpleQueue[Any] = SimpleQueue()
    thread = serve(ends[1], TOKEN, told)
    with closing(establish(ends[0], TOKEN, DEADLINE)) as connection:
        assert ask(connection, {"ü": [1, None]}, DEADLINE) == {"ü": [1, None]}
        assert told.get(timeout=DEADLINE) == {"ü": [1, None]}
    thread.join()
    assert isinstance(told.get_nowait(), ConnectionResetError)


def test_a_server_that_does_not_know_the_token_is_told_nothing(ends: tuple[socket.socket, socket.socket]) -> None:
    thread = serve(ends[1], b"another", SimpleQueue())
    with pytest.raises(ConnectionError):
        establish(ends[0], TOKEN, DEADLINE)
    thread.join()


def test_a_client_that_does_not_know_the_token_is_not_heard(ends: tuple[socket.socket, socket.socket]) -> None:
    told: SimpleQueue[Any] = SimpleQueue()
    thread = serve(ends[1], TOKEN, told)
    with ends[0].makefile("rwb", buffering=0) as stream:
        question = json.loads(stream.readline())
        # It has the server answer its own question, and sends that back.
        stream.write(json.dumps(question).encode() + b"\n")
        answer = stream.readline()
        stream.write(answer + b'{"driver": true}\n')
        assert stream.read() in (b"", None)
    thread.join()
    assert isinstance(told.get_nowait(), ConnectionRefusedError)


@pytest.mark.parametrize(
    "words",
    [b"GET / HTTP/1.1\r\n\r\n", b'{"proof": ""}\n', b"[]\n", b"\xff\n", b"x" * 5000],
    ids=lambda words: words[:9],
)
def test_what_is_no_proof_ends_the_connection(ends: tuple[socket.socket, socket.socket], words: bytes) -> None:
    told: SimpleQueue[Any] = SimpleQueue()
    thread = serve(ends[1], TOKEN, told)
    ends[0].sendall(words)
    thread.join(DEADLINE)
    assert isinstance(told.get_nowait(), ConnectionRefusedError)


def test_a_silent_server_is_not_waited_for_for_ever(ends: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(TimeoutError):
        establish(ends[0], TOKEN, 0.05)


def test_a_link_sends_what_is_long_and_ends_when_it_is_closed(ends: tuple[socket.socket, socket.socket]) -> None:
    told: SimpleQueue[Any] = SimpleQueue()
    thread = serve(ends[1], TOKEN, told)
    answers: SimpleQueue[Any] = SimpleQueue()
    link = Link(establish(ends[0], TOKEN, DEADLINE), answers.put, lambda _: answers.put("lost"))
    long = {"text": "x" * 5_000_000}
    link.send(long)
    assert answers.get(timeout=DEADLINE) == long
    link.close()
    assert not link.is_open
    thread.join()
    assert answers.empty()


def test_a_link_tells_when_the_other_end_has_gone(ends: tuple[socket.socket, socket.socket]) -> None:
    thread = serve(ends[1], TOKEN, SimpleQueue())
    answers: SimpleQueue[Any] = SimpleQueue()
    link = Link(establish(ends[0], TOKEN, DEADLINE), answers.put, lambda _: answers.put("lost"))
    ends[1].shutdown(socket.SHUT_RDWR)
    assert answers.get(timeout=DEADLINE) == "lost"
    link.send({"nobody": "hears it"})
    link.close()
    thread.join()


@pytest.mark.parametrize("words", [b"what?", b"17", b"\xff"])
def test_what_is_no_message_ends_the_connection(ends: tuple[socket.socket, socket.socket], words: bytes) -> None:
    thread = serve(ends[1], TOKEN, SimpleQueue())
    connection = establish(ends[0], TOKEN, DEADLINE)
    ends[1].sendall(words + b"\n")
    with closing(connection), pytest.raises(ConnectionAbortedError):
        ask(connection, {}, DEADLINE)
    thread.join()


def test_an_error_that_nobody_has_foreseen_ends_all_waits(ends: tuple[socket.socket, socket.socket]) -> None:
    thread = serve(ends[1], TOKEN, SimpleQueue())
    children = LocalWorkloadManager()
    runtime = Connected("runtime", children, SystemClock(), lambda _: "see its log", lambda _: None)
    place = Place(("127.0.0.1", 1), "/runtime/token", "elsewhere", {})
    runtime.open(Runtime(place, establish(ends[0], TOKEN, DEADLINE), is_own=False), "here")
    told: SimpleQueue[JobEvent] = SimpleQueue()
    followed = Followed(Step("a", ("true",), (), {}, "/", "/out", "/err"), "a", lambda _, event: told.put(event))
    # The server answers every message with itself, and not with what happened.
    runtime.start([followed], [{}], is_left=True)
    refused = told.get(timeout=DEADLINE)
    assert isinstance(refused, Refused)
    expected = "unknown: what follows the Dragon runtime on elsewhere failed (KeyError: 'event'): see its log"
    assert str(refused.error) == f"a: {expected}"
    thread.join()
    children.close()
