"""What goes into the record of an experiment, and who is told of it."""

from __future__ import annotations

import math
import os
import re
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from smartsim.app.logs import get_logger
from smartsim.app.model import Model
from smartsim.app.orchestrator import Orchestrator
from smartsim.domain import record
from smartsim.domain.names import run_id
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
from smartsim.ports.event_log import LineLog

if TYPE_CHECKING:
    from smartsim.app.ensemble import Ensemble
    from smartsim.app.jobs import Job
    from smartsim.app.service import RunningShard
    from smartsim.app.telemetry import TelemetryConfiguration
    from smartsim.domain.settings.batch import BatchSettings
    from smartsim.ports.clock import Clock
    from smartsim.ports.event_log import EventLog

_TOGETHER = 0.05  # seconds in which the events of a burst are written together
_ID_BITS = 48  # of the id of a driver
_SECRET = re.compile("pass|auth|user", re.IGNORECASE)  # in the names of the server's options that hold secrets
Listener: TypeAlias = Callable[[Sequence[record.Event]], None]
"""Is told of events after they were recorded; may raise what it likes."""


class Recorder:
    """Writes events down, and tells others of them. May be used from several threads.

    That something cannot be kept is said once, and changes nothing else.

    Args:
        opened: the first event of this driver.
        exp_path: the directory of the experiment.
        log: takes the record.
        clock: tells the time.
        telemetry: whether the record is kept.
        always: are told of every event.
        recorded: are told of the events that are recorded.

    Attributes:
        driver: the id of this driver.
    """

    def __init__(
        self,
        opened: record.Opened,
        exp_path: str,
        log: EventLog,
        clock: Clock,
        telemetry: TelemetryConfiguration,
        always: Sequence[Listener] = (),
        recorded: Sequence[Listener] = (),
    ) -> None:
        self.driver = opened.driver
        self._opening: list[record.Event] = [opened]
        self._exp_path = exp_path
        self._log = log
        self._clock = clock
        self._telemetry = telemetry
        self._always = always
        self._recorded = recorded
        self._lock = threading.Lock()  # of the next two
        self._pending: list[record.Event] = []
        self._bursts = 0
        self._flushing = threading.Lock()  # held while events are written, so that they keep their order
        self._flushed = -math.inf  # when that was done last
        self._failed: set[Listener] = set()

    def add(self, events: Sequence[record.Event]) -> None:
        """Record what happened, in this order; at once, unless it is part of a burst."""
        if self._telemetry.is_enabled:
            with self._lock:
                self._pending += events
                waits = self._bursts and self._clock.monotonic() - self._flushed < _TOGETHER
            if not waits:
                self.flush()
        for listener in self._always:
            self._tell(listener, events)

    @contextmanager
    def burst(self) -> Iterator[None]:
        """Have many events written together: those that follow one another closely, and the last ones at the end.

        To write one event at a time costs more than twice as much, and two threads that do so hold up each other.
        """
        with self._lock:
            self._bursts += 1
        try:
            yield
        finally:
            with self._lock:
                self._bursts -= 1
            self.flush()

    def flush(self) -> None:
        """See to it that all is written, and that who is told of what was recorded has been told."""
        with self._flushing:  # also when nothing is left: another thread may be writing it
            with self._lock:
                events, self._pending = self._pending, []
            if events:
                self._flushed = self._clock.monotonic()
                for listener in (self._write, *self._recorded):
                    self._tell(listener, events)

    def path(self, path: str) -> str:
        """Return a path as it is recorded."""
        return record.relative(path, self._exp_path)

    def _write(self, events: Sequence[record.Event]) -> None:
        now, events = self._clock.now(), [*self._opening, *events]
        if isinstance(self._log, LineLog):
            self._log.append_lines([line(event, now) for event in events])
        else:
            self._log.append([record.write(event, now) for event in events])
        self._opening.clear()

    def _tell(self, listener: Listener, events: Sequence[record.Event]) -> None:
        try:
            listener(events)
        except Exception as error:  # noqa: BLE001 - an event log of a platform may raise anything; jobs matter more
            if listener not in self._failed:
                self._failed.add(listener)
                get_logger(__name__).warning(f"{error}. Jobs go on, but what happens to them is not recorded")


def opened(experiment: str, launcher: str, host: str, at: float) -> record.Opened:
    """Return the first event of this driver.

    Args:
        experiment: its name.
        launcher: the name of the launcher.
        host: the name of this machine.
        at: the time, in seconds since the epoch.
    """
    driver = run_id(secrets.randbits(_ID_BITS))
    return record.Opened(at, experiment, launcher, host, os.getpid(), _version(), driver)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("smartsim-next")
    except PackageNotFoundError:  # it is run out of its source tree
        return ""


def ensemble_facts(ensemble: Ensemble, recorder: Recorder) -> EnsembleFacts:
    """Return what is recorded of an ensemble that is launched."""
    return EnsembleFacts(
        ensemble.name, recorder.path(ensemble.path), ensemble.params, _batch_options(ensemble.batch_settings)
    )


def database_facts(database: Orchestrator, recorder: Recorder) -> DatabaseFacts:
    """Return what is recorded of a database that is launched."""
    return DatabaseFacts(
        database.name,
        recorder.path(database.path),
        tuple(database.interfaces),
        database.num_shards,
        database.replicas,
        _batch_options(database.batch_settings),
    )


def shard_facts(shard: RunningShard) -> ShardFacts:
    """Return what is recorded of a server that answers."""
    place, address = shard.plan.place, shard.address
    if place is None:
        return ShardFacts(shard.plan.name, address.host, address.port)
    return ShardFacts(shard.plan.name, address.host, address.port, place.shard, place.slots, place.is_replica)


def submission(job: Job, recorder: Recorder, kind: type[record.Submitted] = record.Submitted) -> record.Submitted:
    """Return the event of a job that is about to be started, or taken over.

    Args:
        job: the one.
        recorder: of the experiment.
        kind: which of both it is.
    """
    step, owner = job.step, job.owner
    taking_over: dict[str, Any] = {"driver": recorder.driver} if kind is record.TakenOver else {}
    return kind(
        at=job.state.submitted_at,
        entity=job.entity,
        type=job.entity_type,
        step=step.name,
        run=job.run,
        run_id=job.run_id,
        ensemble=job.ensemble,
        database=owner.name if isinstance(owner, Orchestrator) else "",
        command=step.command,
        directory=recorder.path(step.working_directory),
        stdout=recorder.path(step.stdout),
        stderr=recorder.path(step.stderr),
        batch_job="" if step.batch is None else step.batch.name,
        batch_script="" if step.batch is None else recorder.path(step.batch.script),
        **(_of_model(owner, recorder) if isinstance(owner, Model) else {}),
        **taking_over,
    )


def _of_model(model: Model, recorder: Recorder) -> dict[str, Any]:
    settings, files = model.run_settings, model.files
    return {
        "params": model.params,
        "files": None
        if files is None
        else Files(*(tuple(map(recorder.path, paths)) for paths in (files.copy, files.symlink, files.configure))),
        "key_prefixing": model.query_key_prefixing(),
        "incoming": tuple(entity.name for entity in model.incoming_entities),
        "settings": RunOptions(
            tuple(settings.exe), tuple(settings.exe_args), settings.run_command or "", settings.run_args
        ),
        "batch": _batch_options(model.batch_settings),
        "colocated": _shown(settings.colocated_db_settings or {}),
        "ml_models": tuple(MLObject(found.name, found.backend, found.device) for found in model.db_models),
        "ml_scripts": tuple(MLObject(found.name, "TORCH", found.device) for found in model.db_scripts),
    }


def _shown(colocated: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a colocated database that anybody may read, less what is told elsewhere."""
    shown = {name: value for name, value in colocated.items() if name not in ("db_models", "db_scripts")}
    if "extra_db_args" in shown:
        options = shown["extra_db_args"]
        shown["extra_db_args"] = {name: text for name, text in options.items() if not _SECRET.search(name)}
    return shown


def _batch_options(settings: BatchSettings | None) -> BatchOptions | None:
    return None if settings is None else BatchOptions(settings.batch_cmd, settings.batch_args)
