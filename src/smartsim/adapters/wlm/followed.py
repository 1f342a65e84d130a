"""What is known of a job while it is followed, and what that makes of its members. Runs nothing and waits for nothing.

There are two sources. The files that the job's script writes tell of each member: when it started, and how it ended.
The scheduler tells of the job: whether it waits, runs or ended, and why. A member's own exit code always counts; the
scheduler is believed where a member left none, and for reasons.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from smartsim.adapters.wlm import job_script, srun
from smartsim.adapters.wlm.scheduler import JobFacts, Phase
from smartsim.domain.lifecycle import Ended, JobEvent, Resumed, Started, Suspended

if TYPE_CHECKING:
    from smartsim.domain.steps import Step
    from smartsim.ports.file_system import FileReader
    from smartsim.ports.workload_manager import Report

_DETAIL = 10.0  # seconds that the books have to tell more of a job that ended
_REASON = 60.0  # seconds that the scheduler has to say why, when all members of a job ended
_FILES = 5.0  # seconds that a shared file system has to show the last files of a job that ended
_FORGOTTEN = 30.0  # seconds after which a job that nobody knows is given up
_MISSES = 2  # answers in a row without a job, before the books are asked


@dataclass
class Member:
    """A step in a job.

    Args:
        step: as it was submitted.
        name: which its files have.
        report: who wants to know of it.
        stops: whether we asked it to end.
        started: whether its start was told.
        paused: whether it was told that it does not go on.
        exit: how it ended, while the reason is not known yet.
        exit_seen: when that was seen; monotonic.
    """

    step: Step
    name: str
    report: Report
    stops: bool = False
    started: bool = False
    paused: bool = False
    exit: job_script.MemberExit | None = None
    exit_seen: float = 0.0

    def ended_itself(self) -> bool:
        """Return whether its exit alone tells what happened: neither the job was ended, nor what runs its ranks."""
        if self.exit is None:
            return False
        code = self.exit.returncode
        return not self.exit.signals and code is not None and code >= 0 and not (code and self.step.ranks)


Told: TypeAlias = tuple[Member, JobEvent]


@dataclass
class Ending:
    """How far the end of a job, or of some of its members, has come that we asked for. All times are monotonic.

    Args:
        tell_at: when users are told that it does not end.
        force_at: when force is used, or used again; infinite unless the whole job is to end.
        is_forced: whether force was used.
        is_told: whether users were told.
    """

    tell_at: float
    force_at: float = math.inf
    is_forced: bool = False
    is_told: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether the job is to end, and not only some of its members."""
        return self.force_at < math.inf


@dataclass
class FollowedJob:
    """A job, or an element of a job array: what the scheduler knows under one id.

    Args:
        id: what the scheduler calls it.
        asked_as: what it is asked after as: the array that it is an element of, or itself.
        directory: where its script keeps what becomes of its members.
        size: how many members it was submitted with; some may have ended, or be nobody's concern here.
        submitted_at: in seconds since the epoch: nothing is told to have happened earlier.
        files: has what members, and Slurm, write.
        members: those whose end was not told yet, by the names of their files.
        facts: what the scheduler said last.
        ended_since: since when (monotonic) it says that the job ended.
        was_running: whether it ever said that the job had left the queue.
        in_books: whether that is what its books say, which know best.
        misses: how many of its last answers did not have the job.
        unknown_since: when the first of these was asked for.
        missed_at: when the last of these was asked for.
        ending: how far its end has come, if we asked for it.
    """

    id: str
    asked_as: str
    directory: str
    size: int
    submitted_at: float
    files: FileReader
    members: dict[str, Member] = field(default_factory=dict)
    facts: JobFacts | None = None
    ended_since: float | None = None
    was_running: bool = False
    in_books: bool = False
    misses: int = 0
    unknown_since: float = 0.0
    missed_at: float = 0.0
    ending: Ending | None = None

    def take_files(self, names: Collection[str], now: float, monotonic: float) -> Iterator[Told]:
        """Yield what the files of members tell, and has not been told.

        Args:
            names: of the files in the directory.
            now: seconds since the epoch.
            monotonic: the same time, by the clock that never goes back.
        """
        for member in self.members.values():
            if member.exit is not None:
                continue
            if not member.started and (content := self._file(member, job_script.STARTED, names)):
                started = job_script.parse_started(content)
                if started is not None:
                    member.started = True
                    yield member, Started(self._within(started.at, now), self.id)
            if content := self._file(member, job_script.EXIT, names):
                member.exit = _believed(job_script.parse_exit(content), member.step, self.files)
                member.exit_seen = monotonic
        for member in list(self.members.values()):
            if member.exit is not None and (member.stops or member.ended_itself() or self._outlives(member)):
                yield self._end(member, now)

    def take_facts(self, facts: JobFacts | None, now: float, monotonic: float) -> Iterator[Told]:
        """Yield what an answer of the scheduler tells, and has not been told.

        Args:
            facts: what it says; None when it does not know the job.
            now: seconds since the epoch.
            monotonic: when it was asked, by the clock that never goes back.
        """
        if facts is None:
            self.unknown_since = self.unknown_since if self.misses else monotonic
            self.missed_at = monotonic
            self.misses += 1
            return
        self.misses = 0
        if self.in_books:
            return
        self.facts = facts
        if facts.phase is Phase.ENDED:
            self.ended_since = monotonic if self.ended_since is None else self.ended_since
            return
        self.ended_since = None
        self.was_running = self.was_running or facts.phase is not Phase.QUEUED
        for member in list(self.members.values()):
            is_taken_out = member.stops and not member.started and (self.ending is None or not self.ending.is_whole)
            if facts.phase is Phase.QUEUED and is_taken_out:
                # It was asked to end before the scheduler was asked: should the job start now, its script knows.
                yield self._end(member, now)
            elif facts.phase is Phase.SUSPENDED and member.started and not member.paused:
                member.paused = True
                yield member, Suspended(now)
            elif facts.phase is Phase.RUNNING and member.paused:
                member.paused = False
                yield member, Resumed(now)

    def take_books(self, facts: JobFacts | None, monotonic: float) -> None:
        """Believe the books, once they say that the job ended."""
        if facts is not None and facts.phase is Phase.ENDED:
            self.facts, self.in_books = facts, True
            self.ended_since = monotonic if self.ended_since is None else self.ended_since

    def has_started(self) -> bool:
        """Return whether it is known to have left the queue."""
        return self.was_running or any(member.started for member in self.members.values())

    def wants_answer(self) -> bool:
        """Return whether somebody waits for what the scheduler says next."""
        was_lost = self.misses > 0 and self.facts is not None
        return was_lost or any(member.exit is not None for member in self.members.values())

    def wants_books(self) -> bool:
        """Return whether somebody has to know how the job ended, and the scheduler does not say it."""
        if self.in_books:
            return False
        if self.ended_since is None or self.facts is None:
            return self.misses >= _MISSES
        if all(member.stops and not member.started for member in self.members.values()):
            return False
        is_cancelled = bool(self.facts.cancelled_by) and not all(member.stops for member in self.members.values())
        return is_cancelled or self.facts.returncode is None

    def conclude(self, scheduler: str, now: float, monotonic: float) -> Iterator[Told]:
        """Yield the ends of members for which there is nothing more to wait for.

        Args:
            scheduler: its name.
            now: seconds since the epoch.
            monotonic: the same time, by the clock that never goes back.
        """
        for member in list(self.members.values()):
            if self.ended_since is not None:
                if self.wants_books() and monotonic < self.ended_since + _DETAIL:
                    return
                is_cancelled = self.facts is not None and bool(self.facts.cancelled_by)
                never_ran = not member.started and (member.stops or (is_cancelled and not self.was_running))
                if member.exit is not None or never_ran or monotonic >= self.ended_since + _FILES:
                    yield self._end(member, now)
            elif self.misses >= _MISSES and member.stops and not member.started:
                yield self._end(member, now)
            elif self.misses >= _MISSES and self.missed_at >= self.unknown_since + _FORGOTTEN:
                words = f"unknown: {scheduler} does not know job {self.id} any more, and it left no exit code"
                yield self._end(member, now, words if member.exit is None else "")
            elif member.exit is not None and monotonic >= member.exit_seen + _REASON:
                yield self._end(member, now)

    def _file(self, member: Member, ending: str, names: Collection[str]) -> bytes:
        """Return what one of a member's files has; nothing if it is not there."""
        if member.name + ending not in names:
            return b""
        return self.files.read(job_script.file_of(self.directory, member.name, ending))

    def _outlives(self, member: Member) -> bool:
        """Return whether the job goes on without a member, so that the scheduler has nothing to say of its end."""
        others = (other for other in self.members.values() if other is not member)
        was_told = member.exit is not None and member.exit.returncode is not None and not member.exit.signals
        return was_told and any(other.exit is None for other in others)

    def _end(self, member: Member, now: float, unknown: str = "") -> Told:
        del self.members[member.name]
        facts = self.facts if self.ended_since is not None else None
        if member.exit is None:
            ended = Ended(now, self._returncode(facts), unknown or self._words(member, facts))
        else:
            code = member.exit.returncode
            reason = "" if code is not None else f"srun gave the step up: see {member.step.stderr}"
            ended = Ended(self._within(member.exit.at, now), code, reason)
        if member.stops:
            return member, replace(ended, reason="")
        if facts is None or member.ended_itself():
            return member, ended
        batch = member.step.batch
        written = [member.step.stderr] if batch is None else [member.step.stderr, batch.stderr]
        if any(srun.ran_out_of_memory(_tail(self.files, path)) for path in written):
            return member, replace(ended, reason=srun.OUT_OF_MEMORY)
        if facts.reason and ended.returncode == 0:
            ended = replace(ended, returncode=None)  # it was cut short, however well it took that
        return member, replace(ended, reason=facts.reason or ended.reason, cancelled_by=facts.cancelled_by)

    def _returncode(self, facts: JobFacts | None) -> int | None:
        """Return the exit code of a member that left none: that of the job, where it is the same for all of them."""
        if facts is None or facts.returncode is None:
            return None
        return facts.returncode if facts.returncode <= 0 or self.size == 1 else None

    def _words(self, member: Member, facts: JobFacts | None) -> str:
        """Return why a member ended that left no exit code, if the scheduler does not say why its job did."""
        if facts is None or facts.returncode == 0 or facts.cancelled_by:
            return ""
        how = "" if facts.returncode is None else f" with exit code {facts.returncode}"
        where = "" if member.step.batch is None else f": see {member.step.batch.stderr}"
        if not member.started:
            return f"job {self.id} ended{how} before it started{where}"
        return f"job {self.id} ended{how}, and it left no exit code{where}"

    def _within(self, at: float, now: float) -> float:
        """Return a time on a node's clock, brought between the submission and now should that clock be wrong."""
        return min(max(at, self.submitted_at), now)


def _believed(exit_: job_script.MemberExit | None, step: Step, files: FileReader) -> job_script.MemberExit | None:
    """Return how a member ended, without an exit code of 0 that its rank launcher made up."""
    if exit_ is None or exit_.returncode != 0 or step.ranks != srun.RANKS:
        return exit_
    return replace(exit_, returncode=None) if srun.aborted(_tail(files, step.stderr)) else exit_


def _tail(files: FileReader, path: str) -> bytes:
    try:
        return files.read(path, srun.TAIL)
    except OSError:
        return b""
