"""Tensor stores of every kind, for the suites that they must all pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest

from old_clients.database import Database, running_cluster, running_database
from smartsim.ports.tensor_store import TensorStore
from tensor_stores import KINDS, OnALoop, Store, async_opener, open_store


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with running_database(tmp_path_factory.mktemp("database")) as database:
        yield database


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[Database]]:
    with running_cluster(tmp_path_factory.mktemp("cluster"), shards=3) as databases:
        yield databases


@pytest.fixture(scope="module", params=KINDS)
def store(request: pytest.FixtureRequest) -> Iterator[TensorStore]:
    with closing(open_store(request.param, request)) as store:
        yield store


@pytest.fixture(params=KINDS)
def fresh_store(request: pytest.FixtureRequest) -> Iterator[TensorStore]:
    """A store that may be closed."""
    with closing(open_store(request.param, request)) as store:
        yield store


@pytest.fixture(scope="module", params=[*KINDS, *(f"async {kind}" for kind in KINDS)])
def any_store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store, or an asynchronous one."""
    kind = request.param.removeprefix("async ")
    with ExitStack() as stack:
        if kind == request.param:
            yield stack.enter_context(closing(open_store(kind, request)))
        else:
            store = OnALoop(async_opener(kind, request))
            stack.callback(store.end)
            yield store


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(12) as threads:
        yield threads


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A beginning for keys of a test's own, which all share a shard."""
    return f"{{{request.path.stem}.{request.node.name}}}"
