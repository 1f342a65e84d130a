"""Models in a database that an experiment starts: run, killed, killed again, and gone without a trace."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
import redis
import torch

from scripts import processes_in
from smartsim import Experiment
from smartsim.database import Orchestrator
from smartsim.status import SmartSimStatus
from waiting import wait_until

DEADLINE = 60.0
X = np.arange(12, dtype=np.float32).reshape(4, 3)


class Linear(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x + 1


class Endless(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        while bool((x == x).all()):  # noqa: PLR0124 - true, but the compiler cannot know
            x = x * 1
        return x


def blob(module: torch.nn.Module) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is what the database runs
        torch.jit.save(torch.jit.script(module), stream)
    return stream.getvalue()


@pytest.fixture
def exp(tmp_path: Path) -> Iterator[Experiment]:
    with Experiment("inference", str(tmp_path)) as exp:
        yield exp


@pytest.fixture
def database(exp: Experiment) -> Orchestrator:
    database = exp.create_database(port=0, interface="lo", threads_per_queue=1, intra_op_threads=1)
    exp.start(database)
    return database


@pytest.fixture
def client(exp: Experiment, database: Orchestrator) -> Iterator[redis.Redis]:
    del exp
    host, _, port = database.get_address()[0].rpartition(":")
    with redis.Redis(host, int(port), socket_timeout=DEADLINE) as client:
        client.execute_command("AI.TENSORSET", "x", "FLOAT", 4, 3, "BLOB", X.tobytes())
        yield client


def store(client: redis.Redis, name: str, content: bytes) -> None:
    assert client.execute_command("AI.MODELSTORE", name, "TORCH", "CPU", "BLOB", content) == b"OK"


def run(client: redis.Redis, name: str, *options: object) -> np.ndarray:
    client.delete("y")
    command = ("AI.MODELEXECUTE", name, "INPUTS", 1, "x", "OUTPUTS", 1, "y", *options)
    assert client.execute_command(*command) == b"OK"
    return np.frombuffer(client.execute_command("AI.TENSORGET", "y", "BLOB"), np.float32).reshape(4, 3)


def processes(database: Orchestrator, module: str) -> list[psutil.Process]:
    """Return the processes of a database that run a module of the package."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()) == Path(database.path) and module in process.cmdline():
                found.append(process)
        except psutil.Error:
            continue
    return found


def the_worker(database: Orchestrator) -> psutil.Process:
    wait_until(lambda: processes(database, "smartsim.app.worker"), "there is no worker")
    (worker,) = processes(database, "smartsim.app.worker")
    return worker


def workers(client: redis.Redis) -> str:
    """Return what the database says of the workers and supervisors that are connected."""
    return str(client.info("ai_workers"))


def test_a_model_runs_as_soon_as_the_database_is_there(client: redis.Redis) -> None:
    store(client, "m", blob(Linear()))
    assert np.array_equal(run(client, "m"), 2 * X + 1)


def test_what_cannot_be_loaded_is_not_stored(client: redis.Redis) -> None:
    with pytest.raises(redis.ResponseError, match="TORCH backend cannot load the model"):
        client.execute_command("AI.MODELSTORE", "m", "TORCH", "CPU", "BLOB", b"no model")
    assert not client.exists("m")
    store(client, "m", blob(Linear()))
    client.execute_command("AI.TENSORSET", "x", "FLOAT", 2, "BLOB", b"\0" * 8)
    assert client.execute_command("AI.MODELEXECUTE", "m", "INPUTS", 1, "x", "OUTPUTS", 1, "y") == b"OK"


def test_a_worker_that_is_killed_comes_back(database: Orchestrator, client: redis.Redis) -> None:
    store(client, "m", blob(Linear()))
    for _ in range(3):
        worker = the_worker(database)
        worker.kill()
        assert np.array_equal(run(client, "m"), 2 * X + 1)
        assert the_worker(database).pid != worker.pid
    assert "ended by SIGKILL" in Path(database.path, "orchestrator_0.err").read_text()


def test_a_run_that_never_ends_is_ended_with_its_worker(database: Orchestrator, client: redis.Redis) -> None:
    store(client, "endless", blob(Endless()))
    store(client, "m", blob(Linear()))
    worker = the_worker(database)
    with pytest.raises(redis.ResponseError, match="timed out after 100 ms"):
        run(client, "endless", "TIMEOUT", 100)
    assert np.array_equal(run(client, "m"), 2 * X + 1)
    assert the_worker(database).pid != worker.pid


@pytest.mark.parametrize("grace", [0.0, 5.0])
def test_nothing_is_left_after_the_stop(
    exp: Experiment, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, grace: float
) -> None:
    temporary = tmp_path_factory.mktemp("t")
    monkeypatch.setenv("TMPDIR", str(temporary))
    database = exp.create_database(port=0)
    exp.start(database)
    the_worker(database)
    exp.stop(database, grace=grace)
    assert exp.get_status(database) == [SmartSimStatus.STATUS_CANCELLED]
    assert not processes_in(Path(database.path))
    assert not list(temporary.iterdir())


def test_workers_end_with_a_server_that_dies(exp: Experiment, database: Orchestrator, client: redis.Redis) -> None:
    server = int(client.info("server")["process_id"])
    worker = the_worker(database)
    os.kill(server, signal.SIGKILL)
    assert exp.wait(database, timeout=DEADLINE) == [SmartSimStatus.STATUS_FAILED]
    worker.wait(DEADLINE)
    wait_until(lambda: not processes_in(Path(database.path)), "something is left")


def test_the_data_outlive_what_keeps_the_workers(database: Orchestrator, client: redis.Redis) -> None:
    store(client, "m", blob(Linear()))
    (supervisor,) = processes(database, "smartsim.app.shard")
    supervisor.kill()
    wait_until(lambda: not processes(database, "smartsim.app.shard"), "it lives on")
    assert np.array_equal(run(client, "m"), 2 * X + 1)
    assert database.is_active()


def test_workers_that_do_not_start_are_an_error_that_says_why(
    exp: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "numpy.py").write_text("raise ImportError('this numpy is broken')\n")
    monkeypatch.setenv("PYTHONPATH", f"{broken}:{os.environ.get('PYTHONPATH', '')}")
    database = exp.create_database(port=0)
    exp.start(database)
    host, _, port = database.get_address()[0].rpartition(":")
    with redis.Redis(host, int(port), socket_timeout=DEADLINE) as client:
        for _ in range(2):  # the first waits for it, the second is told at once
            with pytest.raises(redis.ResponseError, match=r"workers for CPU do not start: .*this numpy is broken.*log"):
                client.execute_command("AI.MODELSTORE", "m", "TORCH", "CPU", "BLOB", blob(Linear()))
        assert client.set("data", "are there")


def test_workers_that_cannot_even_be_started_are_tried_again(database: Orchestrator, client: redis.Redis) -> None:
    store(client, "m", blob(Linear()))
    worker = the_worker(database)
    directory = Path(database.path)
    elsewhere = directory.rename(directory.with_name("elsewhere"))
    worker.kill()
    with pytest.raises(redis.ResponseError, match=r"workers for CPU do not start: .*No such file or directory: .*log"):
        run(client, "m")
    elsewhere.rename(directory)
    wait_until(lambda: processes(database, "smartsim.app.worker"), "there is no worker again")
    wait_until(lambda: "unavailable" not in workers(client), "it is not available again")
    assert np.array_equal(run(client, "m"), 2 * X + 1)


def test_a_worker_in_a_model_that_never_ends_ends_with_the_server(database: Orchestrator, client: redis.Redis) -> None:
    worker = the_worker(database)
    (supervisor,) = processes(database, "smartsim.app.shard")
    supervisor.kill()  # it would kill the worker
    wait_until(lambda: not processes(database, "smartsim.app.shard"), "it lives on")
    worker.kill()
    secret = Path(database.path, "orchestrator_0_worker_password")
    command = [sys.executable, "-m", "smartsim.app.worker", database.get_address()[0], "--password-file", str(secret)]
    process = subprocess.Popen([*command, "--threads", "2"], stderr=subprocess.PIPE)  # no child of the database's step
    with process, ThreadPoolExecutor(1) as threads:
        try:
            wait_until(lambda: str(process.pid) in workers(client), "it does not connect")
            store(client, "endless", blob(Endless()))
            server = int(client.info("server")["process_id"])
            answer = threads.submit(run, client, "endless")
            wait_until(lambda: "running" in workers(client), "it does not run")
            os.kill(server, signal.SIGKILL)
            assert isinstance(answer.exception(DEADLINE), redis.ConnectionError)
            assert process.wait(DEADLINE) == 0
        finally:
            process.kill()


def test_the_memory_of_a_job_is_given_back(database: Orchestrator, client: redis.Redis) -> None:
    store(client, "m", blob(Linear()))
    run(client, "m")
    worker = the_worker(database)
    before = worker.memory_info().rss
    size = 256 << 20
    assert client.execute_command("AI.TENSORSET", "large", "FLOAT", size // 4) == b"OK"
    assert client.execute_command("AI.MODELEXECUTE", "m", "INPUTS", 1, "large", "OUTPUTS", 1, "larger") == b"OK"
    wait_until(lambda: worker.memory_info().rss < before + size // 2, "the worker keeps it")


def test_options_reach_the_workers_and_passwords_do_not_show(exp: Experiment) -> None:
    database = exp.create_database(port=0, threads_per_queue=3, inter_op_parallelism=2, intra_op_threads=1)
    exp.start(database)
    command = the_worker(database).cmdline()
    for option, value in (("--threads", "3"), ("--inter-op", "2"), ("--intra-op", "1")):
        assert command[command.index(option) + 1] == value
    secret = Path(database.path, "orchestrator_0_worker_password")
    assert secret.stat().st_mode & 0o777 == 0o600
    password = secret.read_text().strip()
    assert len(password) >= 32
    assert password not in " ".join(command)
    assert password not in "".join(the_worker(database).environ().values())
    host, _, port = database.get_address()[0].rpartition(":")
    with (
        redis.Redis(host, int(port), socket_timeout=DEADLINE) as application,
        redis.Redis(host, int(port), username="worker", password=password, socket_timeout=DEADLINE) as worker,
    ):
        with pytest.raises(redis.exceptions.NoPermissionError):
            application.execute_command("AI._WORKER", "NEXT")
        with pytest.raises(redis.exceptions.NoPermissionError):
            worker.get("key")


def test_an_argument_of_two_gigabytes_is_refused_and_the_connection_goes_on(
    database: Orchestrator, client: redis.Redis
) -> None:
    host, _, port = database.get_address()[0].rpartition(":")
    piece, pieces = bytes(64 << 20), 32
    with socket.create_connection((host, int(port)), DEADLINE) as connection:
        connection.sendall(b"*6\r\n$12\r\nAI.TENSORSET\r\n$1\r\nx\r\n$5\r\nFLOAT\r\n$1\r\n7\r\n$4\r\nBLOB\r\n")
        connection.sendall(b"$%d\r\n" % (len(piece) * pieces))
        for _ in range(pieces):
            connection.sendall(piece)
        connection.sendall(b"\r\n")
        assert connection.recv(100) == b"-ERR data length does not match tensor shape and type\r\n"
        connection.sendall(b"PING\r\n")
        assert connection.recv(100) == b"+PONG\r\n"
    assert client.execute_command("AI.TENSORGET", "x", "BLOB") == X.tobytes()


def test_a_script_that_crashes_its_process_loses_nothing_but_its_own_request(client: redis.Redis) -> None:
    crash = (
        "def crash(x):\n"  # torch does not check what it is promised here, and writes far outside of its memory
        "    return torch._convert_indices_from_csr_to_coo(torch.tensor([0, 1 << 40]), torch.tensor([0, 1]))\n"
    )
    store(client, "linear", blob(Linear()))
    assert client.execute_command("AI.SCRIPTSET", "s", "CPU", "SOURCE", crash) == b"OK"
    with pytest.raises(redis.ResponseError, match="the worker process died while it ran this"):
        client.execute_command("AI.SCRIPTRUN", "s", "crash", "INPUTS", "x", "OUTPUTS", "z")
    np.testing.assert_array_equal(run(client, "linear"), 2 * X + 1)
    assert not client.exists("z")
