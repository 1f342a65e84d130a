"""What the tests of the client have in common: a database, once in memory and once a real one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers import DEADLINE, Server, running_server
from smartsim.adapters.tensors.in_memory import InMemoryTensorStore
from smartsim.adapters.tensors.resp import RespTensorStore
from smartsim.app.client import dataset_storage
from smartsim.app.client.stream import Stream
from smartsim.domain.client_config import ClientConfig, RetryPolicy
from smartsim.ports.tensor_store import Command, TensorStore
from streams import stream_of


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("db")) as server:
        yield server


@pytest.fixture(scope="module", params=["fake", "real"])
def database(request: pytest.FixtureRequest, server: Server) -> Iterator[TensorStore]:
    config = ClientConfig(RetryPolicy(10, 0.1), RetryPolicy(10, 0.1), DEADLINE)
    store: TensorStore = InMemoryTensorStore() if request.param == "fake" else RespTensorStore((server.unix,), config)
    yield store
    store.close()


@pytest.fixture
def store(database: TensorStore) -> TensorStore:
    """The same database, empty."""
    database.run([Command((b"FLUSHDB",))])
    return database


@pytest.fixture
def staging(monkeypatch: pytest.MonkeyPatch) -> None:
    """Datasets of the tests are as large as those that are stored in several steps."""
    monkeypatch.setattr(dataset_storage, "_MANY_BYTES", 100)


@pytest.fixture
def stream(store: TensorStore) -> Stream:
    return stream_of(store)
