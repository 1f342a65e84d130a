"""What the client of old writes, the client of this project reads and changes, and the other way round."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import ml_models
from old_clients.old_client import ours, smartredis
from old_clients.place import Content, Place
from smartsim.client import Dataset

DEADLINE = 60.0
PROGRAM = "interoperability.py"
MINUTE = (60_000, 1)  # of polling: only who is woken returns in time


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Files of models, and the names of the nodes of the one that has such."""
    directory = tmp_path_factory.mktemp("models")
    blobs = {name: ml_models.affine(backend) for name, backend in (("torch", "TORCH"), ("onnx", "ONNX"))}
    blobs["tensorflow"] = ml_models.affine("TF")
    for name, model in blobs.items():
        (directory / name).write_bytes(model.blob)
    nodes = [list(blobs["tensorflow"].inputs), list(blobs["tensorflow"].outputs)]
    return {name: str(directory / name) for name in blobs} | {"nodes": nodes}


@pytest.mark.parametrize("source", ["", "sim_1"], ids=["", "prefixed"])
def test_either_client_does_the_same_with_what_either_has_written(
    place: Place, models: dict[str, Any], source: str
) -> None:
    writing, reading = {}, {}
    if source:
        writing = {"SSKEYOUT": source, "SSKEYIN": source}
        reading = {"SSKEYOUT": "ml", "SSKEYIN": f"sim_0,{source}"}
    contents: list[list[Content]] = []
    for one, other in ((smartredis, ours), (ours, smartredis)):
        place.empty()
        written = one(PROGRAM, "write", place.address, writing, source=source, **models)
        contents.append([place.content()])
        assert other(PROGRAM, "read", place.address, reading, source=source) == written
        for case in ("run", "change"):
            assert other(PROGRAM, case, place.address, reading, source=source)
            contents[-1].append(place.content())
    for of_old, of_ours in zip(*contents, strict=True):
        assert of_old.keys() == of_ours.keys()
        assert of_old == of_ours
    assert len({shard for shard, _ in contents[0][0]}) == len(place.shards)


def test_each_wakes_the_other(place: Place) -> None:
    other, steps = Dataset("dataset of new"), [Dataset(f"step_{number}") for number in range(2)]
    for dataset in (other, *steps):
        dataset.add_tensor("t", np.ones(2))
    with place.client() as client, ThreadPoolExecutor(1) as threads:
        turns = threads.submit(smartredis, PROGRAM, "take_turns", place.address)
        assert client.poll_tensor("tensor of old", *MINUTE)
        client.put_tensor("tensor of new", np.ones(1))
        assert client.poll_dataset("dataset of old", *MINUTE)
        client.put_dataset(other)
        assert client.poll_list_length("list of old", 2, *MINUTE)
        for step in steps:
            client.append_to_list("list of new", step)
        assert client.poll_list_length_gte("longer list of old", 1, *MINUTE)
        client.append_to_list("longer list of new", other)
        assert client.poll_list_length_lte("list of old", 0, *MINUTE)
        client.delete_list("list of new")
        assert client.poll_model("script of old", *MINUTE)
        client.set_script("script of new", "def f(x):\n    return x\n")
        assert client.poll_key("key of old", *MINUTE)
        client.put_bytes("key of new", b"1")
        assert turns.result(DEADLINE) == [True] * 7
