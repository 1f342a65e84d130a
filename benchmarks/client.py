"""Datasets, lists, pipelines and several clients at once: ours, the SmartRedis client, and what a plain socket needs.

All take turns on one server. The SmartRedis client runs in an environment of its own (`make clients` makes it).
Medians.

    python benchmarks/client.py [--quick]
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import redis
from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).parent))

from tensors import KIB, MIB, OldClient, PlainSocket, machine, running_server

from smartsim.client import Client, Dataset
from smartsim.domain.addresses import Address

TENSORS = 8
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


def measure_datasets(address: Address, blocks: int) -> list[list[object]]:
    """Return table rows about datasets of eight tensors, and about a list of a thousand small ones."""
    rows = []
    with Client(cluster=False, address=str(address)) as client, OldClient(address) as old:
        for number in range(LISTED):
            small = dataset(f"small {number}", 256, tensors=1)
            client.put_dataset(small)
            client.append_to_list("list", small)
        for call, size, rounds in (
            ("put_dataset", KIB, 50),
            ("get_dataset", KIB, 50),
            ("put_dataset", 64 * KIB, 30),
            ("get_dataset", 64 * KIB, 30),
            ("put_dataset", MIB, 5),
            ("get_dataset", MIB, 5),
            ("get_datasets_from_list", KIB, 1),
        ):
            made = dataset("ours", size)
            ours: dict[str, Callable[[], object]] = {
                "put_dataset": lambda made=made: client.put_dataset(made),  # type: ignore[misc]
                "get_dataset": lambda: client.get_dataset("ours"),
                "get_datasets_from_list": lambda: client.get_datasets_from_list("list"),
            }
            own, others = [], []
            for _ in range(blocks):
                own += seconds(ours[call], rounds)
                others += old.measure(call, size, rounds)
            label = f"{LISTED} datasets" if call.endswith("list") else f"{TENSORS} x {size // KIB} KiB"
            mine, theirs = 1e6 * statistics.median(own), 1e6 * statistics.median(others)
            rows.append([transport(address), call, label, mine, theirs, theirs / mine])
    return rows


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
        rows = [row for address in addresses for row in measure_datasets(address, blocks)]
        headers = ["transport", "call", "what", "ours us", "SmartRedis us", "SmartRedis / ours"]
        print(tabulate(rows, headers, floatfmt=("", "", "", ".0f", ".0f", ".2f")))
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
