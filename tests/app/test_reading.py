"""Following the record of an experiment: what it says, however it comes to be there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartsim.adapters.eventlog.jsonl import JsonlEventLog
from smartsim.adapters.filesystem.in_memory import InMemoryFileSystem
from smartsim.app.reading import EVENTS_FILE, METRICS_FILE, ExperimentReader
from smartsim.domain import record
from smartsim.domain.errors import TelemetryError
from smartsim.domain.history import History
from smartsim.domain.metrics import JobsSampled, JobUsage
from smartsim.domain.views.overview import overview

DEADLINE = 60.0
HOST = os.uname().nodename
DRIVER = """
import sys
from smartsim import Experiment

exp = Experiment("study", sys.argv[1])
members = exp.create_ensemble("e", {"x": list(range(20))}, run_settings=exp.create_run_settings("true"))
exp.generate(members, overwrite=True)
while True:
    exp.start(members)
    print("again", flush=True)
"""


def lines(*events: record.Event) -> bytes:
    return b"".join(json.dumps(record.write(event, event.at)).encode() + b"\n" for event in events)


def life(number: int, end: str = "Completed") -> list[record.Event]:
    entity, step = f"m_{number}", f"m_{number}-1"
    return [
        record.Submitted(float(number), entity, "Model", step, run_id="r1", params={"x": f"<ü{number}>"}),
        record.Started(number + 1.0, entity, step, str(number)),
        record.Ended(number + 2.0, entity, step, end, 0),
    ]


LIVES = [
    record.Opened(0.0, "study", "local", "elsewhere", 1),
    *(event for number in range(5) for event in life(number)),
]
RECORD = lines(*LIVES)


def told(history: History) -> object:
    return asdict(overview(history)), [asdict(job.facts) for job in history.jobs.values()]


def whole(content: bytes, path: Path) -> object:
    """Return what is told by reading a record as the library always did: all of it."""
    path.write_bytes(content)
    return told(History.of(JsonlEventLog(str(path)).replay()))


def write(directory: Path, content: bytes, name: str = EVENTS_FILE) -> Path:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as stream:
        stream.write(content)


@settings(max_examples=60)
@given(cuts=st.lists(st.integers(0, len(RECORD)), min_size=1, max_size=6))
def test_however_a_record_grows_it_is_told_as_a_whole(
    cuts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("cuts")
    cuts = [0, *sorted(cuts), len(RECORD)]
    path = write(directory, b"")
    reader = ExperimentReader(str(directory))
    for begin, end in pairwise(cuts):
        append(path, RECORD[begin:end])
        before, was = told(reader.history), reader.revision
        is_new = reader.refresh()
        assert told(reader.history) == whole(RECORD[:end], directory / "whole")
        assert is_new == (reader.revision > was) == (told(reader.history) != before)
        assert not reader.refresh()


@settings(max_examples=40)
@given(
    st.lists(
        st.sampled_from(
            [
                b'{"event": "sung", "version": 9}',
                b"{",
                b"[1]",
                b"",
                b"\xff\xfe",
                b"\0" * 9,
                b"x" * 99,
                b'{"event": "ended"}',
                b"[" * 5000,
                RECORD.splitlines()[4],
            ]
        ),
        max_size=8,
    )
)
def test_lines_that_make_no_sense_change_nothing_else(spoilt: list[bytes]) -> None:
    files = InMemoryFileSystem(["/study/.smartsim"])
    good = RECORD.splitlines()
    mixed = [line for number, event in enumerate(good) for line in (event, *spoilt[number : number + 1])]
    files.write(f"/study/{EVENTS_FILE}", b"\n".join(mixed) + b"\n")
    history = ExperimentReader("/study", files).history
    assert {step: job.status.value for step, job in history.jobs.items()} == {
        f"m_{number}-1": "Completed" for number in range(5)
    }
    assert len(history.unknown) == sum(b'"sung"' in line or line == b'{"event": "ended"}' for line in spoilt)


def test_a_line_that_was_cut_short_is_left_for_later_and_not_lost(tmp_path: Path) -> None:
    path = write(tmp_path, RECORD[:-20])
    reader = ExperimentReader(str(tmp_path))
    assert reader.history.entities["m_4"][-1].status.value == "Running"
    append(path, RECORD[-20:])
    assert reader.refresh()
    assert reader.history.entities["m_4"][-1].status.value == "Completed"


def test_what_a_killed_driver_left_unfinished_does_not_spoil_what_the_next_one_writes(tmp_path: Path) -> None:
    path = write(tmp_path, RECORD[:-20])
    reader = ExperimentReader(str(tmp_path))
    JsonlEventLog(str(path)).append([record.write(event, 9.0) for event in life(9)])
    assert reader.refresh()
    assert {
        name: jobs[-1].status.value for name, jobs in reader.history.entities.items() if name in ("m_4", "m_9")
    } == {
        "m_4": "Running",
        "m_9": "Completed",
    }


def test_a_line_may_be_longer_than_what_is_read_at_a_time(tmp_path: Path) -> None:
    (long,) = [record.Submitted(1.0, "long", "Model", "long-1", command=("x" * 1_000_000,))]
    path = write(tmp_path, lines(*life(1), long)[:-5])
    reader = ExperimentReader(str(tmp_path))
    assert list(reader.history.entities) == ["m_1"]
    append(path, lines(long)[-5:] + lines(*life(2)))
    assert reader.refresh()
    assert list(reader.history.entities) == ["m_1", "long", "m_2"]


@pytest.mark.parametrize("is_shorter", [True, False])
def test_a_record_that_was_replaced_is_read_anew(tmp_path: Path, is_shorter: bool) -> None:
    path = write(tmp_path, lines(*life(1), *life(2)))
    reader = ExperimentReader(str(tmp_path))
    other = tmp_path / "other"
    other.write_bytes(lines(*life(7)) if is_shorter else lines(*life(7), *life(8), *life(9)))
    other.rename(path)
    assert reader.refresh()
    assert list(reader.history.entities) == (["m_7"] if is_shorter else ["m_7", "m_8", "m_9"])
    assert not reader.refresh()


def test_a_record_that_was_cut_is_read_anew(tmp_path: Path) -> None:
    path = write(tmp_path, RECORD)
    reader = ExperimentReader(str(tmp_path))
    with path.open("r+b") as stream:
        stream.truncate(len(lines(*LIVES[:4])))
    assert reader.refresh()
    assert list(reader.history.entities) == ["m_0"]


def test_what_is_known_stays_when_the_record_goes_away(tmp_path: Path) -> None:
    path = write(tmp_path, lines(*life(1)))
    reader = ExperimentReader(str(tmp_path))
    path.unlink()
    assert not reader.refresh()
    assert list(reader.history.entities) == ["m_1"]
    write(tmp_path, lines(*life(2)))
    assert reader.refresh()
    assert list(reader.history.entities) == ["m_2"]


def test_a_directory_without_a_record_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TelemetryError, match=r"no directory .*nowhere: give the one of an experiment"):
        ExperimentReader(str(tmp_path / "nowhere"))
    with pytest.raises(
        TelemetryError, match=rf"{tmp_path}/{EVENTS_FILE} is missing.*exp_path.*SMARTSIM_FLAG_TELEMETRY"
    ):
        ExperimentReader(str(tmp_path))
    write(tmp_path, RECORD)
    inside = tmp_path / "e" / "e_0"
    inside.mkdir(parents=True)
    with pytest.raises(TelemetryError, match=rf"but {tmp_path} has: give that"):
        ExperimentReader(str(inside))
    with pytest.raises(TelemetryError, match="exp_path|is missing|has: give"):
        ExperimentReader(str(tmp_path / EVENTS_FILE))
    os.remove(tmp_path / EVENTS_FILE)
    os.mkdir(tmp_path / EVENTS_FILE)
    with pytest.raises(TelemetryError, match="cannot be read: Is a directory"):
        ExperimentReader(str(tmp_path))


def test_a_path_may_be_relative_to_where_somebody_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "study", RECORD)
    monkeypatch.chdir(tmp_path)
    reader = ExperimentReader("study")
    monkeypatch.chdir("/")
    assert reader.directory == str(tmp_path / "study")
    assert not reader.refresh()


def test_a_copy_is_read_as_the_original(tmp_path: Path) -> None:
    write(tmp_path / "study", RECORD)
    original = ExperimentReader(str(tmp_path / "study"))
    shutil.copytree(tmp_path / "study", tmp_path / "copy")
    assert told(ExperimentReader(str(tmp_path / "copy")).history) == told(original.history)


def test_several_drivers_write_one_record(tmp_path: Path) -> None:
    path = write(tmp_path, b"")
    reader = ExperimentReader(str(tmp_path))
    logs = [JsonlEventLog(str(path)) for _ in range(2)]
    for number in range(4):
        opened = record.Opened(float(number), "study", "local", f"node{number % 2}", number % 2)
        events = [opened, *life(number)]
        logs[number % 2].append([record.write(event, 1.0) for event in events])
        reader.refresh()
    assert overview(reader.history).counts == {"Completed": 4}
    assert len(reader.history.drivers) == 4


def test_samples_are_read_once_somebody_asks_for_them(tmp_path: Path) -> None:
    write(tmp_path, RECORD)
    reader = ExperimentReader(str(tmp_path))
    samples = [lines(JobsSampled(at, (JobUsage("m_0-1", at, 7),))) for at in (1.0, 2.0, 3.0)]
    path = write(tmp_path, samples[0], METRICS_FILE)
    assert not reader.refresh()
    assert reader.metrics.jobs["m_0-1"].times == [1.0]
    append(path, samples[1] + samples[2][:9])
    assert reader.refresh()
    assert reader.metrics.jobs["m_0-1"].times == [1.0, 2.0]
    path.write_bytes(samples[2])
    assert reader.refresh()
    assert reader.metrics.jobs["m_0-1"].times == [3.0]
    path.unlink()
    assert not reader.refresh()


def test_nobody_needs_to_have_taken_a_sample(tmp_path: Path) -> None:
    write(tmp_path, RECORD)
    reader = ExperimentReader(str(tmp_path))
    assert reader.metrics.jobs == {}
    assert not reader.refresh()
    write(tmp_path, lines(JobsSampled(1.0, (JobUsage("m_0-1"),))), METRICS_FILE)
    assert reader.refresh()
    assert list(reader.metrics.jobs) == ["m_0-1"]


def test_it_is_noticed_when_a_driver_of_this_machine_goes(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as driver:
        now = float(os.stat(f"/proc/{driver.pid}").st_ctime)
        opened = record.Opened(now, "study", "local", HOST, driver.pid)
        earlier = record.Opened(now - 1e6, "study", "local", HOST, driver.pid)  # another process had its id
        write(tmp_path, lines(earlier, opened, *life(1)[:2]))
        reader = ExperimentReader(str(tmp_path))
        assert list(reader.history.alive.values()) == [False, True]
        assert not overview(reader.history).driver_gone
        driver.kill()
        driver.wait(DEADLINE)
    assert reader.refresh()
    assert overview(reader.history).driver_gone
    assert reader.history.is_lost(reader.history.jobs["m_1-1"])
    assert not reader.refresh()


LASTING = """
import sys
from smartsim import Experiment

with Experiment("study", sys.argv[1]) as exp:
    exp.start(exp.create_model(sys.argv[2], exp.create_run_settings("sleep", ["60"])), block=False)
    print("started", flush=True)
    sys.stdin.read()
"""


def test_jobs_of_a_driver_that_was_killed_are_lost_although_another_lives(tmp_path: Path) -> None:
    def driver(name: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", LASTING, str(tmp_path), name]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    with driver("a") as first, driver("b") as second:
        try:
            for each in (first, second):
                assert each.stdout is not None
                assert b"started\n" in each.stdout
            reader = ExperimentReader(str(tmp_path))
            jobs = {name: starts[-1] for name, starts in reader.history.entities.items()}
            assert {name: reader.history.is_lost(job) for name, job in jobs.items()} == {"a": False, "b": False}
            first.kill()
            first.wait(DEADLINE)
            assert reader.refresh()
            assert {name: reader.history.is_lost(job) for name, job in jobs.items()} == {"a": True, "b": False}
            seen = overview(reader.history)
            assert (seen.driver_gone, seen.lost) == (False, 1)
        finally:
            for each in (first, second):
                each.kill()
            for job in ExperimentReader(str(tmp_path)).history.jobs.values():
                os.killpg(int(job.native_id), signal.SIGKILL)


def test_a_driver_that_is_killed_while_it_writes_leaves_what_can_be_read(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path)], stdout=subprocess.PIPE) as driver:
        try:
            assert driver.stdout is not None
            assert b"again\n" in driver.stdout
            reader = ExperimentReader(str(tmp_path))
            assert not overview(reader.history).driver_gone
            assert b"again\n" in driver.stdout
            reader.refresh()
        finally:
            driver.kill()
            driver.wait(DEADLINE)
    assert reader.refresh()
    assert told(reader.history) == told(ExperimentReader(str(tmp_path)).history)
    seen = overview(reader.history)
    assert (seen.entities, seen.unknown_events, seen.driver_gone) == (20, 0, True)
    assert [group.params for group in seen.groups] == [{"x": tuple(map(str, range(20)))}]
    assert seen.jobs > 20
