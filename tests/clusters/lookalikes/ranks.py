"""Programs that start the ranks of a parallel program, all on this machine: mpiexec of PALS, and aprun of ALPS.

Ranks see the variables that the real ones set. Ranks of PALS look like Hydra's too (``PMI_RANK``).
"""

from __future__ import annotations

import getopt
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_MPIEXEC = "n:d:l"
_MPIEXEC_LONG = [
    *(
        "np=",
        "ppn=",
        "depth=",
        "cpu-bind=",
        "gpu-bind=",
        "mem-bind=",
        "env=",
        "envlist=",
        "hostfile=",
        "hosts=",
        "wdir=",
    ),
    *("line-buffer", "transfer", "verbose"),
]
_APRUN = "n:N:d:L:e:qtT"
_APRUN_LONG = [
    *("pes=", "pes-per-node=", "cpus-per-pe=", "node-list=", "node-list-file=", "exclude-node-list=", "cpu-binding="),
    *("cc=", "memory-per-pe=", "cpu-time-limit=", "debug=", "wdir=", "quiet"),
]


@dataclass
class _Program:
    """One program of a parallel run.

    Args:
        argv: the program and its arguments.
        ranks: how many of it.
        per_node: the most on one node; 0 for as many as fit.
        environment: its own variables.
        directory: where it runs.
        hosts: where it may run; none for anywhere.
    """

    argv: list[str]
    ranks: int
    per_node: int
    environment: dict[str, str]
    directory: str
    hosts: list[str]


def main(name: str, argv: Sequence[str]) -> int:
    """Run parallel programs, parted by ``:``, and return the exit code of the first rank that failed."""
    programs = [_PARSERS[name](part) for part in _parts(argv)]
    total = sum(program.ranks for program in programs)
    children: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda number, _: _forward(children, number))
    for program in programs:
        for rank in range(program.ranks):
            children.append(_start(name, program, rank, len(children), total))
    codes = [_code(os.waitpid(child, 0)[1]) for child in children]
    failed = next((code for code in codes if code), 0)
    if name == "aprun" and not {"-q", "--quiet"} & set(argv):
        sys.stdout.write("Application 3373484 resources: utime ~0s, stime ~0s, Rss ~5036, inblocks ~0, outblocks ~0\n")
    return failed


def _parts(argv: Sequence[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for word in argv:
        if word == ":":
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def _mpiexec(argv: Sequence[str]) -> _Program:
    pairs, rest = getopt.getopt(list(argv), _MPIEXEC, _MPIEXEC_LONG)
    options = {name.lstrip("-"): value for name, value in pairs}
    given = [value.partition("=")[::2] for name, value in pairs if name == "--env"]
    listed = [
        name for names in (value for option, value in pairs if option == "--envlist") for name in names.split(",")
    ]
    hosts = options["hosts"].split(",") if "hosts" in options else _lines(options.get("hostfile") or _node_file())
    return _Program(
        rest,
        int(options.get("np") or options.get("n") or 1),
        int(options.get("ppn", 0)),
        {**{name: os.environ[name] for name in listed if name in os.environ}, **dict(given)},
        options.get("wdir", "."),
        hosts,
    )


def _aprun(argv: Sequence[str]) -> _Program:
    words = ["--cc" if word == "-cc" else word for word in argv]
    pairs, rest = getopt.getopt(words, _APRUN, _APRUN_LONG)
    options = {name.lstrip("-"): value for name, value in pairs}
    listed = options.get("node-list") or options.get("L", "")
    return _Program(
        rest,
        int(options.get("pes") or options.get("n") or 1),
        int(options.get("pes-per-node") or options.get("N") or 0),
        dict(value.partition("=")[::2] for name, value in pairs if name == "-e"),
        options.get("wdir", "."),
        listed.split(",") if listed else [],
    )


_PARSERS: Mapping[str, Callable[[Sequence[str]], _Program]] = {"mpiexec": _mpiexec, "aprun": _aprun}


def _node_file() -> str:
    return os.environ.get("PBS_NODEFILE") or os.devnull


def _lines(path: str) -> list[str]:
    with open(path, encoding="utf-8") as stream:
        return list(dict.fromkeys(stream.read().split()))


def _start(name: str, program: _Program, local: int, rank: int, total: int) -> int:
    per_node = program.per_node or -(-program.ranks // max(1, len(program.hosts)))
    node, on_node = divmod(local, per_node)
    if program.hosts and node >= len(program.hosts):
        sys.stderr.write(f"{name}: {program.ranks} ranks do not fit on {len(program.hosts)} nodes\n")
        sys.exit(1)
    own = {"PALS_RANKID": rank, "PALS_LOCAL_RANKID": on_node, "PALS_NODEID": node, "PMI_RANK": rank, "PMI_SIZE": total}
    if name == "aprun":
        own = {"ALPS_APP_PE": rank}
    variables = {variable: str(value) for variable, value in own.items()}
    child = os.fork()
    if child:
        return child
    try:
        os.chdir(program.directory)
        os.execvpe(program.argv[0], program.argv, {**os.environ, **program.environment, **variables})  # noqa: S606 - no shell
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
