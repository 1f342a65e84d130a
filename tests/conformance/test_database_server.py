"""What every database server does."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from servers import free_ports
from smartsim.adapters.clock.virtual import VirtualClock
from smartsim.adapters.database.in_memory import InMemoryDatabaseServer
from smartsim.adapters.database.valkey import ValkeyServer
from smartsim.adapters.wlm.local import LocalWorkloadManager
from smartsim.adapters.wlm.scripted import Script, ScriptedWorkloadManager
from smartsim.domain.addresses import Address
from smartsim.domain.database import Database, ShardPlan
from smartsim.domain.errors import SmartSimError, SSInternalError
from smartsim.domain.lifecycle import Ended, JobEvent
from smartsim.domain.steps import Step
from smartsim.ports.database_server import Credentials, DatabaseServer, LargestKeys, ServerFacts
from smartsim.ports.workload_manager import WorkloadManager

DEADLINE = 30.0
ADMIN = Credentials("admin", "correct horse battery staple \"'\\")


@dataclass
class Running:
    """One shard, from its start to its end."""

    server: DatabaseServer
    manager: WorkloadManager
    pass_time: Callable[[], None]
    plan: ShardPlan
    events: list[JobEvent]

    @property
    def address(self) -> Address:
        return self.plan.address

    def start(self) -> None:
        command = self.server.command(self.plan, ADMIN)
        Path(self.plan.directory).mkdir(parents=True, exist_ok=True)
        for path, content in command.files.items():
            Path(path).write_bytes(content)
        out = f"{self.plan.directory}/{self.plan.name}"
        step = Step(self.plan.name, command.argv, (), {}, self.plan.directory, f"{out}.out", f"{out}.err")
        self.manager.submit([step], lambda _, event: self.events.append(event))

    def ready(self) -> ServerFacts:
        deadline = time.monotonic() + DEADLINE
        while (facts := self.server.probe(self.address, ADMIN, timeout=5.0)) is None:
            assert time.monotonic() < deadline, "the shard did not answer"
            self.pass_time()
        return facts

    def ended(self) -> Ended:
        deadline = time.monotonic() + DEADLINE
        while not isinstance(self.events[-1], Ended):
            assert time.monotonic() < deadline, "the shard did not end"
            self.pass_time()
        assert isinstance(self.events[-1], Ended)
        return self.events[-1]

    def stop(self) -> None:
        if self.events:
            self.manager.stop([self.plan.name], grace=0.0)
            self.ended()


Start = Callable[[Sequence[ShardPlan]], list[Running]]


@pytest.fixture(params=["valkey", "memory"])
def prepare(request: pytest.FixtureRequest) -> Iterator[Start]:
    """Take plans; none is started yet."""
    manager: WorkloadManager
    server: DatabaseServer
    prepared: list[Running] = []
    if request.param == "valkey":
        manager, server = LocalWorkloadManager(), ValkeyServer()

        def pass_time() -> None:
            _pause(0.005)
    else:
        clock = VirtualClock()
        manager = ScriptedWorkloadManager(clock.call_later, clock, lambda _: Script(duration=None))
        server = InMemoryDatabaseServer(manager.runs, manager.end)

        def pass_time() -> None:
            clock.advance(1.0)

    def prepare(plans: Sequence[ShardPlan]) -> list[Running]:
        prepared.extend(Running(server, manager, pass_time, plan, []) for plan in plans)
        return prepared

    yield prepare
    for running in prepared:
        running.stop()
    manager.close()


@pytest.fixture
def shard(prepare: Start, tmp_path: Path) -> Running:
    (running,) = prepare([ShardPlan("db_0", f"{tmp_path}/a directory", ("127.0.0.1",), free_ports(1, 1)[0])])
    return running


def started_cluster(prepare: Start, tmp_path: Path, replicas: int) -> list[Running]:
    """Three shards that are ready, and no cluster yet."""
    database = Database("db", f"{tmp_path}/a directory", 0, "lo", 3, replicas=replicas)
    port, bus_port = free_ports(database.num_servers, 2)
    servers = prepare(database.plan(["127.0.0.1"], port, bus_port))
    for server in servers:
        server.start()
    for server in servers:
        server.ready()
    return servers


def join(servers: Sequence[Running]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not servers[0].server.join([server.plan for server in servers], ADMIN, timeout=5.0):
        assert time.monotonic() < deadline, "the cluster did not form"
        servers[0].pass_time()


def await_all_served(server: Running, *, served: bool) -> None:
    deadline = time.monotonic() + DEADLINE
    while server.ready().serves_all is not served:
        assert time.monotonic() < deadline
        server.pass_time()


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)


def test_nothing_answers_before_the_start(shard: Running) -> None:
    shard.server.command(shard.plan, ADMIN)
    assert shard.server.probe(shard.address, ADMIN, timeout=1.0) is None


def test_a_shard_that_runs_tells_the_same_facts_each_time(shard: Running) -> None:
    shard.start()
    facts = shard.ready()
    assert facts == shard.ready()
    assert facts.run_id
    assert facts.version
    assert facts.process_id > 0


def test_a_shard_that_runs_tells_what_it_uses(shard: Running) -> None:
    shard.start()
    shard.ready()
    usage = shard.server.usage(shard.address, ADMIN, timeout=5.0, lists_clients=True)
    assert 0 <= usage.used_memory <= usage.used_memory_peak <= usage.total_system_memory
    assert all(client.address for client in usage.clients)
    assert len({client.id for client in usage.clients}) == len(usage.clients)
    # Who asks is not among them, however often.
    assert len(shard.server.usage(shard.address, ADMIN, timeout=5.0, lists_clients=True).clients) == len(usage.clients)
    with pytest.raises(SmartSimError):
        shard.server.usage(shard.address, Credentials("admin", "wrong"), timeout=5.0)


def test_numbers_are_told_without_a_list_of_clients(shard: Running) -> None:
    shard.start()
    shard.ready()
    usage = shard.server.usage(shard.address, ADMIN, timeout=5.0)
    assert usage.clients == ()
    assert usage.client_count >= 0
    assert usage.keys == usage.hits == usage.misses == 0
    assert not usage.is_replica
    assert (usage.programs, dict(usage.slow)) == ((), {})


def test_a_shard_without_keys_has_no_largest_ones(shard: Running) -> None:
    shard.server.command(shard.plan, ADMIN)
    with pytest.raises(SmartSimError, match=str(shard.address)):
        shard.server.largest_keys(shard.address, ADMIN, 1.0, LargestKeys())
    shard.start()
    shard.ready()
    assert shard.server.largest_keys(shard.address, ADMIN, 5.0, LargestKeys()) == LargestKeys()


def test_a_shard_that_does_not_run_uses_nothing_that_it_could_tell(shard: Running) -> None:
    shard.server.command(shard.plan, ADMIN)
    with pytest.raises(SmartSimError, match=str(shard.address)):
        shard.server.usage(shard.address, ADMIN, timeout=1.0)


def test_only_its_administrator_is_served(shard: Running) -> None:
    shard.start()
    shard.ready()
    with pytest.raises(SSInternalError, match=str(shard.plan.port)):
        shard.server.probe(shard.address, Credentials("admin", "wrong"), timeout=5.0)


def test_settings_can_be_changed(shard: Running) -> None:
    shard.start()
    shard.ready()
    shard.server.configure(shard.address, ADMIN, {"maxmemory": "123456789"})
    with pytest.raises(SmartSimError):
        shard.server.configure(Address.tcp("127.0.0.1", 1), ADMIN, {"maxmemory": "1"})


def test_a_shard_ends_well_when_asked_to(shard: Running) -> None:
    shard.start()
    shard.ready()
    shard.server.shut_down(shard.address, ADMIN, timeout=5.0)
    assert shard.ended().returncode == 0
    assert shard.server.probe(shard.address, ADMIN, timeout=1.0) is None
    with pytest.raises(SmartSimError, match="cannot be asked to end"):
        shard.server.shut_down(shard.address, ADMIN, timeout=1.0)


def test_no_command_line_and_no_file_holds_the_password(shard: Running) -> None:
    command = shard.server.command(shard.plan, ADMIN, "of applications")
    for secret in (ADMIN.password, "of applications"):
        assert secret not in " ".join(command.argv)
        assert all(secret.encode() not in content for content in command.files.values())
    assert ADMIN.password not in repr(ADMIN)


@pytest.mark.parametrize("replicas", [0, 1])
def test_shards_become_a_cluster_that_serves_every_key(prepare: Start, tmp_path: Path, replicas: int) -> None:
    servers = started_cluster(prepare, tmp_path, replicas)
    assert not any(server.ready().serves_all for server in servers)
    join(servers)
    assert all(server.ready().serves_all for server in servers)
    join(servers)


def test_a_cluster_that_lacks_a_shard_does_not_serve_every_key(prepare: Start, tmp_path: Path) -> None:
    servers = started_cluster(prepare, tmp_path, 0)
    join(servers)
    servers[0].server.configure(servers[1].address, ADMIN, {"cluster-node-timeout": "500"})
    servers[2].stop()
    await_all_served(servers[1], served=False)
    with pytest.raises(SmartSimError, match="db_2"):
        join(servers)


def test_a_replica_takes_over_from_its_shard(prepare: Start, tmp_path: Path) -> None:
    servers = started_cluster(prepare, tmp_path, 1)
    join(servers)
    assert [server.ready().is_replica for server in servers] == [False] * 3 + [True] * 3
    servers[0].stop()
    deadline = time.monotonic() + DEADLINE
    while servers[3].ready().is_replica:
        assert time.monotonic() < deadline
        servers[3].pass_time()
    await_all_served(servers[3], served=True)
    await_all_served(servers[1], served=True)
