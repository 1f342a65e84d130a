"""Ranks as processes of this machine."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass
class Program:
    """One program of a parallel run.

    Args:
        argv: the program and its arguments.
        ranks: how many of it.
        per_node: the most on one node; 0 for as many as fit.
        environment: its own variables.
        directory: where it runs.
        hosts: where it may run; none for anywhere.
        stdout: the file that takes standard output, ``%t`` for the rank; empty for that of the caller; so `stderr`.
    """

    argv: list[str]
    ranks: int
    per_node: int
    environment: dict[str, str]
    directory: str
    hosts: list[str]
    stdout: str = ""
    stderr: str = ""


def run(name: str, programs: Sequence[Program]) -> int:
    """Run parallel programs together, and return the exit code of the first rank that failed.

    Args:
        name: what runs them.
        programs: those with a rank each at least.
    """
    total = sum(program.ranks for program in programs)
    children: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda number, _: _forward(children, number))
    for program in programs:
        for rank in range(program.ranks):
            children.append(_start(name, program, rank, len(children), total))
    codes = [_code(os.waitpid(child, 0)[1]) for child in children]
    return next((code for code in codes if code), 0)


# What ranks are told: of theirs, of that on their node, of their node, of how many there are.
_VARIABLES: Mapping[str, Callable[[int, int, int, int], dict[str, int]]] = {
    "mpiexec": lambda rank, local, node, size: {
        "PALS_RANKID": rank,
        "PALS_LOCAL_RANKID": local,
        "PALS_NODEID": node,
        "PMI_RANK": rank,
        "PMI_SIZE": size,
    },
    "aprun": lambda rank, *_: {"ALPS_APP_PE": rank},
    "jsrun": lambda rank, local, _, size: {
        "JSM_NAMESPACE_RANK": rank,
        "JSM_NAMESPACE_LOCAL_RANK": local,
        "JSM_NAMESPACE_SIZE": size,
    },
    "flux": lambda rank, local, _, size: {
        "FLUX_TASK_RANK": rank,
        "FLUX_TASK_LOCAL_ID": local,
        "FLUX_JOB_SIZE": size,
        "PMI_RANK": rank,
        "PMI_SIZE": size,
    },
}


def _start(name: str, program: Program, local: int, rank: int, total: int) -> int:
    per_node = program.per_node or -(-program.ranks // max(1, len(program.hosts)))
    node, on_node = divmod(local, per_node)
    if program.hosts and node >= len(program.hosts):
        sys.stderr.write(f"{name}: {program.ranks} ranks do not fit on {len(program.hosts)} nodes\n")
        sys.exit(1)
    own = {variable: str(value) for variable, value in _VARIABLES[name](rank, on_node, node, total).items()}
    child = os.fork()
    if child:
        return child
    try:
        for path, target in ((program.stdout, 1), (program.stderr, 2)):
            if path:
                os.dup2(os.open(path.replace("%t", str(rank)), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666), target)
        os.chdir(program.directory)
        os.execvpe(program.argv[0], program.argv, {**os.environ, **program.environment, **own})  # noqa: S606 - no shell
    except OSError as error:
        os.write(2, f"{name}: {program.argv[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _forward(children: Sequence[int], number: int) -> None:
    for child in children:
        try:
            os.kill(child, number)
        except ProcessLookupError:
            continue


def _code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
