"""AI._DAGLOCAL: a DAG whose keys need not share a slot, on the node of a cluster that serves them all."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis

from module_server import DEADLINE, Server
from scripted_worker import Item, Output, Peer, ScriptedWorker, store
from servers import free_port

SLOTS = 16384
NODES = 3


def words(*ops: list[Any]) -> list[Any]:
    return [word for op in ops for word in ["|>", *op]]


def run(model: str, source: str, to: str) -> list[Any]:
    return ["AI.MODELEXECUTE", model, "INPUTS", 1, source, "OUTPUTS", 1, to]


def put(key: str, value: bytes) -> list[Any]:
    return ["AI.TENSORSET", key, "UINT8", 1, "BLOB", value]


def get(key: str) -> list[Any]:
    return ["AI.TENSORGET", key, "BLOB"]


def answer(worker: ScriptedWorker, item: Item, *values: bytes) -> None:
    worker.done(item, *(Output("UINT8", [1], [value]) for value in values))


def store_programs(client: Peer, worker: ScriptedWorker, model: str, script: str) -> None:
    store(client, worker, "AI.MODELSTORE", model, "TORCH", "CPU", "BLOB", "m", inputs=["x"], outputs=["y"])
    store(client, worker, "AI.SCRIPTSET", script, "CPU", "SOURCE", "def f(x): return x, x")


# One server


@pytest.fixture
def worker(shared: Server, client: Peer) -> Iterator[ScriptedWorker]:
    """A worker, with a model `m` and a script `s`; and a tensor `a`."""
    with ScriptedWorker(shared.socket, TORCH="2") as worker:
        client.ask("FLUSHALL")
        client.ask(*put("a", b"1"))
        store_programs(client, worker, "m", "s")
        yield worker


def test_it_replies_and_persists_as_a_dag_does(client: Peer, worker: ScriptedWorker) -> None:
    script = ["AI.SCRIPTEXECUTE", "s", "f", "INPUTS", 1, "b", "OUTPUTS", 2, "c", "d"]
    ops = [put("z", b"9"), run("m", "a", "b"), script, get("b"), ["AI.TENSORGET", "d", "META", "VALUES"]]
    client.send("AI._DAGLOCAL", "LOAD", 1, "a", "PERSIST", 3, "c", "d", "z", "TIMEOUT", 10_000, *words(*ops))
    answer(worker, worker.job(), b"2")
    item = worker.job()
    assert (item.kind, item.parts[0], item.outputs) == ("SCRIPT", b"f", 2)  # an entry point or not
    answer(worker, item, b"3", b"4")
    reply = client.receive()
    assert reply == [b"OK", b"OK", b"OK", b"2", [b"dtype", b"UINT8", b"shape", [1], b"values", [ord("4")]]]
    assert [client.ask(*get(key)) for key in "cdz"] == [b"3", b"4", b"9"]
    assert client.ask("EXISTS", "b") == 0


def test_its_errors_are_those_of_a_dag(client: Peer, worker: ScriptedWorker) -> None:
    client.send("AI._DAGLOCAL", "LOAD", 1, "a", "PERSIST", 1, "b", *words(run("m", "a", "b"), get("b"), get("a")))
    worker.fail(worker.job(), "ERR it broke")
    failed, *others = client.receive()
    assert (str(failed), others) == ("it broke", [b"NA", b"1"])
    with pytest.raises(redis.ResponseError, match="^missing arguments for 'AI._DAGLOCAL' command$"):
        client.ask("AI._DAGLOCAL", "LOAD")
    with pytest.raises(redis.ResponseError, match="^AI._DAGLOCAL needs at least one of LOAD, PERSIST and ROUTING$"):
        client.ask("AI._DAGLOCAL", *words(put("a", b"1")))
    with pytest.raises(redis.ResponseError, match="^tensor key is empty or in a different shard$"):
        client.ask("AI._DAGLOCAL", "LOAD", 1, "nothing", *words(get("nothing")))
    assert client.ask("EXISTS", "b") == 0


@pytest.mark.usefixtures("worker")
def test_it_is_refused_in_a_transaction(client: Peer) -> None:
    client.ask("MULTI")
    client.ask("AI._DAGLOCAL", "PERSIST", 1, "b", *words(put("b", b"1")))
    (error,) = client.ask("EXEC")
    assert str(error) == "Cannot run RedisAI command within a transaction or a LUA script"
    assert client.ask("EXISTS", "b") == 0


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("command", "forbidden"),
    [
        (["LOAD", 1, "out", *words(get("out"))], "out"),
        (["PERSIST", 1, "a", *words(put("a", b"2"))], "a"),
        (["LOAD", 1, "a", *words(put("q", b"1"), run("out", "a", "b"))], "out"),
        (["LOAD", 1, "a", *words(["AI.SCRIPTEXECUTE", "s", "f", "KEYS", 1, "a", "INPUTS", 1, "a"])], "a"),
        (["LOAD", 1, "a", *words(["AI.SCRIPTEXECUTE", "s", "f", "KEYS", 1, "out", "INPUTS", 1, "a"])], "out"),
        (["LOAD", 2, "a", "other", *words(get("a"))], "other"),
    ],
)
def test_the_user_needs_permission_for_every_key(
    shared: Server, client: Peer, command: list[Any], forbidden: str
) -> None:
    client.ask("ACL", "SETUSER", "guest", "on", ">pw", "%R~a", "%R~m", "%R~s", "%W~out", "+@all")
    with Peer(shared.socket, "guest", "pw") as guest:
        with pytest.raises(redis.exceptions.NoPermissionError, match=f" {forbidden}$"):
            guest.ask("AI._DAGLOCAL", *command)
        reply = guest.ask("AI._DAGLOCAL", "LOAD", 1, "a", "PERSIST", 1, "out", *words(put("out", b"7"), get("a")))
        assert reply == [b"OK", b"1"]
    client.ask("ACL", "DELUSER", "guest")
    assert (client.ask(*get("a")), client.ask(*get("out"))) == (b"1", b"7")


def test_what_it_persists_is_in_the_append_only_file(serve: Callable[..., Server]) -> None:
    server = serve("--appendonly", "yes", "--appendfsync", "always")
    with Peer(server.socket) as client, ScriptedWorker(server.socket, TORCH="2") as worker:
        store_programs(client, worker, "m", "s")
        client.send("AI._DAGLOCAL", "PERSIST", 2, "a", "b", *words(put("a", b"1"), run("m", "a", "b")))
        answer(worker, worker.job(), b"2")
        assert client.receive() == [b"OK", b"OK"]
    server.stop()
    server.start()
    with Peer(server.socket) as client:
        assert (client.ask(*get("a")), client.ask(*get("b"))) == (b"1", b"2")


# A cluster


class Cluster:
    """Nodes that serve a third of the slots each."""

    def __init__(self, directory: Path) -> None:
        self.nodes: list[Server] = []
        self._directory = directory
        self._used: set[int] = set()
        self._bounds = [round(SLOTS * number / NODES) for number in range(NODES + 1)]

    def form(self) -> None:
        """Start the nodes, and wait until they know each other."""
        for number in range(NODES):
            node = self._start()
            self.ask(node, "ADDSLOTSRANGE", self._bounds[number], self._bounds[number + 1] - 1)
        self._settle()

    def stop(self) -> None:
        """End all nodes that were started, whatever one of them says in the end."""
        with contextlib.ExitStack() as stack:
            for node in self.nodes:
                stack.callback(node.stop)

    def add_replica(self) -> Server:
        """Return a new replica of the first node, which has everything."""
        name = self.ask(self.nodes[0], "MYID")
        replica = self._start()
        self._settle()
        self.ask(replica, "REPLICATE", name)
        replica.wait_for("Finished with success")
        return replica

    def ask(self, node: Server, *arguments: Any) -> Any:
        """Give a node a command that begins with CLUSTER."""
        with Peer(node.socket) as client:
            return client.ask("CLUSTER", *arguments)

    def key(self, node: int, name: str) -> str:
        """Return a new key of a node, in a slot that has no other."""
        keys = (f"{name}{number}" for number in itertools.count())
        first, end = self._bounds[node : node + 2]
        key = next(key for key in keys if self.slot(key) in range(first, end) and self.slot(key) not in self._used)
        self._used.add(self.slot(key))
        return key

    def slot(self, key: str) -> int:
        """Return the slot of a key."""
        return int(self.ask(self.nodes[0], "KEYSLOT", key))

    def move(self, key: str, to: int) -> None:
        """Give the slot of a key, in which nothing is, to another node."""
        name = self.ask(self.nodes[to], "MYID")
        for number in (to, *range(NODES)):
            self.ask(self.nodes[number], "SETSLOT", self.slot(key), "NODE", name)

    def _start(self) -> Server:
        port, bus = free_port(), free_port()
        server = Server(
            self._directory / str(len(self.nodes)),
            *("--cluster-enabled", "yes", "--bind", "127.0.0.1", "--port", str(port), "--cluster-port", str(bus)),
            *("--appendonly", "yes", "--repl-diskless-sync-delay", "0"),
        )
        self.nodes.append(server)
        server.start()
        self.ask(self.nodes[0], "MEET", "127.0.0.1", port, bus)
        return server

    def _settle(self) -> None:
        deadline = time.monotonic() + DEADLINE
        while not all(self._is_complete(node) for node in self.nodes):
            assert time.monotonic() < deadline, "the cluster did not form"
            time.sleep(0.02)  # it is the servers that find one another; nothing tells us when they have

    def _is_complete(self, node: Server) -> bool:
        info = self.ask(node, "INFO").split()
        return {b"cluster_state:ok", b"cluster_known_nodes:%d" % len(self.nodes)} <= set(info)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster of all tests: each uses keys of its own."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.form()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def node(cluster: Cluster) -> Iterator[Peer]:
    """A client of the first node, which is empty."""
    with Peer(cluster.nodes[0].socket) as client:
        client.ask("FLUSHALL")
        yield client


class Shard:
    """A worker of the first node, with a model, a script and a tensor of value 1, each in a slot of its own."""

    def __init__(self, cluster: Cluster, node: Peer, worker: ScriptedWorker) -> None:
        self.worker = worker
        self.model, self.script, self.a = (cluster.key(0, name) for name in ("m", "s", "a"))
        store_programs(node, worker, self.model, self.script)
        node.ask(*put(self.a, b"1"))


@pytest.fixture
def shard(cluster: Cluster, node: Peer) -> Iterator[Shard]:
    with ScriptedWorker(cluster.nodes[0].socket, TORCH="2") as worker:
        yield Shard(cluster, node, worker)


def test_keys_of_one_node_need_not_share_a_slot(cluster: Cluster, node: Peer, shard: Shard) -> None:
    b, c, d = (cluster.key(0, name) for name in "bcd")
    script = ["AI.SCRIPTEXECUTE", shard.script, "f", "KEYS", 1, "k{" + b + "}", "INPUTS", 1, b, "OUTPUTS", 2, c, d]
    command = ["LOAD", 1, shard.a, "PERSIST", 3, b, c, d, *words(run(shard.model, shard.a, b), script, get(d))]
    with pytest.raises(redis.ResponseError, match="^CROSSSLOT|^Keys in request don't hash to the same slot"):
        node.ask("AI.DAGEXECUTE", *command)
    node.send("AI._DAGLOCAL", *command)
    answer(shard.worker, shard.worker.job(), b"2")
    answer(shard.worker, shard.worker.job(), b"3", b"4")
    assert node.receive() == [b"OK", b"OK", b"4"]
    assert [node.ask(*get(key)) for key in (b, c, d)] == [b"2", b"3", b"4"]
    for key in (b, c, d):
        assert node.ask("CLUSTER", "GETKEYSINSLOT", cluster.slot(key), 9) == [key.encode()]


def misplaced(shard: Shard, here: str, far: str) -> Sequence[list[Any]]:
    a, model, script = shard.a, shard.model, shard.script
    with_keys = ["AI.SCRIPTEXECUTE", script, "f", "KEYS", 2, here, far, "INPUTS", 1, a, "OUTPUTS", 2, "x", "y"]
    return [
        ["LOAD", 2, a, far, *words(run(model, a, here))],
        ["LOAD", 1, a, "PERSIST", 2, here, far, *words(run(model, a, here), run(model, a, far))],
        ["LOAD", 1, a, *words(run(far, a, here))],
        ["LOAD", 1, a, *words(run(model, a, here), ["AI.SCRIPTEXECUTE", far, "f", "INPUTS", 1, a, "OUTPUTS", 1, "x"])],
        ["LOAD", 1, a, *words(with_keys)],
        ["PERSIST", 1, far, *words(put(far, b"1"))],
    ]


def test_every_key_must_be_of_this_node(cluster: Cluster, node: Peer, shard: Shard) -> None:
    here, far = cluster.key(0, "here"), cluster.key(1, "far")
    for command in misplaced(shard, here, far):
        with pytest.raises(redis.ResponseError, match=f"^NOTLOCAL .* {far}$"):
            node.ask("AI._DAGLOCAL", *command)
    info = node.ask("AI.INFO", shard.model)
    assert (info[info.index(b"waiting") + 1], info[info.index(b"running") + 1]) == (0, 0)
    assert node.ask("DBSIZE") == 3


def test_the_server_sends_nobody_elsewhere(cluster: Cluster, shard: Shard) -> None:
    with (
        Peer(cluster.nodes[1].socket) as other,
        pytest.raises(redis.ResponseError, match=f"^NOTLOCAL .* {shard.a}$"),
    ):
        other.ask("AI._DAGLOCAL", "LOAD", 1, shard.a, *words(get(shard.a)))


def test_outputs_are_not_left_where_their_slot_was(cluster: Cluster, node: Peer, shard: Shard) -> None:
    stays, moves = cluster.key(0, "stays"), cluster.key(0, "moves")
    ops = words(run(shard.model, shard.a, stays), run(shard.model, shard.a, moves))
    node.send("AI._DAGLOCAL", "LOAD", 1, shard.a, "PERSIST", 2, stays, moves, *ops)
    item = shard.worker.job()
    cluster.move(moves, to=1)
    answer(shard.worker, item, b"2")
    answer(shard.worker, shard.worker.job(), b"3")
    with pytest.raises(redis.ResponseError, match=f"^NOTLOCAL .* {moves}$"):
        node.receive()
    assert node.ask("DBSIZE") == 3
    with Peer(cluster.nodes[1].socket) as other:
        assert other.ask("EXISTS", moves) == 0


def test_in_a_slot_that_moves_what_is_here_is_local(cluster: Cluster, node: Peer, shard: Shard) -> None:
    there, name = cluster.ask(cluster.nodes[1], "MYID"), cluster.ask(cluster.nodes[0], "MYID")
    new = "{" + shard.a + "}new"
    cluster.ask(cluster.nodes[1], "SETSLOT", cluster.slot(shard.a), "IMPORTING", name)
    cluster.ask(cluster.nodes[0], "SETSLOT", cluster.slot(shard.a), "MIGRATING", there)
    assert node.ask("AI._DAGLOCAL", "LOAD", 1, shard.a, *words(get(shard.a))) == [b"1"]
    with pytest.raises(redis.ResponseError, match=f"^NOTLOCAL .* {new}$"):
        node.ask("AI._DAGLOCAL", "PERSIST", 1, new, *words(put(new, b"2")))


def test_what_it_persists_reaches_a_replica_and_the_file(cluster: Cluster, node: Peer, shard: Shard) -> None:
    replica = cluster.add_replica()
    keys = [cluster.key(0, name) for name in "bcd"]
    b, c, d = keys
    script = ["AI.SCRIPTEXECUTE", shard.script, "f", "INPUTS", 1, b, "OUTPUTS", 2, c, d]
    node.send("AI._DAGLOCAL", "LOAD", 1, shard.a, "PERSIST", 3, *keys, *words(run(shard.model, shard.a, b), script))
    answer(shard.worker, shard.worker.job(), b"2")
    answer(shard.worker, shard.worker.job(), b"3", b"4")
    assert node.receive() == [b"OK", b"OK"]
    at_once, other = cluster.key(0, "at"), cluster.key(0, "once")
    ops = words(put(at_once, b"5"), put(other, b"6"))
    assert node.ask("AI._DAGLOCAL", "PERSIST", 2, at_once, other, *ops) == [b"OK", b"OK"]
    keys += [at_once, other]
    assert node.ask("WAIT", 1, 30_000) == 1
    expected = [b"2", b"3", b"4", b"5", b"6"]
    with Peer(replica.socket) as reader:
        reader.ask("READONLY")
        assert [reader.ask(*get(key)) for key in keys] == expected
        with pytest.raises(redis.ResponseError, match="^READONLY|^You can't write against a read only replica"):
            reader.ask("AI._DAGLOCAL", "LOAD", 1, b, *words(get(b)))
    node.ask("DEBUG", "LOADAOF")
    assert [node.ask(*get(key)) for key in keys] == expected
    for key in keys:
        assert node.ask("CLUSTER", "COUNTKEYSINSLOT", cluster.slot(key)) == 1
