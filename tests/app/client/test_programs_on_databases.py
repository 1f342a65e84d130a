"""Models, scripts and administration on real databases with real workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest

import ml_models
from old_clients import torch_models
from old_clients.database import running_cluster, running_database
from smartsim.adapters.tensors.resp import RespTensorStore
from smartsim.app.client import administration, models, scripts
from smartsim.app.client.calls import Call, carry_out, check, text
from smartsim.domain.client_config import read_client_config
from smartsim.domain.client_errors import RedisRuntimeError
from smartsim.domain.slots import key_slot
from smartsim.ports.tensor_store import Command, Reply, Request, Shard

if TYPE_CHECKING:
    from torch import Tensor

MINUTE = 60_000  # ms
X = np.arange(8, dtype=np.float32).reshape(2, 4)
TORCH = models.model_options("TORCH")
SOURCE = """
def double(x):
    return 2 * x

def stretch(first, others: List[Tensor]):
    return first * len(others), torch.stack(others).sum(dim=0), others[0].max()

def nothing():
    return torch.ones(3)
"""


class CountingStore:
    """A store that counts the round trips and remembers which keys were fetched or stored by the client."""

    def __init__(self, store: RespTensorStore) -> None:
        self._store = store
        self.rounds = 0
        self.moved: list[bytes] = []

    def run(self, requests: list[Request]) -> Any:
        self.rounds += 1
        tensors = (b"AI.TENSORGET", b"AI.TENSORSET")
        self.moved += [r.key or b"" for r in requests if isinstance(r, Command) and r.words[0] in tensors]
        return self._store.run(requests)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@dataclass(frozen=True)
class Place:
    """A database.

    Attributes:
        store: of the tests.
        stored: tells all its keys.
    """

    store: RespTensorStore
    stored: Callable[[], set[bytes]]

    def carry_out(self, call: Call[Any]) -> Any:
        """Return what a call returns."""
        return carry_out(call, self.store)

    def measure(self, call: Call[Any]) -> CountingStore:
        """Carry out a call; return what it took."""
        store: Any = CountingStore(self.store)
        carry_out(call, store)
        counted: CountingStore = store
        return counted

    def put(self, name: str, array: npt.NDArray[Any]) -> None:
        """Store a tensor."""
        self.store.put(name.encode(), array)

    def get(self, name: str) -> npt.NDArray[Any]:
        """Return a tensor."""
        return self.store.get(name.encode())

    def ask(self, shard: Shard, *words: bytes) -> Reply:
        """Return what a shard says to a command."""
        (reply,) = self.store.run([Command(words, shard=shard.address)])
        return reply

    def name_on(self, shard: int, stem: str) -> str:
        """Return a name that a shard has."""
        first, last = self.shards[shard].slots
        return next(name for name in (f"{stem}{i}" for i in range(1000)) if first <= key_slot(name.encode()) <= last)

    @property
    def shards(self) -> tuple[Shard, ...]:
        """The shards."""
        return self.store.shards()

    @property
    def addresses(self) -> list[str]:
        """Of all shards."""
        return [str(shard.address) for shard in self.shards]


@pytest.fixture(scope="module")
def one_shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A database that is no cluster."""
    with running_database(tmp_path_factory.mktemp("database")) as database:
        store = RespTensorStore([database.server.tcp], read_client_config(lambda _: None))
        yield Place(store, database.stored)
        store.close()


@pytest.fixture(scope="module")
def three_shards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A database that is one."""
    with running_cluster(tmp_path_factory.mktemp("cluster"), shards=3) as databases:
        addresses = [database.server.tcp for database in databases]
        store = RespTensorStore(addresses, read_client_config(lambda _: None), cluster=True)
        yield Place(store, lambda: {key for database in databases for key in database.stored()})
        store.close()


@pytest.fixture(params=["one_shard", "three_shards"])
def place(request: pytest.FixtureRequest) -> Place:
    """A database of either kind, empty."""
    return emptied(request.getfixturevalue(request.param))


@pytest.fixture
def cluster(three_shards: Place) -> Place:
    """A cluster, empty."""
    return emptied(three_shards)


def emptied(place: Place) -> Place:
    """Return a database after removing all that is in it."""
    place.carry_out(administration.flush_db(place.addresses))
    return place


def test_a_model_is_stored_run_and_deleted(place: Place) -> None:
    blob = ml_models.affine("TORCH").blob
    place.carry_out(models.set_model("m", blob, models.model_options("torch", 4, 2, 1, "v1")))
    assert place.carry_out(models.model_exists("m")) is True
    assert place.carry_out(models.get_model("m")) == blob
    place.put("x", X)
    place.carry_out(models.run_model("m", ["x"], ["y"], MINUTE))
    assert place.get("y").tolist() == (2 * X + 1).tolist()
    place.carry_out(models.delete_model("m"))
    assert place.carry_out(models.model_exists("m")) is False
    assert place.stored() == {b"x", b"y"}
    with pytest.raises(RedisRuntimeError, match="model key is empty.*to run 'm' with inputs"):
        place.carry_out(models.run_model("m", ["x"], ["y"], MINUTE))
    for call in (models.delete_model("m"), models.get_model("m")):
        with pytest.raises(RedisRuntimeError, match="model key is empty"):
            place.carry_out(call)


def test_a_large_model_goes_and_comes_in_parts(place: Place) -> None:
    blob = torch_models.large(columns=600)  # above the size from which the database is asked
    place.carry_out(models.set_model_chunk_size(500_000))
    try:
        place.carry_out(models.set_model("m", blob, TORCH))
        assert place.carry_out(models.get_model("m")) == blob
    finally:
        place.carry_out(models.set_model_chunk_size(535_822_336))


def test_a_script_is_stored_run_and_deleted(place: Place) -> None:
    place.carry_out(scripts.set_script("s", SOURCE))
    assert place.carry_out(scripts.get_script("s")) == SOURCE
    for name, factor in (("INPUTS", 1), ("OUTPUTS", 2), ("$", 3)):
        place.put(name, factor * X)
    place.carry_out(scripts.run_script("s", "double", ["OUTPUTS"], ["TIMEOUT"], MINUTE))
    assert place.get("TIMEOUT").tolist() == (4 * X).tolist()
    place.carry_out(scripts.run_script("s", "stretch", ["INPUTS", "OUTPUTS", "$"], ["a", "b", "c"], MINUTE))
    assert place.get("a").tolist() == (2 * X).tolist()
    assert place.get("b").tolist() == (5 * X).tolist()
    assert place.get("c").shape == ()
    place.carry_out(scripts.run_script("s", "nothing", [], ["ones"], MINUTE))
    assert place.get("ones").tolist() == [1, 1, 1]
    place.carry_out(scripts.delete_script("s"))
    with pytest.raises(RedisRuntimeError, match="script key is empty"):
        place.carry_out(scripts.run_script("s", "nothing", [], ["ones"], MINUTE))


def test_a_function_is_run(place: Place) -> None:
    def negative(x: Tensor) -> Tensor:
        return -x

    place.carry_out(scripts.set_script("f", scripts.function_source(negative)))
    place.put("x", X)
    place.carry_out(scripts.run_script("f", "negative", ["x"], ["x"], MINUTE))
    assert place.get("x").tolist() == (-X).tolist()


def test_a_model_that_cannot_be_loaded_is_stored_nowhere(place: Place) -> None:
    with pytest.raises(RedisRuntimeError, match="cannot load the model"):
        place.carry_out(models.set_model("bad", b"no model", TORCH))
    with pytest.raises(RedisRuntimeError, match="no worker serves the device GPU:0"):
        place.carry_out(models.set_model_multigpu("m", ml_models.affine("TORCH").blob, TORCH, 0, 2))
    assert place.stored() == set()


def test_what_fails_writes_nothing(place: Place) -> None:
    place.carry_out(models.set_model("both", ml_models.sum_and_difference("TORCH").blob, TORCH))
    place.put("x", X)
    place.put("wide", np.ones((2, 5), np.float32))
    before = place.stored()
    for inputs in (["x", "missing"], ["missing", "x"], ["x", "wide"], ["wide", "x"], ["x"]):
        with pytest.raises(RedisRuntimeError, match="to run 'both'"):
            place.carry_out(models.run_model("both", inputs, ["y", "z"], MINUTE))
    assert place.stored() == before
    place.carry_out(models.run_model("both", ["x", "x"], ["y", "z"], MINUTE))
    assert place.get("y").tolist() == (2 * X).tolist()


@pytest.mark.parametrize("spread", [(0, 0, 0, 0), (2, 2, 2, 2), (0, 1, 2, 2), (1, 1, 0, 1), (2, 0, 1, 0)])
def test_in_a_cluster_only_what_lives_elsewhere_is_moved(cluster: Place, spread: tuple[int, ...]) -> None:
    a, b, total, difference = (cluster.name_on(shard, stem) for shard, stem in zip(spread, "abtd", strict=True))
    cluster.carry_out(models.set_model("both", ml_models.sum_and_difference("TORCH").blob, TORCH))
    cluster.put(a, 3 * X)
    cluster.put(b, X)
    before = cluster.stored()

    measured = cluster.measure(models.run_model("both", [a, b], [total, difference], MINUTE))

    home, *others = spread
    assert measured.moved == [
        name.encode() for name, shard in zip((b, total, difference), others, strict=True) if shard != home
    ]
    assert measured.rounds == 1 + (others[0] != home) + any(shard != home for shard in others[1:])
    assert cluster.get(total).tolist() == (4 * X).tolist()
    assert cluster.get(difference).tolist() == (2 * X).tolist()
    assert cluster.stored() == before | {total.encode(), difference.encode()}  # no temporary keys


def test_in_a_cluster_names_may_occur_twice(cluster: Place) -> None:
    cluster.carry_out(models.set_model("both", ml_models.sum_and_difference("TORCH").blob, TORCH))
    here, there = cluster.name_on(0, "h"), cluster.name_on(1, "t")
    for name in (here, there):
        cluster.put(name, X)
        cluster.carry_out(models.run_model("both", [name, name], [name, there], MINUTE))
        assert cluster.get(there).tolist() == (0 * X).tolist()
    assert cluster.get(here).tolist() == (2 * X).tolist()


def test_in_a_cluster_models_run_on_although_slots_have_moved(cluster: Place) -> None:
    names = [cluster.name_on(0, stem) for stem in ("moved", "other")]
    ids = [text(cluster.ask(shard, b"CLUSTER", b"MYID")) for shard in cluster.shards]
    shards = cluster.shards

    def move(owner: bytes) -> None:
        for shard in shards:
            check(cluster.ask(shard, b"CLUSTER", b"SETSLOT", b"%d" % key_slot(names[0].encode()), b"NODE", owner))

    cluster.carry_out(models.set_model("m", ml_models.affine("TORCH").blob, TORCH))
    cluster.put(names[1], X)
    move(ids[1])
    try:
        cluster.carry_out(models.run_model("m", [names[1]], [names[0]], MINUTE))  # as the slots were
        assert cluster.get(names[0]).tolist() == (2 * X + 1).tolist()
        cluster.carry_out(models.run_model("m", [names[0]], [names[1]], MINUTE))  # as they are
        assert cluster.get(names[1]).tolist() == (2 * (2 * X + 1) + 1).tolist()
        check(cluster.ask(shards[1], b"FLUSHDB"))
    finally:
        move(ids[0])


def test_a_deadline_ends_a_run(place: Place) -> None:
    place.carry_out(scripts.set_script("slow", torch_models.SLOW_SCRIPT))
    place.put("loops", np.array([10_000]))
    with pytest.raises(RedisRuntimeError, match="timed out after 1 ms"):
        place.carry_out(scripts.run_script("slow", "slow", ["loops"], ["y"], 1))
    assert b"y" not in place.stored()


# Administration


def test_statistics_are_read_and_begin_anew(place: Place) -> None:
    place.carry_out(models.set_model("m", ml_models.affine("TORCH").blob, models.model_options("TORCH", tag="v1")))
    place.put("x", X)
    place.carry_out(models.run_model("m", ["x"], ["y"], MINUTE))
    told = place.carry_out(administration.get_ai_info(place.addresses, "m", reset_stat=True))
    assert sum(int(one["calls"]) for one in told) == 1
    assert {(one["key"], one["type"], one["tag"]) for one in told} == {("m", "MODEL", "v1")}
    told = place.carry_out(administration.get_ai_info(place.addresses, "m"))
    assert [one["calls"] for one in told] == ["0"] * len(place.addresses)
    with pytest.raises(RedisRuntimeError, match="cannot find run info"):
        place.carry_out(administration.get_ai_info(place.addresses, "missing", reset_stat=True))


def test_servers_tell_of_themselves(place: Place) -> None:
    told = place.carry_out(administration.get_db_node_info(place.addresses))
    assert [info["Server"]["tcp_port"] for info in told] == [str(shard.address.port) for shard in place.shards]
    assert all("ai_TORCH" in info["ai_backends_info"] for info in told)


def test_settings_are_read_and_changed(place: Place) -> None:
    *_, address = place.addresses
    place.carry_out(administration.config_set("latency-monitor-threshold", "17", address))
    assert place.carry_out(administration.config_get("latency-monitor-t*", address)) == {
        "latency-monitor-threshold": "17"
    }
    assert place.carry_out(administration.config_get("no-such-thing", address)) == {}
    with pytest.raises(RedisRuntimeError, match="Unknown option"):
        place.carry_out(administration.config_set("no-such-thing", "1", address))


def test_databases_are_saved_and_emptied(place: Place) -> None:
    place.put("x", X)
    place.carry_out(administration.save(place.addresses))
    place.carry_out(administration.flush_db([f"tcp://{address}" for address in place.addresses]))
    assert place.stored() == set()


def test_only_a_cluster_tells_of_one(one_shard: Place, cluster: Place) -> None:
    (info,) = cluster.carry_out(administration.get_db_cluster_info(cluster.addresses[:1]))
    assert (info["cluster_state"], info["cluster_size"]) == ("ok", "3")
    with pytest.raises(RedisRuntimeError, match="Cannot run on non-cluster environment"):
        one_shard.carry_out(administration.get_db_cluster_info(one_shard.addresses))
