"""A runtime with which a driver is connected, and the steps in it that the driver follows."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smartsim.adapters.wlm.dragon import keeper
from smartsim.adapters.wlm.dragon.link import Link
from smartsim.domain.errors import LauncherError, ShellError
from smartsim.domain.lifecycle import Ended, JobEvent, Refused, Started
from smartsim.domain.steps import Step

if TYPE_CHECKING:
    from smartsim.adapters.wlm.dragon.runtime import Place, Runtime
    from smartsim.adapters.wlm.dragon.wire import Message
    from smartsim.ports.clock import Clock
    from smartsim.ports.workload_manager import Report, WorkloadManager

_SILENCE = 180.0  # seconds without news of a submission, after which the runtime is given up
_ANSWER = 10.0  # seconds that a server has to answer
_ENDED = "The Dragon runtime that it ran in has ended"
_END = 20.0  # seconds that a runtime has to end when it is not needed any more, or is broken


@dataclass(eq=False)
class Followed:
    """A step that runs, or is about to.

    Args:
        step: the driver's.
        name: which the server knows it by.
        report: who wants to know of it.
        is_started: whether its start was told.
    """

    step: Step
    name: str
    report: Report
    is_started: bool = False


class Connected:
    """A runtime with which this driver is connected.

    Args:
        name: that the children know its keeper by, which is one of them, or is made one.
        children: follow the keeper.
        clock: tells the time, and waits.
        tail: returns the last words of a runtime by its directory.
        forget: is given each step that has come to its end, or does not start.

    Attributes:
        place: where it is, once it is open.
    """

    place: Place
    _link: Link

    def __init__(
        self,
        name: str,
        children: WorkloadManager,
        clock: Clock,
        tail: Callable[[str], str],
        forget: Callable[[Followed], None],
    ) -> None:
        self.name = name
        self._children = children
        self._clock = clock
        self._tail = tail
        self._forget = forget
        self._is_kept = False  # whether the children follow its keeper
        self._changed = threading.Condition()  # guards what follows
        self._followed: dict[str, Followed] = {}
        self._is_submitting = False
        self._is_over = False  # it has ended, and left nothing
        self._failure = ""  # why it is not followed any more, if it has not ended by itself
        self._news = 0
        self._answers: list[Message] = []

    def open(self, found: Runtime, host: str) -> None:
        """Be connected.

        Args:
            found: the runtime.
            host: the name of this machine.
        """
        self.place, self._is_kept = found.place, found.is_own
        if not found.is_own and found.place.host == host:
            step = Step(self.name, (), (), {}, found.place.directory, "", "")
            self._is_kept = self._children.attach(step, found.place.keeper, self._keeper_told)
        with self._changed:
            self._link = Link(found.connection, self._told, self._lost)

    @property
    def is_open(self) -> bool:
        """Whether the connection has not ended."""
        return self._link.is_open

    def start(self, followed: Sequence[Followed], words: Sequence[Message], *, is_left: bool) -> None:
        """Start steps, in order, until one cannot be started.

        Args:
            followed: the steps.
            words: what the server is told of each.
            is_left: whether they go on when this process has ended.
        """
        with self._changed:
            self._is_submitting = True
            self._followed.update({step.name: step for step in followed})
            self._link.send({"submit": words, "environment": dict(os.environ), "is_left": is_left})
            while self._is_submitting and self._hears():
                pass
            if not self._is_submitting:
                return
        self._await_end(0.0)

    def follow(self, followed: Followed) -> bool:
        """Follow a step that an earlier driver started; return False if it does not run."""
        with self._changed:
            self._followed[followed.name] = followed
        answer = self._ask({"follow": followed.name})
        if answer is not None and answer["id"] is not None:
            return True
        self._drop(followed)
        return False

    def stop(self, followed: Collection[Followed], grace: float) -> None:
        """Have steps end."""
        self._link.send({"stop": [step.name for step in followed], "grace": float(grace)})

    def leave(self) -> None:
        """Be connected no longer. Steps go on; a runtime that has neither any nor another driver is seen to its end."""
        answer = self._ask({"leave": True})
        self._link.close()
        if answer is not None and answer["is_last"] and self._is_kept:
            self._await_end(_END)

    def over(self) -> None:
        """Tell of the ends of all steps, after that of the runtime: nothing of it runs any more."""
        with self._changed:
            followed = list(self._followed.values())
        now = self._clock.now()
        untried = True
        for step in filter(self._drop, followed):
            why = f"{self._failure or _ENDED}: {self._tail(self.place.directory)}"
            if step.is_started:
                step.report(step.step.name, Ended(now, None, why))
            elif untried:
                untried = False
                step.report(step.step.name, Refused(now, LauncherError(f"{step.step.name}: {why}")))
        with self._changed:
            self._is_over, self._is_submitting = True, False
            self._changed.notify_all()

    def _hears(self) -> bool:
        """Return whether a runtime that starts steps says anything; called with the lock held."""
        heard = self._news
        return self._clock.wait_until(self._changed, lambda: not self._is_submitting or self._news != heard, _SILENCE)

    def _ask(self, question: Mapping[str, Any]) -> Message | None:
        """Return the answer of the server; None if there is none."""
        with self._changed:
            self._link.send(question)
            self._clock.wait_until(self._changed, lambda: bool(self._answers) or not self._link.is_open, _ANSWER)
            return self._answers.pop() if self._answers else None

    def _await_end(self, patience: float) -> None:
        """Wait until the runtime has ended, and end it when that takes too long."""
        with self._changed:
            if self._clock.wait_until(self._changed, lambda: self._is_over, patience):
                return
            if self._is_kept:
                self._children.stop([self.name], keeper.ENDING)
                self._clock.wait_until(self._changed, lambda: self._is_over, keeper.ENDING + _END)
        self.over()

    # What is told by the server, in the thread of the link, and by the children, in theirs

    def _told(self, message: Message) -> None:
        event = message["event"]
        followed = self._followed.get(message.get("step", ""))
        if followed is not None:
            self._told_of(followed, event, message)
        with self._changed:
            self._news += 1
            if event == "submitted":
                self._is_submitting = False
                for untried in [step for step in self._followed.values() if not step.is_started]:
                    self._drop(untried)  # one before it was refused
            elif event in ("followed", "left"):
                self._answers.append(message)
            self._changed.notify_all()

    def _told_of(self, followed: Followed, event: str, message: Message) -> None:
        name, now = followed.step.name, self._clock.now()
        if event in ("started", "followed") and message["id"] is not None:
            followed.is_started = True
            followed.report(name, Started(now, str(message["id"])))
        elif event == "ended" and self._drop(followed):
            followed.report(name, Ended(now, message["returncode"], message["reason"]))
        elif event == "refused" and self._drop(followed):
            error = ShellError(f"Job step {name} failed to launch", followed.step.argv, message["reason"])
            followed.report(name, Refused(now, error))

    def _lost(self, failure: Exception | None) -> None:
        """See the runtime to its end, when its server is gone or cannot be understood."""
        with self._changed:
            if failure is not None:
                why = f"{type(failure).__name__}: {failure}"
                self._failure = f"unknown: what follows the Dragon runtime on {self.place.host} failed ({why})"
            self._changed.notify_all()
        self._await_end(_END if self._is_kept else 0.0)

    def _keeper_told(self, _: str, event: JobEvent) -> None:
        if isinstance(event, Ended):
            self.over()

    def _drop(self, followed: Followed) -> bool:
        """Follow a step no longer; return whether it was followed, so that its end is told once."""
        with self._changed:
            was_followed = self._followed.pop(followed.name, None) is not None
        self._forget(followed)
        return was_followed
