"""Ending jobs: politely, then by force, until the scheduler confirms it, and with a word to the user if it does not."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from smartsim.adapters.wlm import job_script, srun
from smartsim.adapters.wlm.followed import Ending
from smartsim.adapters.wlm.inquiry import TIMEOUT
from smartsim.domain.errors import LauncherError

if TYPE_CHECKING:
    from smartsim.adapters.wlm.followed import FollowedJob, Member
    from smartsim.adapters.wlm.inquiry import Log
    from smartsim.adapters.wlm.scheduler import Command, Scheduler
    from smartsim.ports.file_system import FileSystem
    from smartsim.ports.process_runner import ProcessRunner

_MARGIN = 3.0  # seconds that a job's script has beyond the grace period to kill members, and to tell how they ended
_SRUN = 2.0  # seconds that `srun` has to kill its tasks
_AGAIN = 30.0  # seconds between two attempts to end a job by force
_PATIENCE = 60.0  # seconds after which users are told that a job does not end


TerminateSteps: TypeAlias = Callable[[Collection[str]], object]


class Ender:
    """Ends members of jobs, and whole jobs.

    Members end by a stop file that the script of their job looks for. When all members of a job are to end, the
    scheduler is asked to end the job, too.

    Args:
        scheduler: renders the commands.
        runner: runs them.
        files: takes the stop files.
        log: tells users of jobs that do not end.
        terminate_steps: sends a SIGTERM to all tasks of steps of ``srun``, by their names; None without Slurm.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        runner: ProcessRunner,
        files: FileSystem,
        log: Log,
        terminate_steps: TerminateSteps | None,
    ) -> None:
        self._scheduler = scheduler
        self._runner = runner
        self._files = files
        self._log = log
        self._terminate_steps = terminate_steps
        self._said = ""

    def ask(self, members: Iterable[tuple[FollowedJob, Member]], grace: float, now: float) -> None:
        """Ask members to end.

        Args:
            members: with the jobs that they are in.
            grace: seconds between asking and forcing.
            now: monotonic time.
        """
        jobs, steps = {}, []
        for job, member in members:
            jobs[job.id] = job
            if not member.stops:
                self._write_stop(job, member, grace)
                steps += [member.name] if self._is_of_srun(member) else []
            member.stops = True
            if job.ending is None:
                job.ending = Ending(tell_at=now + grace + _PATIENCE)
        whole = [job for job in jobs.values() if self._is_whole(job)]
        for job in whole:
            if job.ending is not None:
                job.ending.force_at = min(job.ending.force_at, now + grace + _MARGIN)
        if steps and self._terminate_steps is not None:
            with suppress(LauncherError):  # they have their time all the same, and are killed then
                self._terminate_steps(steps)
        if not whole:
            return
        polite = self._scheduler.cancellation([job.id for job in whole], force=False)
        if polite:
            self._run(polite)
            return
        waiting = [job.id for job in whole if not job.has_started()]
        if waiting:
            self._run(self._scheduler.cancellation(waiting, force=True))

    def press(self, jobs: Collection[FollowedJob], now: float) -> None:
        """End by force what did not end in its grace period, and tell users of what does not end at all."""
        due = [job for job in jobs if job.ending and now >= job.ending.force_at]
        if due:
            self._run(self._scheduler.cancellation([job.id for job in due], force=True))
        for job in due:
            if job.ending is not None:
                job.ending.force_at = now + _AGAIN
                job.ending.is_forced = True
        for job in jobs:
            if job.ending is not None and not job.ending.is_told and now >= job.ending.tell_at:
                job.ending.is_told = True
                self._tell(job)

    def _is_whole(self, job: FollowedJob) -> bool:
        if not all(member.stops for member in job.members.values()):
            return False
        try:
            names = self._files.names(job.directory)
        except OSError:
            names = []
        ended = {name.removesuffix(job_script.EXIT) for name in names if name.endswith(job_script.EXIT)}
        return job.size == 1 or len(ended | job.members.keys()) >= job.size

    def _is_of_srun(self, member: Member) -> bool:
        return self._terminate_steps is not None and member.step.ranks == srun.RANKS

    def _write_stop(self, job: FollowedJob, member: Member, grace: float) -> None:
        path = job_script.file_of(job.directory, member.name, job_script.STOP)
        # `srun` would kill its tasks on a SIGTERM: it gets one when they had their time.
        times = (grace, grace + _SRUN) if self._is_of_srun(member) else (0.0, grace)
        try:
            self._files.write(path, job_script.stop_content(*times))
        except OSError as error:
            self._said = f"{path} cannot be written: {error.strerror}"

    def _run(self, command: Command) -> None:
        try:
            answer = self._runner.run(command, TIMEOUT)
        except LauncherError as error:
            self._said = str(error)
        else:
            self._said = answer.stderr.strip() if answer.returncode else ""

    def _tell(self, job: FollowedJob) -> None:
        names = ", ".join(sorted(member.step.name for member in job.members.values() if member.stops))
        command = shlex.join(self._scheduler.cancellation([job.id], force=True))
        said = f" ({self._said})" if self._said else ""
        self._log(
            logging.ERROR,
            f"{names} was asked to end and then forced, and still does not{said}. Its job is {job.id}; end it by hand: "
            f"{command}",
        )
