"""The local launcher: steps are child processes of the driver, watched by events.

Each step leads a session of its own, so that a stop reaches everything it started, and a Ctrl-C at the driver's
terminal reaches none of it. One thread, alive while steps are, waits on descriptors of their processes: nothing is
polled while steps run.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
import weakref
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from smartsim.adapters.wlm import proc
from smartsim.adapters.wlm.exits import exit_descriptor
from smartsim.adapters.wlm.spawning import refusal, spawn
from smartsim.domain.errors import LauncherError
from smartsim.domain.lifecycle import Ended, Refused, Started

if TYPE_CHECKING:
    from smartsim.domain.steps import Step
    from smartsim.ports.workload_manager import Report

_LEFTOVER_GRACE = 1.0  # seconds that what a step left behind has between SIGTERM and SIGKILL
_TICK = 0.01  # seconds between looks at processes that are being ended and whose exits nobody announces
_MOMENT = 0.05  # seconds that what is left of a step has, before all processes of the machine are looked through for it
_REST = 4  # how many times as long as that took, until it is done again: there may be thousands of processes


@dataclass
class _Running:
    """A step that runs, or whose leftovers do."""

    step: Step
    pid: int
    descriptor: int  # readable once it ended
    report: Report
    is_child: bool  # or was started by another driver
    ended: Ended | None = None
    kill_at: float | None = None  # when being ended: monotonic time of the SIGKILL
    look_at: float = 0.0  # when being ended: from when on all that is left of it is looked for

    def is_due(self) -> bool:
        return self.kill_at is not None and time.monotonic() >= self.kill_at

    def send(self, number: signal.Signals, groups: Collection[int]) -> None:
        """Send a signal to the step's own process group, and to others of its session."""
        for group in {self.pid, *groups}:
            try:
                os.killpg(group, number)
            except (ProcessLookupError, PermissionError):
                continue


class LocalWorkloadManager:
    """Runs steps on this machine.

    Standard input of a step is empty, its output goes to its files, and its environment is the driver's with the step's
    own variables laid over it. What a step leaves running in its process group when it ends is ended, too, as a
    scheduler does.

    Args:
        appends: whether steps write behind what their output files have, which others may be writing.
    """

    def __init__(self, *, appends: bool = False) -> None:
        self._appends = appends
        self._lock = threading.Lock()
        self._running: dict[str, _Running] = {}
        self._by_descriptor: dict[int, _Running] = {}
        self._ending: dict[str, _Running] = {}  # only the watching thread looks at it, and at the next
        self._look_at = 0.0
        self._requests: SimpleQueue[tuple[frozenset[str], float]] = SimpleQueue()
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._thread: threading.Thread | None = None
        self._submissions = 0  # calls that may start more
        self._closing = False
        self._owner = os.getpid()
        self._release = weakref.finalize(self, _close_descriptors, self._epoll, self._wake)

    def submit(self, steps: Sequence[Step], report: Report) -> None:
        """Start steps, in order, until one cannot be started."""
        environment = dict(os.environ)
        with self._watching(), open(os.devnull, "rb", buffering=0) as nothing:
            for step in steps:
                try:
                    if step.name in self._running:
                        raise LauncherError(f"A step named {step.name!r} is running already")
                    pid = spawn(step, environment, nothing.fileno(), appends=self._appends)
                except LauncherError as error:
                    report(step.name, Refused(time.time(), error))
                    return
                except (OSError, ValueError) as error:
                    report(step.name, Refused(time.time(), refusal(step, environment, error)))
                    return
                self._watch(_Running(step, pid, exit_descriptor(pid), report, is_child=True))

    def stop(self, names: Collection[str], grace: float) -> None:
        """Have steps end: SIGTERM to all their processes, SIGKILL after the grace period."""
        # Safe in a signal handler: neither the queue nor the descriptor needs a lock that its caller may hold.
        self._requests.put((frozenset(names), grace))
        if self._release.alive and os.getpid() == self._owner:
            os.eventfd_write(self._wake, 1)

    def attach(self, step: Step, handle: Mapping[str, object], report: Report) -> bool:
        """Take over a process that an earlier driver on this machine started."""
        pid = handle.get("pid")
        if not isinstance(pid, int):
            return False
        try:
            descriptor = exit_descriptor(pid)
        except OSError:
            return False
        # Looked at after the descriptor was had: from then on the pid cannot become another process's.
        if proc.identity(pid) != handle.get("identity"):
            os.close(descriptor)
            return False
        with self._watching():
            self._watch(_Running(step, pid, descriptor, report, is_child=False))
        return True

    def handle(self, name: str) -> Mapping[str, object]:
        """Return the process id of a step and what tells the process from a later one of the same id."""
        running = self._running.get(name)
        if running is None:
            raise LauncherError(f"No step named {name!r} is running on this machine")
        return {"pid": running.pid, "identity": proc.identity(running.pid)}

    def close(self) -> None:
        """End the watching thread. Steps go on; stops that were asked for are seen through first."""
        with self._lock:
            self._closing = True
            thread = self._thread
        if thread is not None:
            os.eventfd_write(self._wake, 1)
            thread.join()
        self._release()

    @contextmanager
    def _watching(self) -> Iterator[None]:
        """Keep the watching thread alive, although no step may be running at times."""
        if os.getpid() != self._owner:
            raise LauncherError(
                f"This launcher belongs to process {self._owner}, of which process {os.getpid()} is a fork: make an "
                "Experiment of its own in a forked process"
            )
        with self._lock:
            self._submissions += 1
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="smartsim-local", daemon=True)
                thread.start()
                self._thread = thread
        try:
            yield
        finally:
            with self._lock:
                self._submissions -= 1
                os.eventfd_write(self._wake, 1)

    def _watch(self, running: _Running) -> None:
        with self._lock:
            self._running[running.step.name] = running
            self._by_descriptor[running.descriptor] = running
        # Known first, so that a stop finds it; watched last, so that its end is told after its start.
        running.report(running.step.name, Started(time.time(), str(running.pid)))
        self._epoll.register(running.descriptor, select.EPOLLIN)

    def _run(self) -> None:
        while True:
            try:
                if not self._turn():
                    return
            except Exception as error:  # noqa: BLE001 - others wait for this thread
                self._give_up(error)

    def _turn(self) -> bool:
        """Do what there is to do, once something happens; return False when there is nothing to follow any more."""
        self._take_requests()
        with self._lock:
            idle = not self._running or (self._closing and not self._ending)
            if idle and not self._submissions:
                self._thread = None
                self._forget_all()
                return False
        for descriptor, _ in self._epoll.poll(_TICK if self._ending else None):
            if descriptor == self._wake:
                os.eventfd_read(self._wake)
            else:
                self._leader_ended(self._by_descriptor.pop(descriptor))
        if any(running.ended is not None or running.is_due() for running in self._ending.values()):
            self._press()
        return True

    def _forget_all(self) -> list[_Running]:
        """Follow nothing any more, and return what was followed; called with the lock held."""
        left = list(self._running.values())
        for descriptor in self._by_descriptor:
            os.close(descriptor)  # which takes it out of the epoll, too
        self._running.clear()
        self._by_descriptor.clear()
        self._ending.clear()
        return left

    def _give_up(self, error: Exception) -> None:
        """Have all steps end as unknown, after an error that nobody has foreseen."""
        with self._lock:
            lost = self._forget_all()
        for running in lost:
            reason = (
                f"unknown: what follows processes of this driver failed ({type(error).__name__}: {error}). Process "
                f"{running.pid} may still run: see whether it does, and end it with `kill -- -{running.pid}`"
            )
            with suppress(Exception):  # it may be what failed
                running.report(running.step.name, running.ended or Ended(time.time(), None, reason))

    def _take_requests(self) -> None:
        while True:
            try:
                names, grace = self._requests.get_nowait()
            except Empty:
                return
            asked = [running for name in names if (running := self._running.get(name)) is not None]
            # Groups of their own that are not seen now are seen when they are to be killed.
            sessions = (_sessions() if asked else None) or {}
            kill_at = time.monotonic() + grace
            for running in asked:
                if running.kill_at is not None and running.kill_at <= kill_at:
                    continue  # asked before: a second signal could be taken for more than the first
                running.kill_at = kill_at
                running.look_at = 0.0
                self._ending[running.step.name] = running
                groups = sessions.get(running.pid, set())
                running.send(signal.SIGTERM, groups)
                # A suspended process does not see the SIGTERM before it goes on.
                running.send(signal.SIGCONT, groups)

    def _leader_ended(self, running: _Running) -> None:
        self._epoll.unregister(running.descriptor)
        os.close(running.descriptor)
        running.ended = Ended(time.time(), _reap(running.pid) if running.is_child else None)
        if running.kill_at is None and not _group_exists(running.pid):
            self._finish(running)
        elif running.kill_at is None:
            now = time.monotonic()
            running.kill_at, running.look_at = now + _LEFTOVER_GRACE, now + _MOMENT
            self._ending[running.step.name] = running
            running.send(signal.SIGTERM, ())

    def _press(self) -> None:
        """See to it that steps being ended, and all that they started, do end."""
        now = time.monotonic()
        for running in [running for running in self._ending.values() if now < running.look_at]:
            if not _group_exists(running.pid):
                del self._ending[running.step.name]
                self._finish(running)
        looked_for = [running for running in self._ending.values() if now >= running.look_at]
        if not looked_for or now < self._look_at:
            return
        sessions = _sessions()
        if sessions is None:
            return
        self._look_at = time.monotonic() + _REST * (time.monotonic() - now)
        for running in looked_for:
            groups = sessions.get(running.pid, set())
            if running.is_due():
                running.send(signal.SIGKILL, groups)
            if running.ended is not None and not groups:
                del self._ending[running.step.name]
                self._finish(running)

    def _finish(self, running: _Running) -> None:
        with self._lock:
            del self._running[running.step.name]
        if running.ended is not None:
            running.report(running.step.name, running.ended)


def _reap(pid: int) -> int | None:
    """Return the exit code of a child that ended; None when somebody else in this process took it."""
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return None


def _sessions() -> dict[int, set[int]] | None:
    """Return the process groups by their session; None when the driver has too many files open to look."""
    try:
        return proc.sessions()
    except OSError:
        return None


def _group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _close_descriptors(epoll: select.epoll, wake: int) -> None:
    epoll.close()
    os.close(wake)
