"""Datasets in tensor stores, and stores to which something happens meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from smartsim.app.client.calls import Call, carry_out, check
from smartsim.app.client.dataset import Dataset
from smartsim.app.client.datasets import (
    copy_dataset,
    get_dataset,
    put_dataset,
    rename_dataset,
)
from smartsim.domain.addresses import Address
from smartsim.domain.client_config import ClientConfig, RetryPolicy
from smartsim.domain.slots import key_slot
from smartsim.ports.tensor_store import Command, Reply, Request, Shard, TensorStore, Transaction

DEADLINE = 60.0
CONFIG = ClientConfig(RetryPolicy(10, 0.1), RetryPolicy(10, 0.1), DEADLINE)


CALLS: dict[str, Callable[[], Call[Any]]] = {
    "get": lambda: get_dataset("{d}", "d"),
    "copy": lambda: copy_dataset("{d}", "{e}"),
    "rename": lambda: rename_dataset("{d}", "{e}"),
}


class Watched:
    """A store that something happens to, before it carries out requests.

    Args:
        store: carries them out.
        before: called with the number of the round trip, from 1, and the requests.
    """

    def __init__(
        self, store: TensorStore, before: Callable[[int, Sequence[Request]], object] = lambda *_: None
    ) -> None:
        self._store = store
        self._before = before
        self.round_trips = 0

    def put(self, key: bytes, data: npt.NDArray[Any]) -> None:
        self._store.put(key, data)

    def get(self, key: bytes) -> npt.NDArray[Any]:
        return self._store.get(key)

    def run(self, requests: Sequence[Request]) -> list[Reply]:
        self.round_trips += 1
        self._before(self.round_trips, requests)
        return self._store.run(requests)

    def shards(self) -> tuple[Shard, ...]:
        return self._store.shards()

    def close(self) -> None:
        self._store.close()


class Cluster(Watched):
    """A store that says it is a cluster, so that keys in several slots are not for one command."""

    def shards(self) -> tuple[Shard, ...]:
        return (Shard(Address.tcp("10.0.0.1", 6379), (0, 16383), b"{\0\0}"),)


class ClusterOfOne(Cluster):
    """A store that takes no request with keys of several slots, as shards of a cluster do."""

    def __init__(self, store: TensorStore) -> None:
        super().__init__(store, self._check_slots)

    def _check_slots(self, _: int, requests: Sequence[Request]) -> None:
        for request in requests:
            commands = request.commands if isinstance(request, Transaction) else (request,)
            slots = {key_slot(key) for command in commands for key in (*_keys(command), command.key or b"")}
            assert len(slots) == 1, f"CROSSSLOT {commands}"


def _keys(command: Command) -> list[bytes]:
    name, *words = (word for word in command.words if isinstance(word, bytes))
    pairs = {b"COPY", b"RENAME", b"AI._DATASETCOPY", b"AI._DATASETRENAME"}
    return words if name in {b"UNLINK", b"EXISTS"} else words[: 2 if name in pairs else 1]


def ask(store: TensorStore, *words: bytes) -> Any:
    (reply,) = store.run([Command(words, key=words[1] if len(words) > 1 else None)])
    check(reply)
    return reply


def make_dataset(name: str, *tensors: str, value: float = 0.0) -> Dataset:
    dataset = Dataset(name)
    for tensor in tensors:
        dataset.add_tensor(tensor, np.full((2, 3), value))
    dataset.add_meta_scalar("value", value)
    return dataset


def put(store: TensorStore, dataset: Dataset, ttl: float | None = None) -> None:
    carry_out(put_dataset(f"{{{dataset.get_name()}}}", dataset, ttl), store)


def get(store: TensorStore, name: str) -> Dataset:
    return carry_out(get_dataset(f"{{{name}}}", name), store)


def state(dataset: Dataset) -> tuple[set[str], set[float]]:
    """Return the names of the tensors, and all values that there are."""
    tensors = {name: dataset.get_tensor(name) for name in dataset.get_tensor_names()}
    values = {value for tensor in tensors.values() for value in np.unique(tensor).tolist()}
    return set(tensors), values | set(dataset.get_meta_scalars("value").tolist())


def there(store: TensorStore, stem: str, *names: str) -> list[str]:
    return [name for name in ("meta", *names) if ask(store, b"EXISTS", f"{stem}.{name}".encode())]
