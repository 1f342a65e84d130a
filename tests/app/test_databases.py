"""Databases of an experiment, with the real server."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from run_commands import PLACE
from smartsim import Experiment
from smartsim.adapters.process.scripted import ScriptedProcessRunner
from smartsim.app.placement import refuse_unreachable
from smartsim.database import Orchestrator
from smartsim.domain.settings.command import CommandLine, command_line
from smartsim.error import SmartSimError, SSDBIDConflictError, SSUnsupportedError
from smartsim.status import SmartSimStatus
from smartsim.testing import VirtualNetwork

CANCELLED, FAILED, RUNNING = (
    SmartSimStatus.STATUS_CANCELLED,
    SmartSimStatus.STATUS_FAILED,
    SmartSimStatus.STATUS_RUNNING,
)


@pytest.fixture
def exp(tmp_path: Path) -> Iterator[Experiment]:
    with Experiment("db", str(tmp_path)) as exp:
        yield exp


@pytest.fixture
def database(exp: Experiment) -> Orchestrator:
    database = exp.create_database(port=0, interface="lo")
    exp.generate(database)
    exp.start(database)
    return database


def port_of(database: Orchestrator) -> int:
    return int(database.get_address()[0].rpartition(":")[2])


def application(database: Orchestrator) -> redis.Redis:
    """An application: no password."""
    return redis.Redis(host="127.0.0.1", port=port_of(database))


def test_a_database_is_ready_when_start_returns_and_gone_when_stop_returns(
    exp: Experiment, database: Orchestrator
) -> None:
    assert database.is_active()
    assert exp.get_status(database) == [RUNNING]
    with application(database) as client:
        assert client.set("key", "value")
    port = port_of(database)
    exp.stop(database)
    assert not database.is_active()
    assert exp.get_status(database) == [CANCELLED]
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    with pytest.raises(SmartSimError, match="not active"):
        database.get_address()
    exp.stop(database)


def test_a_stopped_database_starts_again(exp: Experiment, database: Orchestrator) -> None:
    first = database.get_address()
    exp.stop(database)
    exp.start(database)
    assert database.get_address() == first


def test_an_address_is_had_only_after_the_start(exp: Experiment) -> None:
    with pytest.raises(SmartSimError, match="Could not find database address"):
        exp.create_database(port=0).get_address()


def test_a_taken_port_is_an_error_before_anything_starts(exp: Experiment) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        database = exp.create_database(port=port)
        with pytest.raises(SmartSimError, match=rf"Port {port} of 127.0.0.1 is in use.*port=0"):
            exp.start(database)
    assert not Path(database.path, "admin_password").exists()


def test_one_port_for_two_databases_is_an_error_before_anything_starts(exp: Experiment) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    one, two = exp.create_database(port=port), exp.create_database(port=port, db_identifier="two")
    with pytest.raises(SmartSimError, match=f"Port {port} of 127.0.0.1 is asked for 2 times"):
        exp.start(one, two)
    assert not Path(one.path, "admin_password").exists()


def test_an_interface_that_does_not_exist_is_an_error_before_anything_starts(exp: Experiment) -> None:
    with pytest.raises(SmartSimError, match=r"no network interface 'ipogif0'.*lo"):
        exp.start(exp.create_database(port=0, interface="ipogif0"))


def test_the_administrator_s_password_is_for_the_owner_alone(database: Orchestrator) -> None:
    secret = Path(database.path, "admin_password")
    assert secret.stat().st_mode & 0o777 == 0o600
    password = secret.read_text().strip()
    assert len(password) >= 32
    with redis.Redis(host="127.0.0.1", port=port_of(database), username="admin", password=password) as admin:
        assert admin.config_get("maxmemory")
    for path in Path(database.path).rglob("*"):
        if path.is_file() and path != secret:
            assert password not in path.read_text()
    command = Path(f"/proc/{_server_pid(database)}/cmdline").read_bytes()
    assert password.encode() not in command


def _server_pid(database: Orchestrator) -> int:
    with application(database) as client:
        return int(client.info("server")["process_id"])


def test_a_server_listens_on_its_interface_alone(database: Orchestrator) -> None:
    # /proc/net/tcp has the local address as hexadecimal digits, the bytes of the address reversed.
    port = f"{port_of(database):04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = [row[1].split(":")[0] for row in rows if row[1].endswith(f":{port}") and row[3] == "0A"]
    assert listening == ["0100007F"]


def test_settings_reach_the_server(database: Orchestrator) -> None:
    database.set_max_memory("64mb")
    database.set_eviction_strategy("noeviction")
    database.set_max_clients(100)
    database.set_max_message_size(1 << 30)
    database.enable_checkpoints(60)
    database.set_db_conf("timeout", "17")
    password = Path(database.path, "admin_password").read_text().strip()
    with redis.Redis(
        host="127.0.0.1", port=port_of(database), username="admin", password=password, decode_responses=True
    ) as admin:
        found = admin.config_get("*")
    expected = {
        "maxmemory": str(64 << 20),
        "maxmemory-policy": "noeviction",
        "maxclients": "100",
        "proto-max-bulk-len": str(1 << 30),
        "save": "60 1",
        "timeout": "17",
    }
    assert {key: found[key] for key in expected} == expected
    with pytest.raises(SmartSimError, match=r"Invalid CONFIG key-value pair \(no-such-key: 1\)"):
        database.set_db_conf("no-such-key", "1")
    with pytest.raises(TypeError, match="17"):
        database.set_db_conf("timeout", 17)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="0"):
        database.enable_checkpoints(0)


@pytest.mark.parametrize(("given", "threads"), [(None, 2), (3, 3)])
def test_the_threads_of_a_server_are_chosen_from_its_cpus_or_given(
    exp: Experiment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: int | None, threads: int
) -> None:
    # What the server's process learns of its CPUs, on a machine that may have fewer.
    (tmp_path / "sitecustomize.py").write_text("import os\nos.sched_getaffinity = lambda process: set(range(8))\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    database = exp.create_database(port=0, io_threads=given)
    exp.start(database)
    with application(database) as client:
        assert client.config_get("io-threads") == {"io-threads": str(threads)}


@pytest.mark.parametrize(
    ("threads", "error"), [(0, ValueError), (129, ValueError), ("2", TypeError), (True, TypeError)]
)
def test_a_number_of_threads_that_cannot_be(exp: Experiment, threads: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"io_threads must be .*{threads}"):
        exp.create_database(port=0, io_threads=threads)


def test_a_full_database_refuses_writes_and_keeps_what_it_has(database: Orchestrator) -> None:
    with application(database) as client:
        client.set("kept", "x")
        database.set_eviction_strategy("noeviction")
        database.set_max_memory("1")
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            client.set("more", "y" * 1000)
        assert client.get("kept") == b"x"


def test_a_database_that_keeps_checkpoints_has_its_data_after_a_restart(
    exp: Experiment, database: Orchestrator
) -> None:
    database.enable_checkpoints(3600)
    with application(database) as client:
        client.set("kept", "x")
    exp.stop(database)
    exp.start(database)
    with application(database) as client:
        assert client.get("kept") == b"x"


def test_a_server_that_hangs_is_stopped_all_the_same(exp: Experiment, database: Orchestrator) -> None:
    os.kill(_server_pid(database), signal.SIGSTOP)
    exp.stop(database, grace=0.3)
    assert exp.get_status(database) == [CANCELLED]


def test_a_server_that_dies_has_failed_with_its_signal(exp: Experiment, database: Orchestrator) -> None:
    os.kill(_server_pid(database), signal.SIGKILL)
    assert exp.wait(database, timeout=30.0) == [FAILED]
    assert "-9" in exp.summary()
    assert not database.is_active()


def test_a_database_that_crashed_starts_again_and_serves(exp: Experiment, database: Orchestrator) -> None:
    os.kill(_server_pid(database), signal.SIGKILL)
    exp.wait(database, timeout=30.0)
    exp.start(database)
    model = exp.create_model("m", exp.create_run_settings("sh", ["-c", "echo $SSDB"]))
    exp.start(model)
    assert Path(model.path, "m.out").read_text().strip() == database.get_address()[0]


def test_a_database_left_running_is_not_started_over(checkpoint: str, exp: Experiment) -> None:
    directory = str(Path(checkpoint).parent.parent)
    secret = Path(checkpoint).with_name("admin_password").read_text()
    with Experiment("db", directory) as other, pytest.raises(SmartSimError, match=r"still runs at .*reconnect_orch"):
        other.start(other.create_database(port=0))
    assert Path(checkpoint).with_name("admin_password").read_text() == secret
    exp.stop(exp.reconnect_orchestrator(checkpoint))


def test_a_database_s_directory_is_its_owner_s_alone(database: Orchestrator) -> None:
    assert Path(database.path).stat().st_mode & 0o777 == 0o700


def test_two_databases_of_one_name_cannot_run_together(exp: Experiment, database: Orchestrator) -> None:
    with pytest.raises(SSDBIDConflictError, match="orchestrator has already been used"):
        exp.start(exp.create_database(port=0))
    other = exp.create_database(port=0, db_identifier="other")
    exp.start(other)
    assert database.get_address() != other.get_address()


@pytest.mark.parametrize(
    ("keywords", "error", "words"),
    [
        ({"batch": True}, SmartSimError, "batch=True"),
        ({"run_command": "srun"}, SmartSimError, "srun"),
        ({"db_nodes": 2}, SSUnsupportedError, "size 2"),
        ({"tls": True}, SSUnsupportedError, "tls=True cannot be had: .*has no TLS"),
    ],
)
def test_what_the_local_launcher_cannot_do_is_refused(
    exp: Experiment, keywords: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        exp.create_database(port=0, **keywords)


def test_settings_that_are_not_honoured_say_so(database: Orchestrator, capsys: pytest.CaptureFixture[str]) -> None:
    database.set_cpus(4)
    database.set_run_arg("nodelist", "n1")
    database.set_hosts(["n1"])
    assert capsys.readouterr().out.count("not implemented for this launcher") == 3
    with pytest.raises(SmartSimError, match="Not running as batch"):
        database.set_walltime("01:00:00")
    with pytest.raises(SmartSimError, match="Not running as batch"):
        database.set_batch_arg("account", "x")


DRIVER = """
import sys
from smartsim import Experiment
exp = Experiment("db", sys.argv[1])
db = exp.create_database(port=0)
exp.start(db)
print(db.checkpoint_file)
"""


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    """A database that another driver started, and left running when it exited."""
    directory = tmp_path / "earlier"
    directory.mkdir()
    command = [sys.executable, "-c", DRIVER, str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.splitlines()[-1]


def test_another_driver_takes_a_database_over(exp: Experiment, checkpoint: str) -> None:
    database = exp.reconnect_orchestrator(checkpoint)
    with application(database) as client:
        client.set("found", "again")
    assert exp.get_status(database) == [RUNNING]
    model = exp.create_model("m", exp.create_run_settings("sh", ["-c", "echo $SSDB"]))
    exp.start(model)
    assert Path(model.path, "m.out").read_text().strip() == database.get_address()[0]
    exp.stop(database)
    assert exp.get_status(database) == [CANCELLED]
    with pytest.raises(SmartSimError, match="nothing answers"):
        exp.reconnect_orchestrator(checkpoint)


def test_a_server_in_the_place_of_the_old_one_is_not_taken_for_it(exp: Experiment, checkpoint: str) -> None:
    found = json.loads(Path(checkpoint).read_text())
    found["shards"][0]["server_run_id"] = "f" * 40
    forged = Path(checkpoint).with_name("forged.json")
    forged.write_text(json.dumps(found))
    with pytest.raises(SmartSimError, match="another server answers"):
        exp.reconnect_orchestrator(str(forged))
    exp.stop(exp.reconnect_orchestrator(checkpoint))


def test_a_checkpoint_that_is_not_there(exp: Experiment) -> None:
    with pytest.raises(FileNotFoundError, match=r"/no/such/file cannot be found"):
        exp.reconnect_orchestrator("/no/such/file")


@pytest.mark.parametrize("content", ["", "\x80\x04K\x01.", "{}", "[]", '{"version": 1}', '{"version": 99}', "null"])
def test_a_checkpoint_that_is_damaged(exp: Experiment, tmp_path: Path, content: str) -> None:
    path = tmp_path / "checkpoint"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(SmartSimError, match=r"incomplete or corrupted|has version 99"):
        exp.reconnect_orchestrator(str(path))


@pytest.mark.parametrize(
    ("interface", "hosts"), [("hsn0", ["node7"]), ("lo", []), ("lo", ["login.cluster.org"]), ("lo", ["node7", "login"])]
)
def test_a_server_that_its_driver_can_reach_is_not_refused(interface: str, hosts: list[str]) -> None:
    refuse_unreachable("orchestrator_0", interface, hosts, VirtualNetwork(hostname="login"))


def test_a_server_on_the_loopback_of_another_machine_is_refused_with_what_to_choose() -> None:
    network = VirtualNetwork({"lo": "127.0.0.1", "ib0": "10.0.0.1", "eth0": "10.1.0.1"}, hostname="login")
    words = re.escape("or one that the nodes share (here there are 'eth0', 'ib0')")
    with pytest.raises(SmartSimError, match=f"orchestrator_0 runs on node7, where interface='lo'.*{words}"):
        refuse_unreachable("orchestrator_0", "lo", ["node7"], network)


def test_a_single_server_in_a_batch_job_needs_nothing_that_starts_ranks() -> None:
    bare = ScriptedProcessRunner({"true": "/bin/true"})
    database = Orchestrator(launcher="sge", batch=True, processes=bare)
    database.check([])
    settings = database.shard_settings(["server", "--port"], 0, [])
    assert command_line(settings, PLACE) == CommandLine((), ("server", "--port"))


@pytest.mark.parametrize(("servers", "batch"), [(3, True), (1, False)])
def test_what_has_to_start_servers_is_missed_when_they_start_and_not_before(servers: int, batch: bool) -> None:
    bare = ScriptedProcessRunner({"true": "/bin/true"})
    database = Orchestrator(launcher="sge", batch=batch, db_nodes=servers, processes=bare)  # it may be taken over
    words = rf"The {servers} server\(s\) of orchestrator have to be started on their nodes, and none of mpirun, mpiexec"
    with pytest.raises(SmartSimError, match=words):
        database.check([])
