"""Drivers that listen on unix sockets: who may speak to them, and what they leave behind."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from smartsim.adapters.control.unix import UnixControlChannel
from smartsim.ports.control_channel import LONGEST, Message

DEADLINE = 30.0
LISTEN = """
import sys
from smartsim.adapters.control.unix import UnixControlChannel
listener = UnixControlChannel().listen(sys.argv[1], dict)
print("listens", flush=True)
sys.stdin.read()
"""
STRANGER = """
import os, socket, sys
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
with socket.socket(socket.AF_UNIX) as connection:
    connection.settimeout(30)
    try:
        connection.connect(sys.argv[1])
        connection.sendall(b'{"action": "stop", "entity": "m", "by": "nobody"}\\n')
        print(connection.recv(1000))
    except OSError as error:
        print(type(error).__name__)
"""


@contextmanager
def listening(directory: str | Path, heard: list[Message] | None = None) -> Iterator[str]:
    """Listen, and return the path of the socket."""

    def answer(request: Message) -> Message:
        if heard is not None:
            heard.append(request)
        return request

    channel = UnixControlChannel()
    listener = channel.listen(str(directory), answer)
    try:
        (address,) = channel.addresses(str(directory))
        yield f"{directory}/.smartsim/control/{address.name}"
    finally:
        listener.close()


def ask(directory: str | Path) -> Message | None:
    channel = UnixControlChannel()
    (address,) = channel.addresses(str(directory))
    return channel.ask(str(directory), address, {"word": "hello"}, DEADLINE)


def test_nobody_else_may_open_the_socket_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with listening(tmp_path) as path:
            assert os.stat(path).st_mode & 0o777 == 0o600
            assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700
    finally:
        os.umask(before)


def test_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 200)
    with listening(directory):
        assert ask(directory) == {"word": "hello"}


def test_nothing_is_left_of_a_driver_that_ends(tmp_path: Path) -> None:
    threads = set(threading.enumerate())
    with listening(tmp_path) as path:
        ask(tmp_path)
    assert not os.path.exists(path)
    assert set(threading.enumerate()) <= threads


def test_what_a_killed_driver_left_is_removed_when_somebody_asks(tmp_path: Path) -> None:
    driver = subprocess.Popen(
        [sys.executable, "-c", LISTEN, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == b"listens\n"
        assert ask(tmp_path) == {"word": "hello"}
        driver.kill()
        driver.wait(DEADLINE)
    channel = UnixControlChannel()
    (address,) = channel.addresses(str(tmp_path))
    assert (address.pid, address.host, address.is_here) == (driver.pid, socket.gethostname(), True)
    # The same file of a driver on another machine, whose directory this is, too: nobody here can tell.
    path = tmp_path / ".smartsim" / "control"
    elsewhere = replace(address, host="elsewhere", is_here=False, name=address.name.replace(address.host, "elsewhere"))
    os.link(path / address.name, path / elsewhere.name)
    assert elsewhere in channel.addresses(str(tmp_path))
    assert channel.ask(str(tmp_path), elsewhere, {}, DEADLINE) is None
    assert channel.ask(str(tmp_path), address, {}, DEADLINE) is None
    assert channel.addresses(str(tmp_path)) == [elsewhere]


def test_a_forked_child_leaves_the_socket_to_its_parent(tmp_path: Path) -> None:
    channel = UnixControlChannel()
    listener = channel.listen(str(tmp_path), dict)
    child = os.fork()
    if child == 0:
        listener.close()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert ask(tmp_path) == {"word": "hello"}
    listener.close()


def test_what_is_no_request_gets_no_answer_and_harms_nobody(tmp_path: Path) -> None:
    heard: list[Message] = []
    with listening(tmp_path, heard) as path:
        for sent in (b"\n", b"[1]\n", b"{}x\n", b"\xff\xfe\n", b"[" * 60_000 + b"\n", b" " * (LONGEST + 1), b'{"cut'):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(DEADLINE)
                connection.connect(path)
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
                with suppress(ConnectionResetError):  # when it hangs up before it has read all
                    assert connection.recv(100) == b""
        assert heard == []
        assert ask(tmp_path) == {"word": "hello"}


def test_a_directory_that_others_may_write_is_not_trusted(tmp_path: Path) -> None:
    with listening(tmp_path) as path:
        Path(path).parent.chmod(0o777)
        with pytest.raises(PermissionError, match="not to be trusted"):
            UnixControlChannel().addresses(str(tmp_path))
        with pytest.raises(PermissionError, match="not to be trusted"):
            UnixControlChannel().listen(str(tmp_path), dict)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
@pytest.mark.parametrize("is_open", [False, True])
def test_another_user_is_not_heard(is_open: bool) -> None:
    """Not even with permission to open the socket, as somebody may give by mistake."""
    heard: list[Message] = []
    with tempfile.TemporaryDirectory() as directory, listening(directory, heard) as path:
        Path(directory).chmod(0o755)  # as experiments in shared places are
        if is_open:
            Path(path).parent.chmod(0o755)
            Path(path).chmod(0o666)
        command = [sys.executable, "-I", "-c", STRANGER, path]
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=True)
        hung_up = ["b''", "ConnectionResetError", "BrokenPipeError"]  # at which moment is up to the machine
        assert done.stdout.strip() in (hung_up if is_open else ["PermissionError"])
        assert heard == []
        assert json.loads(json.dumps(ask(directory))) == {"word": "hello"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of another user")
def test_another_users_driver_is_not_asked() -> None:
    with tempfile.TemporaryDirectory() as directory, listening(directory) as path:
        os.chown(os.path.dirname(path), 65534, 65534)
        with pytest.raises(PermissionError, match="user 65534"):
            UnixControlChannel().addresses(directory)


def test_requests_are_answered_again_when_there_are_threads_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening(tmp_path):

        def refuse(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as full:
            full.setattr(threading.Thread, "start", refuse)
            assert ask(tmp_path) is None
        assert ask(tmp_path) == {"word": "hello"}
