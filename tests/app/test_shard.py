"""How the process of a shard's step becomes the server."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from smartsim.app import supervisor
from smartsim.app.runtimes import installed_versions
from smartsim.app.shard import choose_io_threads, make_private_directory

DEADLINE = 30.0


def test_the_directory_of_the_socket_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    directory = Path(make_private_directory())
    assert directory.parent == tmp_path
    assert directory.stat().st_mode & 0o777 == 0o700
    assert Path(make_private_directory()) != directory


@pytest.mark.parametrize("unusable", ["", "relative", "/no/such/directory", "/" + "x" * 90])
def test_a_directory_that_cannot_hold_a_socket_is_not_used(unusable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", unusable)
    directory = Path(make_private_directory())
    directory.rmdir()
    assert directory.parent == Path("/tmp")


def test_threads_for_input_and_output_leave_most_cpus_to_others() -> None:
    assert [choose_io_threads(cpus) for cpus in (1, 2, 7, 8, 16, 31, 32, 256)] == [1, 1, 1, 2, 4, 7, 8, 8]


def _settings(directory: Path, *server: str) -> Path:
    path = directory / "shard.json"
    settings: dict[str, object] = {"name": "s", "directory": str(directory), "server": server, "user": "worker"}
    settings |= {"devices": ["CPU"], "password_file": str(path), "threads": 1, "intra_op": 0, "inter_op": 0}
    path.write_text(json.dumps(settings))
    return path


@pytest.mark.parametrize(
    ("server", "code", "words"),
    [
        (("sh", "-c", "echo $0 $1; exit 3", "server"), 3, "server --unixsocket"),
        (("sh", "-c", "kill -9 $$"), -9, ""),
        (("/no/such/server",), 1, "The database server /no/such/server cannot be started: No such file or directory"),
    ],
)
def test_the_step_ends_as_the_server_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: tuple[str, ...], code: int, words: str
) -> None:
    temporary = tmp_path / "t"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    command = [sys.executable, "-P", "-m", "smartsim.app.shard", str(_settings(tmp_path, *server))]
    # The output is complete when what stands beside the server has ended, too.
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == code
    assert words in done.stdout + done.stderr
    assert not list(temporary.iterdir())


_SIGNALLED = """
import os, sys
from smartsim.app import shard

number, moment = int(sys.argv.pop()), sys.argv.pop()
make, fork, execvp = shard.make_private_directory, os.fork, os.execvp

def made():
    path = make()
    os.killpg(0, number)
    return path

def forked():
    if (child := fork()) != 0:
        os.killpg(0, number)
    return child

def become(*server):
    os.killpg(0, number)
    execvp(*server)

if moment == "made": shard.make_private_directory = made
if moment == "forked": os.fork = forked
if moment == "become": os.execvp = become
shard.main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("moment", ["made", "forked", "become"])
def test_a_signal_to_the_group_at_the_start_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, number: signal.Signals
) -> None:
    temporary = tmp_path / "t"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    settings = _settings(tmp_path, "sleep", str(DEADLINE))
    command = [sys.executable, "-P", "-c", _SIGNALLED, str(settings), moment, str(int(number))]
    # The output is complete when what stands beside the server has ended, too.
    done = subprocess.run(
        command, start_new_session=True, capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert (done.returncode, done.stderr) == (-number, "")
    assert not list(temporary.iterdir())


def _run_worker(directory: Path, monkeypatch: pytest.MonkeyPatch, does: str) -> tuple[bool, str]:
    """Have a worker run that is a script of the shell, with a log of an earlier one."""
    script = directory / "worker"
    script.write_text(f"#!/bin/sh\n{does}\n")
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(script))
    (directory / "s_worker_CPU.log").write_text("words of an earlier one\n")
    settings = supervisor.ShardSettings("s", str(directory), "worker", str(directory / "password"), None, 1, 0, 0)
    with (directory / "socket").open("wb") as socket:
        return supervisor._Keeper(settings, "CPU", socket.fileno(), "", {})._run_worker()


@pytest.mark.parametrize(
    ("does", "end"),
    [
        ("exit 3", "ended with exit code 3"),
        ("echo no framework; echo; exit 1", "ended with exit code 1: no framework"),
        ("kill -9 $$", "ended by SIGKILL"),
        ("kill -40 $$", "ended by signal 40"),
    ],
)
def test_a_worker_that_does_not_start_is_told_with_its_own_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, end: str
) -> None:
    assert _run_worker(tmp_path, monkeypatch, does) == (False, end)


def test_a_worker_that_never_connects_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_LONGEST_START", 1.0)
    started, end = _run_worker(tmp_path, monkeypatch, f"echo looking around; exec sleep {DEADLINE}")
    assert (started, end) == (False, "did not connect within 1 s: looking around")


def test_frameworks_are_found_by_what_is_installed(tmp_path: Path) -> None:
    for name in ("torch-2.9.1+cpu", "onnxruntime_gpu-1.20.0", "tensorflow_cpu-2.21.0", "torchvision-0.1", "ai_edge-1"):
        (tmp_path / f"{name}.dist-info").mkdir()
    (tmp_path / "ai_edge_litert-1.0").mkdir()
    assert installed_versions(["/nowhere", str(tmp_path)]) == {"TORCH": "2.9.1+cpu", "ONNX": "1.20.0", "TF": "2.21.0"}


def test_what_keeps_workers_running_stays_small() -> None:
    code = "import sys, smartsim.app.supervisor as s; s.installed_versions(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE, check=True)
    assert not {"numpy", "torch", "redis", "importlib.metadata"} & set(done.stdout.split())
