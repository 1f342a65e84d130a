"""Looks like OpenPBS 23: qsub, qstat, qdel, qsig and qrls, with the options that drivers use; others are usage errors.

Texts, states and exit codes are those of the real one where it was recorded. Not recorded, and so only alike: what it
says to `-l` that asks for too much, to an account that may not run, and to anything while the server is away.
"""

from __future__ import annotations

import getopt
import os
import secrets
import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence

from clusters.lookalikes import pbs_qstat, pbs_qsub
from clusters.lookalikes.cluster import Cluster, Front, Job, State
from clusters.lookalikes.pbs_jobs import HAS_FINISHED, SERVER, UNKNOWN_JOB, RefusedError, find, full_id, identifier

_UNREACHABLE = 111
_USAGE = 2


class _Pbs:
    """PBS."""

    programs: Sequence[str] = ("qsub", "qstat", "qdel", "qsig", "qrls")
    delete_signals: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGKILL)
    limit_signals: Sequence[signal.Signals] = delete_signals

    def run(self, cluster: Cluster, program: str, argv: Sequence[str]) -> int:
        """Run a program."""
        if list(argv) == ["--version"]:
            sys.stdout.write("pbs_version = 23.06.06\n")
            return 0
        programs: dict[str, Callable[[Cluster, Sequence[str]], int]] = {
            "qsub": pbs_qsub.qsub,
            "qstat": pbs_qstat.qstat,
            "qdel": _qdel,
            "qsig": _qsig,
            "qrls": _qrls,
        }
        try:
            with cluster:
                return programs[program](cluster, argv)
        except getopt.GetoptError as error:
            sys.stderr.write(f"{program}: {error.msg}\nusage: {program} [options] [arguments]\n")
            return _USAGE
        except RefusedError as refused:
            sys.stderr.write(f"{program}: {refused}\n")
            return refused.code

    def unreachable(self, program: str) -> int:
        """Say that no connection can be made."""
        sys.stderr.write(f"Connection refused\n{program}: cannot connect to server {SERVER} (errno={_UNREACHABLE})\n")
        return _UNREACHABLE

    def environment(self, cluster: Cluster, job: Job) -> Mapping[str, str]:
        """Return what the job was submitted with, and what PBS says of it."""
        name = identifier(job)
        hosts = cluster.path("spool", f"{name}.nodes")
        with open(hosts, "w", encoding="utf-8") as stream:
            stream.writelines(f"{node}\n" for node in job.nodes)
        array = {} if job.index is None else {"PBS_ARRAY_INDEX": str(job.index), "PBS_ARRAY_ID": full_id(job)}
        return {
            **job.environment,
            **array,
            "PBS_ENVIRONMENT": "PBS_BATCH",
            "PBS_JOBCOOKIE": secrets.token_hex(16).upper(),
            "PBS_JOBDIR": job.directory,
            "PBS_JOBID": name,
            "PBS_JOBNAME": job.name,
            "PBS_MOMPORT": "15003",
            "PBS_NODEFILE": hosts,
            "PBS_NODENUM": "0",
            "PBS_QUEUE": job.queue,
            "PBS_TASKNUM": "1",
            "NCPUS": str(job.chunks[0].cpus),
            "OMP_NUM_THREADS": str(job.chunks[0].cpus),
        }

    def ended(self, cluster: Cluster, job: Job) -> None:
        """Bring the output home, and forget the job where there is no history."""
        for spooled, home in ((job.stdout, job.extra["Output_Path"]), (job.stderr, job.extra["Error_Path"])):
            if os.path.exists(spooled):
                try:
                    shutil.copyfile(spooled, home)  # which may be /dev/null, to stay as it is
                    os.unlink(spooled)
                except OSError as error:  # it stays where it is, and a mail goes to the user
                    with open(cluster.path("mail"), "a", encoding="utf-8") as stream:
                        stream.write(f"{identifier(job)}: {error}\n")
        siblings = [other for other in cluster.jobs.values() if other.number == job.number]
        if not cluster.config.history and all(other.is_over for other in siblings):
            for other in siblings:
                cluster.forget(other)


FRONT: Front = _Pbs()


def _qdel(cluster: Cluster, argv: Sequence[str]) -> int:
    options, names = getopt.getopt(list(argv), "W:x")
    force = ("-W", "force") in options

    def delete(jobs: Sequence[Job]) -> None:
        left = [job for job in jobs if not job.is_over]
        if not left:
            raise RefusedError(f"Job has finished {full_id(jobs[0])}", HAS_FINISHED)
        for job in left:
            cluster.delete(job, job.owner, force=force)

    return _each("qdel", cluster, names, delete)


def _qsig(cluster: Cluster, argv: Sequence[str]) -> int:
    options, names = getopt.getopt(list(argv), "s:")
    wanted = dict(options).get("-s", "SIGTERM")
    number = {"suspend": signal.SIGSTOP, "resume": signal.SIGCONT}.get(wanted) or signal.Signals[
        f"SIG{wanted.removeprefix('SIG')}"
    ]

    def send(jobs: Sequence[Job]) -> None:
        for job in jobs:
            if not job.runs:
                raise RefusedError(f"Request invalid for state of job {identifier(job)}", UNKNOWN_JOB + 1)
            cluster.signal(job, number)

    return _each("qsig", cluster, names, send)


def _qrls(cluster: Cluster, argv: Sequence[str]) -> int:
    _, names = getopt.getopt(list(argv), "h:")

    def release(jobs: Sequence[Job]) -> None:
        for job in jobs:
            if job.state is State.HELD:
                job.state = State.QUEUED
                cluster.save(job)

    return _each("qrls", cluster, names, release)


def _each(program: str, cluster: Cluster, names: Iterable[str], do: Callable[[Sequence[Job]], None]) -> int:
    """Do something to each job that is named, and return the exit code of the last refusal."""
    code = 0
    for name in names:
        try:
            do(find(cluster, name))
        except RefusedError as refused:
            sys.stderr.write(f"{program}: {refused}\n")
            code = refused.code
    return code
