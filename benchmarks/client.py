"""Datasets, lists, pipelines and several clients at once: ours, the SmartRedis client, redis-py, and a plain socket.

The floor of a dataset is one SET or GET of as many bytes as its tensors have, as in `tensors.py`: out of the caller's
memory, and into one buffer that is used again and again. The same once more is the control. Our own commands, made
beforehand, with their replies as bytes, take turns with the floor in a loop of their own (`commands`: what remains is
the client). So do the `mset` and `mget` of redis-py, of eight values, and the SmartRedis client, which runs in an
environment of its own (`make clients` makes it). All take turns on one server. Medians.

    python benchmarks/client.py [--quick]
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path

import hiredis
import numpy as np
import redis
from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).parent))

from tensors import (
    KIB,
    MIB,
    TARGET,
    Durations,
    OldClient,
    PlainSocket,
    Variants,
    machine,
    measure,
    row,
    running_server,
)

from smartsim.adapters.tensors import wire
from smartsim.app.client import dataset_storage
from smartsim.app.client.datasets import put_command
from smartsim.client import Client, Dataset
from smartsim.domain.addresses import Address

TENSORS = 8
ROUNDS = {KIB: 100, 64 * KIB: 60, MIB: 15}
LISTED = 1000
BATCH = 1000
SECONDS = 2.0


def seconds(call: Callable[[], object], rounds: int) -> list[float]:
    """Return the durations of some rounds."""
    durations = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        durations.append(time.perf_counter() - began)
    return durations


def dataset(name: str, size: int, tensors: int = TENSORS) -> Dataset:
    """Return a dataset of tensors of so many bytes."""
    made = Dataset(name)
    for number in range(tensors):
        made.add_tensor(f"tensor {number}", np.zeros(size // 8))
    made.add_meta_scalar("time", 0.5)
    return made


class PlainDataset(PlainSocket):
    """The commands of put_dataset and get_dataset over a plain socket: nothing is encoded, or read in the reply.

    Args:
        address: of the database.
        made: is put.
    """

    def __init__(self, address: Address, made: Dataset) -> None:
        super().__init__(address, b"", b"")
        stem = f"{{{made.get_name()}}}"
        put = put_command(stem, made)
        assert put
        pieces: list[wire.Piece] = []
        self.set_size = wire.encode(put.words, pieces)
        self.set_command = tuple(map(bytes, wire.join(pieces)))
        pieces = []
        wire.encode(dataset_storage.get(stem.encode()).words, pieces)
        (self.get_command,) = map(bytes, wire.join(pieces))
        self.put()
        self.socket.sendall(self.get_command)
        reader, received = hiredis.Reader(), 0
        while reader.gets() is False:
            data = self.socket.recv(MIB)
            reader.feed(data)
            received += len(data)
        self.buffer = memoryview(bytearray(received))


def measure_datasets(address: Address, size: int, rounds: int, blocks: int) -> list[list[object]]:
    """Return the two table rows about datasets of eight tensors."""
    payload = np.random.default_rng(0).bytes(TENSORS * size)
    values = {f"redis-py {number}": payload[:size] for number in range(TENSORS)}
    made = dataset("ours", size)
    puts: Durations = defaultdict(list)
    gets: Durations = defaultdict(list)
    for _ in range(blocks):  # of new connections: how fast one is differs from one to the next
        floor, control = PlainSocket(address, b"floor", payload), PlainSocket(address, b"control", payload)
        commands = PlainDataset(address, made)
        peer = redis.Redis.from_url(str(address) if address.is_unix else f"redis://{address}")
        with (
            floor.socket,
            control.socket,
            commands.socket,
            peer,
            Client(cluster=False, address=str(address)) as client,
            OldClient(address) as old,
        ):
            put: Variants = {
                "floor": floor.put,
                "control": control.put,
                "client": partial(client.put_dataset, made),
            }
            get: Variants = {"floor": floor.get, "control": control.get, "client": partial(client.get_dataset, "ours")}
            own_put: Variants = {"floor beside commands": floor.put, "commands": commands.put}
            own_get: Variants = {"floor beside commands": floor.get, "commands": commands.get}
            peer_put: Variants = {"floor beside redis-py": floor.put, "redis-py": partial(peer.mset, values)}
            peer_get: Variants = {"floor beside redis-py": floor.get, "redis-py": partial(peer.mget, list(values))}
            variants = ((put, puts), (get, gets), (own_put, puts), (own_get, gets), (peer_put, puts), (peer_get, gets))
            for calls, durations in variants:
                measure(calls, 2 + rounds // 10, defaultdict(list))  # to warm up
                measure(calls, rounds, durations)
            for call, plain, durations in (("put_dataset", floor.put, puts), ("get_dataset", floor.get, gets)):
                old.measure(call, size, 2 + rounds // 10)
                measure({"floor beside old": plain}, rounds, durations)
                durations["old"] += old.measure(call, size, rounds)
    label = [transport(address), f"{TENSORS} x {size // KIB} KiB"]
    return [
        [*row(label, call, durations), ratio(durations, "commands", "floor beside commands")]
        for call, durations in (("put_dataset", puts), ("get_dataset", gets))
    ]


def ratio(durations: Durations, variant: str, floor: str) -> float:
    """Return what the median of a variant is to that of its floor."""
    return statistics.median(durations[variant]) / statistics.median(durations[floor])


def measure_lists(address: Address, blocks: int) -> list[list[object]]:
    """Return the table row about a list of a thousand small datasets."""
    with Client(cluster=False, address=str(address)) as client, OldClient(address) as old:
        for number in range(LISTED):
            small = dataset(f"small {number}", 256, tensors=1)
            client.put_dataset(small)
            client.append_to_list("list", small)
        own, others = [], []
        for _ in range(blocks):
            own += seconds(partial(client.get_datasets_from_list, "list"), 1)
            others += old.measure("get_datasets_from_list", KIB, 1)
    mine, theirs = 1e3 * statistics.median(own), 1e3 * statistics.median(others)
    return [[transport(address), f"get_datasets_from_list of {LISTED}", mine, theirs, theirs / mine]]


class Small:
    """Many small tensors: put and got together, one by one, and as plain values by redis-py's pipeline.

    Args:
        client: ours.
        peer: redis-py's.
    """

    def __init__(self, client: Client, peer: redis.Redis) -> None:
        self._client = client
        self._peer = peer
        self._array = np.zeros(KIB // 8)

    def put_together(self) -> None:
        """Put by a pipeline."""
        with self._client.pipeline() as pipeline:
            for number in range(BATCH):
                pipeline.put_tensor(f"t{number}", self._array)

    def get_together(self) -> None:
        """Get by a pipeline."""
        with self._client.pipeline() as pipeline:
            results = [pipeline.get_tensor(f"t{number}") for number in range(BATCH)]
        assert results[-1].result().shape == self._array.shape

    def put_apart(self) -> None:
        """Put one by one."""
        for number in range(BATCH):
            self._client.put_tensor(f"t{number}", self._array)

    def get_apart(self) -> None:
        """Get one by one."""
        for number in range(BATCH):
            self._client.get_tensor(f"t{number}")

    def set_by_redis_py(self) -> None:
        """Put the bytes by redis-py's pipeline."""
        pipeline = self._peer.pipeline(transaction=False)
        payload = self._array.tobytes()
        for number in range(BATCH):
            pipeline.set(f"b{number}", payload)
        pipeline.execute()

    def get_by_redis_py(self) -> None:
        """Get the bytes by redis-py's pipeline."""
        pipeline = self._peer.pipeline(transaction=False)
        for number in range(BATCH):
            pipeline.get(f"b{number}")
        pipeline.execute()


def measure_pipelines(address: Address, blocks: int) -> list[list[object]]:
    """Return table rows about many small tensors, together and one by one, beside redis-py's SET and GET."""
    peer = redis.Redis.from_url(str(address) if address.is_unix else f"redis://{address}")
    rows: list[list[object]] = []
    with Client(cluster=False, address=str(address)) as client, peer:
        small = Small(client, peer)
        for call, actions in (
            ("put", (small.put_together, small.put_apart, small.set_by_redis_py)),
            ("get", (small.get_together, small.get_apart, small.get_by_redis_py)),
        ):
            times: list[list[float]] = [[] for _ in actions]
            for _ in range(4 * blocks):
                for durations, action in zip(times, actions, strict=True):
                    durations.extend(seconds(action, 1))
            one, other, third = (1e6 * statistics.median(durations) / BATCH for durations in times)
            rows.append([transport(address), call, one, other, other / one, third])
    return rows


def serve_oneself(kind: str, address: Address, size: int, start: Barrier, totals: multiprocessing.Queue[int]) -> None:
    """Put and get a tensor for a while, as one of several processes; tell how often."""
    payload = np.zeros(size // 8)
    name = f"t{multiprocessing.current_process().pid}"
    count = 0
    if kind == "old":
        with OldClient(address) as old:
            old.measure("put_tensor", size, 5)
            start.wait()
            began = time.perf_counter()
            while time.perf_counter() - began < SECONDS:
                old.measure("put_tensor", size, 50)
                old.measure("get_tensor", size, 50)
                count += 50
    else:
        client = Client(cluster=False, address=str(address))
        plain = PlainSocket(address, name.encode(), payload.tobytes())
        put, get = (
            (plain.put, plain.get)
            if kind == "floor"
            else (lambda: client.put_tensor(name, payload), lambda: client.get_tensor(name))
        )
        start.wait()
        began = time.perf_counter()
        while time.perf_counter() - began < SECONDS:
            for _ in range(50):
                put()
                get()
            count += 50
        client.close()
        plain.socket.close()
    totals.put(count)


def measure_processes(address: Address, counts: list[int]) -> list[list[object]]:
    """Return table rows: puts and gets a second of several processes together."""
    rows = []
    context = multiprocessing.get_context("fork")
    for size in (KIB, 64 * KIB, MIB):
        for processes in counts:
            rates = {}
            for kind in ("floor", "ours", "old"):
                start, totals = context.Barrier(processes), context.Queue()
                team = [
                    context.Process(target=serve_oneself, args=(kind, address, size, start, totals))
                    for _ in range(processes)
                ]
                for process in team:
                    process.start()
                rates[kind] = sum(totals.get(timeout=60) for _ in team) / SECONDS
                for process in team:
                    process.join(30)
            label = [transport(address), f"{size // KIB} KiB", processes]
            rows.append([*label, rates["floor"], rates["ours"], rates["old"], rates["ours"] / rates["old"]])
    return rows


def transport(address: Address) -> str:
    """Return the name of a transport."""
    return "unix" if address.is_unix else "tcp"


def main() -> None:
    """Start a server, measure, print."""
    quick = "--quick" in sys.argv[1:]
    blocks = 2 if quick else 10
    print(machine())
    with running_server() as addresses:
        rows = [
            row
            for address in addresses
            for size, rounds in ROUNDS.items()
            for row in measure_datasets(address, size, rounds, 2 * blocks)
        ]
        headers = ["transport", "size", "call", "floor us", "client us", "client / floor", "control", "redis-py", "old"]
        headers += ["commands"]
        print(tabulate(rows, headers, floatfmt=("", "", "", ".1f", ".1f", ".2f", ".2f", ".2f", ".2f", ".2f")))
        print(f"worst client / floor: {max(float(str(row[5])) for row in rows):.2f} (target: at most {TARGET})")
        print()
        rows = [row for address in addresses for row in measure_lists(address, blocks)]
        headers = ["transport", "call", "ours ms", "SmartRedis ms", "SmartRedis / ours"]
        print(tabulate(rows, headers, floatfmt=("", "", ".1f", ".1f", ".2f")))
        print()
        rows = [row for address in addresses for row in measure_pipelines(address, blocks)]
        headers = ["transport", "1 KiB", "pipeline us", "one by one us", "gain", "redis-py's pipeline us"]
        print(tabulate(rows, headers, floatfmt=("", "", ".1f", ".1f", ".2f", ".1f")))
        print()
        rows = measure_processes(addresses[0], [1, 2, 8] if quick else [1, 2, 4, 8])
        headers = ["transport", "put + get", "processes", "plain socket/s", "ours/s", "SmartRedis/s", "gain"]
        print(tabulate(rows, headers, floatfmt=("", "", "", ".0f", ".0f", ".0f", ".2f")))


if __name__ == "__main__":
    main()
