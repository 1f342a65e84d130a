"""A job that this process runs in, whatever the scheduler."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from smartsim.domain.errors import AllocationError, LauncherError
from smartsim.domain.resources import Node
from smartsim.ports.process_runner import ProcessRunner

PATIENCE = 30.0
"""Seconds for a scheduler to answer."""


class CurrentJob(Protocol):
    """What a job says of itself.

    Every method raises `AllocationError` when this process runs in no such job, and `LauncherError` when what it finds
    cannot be read, or the scheduler does not answer.
    """

    def hosts(self) -> list[str]:
        """Return the names of the nodes, sorted, each once."""
        ...

    def queue(self) -> str:
        """Return the queue, or partition, that the job runs in."""
        ...

    def tasks(self) -> int:
        """Return how many tasks the job is for."""
        ...

    def tasks_per_node(self) -> dict[str, int]:
        """Return how many tasks each node is for, by its name."""
        ...

    def nodes(self) -> tuple[Node, ...]:
        """Return the nodes with their CPUs and GPUs, in the scheduler's order."""
        ...


def variable(environment: Mapping[str, str], name: str, scheduler: str) -> str:
    """Return a variable that the scheduler sets in jobs.

    Raises:
        AllocationError: it is not set.
    """
    value = environment.get(name)
    if not value:
        raise AllocationError(f"{name} is not set: this process does not run in a job of {scheduler}")
    return value


def number(environment: Mapping[str, str], name: str, scheduler: str) -> int:
    """Return a variable that is a number.

    Raises:
        AllocationError: it is not set.
        LauncherError: it is no number.
    """
    text = variable(environment, name, scheduler)
    if not text.isdecimal():
        raise LauncherError(f"{name}={text!r} of {scheduler} is no number")
    return int(text)


def answer(processes: ProcessRunner, argv: Sequence[str]) -> str:
    """Return what a program of the scheduler writes.

    Raises:
        LauncherError: it is not there, fails, or does not end in time.
    """
    program = processes.find(argv[0])
    if program is None:
        raise LauncherError(f"There is no {argv[0]} in the search path: load the module of the scheduler")
    completed = processes.run([program, *argv[1:]], timeout=PATIENCE)
    if completed.returncode:
        said = (completed.stderr or completed.stdout).strip()[-500:]
        raise LauncherError(f"{shlex.join(argv)} failed with exit code {completed.returncode}: {said}")
    return completed.stdout


def lines(environment: Mapping[str, str], name: str, scheduler: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the lines of a file that a variable names: where each stands, for errors, and its words.

    Raises:
        AllocationError: the variable is not set.
        LauncherError: the file cannot be read.
    """
    path = variable(environment, name, scheduler)
    try:
        with open(path, encoding="utf-8") as file:
            content = file.read()
    except (OSError, UnicodeError) as error:
        raise LauncherError(f"{path}, which {name} of {scheduler} names, cannot be read: {error}") from error
    for count, line in enumerate(content.splitlines(), 1):
        if line.strip():
            yield f"line {count} of {path}, which {name} of {scheduler} names", line.split()


def host_lines(environment: Mapping[str, str], name: str, scheduler: str) -> list[str]:
    """Return the hosts in a file with one a line, in its order, repeated as there.

    Raises:
        AllocationError: the variable is not set.
        LauncherError: the file cannot be read, is empty, or a line is no host.
    """
    hosts = []
    for where, words in lines(environment, name, scheduler):
        if len(words) != 1:
            raise LauncherError(f"{where}, is {' '.join(words)!r}: it should be one host")
        hosts.append(words[0])
    if not hosts:
        raise LauncherError(f"{environment[name]}, which {name} of {scheduler} names, lists no host")
    return hosts


def counted_nodes(cpus: Mapping[str, int], gpus: Mapping[str, int] | None = None) -> tuple[Node, ...]:
    """Return nodes of which only the number of CPUs and GPUs is known; they are numbered from 0."""
    counted = Counter(gpus or {})
    return tuple(Node(name, tuple(range(count)), tuple(range(counted[name]))) for name, count in cpus.items())
