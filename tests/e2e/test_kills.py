"""Everything that an experiment consists of is killed, at moments that nobody has chosen.

Nothing may hang, what died must be named, and nothing may be left that `smart ps` does not list, and `smart reap` does
not end. Victims and moments come from a seed, which is printed; `SMARTSIM_KILLS=<seed>` draws the same again.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from ml_models import affine
from smartsim.adapters.filesystem.posix import PosixFileSystem
from smartsim.adapters.wlm.own import own_processes
from smartsim.app.leftovers import Leftover, Server, find_leftovers
from waiting import wait_until

DEADLINE = 40.0
MARK = "SMARTSIM_TEST_OF_KILLS"  # in the environment of everything that a round starts
SEED = os.environ.get("SMARTSIM_KILLS") or str(random.SystemRandom().randrange(10**6))
FAILED, COMPLETED, RUNNING = "Failed", "Completed", "Running"

DRIVER = """
import json, pathlib, sys
from smartsim import Experiment
from smartsim.app import databases

databases.START_TIMEOUT = 15.0  # a server without a supervisor of its workers is given up on then

def application(name, *databases):
    patience = {f"SR_{what}_TIMEOUT_{database}": 1 for what in ("CMD", "CONN") for database in databases}
    settings = exp.create_run_settings(sys.executable, [sys.argv[2], *databases], env_vars=patience)
    model = exp.create_model(name, settings)
    model.add_ml_model("affine", "ONNX", model_path=sys.argv[3])
    return model

with Experiment("kills", sys.argv[1]) as exp:
    grid = exp.create_database(port=0, db_nodes=3, db_identifier="grid")
    store = exp.create_database(port=0, db_identifier="store")
    far = application("far", "grid", "store")
    members = [application(f"near_{number}", "near") for number in range(2)]
    for member in members:
        member.colocate_db_uds(db_identifier="near", custom_pinning=[])
    exp.start(grid, store, far, *members, block=False)
    print("started", flush=True)
    exp.wait(timeout=40)
    entities = [*grid, *store, far, *members]
    statuses = exp.get_status(grid, store, far, *members)
    found = {entity.name: status.value for entity, status in zip(entities, statuses)}
    pathlib.Path(sys.argv[1], "statuses").write_text(json.dumps(found))
"""

# Works with its databases until it is told to stop, goes on without those that fail, and tells of each round.
APPLICATION = """
import pathlib, sys, time
import numpy as np
from smartredis import Client, ConfigOptions

x = np.arange(8, dtype=np.float32).reshape(2, 4)
clients = {}

def work(name):
    if name not in clients:
        clients[name] = Client(ConfigOptions.create_from_environment(name), logger_name="application")
    for number in range(6):  # in slots of every shard
        clients[name].put_tensor(f"x{number}", x)
        clients[name].run_model("affine", inputs=[f"x{number}"], outputs=[f"y{number}"])
        assert np.array_equal(clients[name].get_tensor(f"y{number}"), 2 * x + 1)

names, rounds = sys.argv[1:], 0
while not pathlib.Path("../go").exists():
    for name in list(names):
        try:
            work(name)
        except Exception as error:
            print("lost", name, *str(error).split(), flush=True)
            names.remove(name)
    rounds += 1
    pathlib.Path("rounds").write_text(str(rounds))
    time.sleep(0.005)
"""


@dataclass
class Round:
    """One experiment, to be killed.

    Args:
        path: of the experiment.
        mark: the value of `MARK` in the environment of all of its processes.
        driver: its driver.
    """

    path: Path
    mark: str
    driver: subprocess.Popen[str]

    def processes(self) -> list[psutil.Process]:
        """Return everything that runs of it; servers write over their environment."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                is_own = process.environ().get(MARK) == self.mark or Path(process.cwd()).is_relative_to(self.path)
                if is_own and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def listed(self) -> list[Leftover]:
        """Return what `smart ps` lists of it."""
        own = {process.pid for process in self.processes()}
        return [found for found in find_leftovers(own_processes(), PosixFileSystem()) if own & set(found.processes)]

    def unlisted(self) -> list[psutil.Process]:
        """Return what runs of it, but for its driver, and is not listed."""
        listed = {pid for found in self.listed() for pid in found.processes} | {self.driver.pid}
        return [process for process in self.processes() if process.pid not in listed]

    def settle(self) -> None:
        """Wait until everything that runs is listed: what ends, or becomes another program, takes a moment."""
        wait_until(lambda: not self.unlisted(), "something runs and is not listed")

    def reap(self) -> None:
        """End what is listed, and see that nothing is left."""
        paths = [found.path for found in self.listed()]
        command = [sys.executable, "-c", "from smartsim.app.cli import main; main()", "reap", *paths]
        if paths:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
            assert ended.returncode == 0, ended.stdout + ended.stderr
        wait_until(lambda: not self.processes(), "something is left")

    def servers(self) -> dict[str, Server]:
        """Return its servers by the names of their shards; by that of the model for colocated ones."""
        return {server.name: server for found in self.listed() for server in found.servers}

    def worker(self, server: str) -> psutil.Process:
        """Return the worker beside a server, once there is one."""
        beside = psutil.Process(self.servers()[server].pid)
        found: list[psutil.Process] = []

        def look() -> bool:
            with contextlib.suppress(psutil.Error):
                found[:] = [each for each in beside.children(recursive=True) if "smartsim.app.worker" in each.cmdline()]
            return bool(found)

        wait_until(look, f"{server} has no worker")
        return found[0]

    def rank(self, model: str) -> psutil.Process:
        """Return the process of an application."""
        (found,) = (found for found in self.listed() if (found.kind, found.name) == ("application", model))
        return psutil.Process(next(pid for pid in found.processes if os.getsid(pid) == pid))

    def wait_for_work(self, model: str) -> None:
        """Wait until an application has worked with its databases for another two rounds."""
        path = self.path / model / "rounds"

        def rounds() -> int:
            return int(path.read_text() or 0) if path.exists() else 0

        before = rounds()
        wait_until(lambda: rounds() >= before + 2, f"{model} works no more")


SERVERS = ("grid_0", "grid_1", "grid_2", "store_0")


@dataclass
class Victims:
    """Who is killed in a round.

    Args:
        shard: a server.
        address: where it listened.
        worker: a server whose worker it is.
        rank: an application, with a database on its node.
        orphan: another one, whose database loses its supervisor.
        processes: all of them, in the order of their deaths.
    """

    shard: str
    address: str
    worker: str
    rank: str
    orphan: str
    processes: list[psutil.Process]


def draw(name: str) -> random.Random:
    """Return the chance of a round, and print how to have it again."""
    print(f"SMARTSIM_KILLS={SEED}")  # noqa: T201 - for who sees it fail
    return random.Random(f"{SEED} {name}")  # noqa: S311 - nobody is to guess nothing


def draw_victims(chance: random.Random, round_: Round) -> Victims:
    servers = round_.servers()
    shard, worker = chance.sample(SERVERS, 2)
    rank, orphan = chance.sample(["near_0", "near_1"], 2)
    supervisor = psutil.Process(servers[orphan].pid).ppid()
    pids = [servers[shard].pid, round_.worker(worker).pid, round_.rank(rank).pid, supervisor]
    processes = [psutil.Process(pid) for pid in chance.sample(pids, len(pids))]
    return Victims(shard, servers[shard].address or "", worker, rank, orphan, processes)


def kill(chance: random.Random, processes: list[psutil.Process]) -> None:
    for process in processes:
        time.sleep(chance.uniform(0, 0.3))
        with contextlib.suppress(psutil.NoSuchProcess):
            print("killed:", process.pid, *process.cmdline()[:6])  # noqa: T201 - as above
            process.kill()


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[[], Round]]:
    """Start a round; it may be in the middle of its start when it is returned."""
    begun: list[Round] = []
    (tmp_path / "application.py").write_text(APPLICATION)
    (tmp_path / "affine.onnx").write_bytes(affine("ONNX").blob)

    def begin() -> Round:
        path = tmp_path / "exp"
        path.mkdir()
        arguments = map(str, (path, tmp_path / "application.py", tmp_path / "affine.onnx"))
        command = [sys.executable, "-c", DRIVER, *arguments]
        environment = {**os.environ, MARK: str(tmp_path)}
        driver = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        begun.append(Round(path, str(tmp_path), driver))
        return begun[-1]

    yield begin
    for round_ in begun:
        with round_.driver:
            round_.driver.kill()
            for process in round_.processes():
                process.kill()


def started(round_: Round) -> Round:
    """Wait until a round has started and everybody works."""
    assert round_.driver.stdout is not None
    said = []
    for line in round_.driver.stdout:
        said.append(line)
        if line == "started\n":
            break
    assert said[-1:] == ["started\n"], "".join(said)
    for model in ("far", "near_0", "near_1"):
        round_.wait_for_work(model)
    return round_


@pytest.mark.parametrize("number", range(2))
def test_what_dies_is_named_and_the_rest_goes_on(begin: Callable[[], Round], number: int) -> None:
    chance = draw(f"named {number}")
    round_ = started(begin())
    victims = draw_victims(chance, round_)
    kill(chance, victims.processes)
    for model in ("far", victims.orphan):
        round_.wait_for_work(model)
    round_.settle()
    (round_.path / "go").touch()
    output, _ = round_.driver.communicate(timeout=DEADLINE)
    print(output)  # noqa: T201 - as above
    assert round_.driver.returncode == 0
    expected = {**dict.fromkeys(SERVERS, RUNNING), **dict.fromkeys(("far", "near_0", "near_1"), COMPLETED)}
    expected |= dict.fromkeys((victims.shard, victims.rank), FAILED)
    assert json.loads((round_.path / "statuses").read_text()) == expected
    for name in (victims.shard, victims.rank):
        assert f"{name} failed. See below" in output
    assert f"database of {victims.orphan} on {socket.gethostname()} ended because its supervisor was killed" in output
    database, _, _ = victims.worker.partition("_")
    errors = (round_.path / database / f"{victims.worker}.err").read_text()
    assert f"The worker of {victims.worker} for CPU ended by SIGKILL" in errors
    lost, _, _ = victims.shard.partition("_")
    (said,) = (round_.path / "far" / "far.out").read_text().splitlines()
    assert said.startswith(f"lost {lost} ")
    assert victims.address in said
    wait_until(lambda: not round_.processes(), "something is left")


@pytest.mark.parametrize("number", range(2))
def test_what_a_killed_driver_leaves_is_listed_and_ended(begin: Callable[[], Round], number: int) -> None:
    chance = draw(f"left {number}")
    round_ = started(begin())
    victims = draw_victims(chance, round_)
    victims.processes.insert(chance.randrange(5), psutil.Process(round_.driver.pid))
    kill(chance, victims.processes)
    assert round_.driver.wait(DEADLINE) == -signal.SIGKILL
    round_.wait_for_work("far")
    round_.settle()
    # The database of a rank that was killed ends by itself.
    wait_until(lambda: set(round_.servers()) == set(SERVERS) - {victims.shard}, "a database stays")
    listed = {(found.kind, found.name): found.driver for found in round_.listed()}
    databases = {"grid", "store"} if victims.shard != "store_0" else {"grid"}
    expected = {("database", name) for name in databases} | {("application", name) for name in ("far", victims.orphan)}
    assert listed == dict.fromkeys(expected)
    round_.reap()


@pytest.mark.parametrize("number", range(4))
def test_anything_may_be_killed_at_any_time(begin: Callable[[], Round], number: int) -> None:
    chance = draw(f"any {number}")
    round_ = begin()
    (round_.path / "go").touch()  # applications end as soon as they have begun
    time.sleep(chance.uniform(0, 3.0))
    running = round_.processes()
    if running:
        kill(chance, [chance.choice(sorted(running, key=lambda process: process.pid))])
    output, _ = round_.driver.communicate(timeout=DEADLINE)
    print(output)  # noqa: T201 - as above
    if round_.driver.returncode >= 0:  # it has stopped everything, and said what was lost, unless nothing was
        assert round_.processes() == []
        assert round_.driver.returncode == 0 or re.search(r"Error: .*(grid|store|near|far)", output)
        return
    round_.settle()
    wait_until(lambda: {found.kind for found in round_.listed()} <= {"database"}, "an application does not end")
    round_.reap()
