"""A driver that waits in `start(block=True)` is asked from another process to stop and restart what it runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from smartsim.adapters.eventlog.jsonl import JsonlEventLog
from smartsim.app.remote_control import RemoteControl
from smartsim.domain.history import History
from smartsim.domain.status import SmartSimStatus
from smartsim.error import SmartSimError

DEADLINE = 60.0
RUNNING, CANCELLED = SmartSimStatus.STATUS_RUNNING, SmartSimStatus.STATUS_CANCELLED
ADA = "ada@here with the test"

# Members run until there is a file `enough` in their directory, but for 60 s at most.
MEMBER = """
import os, time
end = time.monotonic() + 60
print("begins", flush=True)
while not os.path.exists("enough") and time.monotonic() < end:
    time.sleep(0.02)
"""
DRIVER = """
import json, sys
from smartsim import Experiment

exp = Experiment("study", sys.argv[1])
settings = exp.create_run_settings(sys.executable, ["-c", sys.argv[2]])
ensemble = exp.create_ensemble("e", run_settings=settings, replicas=3)
exp.generate(ensemble, overwrite=True)
exp.start(ensemble, block=True)
print("told:", json.dumps([status.value for status in exp.get_status(ensemble)]))
"""


class Driver:
    """A driver process, and what is recorded of it."""

    def __init__(self, directory: Path, process: subprocess.Popen[str]) -> None:
        self.directory = directory
        self.process = process

    def history(self) -> History:
        return History.of(JsonlEventLog(str(self.directory / ".smartsim" / "events.jsonl")).replay())

    def await_history(self, what: Callable[[History], bool]) -> History:
        """Wait until something is recorded."""
        deadline = time.monotonic() + DEADLINE
        while not what(history := self.history()):
            assert self.process.poll() is None, "the driver ended"
            assert time.monotonic() < deadline, history
            time.sleep(0.02)
        return history

    def remote(self) -> RemoteControl:
        return RemoteControl(str(self.directory), self.history())

    def finish(self, *members: str) -> list[str]:
        """Let members end, and return what the driver says of all."""
        for member in members:
            (self.directory / "e" / member / "enough").touch()
        output, _ = self.process.communicate(timeout=DEADLINE)
        # Among lines of the log.
        (line,) = [line for line in output.splitlines() if line.startswith("told: ")]
        told: list[str] = json.loads(line.removeprefix("told: "))
        return told


@contextmanager
def run_driver(directory: Path) -> Iterator[Driver]:
    """Run the driver until all members run; and at the end see that nothing is left."""
    directory.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(directory), MEMBER], stdout=subprocess.PIPE, text=True
    )
    with process:
        driver = Driver(directory, process)
        try:
            driver.await_history(lambda history: _running(history) == {"e_0", "e_1", "e_2"})
            yield driver
        finally:
            process.kill()
            for member in range(3):
                (directory / "e" / f"e_{member}" / "enough").touch()


def _running(history: History) -> set[str]:
    return {name for name, jobs in history.entities.items() if jobs[-1].status is RUNNING}


def test_a_member_is_stopped_and_restarted_while_the_driver_waits(tmp_path: Path) -> None:
    with run_driver(tmp_path / "study") as driver:
        assert driver.remote().stop("e_1", by=ADA) == "e_1 was stopped"
        job = driver.history().entities["e_1"][-1]
        assert (job.status, job.stopped_by, job.reason) == (CANCELLED, ADA, f"stopped by {ADA}")
        assert _running(driver.history()) == {"e_0", "e_2"}

        assert driver.remote().restart("e_1", by=ADA) == "e_1 was started again"
        with pytest.raises(SmartSimError, match="has not ended"):
            driver.remote().restart("e_1", by=ADA)
        assert driver.remote().stop("e_2", by=ADA) == "e_2 was stopped"
        # The start that waits waits for what was restarted in the meantime, too.
        (driver.directory / "e" / "e_0" / "enough").touch()
        driver.await_history(lambda history: history.entities["e_0"][-1].is_final)
        assert driver.process.poll() is None
        assert driver.finish("e_1") == ["Completed", "Completed", "Cancelled"]
        starts = driver.history().entities["e_1"]
        assert [(job.facts.run, job.facts.directory, job.facts.ensemble) for job in starts] == [
            (0, "e/e_1", "e"),
            (1, "e/e_1", "e"),
        ]
        assert os.listdir(driver.directory / ".smartsim" / "control") == []
        with pytest.raises(SmartSimError, match="it has ended, or was started with telemetry off"):
            driver.remote().restart("e_1", by=ADA)


def test_an_ensemble_is_stopped_by_several_at_once(tmp_path: Path) -> None:
    told: list[str] = []

    def stop(name: str) -> None:
        try:
            told.append(driver.remote().stop(name, by=ADA))
        except SmartSimError as error:
            told.append(str(error))

    with run_driver(tmp_path / "study") as driver:
        threads = [threading.Thread(target=stop, args=(name,)) for name in ("e", "e_0", "e_1", "e_2", "e")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE)
        assert driver.finish() == ["Cancelled"] * 3
        assert len(told) == 5
        assert {job.stopped_by for job in driver.history().jobs.values()} == {ADA}


def test_a_driver_that_was_killed_is_told_of(tmp_path: Path) -> None:
    with run_driver(tmp_path / "study") as driver:
        (left,) = os.listdir(driver.directory / ".smartsim" / "control")
        assert str(driver.process.pid) in left
        driver.process.kill()
        driver.process.wait(DEADLINE)
        with pytest.raises(SmartSimError, match=f"process {driver.process.pid} on .* `smart reap`"):
            driver.remote().stop("e_1", by=ADA)
        assert os.listdir(driver.directory / ".smartsim" / "control") == []


def test_a_driver_that_is_suspended_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smartsim.app.remote_control._FIND_TIMEOUT", 0.2)
    with run_driver(tmp_path / "study") as driver:
        driver.process.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(SmartSimError, match=f"process {driver.process.pid} on .* has not answered within"):
                driver.remote().stop("e_1", by=ADA)
        finally:
            driver.process.send_signal(signal.SIGCONT)
        assert driver.remote().stop("e_1", by=ADA) == "e_1 was stopped"
