"""Entities as a table: what is chosen, in which order, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from json import dumps

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorded_members import ENDS, MEMBERS, Member, recorded
from smartsim.domain import record
from smartsim.domain.history import History
from smartsim.domain.views.heat_map import LETTERS, heat_map
from smartsim.domain.views.table import LOST, MODELS, Query, Row, page

NOW = 200.0
ALL = 10**6
SORTS = [*(field.name for field in fields(Row) if field.name != "params"), "params.x", "params.nothing"]
QUERIES = st.builds(
    Query,
    group=st.sampled_from(["", "e", "db", MODELS, "none"]),
    run_id=st.sampled_from(["", "r1", "r3"]),
    text=st.sampled_from(["", "M_1", "ÜNÏ", "cg", "node02", "was failed", "none"]),
    statuses=st.lists(st.sampled_from([*ENDS, "Running", "New"]), max_size=2).map(tuple),
    sort=st.sampled_from(SORTS),
    descending=st.booleans(),
    every_start=st.booleans(),
    limit=st.just(ALL),
)


def rows(history: History, query: Query) -> Sequence[Row]:
    return page(history, query, NOW).rows


def names(history: History, query: Query) -> list[str]:
    return [row.entity for row in rows(history, query)]


@given(MEMBERS, QUERIES, st.integers(1, 7))
def test_pages_together_are_the_table(members: list[Member], query: Query, limit: int) -> None:
    history = recorded(members)
    whole = page(history, query, NOW)
    parts: list[Row] = []
    for offset in range(0, whole.total + limit, limit):
        part = page(history, replace(query, offset=offset, limit=limit), NOW)
        assert (part.total, part.offset, part.parameters) == (whole.total, offset, whole.parameters)
        parts += part.rows
    assert tuple(parts) == whole.rows
    assert whole.total == len(whole.rows)


@given(MEMBERS, QUERIES)
def test_the_rows_are_those_that_were_asked_for(members: list[Member], query: Query) -> None:
    history = recorded(members)
    every = rows(history, Query(limit=ALL, every_start=True))
    of_run = [row for row in every if query.run_id in ("", row.run_id)]
    latest = {row.entity: row for row in of_run}  # a later start takes the place of the one before
    among = of_run if query.every_start else [row for row in of_run if latest[row.entity] == row]
    group = "" if query.group == MODELS else query.group or None
    expected = [
        row
        for row in among
        if (group is None or row.group == group)
        and (not query.statuses or row.status in query.statuses)
        and any(
            query.text.casefold() in word.casefold()
            for word in (row.entity, row.reason, *row.hosts, *row.params, *row.params.values())
        )
    ]
    found = rows(history, query)
    assert sorted(found, key=lambda row: row.step) == sorted(expected, key=lambda row: row.step)


@given(MEMBERS, QUERIES)
def test_what_is_sorted_ascends_or_descends_and_what_has_no_value_comes_last(
    members: list[Member], query: Query
) -> None:
    def number(row: Row) -> float | None:
        value = getattr(row, query.sort, None)
        return value if isinstance(value, int | float) else None

    values = [number(row) for row in rows(recorded(members), query)]
    known = [value for value in values if value is not None]
    assert values == [*known, *[None] * (len(values) - len(known))]
    assert known == sorted(known, reverse=query.descending)


@given(MEMBERS)
def test_a_row_tells_what_became_of_a_start(members: list[Member]) -> None:
    found = rows(recorded(members), Query(sort="submitted_at", every_start=True, limit=ALL))
    by_step = {row.step: row for row in found}
    for place, member in enumerate(members):
        row = by_step[f"{member.name}-{place}"]
        started = None if member.started is None else member.submitted + member.started
        ended = None if member.ended is None else (member.submitted if started is None else started) + member.ended
        assert (row.submitted_at, row.started_at, row.ended_at) == (member.submitted, started, ended)
        assert row.status == (member.status if ended is not None else "New" if started is None else "Running")
        assert row.run_seconds == (None if started is None else (NOW if ended is None else ended) - started)
        waited_until = started if started is not None else ended if ended is not None else NOW
        assert row.wait_seconds == waited_until - member.submitted
        assert row.starts == sum(other.name == member.name for other in members)
        assert row.hosts == (() if started is None else (member.node,))


def test_names_are_sorted_as_people_count() -> None:
    history = recorded([Member(f"m_{number}") for number in (10, 9, 100, 1)] + [Member("a"), Member("m")])
    assert names(history, Query()) == ["a", "m", "m_1", "m_9", "m_10", "m_100"]
    assert names(history, Query(descending=True))[0] == "m_100"


def test_parameters_are_sorted_as_numbers_where_they_are_and_words_come_behind() -> None:
    values = {"a": "10", "b": "9", "c": "1e1", "d": "cg", "e": "nan", "f": "-1"}
    history = recorded([Member(name, params=(("x", value),)) for name, value in values.items()] + [Member("none")])
    assert names(history, Query(sort="params.x")) == ["f", "b", "a", "c", "d", "e", "none"]
    assert names(history, Query(sort="params.x", descending=True)) == ["e", "d", "a", "c", "b", "f", "none"]


def test_the_columns_are_the_parameters_of_the_group_whatever_of_it_is_shown() -> None:
    history = recorded([Member("a", "e", params=(("x", "1"),)), Member("b", "e", params=(("y", "1"),)), Member("c")])
    assert page(history, Query(group="e", text="a"), NOW).parameters == ("x", "y")
    assert page(history, Query(group=MODELS), NOW).parameters == ()


def test_an_entity_that_was_started_again_has_its_latest_start_of_each_run() -> None:
    history = recorded([Member("m", run_id="r1", ended=1.0, status="Failed"), Member("m", run_id="r2", started=1.0)])
    assert [(row.step, row.starts) for row in rows(history, Query())] == [("m-1", 2)]
    assert [row.step for row in rows(history, Query(run_id="r1"))] == ["m-0"]
    assert [row.step for row in rows(history, Query(every_start=True))] == ["m-0", "m-1"]


def test_what_has_no_end_is_lost_once_all_drivers_have_gone() -> None:
    history = recorded([Member("runs", started=1.0), Member("waits"), Member("ended", started=1.0, ended=1.0)])
    history.add(record.Withdrawn(1.0, "never", "never-1"))
    for pid in (1, 2):
        history.add(record.Opened(0.0, "study", "local", "here", pid))
    history.alive = {history.drivers[0]: False}
    assert not any(row.driver_gone for row in rows(history, Query()))
    history.alive[history.drivers[1]] = False
    lost = {row.entity: row.driver_gone for row in rows(history, Query())}
    assert lost == {"runs": True, "waits": True, "ended": False, "never": False}
    assert {row.reason for row in rows(history, Query()) if row.driver_gone} == {LOST}
    unknown = {row.entity: (row.wait_seconds, row.run_seconds) for row in rows(history, Query())}
    assert unknown["runs"] == (1.0, None)
    assert unknown["waits"] == (None, None)


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        (Query(sort="colour"), "'colour'.*entity.*params.NAME"),
        (Query(sort="params"), "'params'"),
        (Query(sort="__class__"), "'__class__'"),
        (Query(statuses=("Failed", "failed")), "'failed'.*Failed"),
        (Query(offset=-1), "-1"),
        (Query(limit=-5), "-5"),
    ],
)
def test_a_query_without_sense_is_refused_with_what_would_do(query: Query, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        page(recorded([]), query, NOW)


@given(MEMBERS, st.sampled_from(["", "e", "db", MODELS, "none"]))
def test_a_heat_map_has_the_state_of_every_member(members: list[Member], group: str) -> None:
    history = recorded(members)
    found = heat_map(history, group)
    letters = {status.value: letter for status, letter in LETTERS.items()}
    expected = {row.entity: letters[row.status] for row in rows(history, Query(group=group, limit=ALL))}
    assert dict(zip(found.entities, found.states, strict=True)) == expected
    assert len(set(found.entities)) == len(found.entities)


def test_each_state_has_a_letter_of_its_own() -> None:
    history = recorded(
        [Member("done", started=0.0, ended=1.0), Member("new"), Member("failed", ended=0.0, status="Failed")]
    )
    for name, later in (
        ("queued", record.Queued(1.0, "queued", "queued-1")),
        ("paused", record.Suspended(1.0, "paused", "paused-1")),
        ("never", record.Withdrawn(1.0, "never", "never-1")),
        ("stopped", record.Ended(1.0, "stopped", "stopped-1", "Cancelled")),
        ("runs", record.Started(1.0, "runs", "runs-1")),
    ):
        history.add(record.Submitted(0.0, name, "Model", f"{name}-1"))
        history.add(later)
    assert heat_map(history, "").states == "CNFQP-XR"


@given(MEMBERS, QUERIES)
def test_a_page_is_json(members: list[Member], query: Query) -> None:
    assert dumps(asdict(page(recorded(members), query, NOW)), allow_nan=False)


@pytest.mark.parametrize("is_descending", [False, True])
def test_what_nobody_told_comes_last(is_descending: bool) -> None:
    history = History()
    for name in "abc":
        history.add(record.Submitted(1.0, name, "Model", f"{name}-1", ensemble="" if name == "a" else name))
    history.add(record.Ended(2.0, "b", "b-1", "Failed", 1, "exit code 1"))
    known = ["c", "b"] if is_descending else ["b", "c"]
    assert names(history, Query(sort="reason", descending=is_descending)) == ["b", "a", "c"]
    assert names(history, Query(sort="group", descending=is_descending)) == [*known, "a"]
