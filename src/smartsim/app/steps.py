"""From entities to steps: the command, the environment, the outputs, and the batch job."""

from __future__ import annotations

import itertools
import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from smartsim.app import colocated_start
from smartsim.app.ml_uploads import MLObjects, describe
from smartsim.domain.client_environment import client_environment
from smartsim.domain.errors import SmartSimError
from smartsim.domain.names import step_name
from smartsim.domain.settings.command import StepPlace, command_line
from smartsim.domain.steps import Batch, Step
from smartsim.ports.file_system import Placing

if TYPE_CHECKING:
    from smartsim.app.databases import ShardStart
    from smartsim.app.model import Model
    from smartsim.domain.client_environment import Endpoint
    from smartsim.domain.settings.batch import BatchSettings
    from smartsim.domain.settings.run import RunSettings
    from smartsim.ports.clock import Clock
    from smartsim.ports.database_server import DatabaseServer
    from smartsim.ports.file_system import FileSystem


class StepFactory:
    """Makes the steps of one launch.

    Args:
        outputs: the directory of the launch, for outputs; absolute.
        files: where outputs go.
        server: renders the configurations of colocated databases.
        clock: tells the time, by which steps have names of their own.
        inherited: the names of the driver's variables.
    """

    def __init__(
        self, outputs: str, files: FileSystem, server: DatabaseServer, clock: Clock, inherited: Collection[str]
    ) -> None:
        self._outputs = outputs
        self._files = files
        self._server = server
        self._inherited = inherited
        self._ticks = itertools.count(int(clock.now() * 1e9))

    def shard(self, start: ShardStart, batch: Batch | None) -> Step:
        """Return the step of a shard.

        Args:
            start: of the shard.
            batch: the job that it runs in.
        """
        name, directory = start.plan.name, start.plan.directory
        step = self._step(name, f"database/{start.database.name}/{name}", directory, start.settings, {}, batch)
        return step if start.database.keeps_cpus else replace(step, request=None)

    def application(
        self, model: Model, place: str, endpoints: Sequence[Endpoint], objects: MLObjects, batch: Batch | None
    ) -> Step:
        """Return the step of a model or member.

        Args:
            model: the one.
            place: of its outputs, below those of the launch.
            endpoints: the databases that run.
            objects: has the models and scripts for its colocated database.
            batch: the job that it runs in.
        """
        wrapper: tuple[str, ...] = ()
        if model.run_settings.colocated_db_settings is not None:
            wrapper = self._prepare_colocated(model, self.colocated_directory(place), objects)
        environment = self._environment(model, endpoints)
        return self._step(model.name, place, model.path, model.run_settings, environment, batch, wrapper)

    def colocated_directory(self, place: str) -> str:
        """Return the directory in which nodes tell of the colocated database of a model with its outputs at a place."""
        return posixpath.join(self._outputs, place, "colocated")

    def batch(self, name: str, place: str, directory: str, settings: BatchSettings) -> Batch:
        """Return a batch job.

        Args:
            name: of the model, ensemble or database that runs in it.
            place: of its outputs, below those of the launch.
            directory: for the script; absolute.
            settings: of the job.
        """
        # What the script itself says does not go among what a model of the same name says.
        stdout, stderr = self._prepare_outputs(f"{name}.batch", place, directory)
        status = posixpath.join(self._outputs, place, "batch")
        with _preparing(name):
            self._files.make_directory(status)
        return Batch(
            name=step_name(name, next(self._ticks)),
            submit=(settings.batch_cmd,),
            directives=settings.directives(),
            preamble=settings.preamble,
            script=posixpath.join(directory, f"{name}.sh"),
            directory=status,
            stdout=stdout,
            stderr=stderr,
            shebang=settings.shebang,
            array=settings.array,
        )

    def _step(
        self,
        name: str,
        place: str,
        directory: str,
        settings: RunSettings,
        environment: Mapping[str, str],
        batch: Batch | None,
        wrapper: tuple[str, ...] = (),
    ) -> Step:
        stdout, stderr = self._prepare_outputs(name, place, directory)
        step = step_name(name, next(self._ticks))
        settings = settings.copy()
        settings.in_batch = batch is not None
        # What starts ranks on other nodes hands over the variables that it is told of.
        settings.env_vars = {**environment, **settings.env_vars}
        line = command_line(settings, StepPlace(step, name, directory, stdout, stderr), wrapper)
        for path, content in line.files.items():
            self._files.write(path, content)
        return Step(
            name=step,
            argv=line.argv,
            launch=line.launch,
            environment=settings.variables(),
            working_directory=directory,
            stdout=stdout,
            stderr=stderr,
            batch=batch,
            ranks=settings.ranks,
            request=settings.resources(),
        )

    def _environment(self, model: Model, endpoints: Sequence[Endpoint]) -> dict[str, str]:
        """Return the variables of an application, but for the address of its colocated database."""
        settings = model.run_settings
        own = [colocated_start.endpoint(model)] if model.colocated else []
        environment = client_environment(
            model.name,
            [*endpoints, *own],
            key_prefixing=model.query_key_prefixing(),
            incoming=[entity.name for entity in model.incoming_entities],
            inherited=self._inherited,
        )
        for endpoint in own:
            del environment[f"SSDB{endpoint.suffix}"]
        if settings.colocated_db_settings and settings.colocated_db_settings["debug"]:
            environment["SMARTSIM_LOG_LEVEL"] = "debug"
        return environment

    def _prepare_colocated(self, model: Model, directory: str, objects: MLObjects) -> tuple[str, ...]:
        with _preparing(f"the database of {model.name}"):
            described = describe(objects.of([model]), posixpath.join(self._outputs, "ml_objects"), self._files)
            return colocated_start.prepare(model, directory, described, self._server, self._files)

    def _prepare_outputs(self, name: str, place: str, directory: str) -> tuple[str, str]:
        """Make an entity's directory, that of its outputs, and the links from the one to the other.

        Returns:
            The files for standard output and standard error.
        """
        outputs = posixpath.join(self._outputs, place)
        with _preparing(name):
            self._files.make_directory(directory)
            self._files.make_directory(outputs)
            for ending in (".out", ".err"):
                link = posixpath.join(directory, name + ending)
                self._files.place(posixpath.join(outputs, name + ending), link, Placing.SYMLINK)
        return posixpath.join(outputs, f"{name}.out"), posixpath.join(outputs, f"{name}.err")


@contextmanager
def _preparing(what: str) -> Iterator[None]:
    """Say in words what the file system refuses."""
    try:
        yield
    except FileExistsError as error:
        raise FileExistsError(
            f"{error.filename2 or error.filename} is in the way of the output of {what}: move it, or change the path "
            "of the entity"
        ) from error
    except OSError as error:
        raise SmartSimError(
            f"Cannot prepare {what}: {error.filename}: {error.strerror}. Nothing was started; choose a directory that "
            "can be written, or correct its permissions"
        ) from error
