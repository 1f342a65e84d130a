"""The dragon launcher: the driver's side."""

from __future__ import annotations

import itertools
import os
import posixpath
import secrets
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from smartsim.adapters.wlm.dragon.link import Link
from smartsim.adapters.wlm.dragon.placement import wish_of
from smartsim.adapters.wlm.dragon.runtime import Place, Runtimes, join
from smartsim.domain.errors import LauncherError, ShellError
from smartsim.domain.lifecycle import Ended, JobEvent, Refused, Started

if TYPE_CHECKING:
    from smartsim.adapters.wlm.dragon.wire import Connection, Message
    from smartsim.domain.steps import Step
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
    place: Place
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
    """

    def __init__(
        self, children: WorkloadManager, runtimes: Runtimes, files: FileSystem, clock: Clock, host: str
    ) -> None:
        self._children = children
        self._runtimes = runtimes
        self._files = files
        self._clock = clock
        self._host = host
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
