"""Submitting a job: its script is written, and handed to the scheduler."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from smartsim.adapters.wlm import job_script
from smartsim.domain.errors import LauncherError, ShellError

if TYPE_CHECKING:
    from smartsim.adapters.wlm.scheduler import Scheduler
    from smartsim.domain.steps import Batch, Step
    from smartsim.ports.file_system import FileSystem
    from smartsim.ports.process_runner import ProcessRunner

_TIMEOUT = 120.0  # seconds that a scheduler has to accept a job: a busy one lets its commands wait
_OWN = 0o700
_WHOLE = "script"  # as others end in .sh


def submit(
    batch: Batch, members: Sequence[Step], scheduler: Scheduler, runner: ProcessRunner, files: FileSystem
) -> str:
    """Submit a job, and return what the scheduler calls it.

    Args:
        batch: the job.
        members: what runs in it.
        scheduler: renders the command and reads the answer.
        runner: runs the command.
        files: takes the script.

    Raises:
        LauncherError: it cannot be submitted. Should the scheduler have accepted it all the same, its members end
            before they start.
    """
    text = script(batch, members, scheduler)
    try:
        files.make_directory(batch.directory, _OWN)
        files.make_directory(posixpath.dirname(batch.script))
        files.write(batch.script, text.encode(), _OWN)
        submitted = _short(batch, text, scheduler.header(batch, len(members)), files) if batch.array else batch
    except (OSError, UnicodeError) as error:
        raise LauncherError(
            f"Cannot write the script of job {batch.name}, {batch.script}: {error}. Choose a directory that can be "
            "written, or correct its permissions"
        ) from error
    command = scheduler.submission(submitted, len(members))
    try:
        answer = runner.run(command, _TIMEOUT)
        return scheduler.job_id(answer)
    except BaseException as error:
        # It may have been accepted, and nobody would follow it: its members are not to start.
        for member in members:
            files.write(
                job_script.file_of(batch.directory, member.name, job_script.STOP), job_script.stop_content(0.0, 0.0)
            )
        if isinstance(error, ShellError):
            raise
        if isinstance(error, LauncherError):
            raise ShellError(f"Job {batch.name} was not accepted", command, str(error)) from error
        raise


def _short(batch: Batch, text: str, header: Sequence[str], files: FileSystem) -> Batch:
    """Write a script of a few lines that reads that of an array, and return the job with it.

    A scheduler copies the script for each element, from machine to machine: with the lines of all members, that would
    be an amount which grows with their square. What is read is a copy, as a job's script does not change any more.
    """
    whole, short = (posixpath.join(batch.directory, name) for name in (_WHOLE, posixpath.basename(batch.script)))
    files.write(whole, text.encode(), _OWN)
    files.write(short, "\n".join([*header, f". {shlex.quote(whole)}", ""]).encode(), _OWN)
    return replace(batch, script=short)


def script(batch: Batch, members: Sequence[Step], scheduler: Scheduler) -> str:
    """Return the script of a job.

    Args:
        batch: the job.
        members: what runs in it.
        scheduler: says how it begins.

    Raises:
        LauncherError: it cannot be written for this scheduler.
    """
    elements = job_script.Elements()
    if batch.array:
        elements = job_script.Elements(scheduler.element_variable, scheduler.first_element)
    return job_script.render(batch, scheduler.header(batch, len(members)), members, elements)


def single_element(batch: Batch, members: Sequence[Step]) -> Batch:
    """Return a job without an array that would have one element only, which not every scheduler knows."""
    return replace(batch, array=batch.array and len(members) > 1)
