"""A second user of the machine, beside whose eyes databases run."""

import json
import os
import pwd
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from smartsim import Experiment
from smartsim.client import Client
from smartsim.database import Orchestrator
from smartsim.entity import Model

DEADLINE = 60.0
# Becomes another user, and tries whatever it is told to. What fails is told by the class of the exception, an answer by
# its first word. It becomes so late, since that user may not even have permission to read the interpreter.
STRANGER = r"""
import json, os, socket, sys

def attempt(function, argument):
    try:
        return function(argument)
    except OSError as error:
        return type(error).__name__

def read(path):
    with open(path, "rb") as stream:
        return stream.read().decode(errors="replace")

def connect(path):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        return "connected"

def ask(port, commands):
    with socket.socket() as connection:
        connection.settimeout(30)
        connection.connect(("127.0.0.1", port))
        connection.sendall(commands.encode())
        answer = connection.recv(10000).decode()
    return answer.split()[0]

tasks = json.load(sys.stdin)
os.setgroups([])
os.setgid(tasks["group"])
os.setuid(tasks["user"])
print(json.dumps({
    "user": os.getuid(),
    "list": {path: attempt(os.listdir, path) for path in tasks["directories"]},
    "read": {path: attempt(read, path) for path in tasks["files"]},
    "write": {path: attempt(lambda path: os.close(os.open(path, os.O_WRONLY)), path) for path in tasks["files"]},
    "connect": {path: attempt(connect, path) for path in tasks["sockets"]},
    "ask": [ask(port, command + "\r\n") for port, command in tasks["commands"]],
}))
"""
ADMINISTRATION = ("SHUTDOWN NOSAVE", "CONFIG SET maxmemory 1", "ACL LIST", "MONITOR", "REPLICAOF 127.0.0.1 1")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes users")


@pytest.fixture(scope="module")
def stranger() -> Iterator[Callable[..., dict[str, Any]]]:
    """Make a user, who does what is asked."""
    name = f"stranger-{secrets.token_hex(4)}"
    useradd = ["/usr/sbin/useradd", "--no-create-home", "--shell", "/bin/false", name]
    subprocess.run(useradd, check=True, timeout=DEADLINE)
    try:
        account = pwd.getpwnam(name)

        def act(**tasks: Any) -> dict[str, Any]:
            nothing: dict[str, Any] = {"directories": [], "files": [], "sockets": [], "commands": []}
            everything = {**nothing, **tasks, "user": account.pw_uid, "group": account.pw_gid}
            done = subprocess.run(
                [sys.executable, "-I", "-c", STRANGER],
                input=json.dumps(everything),
                capture_output=True,
                text=True,
                timeout=DEADLINE,
                check=True,
                cwd="/",
            )
            told: dict[str, Any] = json.loads(done.stdout)
            assert told["user"] == account.pw_uid != os.getuid()
            return told

        yield act
    finally:
        subprocess.run(["/usr/sbin/userdel", name], check=True, timeout=DEADLINE)


@pytest.fixture
def exp() -> Iterator[Experiment]:
    """An experiment in a directory that everybody may enter, unlike those that pytest makes."""
    before = os.umask(0o022)
    directory = tempfile.mkdtemp(dir="/tmp")
    os.chmod(directory, 0o755)  # noqa: S103 - so that what is closed below is closed by ourselves
    try:
        with Experiment("watched", directory) as exp:
            yield exp
    finally:
        os.umask(before)
        shutil.rmtree(directory)


@pytest.mark.parametrize("password", [False, True])
def test_a_stranger_reads_no_file_and_administers_nothing(
    exp: Experiment, stranger: Callable[..., dict[str, Any]], password: bool
) -> None:
    database = exp.create_database(port=0, password=password)
    exp.start(database)
    with Client(False, database.get_address()[0], password=database.password) as client:
        client.save(database.get_address())
    files = [str(path) for path in Path(database.path).iterdir() if not path.is_symlink()]
    assert len(files) == 10 + password
    process = _server_process(database)

    port = database.ports[0]
    commands = [*ADMINISTRATION, "AUTH admin admin", "AUTH worker worker", "AUTH observer observer"]
    commands += ["AI._WORKER NEXT", "SET key value"]
    told = stranger(
        directories=[exp.exp_path, database.path],
        files=[*files, f"/proc/{process}/environ", f"/proc/{process}/cmdline"],
        commands=[(port, command) for command in commands],
    )

    assert set(told["list"][exp.exp_path]) >= {"orchestrator"}  # else nothing was tried
    assert told["list"][database.path] == "PermissionError"
    cmdline = told["read"].pop(f"/proc/{process}/cmdline")
    assert str(port) in cmdline
    assert set(told["read"].values()) == {"PermissionError"}
    assert set(told["write"].values()) == {"PermissionError"}
    for secret in Path(database.path).glob("*password"):
        assert secret.read_text().strip() not in cmdline
    refusal, allowed = ("-NOAUTH", "-NOAUTH") if password else ("-NOPERM", "+OK")
    assert told["ask"] == [refusal] * 5 + ["-WRONGPASS"] * 3 + [refusal, allowed]
    assert database.is_active()


def test_a_stranger_does_not_reach_a_directory_that_was_there_before(
    exp: Experiment, stranger: Callable[..., dict[str, Any]]
) -> None:
    directory = Path(exp.exp_path, "shared")
    directory.mkdir(mode=0o755)
    database = exp.create_database(port=0, path=str(directory), password=True)
    exp.start(database)
    with Client(False, database.get_address()[0], password=database.password) as client:
        client.save(database.get_address())
    files = [str(path) for path in directory.iterdir() if not path.is_symlink()]
    told = stranger(directories=[str(directory)], files=files)
    assert len(told["list"][str(directory)]) > len(files) > 7
    assert set(told["read"].values()) == set(told["write"].values()) == {"PermissionError"}


def test_a_stranger_does_not_reach_the_socket_of_a_colocated_database(
    exp: Experiment, stranger: Callable[..., dict[str, Any]]
) -> None:
    words = ["-c", "echo $SSDB; read -r line < end"]
    model = exp.create_model("app", exp.create_run_settings("sh", words))
    model.colocate_db_uds()
    Path(model.path).mkdir()
    os.mkfifo(Path(model.path, "end"))
    exp.start(model, block=False)
    try:
        address = _first_line(model)
        path = address.removeprefix("unix://")
        assert path.startswith("/")
        told = stranger(sockets=[path], directories=[os.path.dirname(path)])
        assert told["connect"] == {path: "PermissionError"}
        assert told["list"] == {os.path.dirname(path): "PermissionError"}
        with Client(False, address) as client:
            client.key_exists("x")
    finally:
        Path(model.path, "end").write_text("\n")
    exp.wait(model, timeout=DEADLINE)


def _first_line(model: Model) -> str:
    """Return the first line that an application has written, which reads from a pipe then."""
    deadline = time.monotonic() + DEADLINE
    output = Path(model.path, f"{model.name}.out")
    while not output.exists() or "\n" not in output.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return output.read_text().splitlines()[0]


def _server_process(database: Orchestrator) -> int:
    assert database.service is not None
    return database.service.shards[0].facts.process_id
