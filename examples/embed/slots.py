"""A workload manager that runs a user's steps so many at a time, at low priority."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial

from smartsim.embedding import Ended, JobEvent, Queued, Refused, Report, Step, WorkloadManager


class SlottedWorkloadManager:
    """Hands steps on to another workload manager when there is a free slot; until then they are queued.

    Args:
        inner: runs the steps.
        slots: how many may run at once. A database takes one, too, for as long as it runs.
    """

    def __init__(self, inner: WorkloadManager, slots: int) -> None:
        self._inner = inner
        self._free = slots
        self._waiting: deque[tuple[Step, Report]] = deque()
        self._lock = threading.Lock()

    def submit(self, steps: Sequence[Step], report: Report) -> None:
        """Queue steps, and start those for which there is room."""
        for step in steps:
            report(step.name, Queued(time.time(), step.name))
            with self._lock:
                self._waiting.append((step, report))
        self._start_next()

    def stop(self, names: Collection[str], grace: float) -> None:
        """Take steps out of the queue, and end those that run."""
        with self._lock:
            dropped = [waiting for waiting in self._waiting if waiting[0].name in names]
            for waiting in dropped:
                self._waiting.remove(waiting)
        for step, report in dropped:
            report(step.name, Ended(time.time(), None))
        self._inner.stop(names, grace)

    def attach(self, step: Step, handle: Mapping[str, object], report: Report) -> bool:
        """Take over a step that runs already; it takes no slot."""
        return self._inner.attach(step, handle, report)

    def handle(self, name: str) -> Mapping[str, object]:
        """Return what `attach` needs."""
        return self._inner.handle(name)

    def close(self) -> None:
        """Forget the queue, and give up the workload manager below."""
        with self._lock:
            self._waiting.clear()
        self._inner.close()

    def _start_next(self) -> None:
        while True:
            with self._lock:
                if not (self._free and self._waiting):
                    return
                self._free -= 1
                step, report = self._waiting.popleft()
            self._inner.submit([replace(step, launch=("nice", *step.launch))], partial(self._report, report))

    def _report(self, report: Report, name: str, event: JobEvent) -> None:
        if isinstance(event, Refused):  # what was queued cannot be refused any more: it ends
            event = Ended(event.at, None, str(event.error))
        report(name, event)
        if isinstance(event, Ended):
            with self._lock:
                self._free += 1
            self._start_next()
