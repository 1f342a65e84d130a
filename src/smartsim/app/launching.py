"""Launching: from entities to running jobs, all or none."""

from __future__ import annotations

import itertools
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
from smartsim.app.ml_uploads import MLObjects, describe, upload_to
from smartsim.app.model import Model
from smartsim.app.orchestrator import Orchestrator
from smartsim.domain.client_environment import DEFAULT_IDENTIFIER, client_environment
from smartsim.domain.errors import SmartSimError, SSDBIDConflictError, SSUnsupportedError
from smartsim.domain.names import run_id, step_name
from smartsim.domain.settings.command import application_words, launch_words
from smartsim.domain.steps import Step
from smartsim.ports.database_server import DatabaseServer
from smartsim.ports.file_system import FileSystem, Placing

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

    def applications(self) -> Iterator[tuple[Model, str]]:
        """Yield every model and member, with the directory of its outputs below that of the run."""
        for ensemble in self.ensembles:
            for member in ensemble.models:
                yield member, f"ensemble/{ensemble.name}/{member.name}"
        for model in self.models:
            yield model, f"model/{model.name}"


class Launch:
    """One call of `Experiment.start`.

    Args:
        name: of the experiment.
        exp_path: its directory.
        jobs: starts and follows.
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
        jobs: Jobs,
        databases: Databases,
        server: DatabaseServer,
        files: FileSystem,
        clock: Clock,
        connect: Connect,
        *,
        kill_on_interrupt: bool,
    ) -> None:
        self._jobs = jobs
        self._databases = databases
        self._server = server
        self._files = files
        self._clock = clock
        self._connect = connect
        self._kill_on_interrupt = kill_on_interrupt
        identifier = run_id(secrets.randbits(_RUN_ID_BITS))
        self._outputs = posixpath.join(exp_path, OUTPUT_DIRECTORY, name, identifier)
        self._ticks = itertools.count(int(clock.now() * 1e9))

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
        started: list[Job] = []
        try:
            if manifest.databases:
                self._start_databases(manifest.databases, started)
            endpoints = self._databases.endpoints()
            self._upload(uploads, endpoints)
            applications = manifest.applications()
            jobs = [self._application_job(model, place, endpoints, objects) for model, place in applications]
            if jobs:
                started += jobs
                self._jobs.submit(jobs)
                colocated_start.await_ready(jobs, self._jobs, self._files, self._clock)
        except BaseException:
            self._roll_back(started)
            for database in manifest.databases:
                database.bind(None)
            raise
        return jobs

    def _roll_back(self, jobs: Sequence[Job]) -> None:
        known = [job for job in jobs if self._jobs.latest(job.entity) is job]
        self._jobs.stop(known, by="the start that failed")
        self._jobs.wait_stopped(known)

    # What is refused before anything is touched

    def _check(self, manifest: Manifest) -> None:
        for ensemble in manifest.ensembles:
            if not ensemble.models:
                raise ValueError(f"{ensemble.name} is empty. Nothing to launch.")
            _need_no_batch(ensemble)
        names: set[str] = set()
        for model, _ in manifest.applications():
            self._check_name(model.name, model, names)
            _need_no_batch(model)
        identifiers = {database.name for database in self._databases.running()}
        for model, _ in manifest.applications():
            _check_identifier(model, identifiers | {database.name for database in manifest.databases})
        for database in manifest.databases:
            if database.name in identifiers:
                raise SSDBIDConflictError(
                    f"Database identifier {database.name} has already been used. "
                    "Pass in a unique name for db_identifier"
                )
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
        models = [model for model, _ in manifest.applications()]
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

    # Databases

    def _start_databases(self, databases: Sequence[Orchestrator], started: list[Job]) -> None:
        starts = self._databases.plan(databases)
        jobs = [self._shard_job(start) for start in starts]
        started += jobs
        self._jobs.submit(jobs)
        self._databases.await_ready(starts, jobs)

    def _shard_job(self, start: ShardStart) -> Job:
        name, directory = start.plan.name, start.plan.directory
        stdout, stderr = self._prepare_outputs(name, f"database/{start.database.name}/{name}", directory)
        step = Step(step_name(name, next(self._ticks)), start.argv, (), {}, directory, stdout, stderr)
        return Job(name, "DBNode", start.database, step, self._jobs.next_run(name), self._kill_on_interrupt)

    # Models and members

    def _application_job(self, model: Model, place: str, endpoints: Sequence[Endpoint], objects: MLObjects) -> Job:
        settings = model.run_settings
        stdout, stderr = self._prepare_outputs(model.name, place, model.path)
        words = application_words(settings, model.path)
        directory = None
        if settings.colocated_db_settings is not None:
            directory = posixpath.join(self._outputs, place, "colocated")
            words = (*self._prepare_colocated(model, directory, objects), *words)
        step = Step(
            name=step_name(model.name, next(self._ticks)),
            argv=words,
            launch=launch_words(settings),
            environment=_environment(model, endpoints),
            working_directory=model.path,
            stdout=stdout,
            stderr=stderr,
        )
        run = self._jobs.next_run(model.name)
        return Job(model.name, "Model", model, step, run, self._kill_on_interrupt, directory)

    def _prepare_colocated(self, model: Model, directory: str, objects: MLObjects) -> tuple[str, ...]:
        try:
            described = describe(objects.of([model]), posixpath.join(self._outputs, "ml_objects"), self._files)
            return colocated_start.prepare(model, directory, described, self._server, self._files)
        except OSError as error:
            raise SmartSimError(
                f"Cannot prepare the database of {model.name}: {error.filename}: {error.strerror}. Nothing was "
                "started; choose a directory that can be written, or correct its permissions"
            ) from error

    def _prepare_outputs(self, name: str, place: str, directory: str) -> tuple[str, str]:
        """Make an entity's directory, that of its outputs, and the links from the one to the other.

        Returns:
            The files for standard output and standard error.
        """
        outputs = posixpath.join(self._outputs, place)
        try:
            self._files.make_directory(directory)
            self._files.make_directory(outputs)
            for ending in (".out", ".err"):
                link = posixpath.join(directory, name + ending)
                self._files.place(posixpath.join(outputs, name + ending), link, Placing.SYMLINK)
        except FileExistsError as error:
            raise FileExistsError(
                f"{error.filename2 or error.filename} is in the way of the output of {name}: move it, or change the "
                "path of the entity"
            ) from error
        except OSError as error:
            raise SmartSimError(
                f"Cannot prepare {name}: {error.filename}: {error.strerror}. Nothing was started; choose a directory "
                "that can be written, or correct its permissions"
            ) from error
        return posixpath.join(outputs, f"{name}.out"), posixpath.join(outputs, f"{name}.err")


def _environment(model: Model, endpoints: Sequence[Endpoint]) -> dict[str, str]:
    """Return the variables of an application, but for the address of its colocated database."""
    settings = model.run_settings
    own = [colocated_start.endpoint(model)] if model.colocated else []
    environment = client_environment(
        model.name,
        [*endpoints, *own],
        key_prefixing=model.query_key_prefixing(),
        incoming=[entity.name for entity in model.incoming_entities],
        inherited=os.environ.keys(),
    )
    for endpoint in own:
        del environment[f"SSDB{endpoint.suffix}"]
    if settings.colocated_db_settings and settings.colocated_db_settings["debug"]:
        environment["SMARTSIM_LOG_LEVEL"] = "debug"
    environment.update({name: "" if value is None else value for name, value in settings.env_vars.items()})
    return environment


def _check_identifier(model: Model, identifiers: Collection[str]) -> None:
    """Refuse a colocated database that the application could not tell from another."""
    settings = model.run_settings.colocated_db_settings
    if settings is not None and (settings["db_identifier"] or DEFAULT_IDENTIFIER) in identifiers:
        raise SSDBIDConflictError(
            f"Database identifier {settings['db_identifier'] or DEFAULT_IDENTIFIER!r} has already been used: a "
            f"database of that name runs, and {model.name} has a colocated one. Pass in a unique name for db_identifier"
        )


def _need_no_batch(entity: Model | Ensemble) -> None:
    if entity.batch_settings is not None:
        raise TypeError(
            "Local Launcher only supports entities with RunSettings, not "
            f"{type(entity.batch_settings).__name__} ({entity.name})"
        )
