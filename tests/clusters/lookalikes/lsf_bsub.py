"""bsub of LSF."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clusters.lookalikes.cluster import Chunk, Cluster, Job, State
from clusters.lookalikes.lsf_jobs import RefusedError, note

# Options with a value and without one, in the OpenLava family and with JSM. A word that is no option as a whole is read
# as one of a letter, with the rest of the word as its value: -nnodes 2 is -n, and -alloc_flags is -a.
_VALUES = frozenset({*"aceEfFikLmMnoPqRStuWDJbw", "Jd", "is", "Ep", "sp"})
_FLAGS = frozenset("HrNBx")
_JSM_VALUES = _VALUES | {"alloc_flags", "cn_cu", "cn_mem", "core_isolation", "csm", "cwd", "env", "jsm", "ln_mem"}
_JSM_VALUES |= {"ln_slots", "nnodes", "smt", "eo", "oo"}
_NOT_HERE = frozenset("bikwE")  # what would change when a job runs, and what nothing here does
_USAGE = "Usage: bsub [-h] [-V] [-x] [-H] [-r] [-N] [-B] [-q queue_name ...] ... command [argument ...]"
_ARRAY = re.compile(r"(?P<name>[^\[]*)\[(?P<first>\d+)-(?P<last>\d+)(?::(?P<step>\d+))?\]")
_TIME = re.compile(r"(?:(\d+):)?(\d+)(?:/.*)?")
_PARSED = re.compile(r"""(?:"[^"]*"|'[^']*'|[^\s"'])+""")
_SHELL = """\
#! /bin/sh

$LSB_TRAPSIGS
# LSBATCH: User input
{command}

ExitStat=$?
wait
# LSBATCH: End user input
true
exit `expr $? "|" $ExitStat`
"""
_SCRIPT = """\
( cat <<_USER_\\SCRIPT_
{text}
_USER_SCRIPT_
) > $LSB_CHKFILENAME.shell
chmod u+x $LSB_CHKFILENAME.shell
$LSB_JOBFILENAME.shell
saveExit=$?
/bin/rm -f $LSB_JOBFILENAME.shell
(exit $saveExit)"""


@dataclass(frozen=True)
class _Request:
    """What is asked for.

    Args:
        options: by their names, without a dash.
        command: what the shell of the job runs; empty for a script.
        script: its text.
    """

    options: Mapping[str, str]
    command: str
    script: str


def bsub(cluster: Cluster, argv: Sequence[str], *, launch_node: str) -> int:
    """Submit a command, or the script on standard input.

    Args:
        cluster: takes the job.
        argv: what follows the program's name.
        launch_node: where scripts run with JSM, which reads the options in a script that is the command; empty without.
    """
    request = _read(argv, is_jsm=bool(launch_node))
    options = request.options
    number = cluster.next_number()
    queue = options.get("q", next(iter(cluster.config.queues)))
    limit = _limit(cluster, options, queue)
    _check_project(cluster, options, is_jsm=bool(launch_node))
    chunks = _chunks(cluster, options)
    name, indices = _array(options.get("J", request.command or "NULL"))
    jobs = [
        _job(cluster, request, number, index, name, queue=queue, limit=limit, chunks=chunks, launch_node=launch_node)
        for index in indices
    ]
    cluster.submit(jobs)
    sys.stdout.write(f"Job <{number}> is submitted to {'' if 'q' in options else 'default '}queue <{queue}>.\n")
    return 0


def _read(argv: Sequence[str], *, is_jsm: bool) -> _Request:
    options, words = _options(argv, is_jsm=is_jsm)
    script = ""
    if not words:
        script = sys.stdin.read()
    elif is_jsm and os.path.isfile(words[0]):
        with open(words[0], encoding="utf-8") as stream:
            script = stream.read()
    if not words and not script.strip():
        raise RefusedError("No command is specified. Job not submitted.")
    for line in script.splitlines():
        if line.startswith("#BSUB"):
            found, _ = _options([_unquoted(word) for word in _PARSED.findall(line[5:])], is_jsm=is_jsm)
            options = {**found, **options}
    return _Request(options, "" if script else " ".join(words), script)


def _options(argv: Sequence[str], *, is_jsm: bool) -> tuple[dict[str, str], list[str]]:
    """Return the options, and what follows them."""
    options: dict[str, str] = {}
    values = _JSM_VALUES if is_jsm else _VALUES
    left = list(argv)
    while left and left[0].startswith("-"):
        given = left.pop(0)[1:]
        name, value = (given, "") if given in values | _FLAGS else (given[:1], given[1:])
        if name in _NOT_HERE or name not in values | _FLAGS or (name in _FLAGS and value):
            raise RefusedError(f"bsub: illegal option -- {given}\n{_USAGE}")
        if name in values and not value:
            if not left:
                raise RefusedError(f"bsub: option requires an argument -- {name}\n{_USAGE}")
            value = left.pop(0)
        options[name] = value
    return options, left


def _unquoted(word: str) -> str:
    return re.sub(r"""("[^"]*"|'[^']*')""", lambda match: match[0][1:-1], word)


def _limit(cluster: Cluster, options: Mapping[str, str], queue: str) -> float | None:
    if queue not in cluster.config.queues:
        raise RefusedError(f"{queue}: No such queue. Job not submitted.")
    limit = None
    if "W" in options:
        match = _TIME.fullmatch(options["W"])
        if match is None:
            raise RefusedError(f"{options['W']}: Bad RUNLIMIT specification. Job not submitted.")
        limit = (60 * int(match[1] or 0) + int(match[2])) * cluster.config.minute
    longest = cluster.config.queues[queue].limit
    if longest is not None and (limit or 0) > longest:
        raise RefusedError("RUNLIMIT: Cannot exceed queue's hard limit(s). Job not submitted.")
    return limit


def _check_project(cluster: Cluster, options: Mapping[str, str], *, is_jsm: bool) -> None:
    wrong = ""
    if is_jsm and "P" not in options:
        wrong = "Project not specified."
    elif cluster.config.accounts and options.get("P") not in cluster.config.accounts:
        wrong = f"Project {options.get('P')} may not run here."
    if wrong:
        raise RefusedError(
            f"Batch job not submitted. Please address the following and resubmit:\n**  {wrong}\n"
            "Request aborted by esub. Job not submitted."
        )


def _chunks(cluster: Cluster, options: Mapping[str, str]) -> list[Chunk]:
    names = options.get("m", "").split()
    for name in names:
        if name not in cluster.config.nodes:
            raise RefusedError(f"{name}: Bad host name, host group name or cluster name. Job not submitted.")
    wanted = options.get("nnodes") or options.get("n", "1").split(",")[-1]
    if not wanted.isdigit() or not int(wanted):
        raise RefusedError("Bad argument for option -n. Job not submitted.")
    count, cpus = int(wanted), 0 if "nnodes" in options else 1
    if count > (len(cluster.config.nodes) if "nnodes" in options else sum(cluster.config.nodes.values())):
        raise RefusedError("Too many processors requested. Job not submitted.")
    return [Chunk(cpus, names[slot % len(names)] if names else "") for slot in range(count)]


def _array(name: str) -> tuple[str, Sequence[int | None]]:
    match = _ARRAY.fullmatch(name)
    if match is None:
        return name, [None]
    return match["name"], range(int(match["first"]), int(match["last"]) + 1, int(match["step"] or 1))


def _job(
    cluster: Cluster,
    request: _Request,
    number: int,
    index: int | None,
    name: str,
    *,
    queue: str,
    limit: float | None,
    chunks: list[Chunk],
    launch_node: str,
) -> Job:
    options, user = request.options, pwd.getpwuid(os.getuid()).pw_name
    file = cluster.path("spool", f"{int(time.time())}.{number}" if index is None else f"{number}.{index}")
    with open(file, "w", encoding="utf-8") as stream:
        stream.write(_SHELL.format(command=request.command or _SCRIPT.format(text=request.script)))
    homes = {
        letter: os.path.join(os.getcwd(), path.replace("%J", str(number)).replace("%I", str(index or 0)))
        for letter, path in options.items()
        if letter in ("o", "e")
    }
    job = Job(
        number=number,
        index=index,
        name=name,
        queue=queue,
        argv=["/bin/sh", file],
        directory=os.getcwd(),
        environment=dict(os.environ),
        stdout=f"{file}.out",
        stderr=f"{file}.err" if "e" in homes else f"{file}.out",
        chunks=chunks,
        scatter="nnodes" in options,
        limit=limit,
        owner=user,
        state=State.HELD if "H" in options else State.QUEUED,
        extra={
            "command": request.command or request.script,
            "file": file,
            "homes": homes,
            "ibm": bool(launch_node),
            "launch_node": launch_node,
            "mail": "N" in options,
            "project": options.get("P", "default"),
            "slots_per_node": max(cluster.config.nodes.values()),
            "spec": options.get("J", shlex.join(request.command.split()) if request.command else "NULL"),
        },
    )
    note(job, f"Submitted from host <{os.uname().nodename}>, to Queue <{queue}>, CWD <{os.getcwd()}>{_asked(options)};")
    return job


def _asked(options: Mapping[str, str]) -> str:
    files = [f"Output File <{options['o']}>"] if "o" in options else []
    files += [f"Error File <{options['e']}>"] if "e" in options else []
    files += [f"{options['n']} Processors Requested"] if options.get("n", "1") != "1" else []
    return "".join(f", {text}" for text in files)
