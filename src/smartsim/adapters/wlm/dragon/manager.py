"""The dragon launcher: the driver's side."""

from __future__ import annotations

import itertools
import logging
import os
import secrets
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from smartsim.adapters.wlm.dragon.connected import Connected, Followed
from smartsim.adapters.wlm.dragon.placement import FEATURE, wish_of
from smartsim.adapters.wlm.dragon.runtime import Place, Runtime, Runtimes, join
from smartsim.domain.errors import LauncherError
from smartsim.domain.lifecycle import JobEvent, Refused

if TYPE_CHECKING:
    from smartsim.adapters.wlm.dragon.wire import Message
    from smartsim.adapters.wlm.inquiry import Log
    from smartsim.domain.steps import Step
    from smartsim.ports.clock import Clock
    from smartsim.ports.file_system import FileSystem
    from smartsim.ports.workload_manager import Report, WorkloadManager

RANKS = "dragon"
"""The kind of steps that run in a runtime (`Step.ranks`)."""


class DragonWorkloadManager:
    """Runs steps of `DragonRunSettings` as processes of a Dragon runtime, and others as its children do.

    The runtime is started with the first step, or that of another driver of the same directory is used. It ends when
    nothing runs in it and no driver is connected to it.

    Args:
        children: runs the runtime, and steps that are not for it; closed with this.
        runtimes: starts runtimes by the same children.
        files: reads what a driver must know to take over steps.
        clock: tells the time, and waits.
        host: the name of this machine.
        log: tells users what has no effect.
        leaves_steps: whether steps go on when this process has ended.
    """

    def __init__(
        self,
        children: WorkloadManager,
        runtimes: Runtimes,
        files: FileSystem,
        clock: Clock,
        host: str,
        log: Log,
        *,
        leaves_steps: bool = True,
    ) -> None:
        self._children = children
        self._runtimes = runtimes
        self._files = files
        self._clock = clock
        self._host = host
        self._log = log
        self._leaves_steps = leaves_steps
        self._owner = os.getpid()
        self._submitting = threading.Lock()
        self._lock = threading.Lock()  # guards what follows
        self._steps: dict[str, tuple[Connected, Followed]] = {}
        self._connected: list[Connected] = []

    def submit(self, steps: Sequence[Step], report: Report) -> None:
        """Start steps, in order, until one cannot be started."""
        refused = False

        def watch(name: str, event: JobEvent) -> None:
            nonlocal refused
            refused = refused or isinstance(event, Refused)
            report(name, event)

        for is_ranked, group in itertools.groupby(steps, key=lambda step: step.ranks == RANKS):
            submit = self._submit if is_ranked else self._children.submit
            submit(list(group), watch)
            if refused:
                return

    def stop(self, names: Collection[str], grace: float) -> None:
        """Have steps end: SIGTERM to all processes of their ranks, SIGKILL after the grace period."""
        with self._lock:
            known = {name: self._steps[name] for name in names if name in self._steps}
        for runtime in {runtime for runtime, _ in known.values()}:
            runtime.stop([followed for its, followed in known.values() if its is runtime], grace)
        self._children.stop([name for name in names if name not in known], grace)

    def attach(self, step: Step, handle: Mapping[str, object], report: Report) -> bool:
        """Take over a step that an earlier driver started."""
        words = handle.get("dragon")
        place = Place.of(words)
        if place is None or not isinstance(words, Mapping):
            return self._children.attach(step, handle, report)
        with self._lock:
            runtime = next((known for known in self._connected if known.place == place and known.is_open), None)
        if runtime is None:
            try:
                runtime = self._open(self._new(), Runtime(place, join(place, self._files), is_own=False))
            except OSError:
                return False
        followed = Followed(step, str(words.get("step")), report)
        with self._lock:
            self._steps[step.name] = runtime, followed
        return runtime.follow(followed)

    def handle(self, name: str) -> Mapping[str, object]:
        """Return where the runtime of a step is, and what it is called there."""
        with self._lock:
            known = self._steps.get(name)
        if known is None:
            return self._children.handle(name)
        runtime, followed = known
        return {"dragon": {**runtime.place.words(), "step": followed.name}}

    def close(self) -> None:
        """Follow the steps no longer. They go on; a runtime without any is seen to its end."""
        with self._lock:
            connected = list(self._connected)
        for runtime in connected:
            runtime.leave()
        self._children.close()

    def _submit(self, steps: Sequence[Step], report: Report) -> None:
        if os.getpid() != self._owner:
            raise LauncherError(
                f"This launcher belongs to process {self._owner}, of which process {os.getpid()} is a fork: make an "
                "Experiment of its own in a forked process"
            )
        with self._submitting:
            try:
                runtime = self._need_runtime()
            except LauncherError as error:
                report(steps[0].name, Refused(self._clock.now(), error))
                return
            accepted: list[Followed] = []
            words: list[Message] = []
            refusal: LauncherError | None = None
            for step in steps:
                try:
                    words.append(self._words(step))
                except LauncherError as error:
                    refusal = error
                    break
                accepted.append(Followed(step, step.name, report))
            if accepted:
                with self._lock:
                    self._steps.update({followed.name: (runtime, followed) for followed in accepted})
                runtime.start(accepted, words, is_left=self._leaves_steps)
            if refusal is not None and all(followed.is_started for followed in accepted):
                report(steps[len(accepted)].name, Refused(self._clock.now(), refusal))

    def _words(self, step: Step) -> Message:
        """Return a step as its server is told of it.

        Raises:
            LauncherError: a step of its name runs, or Dragon has no such options.
        """
        if step.name in self._steps:
            raise LauncherError(f"A step named {step.name!r} is running already")
        for option in step.launch:
            if option.startswith(f"--{FEATURE}"):
                self._log(logging.WARNING, f"{step.name}: Dragon knows no features of nodes, {option} has no effect")
        return {
            "name": step.name,
            "argv": list(step.argv),
            "directory": step.working_directory,
            "stdout": step.stdout,
            "stderr": step.stderr,
            "environment": dict(step.environment),
            "wish": asdict(wish_of(step.launch)),
        }

    def _need_runtime(self) -> Connected:
        """Return a runtime, which is started if need be.

        Raises:
            LauncherError: it does not start.
        """
        with self._lock:
            self._connected = [runtime for runtime in self._connected if runtime.is_open]
            running = next(iter(self._connected), None)
        if running is not None:
            return running
        runtime = self._new()
        return self._open(runtime, self._runtimes.obtain(runtime.name, lambda _: runtime.over()))

    def _new(self) -> Connected:
        name = f"runtime-{secrets.token_hex(4)}"
        return Connected(name, self._children, self._clock, self._runtimes.tail, self._forget)

    def _open(self, runtime: Connected, found: Runtime) -> Connected:
        runtime.open(found, self._host)
        with self._lock:
            self._connected.append(runtime)
        return runtime

    def _forget(self, followed: Followed) -> None:
        with self._lock:
            known = self._steps.get(followed.step.name)
            if known is not None and known[1] is followed:
                del self._steps[followed.step.name]
