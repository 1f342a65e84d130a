from __future__ import annotations

import json
import os
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scripts import EXAMPLES, processes_in, run_python, run_script
from smartsim import Experiment
from smartsim.embedding import Adapters, system_adapters
from smartsim.status import SmartSimStatus
from smartsim.testing import Script, fake_adapters

if TYPE_CHECKING:
    from collections.abc import Callable

RUNNING, QUEUED = SmartSimStatus.STATUS_RUNNING, SmartSimStatus.STATUS_QUEUED
CANCELLED, FAILED = SmartSimStatus.STATUS_CANCELLED, SmartSimStatus.STATUS_FAILED


def test_the_smallest_experiment_greets(tmp_path: Path) -> None:
    ended = run_script(EXAMPLES / "hello" / "hello.py", directory=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "greeting" in ended.stdout
    assert (tmp_path / "hello" / "greeting" / "greeting.out").read_text() == "Hello World\n"


def test_a_platform_runs_experiments_with_its_own_adapters(tmp_path: Path) -> None:
    ended = run_script(EXAMPLES / "embed" / "science_platform.py", str(tmp_path), directory=tmp_path)
    assert ended.returncode == 0, ended.stderr

    counts = [(tmp_path / f"ada/primes/primes_{i}/primes_{i}.out").read_text() for i in range(4)]
    assert counts == ["168\n", "303\n", "430\n", "550\n"]  # primes below 1000, 2000, 3000 and 4000
    assert ended.stdout.count("ada pays for primes_") == 4
    assert f"it is outside of {tmp_path / 'eve'}" in ended.stdout
    assert not (tmp_path / "ada" / "mine").exists()

    with closing(sqlite3.connect(tmp_path / "events.sqlite")) as connection:
        rows = connection.execute("SELECT event, record FROM events WHERE user = 'ada' ORDER BY rowid").fetchall()
    events = [event for event, _ in rows]
    assert [events.count(event) for event in ("submitted", "queued", "started", "ended")] == [4, 4, 4, 4]
    assert {json.loads(record)["returncode"] for event, record in rows if event == "ended"} == {0}
    assert not (tmp_path / "ada" / ".smartsim" / "events.jsonl").exists()
    running = [events[:i].count("started") - events[:i].count("ended") for i in range(len(events) + 1)]
    assert max(running) == 2  # there are two slots
    assert processes_in(tmp_path) == []


def test_pendulums_swing_as_a_served_model_has_them(tmp_path: Path) -> None:
    ended = run_script(EXAMPLES / "inference" / "driver.py", directory=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for member in range(8):
        (row,) = [line.split() for line in ended.stdout.splitlines() if line.startswith(f"pendulum_{member} ")]
        period, exact = float(row[2]), float(row[3])
        assert abs(period / exact - 1) < 0.01
        assert 6.28 < exact < 8.36  # 2 pi for the smallest swings
    counted = re.search(r"^(\d+) requests in (\d+) runs of ", ended.stdout, re.MULTILINE)
    assert counted
    requests, runs = map(int, counted.groups())
    assert requests > 8 * 150  # a quarter of a period in steps of 0.01
    assert runs < requests  # some were joined
    assert processes_in(tmp_path) == []


@pytest.fixture
def with_slots(monkeypatch: pytest.MonkeyPatch) -> Callable[[Adapters, int], Adapters]:
    """Return how to put the workload manager of the example before another one."""
    monkeypatch.syspath_prepend(EXAMPLES / "embed")
    slotted = import_module("slots").SlottedWorkloadManager
    return lambda adapters, slots: replace(adapters, workload_manager=slotted(adapters.workload_manager, slots))


def test_steps_wait_for_a_slot_and_can_be_stopped_there(
    tmp_path: Path, with_slots: Callable[[Adapters, int], Adapters]
) -> None:
    adapters = with_slots(system_adapters("local", str(tmp_path)), 1)
    with Experiment("study", exp_path=str(tmp_path), adapters=adapters) as exp:
        sleepers = exp.create_ensemble("sleeper", run_settings=exp.create_run_settings("sleep", "60"), replicas=3)
        exp.start(sleepers, block=False)
        assert exp.get_status(sleepers) == [RUNNING, QUEUED, QUEUED]
        exp.stop(sleepers)
        assert exp.get_status(sleepers) == [CANCELLED] * 3

        nice = exp.create_model("nice", exp.create_run_settings("nice"))  # prints how low its priority is
        exp.start(nice, block=True)
    assert int((tmp_path / "nice" / "nice.out").read_text()) == min(os.nice(0) + 10, 19)
    assert processes_in(tmp_path) == []


def test_a_step_that_is_refused_after_it_was_queued_has_failed(
    with_slots: Callable[[Adapters, int], Adapters],
) -> None:
    refused = fake_adapters(lambda _step: Script(refusal=OSError("no licence")))
    exp = Experiment("study", exp_path="/virtual", adapters=with_slots(refused, 1))
    models = [exp.create_model(name, exp.create_run_settings("simulate")) for name in ("first", "second")]
    exp.start(*models, block=True)
    assert exp.get_status(*models) == [FAILED, FAILED]
    ended = [record for record in refused.event_log.replay() if record["event"] == "ended"]
    assert [record["reason"] for record in ended] == ["no licence", "no licence"]


def test_a_users_own_tests_pass_on_the_fakes(tmp_path: Path) -> None:
    arguments = ("-m", "pytest", "-c", "/dev/null", "-p", "no:cacheprovider", str(EXAMPLES / "embed"))
    ended = run_python(*arguments, directory=tmp_path, environment={"PYTHONDONTWRITEBYTECODE": "1"})
    assert ended.returncode == 0, ended.stdout
    assert "4 passed" in ended.stdout
    assert list(tmp_path.iterdir()) == []
