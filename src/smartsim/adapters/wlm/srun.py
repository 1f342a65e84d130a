"""What ``srun`` does and does not do, which those who start it, or end it, have to know; and what only its words tell.

A SIGTERM makes it kill its tasks at once, and a SIGKILL makes it leave them running: tasks are signalled through
``scancel``. When a node fails, it says so and ends with exit code 0. Of steps that took too much memory, some versions
say on standard error alone that this is why they were ended.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from smartsim.adapters.wlm.inquiry import TIMEOUT
from smartsim.domain.errors import LauncherError

if TYPE_CHECKING:
    from smartsim.ports.process_runner import ProcessRunner

RANKS = "srun"
"""`Step.ranks` of what it starts."""
TAIL = 4096
"""How many bytes of the end of standard error tell all this."""
OUT_OF_MEMORY = "out of memory: it used more than it was given"
_NODE_FAILURE = re.compile(rb"^srun: error: Node failure on (\S+)", re.MULTILINE)
_ABORTED = re.compile(rb"^srun: (?:error: Node failure|Job step aborted|error: .*(?:aborted|failure))", re.MULTILINE)
_NO_MEMORY = re.compile(
    rb"^(?:slurmstepd|srun)\b.*(?:exceeded (?:job )?memory limit|oom[-_]kill|out of memory)",
    re.MULTILINE | re.IGNORECASE,
)


def aborted(stderr: bytes) -> bool:
    """Return whether it gave up a step, by the end of what it wrote to standard error."""
    return _ABORTED.search(stderr) is not None


def failed_nodes(stderr: bytes) -> str:
    """Return which nodes failed, as it wrote that to standard error; empty if it says of none."""
    return ", ".join(dict.fromkeys(name.decode(errors="replace") for name in _NODE_FAILURE.findall(stderr)))


def ran_out_of_memory(stderr: bytes) -> bool:
    """Return whether Slurm ended a step, or a job, because of its memory, by the end of its standard error."""
    return _NO_MEMORY.search(stderr) is not None


def step_ids(runner: ProcessRunner) -> dict[str, list[str]]:
    """Return the ids of this user's steps that run, by the names that ``--job-name`` gave them.

    Raises:
        LauncherError: Slurm does not answer.
    """
    answer = runner.run(("squeue", "--steps", "--me", "--noheader", "--format=%i|%j"), TIMEOUT)
    if answer.returncode:
        raise LauncherError(f"squeue failed: {answer.stderr.strip()}")
    found: dict[str, list[str]] = {}
    for line in answer.stdout.splitlines():
        number, _, name = line.partition("|")
        found.setdefault(name, []).append(number)
    return found


def signal_steps(runner: ProcessRunner, names: Collection[str], signal: str) -> set[str]:
    """Send a signal to all tasks of steps; return the names of those that have got it, since their tasks run.

    Args:
        runner: runs the commands.
        names: of the steps.
        signal: such as ``TERM``.

    Raises:
        LauncherError: Slurm does not answer.
    """
    ids = step_ids(runner)
    found = {name: ids[name] for name in names if name in ids}

    def send(chosen: Iterable[str]) -> bool:
        numbers = (number for name in chosen for number in found[name])
        return runner.run(("scancel", f"--signal={signal}", *numbers), TIMEOUT).returncode == 0

    if not found or send(found):
        return set(found)
    # The tasks of one at least do not run yet, or any more. Which it is, is told by asking for each alone.
    return {name for name in found if len(found) > 1 and send([name])}
