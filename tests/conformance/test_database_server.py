"""What every database server does."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from smartsim.adapters.clock.virtual import VirtualClock
from smartsim.adapters.database.in_memory import InMemoryDatabaseServer
from smartsim.adapters.database.valkey import ValkeyServer
from smartsim.adapters.network.system import SystemNetwork
from smartsim.adapters.wlm.local import LocalWorkloadManager
from smartsim.adapters.wlm.scripted import Script, ScriptedWorkloadManager
from smartsim.domain.addresses import Address
from smartsim.domain.database import ShardPlan
from smartsim.domain.errors import SmartSimError, SSInternalError
from smartsim.domain.lifecycle import Ended, JobEvent
from smartsim.domain.steps import Step
from smartsim.ports.database_server import Credentials, DatabaseServer, ServerFacts
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
        return Address.tcp(self.plan.bind[0], self.plan.port)

    def start(self) -> None:
        command = self.server.command(self.plan, ADMIN)
        Path(self.plan.directory).mkdir(parents=True, exist_ok=True)
        for path, content in command.files.items():
            Path(path).write_bytes(content)
        out = f"{self.plan.directory}/shard"
        step = Step("shard", command.argv, (), {}, self.plan.directory, f"{out}.out", f"{out}.err")
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


@pytest.fixture(params=["valkey", "memory"])
def shard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    plan = ShardPlan("db_0", f"{tmp_path}/a directory", ("127.0.0.1",), SystemNetwork().free_port("127.0.0.1"))
    if request.param == "valkey":
        local = LocalWorkloadManager()
        running = Running(ValkeyServer(), local, lambda: _pause(0.005), plan, [])
    else:
        clock = VirtualClock()
        scripted = ScriptedWorkloadManager(clock.call_later, clock, lambda _: Script(duration=None))
        server = InMemoryDatabaseServer(scripted.runs, scripted.end)
        running = Running(server, scripted, lambda: clock.advance(1.0), plan, [])
    yield running
    if running.events:
        running.manager.stop(["shard"], grace=0.0)
        running.ended()
    running.manager.close()


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
    command = shard.server.command(shard.plan, ADMIN)
    assert ADMIN.password not in " ".join(command.argv)
    assert all(ADMIN.password.encode() not in content for content in command.files.values())
    assert ADMIN.password not in repr(ADMIN)
