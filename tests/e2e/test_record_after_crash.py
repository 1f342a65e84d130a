"""A driver is killed while it writes its record, at moments that nobody has chosen; everybody still reads the record.

The moments come from a seed, which is printed; `SMARTSIM_KILLS=<seed>` draws the same again.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from dashboard_clients import client_of
from report_pages import data_of
from scripts import run_python
from smartsim.adapters.eventlog.jsonl import JsonlEventLog
from smartsim.app.reading import ExperimentReader
from smartsim.domain.history import History

DEADLINE = 60.0
DRIVERS = 4
MEMBERS = 60
BYTES = (80_000, 200_000)  # that a driver writes before it is killed: a whole call of `start`, at least, and its ends
SEED = os.environ.get("SMARTSIM_KILLS") or str(random.SystemRandom().randrange(10**6))
DRIVER = f"""
import sys
from smartsim import Experiment

exp = Experiment("study", sys.argv[1])
settings = exp.create_run_settings("sh", ["-c", "echo out; echo Error: of $$ >&2; exit $(($$ % 2))"])
members = exp.create_ensemble("members", {{"x": list(range({MEMBERS}))}}, run_settings=settings)
exp.generate(members, overwrite=True)
while True:
    exp.start(members)
"""


def record_of(directory: Path) -> Path:
    return directory / ".smartsim" / "events.jsonl"


def kill_a_driver(directory: Path, size: int) -> None:
    """Run a driver until the record has so many bytes, and kill it in the middle of whatever it does then."""
    with subprocess.Popen([sys.executable, "-c", DRIVER, str(directory)], stdout=subprocess.DEVNULL) as driver:
        try:
            deadline = time.monotonic() + DEADLINE
            while not record_of(directory).exists() or record_of(directory).stat().st_size < size:
                assert driver.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.0005)
        finally:
            driver.kill()


def smart(*arguments: str, directory: Path) -> str:
    """Return what a command prints, once it was seen to succeed."""
    done = run_python("-c", "from smartsim.app.cli import main; main()", *arguments, directory=directory)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment whose drivers were killed one after the other, the last in the middle of a line."""
    print(f"SMARTSIM_KILLS={SEED}")  # noqa: T201 - for who sees it fail
    moments = random.Random(SEED)  # noqa: S311 - nobody is to guess nothing
    directory = tmp_path_factory.mktemp("crashed")
    size = 0
    for _ in range(DRIVERS):
        kill_a_driver(directory, size + moments.randrange(*BYTES))
        size = record_of(directory).stat().st_size
    # A kill seldom cuts a line, since a line is written at once; a disk that is full does.
    with record_of(directory).open("r+b") as stream:
        stream.truncate(size - moments.randrange(1, 200))
    return directory


@pytest.fixture(scope="module")
def counts(crashed: Path) -> Mapping[str, int]:
    """How many entities are in which state."""
    history = History.of(JsonlEventLog(str(record_of(crashed))).replay())
    return Counter(starts[-1].status.value for starts in history.entities.values())


def test_the_record_tells_what_was_written(crashed: Path, counts: Mapping[str, int]) -> None:
    reader = ExperimentReader(str(crashed))
    assert reader.history.unknown == []
    assert len(reader.history.drivers) == DRIVERS
    assert set(reader.history.entities) <= {f"members_{number}" for number in range(MEMBERS)}
    assert sum(counts.values()) == len(reader.history.entities) > 0
    assert {job.returncode for job in reader.history.jobs.values() if job.is_final} <= {0, 1}


def test_the_dashboard_shows_it(crashed: Path, counts: Mapping[str, int]) -> None:
    client = client_of(crashed)
    assert client.json("/api/overview")["counts"] == counts
    rows = client.json("/api/entities?limit=1000")["rows"]
    assert Counter(row["status"] for row in rows) == counts
    for row in rows[:5]:
        assert client.json(f"/api/entities/{row['entity']}")["row"] == row
        assert client.json(f"/api/logs/{row['entity']}?stream=stderr")["size"] >= 0
    for path in ("timeline", "load", "databases", "inference", "heat-map", "errors"):
        assert client.json(f"/api/{path}")


def test_the_terminal_view_shows_it(crashed: Path, counts: Mapping[str, int]) -> None:
    assert "members" in smart("watch", "--once", str(crashed), directory=crashed)
    told = json.loads(smart("watch", "--json", str(crashed), directory=crashed))
    assert told["overview"]["counts"] == counts


def test_the_report_shows_it(crashed: Path, counts: Mapping[str, int], tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    smart("report", str(crashed), "--output", str(file), directory=tmp_path)
    assert data_of(file.read_text())["overview"]["counts"] == counts


def test_the_logs_are_found(crashed: Path, counts: Mapping[str, int]) -> None:
    listed = json.loads(smart("logs", str(crashed), "--json", directory=crashed))
    assert Counter(row["status"] for row in listed) == counts
    reader = ExperimentReader(str(crashed))
    job = next(job for job in reader.history.jobs.values() if job.returncode == 1)
    number = reader.history.entities[job.facts.entity].index(job) + 1
    arguments = ("logs", str(crashed), job.facts.entity, "--stderr", "--start", str(number))
    assert smart(*arguments, directory=crashed).startswith("Error: of ")
    assert smart(*arguments, "--first-error", directory=crashed).startswith("stderr:1: Error: of ")
    used = json.loads(smart("telemetry", str(crashed), "--json", directory=crashed))
    assert used["jobs"] or "No job was sampled" in str(used["missing"])  # as short as they are


def test_files_of_the_old_system_are_whole(crashed: Path) -> None:
    known = ExperimentReader(str(crashed)).history.jobs.values()
    names = {job.facts.entity for job in known}
    manifest = json.loads((crashed / ".smartsim/telemetry/manifest.json").read_text())
    assert manifest["runs"]
    for run in manifest["runs"]:
        (ensemble,) = run["ensemble"]
        assert {member["name"] for member in ensemble["models"]} <= names
        assert all(Path(member["telemetry_metadata"]["status_dir"]).is_dir() for member in ensemble["models"])
    actions = [
        json.loads(path.read_text())["action"] == path.stem
        for name in ("start", "stop")
        for path in (crashed / ".smartsim/telemetry").rglob(f"{name}.json")
    ]
    assert actions == [True] * len(actions) != []


def test_nothing_is_said_to_run_that_does_not(crashed: Path) -> None:
    assert json.loads(smart("ps", str(crashed), "--json", directory=crashed)) == []


def test_the_next_driver_goes_on(crashed: Path) -> None:
    before = record_of(crashed).stat().st_size
    kill_a_driver(crashed, before + 10_000)
    reader = ExperimentReader(str(crashed))
    assert (len(reader.history.drivers), reader.history.unknown) == (DRIVERS + 1, [])
