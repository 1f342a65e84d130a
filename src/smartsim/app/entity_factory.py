"""Making the entities of an experiment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from smartsim.app import batch_settings as batch_settings_factories
from smartsim.app import run_settings as run_settings_factories
from smartsim.app.ensemble import Ensemble
from smartsim.app.logs import get_logger
from smartsim.app.model import Model
from smartsim.app.orchestrator import Orchestrator
from smartsim.domain.client_environment import DEFAULT_IDENTIFIER
from smartsim.domain.database import DEFAULT_PORT

if TYPE_CHECKING:
    from smartsim.app.batch_settings import BatchSettings
    from smartsim.app.bootstrap import Adapters
    from smartsim.app.settings import RunSettings
    from smartsim.domain.parameters import Strategy
    from smartsim.domain.settings.container import Container


class EntityFactory:
    """Makes settings, models, ensembles and databases that belong together.

    Args:
        exp_path: the directory in which entities have theirs; absolute.
        launcher: the launcher's name.
        adapters: what the entities work with.
    """

    def __init__(self, exp_path: str, launcher: str, adapters: Adapters) -> None:
        self.exp_path = exp_path
        self.db_identifiers: set[str] = set()
        self._launcher = launcher
        self._adapters = adapters

    @property
    def launcher(self) -> str:
        """The launcher's name."""
        return self._launcher

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
        return run_settings_factories.create_run_settings(
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
        return batch_settings_factories.create_batch_settings(
            self._launcher,
            nodes=nodes,
            time=time,
            queue=queue,
            account=account,
            batch_args=batch_args,
            processes=self._adapters.processes,
            **kwargs,
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
        ensemble.exp_path = self.exp_path
        for member in ensemble.models:
            member.exp_path = self.exp_path
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
        *,
        replicas: int = 0,
        password: bool = False,
        io_threads: int | None = None,
        tls: bool = False,
        lease: float | None = None,
        **kwargs: Any,
    ) -> Orchestrator:
        """Make a database.

        Args:
            port: TCP port of the first shard, those of the others follow; 0 takes free ones when it starts.
            path: its directory; by default that of its identifier in the experiment's.
            db_nodes: number of shards, among which the keys are parted: 1, or 3 and more.
            batch: whether to start it as a batch job.
            hosts: where to start it.
            run_command: what starts it there.
            interface: network interface to listen on, a list of them, or "auto".
            account: to charge.
            time: walltime as HH:MM:SS.
            queue: or partition.
            single_cmd: whether all shards are started with one command.
            db_identifier: tells it from other databases of the experiment.
            replicas: how many copies of each shard of a cluster run beside it; one takes over when the shard ends.
            password: whether applications need a password. It is drawn at random at each start; applications of the
                experiment find it through their environment, and the driver script has it as `database.password`.
                SmartRedis, which knows of no passwords, cannot connect then.
            io_threads: how many threads of each server read and write. None is one for every four CPUs that the server
                has, at least one and 8 at most, and one for each shard of a cluster.
            tls: refused: the server has none.
            lease: for how many seconds the database stays when its driver and all clients have gone. Then it saves, if
                it keeps checkpoints (`enable_checkpoints`), and ends by itself. A driver that takes it over
                (`reconnect_orchestrator`) renews the lease, and so does every client. None, the default, lets it stay.
            **kwargs: of the workers that run models: `threads_per_queue` (runs at once on each device),
                `inter_op_threads` and `intra_op_threads` (of the framework), both also as `..._parallelism`.

        Raises:
            SmartSimError, TypeError, ValueError: what was asked for cannot be.
        """
        if db_identifier in self.db_identifiers:
            get_logger(__name__).warning(
                f"A database with the identifier {db_identifier} has already been made An error will be raised if "
                "multiple databases are started with the same identifier"
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
            replicas=replicas,
            password=password,
            io_threads=io_threads,
            tls=tls,
            lease=lease,
            files=self._adapters.files,
            processes=self._adapters.processes,
            queue=queue,
            **kwargs,
        )
        self.db_identifiers.add(db_identifier)
        database.exp_path = self.exp_path
        return database

    def _path_of(self, name: str) -> str:
        return os.path.join(self.exp_path, name) if isinstance(name, str) else self.exp_path
