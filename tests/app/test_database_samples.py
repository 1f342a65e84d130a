"""What is written of servers, models and scripts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from smartsim.app.database_samples import DatabaseSamples, SampledServer
from smartsim.domain import record
from smartsim.domain.addresses import Address
from smartsim.domain.errors import SmartSimError
from smartsim.domain.metrics import LargeKey, ModelSampled, ServersSampled, SlowCall
from smartsim.ports.database_server import ClientFacts, Credentials, LargestKeys, ProgramUsage, ServerUsage
from smartsim.testing import InMemoryDatabaseServer, InMemoryFileSystem, VirtualClock

SLOW = {number: SlowCall(1.0, number, ("SORT",)) for number in range(5)}


class Server(InMemoryDatabaseServer):
    """A server that says what it is told to."""

    def __init__(self) -> None:
        super().__init__(lambda _: True, lambda _: None)
        self.says = ServerUsage(10, 20, 30, client_count=4, keys=5, hits=6, misses=7)
        self.error: SmartSimError | None = None
        self.listed: list[bool] = []
        self.cursors: list[int] = []

    def usage(
        self, address: Address, credentials: Credentials, timeout: float, *, lists_clients: bool = False
    ) -> ServerUsage:
        del address, credentials, timeout
        self.listed.append(lists_clients)
        if self.error is not None:
            raise self.error
        return replace(self.says, clients=(ClientFacts(1, "10.0.0.1:5"),) if lists_clients else ())

    def largest_keys(
        self, address: Address, credentials: Credentials, timeout: float, known: LargestKeys
    ) -> LargestKeys:
        del address, credentials, timeout
        self.cursors.append(known.cursor)
        return LargestKeys({b"k": LargeKey("k", "string", 99)}, known.cursor + 7)


@dataclass
class Site:
    """Servers that are sampled as often as they are let to be."""

    server: Server = field(default_factory=Server)
    files: InMemoryFileSystem = field(default_factory=lambda: InMemoryFileSystem(["/out"]))
    clock: VirtualClock = field(default_factory=VirtualClock)
    found: list[SampledServer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.found.append(self.one("db_0"))
        self.samples = DatabaseSamples(lambda: list(self.found), self.files, self.clock, interval=5.0)

    def one(self, name: str, directory: str | None = None) -> SampledServer:
        return SampledServer(
            "db", name, "run", self.server, Address.tcp("10.0.0.1", 1), Credentials("a", "b"), directory
        )

    def look(self, times: int = 1) -> list[record.Event]:
        seen: list[record.Event] = []
        for _ in range(times):
            seen += self.samples.sample()
            self.clock.advance(5.0)
        return seen


@pytest.fixture
def site() -> Site:
    return Site()


def servers(events: list[record.Event]) -> list[ServersSampled]:
    return [event for event in events if isinstance(event, ServersSampled)]


def models(events: list[record.Event]) -> list[ModelSampled]:
    return [event for event in events if isinstance(event, ModelSampled)]


def test_a_server_has_a_sample_each_time(site: Site) -> None:
    site.server.says = replace(site.server.says, calls={"get": 8, "set": 2}, latencies={"get": (1.0, 2.0, 3.0)})
    begin = site.clock.now()
    first, second = servers(site.look(2))
    assert replace(second, largest_keys=()) == replace(first, at=begin + 5.0)
    assert first == ServersSampled(
        at=begin,
        database="db",
        server="db_0",
        used_memory=10,
        peak_memory=20,
        total_memory=30,
        clients=4,
        keys=5,
        commands=10,
        hits=6,
        misses=7,
        calls={"get": 8, "set": 2},
        latencies={"get": (1.0, 2.0, 3.0)},
    )


def test_a_server_that_runs_for_long_is_asked_more_seldom(site: Site) -> None:
    site.look(10_000)  # 14 hours
    assert len(site.server.listed) < 1700
    site.server.listed.clear()
    site.look(12)  # a minute
    assert 1 <= len(site.server.listed) <= 2


def test_a_slow_call_is_told_of_once(site: Site) -> None:
    site.server.says = replace(site.server.says, slow={number: SLOW[number] for number in (0, 1)})
    told = servers(site.look(2))
    site.server.says = replace(site.server.says, slow=SLOW)
    told += servers(site.look(2))
    assert [[call.microseconds for call in sample.slow] for sample in told] == [[0, 1], [], [2, 3, 4], []]


def test_large_keys_are_looked_for_seldom_and_further_on_each_time(site: Site) -> None:
    told = servers(site.look(30))
    assert [number for number, sample in enumerate(told) if sample.largest_keys] == [1, 11, 21]
    assert site.server.cursors == [0, 7, 14]
    assert told[1].largest_keys == (LargeKey("k", "string", 99),)


def test_keys_of_a_replica_are_those_of_its_shard(site: Site) -> None:
    site.server.says = replace(site.server.says, is_replica=True)
    site.look(30)
    assert site.server.cursors == []


def test_a_model_is_told_of_when_it_changes_and_until_when_it_had_not(site: Site) -> None:
    program = ProgramUsage("m", "MODEL", "TORCH", "CPU", calls=1, run_seconds=0.5, batch_sizes={"1": 1})
    site.server.says = replace(site.server.says, programs=(program,))
    begin = site.clock.now()
    told = models(site.look(4))
    assert [(sample.at - begin, sample.calls) for sample in told] == [(0.0, 1)]
    site.server.says = replace(site.server.says, programs=(replace(program, calls=3),))
    told = models(site.look(1))
    assert [(sample.at - begin, sample.calls) for sample in told] == [(15.0, 1), (20.0, 3)]
    site.server.says = replace(site.server.says, programs=(replace(program, calls=4),))
    told = models(site.look(1))
    assert [(sample.at - begin, sample.calls) for sample in told] == [(25.0, 4)]
    assert (told[0].database, told[0].server, told[0].model, told[0].backend) == ("db", "db_0", "m", "TORCH")
    assert (told[0].run_seconds, told[0].batch_sizes) == (0.5, {"1": 1})


def test_a_server_that_does_not_answer_is_left_out_and_asked_again(site: Site) -> None:
    site.found.append(site.one("db_1"))
    site.server.error = SmartSimError("gone")
    assert site.look() == []
    site.server.error = None
    assert [sample.server for sample in servers(site.look())] == ["db_0", "db_1"]


def test_a_server_that_was_started_again_begins_anew(site: Site) -> None:
    site.server.says = replace(site.server.says, slow=SLOW)
    site.look()
    site.found[:] = [replace(site.found[0], run="another")]
    assert len(servers(site.look())[0].slow) == 5
    site.found.clear()
    assert not site.samples.has_any()
    assert site.look() == []


def test_tables_have_a_row_each_time_and_their_header_once(site: Site) -> None:
    site.found[:] = [site.one("db_0", "/out")]
    site.look(2000)
    lines = site.files.read("/out/memory.csv").decode().splitlines()
    assert lines[0] == "timestamp,used_memory,used_memory_peak,total_system_memory"
    assert len(lines) == 2001
    assert site.files.read("/out/client.csv").decode().splitlines()[1].endswith(",1,10.0.0.1:5")
    assert all(site.server.listed)


def test_clients_are_not_listed_for_nothing(site: Site) -> None:
    site.look(3)
    assert site.server.listed == [False] * 3


def test_tables_that_cannot_be_written_are_told_of_once(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.found[:] = [site.one("db_0", "/nowhere")]
    assert len(servers(site.look(3))) == 3
    assert capsys.readouterr().out.count("Samples of db_0 cannot be written") == 1
