"""Asking a scheduler what its jobs use: all at once, seldom, and without a word to users should it not tell."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from smartsim.adapters.wlm.inquiry import Log
    from smartsim.adapters.wlm.scheduler import Command
    from smartsim.domain.steps import Step
    from smartsim.ports.clock import Clock
    from smartsim.ports.job_meter import RunningStep
    from smartsim.ports.process_meter import ProcessUsage
    from smartsim.ports.process_runner import Completed, ProcessRunner

_DEADLINE = 20.0  # seconds that an answer may take
_REST = 30.0  # seconds for each command: two a minute
_REST_SHARE = 20  # how many times as long as the answer took: it is the scheduler that is busy meanwhile
_LONGEST_REST = 600.0
_ERRORS_TO_TELL = 2  # in a row: one alone is common


class TellsUsage(Protocol):
    """A scheduler that says of jobs what they use. Pure, as `Scheduler` is."""

    name: str
    """The launcher's name."""

    def usage_query(self, jobs: Collection[str]) -> Command:
        """Return the one command that asks what jobs use.

        Args:
            jobs: what `Scheduler.job_id` returned; for Slurm steps, too.
        """
        ...

    def usages(self, answer: Completed, jobs: Collection[str]) -> Mapping[str, ProcessUsage]:
        """Return what its answer says, by job or, for arrays, by element.

        Args:
            answer: to that command.
            jobs: that are looked for. More may be in the answer; some may be missing, as they have just ended.

        Raises:
            LauncherError: it says nothing of any job.
        """
        ...


@dataclass(frozen=True)
class Target:
    """What a step is in the answers of a scheduler.

    Args:
        id: of the job, element or step there.
        asked_as: what the scheduler is asked after.
    """

    id: str
    asked_as: str


class FindTargets(Protocol):
    """Tells what steps are in the answers of a scheduler."""

    def covers(self, step: Step) -> bool:
        """Return whether the scheduler may tell of a step."""
        ...

    def find(self, running: Sequence[RunningStep], runner: ProcessRunner) -> Mapping[str, Target]:
        """Return what steps are, by their names; some may be missing.

        Args:
            running: the steps.
            runner: runs what has to be asked for it.

        Raises:
            SmartSimError: the scheduler does not answer.
        """
        ...


class OwnJobs:
    """Steps that have a job, or an element of an array, to themselves: what that uses is theirs."""

    def covers(self, step: Step) -> bool:
        """Return whether a step runs in a job."""
        return step.batch is not None

    def find(self, running: Sequence[RunningStep], runner: ProcessRunner) -> Mapping[str, Target]:  # noqa: ARG002 - see FindTargets
        """Return their jobs. Which part of a job belongs to one of several steps is not known."""
        return {
            one.step.name: Target(str(one.handle["job"]), str(one.handle["asked_as"]))
            for one in running
            if one.handle.get("size") == 1
        }


class SchedulerJobMeter:
    """Asks one scheduler.

    Args:
        scheduler: renders the command and reads the answer.
        targets: tells what steps are there.
        runner: runs the commands.
        clock: tells the time.
        log: is told, once, that the scheduler does not tell.
    """

    def __init__(
        self, scheduler: TellsUsage, targets: FindTargets, runner: ProcessRunner, clock: Clock, log: Log
    ) -> None:
        self._scheduler = scheduler
        self._targets = targets
        self._runner = runner
        self._clock = clock
        self._log = log
        self._errors = 0
        self._is_told = False
        self._ready_at = clock.monotonic()

    def covers(self, step: Step) -> bool:
        """Return whether the scheduler may tell of a step."""
        return self._targets.covers(step)

    def is_ready(self) -> bool:
        """Return whether it may be asked again."""
        return self._clock.monotonic() >= self._ready_at

    def measure(self, running: Sequence[RunningStep]) -> Mapping[str, ProcessUsage]:
        """Return what steps use."""
        began, runner = self._clock.monotonic(), _CountingRunner(self._runner)
        found: Mapping[str, ProcessUsage] = {}
        try:
            found = self._ask(running, runner)
        except Exception as error:  # noqa: BLE001 - an answer that cannot be read is none, whatever that raises
            self._errors += 1
            if self._errors == _ERRORS_TO_TELL and not self._is_told:
                self._is_told = True
                self._log(
                    logging.INFO, f"What jobs use is not sampled while {self._scheduler.name} does not tell: {error}"
                )
        else:
            self._errors = 0
        now = self._clock.monotonic()
        rest = min(_LONGEST_REST, _REST * 2**self._errors) if self._errors else 0.0
        self._ready_at = max(now + rest, now + _REST_SHARE * (now - began), began + _REST * runner.count)
        return found

    def _ask(self, running: Sequence[RunningStep], runner: ProcessRunner) -> Mapping[str, ProcessUsage]:
        targets = self._targets.find(running, runner)
        if not targets:
            return {}
        command = self._scheduler.usage_query(sorted({target.asked_as for target in targets.values()}))
        usages = self._scheduler.usages(runner.run(command, _DEADLINE), {target.id for target in targets.values()})
        return {name: usages[target.id] for name, target in targets.items() if target.id in usages}


@dataclass
class _CountingRunner:
    """Runs commands, and counts them. None takes longer than the deadline."""

    inner: ProcessRunner
    count: int = 0

    def find(self, program: str) -> str | None:
        """Return the path of a program."""
        return self.inner.find(program)

    def run(self, argv: Sequence[str], timeout: float) -> Completed:
        """Run a program."""
        self.count += 1
        return self.inner.run(argv, min(timeout, _DEADLINE))
