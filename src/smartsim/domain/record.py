"""The record of an experiment: what happened, as events that are written one JSON object a line.

`docs/record.md` has the schema for those who read it without this package. Every line has ``version``, ``event``,
``at`` (when it happened) and ``recorded`` (when it was written), both in seconds since the epoch. Fields that have
nothing to tell are left out. Paths are relative to the directory of the experiment, unless they lead out of it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

from smartsim.domain.record_facts import (
    BatchOptions,
    DatabaseFacts,
    EnsembleFacts,
    Files,
    MLObject,
    RunOptions,
    ShardFacts,
)
from smartsim.domain.record_values import decoder, told
from smartsim.domain.resources import Share

VERSION = 1
"""Of the schema. Fields may be added without another one; their meaning, and which are needed, does not change."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Args:
        at: when, in seconds since the epoch.
        recorded: when it was written; 0 before.
    """

    event: ClassVar[str]
    at: float
    recorded: float = field(default=0.0, kw_only=True)


@dataclass(frozen=True, slots=True)
class Opened(Event):
    """A driver began to record.

    Args:
        experiment: the name of the experiment.
        launcher: the name of the launcher.
        host: the name of the driver's machine.
        pid: of the driver, there.
        smartsim: the version of this package; empty when it is not installed.
        driver: its id; no other has it. Empty as versions before had none; so everywhere.
    """

    event = "opened"
    experiment: str
    launcher: str
    host: str = ""
    pid: int = 0
    smartsim: str = ""
    driver: str = ""


@dataclass(frozen=True, slots=True)
class Launching(Event):
    """A call of `start` begins.

    Args:
        run_id: of this call.
        outputs: the directory of the outputs.
        ensembles: that are started.
        databases: so.
        driver: the id of the one that starts all of it.
    """

    event = "launching"
    run_id: str
    outputs: str = ""
    ensembles: tuple[EnsembleFacts, ...] = ()
    databases: tuple[DatabaseFacts, ...] = ()
    driver: str = ""


@dataclass(frozen=True, slots=True)
class Launched(Event):
    """All that a call of `start` was to start has been submitted, and its databases answer.

    Args:
        run_id: of the call.
    """

    event = "launched"
    run_id: str


@dataclass(frozen=True, slots=True)
class LaunchFailed(Event):
    """A call of `start` failed; what it had started is stopped.

    Args:
        run_id: of the call.
        error: why, in words.
    """

    event = "launch_failed"
    run_id: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Submitted(Event):
    """An entity is about to be started; all that is known of it.

    Args:
        entity: its name.
        type: "Model" or "DBNode".
        step: the name of this start; no other has it. The next events of it have it, too.
        run: counts the starts of the entity by this driver, from 0.
        run_id: of the call of `start`.
        ensemble: that it is a member of.
        database: that it is a server of.
        command: the whole command line, word by word.
        directory: that it runs in.
        stdout: the file of its standard output; so `stderr`.
        batch_job: the name of the batch job that it runs in.
        batch_script: the script of that.
        params: parameters by name.
        files: attached to it.
        key_prefixing: whether it writes data under its own name.
        incoming: the entities whose data it reads.
        settings: how it is run.
        batch: its own batch job, if it has one.
        colocated: the settings of the database on its nodes, if it has one.
        ml_models: the models that it brings along for databases.
        ml_scripts: so the scripts.
    """

    event = "submitted"
    entity: str
    type: str
    step: str
    run: int = 0
    run_id: str = ""
    ensemble: str = ""
    database: str = ""
    command: tuple[str, ...] = ()
    directory: str = ""
    stdout: str = ""
    stderr: str = ""
    batch_job: str = ""
    batch_script: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    files: Files | None = None
    key_prefixing: bool = False
    incoming: tuple[str, ...] = ()
    settings: RunOptions | None = None
    batch: BatchOptions | None = None
    colocated: Mapping[str, Any] = field(default_factory=dict)
    ml_models: tuple[MLObject, ...] = ()
    ml_scripts: tuple[MLObject, ...] = ()


@dataclass(frozen=True, slots=True)
class TakenOver(Submitted):
    """A driver follows from now on what an earlier one started.

    Args:
        driver: the id of the later one.
    """

    event = "taken_over"
    driver: str = ""


@dataclass(frozen=True, slots=True)
class StepEvent(Event):
    """Something that happened to what was submitted.

    Args:
        entity: its name.
        step: the name of its start.
    """

    entity: str
    step: str


@dataclass(frozen=True, slots=True)
class Queued(StepEvent):
    """A workload manager has it, and will start it later.

    Args:
        native_id: what the workload manager calls it: the id of the batch job, or "waiting" for room in the allocation.
    """

    event = "queued"
    native_id: str = ""


@dataclass(frozen=True, slots=True)
class Started(StepEvent):
    """It runs.

    Args:
        native_id: the process id, the id of the step or of the batch job.
        placement: what it has of the allocation, node by node; empty when nobody gave it a place.
    """

    event = "started"
    native_id: str = ""
    placement: tuple[Share, ...] = ()


@dataclass(frozen=True, slots=True)
class Suspended(StepEvent):
    """It was suspended, and can go on."""

    event = "suspended"


@dataclass(frozen=True, slots=True)
class Resumed(StepEvent):
    """It goes on."""

    event = "resumed"


@dataclass(frozen=True, slots=True)
class StopRequested(StepEvent):
    """Somebody wants it to end.

    Args:
        by: who or what, in words.
    """

    event = "stop_requested"
    by: str = ""


@dataclass(frozen=True, slots=True)
class Withdrawn(StepEvent):
    """It was never tried, since what was to be started before it could not be; or it could not be taken over.

    Args:
        driver: the id of the one that was to start or follow it.
    """

    event = "withdrawn"
    driver: str = ""


@dataclass(frozen=True, slots=True)
class Ended(StepEvent):
    """It ended.

    Args:
        status: "Completed", "Failed" or "Cancelled".
        returncode: its exit code; the negative number of the signal that ended it; None when nobody knows.
        reason: why it ended so, in words.
        stopped_by: who had it end, in words; empty when nobody had.
    """

    event = "ended"
    status: str
    returncode: int | None = None
    reason: str = ""
    stopped_by: str = ""


@dataclass(frozen=True, slots=True)
class Refused(Ended):
    """It could not be started."""

    event = "refused"


@dataclass(frozen=True, slots=True)
class DatabaseReady(Event):
    """A database answers, all of it. Its passwords are in no event.

    Args:
        database: its name.
        server_version: of the server program.
        shards: its servers.
    """

    event = "database_ready"
    database: str
    server_version: str = ""
    shards: tuple[ShardFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class Unknown(Event):
    """An event that this version does not know, or cannot read.

    Args:
        content: all of it.
    """

    event = "unknown"
    content: Mapping[str, Any]


KINDS: tuple[type[Event], ...] = (
    *(Opened, Launching, Launched, LaunchFailed),
    *(Submitted, TakenOver, Withdrawn, Refused, Queued, Started, Suspended, Resumed, StopRequested, Ended),
    DatabaseReady,
)
"""All that are written."""

_BY_NAME: Mapping[str, type[Event]] = {kind.event: kind for kind in KINDS}


def write(event: Event, recorded: float) -> dict[str, object]:
    """Return an event as it is written: JSON values by name.

    Args:
        event: the one.
        recorded: the time, in seconds since the epoch.

    Example:
        >>> write(Launched(2.0, "5f"), recorded=2.5)
        {'version': 1, 'event': 'launched', 'at': 2.0, 'recorded': 2.5, 'run_id': '5f'}
    """
    if isinstance(event, Unknown):
        return dict(event.content)
    written: dict[str, object] = {"version": VERSION, "event": event.event, "at": event.at, "recorded": recorded}
    written |= told(event)
    written["recorded"] = recorded  # not when it was recorded before, if it was
    return written


def parse(written: Mapping[str, Any], kinds: Mapping[str, type[Event]] = _BY_NAME) -> Event:
    """Return an event that was written.

    What this version does not know is no error: an event of another name or a newer version, or one that lacks what it
    needs, is `Unknown`, and fields that are new are left aside.

    Args:
        written: JSON values by name.
        kinds: those that are known, by name.

    Example:
        >>> parse({"version": 1, "event": "launched", "at": 2.0, "recorded": 2.5, "run_id": "5f"}).run_id
        '5f'
        >>> type(parse({"version": 2, "event": "launched", "at": 2.0})).__name__
        'Unknown'
    """
    name, version = written.get("event"), written.get("version", VERSION)
    kind: Any = kinds.get(name) if isinstance(name, str) else None
    if kind is not None and isinstance(version, int) and version <= VERSION:
        decode = decoder(kind)
        with suppress(TypeError, RecursionError):  # a field is missing, or holds something else
            event: Event = decode(written)
            return event
    return Unknown(at=_time(written.get("at")), recorded=_time(written.get("recorded")), content=dict(written))


def relative(path: str, directory: str) -> str:
    """Return a path as it is recorded: relative to the directory of the experiment, unless it leads out of it.

    Example:
        >>> relative("/lab/study/m/m.out", "/lab/study"), relative("/data/mesh", "/lab/study")
        ('m/m.out', '/data/mesh')
    """
    if path == directory:
        return "."
    prefix = directory.rstrip("/") + "/"
    return path.removeprefix(prefix)


def absolute(path: str, directory: str) -> str:
    """Return the path that was recorded, for an experiment that now lies in some directory.

    Example:
        >>> absolute("m/m.out", "/copy/study")
        '/copy/study/m/m.out'
    """
    return posixpath.normpath(posixpath.join(directory, path))


def _time(value: object) -> float:
    try:
        time: float = decoder(float)(value)
    except TypeError:
        return 0.0
    return time
