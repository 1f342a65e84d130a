"""Ctrl-C at a driver, for real: a driver in a process of its own is sent SIGINT."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from smartsim.app.interrupts import run_whole

DEADLINE = 60.0

# A shell has what it starts in the background ignore SIGINT, and the suite may be run so.
PREAMBLE = """
import signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
from smartsim import Experiment
exp = Experiment("study", sys.argv[1])
model = exp.create_model("m", exp.create_run_settings("sh", ["-c", "echo $$ > pid; exec sleep 100"]))
code = "trap '' TERM; echo $$ > pid; sleep 100 & wait; wait"
stubborn = exp.create_model("s", exp.create_run_settings("sh", ["-c", code]))
database = exp.create_database(port=0)
"""


class Driver:
    def __init__(self, directory: Path, code: str) -> None:
        self.directory = directory
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", PREAMBLE + code, str(directory)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def pid_of(self, model: str) -> int:
        path = self.directory / model / "pid"
        deadline = time.monotonic() + DEADLINE
        while not (path.exists() and path.read_text().endswith("\n")):
            assert time.monotonic() < deadline
            assert self.process.poll() is None, self.process.communicate()[0]
            threading.Event().wait(0.005)
        return int(path.read_text())

    def interrupt(self) -> str:
        self.process.send_signal(signal.SIGINT)
        return self.process.communicate(timeout=DEADLINE)[0]


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_ctrl_c_stops_what_a_blocking_start_launched_databases_too(tmp_path: Path) -> None:
    driver = Driver(tmp_path, "exp.start(database, model, block=True)")
    pid = driver.pid_of("m")
    output = driver.interrupt()
    assert "KeyboardInterrupt" in output
    assert driver.process.returncode in (1, -signal.SIGINT)
    assert not runs(pid)
    assert "ready to exit" in (tmp_path / "orchestrator" / "orchestrator_0.out").read_text()


def test_ctrl_c_between_calls_stops_everything_even_the_stubborn(tmp_path: Path) -> None:
    driver = Driver(tmp_path, "exp.start(model, stubborn, block=False); threading.Event().wait(100)")
    pids = [driver.pid_of("m"), driver.pid_of("s")]
    begin = time.monotonic()
    output = driver.interrupt()
    assert "KeyboardInterrupt" in output
    assert not any(runs(pid) for pid in pids)
    assert time.monotonic() - begin >= 4.0  # the stubborn one had its grace


def test_ctrl_c_in_the_middle_of_a_launch_leaves_nothing_running(tmp_path: Path) -> None:
    code = """
ensemble = exp.create_ensemble("e", run_settings=exp.create_run_settings("sleep", "100"), replicas=300)
try:
    print("launching", flush=True)
    exp.start(ensemble, block=True)
except KeyboardInterrupt:
    print({status.value for status in exp.get_status(ensemble)})
"""
    for delay in (0.0, 0.02, 0.1):
        directory = tmp_path / str(delay)
        directory.mkdir()
        driver = Driver(directory, code)
        assert driver.process.stdout is not None
        assert driver.process.stdout.readline() == "launching\n"
        threading.Event().wait(delay)
        # Lines of the log may come in between: other threads write them.
        assert re.findall(r"\{[^}]*\}", driver.interrupt()) in (["{'Cancelled'}"], ["{'NeverStarted'}"])


@pytest.mark.parametrize("has_begun", [True, False])
def test_what_a_ctrl_c_hits_while_its_thread_starts_is_done_whole_or_not_at_all(
    has_begun: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        if has_begun:
            start(thread)
            assert begun.wait(DEADLINE)
            start(threading.Timer(0.05, may_end.set))
        raise KeyboardInterrupt

    def launch() -> None:
        begun.set()
        assert may_end.wait(DEADLINE)
        ended.set()

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_whole(launch)
    assert begun.is_set() == ended.is_set() == has_begun


def test_a_driver_in_the_background_is_not_meant(tmp_path: Path) -> None:
    code = """
exp.start(model, block=False)
exp.wait(model, timeout=2.0)
"""
    driver = Driver(tmp_path, "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)" + code)
    pid = driver.pid_of("m")
    assert "TimeoutError" in driver.interrupt()
    assert runs(pid)
    os.kill(pid, signal.SIGKILL)


def test_a_forked_process_is_told_to_make_its_own_experiment(tmp_path: Path) -> None:
    code = """
import os
exp.start(model, block=False)
pid = os.fork()
if pid == 0:
    try:
        exp.start(stubborn)
    except Exception as error:
        print(type(error).__name__, error, flush=True)
    os._exit(0)
os.waitpid(pid, 0)
exp.stop(model)
print("stopped", exp.get_status(model))
"""
    driver = Driver(tmp_path, code)
    output = driver.process.communicate(timeout=DEADLINE)[0]
    assert "make an Experiment of its own in a forked process" in output
    assert "stopped [<SmartSimStatus.STATUS_CANCELLED" in output


def test_a_driver_that_catches_it_finds_everything_stopped(tmp_path: Path) -> None:
    code = """
try:
    exp.start(model, block=True)
except KeyboardInterrupt:
    print("caught", exp.get_status(model))
"""
    driver = Driver(tmp_path, code)
    driver.pid_of("m")
    assert "caught [<SmartSimStatus.STATUS_CANCELLED" in driver.interrupt()
    assert driver.process.returncode == 0


def test_what_is_not_to_be_killed_goes_on_and_is_listed(tmp_path: Path) -> None:
    driver = Driver(tmp_path, "exp.start(model, block=True, kill_on_interrupt=False)")
    pid = driver.pid_of("m")
    try:
        output = driver.interrupt()
        assert "SmartSim process interrupted before resource cleanup" in output
        assert f"Task m with id: {pid}" in output
        assert runs(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_the_driver_s_own_handler_is_called_after_ours(tmp_path: Path) -> None:
    code = """
import signal
signal.signal(signal.SIGINT, lambda *_: print("own handler", flush=True))
exp.start(model, block=True)
print("status", exp.get_status(model))
"""
    driver = Driver(tmp_path, code)
    driver.pid_of("m")
    output = driver.interrupt()
    assert "own handler" in output
    assert "status [<SmartSimStatus.STATUS_CANCELLED" in output


@pytest.mark.parametrize("where", ["with", "thread"])
def test_an_exception_in_a_context_stops_everything(tmp_path: Path, where: str) -> None:
    code = """
def work():
    with exp:
        exp.start(model, database, block=False)
        pid = __import__("pathlib").Path(sys.argv[1], "m", "pid")
        while not (pid.exists() and pid.stat().st_size):
            pass
        raise RuntimeError("of the user")
"""
    call = "work()" if where == "with" else "t = threading.Thread(target=work); t.start(); t.join()"
    driver = Driver(tmp_path, code + call)
    output = driver.process.communicate(timeout=DEADLINE)[0]
    assert "RuntimeError: of the user" in output
    assert not runs(int((tmp_path / "m" / "pid").read_text()))
    assert "ready to exit" in (tmp_path / "orchestrator" / "orchestrator_0.out").read_text()


HOLDS = """
import signal, threading
from smartsim.app import interrupts

class Listener:
    def told(self):
        lock.acquire()

interrupts._PATIENCE, lock, listener = 0.2, threading.Lock(), Listener()
signal.signal(signal.SIGINT, signal.SIG_DFL)
interrupts.on_interrupt(listener.told)
with lock:
    signal.raise_signal(signal.SIGINT)
"""


def test_a_driver_that_holds_what_listeners_wait_for_ends_all_the_same() -> None:
    ended = subprocess.run([sys.executable, "-c", HOLDS], timeout=DEADLINE, check=False)
    assert ended.returncode == -signal.SIGINT
