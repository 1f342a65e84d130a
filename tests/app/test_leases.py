"""Databases with a lease, with real servers: they end when driver and clients have gone, and not before."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from scripts import kill_all_in, processes_in
from servers import scripted_server
from smartsim import Experiment
from smartsim.adapters.wlm.proc import identity
from smartsim.adapters.work.usage import commands_done, has_clients
from smartsim.app.database_lease import LeasedShard
from smartsim.app.drivers import driver_file, find_driver, record_driver
from smartsim.database import Orchestrator
from smartsim.error import SSUnsupportedError
from smartsim.testing import InMemoryFileSystem
from waiting import wait_until

DEADLINE = 60.0
LEASE = 0.5
LOOKS = 15  # more than there are in the time of a lease
DRIVER = """
import sys
from smartsim import Experiment

exp = Experiment("lease", sys.argv[1])
database = exp.create_database(port=0, db_nodes=int(sys.argv[2]), lease=float(sys.argv[3]))
exp.start(database)
if "save" in sys.argv:
    database.enable_checkpoints(3600)
print("ports", *database.ports, flush=True)
sys.stdin.read()
"""


class Driver:
    """A driver with a database; `kill` leaves it a zombie, as a container without an init does."""

    def __init__(self, path: Path, *words: str, nodes: int = 1, lease: float = LEASE) -> None:
        command = [sys.executable, "-c", DRIVER, str(path), str(nodes), str(lease), *words]
        self.database = path / "orchestrator"
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("ports"):
                self.ports = list(map(int, line.split()[1:]))
                return
        raise AssertionError("the driver did not start its database")

    def connect(self, shard: int = 0) -> redis.Redis:
        return redis.Redis(port=self.ports[shard], socket_timeout=DEADLINE)

    def servers(self) -> list[int]:
        """Return the process ids of the servers that answer."""
        found = []
        for shard in range(len(self.ports)):
            with contextlib.suppress(redis.ConnectionError), self.connect(shard) as client:
                found.append(int(client.info("server")["process_id"]))
        return found

    def kill(self) -> list[int]:
        """Kill the driver; return the process ids of the servers, none of which is connected then."""
        servers = self.servers()
        self.process.kill()
        return servers


Start = Callable[..., Driver]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    drivers: list[Driver] = []

    def start(*words: str, **options: Any) -> Driver:
        drivers.append(Driver(tmp_path, *words, **options))
        return drivers[-1]

    yield start
    for driver in drivers:
        with driver.process:  # closes its streams
            driver.process.kill()
    kill_all_in(tmp_path)


def wait_ended(servers: list[int]) -> None:
    wait_until(lambda: not any(map(psutil.pid_exists, servers)))


def wait_for_looks(driver: Driver, between: Callable[[], object] = bool) -> None:
    """Wait until the lease has begun anew so often that it would have run out otherwise."""
    record = Path(driver_file(str(driver.database)))
    for _ in range(LOOKS):
        before = record.stat().st_mtime_ns
        between()
        wait_until(lambda before=before: record.stat().st_mtime_ns != before)  # type: ignore[misc]


def errors(driver: Driver, shard: int = 0) -> str:
    return (driver.database / f"orchestrator_{shard}.err").read_text()


def test_it_ends_after_its_driver_and_says_so(start: Start) -> None:
    driver = start()
    wait_ended(driver.kill())
    assert f"The driver and the clients of orchestrator_0 have been gone for {LEASE:g} s: it is to end" in errors(
        driver
    )
    assert not list(driver.database.glob("*.rdb"))


def test_it_stays_while_its_driver_runs(start: Start) -> None:
    driver = start(lease=0.05)
    servers = driver.servers()
    time.sleep(1.0)  # twenty leases
    assert driver.servers() == servers


def test_samples_that_go_on_without_the_driver_do_not_keep_it(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMARTSIM_TELEMETRY_FREQUENCY", "1")
    driver = start(lease=8.0)  # time enough for samples of a supervisor
    with driver.connect() as client:
        client.set("large", "v" * 100_000)
    samples = tmp_path / ".smartsim/metrics.jsonl"
    servers = driver.kill()
    driver.process.wait(DEADLINE)
    before = samples.read_bytes() if samples.exists() else b""  # it may not have come to its first
    wait_until(lambda: samples.exists() and b"largest_keys" in samples.read_bytes()[len(before) :])
    wait_ended(servers)


def test_it_saves_if_it_keeps_checkpoints(start: Start, tmp_path: Path) -> None:
    driver = start("save")
    with driver.connect() as client:
        client.set("kept", "x")
    wait_ended(driver.kill())
    with Experiment("lease", str(tmp_path)) as exp:
        database = exp.create_database(port=0)
        exp.start(database)
        with redis.Redis(port=database.ports[0]) as client:
            assert client.get("kept") == b"x"


def test_one_that_cannot_save_stays_until_it_can(start: Start) -> None:
    driver = start("save")
    with driver.connect() as client:
        client.set("kept", "x")
    in_the_way = driver.database / "orchestrator_0.rdb"
    in_the_way.mkdir()
    (in_the_way / "file").touch()
    servers = driver.kill()
    wait_until(lambda: errors(driver).count("it is to end") >= 3)
    assert all(map(psutil.pid_exists, servers))
    with driver.connect() as client:
        assert client.get("kept") == b"x"
    shutil.rmtree(in_the_way)
    wait_ended(servers)
    assert in_the_way.is_file()


def test_a_client_of_one_shard_keeps_all(start: Start) -> None:
    driver = start(nodes=3)
    with driver.connect(1) as client:
        client.ping()
        servers = driver.kill()
        assert len(servers) == 3
        wait_for_looks(driver)
        assert all(map(psutil.pid_exists, servers))
    wait_ended(servers)


def test_clients_that_come_and_go_keep_it(start: Start) -> None:
    driver = start()

    def visit() -> None:
        with driver.connect() as client:
            client.incr("visits")

    servers = driver.kill()
    wait_for_looks(driver, visit)
    assert driver.servers() == servers
    wait_ended(servers)


def test_a_subscriber_is_a_client(start: Start) -> None:
    driver = start()
    with driver.connect() as client, client.pubsub() as subscriber:
        subscriber.subscribe("news")
        servers = driver.kill()
        wait_for_looks(driver)
    wait_ended(servers)


def test_a_driver_that_takes_it_over_renews_the_lease(start: Start, tmp_path: Path) -> None:
    driver = start(lease=1.0)
    takes_over = """
import sys
from smartsim import Experiment

database = Experiment("later", sys.argv[1]).reconnect_orchestrator(sys.argv[2])
print(database.lease, flush=True)
sys.stdin.read()
"""
    (tmp_path / "later").mkdir()
    arguments = [str(tmp_path / "later"), str(driver.database / "smartsim_db.dat")]
    command = [sys.executable, "-c", takes_over, *arguments]
    with driver.connect() as client:
        client.ping()
        driver.kill()
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as later:
            assert later.stdout is not None
            assert later.stdout.readline() == "1.0\n"
            client.close()  # it was to keep it until the other driver is there
            servers = driver.servers()
            time.sleep(2.0)  # two leases
            assert driver.servers() == servers
            later.kill()
            wait_ended(servers)


def test_it_ends_although_its_driver_was_killed_before_it_was_ready(tmp_path: Path) -> None:
    driver = f"""
import os, signal, sys
from smartsim import Experiment
from smartsim.app import databases

databases.Databases.await_ready = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
exp = Experiment("lease", {str(tmp_path)!r})
exp.start(exp.create_database(port=0, lease={LEASE}))
"""
    done = subprocess.run([sys.executable, "-c", driver], timeout=DEADLINE, check=False)
    assert done.returncode == -signal.SIGKILL
    log = tmp_path / "orchestrator" / "orchestrator_0.err"
    wait_until(lambda: "it is to end" in log.read_text())
    wait_until(lambda: not processes_in(tmp_path))


def test_it_ends_although_its_directory_is_gone(start: Start) -> None:
    driver = start()
    shutil.rmtree(driver.database)
    wait_ended(driver.kill())


def test_a_lease_needs_the_driver_on_the_machine_of_the_database() -> None:
    with pytest.raises(SSUnsupportedError, match=r"lease=60 cannot be had with launcher 'slurm'"):
        Orchestrator(launcher="slurm", lease=60)


# What it goes by


def test_a_driver_is_found_as_long_as_it_runs() -> None:
    files = InMemoryFileSystem()
    assert find_driver(files, "/db") is None
    files.make_directory("/db")
    record_driver(files, "/db")
    assert find_driver(files, "/db") == os.getpid()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        known = identity(process.pid)
        for recorded, found in ((known, process.pid), ("another boot/17", None)):
            files.write("/db/driver.json", json.dumps({"pid": process.pid, "identity": recorded}).encode(), 0o600)
            assert find_driver(files, "/db") == found
        files.write("/db/driver.json", json.dumps({"pid": process.pid, "identity": known}).encode(), 0o600)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie then
        assert find_driver(files, "/db") is None
        elsewhere = {"pid": process.pid, "identity": known, "host": "another machine"}
        files.write("/db/driver.json", json.dumps(elsewhere).encode(), 0o600)
        assert find_driver(files, "/db") == process.pid  # whether it runs there cannot be told here


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"pid": "x", "identity": "y"}', '{"pid": 1}'])
def test_a_damaged_record_is_none(content: str) -> None:
    files = InMemoryFileSystem()
    files.make_directory("/db")
    files.write("/db/driver.json", content.encode(), 0o600)
    assert find_driver(files, "/db") is None


def test_a_server_that_does_not_answer_may_be_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smartsim.adapters.work.usage._ANSWER_TIMEOUT", 0.1)

    def let_in_and_say_nothing(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"+OK\r\n")
        while connection.recv(1000):
            pass

    with scripted_server(let_in_and_say_nothing) as server:
        shard = LeasedShard("s", server.address, ("worker", "observer"), "secret", os.getppid())
        assert shard.in_use()
        assert shard.in_use()
        assert server.connections == 2  # what does not answer is asked anew
    assert shard.in_use()


CONNECTION = "id={n} addr=127.0.0.1:5{n} fd=9 name= age=1 flags={flags} db=0 cmd=x user={user} redir=-1 resp=2"


@pytest.mark.parametrize(
    ("connections", "expected"),
    [
        ([], False),
        ([("bU", "worker")], False),
        ([("S", "admin"), ("M", "(superuser)"), ("N", "worker")], False),
        ([("N", "observer"), ("N", "worker")], False),
        ([("N", "worker"), ("N", "default")], True),
        ([("P", "default")], True),
        ([("xU", "admin")], True),
    ],
)
def test_workers_and_other_servers_are_no_clients(connections: list[tuple[str, str]], *, expected: bool) -> None:
    lines = [CONNECTION.format(n=n, flags=flags, user=user) for n, (flags, user) in enumerate(connections)]
    assert has_clients("".join(f"{line}\n" for line in lines), {"worker", "observer"}) == expected


def test_what_workers_and_other_servers_do_is_nobodys_use() -> None:
    of_others = ["ping", "replconf", "AI._WORKER", "info", "client|list", "slowlog|get", "scan", "type", "memory|usage"]
    lines = [f"cmdstat_{name}:calls=3,usec=9" for name in (*of_others, "AI.TENSORSET", "client|setname")]
    assert commands_done("\r\n".join(["# Commandstats", *lines, ""])) == set(lines[-2:])
