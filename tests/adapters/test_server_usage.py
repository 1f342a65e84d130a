"""What real servers say of their work, and that who asks is not in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from servers import Server, running_server
from smartsim.adapters.database.access import OBSERVER as OBSERVER_NAME
from smartsim.adapters.database.access import users
from smartsim.adapters.database.usage import parse, parse_slow_calls
from smartsim.adapters.database.valkey import ValkeyServer
from smartsim.app.shard_samples import Observer
from smartsim.domain.addresses import Address
from smartsim.domain.errors import SmartSimError
from smartsim.ports.database_server import Credentials, LargestKeys, ObservedServer, ProgramUsage, ServerUsage

ADMIN = Credentials("admin", "secret")
SUPERVISOR = Credentials(OBSERVER_NAME, "hidden")
_USERS = users(ADMIN, "worker's", SUPERVISOR.password, None)
OBSERVER = next(f"--{line}" for line in _USERS if line.startswith(f"user {OBSERVER_NAME} ")).split()


@dataclass(frozen=True)
class Asker:
    """Who asks a server."""

    says: ObservedServer
    credentials: Credentials

    def asked(self, server: Server) -> ServerUsage:
        return self.says.usage(server.unix, self.credentials, 30.0)

    def looked(self, server: Server, known: LargestKeys) -> LargestKeys:
        return self.says.largest_keys(server.tcp, self.credentials, 30.0, known)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running_server(tmp_path, "--user", "admin", "on", ">secret", "~*", "&*", "+@all", *OBSERVER) as server:
        yield server


@pytest.fixture(params=["driver", "supervisor"])
def asker(request: pytest.FixtureRequest) -> Asker:
    """Return who asks: both say the same."""
    return Asker(ValkeyServer(), ADMIN) if request.param == "driver" else Asker(Observer(), SUPERVISOR)


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    with redis.Redis(host=server.tcp.host, port=server.tcp.port, socket_timeout=30) as client:
        yield client


def test_calls_hits_and_keys_are_those_of_clients(server: Server, client: redis.Redis, asker: Asker) -> None:
    before = asker.asked(server)
    assert (before.calls, before.hits, before.misses, before.keys) == ({}, 0, 0, 0)
    for number in range(7):
        client.set(f"k{number}", "v" * 1000)
    client.get("k0")
    client.get("none")
    client.select(3)
    client.set("elsewhere", 1)
    usage = asker.asked(server)
    assert (usage.calls["set"], usage.calls["get"]) == (8, 2)
    assert sum(usage.calls.values()) == 11  # with SELECT
    assert (usage.hits, usage.misses, usage.keys) == (1, 1, 8)
    assert usage.bytes_in > before.bytes_in + 7000
    assert usage.client_count == 1
    median, high, highest = usage.latencies["set"]
    assert 0 < median <= high <= highest
    assert set(usage.latencies) == set(usage.calls)


def test_who_asks_is_counted_nowhere(server: Server, client: redis.Redis, asker: Asker) -> None:
    client.set("k", "v")
    client.config_set("slowlog-log-slower-than", 0)
    known = LargestKeys()
    before = asker.asked(server)
    for _ in range(5):
        asker.asked(server)
        known = asker.looked(server, known)
    usage = asker.asked(server)
    assert usage.calls == before.calls
    assert usage.misses == before.misses
    assert usage.hits <= before.hits + 1  # the type of a key that is new among the largest
    assert usage.client_count == before.client_count
    assert usage.slow.keys() <= before.slow.keys()


def test_slow_calls_are_told_without_what_they_carried(server: Server, client: redis.Redis, asker: Asker) -> None:
    client.config_set("slowlog-log-slower-than", 0)
    client.set("k", "v" * 1000)
    client.execute_command("CONFIG", "SET", "requirepass", "secret")
    client.rpush(b"\xff\n", *range(10))
    slow = [call.command for _, call in sorted(asker.asked(server).slow.items())]
    assert ("SET", "k", "v" * 60 + "...") in slow
    assert ("CONFIG", "...") in slow
    assert ("RPUSH", "\\xff\n", "0", "1", "...") in slow
    assert not [words for words in slow if "secret" in words]


def test_the_largest_keys_are_found_bit_by_bit(server: Server, client: redis.Redis, asker: Asker) -> None:
    with client.pipeline(transaction=False) as pipeline:
        for number in range(5000):
            pipeline.set(f"k{number}", "v" * (number % 100))
        for number in range(12):
            pipeline.set(b"large\xff%d" % number, "v" * (100_000 + 10_000 * number))
        pipeline.rpush("list", *("v" * 50_000 for _ in range(10)))
        pipeline.execute()
    known = asker.looked(server, LargestKeys())
    assert known.cursor
    rounds = 1
    while known.cursor:
        known = asker.looked(server, known)
        rounds += 1
        assert rounds < 50
    assert rounds >= 2
    keys = list(known.keys.values())
    assert (keys[0].name, keys[0].type) == ("list", "list")
    assert [key.name for key in keys[1:]] == [f"large\\xff{number}" for number in range(11, 2, -1)]
    assert keys[1].bytes >= 210_000
    client.delete("list", b"large\xff11")
    assert [key.name for key in asker.looked(server, known).keys.values()][:2] == ["large\\xff10", "large\\xff9"]


def test_a_server_that_does_not_answer_is_told_by_its_address(server: Server, asker: Asker) -> None:
    for wrong in (Address.tcp("127.0.0.1", 1), server.tcp):
        credentials = asker.credentials if wrong.port == 1 else Credentials(asker.credentials.username, "wrong")
        with pytest.raises(SmartSimError, match=str(wrong)):
            asker.says.usage(wrong, credentials, 5.0)
        with pytest.raises(SmartSimError, match=str(wrong)):
            asker.says.largest_keys(wrong, credentials, 5.0, LargestKeys())


def test_what_is_refused_is_an_error(server: Server) -> None:
    with pytest.raises(SmartSimError, match="permission"):
        Observer().usage(server.tcp, SUPERVISOR, 5.0, lists_clients=True)


TIMES = "queue_time=2500000,run_time=500000,workers_lost=0"
SIZES = "batch_sizes=1:20 3-4:7 65+:1"
PROGRAMS = f"""
# ai_workers
ai_worker_7:process=11,device=CPU,state=running,jobs=9,TF=2.16.1,TORCH=2.3.0
ai_worker_8:process=12,device=GPU:0,state=waiting,jobs=0,TORCH=2.3.0
ai_supervisor_6:process=10,device=CPU,state=waiting,jobs=0,TORCH=2.3.0
# ai_models
ai_model_12:name=a%2Cb%20c,backend=TORCH,device=CPU,waiting=2,running=1,calls=40,errors=1,{TIMES},{SIZES}
ai_model_9:name=a%2Cb%20c,backend=TF,device=CPU,waiting=0,running=1,calls=3,errors=0,{TIMES},batch_sizes=1:3
# ai_scripts
ai_script_3:name=f,backend=TORCH,device=GPU,waiting=0,running=0,calls=1,errors=0,{TIMES},batch_sizes=
"""


def test_programs_are_told_with_those_that_can_run_them() -> None:
    model, script = parse(PROGRAMS).programs
    assert model == ProgramUsage(
        model="a,b c",
        type="MODEL",
        backend="TORCH",
        device="CPU",
        calls=40,
        errors=1,
        queue_seconds=2.5,
        run_seconds=0.5,
        queue_length=2,
        running=1,
        workers=1,
        batch_sizes={"1": 20, "4": 7, "inf": 1},
    )
    assert (script.model, script.type, script.workers, script.batch_sizes) == ("f", "SCRIPT", 1, {})


def test_what_a_server_does_not_tell_is_nothing() -> None:
    assert parse("") == ServerUsage(0, 0, 0)
    assert parse("latency_percentiles_usec_get:p50=1.0,p99=2.0\r\n").latencies == {}
    assert parse("role:slave\r\n").is_replica


def test_a_slow_call_of_an_old_server_names_no_client() -> None:
    assert parse_slow_calls([[1, 5, 9, [b"GET", b"k"]]])[1].command == ("GET", "k")
