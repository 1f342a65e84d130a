"""Why steps of ``srun`` ended."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from smartsim.adapters.wlm.inquiry import TIMEOUT
from smartsim.adapters.wlm.scheduler import JobFacts, Phase
from smartsim.adapters.wlm.slurm import Slurm, book_facts
from smartsim.domain.errors import LauncherError

if TYPE_CHECKING:
    from smartsim.ports.process_runner import ProcessRunner

_COLUMNS = 4
_RESIZING = "RESIZING"  # of a step: its job has lost a node since it began, and more will never be known of it
_OVER = JobFacts(Phase.ENDED)


def step_facts(runner: ProcessRunner, jobs: Mapping[str, str]) -> Mapping[str, JobFacts] | None:
    """Return why steps ended, of which Slurm knows it already.

    Why a job ended tells more than that its step was ended with it.

    Args:
        runner: runs ``squeue``, which is quick, and ``sacct``, which is a second or two late.
        jobs: the job of each step, by the step's name; empty when ``srun`` got one of the same name for it.

    Returns:
        What is known, by the step's name; None when Slurm does not answer, or keeps no accounts.
    """
    shared = sorted({job for job in jobs.values() if job})
    own = sorted(name for name, job in jobs.items() if not job)
    queue: Mapping[str, JobFacts] = {}
    rows: list[Sequence[str]] = []
    try:
        queue = _queue(runner, shared) if shared else {}
        rows += _books(runner, f"--jobs={','.join(shared)}") if shared else ()
        rows += _books(runner, f"--name={','.join(own)}", "--starttime=now-1hour") if own else ()
    except LauncherError:
        if not queue:
            return None
    books = {number: _OVER if state == _RESIZING else book_facts(state, code) for number, state, code, _ in rows}
    numbers = {name: number for number, _, _, name in rows if "." in number}
    found = {}
    for name, job in jobs.items():
        number = numbers.get(name, "")
        job_number = job or number.partition(".")[0]
        facts = _first(_told(queue.get(job_number)), _told(books.get(job_number)), _ended(books.get(number)))
        if facts is not None:
            found[name] = facts
    return found


def _first(*candidates: JobFacts | None) -> JobFacts | None:
    return next((facts for facts in candidates if facts is not None), None)


def _ended(facts: JobFacts | None) -> JobFacts | None:
    return facts if facts is not None and facts.phase is Phase.ENDED else None


def _told(facts: JobFacts | None) -> JobFacts | None:
    """Return what is said of a job if that is a reason."""
    ended = _ended(facts)
    return ended if ended is not None and ended.reason else None


def _queue(runner: ProcessRunner, jobs: Collection[str]) -> Mapping[str, JobFacts]:
    slurm = Slurm()
    return slurm.facts(runner.run(slurm.query(jobs), TIMEOUT), jobs)


def _books(runner: ProcessRunner, *chosen: str) -> Iterator[Sequence[str]]:
    format_ = "--format=JobID,State,ExitCode,JobName"
    answer = runner.run(("sacct", "--noheader", "--parsable2", format_, *chosen), TIMEOUT)
    if answer.returncode:
        raise LauncherError(f"sacct failed: {answer.stderr.strip()}")
    rows = (line.split("|", _COLUMNS - 1) for line in answer.stdout.splitlines())
    return (row for row in rows if len(row) == _COLUMNS)
