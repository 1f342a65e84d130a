import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.domain.errors import IllegalTransitionError, LauncherError
from smartsim.domain.lifecycle import (
    Announce,
    Ended,
    JobEvent,
    JobState,
    Note,
    Queued,
    Refused,
    Resumed,
    SendStop,
    Started,
    StopRequested,
    Suspended,
    advance,
    describe_returncode,
)
from smartsim.domain.status import TERMINAL_STATUSES, SmartSimStatus

AT = st.floats(min_value=0, max_value=1e10)
RETURNCODES = st.integers(-64, 255) | st.none()
EVENTS = st.one_of(
    st.builds(Queued, at=AT, native_id=st.text(min_size=1)),
    st.builds(Started, at=AT, native_id=st.text(min_size=1)),
    st.builds(Suspended, at=AT),
    st.builds(Resumed, at=AT),
    st.builds(Refused, at=AT, error=st.just(LauncherError("no"))),
    st.builds(Ended, at=AT, returncode=RETURNCODES, reason=st.text()),
    st.builds(StopRequested, at=AT, by=st.text(min_size=1)),
)
ORDER = {
    SmartSimStatus.STATUS_NEW: 0,
    SmartSimStatus.STATUS_QUEUED: 1,
    SmartSimStatus.STATUS_RUNNING: 2,
    SmartSimStatus.STATUS_PAUSED: 2,
    SmartSimStatus.STATUS_COMPLETED: 3,
    SmartSimStatus.STATUS_FAILED: 3,
    SmartSimStatus.STATUS_CANCELLED: 3,
}


def play(*events: JobEvent | StopRequested) -> JobState:
    state = JobState(submitted_at=0.0)
    for event in events:
        state, _ = advance(state, event)
    return state


@given(st.lists(EVENTS, max_size=12))
def test_whatever_happens_states_go_forward_and_final_ones_stay(events: list[JobEvent | StopRequested]) -> None:
    state = JobState(submitted_at=0.0)
    for event in events:
        try:
            after, effects = advance(state, event)
        except IllegalTransitionError:
            continue
        assert ORDER[after.status] >= ORDER[state.status]
        if state.is_final:
            assert after == state
            assert effects == ()
        assert after.is_final == (after.status in TERMINAL_STATUSES)
        assert after.is_final == (after.ended_at is not None)
        state = after


@given(st.lists(EVENTS, max_size=12))
def test_every_change_is_noted_and_nothing_else_is(events: list[JobEvent | StopRequested]) -> None:
    state = JobState(submitted_at=0.0)
    for event in events:
        try:
            after, effects = advance(state, event)
        except IllegalTransitionError:
            continue
        assert any(isinstance(effect, Note) for effect in effects) == (after != state)
        state = after


@given(st.lists(EVENTS, max_size=12))
def test_a_job_that_is_to_stop_is_told_so_once_it_can_be(events: list[JobEvent | StopRequested]) -> None:
    state, told = JobState(submitted_at=0.0), False
    for event in events:
        try:
            state, effects = advance(state, event)
        except IllegalTransitionError:
            continue
        told = told or SendStop() in effects
        if state.stopped_by is not None and state.native_id is not None and not state.is_final:
            assert told
        assert state.stopped_by is not None or not told


@given(returncode=RETURNCODES, at=AT)
def test_the_exit_code_decides_and_is_kept(returncode: int | None, at: float) -> None:
    state = play(Started(0.0, "1"), Ended(at, returncode))
    expected = SmartSimStatus.STATUS_COMPLETED if returncode == 0 else SmartSimStatus.STATUS_FAILED
    assert (state.status, state.returncode, state.ended_at) == (expected, returncode, at)


@given(returncode=RETURNCODES)
def test_what_was_stopped_is_cancelled_with_its_real_exit_code(returncode: int | None) -> None:
    state = play(Started(0.0, "1"), StopRequested(1.0, "the user"), Ended(2.0, returncode))
    assert (state.status, state.returncode) == (SmartSimStatus.STATUS_CANCELLED, returncode)
    assert state.reason == "stopped by the user"


def test_an_end_is_announced() -> None:
    _, effects = advance(play(Started(0.0, "1")), Ended(1.0, 0))
    assert Announce() in effects


def test_a_suspended_job_goes_on() -> None:
    assert play(Started(0.0, "1"), Suspended(1.0)).status is SmartSimStatus.STATUS_PAUSED
    assert play(Started(0.0, "1"), Suspended(1.0), Resumed(2.0)).status is SmartSimStatus.STATUS_RUNNING


def test_a_job_can_end_before_its_start_was_told() -> None:
    assert play(Queued(0.0, "1"), Ended(1.0, 1)).status is SmartSimStatus.STATUS_FAILED


def test_a_job_that_was_refused_has_failed_with_its_error() -> None:
    error = LauncherError("no such program")
    state = play(Refused(1.0, error))
    assert state.status is SmartSimStatus.STATUS_FAILED
    assert state.error is error


def test_what_runs_cannot_be_refused() -> None:
    with pytest.raises(IllegalTransitionError):
        advance(play(Started(0.0, "1")), Refused(1.0, LauncherError("late")))


def test_what_does_not_run_cannot_be_suspended() -> None:
    with pytest.raises(IllegalTransitionError):
        advance(play(Queued(0.0, "1")), Suspended(1.0))


@pytest.mark.parametrize(
    ("returncode", "words"),
    [
        (0, "exit code 0"),
        (7, "exit code 7"),
        (-9, "killed by SIGKILL"),
        (-63, "killed by signal 63"),
        (None, "the exit code is unknown"),
    ],
)
def test_exit_codes_are_told_in_words(returncode: int | None, words: str) -> None:
    assert describe_returncode(returncode) == words
