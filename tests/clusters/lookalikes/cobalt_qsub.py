"""qsub of Cobalt."""

from __future__ import annotations

import getopt
import os
import pwd
import re
import shlex
import sys
import time
from collections.abc import Mapping, Sequence

from clusters.lookalikes.cluster import Chunk, Cluster, Job, State

_LONG = {
    "nodecount": "n",
    "project": "A",
    "queue": "q",
    "time": "t",
    "outputprefix": "O",
    "output": "o",
    "error": "e",
    "umask": "u",
    "notify": "M",
    "held": "h",
}
_SHORT_OPTIONS = "n:A:q:t:O:o:e:u:M:h"
_LONG_OPTIONS = [
    *(name if short == "h" else f"{name}=" for name, short in _LONG.items()),
    *("attrs=", "cwd=", "debuglog=", "env=", "jobname=", "mode=", "proccount="),
]


class RefusedError(Exception):
    """Cobalt refuses something, and says so."""


def qsub(cluster: Cluster, argv: Sequence[str]) -> int:
    """Submit a script, or a program."""
    options, variables, command = _read(argv, {}, {})
    if not command:
        raise RefusedError("No command given")
    program = os.path.join(options.get("cwd", os.getcwd()), command[0])
    if not os.access(program, os.X_OK):
        raise RefusedError(f"command {command[0]} is not executable")
    directives = _directives(program)
    if directives:
        # What the command line says comes later, and wins.
        options, variables, _ = _read([*directives, program], {}, {})
        options, variables, _ = _read(argv, options, variables)
    _check(cluster, options)
    number = cluster.next_number()
    job = _job(cluster, options, variables, number, [program, *command[1:]])
    _begin_log(job, argv)
    cluster.submit([job])
    sys.stdout.write(f"{number}\n")
    return 0


def _read(
    argv: Sequence[str], options: Mapping[str, str], variables: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Return options, variables and what follows them, laid over what was read before."""
    read, command = getopt.getopt(list(argv), _SHORT_OPTIONS, _LONG_OPTIONS)
    options, variables = dict(options), dict(variables)
    for option, value in read:
        name = option.lstrip("-")
        if name == "env":
            variables.update(_pairs(value))
        else:
            options[_LONG.get(name, name)] = value
    return options, variables, command


def _pairs(text: str) -> dict[str, str]:
    r"""Return the variables in ``A=1:B=2``, where ``\:`` and ``\=`` stand for the characters themselves."""
    pairs = (re.split(r"(?<!\\)=", item, maxsplit=1) for item in re.split(r"(?<!\\):", text))
    return {name: re.sub(r"\\([:=])", r"\1", value) for name, value in pairs}


def _directives(program: str) -> list[str]:
    """Return the options in a script: the lines that follow its first at once, split at blanks, without quotes."""
    with open(program, "rb") as stream:
        lines = stream.read().decode(errors="replace").splitlines()
    words: list[str] = []
    for line in lines[1:] if lines and lines[0].startswith("#!") else ():
        if not line.startswith("#COBALT "):
            break
        words += line.removeprefix("#COBALT ").split()
    return words


def _check(cluster: Cluster, options: Mapping[str, str]) -> None:
    for name, letter in (("time", "t"), ("nodecount", "n")):
        if letter not in options:
            raise RefusedError(f"'{name}' not provided")
    queue = options.get("q", next(iter(cluster.config.queues)))
    if queue not in cluster.config.queues:
        raise RefusedError(f"Queue {queue!r} does not exist")
    if cluster.config.accounts and options.get("A") not in cluster.config.accounts:
        raise RefusedError(f"Filter cobalt-project failed\nProject {options.get('A')!r} may not run here")
    allowed = cluster.config.queues[queue]
    if allowed.limit is not None and _minutes(options["t"]) * cluster.config.minute > allowed.limit:
        raise RefusedError(f"Walltime greater than the 'maxtime' of queue {queue}")
    if not options["n"].isdigit() or int(options["n"]) > (allowed.nodes or len(cluster.config.nodes)):
        raise RefusedError(f"'nodecount' {options['n']} is not possible in queue {queue}")


def _job(
    cluster: Cluster, options: Mapping[str, str], variables: Mapping[str, str], number: int, command: list[str]
) -> Job:
    user = pwd.getpwuid(os.getuid())
    directory = options.get("cwd", os.getcwd())
    prefix = options.get("O", str(number))
    files = {"o": f"{prefix}.output", "e": f"{prefix}.error", "debuglog": f"{prefix}.cobaltlog"}
    for name, default in files.items():
        path = options.get(name, default).replace("$jobid", str(number)).replace("$COBALT_JOBID", str(number))
        files[name] = os.path.join(directory, path)
        if not os.path.isdir(os.path.dirname(files[name])):
            raise RefusedError(f"directory {os.path.dirname(files[name])} does not exist")
    hosts = re.search(r"\blocation=([^:]+)", options.get("attrs", ""))
    names = hosts[1].split(",") if hosts else []
    nodes = int(options["n"])
    home = cluster.path("home")
    identity = {"HOME": home, "LOGNAME": user.pw_name, "SHELL": user.pw_shell, "USER": user.pw_name}
    return Job(
        number=number,
        index=None,
        name=options.get("jobname", "N/A"),
        queue=options.get("q", next(iter(cluster.config.queues))),
        # The user's login shell runs it.
        argv=["/bin/bash", "-l", "-c", f"exec {shlex.join(command)}"],
        directory=directory,
        environment={**identity, **variables},
        stdout=files["o"],
        stderr=files["e"],
        chunks=[Chunk(0, names[index % len(names)] if names else "") for index in range(nodes)],
        scatter=True,
        limit=_minutes(options["t"]) * cluster.config.minute or None,
        owner=user.pw_name,
        state=State.HELD if "h" in options else State.QUEUED,
        extra={"log": files["debuglog"], "procs": options.get("proccount", nodes), "project": options.get("A", "")},
    )


def _minutes(text: str) -> int:
    """Return a time limit in minutes: of minutes, HH:MM, HH:MM:SS or DD:HH:MM:SS."""
    parts = [int(part) for part in text.split(":")]
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        return 60 * parts[0] + parts[1]
    days, hours, minutes = (*([0] if len(parts) == 3 else []), *parts)[:3]
    return 24 * 60 * days + 60 * hours + minutes


def _begin_log(job: Job, argv: Sequence[str]) -> None:
    with open(job.extra["log"], "a", encoding="utf-8") as stream:
        stream.write(f"Jobid: {job.number}\nqsub {' '.join(argv)}\n")
        stream.write(f"{time.ctime()} submitted with cwd set to: {job.directory}\n")
