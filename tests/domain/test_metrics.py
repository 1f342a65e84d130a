"""Samples: what is written is read, and what cannot be read is kept."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.domain import record
from smartsim.domain.metrics import (
    KINDS,
    JobsSampled,
    JobUsage,
    LargeKey,
    ModelSampled,
    ServersSampled,
    SlowCall,
    parse,
)

TIMES = st.floats(min_value=0, max_value=1e10)
WORDS = st.text(max_size=8)
NUMBERS = st.integers(0, 2**63)
SHARES = st.floats(0, 1)
EVENTS: st.SearchStrategy[record.Event] = st.one_of(
    st.builds(
        ServersSampled,
        at=TIMES,
        database=WORDS,
        server=WORDS,
        used_memory=NUMBERS,
        clients=NUMBERS,
        commands=NUMBERS,
        hits=NUMBERS,
        bytes_in=NUMBERS,
        calls=st.dictionaries(WORDS, NUMBERS, max_size=2),
        latencies=st.dictionaries(WORDS, st.tuples(TIMES, TIMES, TIMES), max_size=2),
        slow=st.lists(st.builds(SlowCall, TIMES, NUMBERS, st.lists(WORDS).map(tuple)), max_size=2).map(tuple),
        largest_keys=st.lists(st.builds(LargeKey, WORDS, WORDS, NUMBERS), max_size=2).map(tuple),
    ),
    st.builds(
        ModelSampled,
        at=TIMES,
        database=WORDS,
        server=WORDS,
        model=WORDS,
        backend=WORDS,
        calls=NUMBERS,
        queue_seconds=TIMES,
        batch_sizes=st.dictionaries(WORDS, NUMBERS, max_size=2),
    ),
    st.builds(
        JobsSampled,
        at=TIMES,
        jobs=st.lists(
            st.builds(JobUsage, WORDS, TIMES, NUMBERS, NUMBERS, st.none() | NUMBERS, st.none() | SHARES), max_size=3
        ).map(tuple),
    ),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=5,
)
FIELDS = sorted({item.name for kind in KINDS for item in fields(kind)})


@given(EVENTS, TIMES)
def test_what_is_written_is_read(event: record.Event, recorded: float) -> None:
    assert parse(json.loads(json.dumps(record.write(event, recorded)))) == replace(event, recorded=recorded)


@given(EVENTS, st.integers(2, 9))
def test_a_newer_version_is_kept_as_it_is(event: record.Event, version: int) -> None:
    written = record.write(event, 1.0) | {"version": version}
    read = parse(written)
    assert isinstance(read, record.Unknown)
    assert record.write(read, 5.0) == written


@given(EVENTS, JSON)
def test_fields_that_are_new_are_left_aside(event: record.Event, value: Any) -> None:
    assert parse(json.loads(json.dumps(record.write(event, 0.0) | {"later": value}))) == event


@given(st.sampled_from([kind.event for kind in KINDS]), st.dictionaries(st.sampled_from(FIELDS) | WORDS, JSON))
def test_whatever_stands_there_is_no_error(word: str, content: dict[str, Any]) -> None:
    read = parse({**content, "event": word})
    assert isinstance(read, record.Unknown) or read.event == word


@pytest.mark.parametrize(
    "written",
    [
        {"event": "launched", "at": 1.0, "run_id": "5f"},  # that is in the other file
        {"event": "jobs_sampled", "at": 1.0, "jobs": [{"memory": 1}]},
        {"event": "server_sampled", "at": 1.0, "database": "d", "server": "s", "latencies": {"get": [1.0, 2.0]}},
        {"event": "server_sampled", "at": 1.0, "database": "d", "server": "s", "clients": "many"},
        {"event": "model_sampled", "at": 1.0, "database": "d", "server": "s"},
    ],
)
def test_what_cannot_be_read_is_unknown(written: dict[str, Any]) -> None:
    assert isinstance(parse(written), record.Unknown)


def test_samples_are_none_of_the_events_of_the_record() -> None:
    written = record.write(JobsSampled(1.0, (JobUsage("m-1"),)), 1.0)
    assert isinstance(record.parse(written), record.Unknown)
    assert written["jobs"] == [{"step": "m-1"}]
