"""Every call of the clients in a cluster: one by one, side by side, and together; while slots move and shards fail."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from client_calls import (
    BLOB,
    LISTED,
    NAMES,
    SCRIPT,
    Stage,
    X,
    changing,
    deleting_programs,
    everything,
    reading,
    reading_programs,
    running,
    storing,
    storing_programs,
)
from database_clusters import Cluster, Node, connect_node
from old_clients.database import Database, cluster_mode, running_cluster, running_database
from smartsim.app.client.interface import Interface
from smartsim.client import AsyncClient, Client, Pipeline, RedisConnectionError, RedisReplyError, RedisRuntimeError
from smartsim.domain.slots import key_slot
from waiting import wait_until

DEADLINE = 120.0
DURABLE = ("--appendonly", "yes")

# --- the clients


Drive = Callable[[Sequence[Database], Sequence[Stage]], None]


def address_of(shards: Sequence[Database]) -> str:
    return ",".join(shard.tcp for shard in shards)


def outcome(call: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a call returns, or the error that it raises."""
    try:
        return call(*arguments)
    except RedisReplyError as error:
        return error


def one_by_one(shards: Sequence[Database], stages: Sequence[Stage]) -> None:
    with Client(cluster=True, address=address_of(shards)) as client:
        for stage in stages:
            for step in stage.steps:
                step.check(outcome(getattr(client, step.name), *step.arguments))


async def _outcome(call: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    try:
        return await call(*arguments)
    except RedisReplyError as error:
        return error


def side_by_side(shards: Sequence[Database], stages: Sequence[Stage]) -> None:
    async def work() -> None:
        async with AsyncClient(cluster=True, address=address_of(shards)) as client:
            for stage in stages:
                calls = [_outcome(getattr(client, step.name), *step.arguments) for step in stage.steps]
                results = [await call for call in calls] if stage.in_order else await asyncio.gather(*calls)
                for step, result in zip(stage.steps, results, strict=True):
                    step.check(result)

    asyncio.run(work())


def together(shards: Sequence[Database], stages: Sequence[Stage]) -> None:
    """Make the calls in pipelines; those that a pipeline does not have, one by one."""
    with Client(cluster=True, address=address_of(shards)) as client:
        for stage in stages:
            noted = [step for step in stage.steps if hasattr(Pipeline, step.name)]
            pending = []
            with suppress(RedisReplyError), client.pipeline() as pipeline:  # it raises what a call refuses
                pending += [getattr(pipeline, step.name)(*step.arguments) for step in noted]
            for step, each in zip(noted, pending, strict=True):
                step.check(outcome(each.result))
            for step in stage.steps:
                if step not in noted:
                    step.check(outcome(getattr(client, step.name), *step.arguments))


ways = pytest.mark.parametrize("drive", [one_by_one, side_by_side, together])


# --- the cluster


class Shards:
    """A cluster with workers, whose shards may be killed.

    Args:
        directory: where it works.
        stack: ends it.
    """

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.databases = list(stack.enter_context(running_cluster(directory, *DURABLE, shards=3)))
        self._directory = directory
        self._stack = stack

    def kill(self, number: int) -> None:
        """Have a shard crash."""
        self.databases[number].server.stop()

    def restart(self, number: int) -> None:
        """Have a shard that has crashed come back, with a new worker."""
        options = [*cluster_mode(), *DURABLE]
        port = self.databases[number].server.tcp.port
        again = running_database(self._directory / str(number), *options, port=port)
        self.databases[number] = self._stack.enter_context(again)

    @contextmanager
    def moved(self, key: str) -> Iterator[None]:
        """Have the slot of a key be on another shard, for the time being."""
        with self._cluster() as cluster:
            way = _way_round(cluster, key)
            cluster.move(key_slot(key.encode()), way[0], way[1])
            yield
            cluster.move(key_slot(key.encode()), way[1], way[0])

    @contextmanager
    def moving(self, *keys: str) -> Iterator[None]:
        """Have the slots of some keys go round the shards, one after the other; they are home again at the end."""
        ended, moved = threading.Event(), threading.Event()

        def move(cluster: Cluster) -> None:
            while not ended.is_set():
                for key in keys:
                    for source, target in itertools.pairwise(_way_round(cluster, key)):
                        cluster.move(key_slot(key.encode()), source, target)
                moved.set()

        with self._cluster() as cluster, ThreadPoolExecutor(1) as threads:
            moving = threads.submit(move, cluster)
            try:
                yield
                wait_until(lambda: moved.is_set() or moving.done())
            finally:
                ended.set()
            moving.result(DEADLINE)

    @contextmanager
    def _cluster(self) -> Iterator[Cluster]:
        with ExitStack() as stack:
            yield Cluster([connect_node(stack, database.server) for database in self.databases], [])


def _way_round(cluster: Cluster, key: str) -> list[Node]:
    """Return the shard to which the slot of a key belongs, the others, and the first again."""
    home = sum(key_slot(key.encode()) >= first for first in (5461, 10923))
    return [cluster.primaries[(home + number) % 3] for number in range(4)]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("SSDB", "SR_DB_TYPE", "SSKEYIN", "SSKEYOUT", "SR_DB_USERNAME", "SR_DB_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    for name in ("SR_CONN_INTERVAL", "SR_CMD_INTERVAL"):
        monkeypatch.setenv(name, "10")
    return monkeypatch


@pytest.fixture(scope="module")
def running_shards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shards]:
    with ExitStack() as stack:
        yield Shards(tmp_path_factory.mktemp("cluster"), stack)


@pytest.fixture
def shards(running_shards: Shards) -> Shards:
    for database in running_shards.databases:
        database.client.flushall()
    return running_shards


def test_the_steps_are_all_the_calls(tmp_path: Path) -> None:
    made = {step.name for stage in everything(tmp_path, ["h:1", "h:2"]) for step in stage.steps}
    assert made == {name for name, _ in inspect.getmembers(Interface, inspect.isfunction) if not name.startswith("_")}


@ways
def test_every_call(shards: Shards, tmp_path: Path, drive: Drive) -> None:
    drive(shards.databases, everything(tmp_path, [database.tcp for database in shards.databases]))


@ways
def test_calls_while_slots_move(shards: Shards, tmp_path: Path, drive: Drive) -> None:
    drive(shards.databases, storing_programs(tmp_path))
    keys = [NAMES[0], LISTED[3], f"{NAMES[1]}_y", "{\0\0}.m", "{8M}.m"]
    if drive is not together:  # what a pipeline appends to one list may change places when it is sent elsewhere
        keys.append("steps")
    with shards.moving(*keys):
        for _ in range(2):
            drive(shards.databases, [*storing(), *reading(), *reading_programs(), *running(), *changing()])
    drive(shards.databases, [*storing(), *reading()])


def test_programs_are_deleted_although_slots_have_moved(shards: Shards) -> None:
    with Client(cluster=True, address=address_of(shards.databases)) as client:
        client.set_model("m", BLOB, "TORCH")
        client.set_script("s", SCRIPT)
        with shards.moved(NAMES[0]):
            client.put_tensor(NAMES[0], X)  # it learns of the move
            for call, name in ((client.delete_model, "m"), (client.delete_script, "s")):
                call(name)
                with pytest.raises(RedisRuntimeError, match="key is empty"):
                    call(name)
        assert not any(database.stored() - {NAMES[0].encode()} for database in shards.databases)


@ways
def test_calls_when_a_shard_has_crashed_and_come_back(shards: Shards, tmp_path: Path, drive: Drive) -> None:
    drive(shards.databases, [*storing(), *storing_programs(tmp_path)])
    shards.kill(1)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(drive, shards.databases[::2], reading())
        shards.restart(1)
        waiting.result(DEADLINE)
    drive(shards.databases, [*reading(), *reading_programs(), *running(), *changing(), *deleting_programs()])


@ways
def test_a_cluster_that_wants_a_password(shards: Shards, environment: pytest.MonkeyPatch, drive: Drive) -> None:
    address = address_of(shards.databases)
    set_password(shards, "secret")  # for connections that are made from now on
    try:
        for password, message in ((None, "NOAUTH.*password="), ("wrong", "WRONGPASS")):
            with pytest.raises(RedisConnectionError, match=f"{message}(.|\n)*Could not connect"):
                Client(cluster=True, address=address, password=password)
        environment.setenv("SR_DB_PASSWORD", "secret")
        drive(shards.databases, [*storing(), *reading(), *changing()])
    finally:
        set_password(shards, "")


def set_password(shards: Shards, password: str) -> None:
    for database in shards.databases:
        database.client.config_set("requirepass", password)
