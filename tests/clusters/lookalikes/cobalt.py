"""Looks like Cobalt: qsub, qstat, qdel and qrls, after its source (it was never run beside this).

A node is a job's alone. A minute of a time limit has as many seconds as the site says (`Config.minute`).
"""

from __future__ import annotations

import getopt
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from clusters.lookalikes.cluster import Cluster, Front, Job, State
from clusters.lookalikes.cobalt_qsub import RefusedError, qsub

_DEFAULT_COLUMNS = "JobID:User:WallTime:Nodes:State:Location"
_FULL_COLUMNS = (
    "JobID:JobName:User:WallTime:QueuedTime:RunTime:TimeRemaining:Nodes:State:Location:Mode:Procs:Preemptable:Queue:"
    "StartTime:Index"
)


class _Cobalt:
    """Cobalt."""

    programs: Sequence[str] = ("qsub", "qstat", "qdel", "qrls")
    delete_signals: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGKILL)
    limit_signals: Sequence[signal.Signals] = delete_signals

    def run(self, cluster: Cluster, program: str, argv: Sequence[str]) -> int:
        """Run a program."""
        programs: dict[str, Callable[[Cluster, Sequence[str]], int]] = {
            "qsub": qsub,
            "qstat": _qstat,
            "qdel": _qdel,
            "qrls": _qrls,
        }
        if list(argv) == ["--version"]:
            sys.stdout.write(f"version: '{program}.py $Revision$, Cobalt 1.0.35'\n")
            return 0
        try:
            with cluster:
                return programs[program](cluster, argv)
        except (getopt.GetoptError, RefusedError) as error:
            sys.stderr.write(f"{error}\n")
            return 1

    def unreachable(self, program: str) -> int:
        """Say that the queue manager does not answer."""
        sys.stderr.write(f"component error: {program} cannot reach queue-manager: [Errno 111] Connection refused\n")
        return 1

    def environment(self, cluster: Cluster, job: Job) -> Mapping[str, str]:
        """Return what the job was given by ``--env``, and what Cobalt says of it: nothing of who submitted it."""
        hosts = cluster.path("spool", f"cobalt.{job.number}")
        with open(hosts, "w", encoding="utf-8") as stream:
            stream.writelines(f"{node}\n" for node in job.nodes)
        environment = {
            **job.environment,
            "COBALT_JOBID": str(job.number),
            "COBALT_STARTTIME": str(int(job.started)),
            "COBALT_ENDTIME": str(int(job.started + (job.limit or 0))),
            "COBALT_PARTNAME": _location(job),
            "COBALT_PARTSIZE": str(len(job.nodes)),
            "COBALT_JOBSIZE": str(job.extra["procs"]),
            "COBALT_NODEFILE": hosts,
        }
        said = "\n".join(f"{name}={value}" for name, value in environment.items())
        _log(job, f"{time.ctime()} Command: {job.argv[-1]}\n{time.ctime()} Environment:\n{said}\n")
        return environment

    def ended(self, cluster: Cluster, job: Job) -> None:
        """Write the job's end into its log, and forget the job."""
        if job.cause == "limit":
            _log(job, "Info: maximum execution time exceeded; initiating job termination")
        if job.returncode is not None:
            code = job.returncode if job.returncode >= 0 else 128 - job.returncode
            _log(job, f"Info: task completed normally with an exit code of {code}; initiating job cleanup and removal")
        cluster.forget(job)


FRONT: Front = _Cobalt()


def _log(job: Job, line: str) -> None:
    with open(job.extra["log"], "a", encoding="utf-8") as stream:
        stream.write(f"{line}\n")


def _qstat(cluster: Cluster, argv: Sequence[str]) -> int:
    pairs, names = getopt.gnu_getopt(list(argv), "f", ["header="])
    options = dict(pairs)
    for name in names:
        if not name.isdigit():
            raise RefusedError(f"{name} is not a valid jobid or queue name")
    jobs = [job for job in cluster.jobs.values() if not names or str(job.number) in names]
    if names and not jobs:
        return 1
    header = options.get("--header", _FULL_COLUMNS if "-f" in options else _DEFAULT_COLUMNS).split(":")
    rows = [_fields(cluster, job) for job in jobs]
    sys.stdout.write(_table(header, [[row.get(name.lower(), "-") for name in header] for row in rows]))
    return 0


def _fields(cluster: Cluster, job: Job) -> dict[str, str]:
    minutes = int((job.limit or 0) / cluster.config.minute)
    started = job.started or time.time()
    return {
        "jobid": str(job.number),
        "jobname": job.name,
        "user": job.owner,
        "walltime": f"{minutes // 60:02}:{minutes % 60:02}:00",
        "queuedtime": _hours(started - job.submitted),
        "runtime": _hours(time.time() - started) if job.started else "N/A",
        "timeremaining": _hours((job.limit or 0) - time.time() + started) if job.started else "N/A",
        "nodes": str(len(job.chunks)),
        "state": _state(job),
        "location": _location(job) or "None",
        "mode": "script",
        "procs": str(job.extra["procs"]),
        "preemptable": "False",
        "queue": job.queue,
        "starttime": time.ctime(job.started) if job.started else "N/A",
        "index": "None",
        "project": job.extra["project"] or "None",
    }


def _state(job: Job) -> str:
    if job.state is State.HELD:
        return "user_hold"
    if job.runs and job.cause:
        return "killing"
    return str(job.state)


def _location(job: Job) -> str:
    return ",".join(job.nodes)


def _hours(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(max(0.0, seconds)))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    line = "=" * (sum(widths) + 2 * len(widths))
    shown = ["".join(f"{cell:<{width}}  " for cell, width in zip(row, widths, strict=True)) for row in (header, *rows)]
    return "".join(f"{text}\n" for text in (shown[0], line, *shown[1:]))


def _qdel(cluster: Cluster, argv: Sequence[str]) -> int:
    _, names = getopt.gnu_getopt(list(argv), "")
    if not names:
        raise RefusedError("Usage: qdel [--version] <jobid> <jobid>\nNo Jobid(s) given")
    for name in names:
        if not name.isdigit():
            raise RefusedError(f"jobid must be an integer: {name}")
    jobs = [job for job in cluster.jobs.values() if str(job.number) in names]
    for job in jobs:
        if job.state is State.EXITING:
            continue
        if job.runs:
            how = f"with signal SIGTERM requested by user {job.owner}; initiating job cleanup and removal"
        else:
            how = "requested; removing job from the queue"
        _log(job, f"Info: user delete {how}")
        cluster.delete(job, job.owner)
    if jobs:
        sys.stdout.write(f"      Deleted Jobs\n{_table(['JobID', 'User'], [[str(j.number), j.owner] for j in jobs])}")
    return 0


def _qrls(cluster: Cluster, argv: Sequence[str]) -> int:
    _, names = getopt.gnu_getopt(list(argv), "", ["dependencies"])
    for job in cluster.jobs.values():
        if str(job.number) in names and job.state is State.HELD:
            job.state = State.QUEUED
            cluster.save(job)
    return 0
