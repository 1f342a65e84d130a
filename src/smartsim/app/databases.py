"""Starting and stopping databases, and finding those that an earlier driver started."""

from __future__ import annotations

import json
import posixpath
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smartsim.app.jobs import Job, Jobs
from smartsim.app.logs import get_logger
from smartsim.app.orchestrator import Orchestrator, RunningShard, Service
from smartsim.app.reports import tail
from smartsim.domain.addresses import Address
from smartsim.domain.database import ShardPlan, choose_interfaces
from smartsim.domain.errors import SmartSimError, SSInternalError
from smartsim.domain.steps import Step
from smartsim.ports.database_server import Credentials, DatabaseServer, ServerFacts
from smartsim.ports.file_system import FileSystem

if TYPE_CHECKING:
    from smartsim.ports.clock import Clock
    from smartsim.ports.network import Network

START_TIMEOUT = 60.0  # seconds that a shard has from its start to its first answer
_PROBE_TIMEOUT = 5.0  # seconds that one answer may take
_PROBE_INTERVAL = 0.01  # seconds between two questions to a shard that is starting
_SAVE_TIMEOUT = 60.0  # seconds that a shard which answers may take to save its data before it ends
_SECRET_FILE = "admin_password"  # noqa: S105 - the name of the file
_ADMINISTRATOR = "admin"
_CHECKPOINT_VERSION = 1
_DAMAGED = (ValueError, KeyError, TypeError, IndexError, AttributeError)  # what reading a damaged checkpoint raises


@dataclass(frozen=True)
class ShardStart:
    """One shard about to be started.

    Args:
        database: whose it is.
        plan: what it will be.
        credentials: of the administrator.
        argv: the server's command.
    """

    database: Orchestrator
    plan: ShardPlan
    credentials: Credentials
    argv: tuple[str, ...]

    @property
    def address(self) -> Address:
        """Where clients will find it."""
        return Address.tcp(self.plan.bind[0], self.plan.port)


class Databases:
    """The databases of one experiment.

    Args:
        jobs: runs the shards.
        server: renders their commands and talks to them.
        files: holds their files.
        network: has the interfaces and ports.
        clock: waits.
        launcher: the name of the launcher.
    """

    def __init__(
        self, jobs: Jobs, server: DatabaseServer, files: FileSystem, network: Network, clock: Clock, launcher: str
    ) -> None:
        self._jobs = jobs
        self._server = server
        self._files = files
        self._network = network
        self._clock = clock
        self._launcher = launcher
        self._started: list[Orchestrator] = []

    def running(self) -> list[Orchestrator]:
        """Return the databases whose shards run, in the order of their start."""
        return [database for database in list(self._started) if self._all_run(database)]

    def _all_run(self, database: Orchestrator) -> bool:
        jobs = self._jobs_of(database)
        return bool(jobs) and not any(job.state.is_final for job in jobs)

    def plan(self, databases: Sequence[Orchestrator]) -> list[ShardStart]:
        """Find everything that databases need, and write their configurations.

        Raises:
            SmartSimError: an interface does not exist, or a port is taken; nothing was written.
        """
        placed = [(database, self._place(database)) for database in databases]
        places = Counter((address, plan.port) for _, plans in placed for plan in plans for address in plan.bind)
        for (address, port), count in places.items():
            if count > 1:
                raise SmartSimError(f"Port {port} of {address} is asked for {count} times: give each database its own")
        for database in databases:
            self._refuse_left_running(database)
        starts: list[ShardStart] = []
        for database, plans in placed:
            credentials = Credentials(_ADMINISTRATOR, secrets.token_urlsafe(24))
            self._files.make_directory(database.path, 0o700)
            secret = posixpath.join(database.path, _SECRET_FILE)
            self._files.write(secret, f"{credentials.password}\n".encode(), 0o600)
            for plan in plans:
                command = self._server.command(plan, credentials)
                for path, content in command.files.items():
                    self._files.write(path, content, 0o600)
                starts.append(ShardStart(database, plan, credentials, command.argv))
        return starts

    def _refuse_left_running(self, database: Orchestrator) -> None:
        """See that no server of an earlier driver works in the directory: its password would be overwritten."""
        try:
            found: dict[str, Any] = json.loads(self._files.read(database.checkpoint_file))
            credentials = self._credentials(database)
            for shard in found["shards"]:
                address = Address.tcp(shard["bind"][0], shard["port"])
                facts = self._server.probe(address, credentials, _PROBE_TIMEOUT)
                if facts is not None and facts.run_id == shard["server_run_id"]:
                    break
            else:
                return
        except (OSError, *_DAMAGED, SSInternalError):
            return  # no checkpoint, or one of a database that is no more
        raise SmartSimError(
            f"{shard['name']} of an earlier driver still runs at {address} in {database.path}: take it over with "
            f"reconnect_orchestrator({database.checkpoint_file!r}), or choose another path"
        )

    def _credentials(self, database: Orchestrator) -> Credentials:
        secret = self._files.read(posixpath.join(database.path, _SECRET_FILE))
        return Credentials(_ADMINISTRATOR, secret.decode().strip())

    def _place(self, database: Orchestrator) -> tuple[ShardPlan, ...]:
        available = self._network.interfaces()
        names = choose_interfaces(database.interfaces, available, local=self._launcher == "local")
        addresses = [available[name] for name in names]
        port = database.port or self._network.free_port(addresses[0])
        plans = database.plan(addresses, port)
        for plan in plans:
            for address in plan.bind:
                if not self._network.port_is_free(address, plan.port):
                    raise SmartSimError(
                        f"Port {plan.port} of {address} is in use, so {plan.name} cannot be started: "
                        "stop what listens there, choose another port, or port=0 for any that is free"
                    )
        return plans

    def await_ready(self, starts: Sequence[ShardStart], jobs: Sequence[Job]) -> None:
        """Wait until shards answer, and take them into service.

        Args:
            starts: what was started.
            jobs: theirs, in the same order.

        Raises:
            SmartSimError: one ended instead, or did not answer in time; those that run are left to the caller.
        """
        deadline = self._clock.monotonic() + START_TIMEOUT
        shards = [
            RunningShard(start.plan, start.address, self._await_answer(start, job, deadline))
            for start, job in zip(starts, jobs, strict=True)
        ]
        for database in {start.database: None for start in starts}:
            own = tuple(shard for start, shard in zip(starts, shards, strict=True) if start.database is database)
            credentials = next(start.credentials for start in starts if start.database is database)
            database.bind(Service(self._server, credentials, own))
            database.port = own[0].plan.port
            if database not in self._started:
                self._started.append(database)
            self._write_checkpoint(database, own)

    def _await_answer(self, start: ShardStart, job: Job, deadline: float) -> ServerFacts:
        while True:
            facts = self._server.probe(start.address, start.credentials, _PROBE_TIMEOUT)
            # The process is looked at after the answer: what answered was this one, not one that took its port before.
            ready = facts is not None and facts.has_workers
            ended = self._jobs.wait_ended([job], 0.0 if ready else _PROBE_INTERVAL)
            if ended:
                raise SmartSimError(
                    f"Orchestrator failed during startup See {start.database.path} for details: {start.plan.name} "
                    f"ended with {job.state.reason or 'no error'}\n{self._tail(job.step)}"
                )
            if facts is not None and ready:
                return facts
            if self._clock.monotonic() > deadline:
                raise SmartSimError(
                    f"Orchestrator failed during startup See {start.database.path} for details: {start.plan.name} "
                    f"did not answer at {start.address} within {START_TIMEOUT:.0f} s\n{self._tail(job.step)}"
                )

    def _tail(self, step: Step) -> str:
        return "\n".join(filter(None, (tail(self._files, step.stdout), tail(self._files, step.stderr))))

    def stop(self, database: Orchestrator, grace: float) -> None:
        """End a database: its server is asked to, and made to when it does not.

        Raises:
            SmartSimError: it did not end.
        """
        jobs = self._jobs_of(database)
        service = database.service
        left = [job for job in jobs if not job.state.is_final]
        if service is not None and left:
            self._jobs.expect_end(left, by="the user")
            for shard in service.shards:
                try:
                    if service.server.probe(shard.address, service.credentials, grace) is not None:
                        service.server.shut_down(shard.address, service.credentials, _SAVE_TIMEOUT)
                except SmartSimError as error:
                    get_logger(__name__).debug(str(error))  # it is stopped as a process below
        database.bind(None)
        if database in self._started:
            self._started.remove(database)
        if not self._jobs.wait_ended(left, grace):
            self._jobs.stop(left, by="the user", grace=grace)
            if not self._jobs.wait_stopped(left, grace):
                raise SmartSimError(f"The database {database.name!r} did not end: {', '.join(map(str, left))}")

    def _jobs_of(self, database: Orchestrator) -> list[Job]:
        found = [self._jobs.latest(node.name) for node in database.entities]
        return [job for job in found if job is not None]

    # Checkpoints

    def _write_checkpoint(self, database: Orchestrator, running: Sequence[RunningShard]) -> None:
        shards = [
            {
                "name": shard.plan.name,
                "bind": list(shard.plan.bind),
                "port": shard.plan.port,
                "server_run_id": shard.facts.run_id,
                "step": job.step.name,
                "command": list(job.step.command),
                "stdout": job.step.stdout,
                "stderr": job.step.stderr,
                "run": job.run,
                "handle": self._jobs.handle(job),
            }
            for shard, job in zip(running, self._jobs_of(database), strict=True)
        ]
        checkpoint = {
            "format": "smartsim-next database checkpoint",
            "version": _CHECKPOINT_VERSION,
            "launcher": self._launcher,
            "host": self._network.hostname(),
            "db_identifier": database.name,
            "path": database.path,
            "interfaces": list(database.interfaces),
            "shards": shards,
        }
        self._files.write(database.checkpoint_file, json.dumps(checkpoint, indent=2).encode() + b"\n", 0o600)

    def reconnect(self, checkpoint: str, make: Callable[..., Orchestrator]) -> Orchestrator:
        """Take over a database that an earlier driver started.

        Args:
            checkpoint: the file.
            make: makes the database from keyword arguments.

        Raises:
            FileNotFoundError: there is no such file.
            SmartSimError: the file is not a checkpoint, or what it describes does not run any more.
        """
        try:
            text = self._files.read(checkpoint)
        except FileNotFoundError:
            raise FileNotFoundError(f"The SmartSim database config file {checkpoint} cannot be found.") from None
        try:
            found: dict[str, Any] = json.loads(text)
            if found["version"] != _CHECKPOINT_VERSION:
                raise SmartSimError(
                    f"The SmartSim database checkpoint {checkpoint} has version {found['version']}, and this release "
                    f"reads version {_CHECKPOINT_VERSION}: reconnect with the release that wrote it"
                )
            database = make(
                path=found["path"],
                port=found["shards"][0]["port"],
                interface=found["interfaces"],
                db_nodes=len(found["shards"]),
                db_identifier=found["db_identifier"],
            )
            credentials = self._credentials(database)
            shards = tuple(self._reattach(database, shard, credentials) for shard in found["shards"])
        except (OSError, *_DAMAGED) as error:
            raise SmartSimError(
                f"The SmartSim database checkpoint {checkpoint} is incomplete or corrupted: {error!r}. "
                "Start a new database, or give the path of another checkpoint"
            ) from error
        database.bind(Service(self._server, credentials, shards))
        self._started.append(database)
        return database

    def _reattach(self, database: Orchestrator, shard: dict[str, Any], credentials: Credentials) -> RunningShard:
        plan = ShardPlan(shard["name"], database.path, tuple(shard["bind"]), shard["port"])
        address = Address.tcp(plan.bind[0], plan.port)
        facts = self._server.probe(address, credentials, _PROBE_TIMEOUT)
        if facts is None or facts.run_id != shard["server_run_id"]:
            what = "nothing answers" if facts is None else "another server answers"
            raise SmartSimError(f"Failed to reconnect orchestrator: {what} at {address}, where {plan.name} ran")
        step = Step(shard["step"], tuple(shard["command"]), (), {}, database.path, shard["stdout"], shard["stderr"])
        job = Job(plan.name, "DBNode", database, step, shard["run"], kill_on_interrupt=False)
        if not self._jobs.attach(job, shard["handle"]):
            raise SmartSimError(
                f"Failed to reconnect orchestrator: the process of {plan.name} ended, or is on another host"
            )
        return RunningShard(plan, address, facts)
