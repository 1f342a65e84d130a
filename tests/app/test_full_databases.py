"""Databases whose memory is used up, single and in a cluster, with real servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ml_models import affine
from smartsim import Experiment
from smartsim.client import Client, Dataset, RedisRuntimeError
from smartsim.database import Orchestrator
from smartsim.error import SmartSimError

LARGE = np.ones((1024, 1024))  # 8 MiB
SMALL = np.ones((2, 4), dtype=np.float32)
SCRIPT = "def same(x):\n    return x\n"


@pytest.fixture(params=[1, 3], ids=["single", "cluster"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Orchestrator]:
    with Experiment("full", str(tmp_path)) as exp:
        database = exp.create_database(port=0, db_nodes=request.param)
        exp.start(database)
        yield database


@pytest.fixture
def client(database: Orchestrator) -> Iterator[Client]:
    with Client(cluster=database.is_cluster, address=",".join(database.get_address())) as client:
        yield client


def test_it_refuses_whatever_takes_memory_and_keeps_what_it_has(database: Orchestrator, client: Client) -> None:
    dataset = Dataset("dataset")
    dataset.add_tensor("field", SMALL)
    model = affine("ONNX").blob
    client.put_tensor("large", LARGE)
    client.put_tensor("small", SMALL)
    client.set_model("model", model, "ONNX", "CPU")
    client.set_script("script", SCRIPT)
    client.put_dataset(dataset)
    database.set_eviction_strategy("noeviction")
    database.set_max_memory("1mb")  # of each server: less than they take when they are empty
    calls: list[Callable[[], object]] = [
        lambda: client.put_tensor("more", SMALL),
        lambda: client.put_dataset(dataset),
        lambda: client.append_to_list("list", dataset),
        lambda: client.copy_tensor("small", "copy"),
        lambda: client.set_model("another model", model, "ONNX", "CPU"),
        lambda: client.set_script("another script", SCRIPT),
        lambda: client.run_model("model", ["small"], ["made"]),
        lambda: client.run_script("script", "same", ["small"], ["made"]),
    ]
    for call in calls:
        with pytest.raises(RedisRuntimeError, match=r"OOM (.|\n)*the database has used up its memory: delete tensors"):
            call()
    assert np.array_equal(client.get_tensor("large"), LARGE)
    assert np.array_equal(client.get_dataset("dataset").get_tensor("field"), SMALL)
    assert client.get_model("model") == model
    assert client.get_script("script") == SCRIPT
    client.delete_tensor("large")
    database.set_max_memory("0")
    for call in calls:
        call()
    assert np.array_equal(client.get_tensor("made"), SMALL)


def test_it_makes_room_if_it_may(database: Orchestrator, client: Client) -> None:
    database.set_max_memory("24mb")
    database.set_eviction_strategy("allkeys-lru")
    names = [f"field{number}" for number in range(30)]
    for name in names:
        client.put_tensor(name, LARGE)
    left = [name for name in names if client.tensor_exists(name)]
    assert names[-1] in left
    assert len(left) < 3 * database.num_shards
    assert np.array_equal(client.get_tensor(names[-1]), LARGE)


@pytest.mark.parametrize(
    ("change", "setting"),
    [
        (lambda database: database.set_max_memory("lots"), "maxmemory: lots"),
        (lambda database: database.set_eviction_strategy("oldest"), "maxmemory-policy: oldest"),
        (lambda database: database.set_max_clients(0), "maxclients: 0"),
        (lambda database: database.set_max_message_size(1), "proto-max-bulk-len: 1"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_the_servers_reason(
    database: Orchestrator, change: Callable[[Orchestrator], None], setting: str
) -> None:
    with pytest.raises(SmartSimError, match=rf"Invalid CONFIG key-value pair \({setting}\): .*must be"):
        change(database)
