"""What the tests of streams share."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from smartsim.adapters.tensors.in_memory import InMemoryTensorStore
from smartsim.app.client.calls import Call, carry_out
from smartsim.app.client.dataset import Dataset
from smartsim.app.client.stream import Consumer, Stream
from smartsim.app.client.streams import find_keys
from smartsim.domain.client_config import ClientConfig, RetryPolicy
from smartsim.domain.keys import Prefixes
from smartsim.ports.tensor_store import Command, Reply, TensorStore

DEADLINE = 60.0
CONFIG = ClientConfig(RetryPolicy(10, 0.1), RetryPolicy(10, 0.1), DEADLINE)
_T = TypeVar("_T")


def stream_of(store: TensorStore, capacity: int = 64, prefixes: Prefixes | None = None) -> Stream:
    def carry(call: Call[_T]) -> _T:
        return carry_out(call, store)

    return Stream(find_keys(prefixes or Prefixes(), "samples"), capacity, carry)


def sample(number: int) -> Dataset:
    dataset = Dataset(f"sample {number}")
    dataset.add_tensor("x", np.full((2, 3), float(number)))
    dataset.add_tensor("y.z", np.array([number]))
    dataset.add_meta_scalar("number", number)
    dataset.add_meta_string("text", "some")
    return dataset


def number_of(dataset: Dataset | None) -> int:
    assert dataset is not None
    return int(dataset.get_meta_scalars("number")[0])


def publish(stream: Stream, *numbers: int) -> None:
    for number in numbers:
        stream.publish(sample(number), timeout=DEADLINE)


def ask(store: TensorStore, *words: bytes) -> Reply:
    (reply,) = store.run([Command(words, key=words[1] if len(words) > 1 else None, changes=False)])
    return reply


def keys_left(store: TensorStore) -> set[bytes]:
    if isinstance(store, InMemoryTensorStore):
        return set(store._keys._values)
    reply = ask(store, b"KEYS", b"*")
    assert isinstance(reply, list)
    return {key for key in reply if isinstance(key, bytes)}


def drain(consumer: Consumer) -> list[int]:
    return [number_of(dataset) for dataset in consumer]
