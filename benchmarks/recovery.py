"""Workers killed at random moments under load: the time to the next answer, and whether anything is lost or done twice.

Some clients each add one to a tensor of their own by running a model with the tensor as input and output, one run after
the other. Meanwhile the worker is killed (SIGKILL), again and again, at random moments. In the end each tensor must be
the number of its runs that were answered with OK: less would be lost, more done twice. A run may fail only with the
error that says that two workers died of it.

The time of recovery is from the kill to the first OK that any client gets once another worker is there.

    python benchmarks/recovery.py [--quick]
"""

from __future__ import annotations

import random
import signal
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from os import kill
from pathlib import Path

import numpy as np
import redis
from tensors import machine

from smartsim import Experiment

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import ml_models

KILLS = 200
CLIENTS = 4
FAREWELL = "died"  # in the error of a run of which two workers died
DEADLINE = 60.0


@dataclass
class Load:
    """One client that runs a model until it is told to stop."""

    key: str
    connection: redis.Redis
    stop: threading.Event
    done: int = 0
    refused: int = 0
    answers: list[float] = field(default_factory=list)
    wrong: str = ""

    def run(self) -> None:
        """Keep adding one."""
        while not self.stop.is_set():
            try:
                self.connection.execute_command("AI.MODELEXECUTE", "m", "INPUTS", 1, self.key, "OUTPUTS", 1, self.key)
            except redis.ResponseError as error:
                if FAREWELL not in str(error):
                    self.wrong = str(error)
                    return
                self.refused += 1
            else:
                self.done += 1
                self.answers.append(time.perf_counter())


def worker_process(database: redis.Redis, other_than: int = 0) -> int:
    """Wait until a worker is there; return its process."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        for name, facts in database.info("ai_workers").items():
            if name.startswith("ai_worker_") and facts["process"] != other_than:
                return int(facts["process"])
        time.sleep(0.002)
    raise AssertionError("no worker came")


def main() -> None:
    """Start a database and clients, kill workers, count."""
    kills = 10 if "--quick" in sys.argv[1:] else KILLS
    print(machine())
    with tempfile.TemporaryDirectory() as directory:
        experiment = Experiment("recovery", exp_path=directory, launcher="local")
        database = experiment.create_database(port=0)
        experiment.start(database)
        try:
            host, port = database.get_address()[0].split(":")
            waits = measure(host, int(port), kills)
        finally:
            experiment.stop(database)
    cuts = statistics.quantiles(waits, n=10)
    print(
        f"{kills} kills; from a kill to the next answer: median {statistics.median(waits):.2f} s, "
        f"90 % within {cuts[-1]:.2f} s, longest {max(waits):.2f} s"
    )


def measure(host: str, port: int, kills: int) -> list[float]:
    """Kill workers under load; return the times of recovery, in seconds."""
    admin = redis.Redis(host, port, socket_timeout=DEADLINE)
    add_one = ml_models.affine("TORCH", "float64", scale=1.0, shift=1.0)
    admin.execute_command("AI.MODELSTORE", "m", "TORCH", "CPU", "BLOB", add_one.blob)
    stop = threading.Event()
    loads = [
        Load(f"counter{number}", redis.Redis(host, port, socket_timeout=DEADLINE), stop) for number in range(CLIENTS)
    ]
    for load in loads:
        admin.execute_command("AI.TENSORSET", load.key, "DOUBLE", 1, "VALUES", 0)
    threads = [threading.Thread(target=load.run) for load in loads]
    for thread in threads:
        thread.start()
    killed_at, came_at = [], []
    process = 0
    for _ in range(kills):
        process = worker_process(admin, other_than=process)
        came_at.append(time.perf_counter())
        time.sleep(random.uniform(0, 1.5))  # noqa: S311 - no secret; a good part of it is the worker's start
        killed_at.append(time.perf_counter())
        kill(process, signal.SIGKILL)
    worker_process(admin, other_than=process)
    came_at.append(time.perf_counter())
    time.sleep(2.0)
    stop.set()
    for thread in threads:
        thread.join(DEADLINE)
    check(loads, admin)
    answers = sorted(answer for load in loads for answer in load.answers)
    ends = [*killed_at[1:], float("inf")]
    first = [
        next((answer for answer in answers if came < answer < end), None)
        for came, end in zip(came_at[1:], ends, strict=True)
    ]
    # A worker that was killed before it answered anything recovers nothing; the next one does.
    return [answer - killed for answer, killed in zip(first, killed_at, strict=True) if answer is not None]


def check(loads: list[Load], database: redis.Redis) -> None:
    """See that nothing was lost or done twice."""
    for load in loads:
        assert not load.wrong, load.wrong
        blob: bytes = database.execute_command("AI.TENSORGET", load.key, "BLOB")
        assert np.frombuffer(blob)[0] == load.done, (load.key, np.frombuffer(blob)[0], load.done)
    done, refused = sum(load.done for load in loads), sum(load.refused for load in loads)
    print(f"{done} runs answered, each done once; {refused} refused, of which two workers died")


if __name__ == "__main__":
    main()
