"""The life of a job as a state machine without I/O: an event goes in, a new state and effects come out.

::

    NEW ──Queued──▶ QUEUED ──Started──▶ RUNNING ◀──Suspended/Resumed──▶ PAUSED
     │                │                    │                              │
     ├────Started─────┼───────────────────▶│                              │
     │                │                    │                              │
     └─Refused/Ended──┴───────Ended────────┴────────────Ended─────────────┘──▶ COMPLETED, FAILED or CANCELLED

Nothing leaves a final state, and nothing goes back to an earlier one. What the outside world says late or twice (a
scheduler that lags, an exit that crosses a stop) changes nothing; what cannot happen at all is an error of ours.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, replace
from typing import TypeAlias

from smartsim.domain.errors import IllegalTransitionError
from smartsim.domain.resources import Share
from smartsim.domain.status import TERMINAL_STATUSES, SmartSimStatus

NEW = SmartSimStatus.STATUS_NEW
QUEUED = SmartSimStatus.STATUS_QUEUED
RUNNING = SmartSimStatus.STATUS_RUNNING
PAUSED = SmartSimStatus.STATUS_PAUSED
COMPLETED = SmartSimStatus.STATUS_COMPLETED
FAILED = SmartSimStatus.STATUS_FAILED
CANCELLED = SmartSimStatus.STATUS_CANCELLED


@dataclass(frozen=True)
class Queued:
    """A workload manager accepted the job and will start it later.

    Args:
        at: when, in seconds since the epoch; so for every event.
        native_id: what the workload manager calls the job.
    """

    at: float
    native_id: str


@dataclass(frozen=True)
class Started:
    """The job runs.

    Args:
        placement: what it has of the allocation, node by node; empty when nobody gave it a place.
    """

    at: float
    native_id: str
    placement: tuple[Share, ...] = ()


@dataclass(frozen=True)
class Suspended:
    """The job was suspended and can go on later."""

    at: float


@dataclass(frozen=True)
class Resumed:
    """The job goes on."""

    at: float


@dataclass(frozen=True)
class Refused:
    """The job could not be started.

    Args:
        error: why; it carries the command and what to do.
    """

    at: float
    error: Exception


@dataclass(frozen=True)
class Ended:
    """The job ended.

    Args:
        returncode: its exit code, the negative signal number when a signal ended it, None when nobody knows.
        reason: what the workload manager says of it, in words; empty when there is nothing to say.
        cancelled_by: who cancelled it, in words, when the workload manager was asked to by somebody else than us.
    """

    at: float
    returncode: int | None
    reason: str = ""
    cancelled_by: str = ""


@dataclass(frozen=True)
class StopRequested:
    """Somebody wants the job to end.

    Args:
        by: who or what, in words.
    """

    at: float
    by: str


JobEvent: TypeAlias = Queued | Started | Suspended | Resumed | Refused | Ended
"""What a workload manager reports of a job."""


@dataclass(frozen=True)
class SendStop:
    """Effect: the workload manager is to end the job."""


@dataclass(frozen=True)
class Note:
    """Effect: the change belongs into the record of the experiment.

    Args:
        event: the word for it.
    """

    event: str


@dataclass(frozen=True)
class Announce:
    """Effect: a person wants to read of the job's end."""


Effect: TypeAlias = SendStop | Note | Announce


@dataclass(frozen=True)
class JobState:
    """Where a job stands.

    Args:
        status: what users see.
        native_id: what the workload manager calls it, once it told.
        submitted_at: seconds since the epoch; so for the next two.
        started_at: None until it runs.
        ended_at: None until it ended.
        returncode: see `Ended`.
        reason: why it ended as it did, in words.
        stopped_by: who asked it to end, if somebody did.
        error: why it could not be started, if it could not.
        placement: see `Started`.
    """

    submitted_at: float
    status: SmartSimStatus = NEW
    native_id: str | None = None
    started_at: float | None = None
    ended_at: float | None = None
    returncode: int | None = None
    reason: str = ""
    stopped_by: str | None = None
    error: Exception | None = None
    placement: tuple[Share, ...] = ()

    @property
    def is_final(self) -> bool:
        """Whether the job ended."""
        return self.status in TERMINAL_STATUSES


def advance(  # noqa: C901 - one case per event
    state: JobState, event: JobEvent | StopRequested
) -> tuple[JobState, tuple[Effect, ...]]:
    """Return the state after an event, and what is to be done about it.

    Args:
        state: where the job stands.
        event: what happened.

    Raises:
        IllegalTransitionError: the event cannot happen in this state.
    """
    if state.is_final:
        return state, ()
    match event:
        case Queued(native_id=native_id):
            if state.status is not NEW:
                return state, ()
            after = replace(state, status=QUEUED, native_id=native_id)
            return after, (Note("queued"), *_late_stop(after))
        case Started(at=at, native_id=native_id, placement=placement):
            if state.status not in (NEW, QUEUED):
                return state, ()
            after = replace(state, status=RUNNING, native_id=native_id, started_at=at, placement=placement)
            return after, (Note("started"), *_late_stop(after))
        case Suspended():
            return _between(state, event, RUNNING, PAUSED, "suspended")
        case Resumed():
            return _between(state, event, PAUSED, RUNNING, "resumed")
        case Refused(at=at, error=error):
            if state.status is not NEW:
                raise IllegalTransitionError(f"A job that is {state.status.value} cannot be refused: {error}")
            return replace(state, status=FAILED, ended_at=at, error=error, reason=str(error)), (Note("refused"),)
        case Ended():
            return _ended(state, event), (Note("ended"), Announce())
        case StopRequested(by=by):
            if state.stopped_by is not None:
                return state, ()
            # A job that its workload manager has not confirmed yet cannot be told to end: `_late_stop` does it then.
            send = () if state.status is NEW else (SendStop(),)
            return replace(state, stopped_by=by), (Note("stop_requested"), *send)


def _late_stop(state: JobState) -> tuple[Effect, ...]:
    return (SendStop(),) if state.stopped_by is not None else ()


def _between(
    state: JobState, event: Suspended | Resumed, source: SmartSimStatus, target: SmartSimStatus, word: str
) -> tuple[JobState, tuple[Effect, ...]]:
    if state.status is target:
        return state, ()
    if state.status is not source:
        raise IllegalTransitionError(f"A job that is {state.status.value} cannot be {word}: {event}")
    return replace(state, status=target), (Note(word),)


def _ended(state: JobState, event: Ended) -> JobState:
    if state.stopped_by is not None:
        status, reason = CANCELLED, event.reason or f"stopped by {state.stopped_by}"
    elif event.cancelled_by:
        status, reason = CANCELLED, event.reason or f"cancelled by {event.cancelled_by}"
    elif event.returncode == 0:
        status, reason = COMPLETED, event.reason
    else:
        status, reason = FAILED, event.reason or describe_returncode(event.returncode)
    stopped_by = state.stopped_by or event.cancelled_by or None
    return replace(
        state, status=status, ended_at=event.at, returncode=event.returncode, reason=reason, stopped_by=stopped_by
    )


def describe_returncode(returncode: int | None) -> str:
    """Return what an exit code says, in words."""
    if returncode is None:
        return "the exit code is unknown"
    if returncode >= 0:
        return f"exit code {returncode}"
    try:
        return f"killed by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"killed by signal {-returncode}"
