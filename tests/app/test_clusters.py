"""Clustered databases of an experiment, with real servers."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest
import redis
from redis.cluster import RedisCluster

import ml_models
from old_clients.old_client import PROGRAMS, interpreter
from servers import free_ports
from smartsim import Experiment
from smartsim.database import Orchestrator
from smartsim.error import SmartSimError
from smartsim.status import SmartSimStatus
from smartsim.testing import Script, fake_adapters

CANCELLED, FAILED, RUNNING = (
    SmartSimStatus.STATUS_CANCELLED,
    SmartSimStatus.STATUS_FAILED,
    SmartSimStatus.STATUS_RUNNING,
)
DEADLINE = 60.0
KEYS = {f"key-{number}": f"value-{number}" for number in range(300)}
TAGS = (b"{\0\0}", b"{8M}", b"{\xed\xeb}")  # of the slots 0, 5461 and 10923, with which the shards begin


@pytest.fixture
def exp(tmp_path: Path) -> Iterator[Experiment]:
    with Experiment("db", str(tmp_path)) as exp:
        yield exp


@pytest.fixture
def cluster(exp: Experiment) -> Orchestrator:
    cluster = exp.create_database(port=0, db_nodes=3)
    exp.start(cluster)
    return cluster


@pytest.fixture
def copied(exp: Experiment) -> Orchestrator:
    """A cluster with a replica of each shard."""
    cluster = exp.create_database(port=0, db_nodes=3, replicas=1)
    exp.start(cluster)
    return cluster


def connect(database: Orchestrator) -> RedisCluster:
    """Connect as an application: without a password."""
    host, port = database.get_address()[0].split(":")
    return RedisCluster(host, int(port), socket_timeout=DEADLINE)


def ports_of(addresses: Sequence[str]) -> list[int]:
    return [int(address.rpartition(":")[2]) for address in addresses]


def shard(database: Orchestrator, index: int) -> redis.Redis:
    """Connect to one server."""
    return redis.Redis(port=database.ports[index], socket_timeout=DEADLINE)


def process_of(database: Orchestrator, index: int) -> int:
    with shard(database, index) as client:
        return int(client.info("server")["process_id"])


def output_of(exp: Experiment, name: str, *command: str) -> str:
    """Run an application; return what it printed."""
    model = exp.create_model(name, exp.create_run_settings(command[0], list(command[1:])))
    exp.start(model)
    output = Path(model.path, f"{name}.out").read_text()
    assert exp.get_status(model) == [SmartSimStatus.STATUS_COMPLETED], Path(model.path, f"{name}.err").read_text()
    return output


def environment_of(exp: Experiment, name: str) -> dict[str, str]:
    """Return the variables that lead an application to its databases."""
    pairs = (line.partition("=") for line in output_of(exp, name, "env").splitlines())
    return {key: value for key, _, value in pairs if key.startswith(("SSDB", "SR_DB_TYPE"))}


APPLICATION = """
import os
from redis.cluster import ClusterNode, RedisCluster

addresses = [address.split(":") for address in os.environ["SSDB"].split(",")]
client = RedisCluster(startup_nodes=[ClusterNode(host, int(port)) for host, port in addresses])
for number in range(300):
    client.set(f"key-{number}", f"value-{number}")
found = [client.get(f"key-{number}").decode() for number in range(300)]
print(found == [f"value-{number}" for number in range(300)], os.environ["SR_DB_TYPE"], os.environ["SSDB"])
client.close()
"""


def test_an_application_has_all_slots_of_a_cluster(exp: Experiment, cluster: Orchestrator) -> None:
    addresses = cluster.get_address()
    first = ports_of(addresses)[0]
    assert addresses == [f"127.0.0.1:{first + index}" for index in range(3)]
    assert (cluster.port, cluster.ports, cluster.hosts) == (first, ports_of(addresses), ["127.0.0.1"] * 3)
    assert (cluster.num_shards, cluster.db_nodes, len(cluster)) == (3, 3, 3)
    assert cluster.is_active()
    assert exp.get_status(cluster) == [RUNNING] * 3

    assert output_of(exp, "app", sys.executable, "-c", APPLICATION).split() == [
        "True",
        "Clustered",
        ",".join(addresses),
    ]

    sizes = []
    for index in range(3):
        with shard(cluster, index) as client:
            sizes.append(client.dbsize())
    assert sum(sizes) == len(KEYS)
    assert all(sizes)

    exp.stop(cluster)
    assert exp.get_status(cluster) == [CANCELLED] * 3
    assert not cluster.is_active()


def test_models_run_on_every_shard(cluster: Orchestrator) -> None:
    model = ml_models.affine("ONNX")
    values = np.arange(8, dtype=np.float32).reshape(2, 4)
    for index, tag in enumerate(TAGS):
        with shard(cluster, index) as client:
            client.execute_command("AI.MODELSTORE", tag + b"m", "ONNX", "CPU", "BLOB", model.blob)
            client.execute_command("AI.TENSORSET", tag + b"x", "FLOAT", 2, 4, "BLOB", values.tobytes())
            words = ["INPUTS", 1, tag + b"x", "OUTPUTS", 1, tag + b"y"]
            client.execute_command("AI.MODELEXECUTE", tag + b"m", *words)
            blob = client.execute_command("AI.TENSORGET", tag + b"y", "BLOB")
        assert np.array_equal(np.frombuffer(blob, dtype=np.float32), (2 * values + 1).ravel())


@pytest.mark.usefixtures("cluster")
def test_the_client_of_old_has_models_on_a_cluster(exp: Experiment, tmp_path: Path) -> None:
    model = ml_models.affine("ONNX")
    path = tmp_path / "model"
    path.write_bytes(model.blob)
    arguments = {"file": str(path), "backend": "ONNX", "inputs": [], "outputs": []}
    words = [str(PROGRAMS / "smartredis_cluster.py"), "models", json.dumps(arguments)]
    settings = exp.create_run_settings(str(interpreter("smartredis")), words, env_vars={"PYTHONPATH": ""})
    application = exp.create_model("app", settings)
    exp.start(application)
    output = Path(application.path, "app.out").read_text()
    assert exp.get_status(application) == [SmartSimStatus.STATUS_COMPLETED], output
    found = json.loads(output.splitlines()[-1])
    assert found["results"] == [[[2.0 * number + 1.0] * 4] for number in range(12)]


def test_each_server_listens_on_its_interface_alone(cluster: Orchestrator) -> None:
    for index in range(3):
        connections = psutil.Process(process_of(cluster, index)).net_connections("inet")
        places = [found.laddr for found in connections if found.status == psutil.CONN_LISTEN]
        assert [place.ip for place in places] == ["127.0.0.1"] * 2  # for clients, and for the cluster
        assert cluster.ports[index] in [place.port for place in places]


def test_several_interfaces_are_listened_on_and_the_first_is_told(exp: Experiment) -> None:
    interfaces = exp._adapters.network.interfaces()
    other = next(name for name in interfaces if name != "lo")
    cluster = exp.create_database(port=0, db_nodes=3, interface=[other, "lo"])
    exp.start(cluster)
    assert cluster.hosts == [interfaces[other]] * 3
    with shard(cluster, 0) as client:
        slots = client.execute_command("CLUSTER", "SLOTS")
    assert [(node[0].decode(), node[1]) for _, _, node in slots] == [
        (interfaces[other], port) for port in cluster.ports
    ]


def test_settings_reach_every_shard(cluster: Orchestrator) -> None:
    cluster.set_max_memory("64mb")
    password = Path(cluster.path, "admin_password").read_text().strip()
    for port in cluster.ports:
        with redis.Redis(port=port, username="admin", password=password, decode_responses=True) as admin:
            assert admin.config_get("maxmemory") == {"maxmemory": str(64 << 20)}


def test_a_cluster_that_keeps_checkpoints_has_its_data_after_a_restart(exp: Experiment, cluster: Orchestrator) -> None:
    cluster.enable_checkpoints(3600)
    with connect(cluster) as client:
        for key, value in KEYS.items():
            client.set(key, value)
    before = cluster.get_address()
    exp.stop(cluster)
    exp.start(cluster)
    assert cluster.get_address() == before
    assert cluster.is_active()
    with connect(cluster) as client:
        assert {key: client.get(key).decode() for key in KEYS} == KEYS


def test_a_shard_that_is_killed_takes_only_its_own_keys_along(
    exp: Experiment, cluster: Orchestrator, capsys: pytest.CaptureFixture[str]
) -> None:
    with shard(cluster, 0) as client:
        client.set(TAGS[0] + b"x", 1)
    os.kill(process_of(cluster, 1), signal.SIGKILL)
    _await_status(exp, cluster, [RUNNING, FAILED, RUNNING])
    _await_said("orchestrator_1 failed", capsys)
    assert not cluster.is_active()
    with pytest.raises(SmartSimError, match=r"orchestrator_1 of 'orchestrator' ended"):
        cluster.get_address()
    with shard(cluster, 0) as client:
        assert client.get(TAGS[0] + b"x") == b"1"
    assert environment_of(exp, "later") == {}
    exp.stop(cluster)
    assert exp.get_status(cluster) == [CANCELLED, FAILED, CANCELLED]
    exp.start(cluster)
    assert cluster.is_active()


def test_an_experiment_that_ends_leaves_nothing_of_a_cluster_that_lost_a_shard(tmp_path: Path) -> None:
    with Experiment("db", str(tmp_path)) as exp:
        cluster = exp.create_database(port=0, db_nodes=3)
        exp.start(cluster)
        os.kill(process_of(cluster, 1), signal.SIGKILL)
        _await_status(exp, cluster, [RUNNING, FAILED, RUNNING])
    assert exp.get_status(cluster) == [CANCELLED, FAILED, CANCELLED]


def _await_status(exp: Experiment, database: Orchestrator, statuses: list[SmartSimStatus]) -> None:
    deadline = time.monotonic() + DEADLINE
    while exp.get_status(database) != statuses:
        assert time.monotonic() < deadline, exp.get_status(database)
        time.sleep(0.01)


def _await_said(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    deadline = time.monotonic() + DEADLINE
    said = ""
    while text not in said:
        assert time.monotonic() < deadline, said
        time.sleep(0.01)
        said += capsys.readouterr().out


def _await_copied(database: Orchestrator, index: int) -> None:
    deadline = time.monotonic() + DEADLINE
    with shard(database, index) as primary, shard(database, 3 + index) as replica:
        while replica.dbsize() != primary.dbsize():
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_replica_takes_over_from_a_shard_that_is_killed(exp: Experiment, copied: Orchestrator) -> None:
    assert (copied.num_shards, len(copied), len(copied.get_address())) == (3, 6, 3)
    for index in range(3):  # each copies the right one
        with shard(copied, 3 + index) as replica:
            assert replica.info("replication")["master_port"] == copied.ports[index]
    copied.enable_checkpoints(3600)
    with connect(copied) as client:
        for key, value in KEYS.items():
            client.set(key, value)
        with shard(copied, 0) as primary:
            primary.execute_command("AI.TENSORSET", TAGS[0] + b"x", "FLOAT", 1, "VALUES", 1)
        for index in range(3):
            _await_copied(copied, index)

        os.kill(process_of(copied, 0), signal.SIGKILL)
        _await_status(exp, copied, [FAILED] + [RUNNING] * 5)
        deadline = time.monotonic() + DEADLINE
        while not copied.is_active():
            assert time.monotonic() < deadline
            time.sleep(0.05)

        survivors = [copied.ports[index] for index in (3, 1, 2)]
        assert ports_of(copied.get_address()) == survivors
    with connect(copied) as client:
        assert {key: client.get(key).decode() for key in KEYS} == KEYS
    variables = environment_of(exp, "later")
    assert ports_of(variables["SSDB"].split(",")) == survivors
    with shard(copied, 3) as promoted:  # its workers have been there
        promoted.execute_command("AI.SCRIPTSTORE", TAGS[0] + b"s", "CPU", "ENTRY_POINTS", 1, "f", "SOURCE", SCRIPT)
        words = ["f", "INPUTS", 1, TAGS[0] + b"x", "OUTPUTS", 1, TAGS[0] + b"y"]
        promoted.execute_command("AI.SCRIPTEXECUTE", TAGS[0] + b"s", *words)
        assert promoted.execute_command("AI.TENSORGET", TAGS[0] + b"y", "VALUES") == [2.0]
    exp.stop(copied)
    assert exp.get_status(copied) == [FAILED] + [CANCELLED] * 5

    exp.start(copied)  # with what the replica saved
    assert copied.is_active()
    with connect(copied) as client:
        assert {key: client.get(key).decode() for key in KEYS} == KEYS
    with shard(copied, 0) as first:
        assert first.execute_command("AI.TENSORGET", TAGS[0] + b"y", "VALUES") == [2.0]
    for index in range(3):
        _await_copied(copied, index)


SCRIPT = "def f(tensors: List[Tensor], keys: List[str], args: List[str]):\n    return tensors[0] * 2\n"


def test_the_password_that_replicas_use_is_in_no_file(copied: Orchestrator) -> None:
    secret = Path(copied.path, "admin_password")
    password = secret.read_bytes().strip()
    others = [path for path in Path(copied.path).rglob("*") if path.is_file() and path != secret]
    assert len(others) > 6
    assert not [path for path in others if password in path.read_bytes()]


def test_two_databases_are_told_apart(exp: Experiment, cluster: Orchestrator) -> None:
    other = exp.create_database(port=0, db_identifier="other")
    exp.start(other)
    assert environment_of(exp, "app") == {
        "SSDB": ",".join(cluster.get_address()),
        "SR_DB_TYPE": "Clustered",
        "SSDB_other": other.get_address()[0],
        "SR_DB_TYPE_other": "Standalone",
    }
    exp.stop(cluster)
    assert environment_of(exp, "later") == {"SSDB_other": other.get_address()[0], "SR_DB_TYPE_other": "Standalone"}


def test_a_shard_that_cannot_start_ends_all_others(exp: Experiment) -> None:
    cluster = exp.create_database(port=0, db_nodes=3)
    Path(cluster.path).mkdir()
    snapshot = Path(cluster.path, "orchestrator_slots_5461-10922.rdb")
    snapshot.write_bytes(b"no snapshot")
    with pytest.raises(SmartSimError, match=r"orchestrator_1 ended with exit code 1[\s\S]*Wrong signature"):
        exp.start(cluster)
    assert exp.get_status(cluster) == [CANCELLED, FAILED, CANCELLED]
    assert not cluster.is_active()
    snapshot.unlink()
    exp.start(cluster)
    assert cluster.is_active()


def test_the_port_of_a_later_shard_may_be_taken(exp: Experiment, tmp_path: Path) -> None:
    (first,) = free_ports(3, 1)
    port = first + 2
    cluster = exp.create_database(port=port - 2, db_nodes=3)
    other = exp.create_database(port=port, db_identifier="other")
    with pytest.raises(SmartSimError, match=f"Port {port} of 127.0.0.1 is asked for 2 times"):
        exp.start(cluster, other)
    exp.start(other)
    with pytest.raises(SmartSimError, match=f"Port {port} of 127.0.0.1 is in use, so orchestrator_2 cannot be started"):
        exp.start(cluster)
    assert not Path(tmp_path, "orchestrator", "admin_password").exists()


DRIVER = """
import sys
from smartsim import Experiment
exp = Experiment("db", sys.argv[1])
db = exp.create_database(port=0, db_nodes=3, replicas=int(sys.argv[2]))
exp.start(db)
print(db.checkpoint_file)
"""


def _left_by_another_driver(directory: Path, replicas: int) -> str:
    directory.mkdir()
    command = [sys.executable, "-c", DRIVER, str(directory), str(replicas)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=True)
    return done.stdout.splitlines()[-1]


def test_another_driver_takes_a_cluster_over(exp: Experiment, tmp_path: Path) -> None:
    checkpoint = _left_by_another_driver(tmp_path / "earlier", replicas=0)
    cluster = exp.reconnect_orchestrator(checkpoint)
    assert exp.get_status(cluster) == [RUNNING] * 3
    assert environment_of(exp, "app") == {"SSDB": ",".join(cluster.get_address()), "SR_DB_TYPE": "Clustered"}
    with connect(cluster) as client:
        client.set("found", "again")
    exp.stop(cluster)
    assert exp.get_status(cluster) == [CANCELLED] * 3
    with pytest.raises(SmartSimError, match=r"nothing answers at .*orchestrator_0 ran.*orchestrator_2 ran"):
        exp.reconnect_orchestrator(checkpoint)


def test_a_cluster_that_lost_a_shard_is_taken_over_only_if_a_replica_has_its_place(
    exp: Experiment, tmp_path: Path
) -> None:
    checkpoint = _left_by_another_driver(tmp_path / "earlier", replicas=1)
    cluster = exp.reconnect_orchestrator(checkpoint)
    process = process_of(cluster, 1)
    os.kill(process, signal.SIGKILL)
    _await_status(exp, cluster, [RUNNING, FAILED, *[RUNNING] * 4])
    with Experiment("third", str(tmp_path)) as third:
        again = third.reconnect_orchestrator(checkpoint)
        assert ports_of(again.get_address()) == [cluster.ports[index] for index in (0, 4, 2)]
        os.kill(process_of(cluster, 4), signal.SIGKILL)
        _await_status(exp, cluster, [RUNNING, FAILED, RUNNING, RUNNING, FAILED, RUNNING])
        with pytest.raises(SmartSimError, match=r"nothing answers at .*orchestrator_1 ran.*orchestrator_4 ran"):
            Experiment("fourth", str(tmp_path)).reconnect_orchestrator(checkpoint)
        third.stop(again)
    _await_status(exp, cluster, [FAILED] * 6)


def test_a_cluster_on_fakes() -> None:
    adapters = fake_adapters(lambda _: Script())
    exp = Experiment("study", "/virtual", adapters=adapters)
    cluster, model = (
        exp.create_database(port=7000, db_nodes=130, replicas=1),
        exp.create_model("m", exp.create_run_settings("solver")),
    )
    exp.start(cluster, model)
    (step,) = [step for step in adapters.workload_manager.submitted if step.name.startswith("m-")]  # type: ignore[attr-defined]
    assert step.environment["SSDB"] == ",".join(f"127.0.0.1:{7000 + index}" for index in range(130))
    assert step.environment["SR_DB_TYPE"] == "Clustered"
    assert exp.get_status(cluster) == [RUNNING] * 260
    exp.stop(cluster)
    assert exp.get_status(cluster) == [CANCELLED] * 260
