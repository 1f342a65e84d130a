"""A small model run by several clients at once, without batches and with them: how many requests, and what one costs.

There are two kinds of clients. *Ranks* are Python processes with a connection each, which share the cores with server
and worker, as those of a simulation do beside a colocated database. *Connections* are those of one process in C
(`load.c`), which takes little of the cores: they stand for clients on other nodes.

Batches are *off*, *joined* (BATCHSIZE 64: whatever waits at the same moment), or *awaited* (also MINBATCHSIZE, as many
as there are clients, and MINBATCHTIMEOUT 1). The three take turns; medians. The gain is the throughput over that of
*off*. CPU times are per request. The worker's include that it looks for work for 0.1 ms before it sleeps, if a core is
free.

    python benchmarks/batches.py [--quick]
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import redis
from inference import BACKENDS, PlainClient, command, shard
from tabulate import tabulate
from tensors import machine

from smartsim.domain.addresses import Address

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import ml_models

CLIENTS = (1, 2, 4, 8)
BATCH_SIZE = 64
TARGET_GAIN = 3.0  # at 8 clients, for the MLP
OPTIONS: dict[str, Callable[[int], list[object]]] = {
    "off": lambda _: [],
    "joined": lambda _: ["BATCHSIZE", BATCH_SIZE],
    "awaited": lambda clients: ["BATCHSIZE", BATCH_SIZE, "MINBATCHSIZE", clients, "MINBATCHTIMEOUT", 1],
}

Load = Callable[[Address, str, int, float], float]


@dataclass(frozen=True)
class Measured:
    """What was found in one turn: requests per second, how many ran together, CPU times per request in us."""

    rate: float
    together: float
    server: float
    worker: float


def run_command(key: str, number: int) -> bytes:
    """Return the command of a client."""
    return command("AI.MODELEXECUTE", key, "INPUTS", 1, f"in{number}", "OUTPUTS", 1, f"out{number}")


def keep_running(address: Address, number: int, key: str, start: Any, seconds: float, counts: Any) -> None:
    """Be one of several ranks: run a model for some time, and say how often that was."""
    client = PlainClient(address)
    run = run_command(key, number)
    start.wait()
    end = time.perf_counter() + seconds
    count = 0
    while time.perf_counter() < end:
        client.run(run)
        count += 1
    counts.put(count)


def ranks(address: Address, key: str, clients: int, seconds: float) -> float:
    """Return the requests per second of clients with processes of their own."""
    context = multiprocessing.get_context("spawn")
    start, counts = context.Barrier(clients), context.Queue()
    processes = [
        context.Process(target=keep_running, args=(address, number, key, start, seconds, counts))
        for number in range(clients)
    ]
    for process in processes:
        process.start()
    total: int = sum(counts.get(timeout=60 + seconds) for _ in processes)
    for process in processes:
        process.join()
    return total / seconds


def connections(program: Path) -> Load:
    """Return what gives the requests per second of clients that are connections of one process."""
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-o", program, Path(__file__).with_name("load.c")], check=True)

    def measure(address: Address, key: str, clients: int, seconds: float) -> float:
        commands = b"".join(run_command(key, number) for number in range(clients))
        words = [str(program), address.path, str(clients), str(seconds)]
        return int(subprocess.run(words, input=commands, stdout=subprocess.PIPE, check=True).stdout) / seconds

    return measure


def cpu_times(processes: list[psutil.Process]) -> list[float]:
    """Return what processes have used, in us."""
    return [1e6 * (process.cpu_times().user + process.cpu_times().system) for process in processes]


class Bench:
    """A shard, and what is measured on it."""

    def __init__(self, address: Address, database: redis.Redis) -> None:
        self.address, self.database = address, database
        self.client = PlainClient(address)
        workers = database.info("ai_workers").values()
        pids = [database.info("server")["process_id"], *(facts["process"] for facts in workers)]
        self.processes = [psutil.Process(pid) for pid in pids]

    def turn(self, load: Load, key: str, clients: int, seconds: float) -> Measured:
        """Measure once."""
        self.database.execute_command("AI.INFO", key, "RESETSTAT")
        before = cpu_times(self.processes)
        rate = load(self.address, key, clients, seconds)
        after = cpu_times(self.processes)
        info = self.database.execute_command("AI.INFO", key)
        facts = dict(zip(info[::2], info[1::2], strict=True))
        calls = facts[b"calls"]
        server, worker = ((now - then) / calls for then, now in zip(before, after, strict=True))
        return Measured(rate, calls / facts[b"batches"], server, worker)

    def rows(self, backend: str, loads: dict[str, Load], rounds: int, seconds: float) -> Iterator[list[object]]:
        """Measure one backend; give the rows of the table."""
        for clients in CLIENTS:
            for key, options in OPTIONS.items():
                self.client.store(key, backend, ml_models.mlp(backend), options(clients))
            for name, load in loads.items():
                found: dict[str, list[Measured]] = {key: [] for key in OPTIONS}
                for _ in range(rounds):
                    for key, turns in found.items():
                        turns.append(self.turn(load, key, clients, seconds))
                for key, turns in found.items():
                    medians = [statistics.median(values) for values in zip(*map(astuple, turns), strict=True)]
                    gain = medians[0] / statistics.median(turn.rate for turn in found["off"])
                    yield [backend, clients, name, key, medians[0], gain, *medians[1:]]
                    print(".", end="", flush=True)


def main() -> None:
    """Start a shard, measure, print."""
    quick = "--quick" in sys.argv[1:]
    print(machine())
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        loads = {"ranks": ranks, "connections": connections(Path(directory, "load"))}
        unix, _ = stack.enter_context(shard(directory))
        database = stack.enter_context(redis.Redis(unix_socket_path=unix.path))
        bench = Bench(unix, database)
        stack.callback(bench.client.socket.close)
        for number in range(max(CLIENTS)):
            row = np.random.default_rng(number).random((1, ml_models.FEATURES), dtype=np.float32)
            bench.client.put(f"in{number}", row)
        for backend in BACKENDS[:1] if quick else BACKENDS:
            show(list(bench.rows(backend, loads, 1 if quick else 3, 0.5 if quick else 1.0)))


def show(rows: list[list[object]]) -> None:
    """Print what one backend does."""
    print()
    headers = ["backend", "clients", "kind", "batches", "requests /s", "gain", "together", "server us", "worker us"]
    print(tabulate(rows, headers, floatfmt=("", "", "", "", ".0f", ".2f", ".1f", ".1f", ".1f")))
    for framework, clients, name, batches, _, gain, *_ in rows:
        if clients == CLIENTS[-1] and batches != "off":
            print(
                f"{framework}, {clients} {name}, {batches}: gain {gain:.1f} (target: at least {TARGET_GAIN:.0f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
