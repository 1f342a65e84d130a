"""A database that comes back from its snapshot has everything that was saved, and works."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import redis

from ml_models import affine
from smartsim import Experiment
from smartsim.client import Client, Dataset
from smartsim.database import Orchestrator
from smartsim.domain.tensor_types import WIRE_NAMES
from smartsim.status import SmartSimStatus
from waiting import wait_until

DEADLINE = 60.0
TENSORS = 24  # enough for some in every shard
X = np.arange(8, dtype=np.float32).reshape(2, 4)
SCRIPT = "def thrice(x):\n    return 3 * x\n"
OTHER = "def halve(x):\n    return x / 2\n"


def tensors() -> dict[str, npt.NDArray[Any]]:
    """Return tensors of every type, small and large."""
    found: dict[str, npt.NDArray[Any]] = {f"x{number}": X + number for number in range(TENSORS)}
    for dtype in WIRE_NAMES:
        found[f"of type {dtype}"] = np.arange(6).reshape(1, 2, 3, 1).astype(dtype)
    found["large"] = np.random.default_rng(1).standard_normal((512, 1024))
    found["single"] = np.array([17], dtype=np.int64)
    return found


def connect(database: Orchestrator) -> Client:
    return Client(cluster=database.is_cluster, address=",".join(database.get_address()))


def fill(client: Client, backends: Sequence[str]) -> None:
    for name, tensor in tensors().items():
        client.put_tensor(name, tensor)
    for backend in backends:
        model = affine(backend)
        names = list(model.inputs), list(model.outputs)
        client.set_model(backend, model.blob, backend, "CPU", tag="kept", inputs=names[0], outputs=names[1])
    model = affine("ONNX", scale=5.0)
    client.set_model("batched", model.blob, "ONNX", "CPU", batch_size=8, min_batch_size=2, min_batch_timeout=10)
    client.set_script("script", SCRIPT)
    client.set_script("other", OTHER)
    dataset = Dataset("dataset")
    dataset.add_tensor("field", X)
    dataset.add_meta_string("unit", "K")
    client.put_dataset(dataset)
    client.append_to_list("list", dataset)


def check(client: Client, backends: Sequence[str]) -> None:
    """See that everything is there, as those who use it see it, and runs on every shard."""
    for name, tensor in tensors().items():
        found = client.get_tensor(name)
        assert found.dtype == tensor.dtype
        assert np.array_equal(found, tensor), name
    for backend in backends:
        assert client.get_model(backend) == affine(backend).blob
    assert client.get_script("script") == SCRIPT
    assert client.get_dataset("dataset").get_tensor("field").tolist() == X.tolist()
    assert client.get_list_length("list") == 1
    for number in range(TENSORS):
        given = X + number
        for name in backends:
            client.run_model(name, inputs=[f"x{number}"], outputs=["y"])
            assert np.array_equal(client.get_tensor("y"), 2 * given + 1), name
        client.run_model("batched", inputs=[f"x{number}"], outputs=["y"])
        assert np.array_equal(client.get_tensor("y"), 5 * given + 1)
        client.run_script("script", "thrice", inputs=[f"x{number}"], outputs=["y"])
        assert np.array_equal(client.get_tensor("y"), 3 * given)
        client.run_script("other", "halve", inputs=[f"x{number}"], outputs=["y"])
        assert np.array_equal(client.get_tensor("y"), given / 2)


def content(port: int) -> dict[bytes, Any]:
    """Return all that a server holds, as it answers."""
    commands = {
        b"AI_TENSOR": ("AI.TENSORGET", "META", "BLOB"),
        b"AI__MODEL": ("AI.MODELGET", "META", "BLOB"),
        b"AI_SCRIPT": ("AI.SCRIPTGET", "META", "SOURCE"),
    }
    found = {}
    with redis.Redis(port=port, socket_timeout=DEADLINE) as client:
        for key in client.scan_iter(count=1000):
            kind = client.type(key)
            if kind in commands:
                command, *options = commands[kind]
                found[key] = client.execute_command(command, key, *options)
            else:
                found[key] = client.hgetall(key) if kind == b"hash" else client.lrange(key, 0, -1)
    return found


def info(database: Orchestrator, section: str) -> Iterator[dict[str, Any]]:
    for port in database.ports:
        with redis.Redis(port=port, socket_timeout=DEADLINE) as client:
            yield dict(client.info(section))


def crash(exp: Experiment, database: Orchestrator) -> None:
    """Kill all servers."""
    for found in info(database, "server"):
        os.kill(found["process_id"], signal.SIGKILL)
    statuses = exp.wait(database, timeout=DEADLINE)
    assert set(statuses) == {SmartSimStatus.STATUS_FAILED}


def save_and_crash(exp: Experiment, database: Orchestrator) -> None:
    with connect(database) as client:
        client.save(database.get_address())
        client.put_tensor("later", X)
    crash(exp, database)


def keep_checkpoints_and_crash(exp: Experiment, database: Orchestrator) -> None:
    database.enable_checkpoints(1)
    wait_until(lambda: not any(found["rdb_changes_since_last_save"] for found in info(database, "persistence")))
    crash(exp, database)


def keep_checkpoints_and_stop(exp: Experiment, database: Orchestrator) -> None:
    database.enable_checkpoints(3600)
    exp.stop(database)


@pytest.mark.parametrize(
    ("end", "db_nodes", "backends"),
    [
        (save_and_crash, 1, ["TORCH", "ONNX", "TF", "TFLITE"]),
        (keep_checkpoints_and_crash, 3, ["TORCH", "ONNX"]),
        (keep_checkpoints_and_stop, 1, ["ONNX"]),
    ],
)
def test_a_database_comes_back_with_everything_that_was_saved(
    tmp_path: Path, end: Callable[[Experiment, Orchestrator], None], db_nodes: int, backends: list[str]
) -> None:
    with Experiment("first", str(tmp_path)) as exp:
        database = exp.create_database(port=0, db_nodes=db_nodes, db_identifier="kept")
        exp.start(database)
        with connect(database) as client:
            fill(client, backends)
        before = [content(port) for port in database.ports]
        end(exp, database)
    with Experiment("second", str(tmp_path)) as exp:
        database = exp.create_database(port=0, db_nodes=db_nodes, db_identifier="kept")
        exp.start(database)
        assert [content(port) for port in database.ports] == before
        assert all(before)
        with connect(database) as client:
            check(client, backends)
