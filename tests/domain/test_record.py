"""Events of the record: what is written is read, and what cannot be read is kept."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.domain import record
from smartsim.domain.record_facts import (
    BatchOptions,
    DatabaseFacts,
    EnsembleFacts,
    Files,
    MLObject,
    RunOptions,
    ShardFacts,
)
from smartsim.domain.record_lines import line
from smartsim.domain.resources import Share

TIMES = st.floats(min_value=0, max_value=1e10)
WORDS = st.text(max_size=8)
WORD_LISTS = st.lists(WORDS, max_size=3).map(tuple)
OPTIONS = st.dictionaries(WORDS, WORDS | st.integers() | st.none(), max_size=3)
BATCHES = st.none() | st.builds(BatchOptions, WORDS, OPTIONS)
OBJECTS = st.lists(st.builds(MLObject, WORDS, WORDS, WORDS), max_size=2).map(tuple)
NUMBERS = st.lists(st.integers(0, 99), max_size=3).map(tuple)
SHARES = st.builds(Share, WORDS, st.integers(0, 9), NUMBERS, NUMBERS)


def submissions(kind: type[record.Submitted]) -> st.SearchStrategy[record.Submitted]:
    return st.builds(
        kind,
        at=TIMES,
        entity=WORDS,
        type=WORDS,
        step=WORDS,
        run=st.integers(0),
        run_id=WORDS,
        command=WORD_LISTS,
        params=st.dictionaries(WORDS, WORDS, max_size=2),
        files=st.none() | st.builds(Files, WORD_LISTS, WORD_LISTS, WORD_LISTS),
        key_prefixing=st.booleans(),
        settings=st.none() | st.builds(RunOptions, WORD_LISTS, WORD_LISTS, WORDS, OPTIONS),
        batch=BATCHES,
        colocated=OPTIONS,
        ml_models=OBJECTS,
    )


STEP = {"at": TIMES, "entity": WORDS, "step": WORDS}
EVENTS: st.SearchStrategy[record.Event] = st.one_of(
    st.builds(record.Opened, TIMES, WORDS, WORDS, WORDS, st.integers(0), WORDS, WORDS),
    st.builds(
        record.Launching,
        TIMES,
        WORDS,
        WORDS,
        st.lists(st.builds(EnsembleFacts, WORDS, WORDS, OPTIONS, BATCHES), max_size=2).map(tuple),
        st.lists(st.builds(DatabaseFacts, WORDS, WORDS, WORD_LISTS, st.integers(1, 9)), max_size=2).map(tuple),
        driver=WORDS,
    ),
    st.builds(record.Launched, TIMES, WORDS),
    st.builds(record.LaunchFailed, TIMES, WORDS, WORDS),
    submissions(record.Submitted),
    submissions(record.TakenOver),
    st.builds(record.TakenOver, type=WORDS, driver=WORDS, **STEP),
    st.builds(record.Queued, native_id=WORDS, **STEP),
    st.builds(record.Started, native_id=WORDS, placement=st.lists(SHARES, max_size=2).map(tuple), **STEP),
    st.builds(record.Suspended, **STEP),
    st.builds(record.Resumed, **STEP),
    st.builds(record.StopRequested, by=WORDS, **STEP),
    st.builds(record.Withdrawn, driver=WORDS, **STEP),
    st.builds(record.Refused, status=WORDS, reason=WORDS, **STEP),
    st.builds(record.Ended, status=WORDS, returncode=st.none() | st.integers(), reason=WORDS, stopped_by=WORDS, **STEP),
    st.builds(
        record.DatabaseReady,
        TIMES,
        WORDS,
        WORDS,
        st.lists(st.builds(ShardFacts, WORDS, WORDS, st.integers(0), st.integers(0), NUMBERS), max_size=2).map(tuple),
    ),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=5,
)
FIELDS = sorted({item.name for kind in record.KINDS for item in fields(kind)})


@given(EVENTS, TIMES)
def test_what_is_written_is_read(event: record.Event, recorded: float) -> None:
    written = json.dumps(record.write(event, recorded))
    assert record.parse(json.loads(written)) == replace(event, recorded=recorded)


@given(EVENTS, TIMES)
def test_a_line_says_the_same_as_what_is_written(event: record.Event, recorded: float) -> None:
    text = line(event, recorded)
    assert "\n" not in text
    assert list(json.loads(text).items()) == list(json.loads(json.dumps(record.write(event, recorded))).items())


class Odd(str):
    """What a member may be given as a value."""

    __slots__ = ()

    def __str__(self) -> str:
        return "odd"


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        -math.inf,
        1e300,
        10**30,
        True,
        None,
        '\x00\n"<ü\ud800',
        Odd("a"),
        Path("/a"),
        {1: {2.5: [b"b"]}},
        (1, []),
    ],
)
def test_a_line_says_the_same_of_odd_values(value: object) -> None:
    event = record.Submitted(1.0, "m", "Model", "m-1", colocated={"value": value}, settings=RunOptions(("a",)))
    written = json.dumps(record.write(event, 2.0))
    assert repr(json.loads(line(event, 2.0))) == repr(json.loads(written))


def test_an_event_that_is_not_known_is_written_as_it_was() -> None:
    content = {"event": "sung", "at": 1.0, "recorded": 2.0, "notes": ["c", None]}
    assert json.loads(line(record.parse(content), 3.0)) == content


@given(EVENTS, TIMES)
def test_a_line_has_its_version_its_word_and_two_times(event: record.Event, recorded: float) -> None:
    written = record.write(event, recorded)
    assert list(written)[:4] == ["version", "event", "at", "recorded"]
    assert written["at"] == event.at
    assert written["recorded"] == recorded
    assert written["event"] == event.event


@given(EVENTS, st.integers(2, 9))
def test_a_newer_version_is_kept_as_it_is(event: record.Event, version: int) -> None:
    written = record.write(event, 1.0) | {"version": version}
    read = record.parse(written)
    assert isinstance(read, record.Unknown)
    assert record.write(read, 5.0) == written


@given(EVENTS, JSON)
def test_fields_that_are_new_are_left_aside(event: record.Event, value: Any) -> None:
    assert record.parse(json.loads(json.dumps(record.write(event, 0.0) | {"later": value}))) == event


@given(st.sampled_from([kind.event for kind in record.KINDS]), st.dictionaries(st.sampled_from(FIELDS) | WORDS, JSON))
def test_whatever_stands_there_is_no_error(word: str, content: dict[str, Any]) -> None:
    written = {**content, "event": word}
    read = record.parse(written)
    assert isinstance(read, record.Unknown) or read.event == word


@pytest.mark.parametrize(
    "written",
    [
        {},
        {"event": 5, "at": 1.0},
        {"event": "eclipsed", "at": 1.0},
        {"event": "launched", "at": 1.0},  # it does not say which
        {"event": "launched", "at": True, "run_id": "5f"},
        {"event": "launched", "at": "noon", "run_id": "5f"},
        {"event": "ended", "at": 1.0, "entity": "m", "step": "m-1", "status": "Failed", "returncode": "1"},
        {"event": "launched", "at": 1.0, "run_id": "5f", "version": "1"},
        {"event": "started", "at": 1.0, "entity": "m", "step": "m-1", "placement": [{"node": "n1"}]},
    ],
)
def test_what_cannot_be_read_is_unknown(written: dict[str, Any]) -> None:
    read = record.parse(written)
    assert isinstance(read, record.Unknown)
    assert read.content == written


def test_a_line_without_a_version_is_of_the_first() -> None:
    assert record.parse({"event": "launched", "at": 1, "run_id": "5f"}) == record.Launched(1.0, "5f")


def test_what_has_nothing_to_tell_is_left_out() -> None:
    assert record.write(record.Submitted(1.0, "m", "Model", "m-1", command=("true",)), 2.0) == {
        "version": 1,
        "event": "submitted",
        "at": 1.0,
        "recorded": 2.0,
        "entity": "m",
        "type": "Model",
        "step": "m-1",
        "command": ["true"],
    }
    ended = record.write(record.Ended(1.0, "m", "m-1", "Completed", 0), 2.0)
    assert ended["returncode"] == 0  # not the same as nothing


@pytest.mark.parametrize(
    ("path", "directory", "recorded"),
    [
        ("/lab/study/m", "/lab/study", "m"),
        ("/lab/study", "/lab/study", "."),
        ("/lab/study2/m", "/lab/study", "/lab/study2/m"),
        ("/m", "/", "m"),
    ],
)
def test_paths_are_relative_to_the_experiment(path: str, directory: str, recorded: str) -> None:
    assert record.relative(path, directory) == recorded
    assert record.absolute(recorded, directory) == path


@pytest.mark.parametrize("name", ["at", "recorded", "run"])
def test_numbers_that_nothing_computes_with_hide_no_other_event(name: str) -> None:
    read = record.parse({"event": "submitted", "at": 1.0, "entity": "m", "type": "Model", "step": "m-1", name: 10**400})
    assert isinstance(read, record.Unknown)
    assert read.at in (0.0, 1.0)
