"""The experiment, as a driver script holds it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from smartsim.app import settings as settings_factories
from smartsim.app.bootstrap import Adapters, system_adapters
from smartsim.app.databases import Databases
from smartsim.app.ensemble import Ensemble
from smartsim.app.generation import Generation
from smartsim.app.interrupts import on_interrupt
from smartsim.app.jobs import GRACE, Job, Jobs
from smartsim.app.launchers import detect_launcher
from smartsim.app.launching import Launch, Manifest
from smartsim.app.logs import ExperimentLogs, ctx_exp_path, get_logger
from smartsim.app.model import Model
from smartsim.app.orchestrator import Orchestrator
from smartsim.app.progress import wait_with_progress
from smartsim.app.reports import announce_end, job_line, launch_summary, summary_table
from smartsim.app.telemetry import TelemetryConfiguration
from smartsim.domain.client_environment import DEFAULT_IDENTIFIER
from smartsim.domain.database import DEFAULT_PORT
from smartsim.domain.errors import SmartSimError
from smartsim.domain.status import SmartSimStatus

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from smartsim.app.settings import BatchSettings, RunSettings
    from smartsim.domain.parameters import Strategy
    from smartsim.domain.settings.container import Container

_DEFAULT_POLL = 10.0  # seconds between two lines of `poll`


class Experiment:
    """Creates, generates, launches and follows simulations, ensembles of them, and databases.

    Jobs that run when the driver exits go on running; used as a context manager, an experiment stops everything on the
    way out.

    Args:
        name: of the experiment.
        exp_path: its directory, which exists; by default `<working directory>/<name>`, made when needed.
        launcher: what starts the jobs: "local", or "auto" for what this machine has.
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
        self.name = name
        self.exp_path = os.path.abspath(exp_path if exp_path is not None else os.path.join(os.getcwd(), name))
        self._launcher = launcher.lower()
        if adapters is None:
            if exp_path is not None and not os.path.isdir(self.exp_path):
                raise NotADirectoryError(f"Experiment path provided does not exist: {self.exp_path}")
            if self._launcher == "auto":
                self._launcher = detect_launcher()
            adapters = system_adapters(self._launcher, self.exp_path)
        self._adapters = adapters
        self.db_identifiers: set[str] = set()
        self._telemetry = TelemetryConfiguration(_flag("SMARTSIM_FLAG_TELEMETRY"))
        self._logs = ExperimentLogs(self.exp_path)
        self._jobs = Jobs(
            adapters.workload_manager,
            adapters.clock,
            adapters.event_log,
            self._telemetry,
            announce=self._with_logs(partial(announce_end, adapters.files)),
        )
        self._databases = Databases(
            self._jobs, adapters.database_server, adapters.files, adapters.network, adapters.clock, self._launcher
        )

    @property
    def launcher(self) -> str:
        """The launcher's name."""
        return self._launcher

    @property
    def telemetry(self) -> TelemetryConfiguration:
        """The switch of the experiment's record, `.smartsim/events.jsonl`."""
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
            try:
                self._stop_all()
            finally:
                self._jobs.close()
        self._logs.close()

    # Making entities

    def create_run_settings(
        self,
        exe: str,
        exe_args: str | list[str] | None = None,
        run_command: str = "auto",
        run_args: dict[str, Any] | None = None,
        env_vars: dict[str, str | None] | None = None,
        container: Container | None = None,
        **kwargs: Any,
    ) -> RunSettings:
        """Say what is run and how.

        Args:
            exe: the program: a name in the search path, or a path.
            exe_args: its arguments: a list is taken as it is, a str is split at blanks.
            run_command: the program that starts ranks; "auto" takes the launcher's own.
            run_args: its options.
            env_vars: variables for the program, laid over those of the driver.
            container: the image to run it in.
            **kwargs: for settings of other launchers.

        Raises:
            FileNotFoundError, TypeError: the program is not there, or cannot be executed.
        """
        return settings_factories.create_run_settings(
            self._launcher,
            exe,
            exe_args,
            run_command=run_command,
            run_args=run_args,
            env_vars=env_vars,
            container=container,
            processes=self._adapters.processes,
            **kwargs,
        )

    def create_batch_settings(
        self,
        nodes: int = 1,
        time: str = "",
        queue: str = "",
        account: str = "",
        batch_args: dict[str, str | None] | None = None,
        **kwargs: Any,
    ) -> BatchSettings:
        """Say what a batch job asks for.

        Args:
            nodes: how many.
            time: walltime as HH:MM:SS.
            queue: or partition.
            account: or project.
            batch_args: further options.
            **kwargs: for settings of particular launchers.

        Raises:
            SmartSimError: the launcher has no batch jobs.
        """
        return settings_factories.create_batch_settings(
            self._launcher, nodes=nodes, time=time, queue=queue, account=account, batch_args=batch_args, **kwargs
        )

    def create_model(
        self,
        name: str,
        run_settings: RunSettings,
        params: dict[str, Any] | None = None,
        path: str | None = None,
        enable_key_prefixing: bool = False,
        batch_settings: BatchSettings | None = None,
    ) -> Model:
        """Make a model: one program that is run.

        Args:
            name: unique within the experiment.
            run_settings: copied: later changes do not reach the model; change `model.run_settings` instead.
            params: values for tags of attached files.
            path: its directory; by default that of its name in the experiment's.
            enable_key_prefixing: whether its clients write keys under its name.
            batch_settings: to run it as a batch job.

        Raises:
            AttributeError, TypeError, ValueError: an argument that cannot be.
        """
        model = Model(
            name,
            params or {},
            run_settings,
            path=self._path_of(name) if path is None else path,
            batch_settings=batch_settings,
            files=self._adapters.files,
        )
        if enable_key_prefixing:
            model.enable_key_prefixing()
        model.exp_path = self.exp_path
        return model

    def create_ensemble(
        self,
        name: str,
        params: dict[str, Any] | None = None,
        batch_settings: BatchSettings | None = None,
        run_settings: RunSettings | None = None,
        replicas: int | None = None,
        perm_strategy: Strategy = "all_perm",
        path: str | None = None,
        **kwargs: Any,
    ) -> Ensemble:
        """Make an ensemble: models with combinations of parameters, replicas of one, or models added later.

        Args:
            name: unique within the experiment; members are called `<name>_<i>`.
            params: a value or a list of values by parameter.
            batch_settings: to run it as one batch job; with nothing else, the ensemble is empty.
            run_settings: of every member; copied.
            replicas: how many of each combination.
            perm_strategy: "all_perm", "step", "random", or a function of names, values and `n_models`.
            path: its directory; by default that of its name in the experiment's.
            **kwargs: `n_models`, `seed` (of "random"), `params_as_args`.

        Raises:
            SmartSimError, TypeError, ValueError: what was asked for cannot be.
        """
        ensemble = Ensemble(
            name,
            params or {},
            path=self._path_of(name) if path is None else path,
            batch_settings=batch_settings,
            run_settings=run_settings,
            perm_strat=perm_strategy,
            replicas=replicas,
            files=self._adapters.files,
            **kwargs,
        )
        for entity in (ensemble, *ensemble.models):
            entity.exp_path = self.exp_path
        return ensemble

    def create_database(
        self,
        port: int = DEFAULT_PORT,
        path: str | None = None,
        db_nodes: int = 1,
        batch: bool = False,
        hosts: list[str] | str | None = None,
        run_command: str = "auto",
        interface: str | list[str] = "auto",
        account: str | None = None,
        time: str | None = None,
        queue: str | None = None,
        single_cmd: bool = True,
        db_identifier: str = DEFAULT_IDENTIFIER,
        **kwargs: Any,
    ) -> Orchestrator:
        """Make a database.

        Args:
            port: TCP port; 0 takes one that is free when it starts.
            path: its directory; by default that of its identifier in the experiment's.
            db_nodes: number of shards.
            batch: whether to start it as a batch job.
            hosts: where to start it.
            run_command: what starts it there.
            interface: network interface to listen on, a list of them, or "auto".
            account: to charge.
            time: walltime as HH:MM:SS.
            queue: or partition.
            single_cmd: whether all shards are started with one command.
            db_identifier: tells it from other databases of the experiment.
            **kwargs: `threads_per_queue`, `inter_op_threads`, `intra_op_threads`.

        Raises:
            SmartSimError, TypeError, ValueError: what was asked for cannot be.
        """
        if db_identifier in self.db_identifiers:
            get_logger(__name__).warning(
                f"A database with the identifier {db_identifier} has already been made An error will be raised if multiple "
                "databases are started with the same identifier"
            )
        database = Orchestrator(
            path=self._path_of(db_identifier) if path is None else path,
            port=port,
            interface=interface,
            launcher=self._launcher,
            run_command=run_command,
            db_nodes=db_nodes,
            batch=batch,
            hosts=hosts,
            account=account,
            time=time,
            single_cmd=single_cmd,
            db_identifier=db_identifier,
            files=self._adapters.files,
            queue=queue,
            **kwargs,
        )
        self.db_identifiers.add(db_identifier)
        database.exp_path = self.exp_path
        return database

    def reconnect_orchestrator(self, checkpoint: str) -> Orchestrator:
        """Take over a database that an earlier driver started and left running.

        Args:
            checkpoint: its `checkpoint_file`.

        Raises:
            FileNotFoundError: there is no such file.
            SmartSimError: the file is damaged, or the database does not run any more.
        """
        with self._logged():
            return self._databases.reconnect(os.path.abspath(checkpoint), self.create_database)

    def _path_of(self, name: str) -> str:
        return os.path.join(self.exp_path, name) if isinstance(name, str) else self.exp_path

    # Running them

    def generate(
        self,
        *args: Model | Ensemble | Orchestrator,
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
        *args: Model | Ensemble | Orchestrator,
        block: bool = True,
        summary: bool = False,
        kill_on_interrupt: bool = True,
    ) -> None:
        """Launch entities: databases first, and all or none.

        Args:
            *args: the entities, in any order.
            block: whether to return only when no model of the experiment is active any more.
            summary: whether to log what is about to be launched.
            kill_on_interrupt: whether a Ctrl-C stops what is launched.

        Raises:
            TypeError, ValueError: an argument that cannot be launched.
            SSUnsupportedError: a name is in use.
            SmartSimError: a job cannot be started (the message has its command and why), or a database did not come up.
                What this call had started is stopped again.
        """
        with self._logged():
            manifest = self._manifest(args)
            if summary:
                runs = bool(self._databases.running())
                text = launch_summary(self.name, self.exp_path, self._launcher, manifest, database_runs=runs)
                get_logger(__name__).info(text)
            on_interrupt(self._interrupted)
            adapters = self._adapters
            launch = Launch(
                self.name,
                self.exp_path,
                self._jobs,
                self._databases,
                adapters.files,
                adapters.clock,
                kill_on_interrupt=kill_on_interrupt,
            )
            adapters.files.make_directory(self.exp_path)
            self._keep_logs()
            started = launch.run(manifest)
            if block:
                with self._interruptible():
                    wait_with_progress(self._jobs, started, adapters.clock)

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

    def wait(self, *args: Model | Ensemble | Orchestrator, timeout: float | None = None) -> list[SmartSimStatus]:
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
            if args:
                ended = self._jobs.wait_ended([job for entity in args for job in self._jobs_of(entity)], timeout)
            else:
                ended = self._jobs.wait_idle(timeout)
            if not ended:
                running = ", ".join(str(job) for job in self._jobs.active() if not job.is_database)
                raise TimeoutError(f"Not ended after {timeout} s: {running}")
            return self.get_status(*args)

    def stop(self, *args: Model | Ensemble | Orchestrator, grace: float = GRACE) -> None:
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
            jobs = [job for entity in (*manifest.models, *manifest.ensembles) for job in self._jobs_of(entity)]
            for database in manifest.databases:
                self._jobs_of(database)
            self._stop_jobs([job for job in jobs if not job.state.is_final], grace)
            for database in manifest.databases:
                self._databases.stop(database, grace)

    def _stop_jobs(self, jobs: list[Job], grace: float) -> None:
        for job in jobs:
            get_logger(__name__).info(f"Stopping model {job.entity} with job name {job.step.name}")
        self._jobs.stop(jobs, by="the user", grace=grace)
        if not self._jobs.wait_stopped(jobs, grace):
            left = ", ".join(str(job) for job in jobs if not job.state.is_final)
            raise SmartSimError(f"Did not end, although killed: {left}")

    def _stop_all(self) -> None:
        self._stop_jobs([job for job in self._jobs.active() if not job.is_database], GRACE)
        for database in self._databases.running():
            self._databases.stop(database, GRACE)

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

    def get_status(self, *args: Model | Ensemble | Orchestrator) -> list[SmartSimStatus]:
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

    def summary(self, style: str = "github") -> str:
        """Return a table of all runs that have ended, with their times and exit codes.

        Args:
            style: any format of the `tabulate` package, such as "github", "simple" or "html".

        Raises:
            ValueError: there is no such style.
        """
        return summary_table(self._jobs.finished(), style)

    def _jobs_of(self, entity: Model | Ensemble | Orchestrator) -> list[Job]:
        jobs = []
        for name, owner in _parts(entity):
            job = self._jobs.latest(name)
            if job is None or job.owner is not owner:
                raise ValueError(f"Entity {name} has not been launched in this experiment")
            jobs.append(job)
        return jobs

    def _manifest(self, entities: tuple[object, ...]) -> Manifest:
        manifest = Manifest.of(entities)
        for entity in (*manifest.models, *manifest.ensembles, *manifest.databases):
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
        if os.path.isdir(self.exp_path):
            self._logs.attach()

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
