"""`smart telemetry`: what the samples say, and why there are none."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from smart_commands import run_smart
from smartsim.adapters.eventlog.jsonl import JsonlEventLog
from smartsim.app.reading import EVENTS_FILE, METRICS_FILE
from smartsim.domain import record
from smartsim.domain.metrics import JobsSampled, JobUsage, ModelSampled, ServersSampled
from smartsim.domain.record_facts import DatabaseFacts

GIGABYTE = 10**9


def write(directory: Path, name: str, *events: record.Event) -> None:
    JsonlEventLog(str(directory / name)).append([record.write(event, event.at) for event in events])


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """An experiment without samples."""
    write(
        tmp_path,
        EVENTS_FILE,
        record.Launching(1.0, "r", databases=(DatabaseFacts("db"),)),
        record.Submitted(1.0, "db_0", "DBNode", "db_0-1", database="db"),
        record.Submitted(1.0, "large", "Model", "large-1"),
        record.Submitted(1.0, "small", "Model", "small-1"),
        record.Ended(30.0, "large", "large-1", "Failed", 1),
    )
    return tmp_path


def usage(step: str, cpu_seconds: float, memory: int) -> JobUsage:
    return JobUsage(step, cpu_seconds, memory, 1)


@pytest.fixture
def sampled(study: Path) -> Path:
    """It with samples of everything."""
    write(
        study,
        METRICS_FILE,
        JobsSampled(10.0, jobs=(usage("large-1", 1.0, 3 * GIGABYTE), usage("small-1", 0.0, GIGABYTE))),
        JobsSampled(20.0, jobs=(usage("large-1", 21.0, 2 * GIGABYTE),)),
        ServersSampled(10.0, "db", "db_0", GIGABYTE, 2 * GIGABYTE, 9 * GIGABYTE, clients=3, commands=100),
        ServersSampled(20.0, "db", "db_0", GIGABYTE, 2 * GIGABYTE, 9 * GIGABYTE, clients=5, keys=7, commands=5100),
        ModelSampled(
            *(20.0, "db", "db_0", "net"),
            backend="TORCH",
            device="GPU",
            calls=40,
            errors=2,
            queue_seconds=0.1,
            run_seconds=0.5,
            batch_sizes={"1": 0, "2": 20},
        ),
    )
    return study


def test_what_was_used_is_shown(sampled: Path) -> None:
    shown = run_smart("telemetry", str(sampled))
    assert (shown.code, shown.errors) == (0, "")
    lines = [line.split() for line in shown.text.splitlines()]
    assert ["db_0", "1.0GB", "2.0GB", "5", "7", "5100", "500", "500"] in lines
    assert ["net", "db_0", "TORCH", "on", "GPU", "40", "2", "2.50", "ms", "25.00", "ms", "0", "0"] in lines
    jobs = [line for line in lines if line and line[0] in ("large", "small")]
    assert jobs == [["large", "Failed", "3.0GB", "21.0", "s", "2.00", "2.00"], ["small", "New", "1.0GB", "0.0", "s"]]
    assert "sampled" not in shown.text


def test_programs_get_all_of_it(sampled: Path) -> None:
    told = json.loads(run_smart("telemetry", str(sampled), "--json").text)
    large, small = told["jobs"]
    assert (large["entity"], large["peak_memory"], large["latest"]["cpu_seconds"]) == ("large", 3 * GIGABYTE, 21.0)
    assert large["sampled"]["values"]["cpu"] == {"last": 2.0, "mean": 2.0, "most": 2.0}
    assert large["sampled"]["values"]["memory"] == {"last": 2e9, "mean": 2.5e9, "most": 3e9}
    assert (small["sampled"]["began_at"], small["sampled"]["latest_at"]) == (10.0, 10.0)
    assert told["servers"][0]["sampled"]["values"]["ops_per_second"]["mean"] == 500.0
    assert (told["models"][0]["queue_ms"], told["models"][0]["run_ms"]) == (2.5, 25.0)
    assert told["missing"] == []


def test_a_peak_is_kept_however_many_samples_follow(study: Path) -> None:
    samples = [
        JobsSampled(float(at), jobs=(usage("large-1", float(at), (9 if at == 7 else 1) * GIGABYTE),))
        for at in range(5000)
    ]
    write(study, METRICS_FILE, *samples)
    (job,) = json.loads(run_smart("telemetry", str(study), "--json").text)["jobs"]
    assert job["peak_memory"] == 9 * GIGABYTE


def test_why_nothing_was_sampled_is_said(study: Path) -> None:
    shown = run_smart("telemetry", str(study))
    assert shown.code == 0
    assert "No server of db was sampled" in shown.text
    assert "No job was sampled" in shown.text
    assert "SMARTSIM_TELEMETRY_FREQUENCY" in shown.text
    assert len(json.loads(run_smart("telemetry", str(study), "--json").text)["missing"]) == 2


def test_jobs_of_schedulers_are_not_expected_to_be_sampled(tmp_path: Path) -> None:
    write(tmp_path, EVENTS_FILE, record.Submitted(1.0, "m", "Model", "m-1", batch_job="m-X"))
    assert "all are jobs of a scheduler" in run_smart("telemetry", str(tmp_path)).text


def test_samples_of_a_later_version_are_counted(study: Path) -> None:
    (study / METRICS_FILE).write_text('{"event": "jobs_sampled", "version": 9, "at": 1}\n{"event": "dreams"}\n{"ev')
    assert "2 lines of the samples cannot be read" in run_smart("telemetry", str(study)).text


def test_names_do_not_steer_the_terminal(study: Path) -> None:
    write(
        study,
        EVENTS_FILE,
        record.Submitted(1.0, "\x1b[2Jgone", "Model", "g-1"),
        record.Launching(2.0, "s", databases=(DatabaseFacts("\x1b[3J"),)),
    )
    write(study, METRICS_FILE, JobsSampled(10.0, jobs=(usage("g-1", 0.0, 1),)))
    shown = run_smart("telemetry", str(study)).text
    assert "\x1b" not in shown
    assert r"\x1b[2Jgone" in shown
    assert r"\x1b[3J" in shown


def test_without_a_record_there_is_an_error(tmp_path: Path) -> None:
    failed = run_smart("telemetry", str(tmp_path))
    assert (failed.code, failed.text) == (os.EX_SOFTWARE, "")
    assert "There is no record of an experiment" in failed.errors


@pytest.mark.parametrize("command", ["telemetry", "watch"])
def test_numbers_that_json_has_not_are_null_to_programs(sampled: Path, command: str) -> None:
    with (sampled / EVENTS_FILE).open("ab") as stream:
        stream.write(b'{"event": "submitted", "at": NaN, "entity": "odd", "type": "Model", "step": "odd-1"}\n')
    with (sampled / METRICS_FILE).open("ab") as stream:
        stream.write(b'{"event": "jobs_sampled", "at": NaN, "jobs": [{"step": "odd-1", "cpu_seconds": NaN}]}\n')
    shown = run_smart(command, str(sampled), "--json")
    assert shown.code == 0, shown.errors
    assert '"odd"' in shown.text
    assert "NaN" not in shown.text
