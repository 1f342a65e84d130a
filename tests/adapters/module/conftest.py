"""The module on real servers; see `module_server`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from module_server import MODULE, Server, process_environment
from scripted_worker import Peer, ScriptedWorker


@pytest.fixture(scope="session")
def module() -> Path:
    """The module under test."""
    return MODULE


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What a process other than a server needs in its environment to load the module."""
    return process_environment(tmp_path) | {"LSAN_OPTIONS": "detect_leaks=0"}  # an interpreter leaves much behind


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers with the given options; they are stopped, and their reports checked, after the test."""
    servers: list[Server] = []

    def start(*options: str) -> Server:
        server = Server(tmp_path / str(len(servers)), *options)
        servers.append(server)
        server.start()
        return server

    try:
        yield start
    finally:
        failures = [failure for server in servers if (failure := _end(server))]
    assert not failures, "\n".join(failures)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that need nothing special; it must outlive them all."""
    server = Server(tmp_path_factory.mktemp("shared"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def db(shared: Server) -> Iterator[redis.Redis]:
    """A client of the shared server, which is empty."""
    with shared.client() as client:
        client.flushall()
        yield client


@pytest.fixture(scope="session")
def lasting_db(shared: Server) -> redis.Redis:
    """A client of the shared server for tests of many examples; what they leave there is theirs to name."""
    return shared.client()


@pytest.fixture
def client(shared: Server) -> Iterator[Peer]:
    """A client of the shared server that sends and receives step by step."""
    with Peer(shared.socket) as client:
        yield client


@pytest.fixture
def worker(shared: Server, db: redis.Redis) -> Iterator[ScriptedWorker]:
    """A worker for everything on the CPU of the shared server, which is empty."""
    assert db.dbsize() == 0
    with ScriptedWorker(shared.socket, TF="2.21", TFLITE="2.3", TORCH="2.13", ONNX="1.31") as worker:
        yield worker


def _end(server: Server) -> str:
    try:
        server.stop()
    except AssertionError as failure:
        return str(failure)
    return ""
