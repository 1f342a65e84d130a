"""What every event log does."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smartsim.adapters.eventlog.in_memory import InMemoryEventLog
from smartsim.adapters.eventlog.jsonl import JsonlEventLog
from smartsim.domain.errors import TelemetryError
from smartsim.ports.event_log import EventLog, LineLog

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(params=["memory", "jsonl"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> EventLog:
    return InMemoryEventLog() if request.param == "memory" else JsonlEventLog(str(tmp_path / "deep" / "events.jsonl"))


def test_nothing_is_replayed_before_anything_happened(log: EventLog) -> None:
    assert list(log.replay()) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.lists(st.dictionaries(st.text(), VALUES), max_size=5))
def test_what_is_appended_is_replayed_in_order(log: EventLog, records: list[dict[str, object]]) -> None:
    before = list(log.replay())
    log.append(records)
    assert list(log.replay()) == [*before, *records]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.lists(st.dictionaries(st.text(), VALUES), max_size=5))
def test_lines_of_json_are_records(tmp_path: Path, records: list[dict[str, object]]) -> None:
    log: LineLog = JsonlEventLog(str(tmp_path / "events.jsonl"))
    before = list(log.replay())
    log.append_lines([json.dumps(record) for record in records])
    log.append(records)
    assert list(log.replay()) == [*before, *records, *records]


def test_appends_of_several_threads_all_arrive(log: EventLog) -> None:
    def work(number: int) -> None:
        for index in range(50):
            log.append([{"event": "e", "at": 0.0, "thread": number, "index": index}])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = list(log.replay())
    for number in range(4):
        assert [record["index"] for record in records if record["thread"] == number] == list(range(50))


def test_a_line_that_a_crash_cut_short_costs_that_line_only(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    JsonlEventLog(str(path)).append([{"event": "first", "at": 1.0}])
    with path.open("ab") as stream:
        stream.write(b'{"event": "cut sh')
    log = JsonlEventLog(str(path))
    log.append([{"event": "second", "at": 2.0}])
    assert [record["event"] for record in log.replay()] == ["first", "second"]


@pytest.mark.parametrize("put_away", [Path.unlink, lambda path: path.rename(path.with_name("old"))])
def test_a_file_that_was_put_away_is_begun_anew(tmp_path: Path, put_away: Callable[[Path], None]) -> None:
    path = tmp_path / "events.jsonl"
    log = JsonlEventLog(str(path))
    log.append([{"event": "first", "at": 1.0}])
    put_away(path)
    log.append([{"event": "second", "at": 2.0}])
    log.append([{"event": "third", "at": 3.0}])
    assert [record["event"] for record in log.replay()] == ["second", "third"]


def test_a_file_that_was_replaced_is_gone_on_with(tmp_path: Path) -> None:
    path, other = tmp_path / "events.jsonl", tmp_path / "other"
    log = JsonlEventLog(str(path))
    log.append([{"event": "first", "at": 1.0}])
    other.write_bytes(b'{"event": "restored", "at": 0.5}\n{"event": "cut')
    other.rename(path)
    log.append([{"event": "second", "at": 2.0}])
    assert [record["event"] for record in log.replay()] == ["restored", "second"]


def test_a_log_keeps_one_descriptor_and_gives_it_back(tmp_path: Path) -> None:
    def open_now() -> int:
        return sum(os.readlink(f"/proc/self/fd/{number}").startswith(str(tmp_path)) for number in _descriptors())

    log = JsonlEventLog(str(tmp_path / "events.jsonl"))
    for number in range(10):
        log.append([{"event": "e", "at": float(number)}])
        if number % 3 == 0:
            os.unlink(tmp_path / "events.jsonl")
    assert open_now() == 1
    del log
    assert open_now() == 0


def _descriptors() -> list[str]:
    return [number for number in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{number}")]


def test_a_log_that_cannot_be_written_says_which(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TelemetryError, match="file/events.jsonl"):
        JsonlEventLog(str(tmp_path / "file" / "events.jsonl")).append([{"event": "x", "at": 0.0}])


def test_a_log_that_could_not_be_opened_for_a_while_writes_into_no_other_file(tmp_path: Path) -> None:
    directory, away = tmp_path / "log", tmp_path / "away"
    log = JsonlEventLog(str(directory / "events.jsonl"))
    log.append([{"event": "first", "at": 1.0}])
    directory.rename(away)
    directory.write_text("")
    with pytest.raises(TelemetryError, match="Not a directory"):
        log.append([{"event": "second", "at": 2.0}])
    directory.unlink()
    away.rename(directory)
    with (tmp_path / "other").open("wb"):  # which may have got the descriptor
        log.append([{"event": "third", "at": 3.0}])
    assert (tmp_path / "other").read_bytes() == b""
    assert [record["event"] for record in log.replay()] == ["first", "third"]
