"""A workload manager that runs nothing: steps do in virtual time what a script says."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from smartsim.domain.errors import LauncherError
from smartsim.domain.lifecycle import Ended, Queued, Refused, Started

if TYPE_CHECKING:
    from smartsim.domain.steps import Step
    from smartsim.ports.clock import Clock
    from smartsim.ports.job_meter import RunningStep
    from smartsim.ports.process_meter import ProcessUsage
    from smartsim.ports.workload_manager import Report

_SIGTERM, _SIGKILL = 15, 9


@dataclass(frozen=True)
class Script:
    """What a step does.

    Args:
        duration: virtual seconds that it runs; None runs until it is stopped.
        returncode: its exit code then, negative for a signal.
        queued_for: virtual seconds that it waits in the queue first; None starts at once, without queueing.
        refusal: why it cannot be started at all, if it cannot.
        heeds_sigterm: whether it ends when asked to, or has to be forced.
    """

    duration: float | None = 1.0
    returncode: int = 0
    queued_for: float | None = None
    refusal: Exception | None = None
    heeds_sigterm: bool = True


@dataclass
class _Running:
    step: Step
    report: Report | None  # None once nobody follows it
    native_id: str
    started: bool = False


@dataclass
class ScriptedMachine:
    """Where scripted steps run. Managers that share one find each other's steps by `attach`."""

    running: dict[str, _Running] = field(default_factory=dict)
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))


class ScriptedWorkloadManager:
    """Plays scripts on a clock that the test owns.

    Args:
        call_later: schedules an action some seconds ahead: `VirtualClock.call_later`.
        clock: tells the time: the same `VirtualClock`.
        script: returns what a step does; by default every step ends well after a second.
        machine: where the steps run; by default a machine of its own.

    Attributes:
        submitted: every step that was started or queued, in order.

    Example:
        >>> from smartsim.testing import Script, ScriptedWorkloadManager, VirtualClock
        >>> clock = VirtualClock()
        >>> manager = ScriptedWorkloadManager(clock.call_later, clock, lambda step: Script(duration=3600, returncode=1))
    """

    def __init__(
        self,
        call_later: Callable[[float, Callable[[], None]], None],
        clock: Clock,
        script: Callable[[Step], Script] = lambda _step: Script(),
        machine: ScriptedMachine | None = None,
    ) -> None:
        self.submitted: list[Step] = []
        self._call_later = call_later
        self._clock = clock
        self._script = script
        self._machine = ScriptedMachine() if machine is None else machine
        self._followed: dict[str, _Running] = {}

    def submit(self, steps: Sequence[Step], report: Report) -> None:
        """Start steps, in order, until one is refused."""
        for step in steps:
            script = self._script(step)
            error = script.refusal
            if step.name in self._followed:
                error = LauncherError(f"A step named {step.name!r} is running already")
            if error is not None:
                report(step.name, Refused(self._clock.now(), error))
                return
            self.submitted.append(step)
            running = _Running(step, report, str(next(self._machine.ids)))
            self._machine.running[running.native_id] = self._followed[step.name] = running
            if script.queued_for is None:
                self._start(running, script)
            else:
                report(step.name, Queued(self._clock.now(), running.native_id))
                self._call_later(script.queued_for, partial(self._start, running, script))

    def stop(self, names: Collection[str], grace: float) -> None:
        """Have steps end: at once those that heed SIGTERM, after the grace period the others."""
        for name in names:
            running = self._followed.get(name)
            if running is None:
                continue
            if not running.started or self._script(running.step).heeds_sigterm:
                self._call_later(0.0, partial(self._end, running, -_SIGTERM))
            else:
                self._call_later(grace, partial(self._end, running, -_SIGKILL))

    def attach(self, step: Step, handle: Mapping[str, object], report: Report) -> bool:
        """Take over a step that still runs."""
        running = self._machine.running.get(str(handle.get("id")))
        if running is None:
            return False
        running.step, running.report = step, report
        self._followed[step.name] = running
        report(step.name, Started(self._clock.now(), running.native_id))
        return True

    def handle(self, name: str) -> Mapping[str, object]:
        """Return what `attach` needs."""
        if name not in self._followed:
            raise LauncherError(f"No step named {name!r} is running")
        return {"id": self._followed[name].native_id}

    def close(self) -> None:
        """Follow the steps no longer. They go on."""
        for running in self._followed.values():
            running.report = None
        self._followed.clear()

    def runs(self, argv: Sequence[str]) -> bool:
        """Return whether a step with some argv runs at the moment."""
        return any(running.started and running.step.argv == argv for running in self._machine.running.values())

    def end(self, argv: Sequence[str]) -> None:
        """Have the step with some argv end well, as if it had been asked to from outside."""
        for running in list(self._machine.running.values()):
            if running.step.argv == argv:
                self._end(running, 0)

    def _start(self, running: _Running, script: Script) -> None:
        if running.native_id not in self._machine.running:
            return
        running.started = True
        if running.report is not None:
            running.report(running.step.name, Started(self._clock.now(), running.native_id))
        if script.duration is not None:
            self._call_later(script.duration, partial(self._end, running, script.returncode))

    def _end(self, running: _Running, returncode: int) -> None:
        if self._machine.running.pop(running.native_id, None) is None:
            return
        self._followed.pop(running.step.name, None)
        if running.report is not None:
            running.report(running.step.name, Ended(self._clock.now(), returncode))


class ScriptedJobMeter:
    """A scheduler that tells at once what jobs use.

    Args:
        usages: what steps use, by their names.

    Example:
        >>> from smartsim.embedding import ProcessUsage, RunningStep, Step
        >>> meter = ScriptedJobMeter({"m-1": ProcessUsage(cpu_seconds=0.5, memory=4096, processes=1)})
        >>> step = Step("m-1", ("true",), (), {}, "/", "/m.out", "/m.err")
        >>> meter.measure([RunningStep(step, {"job": "7"})])["m-1"].memory
        4096
    """

    def __init__(self, usages: Mapping[str, ProcessUsage] | None = None) -> None:
        self.usages = dict(usages or {})

    def covers(self, step: Step) -> bool:
        """Return whether a step runs in a job."""
        return step.batch is not None

    def is_ready(self) -> bool:
        """Return that it may be asked at any time."""
        return True

    def measure(self, running: Sequence[RunningStep]) -> Mapping[str, ProcessUsage]:
        """Return what steps use."""
        return {one.step.name: self.usages[one.step.name] for one in running if one.step.name in self.usages}
