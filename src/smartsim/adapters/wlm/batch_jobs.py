"""Steps in the jobs of a scheduler: submitted, followed and ended by its commands, whichever scheduler it is.

One thread follows all jobs, and lives while there are any. It looks often at the files that the scripts of jobs write
(`job_script`), which is cheap, and asks the scheduler seldom, after all jobs at once (`inquiry`). `followed` puts
together what the two say.
"""

from __future__ import annotations

import logging
import math
import shlex
import threading
import traceback
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from smartsim.adapters.wlm import job_script
from smartsim.adapters.wlm.ending import Ender
from smartsim.adapters.wlm.followed import FollowedJob, Member
from smartsim.adapters.wlm.inquiry import Inquiry
from smartsim.adapters.wlm.scheduler import JobFacts, Phase
from smartsim.adapters.wlm.submission import single_element, submit
from smartsim.domain.errors import LauncherError
from smartsim.domain.lifecycle import Ended, Queued, Refused

if TYPE_CHECKING:
    from smartsim.adapters.wlm.ending import TerminateSteps
    from smartsim.adapters.wlm.followed import Told
    from smartsim.adapters.wlm.inquiry import Log
    from smartsim.adapters.wlm.scheduler import Scheduler
    from smartsim.domain.steps import Batch, Step
    from smartsim.ports.clock import Clock
    from smartsim.ports.file_system import FileSystem
    from smartsim.ports.process_runner import ProcessRunner
    from smartsim.ports.workload_manager import Report

_LOOK, _SLOWEST_LOOK, _SLOWER = 0.1, 1.0, 1.25  # seconds between looks at files, and how that grows while all is quiet


class BatchJobs:
    """Runs steps that have a batch.

    Args:
        scheduler: renders commands and reads answers.
        runner: runs the commands.
        files: takes scripts, and has what they write; all nodes see it.
        clock: tells the time, and waits.
        log: tells users what they should know and no job can say, such as that the scheduler does not answer.
        terminate_steps: sends a SIGTERM to all tasks of steps of ``srun``, by their names; None without Slurm.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        runner: ProcessRunner,
        files: FileSystem,
        clock: Clock,
        log: Log,
        terminate_steps: TerminateSteps | None = None,
    ) -> None:
        self._scheduler = scheduler
        self._runner = runner
        self._files = files
        self._clock = clock
        self._log = log
        self._inquiry = Inquiry(scheduler, runner, clock, log)
        self._ender = Ender(scheduler, runner, files, log, terminate_steps)
        self._changed = threading.Condition()  # guards all up to the empty line
        self._steps: dict[str, tuple[FollowedJob, Member]] = {}
        self._arrivals: list[tuple[FollowedJob, Member]] = []
        self._requests: dict[str, float] = {}
        self._thread: threading.Thread | None = None
        self._is_woken = False
        self._is_closing = False

        # Only the following thread looks at these.
        self._jobs: dict[str, FollowedJob] = {}
        self._look_at = 0.0
        self._look_interval = _LOOK
        self._waiting = 0
        self._warned: set[tuple[str, str]] = set()

    def submit(self, steps: Sequence[Step], report: Report) -> None:
        """Submit the jobs of steps, in order, until one is refused."""
        by_batch: dict[Batch, list[Step]] = {}
        for step in steps:
            if step.batch is not None:
                by_batch.setdefault(step.batch, []).append(step)
        for batch, members in by_batch.items():
            try:
                jobs = self._submit(single_element(batch, members), members)
            except LauncherError as error:
                report(members[0].name, Refused(self._clock.now(), error))
                return
            arrivals = [(job, Member(step, step.name, report)) for job, step in zip(jobs, members, strict=True)]
            with self._changed:
                self._steps.update({member.name: (job, member) for job, member in arrivals})
            for job, member in arrivals:
                report(member.name, Queued(job.submitted_at, job.id))
            self._follow(arrivals)

    def stop(self, names: Collection[str], grace: float) -> None:
        """Have steps end. A job that still waits is taken back."""
        with self._changed:
            for name in names:
                if name in self._steps:
                    self._requests[name] = min(grace, self._requests.get(name, grace))
            self._wake()

    def attach(self, step: Step, handle: Mapping[str, object], report: Report) -> bool:
        """Follow a step whose job an earlier driver submitted."""
        job_id, asked_as, directory, name = (str(handle.get(key)) for key in ("job", "asked_as", "directory", "member"))
        size = handle.get("size")
        if not isinstance(size, int) or self._has_exit(directory, name):
            return False
        with self._changed:
            is_followed = any(job.id == job_id for job, _ in self._steps.values())
        if not is_followed and not self._inquiry.is_alive(job_id, asked_as, directory):
            return False
        job = FollowedJob(job_id, asked_as, directory, size, 0.0, self._files)
        member = Member(step, name, report)
        with self._changed:
            self._steps[step.name] = (job, member)
        self._follow([(job, member)])
        return True

    def handle(self, name: str) -> Mapping[str, object]:
        """Return the job of a step, and where its files are."""
        with self._changed:
            if name not in self._steps:
                raise LauncherError(f"No job has a step named {name!r}")
            job, member = self._steps[name]
        return {
            "job": job.id,
            "asked_as": job.asked_as,
            "directory": job.directory,
            "member": member.name,
            "size": job.size,
        }

    def close(self) -> None:
        """End the following thread. Jobs go on; those that were asked to end are forced to first, if need be."""
        with self._changed:
            self._is_closing = True
            thread = self._thread
            self._wake()
        if thread is not None:
            thread.join()

    # What the callers' threads do

    def _submit(self, batch: Batch, members: Sequence[Step]) -> list[FollowedJob]:
        """Submit a job, and return for each member the job, or element, that it is in."""
        for member in members:
            if member.name in self._steps:
                raise LauncherError(f"A step named {member.name!r} is running already")
        at = self._clock.now()
        job = submit(batch, members, self._scheduler, self._runner, self._files)
        if not batch.array:
            return [FollowedJob(job, job, batch.directory, len(members), at, self._files)] * len(members)
        ids = (self._scheduler.element_id(job, index) for index in range(len(members)))
        return [FollowedJob(element, job, batch.directory, 1, at, self._files) for element in ids]

    def _follow(self, arrivals: Sequence[tuple[FollowedJob, Member]]) -> None:
        with self._changed:
            self._arrivals += arrivals
            self._wake()
            if self._thread is None:
                thread = threading.Thread(target=self._run, name=f"smartsim-{self._scheduler.name}", daemon=True)
                thread.start()
                self._thread = thread

    def _wake(self) -> None:
        self._is_woken = True
        self._changed.notify_all()

    def _has_exit(self, directory: str, name: str) -> bool:
        try:
            content = self._files.read(job_script.file_of(directory, name, job_script.EXIT))
        except OSError:
            return False
        return job_script.parse_exit(content) is not None

    # What the following thread does

    def _run(self) -> None:
        while True:
            with self._changed:
                self._is_woken = False
                self._take_arrivals()
                requests = self._take_requests()
                if not self._jobs or (self._is_closing and not requests and not self._has_unforced()):
                    self._thread = None
                    self._jobs.clear()
                    self._inquiry.due = math.inf
                    return
            try:
                self._turn(requests)
            except Exception as error:  # noqa: BLE001 - others wait for this thread
                self._give_up(error)
            with self._changed:
                self._clock.wait_until(self._changed, lambda: self._is_woken, self._pause())

    def _give_up(self, error: Exception) -> None:
        """Have the steps of all jobs that are followed end as unknown, after an error that nobody has foreseen."""
        why = f"unknown: what follows jobs of {self._scheduler.name} failed ({type(error).__name__}: {error})"
        with self._changed:
            lost = [(job, member) for job, member in self._steps.values() if self._jobs.get(job.id) is job]
            for _, member in lost:
                del self._steps[member.step.name]
        self._jobs.clear()
        ids = ", ".join(dict.fromkeys(job.id for job, _ in lost))
        self._log(logging.WARNING, f"{why}. Jobs that are not followed any more, and may still run: {ids}")
        self._log(logging.DEBUG, "".join(traceback.format_exception(error)))
        for job, member in lost:
            # Either may be what failed.
            advice = ""
            with suppress(Exception):
                polite, forced = (self._scheduler.cancellation([job.id], force=force) for force in (False, True))
                advice = f": see whether it does, and end it with `{shlex.join(polite or forced)}`"
            with suppress(Exception):
                reason = f"{why}. Job {job.id} may still run{advice}"
                member.report(member.step.name, Ended(self._clock.now(), None, reason))

    def _take_arrivals(self) -> None:
        for job, member in self._arrivals:
            known = self._jobs.setdefault(job.id, job)
            known.members[member.name] = member
            self._steps[member.step.name] = (known, member)
        if self._arrivals:
            self._inquiry.expect_news()
            self._look_at, self._look_interval = 0.0, _LOOK
        self._arrivals.clear()

    def _take_requests(self) -> dict[float, list[tuple[FollowedJob, Member]]]:
        """Return the steps that are to end, by their grace period; those whose job did not arrive yet stay."""
        taken: dict[float, list[tuple[FollowedJob, Member]]] = {}
        for name, grace in list(self._requests.items()):
            job, member = self._steps.get(name, (None, None))
            if job is None or member is None:
                del self._requests[name]
            elif job.id in self._jobs:
                del self._requests[name]
                taken.setdefault(grace, []).append((job, member))
        return taken

    def _has_unforced(self) -> bool:
        endings = (job.ending for job in self._jobs.values())
        return any(ending is not None and ending.is_whole and not ending.is_forced for ending in endings)

    def _turn(self, requests: Mapping[float, Iterable[tuple[FollowedJob, Member]]]) -> None:
        now = self._clock.monotonic()
        if requests or now >= self._look_at:
            self._look()
        for grace, members in requests.items():
            self._ender.ask(members, grace, now)
            self._inquiry.soon()
        if self._jobs and now >= self._inquiry.due:
            self._ask()
            self._look()
        for job in list(self._jobs.values()):
            self._tell(job, job.conclude(self._scheduler.name, self._clock.now(), self._clock.monotonic()))
        self._ender.press(self._jobs.values(), self._clock.monotonic())
        waiting = sum(job.wants_answer() for job in self._jobs.values())
        if waiting > self._waiting:
            self._inquiry.soon()
        self._waiting = waiting

    def _pause(self) -> float:
        return max(0.0, min(self._look_at, self._inquiry.due) - self._clock.monotonic())

    def _look(self) -> None:
        """Look at the files of all jobs."""
        by_directory: dict[str, list[FollowedJob]] = {}
        for job in self._jobs.values():
            by_directory.setdefault(job.directory, []).append(job)
        is_news = False
        for directory, jobs in by_directory.items():
            try:
                names = frozenset(self._files.names(directory))
                for job in jobs:
                    told = job.take_files(names, self._clock.now(), self._clock.monotonic())
                    is_news |= self._tell(job, told)
            except OSError:
                continue  # a shared file system has such moments: the next look is soon
        self._look_interval = _LOOK if is_news else min(_SLOWER * self._look_interval, _SLOWEST_LOOK)
        self._look_at = self._clock.monotonic() + self._look_interval

    def _ask(self) -> None:
        """Ask the scheduler after all jobs, and its books where it does not say enough."""
        asked = self._clock.monotonic()
        answer = self._inquiry.ask(sorted({job.asked_as for job in self._jobs.values()}))
        if answer is not None:
            for job in list(self._jobs.values()):
                facts = answer.get(job.id)
                self._warn(job, facts)
                self._tell(job, job.take_facts(facts, self._clock.now(), asked))
        unclear = [job for job in self._jobs.values() if job.wants_books()]
        books = self._inquiry.look_up({job.asked_as: job.directory for job in unclear}) if unclear else {}
        for job in unclear:
            job.take_books(books.get(job.id), asked)

    def _warn(self, job: FollowedJob, facts: JobFacts | None) -> None:
        """Tell users, once, of a job that waits for something which will not happen by itself."""
        if facts is None or facts.phase is not Phase.QUEUED or not facts.reason:
            return
        if (job.asked_as, facts.reason) not in self._warned:
            self._warned.add((job.asked_as, facts.reason))
            names = ", ".join(member.step.name for member in job.members.values())
            self._log(logging.WARNING, f"Job {job.id} ({names}) does not start: {facts.reason}")

    def _tell(self, job: FollowedJob, told: Iterable[Told]) -> bool:
        """Report what became of members; return whether anything did."""
        is_news = False
        for member, event in told:
            is_news = True
            if isinstance(event, Ended):
                with self._changed:
                    del self._steps[member.step.name]
                if not job.members:
                    del self._jobs[job.id]
            member.report(member.step.name, event)
        return is_news
