"""Records as they are folded: whatever was written, in whatever order it arrived."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.domain import record
from smartsim.domain.history import History, JobHistory
from smartsim.domain.record_facts import DatabaseFacts, EnsembleFacts, ShardFacts
from smartsim.domain.resources import Share
from smartsim.domain.status import SmartSimStatus

STEPS = st.sampled_from(["m-1", "m-2", "n-1"])
WORDS = st.sampled_from(["Completed", "Failed", "Cancelled", "Melted"])
TIMES = st.floats(min_value=0, max_value=100)


def step_events(step: str) -> st.SearchStrategy[record.Event]:
    who = {"at": TIMES, "entity": st.just(step[0]), "step": st.just(step)}
    return st.one_of(
        st.builds(record.Submitted, type=st.just("Model"), run_id=st.sampled_from(["", "r1", "r2"]), **who),
        st.builds(record.TakenOver, type=st.just("Model"), **who),
        st.builds(record.Queued, native_id=st.just("7"), **who),
        st.builds(record.Started, native_id=st.just("8"), **who),
        st.builds(record.Suspended, **who),
        st.builds(record.Resumed, **who),
        st.builds(record.StopRequested, by=st.just("Ctrl-C"), **who),
        st.builds(record.Withdrawn, **who),
        st.builds(record.Ended, status=WORDS, returncode=st.none() | st.integers(-9, 9), **who),
        st.builds(record.Refused, status=WORDS, **who),
    )


EVENTS = st.lists(
    STEPS.flatmap(step_events)
    | st.builds(record.Launching, TIMES, st.sampled_from(["r1", "r2"]))
    | st.builds(record.Launched, TIMES, st.sampled_from(["r1", "r3"])),
    max_size=15,
)


def folded(*events: record.Event) -> History:
    history = History()
    for event in events:
        history.add(event)
    return history


def life(step: str, *, returncode: int | None = 0, status: str = "Completed") -> list[record.Event]:
    name = step.split("-", maxsplit=1)[0]
    return [
        record.Submitted(1.0, name, "Model", step, run_id="r1"),
        record.Queued(2.0, name, step, "77"),
        record.Started(3.0, name, step, "77", (Share("n1", 2, (0, 1), (0,)), Share("n2", 1, (0,)))),
        record.Ended(9.0, name, step, status, returncode),
    ]


def only(history: History) -> JobHistory:
    (job,) = history.jobs.values()
    return job


@pytest.mark.parametrize("status", ["Running", "New", "NeverStarted", "Queued", "Paused", "Melted", ""])
@pytest.mark.parametrize(
    ("returncode", "seen"),
    [
        (0, SmartSimStatus.STATUS_COMPLETED),
        (1, SmartSimStatus.STATUS_FAILED),
        (-9, SmartSimStatus.STATUS_FAILED),
        (None, SmartSimStatus.STATUS_FAILED),
    ],
)
def test_an_end_of_another_status_is_an_end(status: str, returncode: int | None, seen: SmartSimStatus) -> None:
    job = only(folded(*life("m-1", status=status, returncode=returncode), record.Resumed(10.0, "m", "m-1")))
    assert (job.status, job.is_final, job.ended_at, job.returncode) == (seen, True, 9.0, returncode)


@given(EVENTS)
def test_nothing_that_ended_runs_again(events: list[record.Event]) -> None:
    history, ended = History(), dict[str, SmartSimStatus]()
    for event in events:
        history.add(event)
        for step, job in history.jobs.items():
            if step in ended:
                assert job.is_final
            if job.is_final:
                ended[step] = job.status


@given(EVENTS)
def test_what_happened_twice_happened_once(events: list[record.Event]) -> None:
    once, twice = folded(*events), folded(*(event for event in events for _ in range(2)))
    assert once.jobs == twice.jobs
    assert once.runs == twice.runs


@given(EVENTS)
def test_every_start_belongs_to_its_entity_and_its_call(events: list[record.Event]) -> None:
    history = folded(*events)
    assert [job for jobs in history.entities.values() for job in jobs if job.facts.entity not in history.entities] == []
    assert sorted(map(id, history.jobs.values())) == sorted(
        id(job) for jobs in history.entities.values() for job in jobs
    )
    for run in history.runs.values():
        assert all(history.jobs[step] is job for step, job in run.jobs.items())
    assert history.latest == max((event.at for event in events), default=0.0)


@given(st.randoms(use_true_random=False))
def test_events_of_one_start_may_come_in_any_order(chance: random.Random) -> None:
    events = [*life("m-1", returncode=-11, status="Failed"), record.StopRequested(5.0, "m", "m-1", "Ctrl-C")]
    chance.shuffle(events)
    job = only(folded(*events))
    assert (job.status, job.returncode, job.started_at, job.ended_at) == (
        SmartSimStatus.STATUS_FAILED,
        -11,
        3.0,
        9.0,
    )
    assert job.hosts == ("n1", "n2")


@given(st.lists(st.dictionaries(st.text(max_size=3), st.none() | st.text() | st.integers()), max_size=5))
def test_lines_that_are_no_events_are_kept_aside(lines: list[dict[str, Any]]) -> None:
    history = History.of([*lines, record.write(record.Launched(1.0, "r1"), 1.0)])
    assert [dict(unknown.content) for unknown in history.unknown] == lines
    assert history.runs["r1"].launched_at == 1.0


def test_the_life_of_a_member() -> None:
    job = only(folded(*life("m-1")[:2]))
    assert (job.status, job.native_id, job.queued_at) == (SmartSimStatus.STATUS_QUEUED, "77", 2.0)
    job = only(folded(*life("m-1")[:3]))
    assert (job.status, job.started_at, job.ended_at) == (SmartSimStatus.STATUS_RUNNING, 3.0, None)
    job = only(folded(*life("m-1")[:3], record.Suspended(4.0, "m", "m-1")))
    assert job.status is SmartSimStatus.STATUS_PAUSED
    job = only(folded(*life("m-1")))
    assert (job.status, job.returncode, job.submitted_at, job.ended_at) == (
        SmartSimStatus.STATUS_COMPLETED,
        0,
        1.0,
        9.0,
    )


def test_who_stopped_it_is_told() -> None:
    history = folded(
        *life("m-1")[:3],
        record.StopRequested(5.0, "m", "m-1", "Ctrl-C"),
        record.Ended(6.0, "m", "m-1", "Cancelled", -15, "stopped by Ctrl-C", "Ctrl-C"),
    )
    job = only(history)
    assert (job.stopped_by, job.stop_requested_at, job.reason) == ("Ctrl-C", 5.0, "stopped by Ctrl-C")


def test_an_exit_code_that_is_known_later_counts() -> None:
    taken_over = record.Ended(8.0, "m", "m-1", "Failed", None, "the exit code is unknown")
    assert only(folded(*life("m-1")[:3], taken_over, life("m-1")[3])).returncode == 0
    assert only(folded(*life("m-1"), taken_over)).status is SmartSimStatus.STATUS_COMPLETED


def test_what_was_never_tried_never_started() -> None:
    history = folded(life("m-1")[0], record.Withdrawn(2.0, "m", "m-1"))
    assert only(history).status is SmartSimStatus.STATUS_NEVER_STARTED


def test_what_could_not_be_taken_over_had_started() -> None:
    taken_over = record.TakenOver(7.0, "m", "Model", "m-1")
    history = folded(*life("m-1")[:3], taken_over, record.Withdrawn(8.0, "m", "m-1"))
    assert (only(history).status, only(history).facts.run_id) == (SmartSimStatus.STATUS_RUNNING, "r1")


# Which driver follows what


def two_drivers(*events: record.Event, first_has: str = "d1") -> History:
    """Return what happened besides to a job of a driver that has gone, while another lives."""
    first = record.Opened(0.5, "study", "local", "here", 1, driver=first_has)
    second = record.Opened(0.6, "study", "local", "here", 2, driver="d2")
    launching = record.Launching(0.9, "r1", driver=first_has)
    history = folded(first, second, launching, *life("m-1")[:3], *events)
    history.alive = {first: False, second: True}
    return history


def test_a_job_is_lost_with_its_own_driver() -> None:
    of_the_other = record.Submitted(4.0, "n", "Model", "n-1", run_id="r2")
    history = two_drivers(record.Launching(4.0, "r2", driver="d2"), of_the_other)
    assert {step: history.is_lost(job) for step, job in history.jobs.items()} == {"m-1": True, "n-1": False}
    assert [driver.pid for driver in history.followers(history.jobs["m-1"])] == [1]
    assert not history.driver_gone
    history.add(life("m-1")[3])
    assert not history.is_lost(history.jobs["m-1"])


def test_a_job_that_was_taken_over_is_lost_with_the_last_of_its_drivers() -> None:
    history = two_drivers(record.TakenOver(7.0, "m", "Model", "m-1", driver="d2"))
    assert [driver.pid for driver in history.followers(only(history))] == [1, 2]
    assert not history.is_lost(only(history))
    history.alive[history.drivers[1]] = False
    assert history.is_lost(only(history))


def test_a_job_that_could_not_be_taken_over_is_lost() -> None:
    taken_over = record.TakenOver(7.0, "m", "Model", "m-1", driver="d2")
    assert two_drivers(taken_over, record.Withdrawn(7.1, "m", "m-1", "d2")).is_lost(only(two_drivers()))
    assert not two_drivers(taken_over, record.Withdrawn(7.1, "m", "m-1", "d3")).is_lost(only(two_drivers(taken_over)))


@pytest.mark.parametrize("known", ["", "d9"])
def test_any_driver_may_follow_what_the_record_does_not_say_of(known: str) -> None:
    """Drivers of versions before had no id, and the line of one with an id may be lost."""
    history = two_drivers(first_has=known)
    history._by_id.pop("d9", None)
    assert (history.is_lost(only(history)), list(history.followers(only(history)))) == (False, [])
    history.alive[history.drivers[1]] = False
    assert history.is_lost(only(history))


def test_a_batch_job_is_known_by_its_id() -> None:
    submitted = record.Submitted(1.0, "m", "Model", "m-1", batch_job="e-9", batch_script="e/e.sh")
    job = only(folded(submitted, record.Queued(2.0, "m", "m-1", "4711")))
    assert job.batch_job_id == "4711"
    assert only(folded(*life("m-1"))).batch_job_id == ""


def test_calls_of_start_have_what_they_started() -> None:
    ensemble = EnsembleFacts("e", "e", {"x": ["1", "2"]})
    history = folded(
        record.Opened(0.5, "study", "slurm", "login1", 42),
        record.Launching(1.0, "r1", "out", (ensemble,)),
        *life("m-1"),
        record.LaunchFailed(4.0, "r1", "no room"),
    )
    run = history.runs["r1"]
    assert (list(run.jobs), run.error, run.facts.ensembles, run.launched_at) == (["m-1"], "no room", (ensemble,), None)
    assert history.experiment is not None
    assert (history.experiment.experiment, history.experiment.host) == ("study", "login1")


def test_a_database_is_what_it_was_at_its_latest_start() -> None:
    facts = DatabaseFacts("db", "db", ("lo",), 3)
    ready = record.DatabaseReady(2.0, "db", "9.0", (ShardFacts("db_0", "10.0.0.1", 6379, 0, (0, 16383)),))
    history = folded(record.Launching(1.0, "r1", databases=(facts,)), ready)
    assert history.databases["db"].addresses == ("10.0.0.1:6379",)
    assert history.databases["db"].facts == facts
    history.add(record.Launching(3.0, "r2", databases=(facts,)))
    assert not history.databases["db"].addresses


@pytest.mark.parametrize("kept", range(5))
def test_a_record_that_begins_late_tells_the_rest(kept: int) -> None:
    history = folded(*life("m-1")[kept:])
    if kept < 4:
        assert only(history).status is SmartSimStatus.STATUS_COMPLETED
        assert [job.returncode for job in history.entities["m"]] == [0]
    else:
        assert history.jobs == {}
