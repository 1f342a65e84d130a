"""Whose turn it is to sample a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from smartsim.adapters.wlm.proc import identity
from smartsim.app.database_samples import SampledServer
from smartsim.app.sampling_turns import SamplingTurns, Turn, Watch, keep_samples, turn_file
from smartsim.domain.addresses import Address
from smartsim.ports.database_server import Credentials
from smartsim.testing import InMemoryDatabaseServer, InMemoryFileSystem, VirtualClock

DEADLINE = 30.0
METRICS = "/exp/.smartsim/metrics.jsonl"


@dataclass
class Site:
    """A driver, and a supervisor that looks after it."""

    files: InMemoryFileSystem = field(default_factory=lambda: InMemoryFileSystem(["/db", "/run", "/exp/.smartsim"]))
    clock: VirtualClock = field(default_factory=VirtualClock)

    def __post_init__(self) -> None:
        self.turns = SamplingTurns(self.files, self.clock, METRICS, 5)
        self.watch = Watch(self.files, self.clock, "/db")

    def take(self, **other: Any) -> None:
        """Sample as a driver; things may be otherwise than with this process."""
        self.turns.take([server("db_0", "/db")])
        said = json.loads(self.files.read("/db/sampled.json"))
        self.files.write("/db/sampled.json", json.dumps({**said, **other}).encode())

    def look(self, times: int = 1) -> list[Turn | None]:
        """Look as often as the supervisor would."""
        found = []
        for _ in range(times):
            self.clock.advance(self.watch.interval)
            found.append(self.watch.due())
        return found


def server(name: str, home: str, *, is_colocated: bool = False) -> SampledServer:
    talks = InMemoryDatabaseServer(lambda _: True, lambda _: None)
    known = talks, Address.tcp("10.0.0.1", 1), Credentials("a", "b")
    return SampledServer("db", name, "run", *known, home=home, is_colocated=is_colocated)


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def gone() -> dict[str, Any]:
    """Return what tells a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        known = identity(process.pid)
    return {"pid": process.pid, "identity": known}


def test_where_no_driver_said_that_it_samples_nobody_does(site: Site) -> None:
    assert site.look(100) == [None] * 100


def test_while_the_driver_runs_it_samples_alone(site: Site) -> None:
    site.take()
    assert site.look(100) == [None] * 100  # also when it is held up


def test_when_it_has_ended_its_turn_goes_on(site: Site, gone: dict[str, Any]) -> None:
    site.take(**gone)
    first, *later = site.look(5)
    assert first is None
    assert all(
        turn is not None and (turn.metrics, turn.database, turn.interval) == (METRICS, "db", 5) for turn in later
    )


def test_a_process_that_has_its_number_now_is_not_the_driver(site: Site) -> None:
    site.take(identity="another boot/17")
    assert site.look(2)[1] is not None


def test_another_driver_takes_over(site: Site, gone: dict[str, Any]) -> None:
    site.take(**gone)
    assert site.look(2)[1] is not None
    site.take()
    assert site.look(5) == [None] * 5


def test_one_that_is_not_named_but_samples_is_enough(site: Site, gone: dict[str, Any]) -> None:
    for _ in range(5):  # the last one who took it over has gone, an earlier one lives in another container
        site.take(**gone)
        site.clock.advance(1.0)
        assert site.watch.due() is None


@pytest.mark.parametrize(("interval", "patience"), [(5, 60), (1, 60), (100, 300)])
def test_of_a_driver_elsewhere_the_file_tells_alone(site: Site, interval: int, patience: int) -> None:
    site.take(host="another machine", interval=interval)
    assert site.look() == [None]
    looks = site.look(patience // interval)
    assert looks[:-1] == [None] * (len(looks) - 1)
    assert looks[-1] is not None
    site.take(host="another machine", interval=interval)
    assert site.look(3) == [None] * 3


def test_a_colocated_database_on_another_node_is_not_sampled_as_before(site: Site, gone: dict[str, Any]) -> None:
    site.take(host="another machine", everywhere=False)
    assert site.look(1000) == [None] * 1000
    site.take(**gone, everywhere=False)
    assert site.look(2)[1] is not None


def test_a_driver_that_declines_leaves_no_turn(site: Site, gone: dict[str, Any]) -> None:
    site.take(**gone)
    assert site.look(2)[1] is not None
    site.turns.decline([server("db_0", "/db")])
    assert site.look(3) == [None] * 3
    assert site.files.inspect("/db/sampled.json") is None
    site.turns.decline([server("db_0", "/db")])


def test_an_experiment_that_was_removed_does_not_come_back(site: Site, gone: dict[str, Any]) -> None:
    site.take(**gone)
    assert site.look(2)[1] is not None
    site.files.remove("/exp")
    assert site.look(2) == [None, None]


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"{}", b"[1]", b"[" * 100_000, b'{"at": 1}', b'{"pid": "x"}'],
)
def test_what_cannot_be_read_is_nobodys_turn(site: Site, content: bytes) -> None:
    site.files.write(turn_file("/db"), content)
    assert site.look(3) == [None] * 3
    said = {"at": 1, "metrics": METRICS, "database": "db", "interval": "5", "everywhere": True, "host": "h", "pid": 1}
    site.files.write(turn_file("/db"), json.dumps({**said, "identity": ""}).encode())
    assert site.look(3) == [None] * 3


def test_all_servers_of_a_directory_have_one_turn(site: Site) -> None:
    site.turns.take([server("db_0", "/db"), server("db_1", "/db"), server("m_db", "/run", is_colocated=True)])
    database, colocated = (json.loads(site.files.read(turn_file(home))) for home in ("/db", "/run"))
    assert (database["everywhere"], colocated["everywhere"]) == (True, False)
    assert (database["pid"], database["identity"]) == (os.getpid(), identity(os.getpid()))


def test_a_directory_that_is_gone_is_left_alone(site: Site) -> None:
    site.turns.take([server("db_0", "/nowhere"), server("db_1", "")])
    site.turns.decline([server("db_0", "/nowhere"), server("db_1", "")])
    assert site.files.inspect("/nowhere") is None


def test_where_samples_go_elsewhere_no_supervisor_is_to_write(site: Site) -> None:
    SamplingTurns(site.files, site.clock, None, 5).take([server("db_0", "/db")])
    assert site.files.inspect("/db/sampled.json") is None


# The supervisor's thread


class ImpatientWatch(Watch):
    """One that looks without pause."""

    turn: Turn | None = None
    looks = 0

    def due(self) -> Turn | None:
        self.looks += 1
        self.interval = 0.001
        return self.turn


@dataclass
class Supervisor:
    """A thread that keeps the samples of a server, until that ends."""

    sample: Callable[[], None]
    begun: list[Turn] = field(default_factory=list)

    def __post_init__(self) -> None:
        files, clock = InMemoryFileSystem(["/db"]), VirtualClock()
        self.watch = ImpatientWatch(files, clock, "/db")
        self.watch.interval = 0.001
        self.ended, self.server = os.pipe()
        self.thread = threading.Thread(target=keep_samples, args=("db_0", self.watch, self.begin, self.ended))
        self.thread.start()

    def begin(self, turn: Turn) -> Callable[[], None]:
        self.begun.append(turn)
        return self.sample

    def await_looks(self) -> None:
        """Wait until what holds now was seen."""
        until = self.watch.looks + 3
        deadline = time.monotonic() + DEADLINE
        while self.watch.looks < until:
            assert time.monotonic() < deadline
            time.sleep(0.001)

    def end(self) -> None:
        os.close(self.server)
        self.thread.join(DEADLINE)
        assert not self.thread.is_alive()
        os.close(self.ended)


@pytest.fixture
def supervise() -> Iterator[Callable[[Callable[[], None]], Supervisor]]:
    begun: list[Supervisor] = []

    def start(sample: Callable[[], None]) -> Supervisor:
        begun.append(Supervisor(sample))
        return begun[-1]

    yield start
    for supervisor in begun:
        supervisor.end()


def a_turn(at: float = 1.0) -> Turn:
    return Turn(at, METRICS, "db", 5.0, True, "host", 1, "boot/1")


def test_samples_are_taken_as_long_as_it_is_due(supervise: Callable[[Callable[[], None]], Supervisor]) -> None:
    taken: list[int] = []
    supervisor = supervise(lambda: taken.append(1))
    supervisor.await_looks()
    assert (taken, supervisor.begun) == ([], [])
    supervisor.watch.turn = a_turn()
    supervisor.await_looks()
    assert taken
    assert len(supervisor.begun) == 1
    supervisor.watch.turn = a_turn(2.0)
    supervisor.await_looks()
    supervisor.watch.turn = None
    supervisor.await_looks()
    before = len(taken)
    supervisor.await_looks()
    assert len(taken) == before
    supervisor.watch.turn = a_turn(2.0)
    supervisor.await_looks()
    assert supervisor.begun == [a_turn(), a_turn(2.0), a_turn(2.0)]


def test_what_fails_is_told_of_once_and_tried_again(
    supervise: Callable[[Callable[[], None]], Supervisor], capsys: pytest.CaptureFixture[str]
) -> None:
    tried: list[int] = []

    def fail() -> None:
        tried.append(1)
        raise RuntimeError("it is broken")

    supervisor = supervise(fail)
    supervisor.watch.turn = a_turn()
    supervisor.await_looks()
    supervisor.await_looks()
    assert len(tried) >= 2
    assert capsys.readouterr().err == "db_0 was not sampled: RuntimeError('it is broken')\n"


def test_it_ends_with_the_server() -> None:
    ended, server = os.pipe()
    os.close(server)
    watch = ImpatientWatch(InMemoryFileSystem(["/db"]), VirtualClock(), "/db")
    watch.interval = 600.0
    keep_samples("db_0", watch, lambda _: pytest.fail, ended)
    assert watch.looks == 0
    os.close(ended)
