"""The dragon launcher: the driver's side."""

from __future__ import annotations

import itertools
import logging
import os
import secrets
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from smartsim.adapters.wlm.dragon.link import Link
from smartsim.adapters.wlm.dragon.placement import FEATURE, wish_of
from smartsim.adapters.wlm.dragon.runtime import Place, Runtime, Runtimes, join
from smartsim.domain.errors import LauncherError, ShellError
from smartsim.domain.lifecycle import Ended, JobEvent, Refused, Started
from smartsim.domain.steps import Step

if TYPE_CHECKING:
    from smartsim.adapters.wlm.dragon.wire import Message
    from smartsim.adapters.wlm.inquiry import Log
    from smartsim.ports.clock import Clock
    from smartsim.ports.file_system import FileSystem
    from smartsim.ports.workload_manager import Report, WorkloadManager

RANKS = "dragon"
_SILENCE = 180.0  # seconds without news of a submission, after which the runtime is given up
_ANSWER = 10.0  # seconds that a server has to answer
_END = 20.0  # seconds that a runtime has to end when it is not needed any more, or is broken
_GRACE = 2.0  # seconds between asking it and forcing it then


@dataclass(eq=False)
class _Followed:
    """A step that runs, or is about to.

    Args:
        step: the driver's.
        name: which the server knows it by.
        report: who wants to know of it.
        runtime: where it runs.
        is_started: whether its start was told.
    """

    step: Step
    name: str
    report: Report
    runtime: _Runtime
    is_started: bool = False


@dataclass(eq=False)
class _Runtime:
    """A runtime with which this driver is connected.

    Args:
        name: of the step of the children that its keeper is.
        place: where it is.
        followed: the steps in it, by the server's names.
        is_kept: whether the children follow its keeper.
        is_over: whether it has ended, and left nothing.
        is_submitting: whether a submission is not through.
        news: how many messages have come.
        answers: those that somebody waits for.
    """

    name: str
    place: Place = field(init=False)
    link: Link = field(init=False)
    followed: dict[str, _Followed] = field(default_factory=dict)
    is_kept: bool = False
    is_over: bool = False
    is_submitting: bool = False
    news: int = 0
    answers: list[Message] = field(default_factory=list)


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
        self._changed = threading.Condition()  # guards what follows
        self._steps: dict[str, _Followed] = {}
        self._connected: list[_Runtime] = []

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
        with self._changed:
            followed = {name: self._steps[name] for name in names if name in self._steps}
        for runtime in {step.runtime for step in followed.values()}:
            own = [step.name for step in followed.values() if step.runtime is runtime]
            runtime.link.send({"stop": own, "grace": float(grace)})
        self._children.stop([name for name in names if name not in followed], grace)

    def attach(self, step: Step, handle: Mapping[str, object], report: Report) -> bool:
        """Take over a step that an earlier driver started."""
        words = handle.get("dragon")
        place = Place.of(words)
        if place is None or not isinstance(words, Mapping):
            return self._children.attach(step, handle, report)
        try:
            runtime = self._runtime_at(place)
            if runtime is None:
                found = Runtime(place, join(place, self._files), is_own=False)
                runtime = self._open(_Runtime(f"runtime-{secrets.token_hex(4)}"), found)
        except OSError:
            return False
        followed = _Followed(step, str(words.get("step")), report, runtime)
        with self._changed:
            self._steps[step.name] = runtime.followed[followed.name] = followed
        answer = self._ask(runtime, {"follow": followed.name})
        if answer is None or answer["id"] is None:
            self._forget(followed)
            return False
        return True

    def handle(self, name: str) -> Mapping[str, object]:
        """Return where the runtime of a step is, and what it is called there."""
        with self._changed:
            followed = self._steps.get(name)
        if followed is None:
            return self._children.handle(name)
        return {"dragon": {**followed.runtime.place.words(), "step": followed.name}}

    def close(self) -> None:
        """Follow the steps no longer. They go on; a runtime without any is seen to its end."""
        with self._changed:
            connected = list(self._connected)
        for runtime in connected:
            answer = self._ask(runtime, {"leave": True})
            runtime.link.close()
            if answer is not None and answer["is_last"] and runtime.is_kept:
                self._await_end(runtime)
        self._children.close()

    # Submissions

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
            accepted, refused = [], None
            for step in steps:
                try:
                    accepted.append((step, self._words(step)))
                except LauncherError as error:
                    refused = step.name, error
                    break
            followed = [_Followed(step, step.name, report, runtime) for step, _ in accepted]
            if followed:
                self._start(runtime, followed, [words for _, words in accepted])
            if refused is not None and all(step.is_started for step in followed):
                report(refused[0], Refused(self._clock.now(), refused[1]))

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

    def _start(self, runtime: _Runtime, followed: Sequence[_Followed], words: Sequence[Message]) -> None:
        """Have a runtime start steps, and wait until it has, or has refused one."""
        with self._changed:
            runtime.is_submitting = True
            for step in followed:
                self._steps[step.name] = runtime.followed[step.name] = step
            runtime.link.send({"submit": words, "environment": dict(os.environ), "is_left": self._leaves_steps})
            while runtime.is_submitting and self._hears(runtime):
                pass
            if not runtime.is_submitting:
                return
        self._await_end(runtime, patience=0.0)

    def _hears(self, runtime: _Runtime) -> bool:
        """Return whether a runtime that starts steps says anything; called with the lock held."""
        heard = runtime.news
        return self._clock.wait_until(
            self._changed, lambda: not runtime.is_submitting or runtime.news != heard, _SILENCE
        )

    # Runtimes

    def _need_runtime(self) -> _Runtime:
        """Return a runtime, which is started if need be.

        Raises:
            LauncherError: it does not start.
        """
        with self._changed:
            running = next((runtime for runtime in self._connected if runtime.link.is_open), None)
        if running is not None:
            return running
        runtime = _Runtime(f"runtime-{secrets.token_hex(4)}")
        found = self._runtimes.obtain(runtime.name, lambda _: self._over(runtime))
        return self._open(runtime, found)

    def _runtime_at(self, place: Place) -> _Runtime | None:
        with self._changed:
            return next((known for known in self._connected if known.place == place and known.link.is_open), None)

    def _open(self, runtime: _Runtime, found: Runtime) -> _Runtime:
        runtime.place, runtime.is_kept = found.place, found.is_own
        if not found.is_own and found.place.host == self._host:
            keeper = Step(runtime.name, (), (), {}, found.place.directory, "", "")
            runtime.is_kept = self._children.attach(keeper, found.place.keeper, partial(self._keeper_told, runtime))
        with self._changed:
            runtime.link = Link(found.connection, partial(self._told, runtime), partial(self._lost, runtime))
            self._connected.append(runtime)
        return runtime

    def _ask(self, runtime: _Runtime, question: Mapping[str, Any]) -> Message | None:
        """Return the answer of a server; None if there is none."""
        with self._changed:
            runtime.link.send(question)
            self._clock.wait_until(self._changed, lambda: bool(runtime.answers) or not runtime.link.is_open, _ANSWER)
            return runtime.answers.pop() if runtime.answers else None

    def _await_end(self, runtime: _Runtime, patience: float = _END) -> None:
        """Wait until a runtime has ended, and end it when that takes too long."""
        with self._changed:
            for grace in (None, _GRACE):
                if grace is not None and runtime.is_kept:
                    self._children.stop([runtime.name], grace)
                if self._clock.wait_until(self._changed, lambda: runtime.is_over, patience):
                    return
                patience = _END
        self._over(runtime)

    # What is told by servers, in the threads of links, and by the children, in theirs

    def _told(self, runtime: _Runtime, message: Message) -> None:
        followed = runtime.followed.get(message.get("step", ""))
        event = message["event"]
        now = self._clock.now()
        if followed is not None and event in ("started", "followed") and message["id"] is not None:
            followed.is_started = True
            followed.report(followed.step.name, Started(now, str(message["id"])))
        elif followed is not None and event == "ended":
            self._forget(followed)
            followed.report(followed.step.name, Ended(now, message["returncode"], message["reason"]))
        elif followed is not None and event == "refused":
            self._forget(followed)
            step = followed.step
            error = ShellError(f"Job step {step.name} failed to launch", step.argv, message["reason"])
            followed.report(step.name, Refused(now, error))
        with self._changed:
            runtime.news += 1
            if event == "submitted":
                runtime.is_submitting = False
                for untried in [known for known in runtime.followed.values() if not known.is_started]:
                    self._forget(untried)  # one before it was refused
            elif event in ("followed", "left"):
                runtime.answers.append(message)
            self._changed.notify_all()

    def _lost(self, runtime: _Runtime) -> None:
        """See a runtime to its end whose server is gone."""
        with self._changed:
            self._changed.notify_all()
        self._await_end(runtime, _END if runtime.is_kept else 0.0)

    def _keeper_told(self, runtime: _Runtime, _: str, event: JobEvent) -> None:
        if isinstance(event, Ended):
            self._over(runtime)

    def _over(self, runtime: _Runtime) -> None:
        """Tell of the ends of all steps of a runtime, after its own: nothing of it runs any more."""
        with self._changed:
            followed = list(runtime.followed.values())
            for step in followed:
                self._forget(step)
            if runtime in self._connected:
                self._connected.remove(runtime)
        now = self._clock.now()
        if followed:
            why = f"The Dragon runtime that it ran in has ended: {self._runtimes.tail(runtime.place.directory)}"
            for step in followed:
                if step.is_started:
                    step.report(step.step.name, Ended(now, None, why))
            waiting = next((step for step in followed if not step.is_started), None)
            if waiting is not None:
                waiting.report(waiting.step.name, Refused(now, LauncherError(f"{waiting.step.name}: {why}")))
        with self._changed:
            runtime.is_over, runtime.is_submitting = True, False
            self._changed.notify_all()

    def _forget(self, followed: _Followed) -> None:
        with self._changed:
            followed.runtime.followed.pop(followed.name, None)
            if self._steps.get(followed.step.name) is followed:
                del self._steps[followed.step.name]
