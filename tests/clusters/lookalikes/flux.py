"""Looks like Flux 0.88: flux batch, jobs, cancel, job, uptime, getattr and resource; and flux run within a job.

Texts, states, results and exit codes are those that were recorded, or those of its Python parts. A real batch job is an
instance of its own, whose broker gets the signals that end the job; what it then does with the script was not recorded.
Here the script gets them itself. Not recorded are the words about jobs that are over or unknown, other than those of
``flux jobs``. Which cores a job has on its nodes is not kept.
"""

from __future__ import annotations

import getopt
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from clusters.lookalikes import flux_batch
from clusters.lookalikes.cluster import Cluster, Front, Job, State
from clusters.lookalikes.flux_jobs import RefusedError, exit_code, find, identifier, record, shown
from clusters.lookalikes.starting import Program, run

_USAGE = 2
_SHELL_SIGNAL = 128
_RUN = ["nodes=", "ntasks=", "cores-per-task=", "gpus-per-task=", "tasks-per-node=", "env=", "cwd=", "time-limit="]
_RUN += ["job-name=", "output=", "error=", "requires=", "queue=", "exclusive", "verbose", "quiet"]


class _Flux:
    """Flux."""

    programs: Sequence[str] = ("flux",)
    delete_signals: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGKILL)
    limit_signals: Sequence[signal.Signals] = (signal.SIGALRM, signal.SIGKILL)

    def run(self, cluster: Cluster, program: str, argv: Sequence[str]) -> int:  # noqa: ARG002 - there is one
        """Run a subcommand."""
        commands: dict[str, Callable[[Cluster, Sequence[str]], int]] = {
            "batch": _batch,
            "cancel": _cancel,
            "getattr": _getattr,
            "job": _job,
            "jobs": _jobs,
            "resource": _resource,
            "run": _run,
            "uptime": _uptime,
        }
        words = [word for word in argv if word != "--parent"]
        if words == ["--version"]:
            sys.stdout.write("commands:    \t\t0.88.0\nlibflux-core:\t\t0.88.0\n")
            return 0
        command, *rest = words
        try:
            return commands[command](cluster, rest)
        except getopt.GetoptError as error:
            sys.stderr.write(f"usage: flux {command} [OPTIONS...]\nflux-{command}: error: {error.msg}\n")
            return _USAGE
        except RefusedError as refused:
            sys.stderr.write(f"flux-{command}: ERROR: {refused}\n")
            return 1

    def unreachable(self, program: str) -> int:
        """Say that there is no instance."""
        sys.stderr.write(f"{program}: ERROR: Unable to connect to Flux: broker socket /run/flux/local was not found\n")
        return 1

    def environment(self, cluster: Cluster, job: Job) -> Mapping[str, str]:
        """Return what the job was submitted with, and where its own instance is."""
        return {**job.environment, "FLUX_URI": f"local://{cluster.path('spool')}/{identifier(job)}/local-0"}

    def ended(self, cluster: Cluster, job: Job) -> None:
        """Have it stay in the list of jobs."""


FRONT: Front = _Flux()


def _batch(cluster: Cluster, argv: Sequence[str]) -> int:
    with cluster:
        job = flux_batch.submit(cluster, argv)
    sys.stdout.write(f"{shown(job)}\n")
    return 0


def _jobs(cluster: Cluster, argv: Sequence[str]) -> int:
    """Show jobs, as JSON alone, and the queue of one."""
    pairs, names = getopt.gnu_getopt(list(argv), "ano:", ["json"])
    options = dict(pairs)
    with cluster:
        jobs, unknown = find(cluster, names)
        if not names:
            jobs = [job for job in cluster.jobs.values() if "-a" in options or not job.is_over]
        records = [record(cluster, job) for job in jobs]
    for name in unknown:
        sys.stderr.write(f"JobID {name} unknown\n")
    if "--json" not in options:
        form = options.get("-o", "{jobid}")
        sys.stdout.write("".join(f"{form.format_map(told)}\n" for told in records))
    elif len(names) == 1 and records:
        sys.stdout.write(f"{json.dumps(records[0])}\n")
    elif len(names) != 1:
        sys.stdout.write(f"{json.dumps({'jobs': records})}\n")
    return 1 if unknown else 0


def _cancel(cluster: Cluster, argv: Sequence[str]) -> int:
    def cancel(job: Job) -> None:
        cluster.delete(job, job.owner)

    return _each(cluster, argv, cancel)


def _job(cluster: Cluster, argv: Sequence[str]) -> int:
    command, *rest = argv
    pairs, names = getopt.getopt(rest, "s:t:", ["signal=", "timeout="])
    options = dict(pairs)
    if command == "kill":
        wanted = (options.get("-s") or options.get("--signal") or "SIGTERM").removeprefix("SIG")

        def kill(job: Job) -> None:
            if not job.runs:
                raise RefusedError("job is not running")
            cluster.signal(job, signal.Signals[f"SIG{wanted}"])

        return _each(cluster, names, kill)
    if command == "urgency":
        name, urgency = names

        def change(job: Job) -> None:
            if job.state in (State.HELD, State.QUEUED):
                job.state = State.HELD if urgency in ("0", "hold") else State.QUEUED
                cluster.save(job)

        return _each(cluster, [name], change)
    if command == "wait-event":
        job = _ended(cluster, names[0], float(options.get("-t") or options.get("--timeout") or "inf"))
        sys.stdout.write(f"{job.ended:.6f} {names[1]}\n")
        return 0
    if command == "status":
        return max(abs(exit_code(_ended(cluster, name, float("inf")))) for name in names)
    raise RefusedError(f"unknown command: {command}")


def _ended(cluster: Cluster, name: str, timeout: float) -> Job:
    """Wait until a job ended."""
    due = time.monotonic() + timeout
    while time.monotonic() < due:
        with cluster:
            [job], _ = find(cluster, [name])
        if job.is_over:
            return job
        time.sleep(0.05)
    raise RefusedError("wait-event timeout on event 'clean'")


def _each(cluster: Cluster, names: Sequence[str], do: Callable[[Job], None]) -> int:
    """Do something to each job that is named and did not end; return 1 when one could not be."""
    code = 0
    with cluster:
        for name in names:
            jobs, _ = find(cluster, [name])
            try:
                if not jobs:
                    raise RefusedError("unknown job id")
                if jobs[0].is_over:
                    raise RefusedError("job is inactive")
                do(jobs[0])
            except RefusedError as refused:
                sys.stderr.write(f"flux-job: {name}: {refused}\n")
                code = 1
    return code


def _uptime(cluster: Cluster, argv: Sequence[str]) -> int:  # noqa: ARG001 - as every subcommand
    now = time.strftime("%H:%M:%S")
    depth = 1 if _own(cluster) else 0
    sys.stdout.write(f" {now} run 1.1s,  owner root,  depth {depth},  size {len(_nodes(cluster))}\n")
    return 0


def _getattr(cluster: Cluster, argv: Sequence[str]) -> int:
    own = _own(cluster)
    known = {"size": str(len(_nodes(cluster)))} | ({"jobid": shown(own)} if own else {})
    if argv[0] not in known:
        raise RefusedError(f"{argv[0]}: No such file or directory")
    sys.stdout.write(f"{known[argv[0]]}\n")
    return 0


def _resource(cluster: Cluster, argv: Sequence[str]) -> int:
    if list(argv) != ["R"]:
        raise RefusedError(f"unknown command: {' '.join(argv)}")
    nodes = _nodes(cluster)
    entries = [
        {"rank": str(rank), "children": {"core": f"0-{cpus - 1}" if cpus > 1 else "0"}}
        for rank, cpus in enumerate(nodes.values())
    ]
    execution = {"R_lite": entries, "starttime": 0.0, "expiration": 0.0, "nodelist": list(nodes)}
    sys.stdout.write(f"{json.dumps({'version': 1, 'execution': execution})}\n")
    return 0


def _own(cluster: Cluster) -> Job | None:
    """Return the job that this process runs in."""
    uri = os.environ.get("FLUX_URI", "")
    with cluster:
        return next((job for job in cluster.jobs.values() if f"/{identifier(job)}/" in uri), None)


def _nodes(cluster: Cluster) -> dict[str, int]:
    """Return the nodes of the instance that is asked, with their cores."""
    own = _own(cluster)
    if own is None:
        return cluster.config.nodes
    nodes: dict[str, int] = {}
    for chunk, node in zip(own.chunks, own.nodes, strict=True):
        nodes[node] = nodes.get(node, 0) + (chunk.cpus or cluster.config.nodes[node])
    return nodes


def _run(cluster: Cluster, argv: Sequence[str]) -> int:
    """Run ranks in the job that this process runs in, and wait for them."""
    pairs, command = getopt.getopt(list(argv), "N:n:c:g:t:q:x", _RUN)
    options = dict(pairs)
    if _own(cluster) is None:
        raise RefusedError("steps run within jobs here")
    hosts = _nodes(cluster)
    nodes = int(options.get("-N") or options.get("--nodes") or 0)
    if nodes > len(hosts):
        sys.stderr.write(
            f"0.024s: job.exception ƒ2M1jD5R type=alloc severity=0 unsatisfiable request: need {nodes} exclusive "
            f"node(s), only {len(hosts)} eligible\n"
        )
        return 1
    given = [value.partition("=")[::2] for name, value in pairs if name == "--env" and "=" in value]
    chosen = [host.removeprefix("host:") for host in options.get("--requires", "").split(",") if host] or list(hosts)
    program = Program(
        command,
        int(options.get("-n") or options.get("--ntasks") or nodes or 1),
        int(options.get("--tasks-per-node", 0)),
        {**dict(given), "FLUX_JOB_NNODES": str(nodes or 1)},
        options.get("--cwd", "."),
        chosen[: nodes or len(chosen)],
        os.path.abspath(options["--output"]) if "--output" in options else "",
        os.path.abspath(options["--error"]) if "--error" in options else "",
    )
    code = run("flux", [program])
    if code > _SHELL_SIGNAL:
        sys.stderr.write(f"flux-job: task(s) {signal.strsignal(code - _SHELL_SIGNAL)}\n")
    elif code:
        sys.stderr.write(f"flux-job: task(s) exited with exit code {code}\n")
    return code
