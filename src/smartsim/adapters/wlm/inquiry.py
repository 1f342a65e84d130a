"""Asking a scheduler after jobs: seldom, all at once, and without concluding anything from errors."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, TypeAlias

from smartsim.adapters.wlm.scheduler import JobFacts, Phase

if TYPE_CHECKING:
    from smartsim.adapters.wlm.scheduler import Scheduler
    from smartsim.ports.clock import Clock
    from smartsim.ports.process_runner import ProcessRunner

Log: TypeAlias = Callable[[int, str], None]
"""How users are told something: a level of `logging`, and the text."""

TIMEOUT = 30.0  # seconds that a scheduler has for an answer
_FIRST, _LONGEST = 0.5, 30.0  # seconds between two queries, which double in between
_URGENT = 1.0  # the least number of seconds between two queries, however urgent
_ERRORS_TO_TELL = 2  # in a row: one alone is common


class Inquiry:
    """Asks one scheduler.

    Args:
        scheduler: renders the commands and reads the answers.
        runner: runs the commands.
        clock: tells the time.
        log: tells users that the scheduler does not answer, and that it does again.
    """

    def __init__(self, scheduler: Scheduler, runner: ProcessRunner, clock: Clock, log: Log) -> None:
        self._scheduler = scheduler
        self._runner = runner
        self._clock = clock
        self._log = log
        self._interval = _FIRST
        self._asked = self._hurried = -math.inf
        self._errors = 0
        self.due = math.inf
        """When to ask next: monotonic time."""

    def soon(self) -> None:
        """Ask soon, and often at first: somebody waits for an answer."""
        self._interval = _FIRST
        self.due = min(self.due, max(self._clock.monotonic() + _FIRST, self._asked + _URGENT))

    def expect_news(self) -> None:
        """Ask soon after a submission; after many of them, after the first."""
        now = self._clock.monotonic()
        if now >= self._hurried + _LONGEST:
            self._hurried = now
            self.soon()
        self.due = min(self.due, now + self._interval)

    def ask(self, jobs: Collection[str]) -> Mapping[str, JobFacts] | None:
        """Return what the scheduler says of jobs; None when it does not answer."""
        self._asked = self._clock.monotonic()
        try:
            facts = self._facts(jobs)
        except Exception as error:  # noqa: BLE001 - an answer that cannot be read is none, whatever that raises
            self._errors += 1
            if self._errors == _ERRORS_TO_TELL:
                self._log(
                    logging.WARNING,
                    f"{self._scheduler.name} does not answer: {error}. Jobs are not affected; what becomes of them is "
                    "told as soon as it answers again",
                )
            return None
        finally:
            self._interval = min(2 * self._interval, _LONGEST)
            self.due = self._clock.monotonic() + self._interval
        if self._errors >= _ERRORS_TO_TELL:
            self._log(logging.INFO, f"{self._scheduler.name} answers again")
        self._errors = 0
        return facts

    def look_up(self, jobs: Mapping[str, str]) -> Mapping[str, JobFacts]:
        """Return what the books say of jobs; those that they do not tell of, for whatever reason, are missing.

        Args:
            jobs: the directory of each.
        """
        found: dict[str, JobFacts] = {}
        for command in self._scheduler.accounting(jobs):
            try:
                found.update(self._scheduler.accounted(self._runner.run(command, TIMEOUT), jobs))
            except Exception:  # noqa: BLE001, S112 - see `ask`; who asks goes on without
                continue
        return found

    def is_alive(self, job: str, asked_as: str, directory: str) -> bool:
        """Return whether a job waits or runs, as far as the scheduler can tell at the moment. Safe in any thread.

        Args:
            job: a job, or an element of an array.
            asked_as: that job, or the array.
            directory: of the job.
        """
        try:
            facts = self._facts([asked_as]).get(job)
        except Exception:  # noqa: BLE001 - no answer is no reason to lose a job: it will be asked after again
            return True
        if facts is None:
            facts = self.look_up({asked_as: directory}).get(job)
        return facts is not None and facts.phase is not Phase.ENDED

    def _facts(self, jobs: Collection[str]) -> Mapping[str, JobFacts]:
        return self._scheduler.facts(self._runner.run(self._scheduler.query(jobs), TIMEOUT), jobs)
