"""Samples of databases, taken by one thread of the driver."""

from __future__ import annotations

import csv
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim import Experiment
from smartsim.adapters.clock.virtual import VirtualClock
from smartsim.adapters.database.in_memory import InMemoryDatabaseServer
from smartsim.app.service import RunningShard, Service
from smartsim.app.telemetry import DatabaseSampler, SampledShard, sampling_interval, tables
from smartsim.client import Client
from smartsim.database import Orchestrator
from smartsim.domain.addresses import Address
from smartsim.domain.database import ShardPlan
from smartsim.domain.errors import SmartSimError
from smartsim.entity import TelemetryConfiguration
from smartsim.ports.database_server import ClientFacts, Credentials, ServerFacts, ServerUsage
from smartsim.testing import InMemoryFileSystem

DEADLINE = 30.0
NAMES = ("memory.csv", "client.csv", "client_count.csv")


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def samplers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "smartsim-sampler"]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as stream:
        return list(csv.DictReader(stream))


def test_a_database_is_sampled_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMARTSIM_TELEMETRY_FREQUENCY", "1")
    with Experiment("study", str(tmp_path)) as exp:
        database = exp.create_database(port=0, interface="lo")
        database.telemetry.enable()
        exp.start(database)
        (outputs,) = tmp_path.glob(".smartsim/telemetry/study/*/database/orchestrator/orchestrator_0")
        until((outputs / "client_count.csv").exists, "there was no sample")
        before = int(rows(outputs / "client_count.csv")[0]["num_clients"])
        client = Client(False, database.get_address()[0])
        until(
            lambda: int(rows(outputs / "client_count.csv")[-1]["num_clients"]) > before, "the client was never counted"
        )
        assert len(samplers()) == 1
        memory = rows(outputs / "memory.csv")[-1]
        assert list(memory) == ["timestamp", "used_memory", "used_memory_peak", "total_system_memory"]
        assert 0 < int(memory["used_memory"]) <= int(memory["used_memory_peak"]) < int(memory["total_system_memory"])
        assert abs(int(memory["timestamp"]) / 1e3 - time.time()) < DEADLINE  # milliseconds
        clients = rows(outputs / "client.csv")
        assert list(clients[0]) == ["timestamp", "client_id", "address"]
        assert any(row["address"].startswith("127.0.0.1:") for row in clients)
        del client
    assert samplers() == []


def test_nothing_is_sampled_unless_it_is_asked_for(tmp_path: Path) -> None:
    with Experiment("study", str(tmp_path)) as exp:
        database = exp.create_database(port=0, interface="lo")
        assert not database.telemetry.is_enabled
        exp.start(database)
        assert samplers() == []
    with Experiment("other", str(tmp_path)) as exp:
        exp.telemetry.disable()
        database = exp.create_database(port=0, interface="lo")
        database.telemetry.enable()
        exp.start(database)
        assert samplers() == []
    assert [path for name in NAMES for path in tmp_path.rglob(name)] == []


@pytest.mark.parametrize("text", ["0", "601", "-5", "5.5", "often", ""])
def test_an_interval_that_cannot_be_is_refused(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMARTSIM_TELEMETRY_FREQUENCY", text)
    with pytest.raises(ValueError, match=rf"SMARTSIM_TELEMETRY_FREQUENCY must be .* from 1 to 600, not '{text}'"):
        Experiment("study", str(tmp_path))


@given(st.integers(1, 600))
def test_an_interval_is_a_number_of_seconds(seconds: int) -> None:
    assert sampling_interval({"SMARTSIM_TELEMETRY_FREQUENCY": str(seconds)}) == seconds
    assert sampling_interval({}) == 5


def test_every_client_has_a_row() -> None:
    usage = ServerUsage(1, 2, 3, (ClientFacts(7, "10.0.0.1:5"), ClientFacts(8, "10.0.0.2:6")))
    assert {name: added for name, (_, added) in tables(usage, 99).items()} == {
        "memory.csv": [(99, 1, 2, 3)],
        "client.csv": [(99, 7, "10.0.0.1:5"), (99, 8, "10.0.0.2:6")],
        "client_count.csv": [(99, 2)],
    }


# The thread itself, with a server that is played


@dataclass
class Site:
    """A server that is sampled as often as it is let to be."""

    shards: list[SampledShard] = field(default_factory=list)
    files: InMemoryFileSystem = field(default_factory=lambda: InMemoryFileSystem(["/out"]))
    asked: int = 0
    error: Exception | None = None

    def usage(self, address: Address, credentials: Credentials, timeout: float) -> ServerUsage:
        del address, credentials, timeout
        self.asked += 1
        if self.error is not None:
            raise self.error
        return ServerUsage(1, 2, 3)

    def sampler(self) -> DatabaseSampler:
        return DatabaseSampler(lambda: list(self.shards), self.files, VirtualClock(), interval=0.001)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    site = Site()
    server = InMemoryDatabaseServer(lambda _: True, lambda _: None)
    monkeypatch.setattr(server, "usage", site.usage)
    shard = RunningShard(ShardPlan("db_0", "/db", ("127.0.0.1",), 6379), ServerFacts("run", "9", 1))
    site.shards.append(SampledShard(Service(server, Credentials("a", "b"), (shard,)), shard, "/out"))
    return site


def test_the_thread_ends_when_nothing_is_left_and_starts_anew(site: Site) -> None:
    sampler = site.sampler()
    sampler.start()
    sampler.start()
    assert len(samplers()) == 1
    until(lambda: site.asked >= 3, "it was not sampled")
    left, site.shards = site.shards, []
    until(lambda: samplers() == [], "the thread did not end")
    site.shards = left
    sampler.start()
    until(lambda: site.asked >= 6, "it was not sampled again")
    sampler.close()
    assert samplers() == []
    sampler.start()
    assert samplers() == []


@pytest.mark.parametrize("error", [SmartSimError("gone"), OSError(28, "No space left on device", "/out/memory.csv")])
def test_a_sample_that_fails_does_not_end_the_thread(
    site: Site, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    site.error = error
    sampler = site.sampler()
    sampler.start()
    until(lambda: site.asked >= 3, "it gave up")
    site.error = None
    until(lambda: site.files.inspect("/out/memory.csv") is not None, "it did not go on")
    sampler.close()
    assert capsys.readouterr().out.count("cannot be written") == isinstance(error, OSError)


def test_a_file_has_its_header_once(site: Site) -> None:
    for _ in range(2):
        sampler = site.sampler()
        sampler.start()
        site.asked = 0
        until(lambda: site.asked > 2, "it was not sampled")
        sampler.close()
    lines = site.files.read("/out/memory.csv").decode().splitlines()
    assert lines[0] == "timestamp,used_memory,used_memory_peak,total_system_memory"
    assert set(lines[1:]) == {"1000000000000,1,2,3"}


def test_a_switch_has_two_positions() -> None:
    switch = TelemetryConfiguration(enabled=False)
    switch.enable()
    assert switch.is_enabled
    switch.disable()
    assert not switch.is_enabled
    assert not Orchestrator(os.getcwd(), port=0).telemetry.is_enabled
