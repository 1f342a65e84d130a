"""flux batch."""

from __future__ import annotations

import getopt
import os
import pwd
import re
import shlex
from collections.abc import Mapping, Sequence

from clusters.lookalikes.cluster import Chunk, Cluster, Job, State
from clusters.lookalikes.flux_jobs import RefusedError, identifier

_SHORT = "N:n:c:g:xt:q:B:o:S:"
_LONG = {
    "nodes=": "N",
    "nslots=": "n",
    "cores-per-slot=": "c",
    "gpus-per-slot=": "g",
    "exclusive": "x",
    "time-limit=": "t",
    "queue=": "q",
    "bank=": "B",
    "setopt=": "o",
    "setattr=": "S",
}
_OTHERS = ["job-name=", "output=", "error=", "cwd=", "requires=", "urgency=", "env=", "flags=", "quiet"]
_DIRECTIVE = re.compile(r"^\W*(?:flux|FLUX):(.*)$")
_DURATION = re.compile(r"(\d+(?:\.\d*)?)(ms|s|m|h|d)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def submit(cluster: Cluster, argv: Sequence[str]) -> Job:
    """Submit a script, and return its job; a job that can never run has ended at once."""
    _, rest = _options(argv)
    if not rest:
        raise RefusedError("a script is missing")
    try:
        with open(rest[0], encoding="utf-8") as stream:
            text = stream.read()
    except OSError as error:
        raise RefusedError(f"{error.strerror}: '{rest[0]}'") from None
    options: dict[str, str] = {}
    for words in (*_directives(text), argv):
        options |= _options(words)[0]
    queue = options.get("q", next(iter(cluster.config.queues)))
    if queue not in cluster.config.queues:
        raise RefusedError(f"Invalid queue '{queue}' specified")
    if cluster.config.accounts and options.get("B") not in cluster.config.accounts:
        raise RefusedError(f"user not member of bank {options.get('B')}")
    limit = _limit(cluster, options, queue)
    chunks = _chunks(cluster, options)
    number = cluster.next_number()
    script = cluster.path("spool", f"{number}.script")
    with open(script, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.chmod(script, 0o700)
    directory = options.get("cwd", os.getcwd())
    job = Job(
        number=number,
        index=None,
        name=options.get("job-name", rest[0]),
        queue=queue,
        argv=[script, *rest[1:]],
        directory=directory,
        environment=dict(os.environ),
        stdout="",
        stderr="",
        chunks=chunks,
        scatter="N" in options,
        limit=limit,
        owner=pwd.getpwuid(os.getuid()).pw_name,
        state=State.HELD if options.get("urgency") in ("0", "hold") else State.QUEUED,
        extra={"nodes": int(options.get("N", 1)), "slots": int(options.get("n", options.get("N", 1)))},
    )
    output = options.get("output", "flux-{{id}}.out")
    job.stdout, job.stderr = (
        os.path.join(directory, path.replace("{{id}}", identifier(job)))
        for path in (output, options.get("error", output))
    )
    cluster.submit([job])
    if not cluster.can_ever_run(job):
        wanted = f"need {len(chunks)} exclusive node(s), only {len(cluster.config.nodes)} eligible"
        job.extra["exception"] = ("alloc", f"unsatisfiable request: {wanted}")
        cluster.end(job)
    return job


def _options(argv: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    pairs, rest = getopt.getopt(list(argv), _SHORT, [*_LONG, *_OTHERS])
    shorts = {name.rstrip("="): short for name, short in _LONG.items()}
    return {shorts.get(name.lstrip("-"), name.lstrip("-")): value for name, value in pairs}, rest


def _directives(text: str) -> list[list[str]]:
    """Return the words of each line of options, split as RFC 36 says."""
    found = []
    for line in text.splitlines():
        if (match := _DIRECTIVE.match(line)) is not None:
            lexer = shlex.shlex(match[1], posix=True, punctuation_chars=True)
            lexer.whitespace_split, lexer.escapedquotes = True, "\"'"
            found.append(list(lexer))
        elif line.strip() and not line.startswith("#"):
            break
    return found


def _limit(cluster: Cluster, options: Mapping[str, str], queue: str) -> float | None:
    """Return a time limit, which is in minutes where it has no unit."""
    if "t" not in options:
        return None
    match = _DURATION.fullmatch(options["t"])
    if match is None:
        raise RefusedError("invalid Flux standard duration")
    seconds = float(match[1]) * _UNITS[match[2] or "m"]
    limit = seconds / 60 * cluster.config.minute
    longest = cluster.config.queues[queue].limit
    if longest is not None and limit > longest:
        raise RefusedError(f"requested duration exceeds policy limit for queue {queue}")
    return limit


def _chunks(cluster: Cluster, options: Mapping[str, str]) -> list[Chunk]:
    if "n" not in options and "N" not in options:
        raise RefusedError("Number of slots to allocate must be specified")
    hosts = re.search(r"\bhost:(\S+)", options.get("requires", ""))
    names = hosts[1].split(",") if hosts else []
    for name in names:
        if name not in cluster.config.nodes:
            raise RefusedError(f"invalid constraint: no host {name}")
    nodes, cores = int(options.get("N", 0)), int(options.get("c", 1))
    count = nodes or int(options["n"])
    cpus = cores
    if nodes:
        cpus = -(-int(options["n"]) // nodes) * cores if "n" in options and "x" not in options else 0
    return [Chunk(cpus, names[index % len(names)] if names else "") for index in range(count)]
