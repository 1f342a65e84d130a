"""The experiment, as a driver script holds it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from smartsim.app.bootstrap import Adapters, system_adapters
from smartsim.app.control import Control
from smartsim.app.databases import Databases
from smartsim.app.ensemble import Ensemble
from smartsim.app.entity_factory import EntityFactory
from smartsim.app.experiment_sampling import experiment_sampler
from smartsim.app.exporting import Exporting
from smartsim.app.generation import Generation
from smartsim.app.interrupts import on_interrupt, run_whole
from smartsim.app.jobs import GRACE, Job, Jobs
from smartsim.app.launchers import detect_launcher
from smartsim.app.launching import Launch, Manifest
from smartsim.app.logs import ExperimentLogs, ctx_exp_path, get_logger
from smartsim.app.manifest import ManifestFile
from smartsim.app.model import Model
from smartsim.app.orchestrator import Orchestrator
from smartsim.app.preview import Format, Preview, Verbosity, check_format
from smartsim.app.preview_text import render_json, render_text, write_preview
from smartsim.app.progress import wait_with_progress
from smartsim.app.recording import Recorder, opened
from smartsim.app.reports import announce_end, job_line, launch_summary, summary_table
from smartsim.app.status_files import StatusFiles
from smartsim.app.telemetry import TelemetryConfiguration, sampling_interval
from smartsim.domain.errors import SmartSimError
from smartsim.domain.status import SmartSimStatus

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


Entity: TypeAlias = Model | Ensemble | Orchestrator

_DEFAULT_POLL = 10.0  # seconds between two lines of `poll`
_TURN = 10.0  # seconds for which a start that somebody else asked for waits until another one is through
_USER = "the user"


class Experiment(EntityFactory):
    """Creates, generates, launches and follows simulations, ensembles of them, and databases.

    Jobs that run when the driver exits go on running; used as a context manager, an experiment stops everything on the
    way out.

    Args:
        name: of the experiment.
        exp_path: its directory, which exists; by default `<working directory>/<name>`, made when needed.
        launcher: what starts the jobs: "local", "slurm", "pbs", "pals", "lsf", "sge", "cobalt", "flux", "dragon", or
            "auto" for the one whose controller answers here.
        adapters: what the experiment works with instead of the launcher's own; see `smartsim.embedding`.

    Raises:
        TypeError: an argument of the wrong type.
        NotADirectoryError: `exp_path` is no directory.
        SSUnsupportedError: there is no such launcher.

    Example:
        >>> from smartsim import Experiment
        >>> with Experiment("study", launcher="local") as exp:
        ...     settings = exp.create_run_settings("echo", "hello")
        ...     ensemble = exp.create_ensemble("hello", run_settings=settings, replicas=3)
        ...     exp.generate(ensemble, overwrite=True)
        ...     exp.start(ensemble, block=True)
        ...     print(exp.summary())
    """

    def __init__(
        self, name: str, exp_path: str | None = None, launcher: str = "local", *, adapters: Adapters | None = None
    ) -> None:
        if not isinstance(name, str) or not isinstance(launcher, str):
            raise TypeError(f"name and launcher must be of type str, not {name!r} and {launcher!r}")
        if not name or "\0" in name:
            raise ValueError(f"{name!r} cannot be the name of an experiment: its directory is called so")
        if exp_path is not None and not isinstance(exp_path, str):
            raise TypeError(f"exp_path argument was not of type str: {exp_path!r}")
        path = os.path.abspath(exp_path if exp_path is not None else os.path.join(os.getcwd(), name))
        launcher = launcher.lower()
        if adapters is None:
            if exp_path is not None and not os.path.isdir(path):
                raise NotADirectoryError(f"Experiment path provided does not exist: {path}")
            launcher = detect_launcher() if launcher == "auto" else launcher
            adapters = system_adapters(launcher, path)
        super().__init__(path, launcher, adapters)
        self.name = name
        self._closed = False
        self._launching = threading.Lock()
        self._telemetry = TelemetryConfiguration(_flag("SMARTSIM_FLAG_TELEMETRY"))
        self._logs = ExperimentLogs(self.exp_path)
        self._exporting = None if adapters.telemetry_export is None else Exporting(adapters.telemetry_export, name)
        beginning = opened(name, launcher, adapters.network.hostname(), adapters.clock.now())
        self._recorder = Recorder(
            beginning,
            path,
            adapters.event_log,
            adapters.clock,
            self._telemetry,
            always=[ManifestFile(beginning, path, adapters.files)],
            recorded=[
                StatusFiles(path, adapters.files),
                *(() if self._exporting is None else (self._exporting.happened,)),
            ],
        )
        self._jobs = Jobs(
            adapters.workload_manager,
            adapters.clock,
            self._recorder,
            announce=self._with_logs(partial(announce_end, adapters.files)),
        )
        self._databases = Databases(
            self._jobs,
            adapters.database_server,
            adapters.files,
            adapters.network,
            adapters.clock,
            self._launcher,
            self._recorder,
            adapters.nodes,
        )
        self._sampler = experiment_sampler(
            adapters,
            self._jobs,
            self._databases,
            lambda: self._telemetry.is_enabled,
            sampling_interval(os.environ),
            None if self._exporting is None else self._exporting.sampled,
        )
        self._control = Control(path, adapters.control, self._jobs, self._stop_for, self._start_again)

    @property
    def telemetry(self) -> TelemetryConfiguration:
        """The switch of the experiment's record, `.smartsim/events.jsonl`, of what is made from it, and of samples."""
        return self._telemetry

    def __str__(self) -> str:
        return self.name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop everything that runs."""
        with self._logged():
            self._closed = True
            self._sampler.close()
            try:
                with self._launching:  # a start in another thread is to end first
                    self._stop_all()
            finally:
                self._jobs.close()
                self._control.close()
                if self._exporting is not None:
                    self._exporting.close()
        self._logs.close()

    # Running them

    def generate(
        self,
        *args: Entity,
        tag: str | None = None,
        overwrite: bool = False,
        verbose: bool = False,
    ) -> None:
        r"""Make the directories of entities, with their attached files, and write parameters into those to configure.

        Args:
            *args: the entities.
            tag: what stands before and after the name of a parameter in files to configure; by default ";".
            overwrite: whether directories that exist are replaced.
            verbose: whether each model is told at level INFO.

        Raises:
            EntityExistsError: a directory exists already.
            ParameterWriterError: a file to configure cannot be read as text.
            SmartSimError: the file system refuses. In each case nothing half-written is left.

        Example:
            >>> model = exp.create_model("m", exp.create_run_settings("cat", "in.txt"), params={"dt": 0.5})
            >>> model.attach_generator_files(to_configure="in.txt")  # dt = ;dt;
            >>> exp.generate(model, overwrite=True)
        """
        with self._logged():
            manifest = self._manifest(args)
            self._refuse_running(args)
            for ensemble in manifest.ensembles:
                for member in ensemble.models:
                    # A model that was made for itself and added moves in with the others.
                    if member.path == self._path_of(member.name):
                        member.set_path(os.path.join(ensemble.path, member.name))
            now = self._adapters.clock.now()
            generation = Generation(
                self._adapters.files, self.exp_path, now, ";" if tag is None else tag, overwrite, verbose
            )
            generation.run(manifest.models, manifest.ensembles, manifest.databases)
            self._keep_logs()

    def start(
        self,
        *args: Entity,
        block: bool = True,
        summary: bool = False,
        kill_on_interrupt: bool = True,
    ) -> None:
        """Launch entities: databases first, and all or none.

        Args:
            *args: the entities, in any order.
            block: whether to return only when no model of the experiment is active any more; those that somebody has
                restarted from outside in the meantime are among them.
            summary: whether to log what is about to be launched.
            kill_on_interrupt: whether a Ctrl-C stops what is launched.

        Raises:
            TypeError, ValueError: an argument that cannot be launched.
            SSUnsupportedError: a name is in use.
            SmartSimError: a job cannot be started (the message has its command and why), a database did not come up, or
                does not take a model or script. What this call had started is stopped again.
        """
        with self._logged():
            manifest = self._manifest(args)
            if summary:
                runs = bool(self._databases.running())
                text = launch_summary(self.name, self.exp_path, self._launcher, manifest, database_runs=runs)
                get_logger(__name__).info(text)
            on_interrupt(self._interrupted)
            self._keep_logs()
            with self._interruptible():
                with self._launching:
                    started = self._launch(manifest, kill_on_interrupt)
                if block:
                    wait_with_progress(self._jobs, started, self._adapters.clock)

    def _launch(self, manifest: Manifest, kill_on_interrupt: bool) -> list[Job]:
        if self._closed:
            raise SmartSimError(f"The experiment {self.name!r} is closed: its `with` block has ended. Make another")
        if self._telemetry.is_enabled:
            self._control.attend(manifest)
        adapters = self._adapters
        launch = Launch(
            self.name,
            self.exp_path,
            self._launcher,
            self._jobs,
            self._recorder,
            self._databases,
            adapters.database_server,
            adapters.files,
            adapters.clock,
            adapters.connect,
            kill_on_interrupt=kill_on_interrupt,
        )
        started = run_whole(lambda: launch.run(manifest))
        self._sampler.start()
        return started

    def _start_again(self, manifest: Manifest, kill_on_interrupt: bool) -> None:
        """Start what somebody outside of the driver wants to run again."""
        with self._logged():
            if not self._launching.acquire(timeout=_TURN):
                raise SmartSimError("The driver is starting something else: try again when that runs")
            try:
                self._launch(manifest, kill_on_interrupt)
            finally:
                self._launching.release()

    def poll(self, interval: float = _DEFAULT_POLL, verbose: bool = True, kill_on_interrupt: bool = True) -> None:
        """Wait until no model is active, with a line for each active one from time to time.

        Args:
            interval: seconds between the lines.
            verbose: whether to log them.
            kill_on_interrupt: whether a Ctrl-C stops what runs.
        """
        with self._logged(), self._interruptible():
            for job in self._jobs.active():
                job.kill_on_interrupt = kill_on_interrupt
            while not self._jobs.wait_idle(interval):
                if verbose:
                    for job in self._jobs.active():
                        if not job.is_database:
                            get_logger(__name__).info(job_line(job))

    def wait(self, *args: Entity, timeout: float | None = None) -> list[SmartSimStatus]:
        """Wait until entities have ended.

        Args:
            *args: the entities; without any, all models of the experiment.
            timeout: the longest wait in seconds; None waits for ever.

        Returns:
            Their statuses, as `get_status` has them.

        Raises:
            TimeoutError: they have not ended in time; they go on running.
            ValueError: one was not launched in this experiment.
        """
        with self._logged(), self._interruptible():
            jobs = [job for entity in args for job in self._jobs_of(entity)]
            ended = self._jobs.wait_ended(jobs, timeout) if args else self._jobs.wait_idle(timeout)
            if not ended:
                waited_for = jobs if args else [job for job in self._jobs.active() if not job.is_database]
                running = ", ".join(str(job) for job in waited_for if not job.state.is_final)
                raise TimeoutError(f"Not ended after {timeout} s: {running}")
            return self.get_status(*args)

    def stop(self, *args: Entity, grace: float = GRACE) -> None:
        """End entities: models and ensembles first, then databases. Those that ended already are left alone.

        Every process that a job started is asked to end (SIGTERM), and killed (SIGKILL) when it has not after the grace
        period; a database ends itself when asked to.

        Args:
            *args: the entities.
            grace: seconds between asking and killing.

        Raises:
            TypeError: an argument is no entity.
            ValueError: one was not launched in this experiment.
            SmartSimError: one did not end.
        """
        with self._logged():
            manifest = self._manifest(args)
            applications: list[Entity] = [*manifest.models, *manifest.ensembles]
            jobs = [job for entity in applications for job in self._jobs_of(entity)]
            for database in manifest.databases:
                self._jobs_of(database)
            self._stop_jobs([job for job in jobs if not job.state.is_final], grace)
            for database in manifest.databases:
                self._databases.stop(database, grace, _USER)

    def _stop_for(self, jobs: Sequence[Job], by: str) -> None:
        """End what somebody outside of the driver wants to end: jobs, of databases all."""
        with self._logged():
            self._stop_jobs([job for job in jobs if not job.is_database], GRACE, by)
            for database in {job.owner: None for job in jobs if isinstance(job.owner, Orchestrator)}:
                self._databases.stop(database, GRACE, by)

    def _stop_jobs(self, jobs: list[Job], grace: float, by: str = _USER) -> None:
        for job in jobs:
            get_logger(__name__).info(f"Stopping model {job.entity} with job name {job.step.name}")
        self._jobs.stop(jobs, by, grace)
        if not self._jobs.wait_stopped(jobs, grace):
            left = ", ".join(str(job) for job in jobs if not job.state.is_final)
            raise SmartSimError(f"Did not end, although killed: {left}")

    def _stop_all(self) -> None:
        try:
            self._stop_jobs([job for job in self._jobs.active() if not job.is_database], GRACE)
        finally:
            for database in self._databases.left():
                self._databases.stop(database, GRACE, _USER)

    def reconnect_orchestrator(self, checkpoint: str) -> Orchestrator:
        """Take over a database that an earlier driver started and left running.

        Args:
            checkpoint: its `checkpoint_file`.

        Raises:
            FileNotFoundError: there is no such file.
            SmartSimError: the file is damaged, or the database does not run any more.
        """
        with self._logged():
            database = self._databases.reconnect(os.path.abspath(checkpoint), self.create_database)
            self._sampler.start()
            return database

    # Asking about them

    def finished(self, entity: Model | Ensemble) -> bool:
        """Return whether a model, or every member of an ensemble, has ended.

        Raises:
            TypeError: it is a database, or no entity.
            ValueError: it was not launched in this experiment.
        """
        if isinstance(entity, Orchestrator):
            raise TypeError("Finished() does not support Orchestrator instances")
        return all(job.state.is_final for job in self._jobs_of(entity))

    def get_status(self, *args: Entity) -> list[SmartSimStatus]:
        """Return where entities stand, in the order of the arguments.

        An ensemble gives the statuses of its members and a database those of its shards, in its place.

        Raises:
            TypeError: an argument is no entity.
        """
        statuses = []
        for entity in args:
            for name, owner in _parts(entity):
                job = self._jobs.latest(name)
                known = job is not None and job.owner is owner
                statuses.append(job.state.status if job is not None and known else SmartSimStatus.STATUS_NEVER_STARTED)
        return statuses

    def preview(
        self,
        *args: Entity,
        verbosity_level: Verbosity | str = Verbosity.INFO,
        output_format: Format | str = Format.PLAINTEXT,
        output_filename: str | None = None,
    ) -> None:
        """Tell what `start` would launch, and with which commands. Nothing is started, and no entity is changed.

        Args:
            *args: the entities.
            verbosity_level: `smartsim.preview.Verbosity`, or its name: "info" tells what was set, "debug" also what
                follows from it, "developer" also commands, environments and batch scripts as they will be.
            output_format: `smartsim.preview.Format`, or its name: "plain_text" or "json".
            output_filename: a file for it, never one that is there: a number is added to the name. Without one, it is
                logged.

        Raises:
            TypeError: an argument is no entity.
            ValueError: there is no such verbosity.
            PreviewFormatError: there is no such format.

        Example:
            >>> exp.preview(model, verbosity_level="developer")  # doctest: +SKIP
        """
        verbosity, form = Verbosity(verbosity_level), check_format(output_format)
        manifest = self._manifest(args)
        if verbosity is Verbosity.INFO:
            get_logger(__name__).warning(
                'Only showing user set parameters. For what follows from them, choose verbosity_level="debug"; for '
                'commands, "developer"'
            )
        running, endpoints = self._databases.running(), self._databases.endpoints()
        preview = Preview(self.name, self.exp_path, self._launcher, self._adapters, running, endpoints)
        description = preview.describe(manifest, verbosity)
        text = render_json(description) if form is Format.JSON else render_text(description)
        if output_filename is None:
            get_logger(__name__).info(f"\n{text}")
        else:
            ending = ".json" if form is Format.JSON else ".txt"
            write_preview(text, output_filename, ending, self._adapters.files)

    def summary(self, style: str = "github") -> str:
        """Return a table of all runs that have ended, with their times and exit codes.

        Args:
            style: any format of the `tabulate` package, such as "github", "simple" or "html".

        Raises:
            ValueError: there is no such style.
        """
        return summary_table(self._jobs.finished(), style)

    def _jobs_of(self, entity: Entity) -> list[Job]:
        latest = [(name, owner, self._jobs.latest(name)) for name, owner in _parts(entity)]
        jobs = [job for _, owner, job in latest if job is not None and job.owner is owner]
        # A database that was taken over may have lost a server before.
        if len(jobs) < len(latest) and not (jobs and isinstance(entity, Orchestrator)):
            name = next(name for name, owner, job in latest if job is None or job.owner is not owner)
            raise ValueError(f"Entity {name} has not been launched in this experiment")
        return jobs

    def _refuse_running(self, entities: tuple[Entity, ...]) -> None:
        for name, owner in (part for entity in entities for part in _parts(entity)):
            job = self._jobs.latest(name)
            if job is not None and job.owner is owner and not job.state.is_final:
                raise SmartSimError(
                    f"{name} is running in its directory: stop it, or wait for it, before generating anew"
                )

    def _manifest(self, entities: tuple[object, ...]) -> Manifest:
        manifest = Manifest.of(entities)
        known: list[Entity] = [*manifest.models, *manifest.ensembles, *manifest.databases]
        for entity in known:
            if entity.exp_path not in (None, self.exp_path):
                raise SmartSimError(
                    f"{entity.name} belongs to the experiment in {entity.exp_path}, not to {self.name!r} in "
                    f"{self.exp_path}: create it with this experiment"
                )
        return manifest

    # Ctrl-C and logs

    def _interrupted(self) -> None:
        with self._logged():
            active = self._jobs.active()
            doomed = [job for job in active if job.kill_on_interrupt]
            self._jobs.stop(doomed, by="Ctrl-C")
            left = [job for job in active if not job.kill_on_interrupt]
            if left:
                logger = get_logger(__name__)
                logger.warning("SmartSim process interrupted before resource cleanup")
                logger.warning("You may need to manually stop the following:")
                for job in left:
                    logger.warning(f"Task {job.entity} with id: {job.state.native_id}")
            self._jobs.wait_stopped(doomed)

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """See to it that what a Ctrl-C is to stop has stopped when `KeyboardInterrupt` reaches the driver."""
        try:
            yield
        except KeyboardInterrupt:
            doomed = [job for job in self._jobs.active() if job.kill_on_interrupt]
            self._jobs.stop(doomed, by="Ctrl-C")
            self._jobs.wait_stopped(doomed)
            raise

    def _keep_logs(self) -> None:
        """Open the experiment's log files; an experiment on a virtual file system has none."""
        try:
            self._adapters.files.make_directory(self.exp_path)
            if os.path.isdir(self.exp_path):
                self._logs.attach()
        except OSError as error:
            raise SmartSimError(
                f"Cannot write into {self.exp_path}: {error.filename}: {error.strerror}. Nothing was started; choose "
                "another exp_path, or correct the permissions"
            ) from error

    @contextmanager
    def _logged(self) -> Iterator[None]:
        """Have what is logged inside go to the experiment's own log files, too."""
        token = ctx_exp_path.set(self.exp_path)
        try:
            yield
        finally:
            ctx_exp_path.reset(token)

    def _with_logs(self, function: Callable[[Job], None]) -> Callable[[Job], None]:
        def logged(job: Job) -> None:
            with self._logged():
                function(job)

        return logged


def _parts(entity: object) -> list[tuple[str, object]]:
    """Return what an entity is launched as: the name of each job, and the object that owns it."""
    if isinstance(entity, Model):
        return [(entity.name, entity)]
    if isinstance(entity, Ensemble):
        return [(member.name, member) for member in entity.models]
    if isinstance(entity, Orchestrator):
        return [(node.name, entity) for node in entity.entities]
    raise TypeError(f"Argument was of type {type(entity).__name__}, not Model, Ensemble or Orchestrator: {entity!r}")


def _flag(variable: str) -> bool:
    """Return whether a variable of the environment is on; it is unless it holds an integer below 1."""
    text = os.environ.get(variable, "1")
    try:
        return int(text) > 0
    except ValueError:
        raise ValueError(f"{variable} must be an integer, 1 for on and 0 for off, not {text!r}") from None
