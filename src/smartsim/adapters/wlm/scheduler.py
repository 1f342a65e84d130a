"""What a scheduler is asked, as pure functions: which command, and what its answer says.

One class for each scheduler; `batch_jobs` runs the commands, and follows the jobs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeAlias

from smartsim.domain.steps import Batch
from smartsim.ports.process_runner import Completed

Command: TypeAlias = tuple[str, ...]


class Phase(Enum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUSPENDED = "suspended"
    ENDED = "ended"


@dataclass(frozen=True)
class JobFacts:
    """What a scheduler says of a job, or of an element of a job array.

    Args:
        phase: where it stands.
        returncode: its exit code once it ended, negative for a signal; None when the scheduler does not tell.
        reason: why it ended, in words, empty when its exit code says it all; or why it waits when that will not pass by
            itself, of which users are warned: empty for a job whose turn comes.
        cancelled_by: who ended it, in words, when it was cancelled.
    """

    phase: Phase
    returncode: int | None = None
    reason: str = ""
    cancelled_by: str = ""


class Scheduler(Protocol):
    """Renders the commands of one scheduler and reads its answers. Knows no state, and runs nothing.

    Jobs are known by the text that the scheduler gives them; the element of an array by `element_id`.
    """

    name: str
    """The launcher's name."""
    element_variable: str
    """The variable with the index of an array's element; empty without arrays."""
    first_element: int
    """What that variable says in the first element, as `header` asks: 0 or 1."""

    def header(self, batch: Batch, elements: int) -> Sequence[str]:
        """Return the first lines of the script: the shebang, and what the scheduler reads.

        Args:
            batch: the job.
            elements: of the array, two at least, when `batch.array`.
        """
        ...

    def submission(self, batch: Batch, elements: int) -> Command:
        """Return the command that submits the script, once it is written.

        Args:
            batch: the job.
            elements: of the array, two at least, when `batch.array`.
        """
        ...

    def job_id(self, answer: Completed) -> str:
        """Return what the scheduler calls a job that was submitted.

        Raises:
            LauncherError: it was refused; the message has what the scheduler said, and what to do where that is known.
        """
        ...

    def element_id(self, job: str, index: int) -> str:
        """Return what the scheduler calls an element of an array, the first of which has the index 0 here."""
        ...

    def query(self, jobs: Collection[str]) -> Command:
        """Return the one command that asks after all jobs, and all elements of those that are arrays.

        Args:
            jobs: what `job_id` returned; so for `facts`, `accounting` and `accounted`.
        """
        ...

    def facts(self, answer: Completed, jobs: Collection[str]) -> Mapping[str, JobFacts]:
        """Return what a query says, by job, or by element (`element_id`) for arrays.

        Those that the scheduler does not know are missing. More than was asked after may be there.

        Raises:
            LauncherError: the scheduler did not answer: it says nothing of any job.
        """
        ...

    def accounting(self, jobs: Mapping[str, str]) -> Sequence[Command]:
        """Return the commands that ask after jobs which the queue has forgotten; none when nobody remembers them.

        Args:
            jobs: the directory of each (`Batch.directory`).
        """
        ...

    def accounted(self, answer: Completed, jobs: Collection[str]) -> Mapping[str, JobFacts]:
        """Return what one of those commands says; jobs that are not (yet) in the books are missing."""
        ...

    def cancellation(self, jobs: Collection[str], *, force: bool) -> Command:
        """Return the command that ends jobs: politely (their processes get a SIGTERM first), or by force.

        Args:
            jobs: whole jobs, and elements of arrays.
            force: whether they were asked before, and did not end.
        """
        ...
