"""Measures the SmartRedis client, in the environment that has it: durations asked for by lines of JSON.

Each line is ``{"call": ..., "size": ..., "rounds": ...}``; the answer is the list of durations in seconds.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import numpy as np

from smartredis import Client, Dataset

TENSORS = 8


def dataset(size: int) -> Dataset:
    """Return a dataset of eight tensors."""
    made = Dataset("old dataset")
    for number in range(TENSORS):
        made.add_tensor(f"tensor {number}", np.zeros(size // 8))
    made.add_meta_scalar("time", 0.5)
    return made


def calls(client: Client, size: int) -> dict[str, Callable[[], object]]:
    """Return what can be measured, by name."""
    array = np.random.default_rng(0).random(size // 8)
    made = dataset(min(size, 1 << 20))
    return {
        "put_tensor": lambda: client.put_tensor("old", array),
        "get_tensor": lambda: client.get_tensor("old"),
        "put_dataset": lambda: client.put_dataset(made),
        "get_dataset": lambda: client.get_dataset("old dataset"),
        "get_datasets_from_list": lambda: client.get_datasets_from_list("list"),
    }


def main() -> None:
    """Answer until the input ends."""
    client, size = Client(), 0
    known: dict[str, Callable[[], object]] = {}
    print("[]", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["size"] != size:
            size = asked["size"]
            known = calls(client, size)
        durations = []
        for _ in range(asked["rounds"]):
            began = time.perf_counter()
            known[asked["call"]]()
            durations.append(time.perf_counter() - began)
        print(json.dumps(durations), flush=True)


main()
