"""qsub of PBS."""

from __future__ import annotations

import getopt
import os
import pwd
import re
import shlex
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from clusters.lookalikes.cluster import Chunk, Cluster, Job, State
from clusters.lookalikes.pbs_jobs import (
    ILLEGAL_VALUE,
    TOO_MUCH,
    UNKNOWN_QUEUE,
    UNKNOWN_RESOURCE,
    RefusedError,
    full_id,
    identifier,
)

_OPTIONS = "A:e:hj:J:l:m:M:N:o:P:p:q:r:S:v:V"
_WITHOUT_EFFECT = {
    "mem",
    "vmem",
    "cput",
    "filesystems",
    "ngpus",
    "software",
}  # resources that nothing here has limits of
_LISTED = re.compile(r"""(?:[^,"']|"[^"]*"|'[^']*')+""")  # a comma within quotes parts nothing
_PATH = "/bin:/usr/bin"  # what jobs get from the nodes' pbs_environment


@dataclass
class _Options:
    single: dict[str, str] = field(default_factory=dict)
    resources: dict[str, str] = field(default_factory=dict)
    variables: list[str] = field(default_factory=list)

    def add(self, argv: Sequence[str]) -> list[str]:
        """Take options over, and return what follows them."""
        options, rest = getopt.getopt(list(argv), _OPTIONS)
        for name, value in options:
            if name == "-l":
                self.resources.update(_resource(item) for item in _LISTED.findall(value))
            elif name == "-v":
                self.variables += value.split(",")
            else:
                self.single[name] = value
        return rest


def qsub(cluster: Cluster, argv: Sequence[str]) -> int:
    """Submit a script, or a program behind ``--``."""
    given = _Options()
    rest = given.add(argv)
    is_program = bool(rest) and list(argv)[: len(argv) - len(rest)][-1:] == ["--"]
    text = "" if is_program else _script(rest)
    options = _Options()
    options.add([word for line in _directives(text) for word in shlex.split(line)])
    options.add(argv)
    number = cluster.next_number()
    name = options.single.get("-N") or (os.path.basename(rest[0]) if rest and not is_program else "STDIN")
    program = _program(rest) if is_program else _spooled(cluster, number, text)
    indices = _indices(options.single["-J"]) if "-J" in options.single else [None]
    jobs = [_job(cluster, options, number, index, name, program) for index in indices]
    cluster.submit(jobs)
    sys.stdout.write(f"{full_id(jobs[0])}\n")
    return 0


def _job(cluster: Cluster, options: _Options, number: int, index: int | None, name: str, program: list[str]) -> Job:
    queue = options.single.get("-q", next(iter(cluster.config.queues)))
    if queue not in cluster.config.queues:
        raise RefusedError("Unknown queue", UNKNOWN_QUEUE)
    account = options.single.get("-A", "")
    if cluster.config.accounts and account not in cluster.config.accounts:
        raise RefusedError(f"Invalid account {account!r}", 1)
    chunks, limit = _chunks(options.resources), _seconds(options.resources.get("walltime"))
    allowed = cluster.config.queues[queue]
    if (allowed.limit is not None and (limit or 0) > allowed.limit) or (
        allowed.nodes is not None and len(chunks) > allowed.nodes
    ):
        raise RefusedError("Job violates queue and/or server resource limits", TOO_MUCH)
    job = Job(
        number=number,
        index=index,
        name=name,
        queue=queue,
        argv=program,
        directory=cluster.path("home"),
        environment=_environment(cluster, options, queue),
        stdout="",
        stderr="",
        chunks=chunks,
        scatter="nodes" in options.resources or options.resources.get("place", "").startswith("scatter"),
        limit=limit,
        owner=pwd.getpwuid(os.getuid()).pw_name,
        state=State.HELD if "-h" in options.single else State.QUEUED,
        extra={"resources": options.resources, "account": account},
    )
    suffix = f"{number}" if index is None else f"{number}.{index}"
    for kind, ending, attribute in (("o", "OU", "Output_Path"), ("e", "ER", "Error_Path")):
        path = options.single.get(f"-{kind}", f"{name}.{kind}{suffix}").replace("^array_index^", str(index))
        path = os.path.join(os.getcwd(), re.sub(r"^[\w.-]+:", "", path))
        job.extra[attribute] = os.path.join(path, f"{identifier(job)}.{ending}") if os.path.isdir(path) else path
    job.stdout = cluster.path("spool", f"{identifier(job)}.OU")
    job.stderr = job.stdout if options.single.get("-j") == "oe" else cluster.path("spool", f"{identifier(job)}.ER")
    return job


def _script(rest: Sequence[str]) -> str:
    if not rest:
        return sys.stdin.read()
    try:
        with open(rest[0], encoding="utf-8") as stream:
            return stream.read()
    except OSError as error:
        raise RefusedError(f"script file:: {error.strerror}", 1) from None


def _directives(text: str) -> list[str]:
    """Return the options in a script: they end at its first command."""
    found = []
    for line in text.splitlines():
        if line.startswith("#PBS "):
            found.append(line.removeprefix("#PBS "))
        elif line.strip() and not line.lstrip().startswith(("#", ":")):
            break
    return found


def _spooled(cluster: Cluster, number: int, text: str) -> list[str]:
    """Return the command that runs a copy of a script: what becomes of the script itself later does not matter."""
    path = cluster.path("spool", f"{number}.SC")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.chmod(path, 0o700)
    return [path] if text.startswith("#!") else ["/bin/bash", path]


def _program(rest: Sequence[str]) -> list[str]:
    return [rest[0] if "/" in rest[0] else f"/usr/bin/{rest[0]}", *rest[1:]]


def _resource(item: str) -> tuple[str, str]:
    name, _, value = item.partition("=")
    if name not in {"select", "nodes", "ncpus", "place", "walltime", *_WITHOUT_EFFECT}:
        raise RefusedError(f"Unknown resource Resource_List.{name}", UNKNOWN_RESOURCE)
    return name, value.strip("\"'")


def _chunks(resources: dict[str, str]) -> list[Chunk]:
    name = next((name for name in ("select", "nodes") if name in resources), None)
    if name is None:
        return [Chunk(_count("ncpus", resources.get("ncpus", "1")))]
    chunks: list[Chunk] = []
    for part in resources[name].split("+"):
        first, *others = part.split(":")
        if "=" in first:
            first, others = "1", [first, *others]
        wanted = dict(other.partition("=")[::2] for other in others)
        cpus = _count(name, wanted.get("ncpus", wanted.get("ppn", "1")))
        chunks += [Chunk(cpus, wanted.get("host", "")) for _ in range(_count(name, first))]
    return chunks


def _count(name: str, text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise RefusedError(f"Illegal attribute or resource value Resource_List.{name}", ILLEGAL_VALUE)
    return int(text)


def _seconds(walltime: str | None) -> float | None:
    if walltime is None:
        return None
    if not re.fullmatch(r"(\d+:){0,2}\d+", walltime):
        raise RefusedError("Illegal attribute or resource value Resource_List.walltime", ILLEGAL_VALUE)
    seconds = 0
    for part in walltime.split(":"):
        seconds = 60 * seconds + int(part)
    return float(seconds)


def _indices(text: str) -> list[int | None]:
    match = re.fullmatch(r"(\d+)-(\d+)(?::(\d+))?", text)
    if match is None or int(match[1]) >= int(match[2]):
        raise RefusedError("illegal -J value", 1)
    return [*range(int(match[1]), int(match[2]) + 1, int(match[3] or 1))]


def _environment(cluster: Cluster, options: _Options, queue: str) -> dict[str, str]:
    user = pwd.getpwuid(os.getuid())
    origin = {
        f"PBS_O_{name}": value
        for name in ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TZ")
        if (value := os.environ.get(name)) is not None
    }
    named = dict(
        item.partition("=")[::2] if "=" in item else (item, os.environ.get(item, "")) for item in options.variables
    )
    return {
        "PATH": _PATH,
        **(os.environ if "-V" in options.single else {}),
        **named,
        "HOME": cluster.path("home"),
        "LOGNAME": user.pw_name,
        "SHELL": user.pw_shell,
        "USER": user.pw_name,
        **origin,
        "PBS_O_HOST": socket.gethostname(),
        "PBS_O_QUEUE": queue,
        "PBS_O_SYSTEM": os.uname().sysname,
        "PBS_O_WORKDIR": os.getcwd(),
    }
