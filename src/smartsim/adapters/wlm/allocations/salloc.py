"""Asking Slurm for an allocation that outlives the command, and for what its partitions have; as pure functions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from smartsim.domain.errors import AllocationError, LauncherError, SSReservedKeywordError
from smartsim.domain.settings import values
from smartsim.domain.walltime import parse_walltime
from smartsim.ports.process_runner import Completed

NAME = "SmartSim"
PARTITIONS = ("sinfo", "--noheader", "--format", "%R %n %c")
"""Asks for a line for each partition, node and number of CPUs."""
DEFAULT_PARTITION = ("sinfo", "--noheader", "--format", "%P")
"""Asks for a line for each partition; the default one has a star."""
COMMENTS = ("squeue", "--noheader", f"--name={NAME}", "--format", "%A %k")
"""Asks for a line for each allocation, with its number and its comment."""

_ARGUMENTS = {"t": "time", "time": "time", "N": "nodes", "nodes": "nodes", "A": "account", "account": "account"}
_GRANTED = re.compile(r"Granted job allocation (?P<job>[0-9]+)")
_COLUMNS = 3


def salloc_words(
    nodes: int, time: str | None, account: str | None, options: Mapping[str, values.Option] | None, mark: str
) -> list[str]:
    """Return the command line that asks for an allocation.

    Args:
        nodes: how many.
        time: walltime; None for the partition's default.
        account: to charge; None for the user's default.
        options: further options of ``salloc``, with or without dashes; None for one without a value.
        mark: ends the comment of the job, by which it is found when ``salloc`` was stopped.

    Raises:
        SSReservedKeywordError: an option is one of the other arguments.
        TypeError, ValueError: an argument that cannot be.
    """
    words = ["salloc", "--no-shell", "-N", str(values.positive("nodes", nodes)), "-J", NAME]
    if time:
        words += ["-t", _checked(time)]
    if account:
        words += ["-A", values.text("account", account)]
    comment = mark
    for given, value in values.options("options", options).items():
        name = given.strip().lstrip("-")
        if name in _ARGUMENTS:
            raise SSReservedKeywordError(f"options[{given!r}] cannot be given: use the argument {_ARGUMENTS[name]}")
        if name == "comment":
            comment = f"{value} {mark}"
        elif value is None or value == "":
            words.append(f"-{name}" if len(name) == 1 else f"--{name}")
        else:
            words += [f"-{name}", str(value)] if len(name) == 1 else [f"--{name}={value}"]
    return [*words, f"--comment={comment}"]


def granted(answer: Completed) -> str:
    """Return the number of the allocation that was granted.

    Raises:
        AllocationError: it was refused; the message has what ``salloc`` said.
    """
    match = _GRANTED.search(f"{answer.stderr}\n{answer.stdout}")
    if answer.returncode == 0 and match is not None:
        return match["job"]
    raise AllocationError(f"Slurm grants no allocation: {_said(answer, 'salloc')}")


def parse_marked_jobs(text: str, mark: str) -> list[str]:
    """Return the numbers of the jobs whose comment ends with a mark."""
    return [line.split()[0] for line in text.splitlines() if line.rstrip().endswith(mark)]


def check_released(answer: Completed, alloc_id: str) -> None:
    """Do nothing when an allocation was released, or had ended before.

    Args:
        answer: of ``scancel -v``, which does not tell by its exit code that there is no such job.
        alloc_id: its number.

    Raises:
        AllocationError: there is none, or it cannot be released; the message has what ``scancel`` said.
    """
    complained = "error:" in answer.stderr and "already completing or completed" not in answer.stderr
    if answer.returncode or complained:
        raise AllocationError(f"Unable to revoke your allocation for jobid {alloc_id}: {_said(answer, 'scancel')}")


def parse_partitions(text: str) -> dict[str, Counter[int]]:
    r"""Return how many nodes with how many CPUs each partition has.

    Raises:
        LauncherError: a line of ``sinfo`` is something else.

    Example:
        >>> parse_partitions("debug node1 4\ndebug node2 4\n")
        {'debug': Counter({4: 2})}
    """
    partitions: dict[str, Counter[int]] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) != _COLUMNS or not words[2].isdecimal():
            raise LauncherError(f"sinfo says {line!r}, which is no partition with a node and its number of CPUs")
        partitions.setdefault(words[0], Counter())[int(words[2])] += 1
    return partitions


def parse_default_partition(text: str) -> str:
    """Return the partition with a star.

    Raises:
        LauncherError: none has.
    """
    for line in text.splitlines():
        if line.strip().endswith("*"):
            return line.strip().rstrip("*")
    raise LauncherError("Could not find default partition: Slurm has none here, so name one")


def _checked(time: str) -> str:
    try:
        parse_walltime(time)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Input time must be formatted as `HH:MM:SS` with valid Integers. It was {time!r}") from error
    return time


def _said(answer: Completed, program: str) -> str:
    """Return the errors that a program wrote, without its name before each; or all that it wrote."""
    prefix = f"{program}: error: "
    errors = [line.removeprefix(prefix) for line in answer.stderr.splitlines() if line.startswith(prefix)]
    said = "; ".join(errors) or answer.stderr.strip()[-500:] or answer.stdout.strip()[-500:]
    return said or f"{program} ended with exit code {answer.returncode} and said nothing"
