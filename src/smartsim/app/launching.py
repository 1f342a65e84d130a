"""Launching: from entities to running jobs, all or none."""

from __future__ import annotations

import os
import posixpath
import secrets
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from smartsim.app import colocated_start
from smartsim.app.databases import Databases, ShardStart
from smartsim.app.ensemble import Ensemble
from smartsim.app.jobs import Job, Jobs
from smartsim.app.ml_uploads import MLObjects, upload_to
from smartsim.app.model import Model
from smartsim.app.orchestrator import Orchestrator
from smartsim.app.recording import Recorder, database_facts, ensemble_facts
from smartsim.app.steps import StepFactory
from smartsim.domain import record
from smartsim.domain.client_environment import DEFAULT_IDENTIFIER
from smartsim.domain.errors import SmartSimError, SSDBIDConflictError, SSUnsupportedError
from smartsim.domain.launchers import check_allocation, check_batch, check_settings
from smartsim.domain.names import run_id
from smartsim.domain.steps import Batch
from smartsim.ports.database_server import DatabaseServer
from smartsim.ports.file_system import FileSystem

if TYPE_CHECKING:
    from smartsim.domain.client_environment import Endpoint
    from smartsim.domain.ml_objects import Upload
    from smartsim.ports.clock import Clock
    from smartsim.ports.connect import Connect

OUTPUT_DIRECTORY = ".smartsim/telemetry"
_RUN_ID_BITS = 48


@dataclass(frozen=True)
class Manifest:
    """What one call is about, by kind, in the order of the arguments."""

    models: tuple[Model, ...]
    ensembles: tuple[Ensemble, ...]
    databases: tuple[Orchestrator, ...]

    @classmethod
    def of(cls, entities: Iterable[object]) -> Manifest:
        """Sort entities by kind.

        Raises:
            TypeError: one is no entity.
            SmartSimError: two have the same name.
        """
        models, ensembles, databases = [], [], []
        seen: set[str] = set()
        for entity in entities:
            if isinstance(entity, Model):
                models.append(entity)
            elif isinstance(entity, Ensemble):
                ensembles.append(entity)
            elif isinstance(entity, Orchestrator):
                databases.append(entity)
            else:
                raise TypeError(
                    f"Argument was of type {type(entity).__name__}, not Model, Ensemble or Orchestrator: {entity!r}"
                )
            if entity.name in seen:
                raise SmartSimError(f"Two of the entities have the same name: {entity.name!r}")
            seen.add(entity.name)
        return cls(tuple(models), tuple(ensembles), tuple(databases))

    def applications(self) -> Iterator[tuple[Model, Ensemble | None, str]]:
        """Yield every model and member, with its ensemble, and the directory of its outputs below that of the run."""
        for ensemble in self.ensembles:
            for member in ensemble.models:
                yield member, ensemble, f"ensemble/{ensemble.name}/{member.name}"
        for model in self.models:
            yield model, None, f"model/{model.name}"


class Launch:
    """One call of `Experiment.start`.

    Args:
        name: of the experiment.
        exp_path: its directory.
        launcher: the name of the launcher.
        jobs: starts and follows.
        recorder: takes what happens.
        databases: those of the experiment.
        server: renders the configurations of colocated databases.
        files: where outputs go.
        clock: tells the time, and waits.
        connect: connects to databases, for models and scripts.
        kill_on_interrupt: whether a Ctrl-C ends what is started.
    """

    def __init__(
        self,
        name: str,
        exp_path: str,
        launcher: str,
        jobs: Jobs,
        recorder: Recorder,
        databases: Databases,
        server: DatabaseServer,
        files: FileSystem,
        clock: Clock,
        connect: Connect,
        *,
        kill_on_interrupt: bool,
    ) -> None:
        self._launcher = launcher
        self._jobs = jobs
        self._recorder = recorder
        self._databases = databases
        self._files = files
        self._clock = clock
        self._connect = connect
        self._kill_on_interrupt = kill_on_interrupt
        self._run_id = run_id(secrets.randbits(_RUN_ID_BITS))
        self._outputs = posixpath.join(exp_path, OUTPUT_DIRECTORY, name, self._run_id)
        self._steps = StepFactory(self._outputs, files, server, clock, os.environ.keys())

    def run(self, manifest: Manifest) -> list[Job]:
        """Start everything, databases first.

        Returns:
            The jobs of models and members.

        Raises:
            SmartSimError: something cannot be started; what this call had started is stopped again.
        """
        self._check(manifest)
        objects = MLObjects(self._files)
        uploads = self._find_uploads(manifest, objects)
        self._record_begin(manifest)
        started: list[Job] = []
        try:
            if manifest.databases:
                self._start_databases(manifest.databases, started)
            endpoints = self._databases.endpoints()
            self._upload(uploads, endpoints)
            jobs = self._application_jobs(manifest, endpoints, objects)
            if jobs:
                started += jobs
                self._jobs.submit(jobs)
                colocated_start.await_ready(jobs, self._jobs, self._files, self._clock)
        except BaseException as error:
            self._roll_back(started)
            for database in manifest.databases:
                database.bind(None)
            self._recorder.add([record.LaunchFailed(self._clock.now(), self._run_id, str(error) or repr(error))])
            raise
        self._recorder.add([record.Launched(self._clock.now(), self._run_id)])
        return jobs

    def _record_begin(self, manifest: Manifest) -> None:
        recorder = self._recorder
        event = record.Launching(
            self._clock.now(),
            self._run_id,
            recorder.path(self._outputs),
            tuple(ensemble_facts(ensemble, recorder) for ensemble in manifest.ensembles),
            tuple(database_facts(database, recorder) for database in manifest.databases),
            recorder.driver,
        )
        recorder.add([event])

    def _roll_back(self, jobs: Sequence[Job]) -> None:
        known = [job for job in jobs if self._jobs.latest(job.entity) is job]
        self._jobs.stop(known, by="the start that failed")
        self._jobs.wait_stopped(known)

    # What is refused before anything is touched

    def _check(self, manifest: Manifest) -> None:
        for ensemble in manifest.ensembles:
            if not ensemble.models:
                raise ValueError(f"{ensemble.name} is empty. Nothing to launch.")
        names: set[str] = set()
        identifiers = {database.name for database in (*self._databases.running(), *manifest.databases)}
        for model, its_ensemble, _ in manifest.applications():
            self._check_name(model.name, model, names)
            owner = its_ensemble or model
            if owner.batch_settings is None:
                check_allocation(model.name, model.run_settings, self._launcher, os.environ)
            else:
                check_batch(owner.name, owner.batch_settings, self._launcher)
            check_settings(model.name, model.run_settings, self._launcher)
            _check_identifier(model, identifiers)
        running = {database.name for database in self._databases.running()}
        for database in manifest.databases:
            if database.name in running:
                raise SSDBIDConflictError(
                    f"Database identifier {database.name} has already been used. "
                    "Pass in a unique name for db_identifier"
                )
            database.check(os.environ)
            for node in database.entities:
                self._check_name(node.name, database, names)

    def _check_name(self, name: str, owner: object, names: set[str]) -> None:
        if name in names:
            raise SSUnsupportedError(f"SmartSim entities cannot have duplicate names. {name!r} is given twice")
        names.add(name)
        self._jobs.refuse_taken(name, owner)

    # Models and scripts for machine learning

    def _find_uploads(self, manifest: Manifest, objects: MLObjects) -> list[Upload]:
        """Return what every database is to have, and see that what is for colocated ones can be had, too."""
        models = [model for model, _, _ in manifest.applications()]
        for model in models:
            if model.colocated:
                objects.of([model])
        uploads = objects.of(model for model in models if not model.colocated)
        if uploads and not manifest.databases and not self._databases.running():
            raise SmartSimError(
                f"{uploads[0].owner} has the {uploads[0].kind} {uploads[0].name!r}, and no database runs that could "
                "take it: start one before or together with it"
            )
        return uploads

    def _upload(self, uploads: Sequence[Upload], endpoints: Sequence[Endpoint]) -> None:
        services = {database.name: database.service for database in self._databases.running()}
        for endpoint in endpoints if uploads else ():
            service = services.get(endpoint.identifier)
            if service is not None:
                upload_to(endpoint, service, uploads, self._connect)

    # Jobs

    def _start_databases(self, databases: Sequence[Orchestrator], started: list[Job]) -> None:
        starts = self._databases.plan(databases)
        batches = {
            database.name: self._steps.batch(
                database.name, f"database/{database.name}", database.path, database.batch_settings
            )
            for database in databases
            if database.batch_settings is not None
        }
        jobs = [self._shard_job(start, batches.get(start.database.name)) for start in starts]
        started += jobs
        self._jobs.submit(jobs)
        self._databases.await_ready(starts, jobs)

    def _shard_job(self, start: ShardStart, batch: Batch | None) -> Job:
        name = start.plan.name
        step = self._steps.shard(start, batch)
        run = self._jobs.next_run(name)
        return Job(name, "DBNode", start.database, step, run, self._kill_on_interrupt, run_id=self._run_id)

    def _application_jobs(self, manifest: Manifest, endpoints: Sequence[Endpoint], objects: MLObjects) -> list[Job]:
        batches = {
            ensemble.name: self._steps.batch(
                ensemble.name, f"ensemble/{ensemble.name}", ensemble.path, ensemble.batch_settings
            )
            for ensemble in manifest.ensembles
            if ensemble.batch_settings is not None
        }
        jobs = []
        for model, ensemble, place in manifest.applications():
            if ensemble is not None:
                batch = batches.get(ensemble.name)
            elif model.batch_settings is not None:
                batch = self._steps.batch(model.name, place, model.path, model.batch_settings)
            else:
                batch = None
            step = self._steps.application(model, place, endpoints, objects, batch)
            colocated = self._steps.colocated_directory(place) if model.colocated else None
            run = self._jobs.next_run(model.name)
            member_of = "" if ensemble is None else ensemble.name
            kill = self._kill_on_interrupt
            jobs.append(Job(model.name, "Model", model, step, run, kill, colocated, self._run_id, member_of))
        return jobs


def _check_identifier(model: Model, identifiers: Collection[str]) -> None:
    """Refuse a colocated database that the application could not tell from another."""
    settings = model.run_settings.colocated_db_settings
    if settings is not None and (settings["db_identifier"] or DEFAULT_IDENTIFIER) in identifiers:
        raise SSDBIDConflictError(
            f"Database identifier {settings['db_identifier'] or DEFAULT_IDENTIFIER!r} has already been used: a "
            f"database of that name runs, and {model.name} has a colocated one. Pass in a unique name for db_identifier"
        )
