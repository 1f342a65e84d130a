"""`smart ps DIRECTORY`: what the record of an experiment has no end of."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from smart_commands import run_smart
from smartsim.adapters.eventlog.jsonl import JsonlEventLog
from smartsim.app.reading import EVENTS_FILE
from smartsim.app.unfinished import Unfinished, find_unfinished
from smartsim.domain import record
from smartsim.domain.history import History

HERE = socket.gethostname()
DEADLINE = 60.0


def submitted(entity: str, batch_job: str = "") -> record.Submitted:
    return record.Submitted(2.0, entity, "Model", f"{entity}-1", batch_job=batch_job, directory=entity)


def history_of(host: str, *events: record.Event) -> History:
    history = History()
    for event in (record.Opened(1.0, "study", "slurm", host, 77), *events):
        history.add(event)
    return history


def test_jobs_of_a_scheduler_are_listed_until_they_have_ended() -> None:
    history = history_of(
        HERE,
        submitted("waits", "waits-X"),
        record.Queued(3.0, "waits", "waits-1", "4711"),
        submitted("ended", "ended-X"),
        record.Ended(4.0, "ended", "ended-1", "Cancelled"),
        submitted("never", "never-X"),
        record.Withdrawn(4.0, "never", "never-1"),
        submitted("process"),
        record.Started(3.0, "process", "process-1", "1234"),
    )
    assert find_unfinished(history, HERE) == [
        Unfinished("waits", "Queued", "4711", "waits-X", 77, HERE, 2.0, "waits"),
    ]


def test_processes_of_another_machine_are_listed() -> None:
    history = history_of("node7", submitted("far"), record.Started(3.0, "far", "far-1", "1234"))
    assert find_unfinished(history, HERE) == [Unfinished("far", "Running", "1234", "", 77, "node7", 2.0, "far")]
    assert find_unfinished(history, "node7") == []


def test_the_driver_is_the_one_that_had_begun() -> None:
    history = history_of("node7", submitted("far"), record.Opened(9.0, "study", "slurm", "node8", 88))
    assert [(job.driver, job.host) for job in find_unfinished(history, HERE)] == [(77, "node7")]
    unknown = History()
    unknown.add(submitted("job", "job-X"))
    assert [(job.driver, job.host) for job in find_unfinished(unknown, HERE)] == [(0, "")]


def test_the_driver_is_the_one_that_follows_it_now() -> None:
    first, second = (record.Opened(1.0, "study", "slurm", f"node{pid}", pid, driver=f"d{pid}") for pid in (1, 2))
    launching = record.Launching(1.5, "r1", driver="d1")
    job = record.Submitted(2.0, "far", "Model", "far-1", run_id="r1")
    history = History()
    for event in (first, second, launching, job):
        history.add(event)
    assert [(each.driver, each.host) for each in find_unfinished(history, HERE)] == [(1, "node1")]
    history.add(record.TakenOver(3.0, "far", "Model", "far-1", driver="d2"))
    assert [(each.driver, each.host) for each in find_unfinished(history, HERE)] == [(2, "node2")]


def write(directory: Path, *events: record.Event) -> None:
    JsonlEventLog(str(directory / EVENTS_FILE)).append([record.write(event, event.at) for event in events])


def test_the_command_lists_them(tmp_path: Path) -> None:
    write(
        tmp_path,
        record.Opened(1.0, "study", "slurm", "login3", 77),
        submitted("\x1b[2Jname", "job-X"),
        record.Queued(3.0, "\x1b[2Jname", "\x1b[2Jname-1", "4711"),
    )
    shown = run_smart("ps", str(tmp_path))
    assert shown.code == 0
    first, second, _, row = shown.text.splitlines()
    assert first == "The experiment has nothing running on this machine."
    assert second == "Jobs without an end in the record:"
    assert row.split()[:7] == [r"\x1b[2Jname", "Queued", "job-X", "4711", "77", "on", "login3"]
    (told,) = json.loads(run_smart("ps", str(tmp_path), "--json").text)
    assert (told["kind"], told["native_id"], told["status"]) == ("job", "4711", "Queued")


def test_without_a_record_there_is_an_error(tmp_path: Path) -> None:
    failed = run_smart("ps", str(tmp_path))
    assert failed.code == os.EX_SOFTWARE
    assert "There is no record of an experiment" in failed.errors


DRIVER = """
import sys
from smartsim import Experiment

with Experiment("study", sys.argv[1]) as exp:
    exp.start(exp.create_model("m", exp.create_run_settings("sleep", ["600"])), block=False)
    print("started", flush=True)
    sys.stdin.readline()
"""


def test_only_what_belongs_to_the_experiment_is_listed(tmp_path: Path) -> None:
    study, other = tmp_path / "study", tmp_path / "other"
    for directory in (study, other):
        directory.mkdir()
        write(directory, record.Opened(1.0, "study", "local", HERE, 1))
    command = [sys.executable, "-c", DRIVER, str(study)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as driver:
        try:
            assert driver.stdout is not None
            assert "started\n" in iter(driver.stdout.readline, "")
            listed = json.loads(run_smart("ps", str(study), "--json").text)
            assert [(each["kind"], each["name"]) for each in listed] == [("application", "m")]
            assert json.loads(run_smart("ps", str(other), "--json").text) == []
        finally:
            driver.communicate("end\n", timeout=DEADLINE)
