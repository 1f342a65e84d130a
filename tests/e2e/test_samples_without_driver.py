"""Samples of databases whose driver was killed, or has ended: the supervisors beside the servers go on with them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
import redis

from scripts import kill_all_in
from smartsim import Experiment
from smartsim.app.reading import ExperimentReader
from smartsim.domain.metrics_history import MetricsHistory
from waiting import wait_until

DEADLINE = 60.0
LOOKS = 4  # of one that must not sample: enough for it to have done so
DRIVER = """
import os, sys
from smartsim import Experiment

exp = Experiment("sampled", sys.argv[1])
if "off" in sys.argv:
    exp.telemetry.disable()
if "colocated" in sys.argv:
    model = exp.create_model("w", exp.create_run_settings("sleep", ["600"]))
    model.colocate_db_uds(db_cpus=1)
    exp.generate(model)
    exp.start(model, block=False)
else:
    database = exp.create_database(port=0)
    exp.start(database)
    print("port", database.ports[0])
print("started", flush=True)
if "ends" in sys.argv:
    sys.exit()
sys.stdin.read()
"""


class Driver:
    """A driver that starts something."""

    def __init__(self, path: Path, *words: str) -> None:
        command = [sys.executable, "-c", DRIVER, str(path), *words]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = 0
        for line in self.process.stdout:
            if line.startswith("port"):
                self.port = int(line.split()[1])
            if line == "started\n":
                return
        raise AssertionError("the driver did not start anything")

    def kill(self) -> None:
        """Kill it; returns when it has ended."""
        self.process.kill()
        self.process.wait(DEADLINE)

    def connect(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=DEADLINE)


Start = Callable[..., Driver]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    monkeypatch.setenv("SMARTSIM_TELEMETRY_FREQUENCY", "1")
    drivers: list[Driver] = []

    def start(*words: str) -> Driver:
        drivers.append(Driver(tmp_path, *words))
        return drivers[-1]

    yield start
    for driver in drivers:
        with driver.process:  # closes its streams
            driver.process.kill()
    kill_all_in(tmp_path)


def until(directory: Path, condition: Callable[[MetricsHistory], bool], what: str) -> MetricsHistory:
    """Wait until an experiment's samples, as readers see them, say something."""
    reader = ExperimentReader(str(directory))

    def holds() -> bool:
        reader.refresh()
        return condition(reader.metrics)

    wait_until(holds, what)
    return reader.metrics


def times(directory: Path, server: str = "orchestrator_0") -> list[float]:
    """Return when a server was sampled."""
    found = ExperimentReader(str(directory)).metrics.servers.get(server)
    return [] if found is None else found.times


def await_samples(directory: Path, server: str = "orchestrator_0", more: int = 3) -> None:
    """Wait for samples that are not there yet."""
    begin = len(times(directory, server))
    until(
        directory,
        lambda found: server in found.servers and len(found.servers[server].times) >= begin + more,
        f"{server} was not sampled any more",
    )


def test_samples_go_on_when_the_driver_was_killed_and_end_with_the_database(start: Start, tmp_path: Path) -> None:
    driver = start()
    await_samples(tmp_path, more=2)
    driver.kill()
    killed = time.time()
    with driver.connect() as client:
        client.set("large", "v" * 100_000)
        client.config_get("slowlog-log-slower-than")
        history = until(
            tmp_path,
            lambda found: (
                found.latest_servers["orchestrator_0"].at > killed
                and bool(found.largest_keys.get("orchestrator_0"))
                and found.largest_keys["orchestrator_0"][0].bytes > 100_000
            ),
            "what was done without the driver is not in the samples",
        )
    latest = history.latest_servers["orchestrator_0"]
    assert (latest.database, latest.keys, latest.calls["set"], latest.clients >= 1) == ("orchestrator", 1, 1, True)
    assert history.unknown == 0
    gaps = [later - earlier for earlier, later in pairwise(times(tmp_path)) if later > killed]
    assert min(gaps[1:], default=1.0) > 0.5  # one a second, as before

    later = Experiment("later", str(tmp_path))
    later.telemetry.disable()
    database = later.reconnect_orchestrator(str(tmp_path / "orchestrator/smartsim_db.dat"))
    later.stop(database)
    ended = time.time()
    time.sleep(2.0)
    assert max(times(tmp_path)) < ended
    log = (tmp_path / "orchestrator/orchestrator_0.err").read_text()
    assert "was not sampled" not in log


def test_slow_calls_and_models_are_told_of_without_a_driver(start: Start, tmp_path: Path) -> None:
    driver = start()
    password = (tmp_path / "orchestrator/admin_password").read_text().strip()
    driver.kill()
    with driver.connect() as client:
        with redis.Redis(port=driver.port, username="admin", password=password) as admin:
            admin.config_set("slowlog-log-slower-than", 0)
        client.execute_command("AI.SCRIPTSET", "twice", "CPU", "SOURCE", "def twice(x):\n    return 2 * x")
        client.execute_command("AI.TENSORSET", "x", "FLOAT", 1, "VALUES", 3)
        client.execute_command("AI.SCRIPTRUN", "twice", "twice", "INPUTS", "x", "OUTPUTS", "y")
        key = ("orchestrator_0", "twice")
        history = until(
            tmp_path,
            lambda found: key in found.latest_models and found.latest_models[key].calls == 1,
            "the run of the script was not counted",
        )
    assert (history.latest_models[key].type, history.latest_models[key].backend) == ("SCRIPT", "TORCH")
    told = [call.command[0] for server, call in history.slow_calls if server == "orchestrator_0"]
    assert "AI.TENSORSET" in told
    assert not {"SCAN", "MEMORY", "SLOWLOG", "INFO"} & set(told)  # that who samples is slow is nobody's business


def test_a_script_that_ends_leaves_the_samples_to_the_database(start: Start, tmp_path: Path) -> None:
    driver = start("ends")
    driver.process.wait(DEADLINE)
    await_samples(tmp_path, more=2)


def test_a_driver_that_lives_samples_alone(start: Start, tmp_path: Path) -> None:
    driver = start()
    await_samples(tmp_path, more=7)  # the supervisor has had time to look
    assert min(later - earlier for earlier, later in pairwise(times(tmp_path))) > 0.5
    os.kill(driver.process.pid, signal.SIGSTOP)
    before = len(times(tmp_path))
    time.sleep(LOOKS)
    assert len(times(tmp_path)) - before <= 1  # it was about to write one
    os.kill(driver.process.pid, signal.SIGCONT)
    await_samples(tmp_path)


def test_a_driver_that_takes_the_database_over_samples_alone_or_has_nobody_do_it(start: Start, tmp_path: Path) -> None:
    start().kill()
    await_samples(tmp_path)
    (tmp_path / "later").mkdir()
    directory = tmp_path / "later"
    later = Experiment("later", str(directory))
    later.start(later.create_model("m", later.create_run_settings("true")))  # for a record that can be read
    later.reconnect_orchestrator(str(tmp_path / "orchestrator/smartsim_db.dat"))
    taken_over = time.time()
    await_samples(directory, more=4)
    before = times(tmp_path)
    assert max(before) < taken_over + 1.5  # the supervisor has fallen silent
    later.telemetry.disable()
    path = tmp_path / "orchestrator/sampled.json"
    deadline = time.monotonic() + DEADLINE
    while path.exists():
        assert time.monotonic() < deadline, "the driver has not said that nobody is to sample"
        time.sleep(0.01)
    silent = len(times(directory))
    time.sleep(LOOKS)
    assert (times(tmp_path), len(times(directory))) == (before, silent)


def test_without_telemetry_there_are_no_samples_either(start: Start, tmp_path: Path) -> None:
    driver = start("off")
    driver.kill()
    time.sleep(LOOKS)
    assert not (tmp_path / ".smartsim/metrics.jsonl").exists()
    with driver.connect() as client:
        assert client.ping()


def test_a_colocated_database_is_sampled_as_long_as_its_application_runs(start: Start, tmp_path: Path) -> None:
    driver = start("colocated")
    await_samples(tmp_path, "w_db", more=2)
    driver.kill()
    await_samples(tmp_path, "w_db")
    history = ExperimentReader(str(tmp_path)).metrics
    assert history.latest_servers["w_db"].database == "orchestrator"
    (application,) = [process for process in psutil.process_iter(["cmdline"]) if _is(process, "sleep", "600", tmp_path)]
    application.terminate()
    deadline = time.monotonic() + DEADLINE
    while any(_works_in(process, tmp_path) for process in psutil.process_iter()):
        assert time.monotonic() < deadline, "something was left behind"
        time.sleep(0.05)


def _works_in(process: psutil.Process, directory: Path) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).is_relative_to(directory)
    return False


def _is(process: psutil.Process, program: str, argument: str, directory: Path) -> bool:
    command = process.info["cmdline"] or []
    return [Path(word).name for word in command] == [program, argument] and _works_in(process, directory)
