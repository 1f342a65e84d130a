"""Starting and stopping databases, and finding those that an earlier driver started."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

from smartsim.app.checkpoints import RecordedServer, read_checkpoint, write_checkpoint
from smartsim.app.database_samples import SampledServer
from smartsim.app.drivers import record_driver
from smartsim.app.jobs import Job, Jobs
from smartsim.app.logs import get_logger
from smartsim.app.orchestrator import Orchestrator
from smartsim.app.placement import place, refuse_unreachable
from smartsim.app.recording import Recorder, shard_facts
from smartsim.app.reports import tail
from smartsim.app.sampling_turns import turn_file
from smartsim.app.secret_files import (
    ADMINISTRATOR,
    administrators_file,
    draw_secret,
    read_administrator,
    read_secret,
    write_secret,
)
from smartsim.app.service import RunningShard, Service
from smartsim.domain import record
from smartsim.domain.client_environment import Endpoint
from smartsim.domain.database import LOOPBACK, ShardPlan
from smartsim.domain.errors import SmartSimError
from smartsim.domain.settings.run import RunSettings
from smartsim.domain.status import SmartSimStatus
from smartsim.domain.steps import Step
from smartsim.ports.database_server import Credentials, DatabaseServer, ServerFacts
from smartsim.ports.file_system import FileSystem

if TYPE_CHECKING:
    from smartsim.domain.addresses import Address
    from smartsim.ports.clock import Clock
    from smartsim.ports.network import Network

START_TIMEOUT = 60.0  # seconds that a shard has from its start to its first answer
_PROBE_TIMEOUT = 5.0  # seconds that one answer may take
_QUEUE_INTERVAL = 0.25  # seconds between two looks at a job that waits in the queue of a scheduler
_PROBE_INTERVAL = 0.01  # seconds between two questions to a shard that is starting
_JOIN_INTERVAL = 0.02  # seconds between two looks at a cluster that is forming
_SAVE_TIMEOUT = 60.0  # seconds that a shard which answers may take to save its data before it ends


@dataclass(frozen=True)
class ShardStart:
    """One shard about to be started.

    Args:
        database: whose it is.
        plan: what it will be.
        credentials: of the administrator.
        password: of the applications; None for none.
        settings: how the server's command is run.
    """

    database: Orchestrator
    plan: ShardPlan
    credentials: Credentials
    password: str | None = field(repr=False)
    settings: RunSettings


class Databases:
    """The databases of one experiment.

    Args:
        jobs: runs the shards.
        server: renders their commands and talks to them.
        files: holds their files.
        network: has the interfaces and ports.
        clock: waits.
        launcher: the name of the launcher.
        recorder: takes what happens.
        nodes: the names of those of the allocation that the driver runs in; none outside of one.
    """

    def __init__(
        self,
        jobs: Jobs,
        server: DatabaseServer,
        files: FileSystem,
        network: Network,
        clock: Clock,
        launcher: str,
        recorder: Recorder,
        nodes: Sequence[str] = (),
    ) -> None:
        self._jobs = jobs
        self._server = server
        self._files = files
        self._network = network
        self._clock = clock
        self._launcher = launcher
        self._recorder = recorder
        self._nodes = nodes
        self._started: list[Orchestrator] = []

    def running(self) -> list[Orchestrator]:
        """Return the databases that run, with all of their shards, in the order of their start."""
        return [database for database in list(self._started) if self._addresses(database) is not None]

    def left(self) -> list[Orchestrator]:
        """Return the databases of which anything runs."""
        return [
            database
            for database in list(self._started)
            if not all(job.state.is_final for job in self._jobs_of(database))
        ]

    def sampled(self) -> list[SampledServer]:
        """Return the servers that run, to be looked at; with tables those of databases whose telemetry is on."""
        found = []
        for database in list(self._started):
            service = database.service
            if service is None:
                continue
            outputs = {job.entity: job.step.stdout for job in self._jobs_of(database) if not job.state.is_final}
            found += [
                SampledServer(
                    database.name,
                    shard.plan.name,
                    shard.facts.run_id,
                    service.server,
                    shard.address,
                    service.credentials,
                    posixpath.dirname(outputs[shard.plan.name]) if database.telemetry.is_enabled else None,
                    database.path,
                )
                for shard in service.shards
                if shard.plan.name in outputs
            ]
        return found

    def endpoints(self) -> list[Endpoint]:
        """Return the databases that run, as applications see them."""
        found = [(database, self._addresses(database)) for database in list(self._started)]
        return [
            Endpoint(database.name, addresses, database.password_file)
            for database, addresses in found
            if addresses is not None
        ]

    def _addresses(self, database: Orchestrator) -> tuple[Address, ...] | None:
        if database.service is None:
            return None
        alive = {job.entity for job in self._jobs_of(database) if not job.state.is_final}
        return database.service.addresses(lambda shard: shard.plan.name in alive)

    def plan(self, databases: Sequence[Orchestrator]) -> list[ShardStart]:
        """Find everything that databases need, and write their configurations.

        Raises:
            SmartSimError: an interface does not exist, or a port is taken; nothing was written.
        """
        placed = place(databases, self._network, local=self._launcher == "local")
        for database, plans in zip(databases, placed, strict=True):
            for index, plan in enumerate(plans):
                asks = database.shard_settings([plan.name], index, self._nodes).resources()
                refuse_unreachable(plan.name, database.interfaces[0], asks.hosts if asks else (), self._network)
        for database in databases:
            self._refuse_left_running(database)
        starts: list[ShardStart] = []
        for database, plans in zip(databases, placed, strict=True):
            credentials = Credentials(ADMINISTRATOR, draw_secret())
            self._files.make_directory(database.path, 0o700)
            write_secret(self._files, administrators_file(database.path), credentials.password)
            record_driver(self._files, database.path)
            self._files.remove(turn_file(database.path))  # of an earlier driver
            password = None
            if database.password_file is not None:
                password = draw_secret()
                write_secret(self._files, database.password_file, password)
            for index, plan in enumerate(plans):
                command = self._server.command(plan, credentials, password)
                for path, content in command.files.items():
                    self._files.write(path, content, 0o600)
                settings = database.shard_settings(command.argv, index, self._nodes)
                starts.append(ShardStart(database, plan, credentials, password, settings))
        return starts

    def await_ready(self, starts: Sequence[ShardStart], jobs: Sequence[Job]) -> None:
        """Wait until shards answer, and clusters have formed, and take them into service.

        Args:
            starts: what was started.
            jobs: theirs, in the same order.

        Raises:
            SmartSimError: one ended instead, or did not answer in time; those that run are left to the caller.
        """
        for job in jobs:
            while job.state.status is SmartSimStatus.STATUS_QUEUED:
                self._jobs.wait_ended([job], _QUEUE_INTERVAL)
        deadline = self._clock.monotonic() + START_TIMEOUT
        starts = [self._await_place(start, job, deadline) for start, job in zip(starts, jobs, strict=True)]
        answers = [self._await_answer(start, job, deadline) for start, job in zip(starts, jobs, strict=True)]
        for database in {start.database: None for start in starts}:
            own = [index for index, start in enumerate(starts) if start.database is database]
            if database.is_cluster:
                self._await_cluster([starts[index] for index in own], [jobs[index] for index in own], deadline)
            shards = tuple(RunningShard(starts[index].plan, answers[index]) for index in own)
            database.bind(Service(self._server, starts[own[0]].credentials, shards, starts[own[0]].password))
            database.port = shards[0].plan.port
            if database not in self._started:
                self._started.append(database)
            self._write_checkpoint(database, shards)
            self._record_ready(database.name, shards)

    def _record_ready(self, database: str, shards: Sequence[RunningShard]) -> None:
        told = tuple(shard_facts(shard) for shard in shards)
        self._recorder.add([record.DatabaseReady(self._clock.now(), database, shards[0].facts.version, told)])

    def _await_place(self, start: ShardStart, job: Job, deadline: float) -> ShardStart:
        """Return a shard with the place that it has chosen on its node, once it told."""
        plan = start.plan
        if plan.choice is None:
            return start
        while self._files.inspect(plan.choice.announcement) is None:
            self._jobs.wait_ended([job], _PROBE_INTERVAL)
            self._refuse_failed(start, job, deadline, "did not tell where it runs")
        told = json.loads(self._files.read(plan.choice.announcement))
        self._files.remove(plan.choice.announcement)
        if ip_address(told["bind"][0]).is_loopback:
            refuse_unreachable(plan.name, LOOPBACK, [told["host"]], self._network)
        place = None if plan.place is None else replace(plan.place, bus_port=told["bus_port"])
        bound = replace(plan, bind=tuple(told["bind"]), port=told["port"], place=place, choice=None)
        get_logger(__name__).debug(f"{plan.name} runs on {told['host']}, at {bound.address}")
        return replace(start, plan=bound)

    def _await_answer(self, start: ShardStart, job: Job, deadline: float) -> ServerFacts:
        while True:
            facts = self._server.probe(start.plan.address, start.credentials, _PROBE_TIMEOUT)
            # The process is looked at after the answer: what answered was this one, not one that took its port before.
            ready = facts is not None and facts.has_workers
            self._jobs.wait_ended([job], 0.0 if ready else _PROBE_INTERVAL)
            missing = "did not answer" if facts is None else "had nothing that keeps its workers running"
            self._refuse_failed(start, job, deadline, f"{missing} at {start.plan.address}")
            if facts is not None and ready:
                return facts

    def _await_cluster(self, starts: Sequence[ShardStart], jobs: Sequence[Job], deadline: float) -> None:
        plans = [start.plan for start in starts]
        joined, reason = False, ""
        while not joined:
            try:
                joined = self._server.join(plans, starts[0].credentials, _PROBE_TIMEOUT)
            except SmartSimError as error:
                reason = f" ({error})"
            self._jobs.wait_ended(jobs, 0.0 if joined else _JOIN_INTERVAL)
            for start, job in zip(starts, jobs, strict=True):
                self._refuse_failed(start, job, deadline, f"did not find its cluster{reason}")
        database = starts[0].database
        get_logger(__name__).info(f"Database cluster {database.name} created with {database.num_shards} shards")

    def _refuse_failed(self, start: ShardStart, job: Job, deadline: float, lateness: str) -> None:
        if job.state.is_final:
            what = f"ended with {job.state.reason or 'no error'}"
        elif self._clock.monotonic() > deadline:
            what = f"{lateness} within {START_TIMEOUT:.0f} s"
        else:
            return
        raise SmartSimError(
            f"Orchestrator failed during startup See {start.database.path} for details: {start.plan.name} {what}\n"
            f"{self._tail(job.step)}"
        )

    def _tail(self, step: Step) -> str:
        return "\n".join(filter(None, (tail(self._files, step.stdout), tail(self._files, step.stderr))))

    def stop(self, database: Orchestrator, grace: float, by: str) -> None:
        """End a database: its servers are asked to, and made to when they do not.

        Args:
            database: the one.
            grace: seconds between asking and killing.
            by: who wants it, in words.

        Raises:
            SmartSimError: it did not end.
        """
        left = [job for job in self._jobs_of(database) if not job.state.is_final]
        if database.service is not None and left:
            self._jobs.expect_end(left, by)
            self._shut_down(database.service, {job.entity for job in left}, grace)
        database.bind(None)
        with suppress(ValueError):  # another thread may have done so
            self._started.remove(database)
        if not self._jobs.wait_ended(left, grace):
            self._jobs.stop(left, by, grace)
            if not self._jobs.wait_stopped(left, grace):
                raise SmartSimError(f"The database {database.name!r} did not end: {', '.join(map(str, left))}")

    def _shut_down(self, service: Service, names: Collection[str], grace: float) -> None:
        # The last ones first: a replica is not to take over from a shard that was stopped.
        for shard in reversed(service.shards):
            try:
                if shard.plan.name in names and service.server.probe(shard.address, service.credentials, grace):
                    service.server.shut_down(shard.address, service.credentials, _SAVE_TIMEOUT)
            except SmartSimError as error:
                get_logger(__name__).debug(str(error))  # it is stopped as a process

    def _jobs_of(self, database: Orchestrator) -> list[Job]:
        found = [self._jobs.latest(node.name) for node in database.entities]
        return [job for job in found if job is not None and job.owner is database]

    def _write_checkpoint(self, database: Orchestrator, shards: Sequence[RunningShard]) -> None:
        servers = [
            RecordedServer(shard.plan, shard.facts.run_id, job.step, job.run, self._jobs.handle(job))
            for shard, job in zip(shards, self._jobs_of(database), strict=True)
        ]
        write_checkpoint(self._files, database, servers, self._launcher, self._network.hostname())

    # Those of earlier drivers

    def reconnect(self, path: str, make: Callable[..., Orchestrator]) -> Orchestrator:
        """Take over a database that an earlier driver started.

        Args:
            path: of the checkpoint.
            make: makes the database from keyword arguments.

        Raises:
            FileNotFoundError: there is no such file.
            SmartSimError: the file is not a checkpoint, or what it describes does not run any more.
        """
        checkpoint = read_checkpoint(self._files, path)
        database = make(
            path=checkpoint.path,
            port=checkpoint.servers[0].plan.port,
            interface=list(checkpoint.interfaces),
            db_nodes=checkpoint.db_nodes,
            replicas=checkpoint.replicas,
            db_identifier=checkpoint.db_identifier,
            password=checkpoint.password,
            lease=checkpoint.lease,
        )
        credentials = read_administrator(self._files, database.path)
        password = None if database.password_file is None else read_secret(self._files, database.password_file)
        # All of them before the first is followed.
        probed = [(server, self._find(server, credentials)) for server in checkpoint.servers]
        found = [(server, facts) for server, facts in probed if facts is not None]
        shards = tuple(RunningShard(server.plan, facts) for server, facts in found)
        service = Service(self._server, credentials, shards, password)
        lost = [server.plan for server, facts in probed if facts is None]
        if len(service.addresses(lambda _: True) or ()) < checkpoint.db_nodes:
            silent = ", ".join(f"{plan.address}, where {plan.name} ran" for plan in lost)
            raise SmartSimError(f"Failed to reconnect orchestrator: nothing answers at {silent}")
        for server, _ in found:
            job = Job(server.plan.name, "DBNode", database, server.step, server.run, kill_on_interrupt=False)
            if not self._jobs.attach(job, server.handle):
                raise SmartSimError(
                    f"Failed to reconnect orchestrator: the process of {server.plan.name} ended, or is on another host"
                )
        database.bind(service)
        self._started.append(database)
        self._record_ready(database.name, shards)
        try:
            record_driver(self._files, database.path)
        except OSError as error:  # a full disk is no reason to do without the database
            get_logger(__name__).warning(f"It was not recorded that {database.name} is in use: {error}")
        return database

    def _find(self, server: RecordedServer, credentials: Credentials) -> ServerFacts | None:
        """Return the facts of a server that was recorded; None if nothing answers.

        Raises:
            SmartSimError: another one answers.
        """
        facts = self._server.probe(server.plan.address, credentials, _PROBE_TIMEOUT)
        if facts is not None and facts.run_id != server.run_id:
            raise SmartSimError(
                f"Failed to reconnect orchestrator: another server answers at {server.plan.address}, where "
                f"{server.plan.name} ran"
            )
        return facts

    def _refuse_left_running(self, database: Orchestrator) -> None:
        """See that no server of an earlier driver works in the directory: its password would be overwritten."""
        try:
            checkpoint = read_checkpoint(self._files, database.checkpoint_file)
            credentials = read_administrator(self._files, database.path)
        except (OSError, SmartSimError):
            return  # none, or none that can be read
        for server in checkpoint.servers:
            try:
                found = self._find(server, credentials)
            except SmartSimError:
                continue
            if found is not None:
                raise SmartSimError(
                    f"{server.plan.name} of an earlier driver still runs at {server.plan.address} in {database.path}: "
                    f"take it over with reconnect_orchestrator({database.checkpoint_file!r}), or choose another path"
                )
