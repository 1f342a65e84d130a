"""Switches of telemetry, and the tables of databases."""

from __future__ import annotations

import csv
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampler_threads import samplers
from smartsim import Experiment
from smartsim.app.database_samples import tables
from smartsim.app.telemetry import sampling_interval
from smartsim.client import Client
from smartsim.database import Orchestrator
from smartsim.entity import TelemetryConfiguration
from smartsim.ports.database_server import ClientFacts, ServerUsage
from waiting import wait_until

pytestmark = pytest.mark.usefixtures("earlier_samplers")
DEADLINE = 30.0
NAMES = ("memory.csv", "client.csv", "client_count.csv")


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
        counts = outputs / "client_count.csv"
        wait_until(lambda: counts.exists() and bool(rows(counts)), "there was no sample")
        before = int(rows(outputs / "client_count.csv")[0]["num_clients"])
        client = Client(False, database.get_address()[0])
        wait_until(
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


def test_tables_are_only_kept_if_they_are_asked_for(tmp_path: Path) -> None:
    with Experiment("study", str(tmp_path)) as exp:
        database = exp.create_database(port=0, interface="lo")
        assert not database.telemetry.is_enabled
        exp.start(database)
        wait_until((tmp_path / ".smartsim/metrics.jsonl").exists, "there was no sample")
    assert [path for name in NAMES for path in tmp_path.rglob(name)] == []


def test_nothing_is_sampled_of_an_experiment_whose_telemetry_is_off(tmp_path: Path) -> None:
    with Experiment("other", str(tmp_path)) as exp:
        exp.telemetry.disable()
        database = exp.create_database(port=0, interface="lo")
        database.telemetry.enable()
        exp.start(database)
        assert samplers() == []
    assert [path for name in (*NAMES, "metrics.jsonl") for path in tmp_path.rglob(name)] == []


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


def test_a_switch_has_two_positions() -> None:
    switch = TelemetryConfiguration(enabled=False)
    switch.enable()
    assert switch.is_enabled
    switch.disable()
    assert not switch.is_enabled
    assert not Orchestrator(os.getcwd(), port=0).telemetry.is_enabled
