"""Databases with workers, and models, for the clients of old."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import ml_models
from old_clients import torch_models
from old_clients.database import Database, running_cluster, running_database
from old_clients.place import Place


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One database with a worker for all tests that need nothing special; loading frameworks takes a while."""
    with running_database(tmp_path_factory.mktemp("database")) as database:
        yield database


@pytest.fixture
def database(shared: Database) -> Database:
    """The shared database, empty, with nothing counted."""
    shared.client.flushall()
    shared.client.config_resetstat()
    return shared


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[Database]]:
    """A cluster of three shards, each with a worker, likewise."""
    with running_cluster(tmp_path_factory.mktemp("cluster"), shards=3) as databases:
        yield databases


@pytest.fixture
def shards(shared_cluster: Sequence[Database]) -> Sequence[Database]:
    """The cluster, empty."""
    for shard in shared_cluster:
        shard.client.flushall()
    return shared_cluster


@pytest.fixture(params=["tcp", "unix", "cluster"])
def place(request: pytest.FixtureRequest) -> Place:
    """A database of each kind, empty."""
    if request.param == "cluster":
        shards = request.getfixturevalue("shards")
        return Place(",".join(shard.tcp for shard in shards), shards)
    database = request.getfixturevalue("database")
    return Place(getattr(database, request.param), [database])


@pytest.fixture
def affine(tmp_path: Path) -> str:
    """The file of a TorchScript model: 2 x + 1 of {n, 4}."""
    return _written(tmp_path / "affine.pt", ml_models.affine("TORCH").blob)


@pytest.fixture
def both(tmp_path: Path) -> str:
    """The file of a TorchScript model: sum and difference of two tensors {n, 4}."""
    return _written(tmp_path / "both.pt", ml_models.sum_and_difference("TORCH").blob)


@pytest.fixture
def torn(tmp_path: Path) -> str:
    """The file of a TorchScript model of which the end is missing."""
    return _written(tmp_path / "torn.pt", ml_models.affine("TORCH").blob[:-300])


@pytest.fixture
def large(tmp_path: Path) -> str:
    """The file of a model of 16 megabytes: x + 1 of {n, 2000}."""
    return _written(tmp_path / "large.pt", torch_models.large(columns=2000))


def _written(path: Path, blob: bytes) -> str:
    path.write_bytes(blob)
    return str(path)
