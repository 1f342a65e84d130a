"""Launching: from entities to running jobs, all or none."""

from __future__ import annotations

import itertools
import os
import posixpath
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from smartsim.app.databases import Databases, ShardStart
from smartsim.app.ensemble import Ensemble
from smartsim.app.jobs import Job, Jobs
from smartsim.app.model import Model
from smartsim.app.orchestrator import Orchestrator
from smartsim.domain.client_environment import client_environment
from smartsim.domain.errors import SmartSimError, SSDBIDConflictError, SSUnsupportedError
from smartsim.domain.names import run_id, step_name
from smartsim.domain.settings.command import application_words, launch_words
from smartsim.domain.steps import Step
from smartsim.ports.file_system import FileSystem, Placing

if TYPE_CHECKING:
    from smartsim.domain.client_environment import Endpoint
    from smartsim.ports.clock import Clock

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
        files: where outputs go.
        clock: tells the time.
        kill_on_interrupt: whether a Ctrl-C ends what is started.
    """

    def __init__(
        self,
        name: str,
        exp_path: str,
        jobs: Jobs,
        databases: Databases,
        files: FileSystem,
        clock: Clock,
        *,
        kill_on_interrupt: bool,
    ) -> None:
        self._jobs = jobs
        self._databases = databases
        self._files = files
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
        started: list[Job] = []
        try:
            if manifest.databases:
                self._start_databases(manifest.databases, started)
            endpoints = self._databases.endpoints()
            jobs = [self._application_job(model, place, endpoints) for model, place in manifest.applications()]
            if jobs:
                started += jobs
                self._jobs.submit(jobs)
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
            _need_supported(model)
        identifiers = {database.name for database in self._databases.running()}
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

    def _application_job(self, model: Model, place: str, endpoints: Sequence[Endpoint]) -> Job:
        settings = model.run_settings
        environment = client_environment(
            model.name,
            endpoints,
            key_prefixing=model.query_key_prefixing(),
            incoming=[entity.name for entity in model.incoming_entities],
            inherited=os.environ.keys(),
        )
        environment.update({name: "" if value is None else value for name, value in settings.env_vars.items()})
        stdout, stderr = self._prepare_outputs(model.name, place, model.path)
        step = Step(
            name=step_name(model.name, next(self._ticks)),
            argv=application_words(settings, model.path),
            launch=launch_words(settings),
            environment=environment,
            working_directory=model.path,
            stdout=stdout,
            stderr=stderr,
        )
        return Job(model.name, "Model", model, step, self._jobs.next_run(model.name), self._kill_on_interrupt)

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


def _need_no_batch(entity: Model | Ensemble) -> None:
    if entity.batch_settings is not None:
        raise TypeError(
            "Local Launcher only supports entities with RunSettings, not "
            f"{type(entity.batch_settings).__name__} ({entity.name})"
        )


def _need_supported(model: Model) -> None:
    if model.colocated:
        raise SSUnsupportedError(
            f"{model.name} has a colocated database, which this version cannot start: use create_database()"
        )
    if next(iter(model.db_models), None) is not None or next(iter(model.db_scripts), None) is not None:
        raise SSUnsupportedError(
            f"{model.name} has ML models or scripts, which this version does not store at its start: "
            "store them from the application"
        )
