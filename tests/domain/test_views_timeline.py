"""When things waited and ran."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from recorded_members import MEMBERS, Member, recorded
from smartsim.domain import record
from smartsim.domain.history import History, JobHistory
from smartsim.domain.views.table import Query
from smartsim.domain.views.timeline import load, timeline

NOW = 200.0
ALL = 10**6


def waits(job: JobHistory, at: float) -> bool:
    end = job.started_at if job.started_at is not None else job.ended_at
    return job.submitted_at <= at and (end is None or at < end)


def runs(job: JobHistory, at: float) -> bool:
    return job.started_at is not None and job.started_at <= at and (job.ended_at is None or at < job.ended_at)


@given(MEMBERS, st.integers(1, 60))
def test_the_load_is_that_of_each_moment(members: list[Member], points: int) -> None:
    history = recorded(members)
    jobs = history.jobs.values()
    found = load(history, NOW, points)
    assert len(found.times) <= points
    assert list(found.times) == sorted(found.times)
    assert found.waiting == tuple(sum(waits(job, at) for job in jobs) for at in found.times)
    assert found.running == tuple(sum(runs(job, at) for job in jobs) for at in found.times)


@given(MEMBERS)
def test_no_change_of_the_load_is_left_out_when_there_is_room(members: list[Member]) -> None:
    history = recorded(members)
    changes = {
        at for job in history.jobs.values() for at in (job.submitted_at, job.started_at, job.ended_at) if at is not None
    }
    assert load(history, NOW).times == tuple(sorted(changes))


def test_what_never_started_never_waited() -> None:
    history = History()
    history.add(record.Submitted(1.0, "m", "Model", "m-1"))
    history.add(record.Withdrawn(2.0, "m", "m-1"))
    assert load(history, NOW).times == ()


def test_a_clock_that_was_set_back_makes_nothing_negative() -> None:
    history = History()
    history.add(record.Submitted(10.0, "m", "Model", "m-1"))
    history.add(record.Started(5.0, "m", "m-1"))
    history.add(record.Ended(4.0, "m", "m-1", "Completed", 0))
    found = load(history, NOW)
    assert min((*found.waiting, *found.running)) == 0
    shown = timeline(history, Query(), NOW)
    assert shown.begins_at <= shown.ends_at


@given(MEMBERS, st.integers(0, 10), st.integers(0, 10), st.sampled_from(["", "e", "db"]))
def test_bars_are_a_part_of_the_starts_and_the_times_those_of_all(
    members: list[Member], offset: int, limit: int, group: str
) -> None:
    history = recorded(members)
    whole = timeline(history, Query(group=group, sort="submitted_at", limit=ALL), NOW)
    part = timeline(history, Query(group=group, sort="submitted_at", offset=offset, limit=limit), NOW)
    assert part.bars == whole.bars[offset : offset + limit]
    assert (part.total, part.begins_at, part.ends_at) == (whole.total, whole.begins_at, whole.ends_at)
    if whole.bars:
        assert whole.begins_at == min(bar.submitted_at for bar in whole.bars)
        assert whole.ends_at == max(NOW if bar.ended_at is None else bar.ended_at for bar in whole.bars)


def test_the_time_of_what_is_lost_does_not_go_on() -> None:
    history = recorded([Member("m", started=1.0)])
    history.add(record.Opened(3.0, "study", "local", "here", 1))
    assert timeline(history, Query(), NOW).ends_at == NOW
    history.alive = {history.drivers[0]: False}
    shown = timeline(history, Query(), NOW)
    assert shown.ends_at == history.latest == 3.0
    assert [bar.driver_gone for bar in shown.bars] == [True]
