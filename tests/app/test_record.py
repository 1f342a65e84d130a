"""The record of experiments: it tells all of it, survives its driver, and changes nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim import Experiment
from smartsim.adapters.eventlog.in_memory import InMemoryEventLog
from smartsim.adapters.eventlog.jsonl import JsonlEventLog
from smartsim.app.jobs import Job
from smartsim.app.recording import Recorder, ensemble_facts, opened, submission
from smartsim.domain.history import History
from smartsim.domain.lifecycle import JobState
from smartsim.domain.record import KINDS
from smartsim.domain.record_facts import (
    BatchOptions,
    DatabaseFacts,
    EnsembleFacts,
    Files,
    MLObject,
    RunOptions,
    ShardFacts,
)
from smartsim.domain.resources import Share
from smartsim.embedding import Adapters, Record, Step
from smartsim.entity import Ensemble, TelemetryConfiguration
from smartsim.error import SmartSimError
from smartsim.settings import RunSettings, SbatchSettings
from smartsim.status import SmartSimStatus
from smartsim.testing import Script, fake_adapters

DEADLINE = 60.0
COMPLETED, FAILED, CANCELLED = (
    SmartSimStatus.STATUS_COMPLETED,
    SmartSimStatus.STATUS_FAILED,
    SmartSimStatus.STATUS_CANCELLED,
)
DRIVER = """
import sys
from smartsim import Experiment

exp = Experiment(sys.argv[2], sys.argv[1])
settings = exp.create_run_settings("true")
model = exp.create_model(sys.argv[2], settings)
while True:
    exp.start(model)
    print("again", flush=True)
"""
WRITER = """
import sys
from smartsim.adapters.eventlog.jsonl import JsonlEventLog

log = JsonlEventLog(sys.argv[1])
sys.stdin.readline()
for index in range(300):
    log.append([{"event": "e", "writer": sys.argv[2], "index": index, "part": part, "text": "x" * (index * 37 % 5000)}
                for part in range(index % 3 + 1)])
"""


def record_of(path: Path) -> Path:
    return path / ".smartsim" / "events.jsonl"


def history_of(path: Path) -> History:
    return History.of(JsonlEventLog(str(record_of(path))).replay())


def fakes(**scripts: Script) -> Adapters:
    return fake_adapters(lambda step: scripts.get(step.name.partition("-")[0], Script()))


def recorder_of(adapters: Adapters) -> Recorder:
    first = opened("study", "local", "here", 1.0)
    return Recorder(first, "/virtual", adapters.event_log, adapters.clock, TelemetryConfiguration(enabled=True))


def test_the_facts_of_what_is_started_are_recorded() -> None:
    adapters = fakes()
    adapters.files.write("/virtual/in.txt", b";x;")
    adapters.files.write("/mesh", b"")
    exp = Experiment("study", "/virtual", adapters=adapters)
    settings = exp.create_run_settings("solver", ["--fast", "a b"], run_command="")
    ensemble = exp.create_ensemble("e", {"x": [1, 2]}, run_settings=settings)
    ensemble.attach_generator_files(to_configure="/virtual/in.txt", to_copy="/mesh")
    other = exp.create_model("other", settings)
    ensemble.register_incoming_entity(other)
    database = exp.create_database(port=0, db_identifier="db")
    exp.generate(ensemble, other, database)
    exp.start(ensemble, other, database)

    history = History.of(adapters.event_log.replay())
    assert history.unknown == []
    (run,) = history.runs.values()
    assert [(facts.name, facts.directory, facts.params) for facts in run.facts.ensembles] == [
        ("e", "e", {"x": ["1", "2"]})
    ]
    assert [(facts.name, facts.directory, facts.shards) for facts in run.facts.databases] == [("db", "db", 1)]
    assert [job.facts.entity for job in run.jobs.values()] == ["db_0", "e_0", "e_1", "other"]
    assert run.launched_at is not None
    member = history.entities["e_1"][-1]
    facts = member.facts
    assert (facts.ensemble, facts.params, facts.key_prefixing, facts.incoming) == ("e", {"x": "2"}, True, ("other",))
    assert facts.files == Files(copy=("/mesh",), configure=("in.txt",))
    assert facts.settings == RunOptions(("/bin/solver",), ("--fast", "a b"))
    assert facts.command == ("/bin/solver", "--fast", "a b")
    assert (facts.directory, facts.type) == ("e/e_1", "Model")
    assert facts.stdout == f".smartsim/telemetry/study/{facts.run_id}/ensemble/e/e_1/e_1.out"
    assert (member.status, member.returncode) == (COMPLETED, 0)
    assert history.entities["db_0"][-1].facts.database == "db"
    assert [f"{database.get_address()[0]}"] == list(history.databases["db"].addresses)


def test_the_driver_is_recorded_before_what_it_does(tmp_path: Path) -> None:
    for _ in range(2):
        with Experiment("study", str(tmp_path)) as exp:
            exp.start(exp.create_model("m", exp.create_run_settings("true")))
    history = history_of(tmp_path)
    assert [(driver.experiment, driver.launcher, driver.host, driver.pid) for driver in history.drivers] == [
        ("study", "local", socket.gethostname(), os.getpid())
    ] * 2
    first = json.loads(record_of(tmp_path).read_text().splitlines()[0])
    assert (first["event"], first["version"]) == ("opened", 1)
    assert len(history.entities["m"]) == 2
    assert len(history.runs) == 2


@pytest.mark.parametrize(
    ("script", "status", "returncode", "reason"),
    [
        ("exit 3", FAILED, 3, "exit code 3"),
        ("kill -SEGV $$", FAILED, -signal.SIGSEGV, "killed by SIGSEGV"),
        ("true", COMPLETED, 0, ""),
    ],
)
def test_the_end_is_recorded_as_it_was(
    tmp_path: Path, script: str, status: SmartSimStatus, returncode: int, reason: str
) -> None:
    with Experiment("study", str(tmp_path)) as exp:
        exp.start(exp.create_model("m", exp.create_run_settings("sh", ["-c", script])))
    (job,) = history_of(tmp_path).entities["m"]
    assert (job.status, job.returncode, job.reason, job.stopped_by) == (status, returncode, reason, "")
    assert job.started_at is not None
    assert job.ended_at is not None
    assert job.submitted_at <= job.started_at <= job.ended_at


def test_who_stopped_a_job_is_recorded(tmp_path: Path) -> None:
    with Experiment("study", str(tmp_path)) as exp:
        model = exp.create_model("m", exp.create_run_settings("sleep", ["600"]))
        exp.start(model, block=False)
        exp.stop(model)
    (job,) = history_of(tmp_path).entities["m"]
    assert (job.status, job.returncode, job.stopped_by) == (CANCELLED, -signal.SIGTERM, "the user")


def test_a_start_that_fails_says_why(tmp_path: Path) -> None:
    with Experiment("study", str(tmp_path)) as exp:
        program = tmp_path / "program"
        program.write_text("#!/no/such/interpreter\n")
        program.chmod(0o755)
        sleeper = exp.create_model("sleeper", exp.create_run_settings("sleep", ["600"]))
        broken = exp.create_model("broken", exp.create_run_settings(str(program)))
        never = exp.create_model("never", exp.create_run_settings("true"))
        with pytest.raises(SmartSimError):
            exp.start(sleeper, broken, never)
    history = history_of(tmp_path)
    (run,) = history.runs.values()
    assert str(program) in run.error
    assert {name: jobs[-1].status for name, jobs in history.entities.items()} == {
        "sleeper": CANCELLED,
        "broken": FAILED,
        "never": SmartSimStatus.STATUS_NEVER_STARTED,
    }
    assert history.entities["sleeper"][-1].stopped_by == "the start that failed"


def test_passwords_are_in_no_event(tmp_path: Path) -> None:
    with Experiment("study", str(tmp_path)) as exp:
        database = exp.create_database(port=0, interface="lo", password=True)
        exp.start(database)
        assert database.password
        secrets = {database.password}
        for path in Path(database.path).iterdir():
            if path.is_file() and "password" in path.name:
                secrets.add(path.read_text().strip())
        (address,) = database.get_address()
        exp.stop(database)
    text = record_of(tmp_path).read_text()
    assert len(secrets) > 1
    assert [secret for secret in secrets if secret in text] == []
    history = history_of(tmp_path)
    assert history.databases["orchestrator"].addresses == (address,)
    assert history.entities["orchestrator_0"][-1].stopped_by == "the user"


def test_a_colocated_password_is_not_recorded() -> None:
    adapters = fakes()
    recorder = recorder_of(adapters)
    model = Experiment("study", "/virtual", adapters=adapters).create_model("m", RunSettings("true"))
    model.colocate_db_tcp(port=6780, requirepass="hush", maxclients=100)
    step = Step("m-1", ("solver",), (), {}, "/virtual/m", "/virtual/m.out", "/virtual/m.err")
    job = Job("m", "Model", model, step, 0, kill_on_interrupt=True)
    job.state = JobState(submitted_at=1.0)
    colocated = submission(job, recorder).colocated
    assert (colocated["port"], colocated["extra_db_args"]) == (6780, {"maxclients": "100"})


def test_a_copy_of_the_directory_tells_the_same(tmp_path: Path) -> None:
    original = tmp_path / "original"
    original.mkdir()
    with Experiment("study", str(original)) as exp:
        ensemble = exp.create_ensemble("e", {"x": [1, 2]}, run_settings=exp.create_run_settings("true"))
        exp.generate(ensemble)
        exp.start(ensemble)
    assert str(original) not in record_of(original).read_text()
    copy = shutil.copytree(original, tmp_path / "copy", symlinks=True)
    history = history_of(copy)
    assert history == history_of(original)
    for job in history.jobs.values():
        assert (copy / job.facts.stdout).is_file()
        assert (copy / job.facts.directory).is_dir()


def outcome(path: Path, *, telemetry: bool) -> list[Any]:
    path.mkdir()
    with Experiment("study", str(path)) as exp:
        (exp.telemetry.enable if telemetry else exp.telemetry.disable)()
        scripts = [["-c", 'printf "%s|" "$@"', "sh", "a|b", "ü", ">", "out"], ["-c", "exit 7"], ["-c", "kill -SEGV $$"]]
        models = [exp.create_model(f"m{i}", exp.create_run_settings("sh", words)) for i, words in enumerate(scripts)]
        exp.start(*models)
        program = path / "program"
        program.write_text("#!/no/such/interpreter\n")
        program.chmod(0o755)
        with pytest.raises(SmartSimError) as refused:
            exp.start(exp.create_model("refused", exp.create_run_settings(str(program))))
        outputs = [(path / model.name / f"{model.name}.out").read_text() for model in models]
        codes = [row.split("|")[-2].strip() for row in exp.summary().splitlines()[2:]]
        return [exp.get_status(*models), outputs, sorted(codes), type(refused.value)]


def test_telemetry_changes_nothing_but_the_record(tmp_path: Path) -> None:
    on = outcome(tmp_path / "on", telemetry=True)
    off = outcome(tmp_path / "off", telemetry=False)
    assert on == off
    assert on[0] == [COMPLETED, FAILED, FAILED]
    assert on[1][0] == "a|b|ü|>|out|"
    assert record_of(tmp_path / "on").exists()
    assert not record_of(tmp_path / "off").exists()


def test_what_is_switched_on_late_is_recorded_from_then_on() -> None:
    adapters = fakes(m=Script(duration=60.0))
    exp = Experiment("study", "/virtual", adapters=adapters)
    exp.telemetry.disable()
    model = exp.create_model("m", exp.create_run_settings("solver"))
    exp.start(model, block=False)
    exp.telemetry.enable()
    exp.wait(model)
    history = History.of(adapters.event_log.replay())
    assert (len(history.drivers), history.entities["m"][-1].status) == (1, COMPLETED)


class CountingLog(InMemoryEventLog):
    """Counts the writes."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def append(self, records: Sequence[Record]) -> None:
        self.writes += 1
        super().append(records)


def test_what_happens_while_many_are_started_is_written_together_and_in_order() -> None:
    log = CountingLog()
    adapters = replace(fake_adapters(), event_log=log)
    exp = Experiment("study", "/virtual", adapters=adapters)
    ensemble = exp.create_ensemble("e", run_settings=exp.create_run_settings("solver"), replicas=50)
    exp.start(ensemble, block=False)
    assert log.writes < 10
    told = [(record["event"], record.get("entity")) for record in log.replay()]
    names = [member.name for member in ensemble.models]
    assert told == [
        ("opened", None),
        ("launching", None),
        *(("submitted", name) for name in names),
        *(("started", name) for name in names),
        ("launched", None),
    ]
    for job in History.of(log.replay()).jobs.values():
        assert adapters.files.inspect(f"/virtual/{os.path.dirname(job.facts.stdout)}/start.json") is not None


def test_who_waits_for_an_end_reads_of_it_though_many_others_are_being_started() -> None:
    adapters = fakes(short=Script(duration=0.01))
    exp = Experiment("study", "/virtual", adapters=adapters)
    short = exp.create_model("short", exp.create_run_settings("solver"))
    exp.start(short, block=False)
    with exp._recorder.burst():
        exp.wait(short)
        assert History.of(adapters.event_log.replay()).entities["short"][-1].is_final


def test_a_log_that_fails_now_and_then_loses_only_that() -> None:
    class Flaky(InMemoryEventLog):
        calls = 0

        def append(self, records: Sequence[Record]) -> None:
            self.calls += 1
            if self.calls == 3:
                raise RuntimeError("the disk is gone")
            super().append(records)

    adapters = replace(fakes(), event_log=Flaky())
    exp = Experiment("study", "/virtual", adapters=adapters)
    model = exp.create_model("m", exp.create_run_settings("solver"))
    exp.start(model)
    assert exp.get_status(model) == [COMPLETED]
    history = History.of(adapters.event_log.replay())
    assert (history.entities["m"][-1].status, history.entities["m"][-1].started_at) == (COMPLETED, None)


def test_a_log_that_fails_at_first_has_the_driver_all_the_same() -> None:
    class Late(InMemoryEventLog):
        fails = True

        def append(self, records: Sequence[Record]) -> None:
            if self.fails:
                self.fails = False
                raise RuntimeError("the disk is full")
            super().append(records)

    adapters = replace(fakes(), event_log=Late())
    exp = Experiment("study", "/virtual", adapters=adapters)
    exp.start(exp.create_model("m", exp.create_run_settings("solver")))
    assert [driver.experiment for driver in History.of(adapters.event_log.replay()).drivers] == ["study"]


def test_every_event_and_field_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "record.md").read_text(encoding="utf-8")
    words = set(re.findall(r"`(\w+)`", text))
    written = {kind.event for kind in KINDS}
    facts = (BatchOptions, DatabaseFacts, EnsembleFacts, Files, MLObject, RunOptions, ShardFacts, Share)
    written |= {item.name for kind in (*KINDS, *facts) for item in fields(kind)}
    assert written - words == set()


# Several drivers, and what is left when one is killed


def test_several_drivers_append_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(number)], stdin=subprocess.PIPE)
        for number in range(4)
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=DEADLINE)
        assert writer.returncode == 0
    lines = path.read_text().splitlines()
    assert all(json.loads(line) for line in lines if line)
    found: dict[str, list[Any]] = {}
    for read in JsonlEventLog(str(path)).replay():
        index = read["index"]
        assert isinstance(index, int)
        assert read["text"] == "x" * (index * 37 % 5000)
        found.setdefault(str(read["writer"]), []).append((index, read["part"]))
    written = [(index, part) for index in range(300) for part in range(index % 3 + 1)]
    assert found == {str(number): written for number in range(4)}


@pytest.mark.parametrize("starts", [0, 1, 2, 5, 9])
def test_a_driver_that_is_killed_leaves_a_record_that_can_be_read(tmp_path: Path, starts: int) -> None:
    command = [sys.executable, "-c", DRIVER, str(tmp_path), "first"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        lines = (line for line in driver.stdout if line == "again\n")
        for _ in range(starts):
            next(lines)
        deadline = time.monotonic() + DEADLINE
        # Between the making of the file and its first line there is a moment.
        while not (record_of(tmp_path).exists() and record_of(tmp_path).stat().st_size):
            assert time.monotonic() < deadline
        driver.kill()
    history = history_of(tmp_path)
    assert history.unknown == []
    assert len(history.drivers) == 1
    assert len([job for job in history.entities.get("first", []) if job.status is COMPLETED]) >= starts

    with Experiment("second", str(tmp_path)) as exp:
        exp.start(exp.create_model("m", exp.create_run_settings("true")))
    history = history_of(tmp_path)
    assert (history.unknown, len(history.drivers)) == ([], 2)
    assert history.entities["m"][-1].status is COMPLETED


RECORD = b"".join(
    json.dumps(line).encode() + b"\n"
    for line in [
        {"version": 1, "event": "launching", "at": 1.0, "recorded": 1.0, "run_id": "r"},
        {"version": 1, "event": "submitted", "at": 1.0, "recorded": 1.0, "entity": "m", "type": "Model", "step": "m-1"},
        {"version": 1, "event": "started", "at": 2.0, "recorded": 2.0, "entity": "m", "step": "m-1"},
        {"version": 1, "event": "ended", "at": 3.0, "recorded": 3.0, "entity": "m", "step": "m-1", "status": "Failed"},
    ]
)


@given(st.integers(0, len(RECORD)), st.integers(0, 3))
def test_wherever_a_write_was_cut_others_go_on(cut: int, before: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "events.jsonl")
        other = JsonlEventLog(str(path))  # of a driver that wrote before, and writes after
        other.append([{"event": "launched", "at": 0.5, "run_id": f"{number}"} for number in range(before)])
        with path.open("ab") as stream:
            stream.write(RECORD[:cut])
        other.append([{"event": "launched", "at": 4.0, "run_id": "after"}])
        history = History.of(other.replay())
    assert history.unknown == []
    assert [run for run in history.runs if run != "r"] == [*map(str, range(before)), "after"]
    whole = RECORD[:cut].count(b"\n") + (RECORD[cut : cut + 1] == b"\n")
    assert len(history.jobs) == (whole >= 2)
    assert [job.is_final for job in history.jobs.values()] == [whole >= 4] * (whole >= 2)


def test_batch_options_are_recorded() -> None:
    recorder = recorder_of(fakes())
    settings = SbatchSettings(nodes=2, time="1:00:00")
    ensemble = Ensemble("e", None, "/virtual/e", batch_settings=settings)
    facts = ensemble_facts(ensemble, recorder)
    assert facts.batch == BatchOptions(settings.batch_cmd, {"nodes": "2", "time": "1:00:00"})
