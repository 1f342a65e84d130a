"""Steps of ``srun`` that are children of the driver: what only Slurm knows of them, and how they end politely."""

from __future__ import annotations

import logging
import os
import threading
import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from smartsim.adapters.wlm import srun
from smartsim.adapters.wlm.job_script import returncode_of
from smartsim.adapters.wlm.slurm_reasons import step_facts
from smartsim.domain.errors import LauncherError
from smartsim.domain.lifecycle import Ended, JobEvent, Refused

if TYPE_CHECKING:
    from smartsim.adapters.wlm.inquiry import Log
    from smartsim.adapters.wlm.scheduler import JobFacts
    from smartsim.domain.steps import Step
    from smartsim.ports.clock import Clock
    from smartsim.ports.process_runner import ProcessRunner
    from smartsim.ports.workload_manager import Report, WorkloadManager

_BOOKS = 8.0  # seconds that Slurm has to tell why a step failed
_TICK = 0.5  # seconds between two looks at what was asked of Slurm
_SELDOM = 2.0  # the most seconds between two questions why steps failed
_APPEAR = 2.0  # seconds that Slurm has to show the step of an `srun`
_OBEY = 10.0  # seconds that a step has to end by force, before its `srun` is ended, too
_PATIENCE = 60.0  # seconds after which users are told that a step does not end
_JOB_OPTION = "--jobid"


@dataclass
class _Running:
    """A step of ``srun``. All times are monotonic.

    Args:
        report: who wants to know of it.
        step: as it was submitted.
        job: the allocation that it runs in; empty when ``srun`` gets one for it.
        ended: how it ended, while Slurm is asked why.
        give_up_at: when to report that without a reason.
        grace: the seconds between asking and forcing, once it is to end.
        stops_since: since when.
        is_asked: whether it was asked to end.
    """

    report: Report
    step: Step
    job: str
    ended: Ended | None = None
    give_up_at: float = 0.0
    grace: float | None = None
    stops_since: float | None = None
    is_asked: bool = False


class SrunSteps:
    """Children of the driver, some of which are ``srun``.

    A step that ends well, or by its own exit code or signal, is reported as soon as its ``srun`` ends; of any other
    Slurm is asked what happened, which takes it a second or two.

    Args:
        children: starts them, and follows their processes.
        runner: asks Slurm.
        clock: tells the time, and waits.
        log: tells users of steps that do not end.
        allocation: the job that the driver runs in; empty outside of one.
    """

    def __init__(
        self, children: WorkloadManager, runner: ProcessRunner, clock: Clock, log: Log, allocation: str = ""
    ) -> None:
        self._children = children
        self._runner = runner
        self._clock = clock
        self._log = log
        self._allocation = allocation
        self._changed = threading.Condition()
        self._steps: dict[str, _Running] = {}
        self._thread: threading.Thread | None = None
        self._is_woken = False
        self._is_closing = False
        self._is_warned = False  # only the thread looks at it

    def submit(self, steps: Sequence[Step], report: Report) -> None:
        """Start steps, in order, until one cannot be started."""
        self._children.submit(steps, self._watch(steps, report))

    def stop(self, names: Collection[str], grace: float) -> None:
        """Have steps end: SIGTERM to all their tasks, SIGKILL after the grace period."""
        with self._changed:
            steps = {name: self._steps[name] for name in names if name in self._steps}
            for step in steps.values():
                step.grace = grace if step.grace is None else min(grace, step.grace)
            if steps:
                self._wake()
        self._children.stop([name for name in names if name not in steps], grace)

    def attach(self, step: Step, handle: Mapping[str, object], report: Report) -> bool:
        """Take over a step that an earlier driver started."""
        return self._children.attach(step, handle, self._watch([step], report))

    def handle(self, name: str) -> Mapping[str, object]:
        """Return what another driver needs to take a step over."""
        return self._children.handle(name)

    def close(self) -> None:
        """Follow the steps no longer. Those that were asked to end are seen to their end first."""
        with self._changed:
            self._is_closing = True
            thread = self._thread
            self._is_woken = True
            self._changed.notify_all()
        if thread is not None:
            thread.join()
        self._children.close()

    # What other threads do: those of callers, and the one that follows the children

    def _watch(self, steps: Iterable[Step], report: Report) -> Report:
        """Return who is told of steps first."""
        with self._changed:
            for step in steps:
                if step.ranks == srun.RANKS and step.name not in self._steps:
                    self._steps[step.name] = _Running(report, step, _job_of(step) or self._allocation)

        def told(name: str, event: JobEvent) -> None:
            with self._changed:
                step = self._steps.get(name)
                if step is not None and step.report is report:
                    if isinstance(event, Ended) and self._has_to_ask(step, event):
                        return
                    if isinstance(event, Ended | Refused):
                        del self._steps[name]
                    if isinstance(event, Ended):
                        event = _translated(step, event)
            report(name, event)

        return told

    def _has_to_ask(self, step: _Running, event: Ended) -> bool:
        """Return whether Slurm is to be asked why a step ended; called with the lock held."""
        ended = _translated(step, event)
        if step.grace is not None or ended.returncode == 0 or ended.reason or self._is_closing:
            return False
        step.ended, step.give_up_at = ended, self._clock.monotonic() + _BOOKS
        self._wake()
        return True

    def _wake(self) -> None:
        self._is_woken = True
        self._changed.notify_all()
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="smartsim-srun", daemon=True)
            thread.start()
            self._thread = thread

    # What the thread does that asks Slurm

    def _run(self) -> None:
        leftovers: dict[str, float] = {}
        ask_at, interval = self._clock.monotonic() + _TICK, _TICK
        while True:
            with self._changed:
                self._is_woken = False
                now = self._clock.monotonic()
                asked = {name: step for name, step in self._steps.items() if step.ended is not None}
                stopped = {name: step for name, step in self._steps.items() if step.grace is not None}
                if not asked and not stopped and not leftovers:
                    self._thread = None
                    return
            if not asked:
                ask_at, interval = now + _TICK, _TICK
            elif now >= ask_at or self._is_closing:
                self._ask(asked)
                interval = min(2 * interval, _SELDOM)
                ask_at = now + interval
            if stopped or leftovers:
                self._end(stopped, leftovers)
            with self._changed:
                self._clock.wait_until(self._changed, lambda: self._is_woken, _TICK)

    def _ask(self, asked: Mapping[str, _Running]) -> None:
        """Ask Slurm why steps ended, and report what it says."""
        known: Mapping[str, JobFacts] | None = None
        with self._asking():
            known = step_facts(self._runner, {name: step.job for name, step in asked.items()})
        for name, step in asked.items():
            is_over = known is None or self._is_closing or self._clock.monotonic() >= step.give_up_at
            facts = known.get(name) if known is not None else None
            if step.ended is None or (facts is None and not is_over):
                continue
            ended = step.ended
            if facts is not None:
                ended = replace(ended, reason=facts.reason, cancelled_by=facts.cancelled_by)
            if ended.returncode is None and not ended.reason:
                ended = replace(ended, reason=f"srun gave the step up: see {step.step.stderr}")
            with self._changed:
                del self._steps[name]
            step.report(name, ended)

    def _end(self, stopped: Mapping[str, _Running], leftovers: dict[str, float]) -> None:
        """Ask steps to end, force those whose time is over, and see that no tasks outlive their ``srun``."""
        now = self._clock.monotonic()
        for step in stopped.values():
            step.stops_since = now if step.stops_since is None else step.stops_since
        waiting = [name for name, step in stopped.items() if not step.is_asked]
        found = (self._signal(waiting, "TERM") if waiting else None) or ()
        # One that shows no step for a while waits for its allocation, or for room in it: there is only `srun` to end.
        unseen = [name for name in waiting if name not in found and now >= _since(stopped[name]) + _APPEAR]
        self._children.stop(unseen, _OBEY)
        for name in (*found, *unseen):
            stopped[name].is_asked = True
        forced = [name for name, step in stopped.items() if now >= _since(step) + (step.grace or 0.0)]
        for name in forced:
            leftovers.setdefault(name, now + _PATIENCE)
        if not leftovers:
            return
        running = self._signal(leftovers, "KILL")
        late = [name for name in forced if name not in (running or ()) or now >= _since(stopped[name]) + _OBEY]
        self._children.stop(late, _TICK)
        if running is not None:
            for name in leftovers.keys() - stopped.keys() - set(running):
                del leftovers[name]
        for name in [name for name, until in leftovers.items() if now >= until]:
            del leftovers[name]
            self._log(
                logging.ERROR,
                f"The step {name} was asked to end and then killed, and Slurm still shows it (squeue --steps): end its "
                "job by hand (scancel)",
            )

    def _signal(self, names: Collection[str], signal: str) -> Collection[str] | None:
        """Send a signal to the tasks of steps; return whose tasks run, None if Slurm does not answer."""
        with self._asking():
            return srun.signal_steps(self._runner, names, signal)
        return None

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Go on without an answer of Slurm, whatever goes wrong: others wait for this thread."""
        try:
            yield
        except LauncherError:
            pass
        except Exception as error:  # noqa: BLE001 - see above
            if not self._is_warned:
                self._is_warned = True
                text = f"What asks Slurm after steps failed ({type(error).__name__}: {error}). Steps end without it"
                self._log(logging.WARNING, text)
                self._log(logging.DEBUG, "".join(traceback.format_exception(error)))


def _since(step: _Running) -> float:
    return step.stops_since or 0.0


def _job_of(step: Step) -> str:
    """Return the job that a step's options name."""
    words = iter(step.launch)
    for word in words:
        if word == _JOB_OPTION:
            return next(words, "")
        if word.startswith(f"{_JOB_OPTION}="):
            return word.partition("=")[2]
    return ""


def _translated(step: _Running, event: Ended) -> Ended:
    """Return the end of a step by that of its ``srun``, which tells signals as a shell does."""
    said = b"" if step.grace is not None else _tail(step.step.stderr)
    code = event.returncode
    failed = srun.failed_nodes(said)
    if failed:
        return replace(event, returncode=returncode_of(code) if code else None, reason=f"node failure: {failed} failed")
    if code == 0:
        return replace(event, returncode=None) if srun.aborted(said) else event
    reason = srun.OUT_OF_MEMORY if srun.ran_out_of_memory(said) else ""
    return replace(event, returncode=None if code is None else returncode_of(code), reason=reason)


def _tail(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - srun.TAIL))
            return stream.read()
    except OSError:
        return b""
