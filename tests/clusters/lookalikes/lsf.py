"""Looks like LSF of the OpenLava family: bsub, bjobs, bkill, bhist, bstop, bresume and lsid.

Texts, states and exit codes are those that were recorded. Options that drivers do not use are usage errors, and usages
are cut to a line. Unlike the real one it lets root submit. It was recorded that programs wait without end while it is
away; here they give up after two minutes. `coral` is the same with JSM.
"""

from __future__ import annotations

import getopt
import os
import pwd
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from clusters.lookalikes import lsf_bhist
from clusters.lookalikes.cluster import Cluster, Front, Job, State
from clusters.lookalikes.lsf_bjobs import bjobs
from clusters.lookalikes.lsf_bsub import bsub
from clusters.lookalikes.lsf_jobs import (
    REFUSED,
    RefusedError,
    counted_hosts,
    find,
    hosts,
    identifier,
    note,
    note_signal,
    shown_name,
    word,
)

_PATIENCE = 120  # seconds
_REPORT = """\
Sender: LSF System <{owner}@{host}>
Subject: Job {id}: <{spec}> {how}

Job <{spec}> was submitted from host <{host}> by user <{owner}>.
Job was executed on host(s) <{hosts}>, in queue <{queue}>, as user <{owner}>.
<{home}> was used as the home directory.
<{directory}> was used as the working directory.
Started at {started}
Results reported at {ended}

Your job looked like:

------------------------------------------------------------
# LSBATCH: User input
{command}
------------------------------------------------------------

{end}

Resource usage summary:

    CPU time   :      0.01 sec.

The output (if any) follows:

"""
_ERRORS = "\n\nPS:\n\nRead file <{errors}> for stderr output of this job.\n\n"


class Lsf:
    """LSF.

    Args:
        launch_node: where the scripts of jobs run with JSM; empty without it.
        version: the first line of lsid.
    """

    programs: Sequence[str] = ("bsub", "bjobs", "bkill", "bhist", "bstop", "bresume", "lsid")
    delete_signals: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
    limit_signals: Sequence[signal.Signals] = (signal.SIGUSR2, *delete_signals)

    def __init__(self, launch_node: str = "", version: str = "volclava project 2.2, Nov 21 2026") -> None:
        self._launch_node = launch_node
        self._version = version

    def run(self, cluster: Cluster, program: str, argv: Sequence[str]) -> int:
        """Run a program."""
        programs: dict[str, Callable[[Cluster, Sequence[str]], int]] = {
            "bsub": lambda cluster, argv: bsub(cluster, argv, launch_node=self._launch_node),
            "bjobs": lambda cluster, argv: bjobs(cluster, argv, is_ibm=bool(self._launch_node)),
            "bkill": _bkill,
            "bhist": lsf_bhist.bhist,
            "bstop": _bstop,
            "bresume": _bresume,
            "lsid": self._lsid,
        }
        if list(argv) == ["-V"]:
            return 0
        try:
            with cluster:
                return programs[program](cluster, argv)
        except getopt.GetoptError as error:
            sys.stderr.write(f"{program}: invalid option -- '{error.opt}'\nUsage: {program} [-h] [-V] ...\n")
            return REFUSED
        except RefusedError as refused:
            sys.stderr.write(f"{refused}\n")
            return refused.code

    def unreachable(self, program: str) -> int:
        """Say so again and again."""
        if program == "lsid":
            sys.stdout.write(f"{self._version}\n\n")
            sys.stderr.write("ls_getclustername(): LIM is down; try later\n")
            return REFUSED
        for _ in range(_PATIENCE):
            sys.stderr.write("LSF daemon (LIM) not responding ... still trying\n")
            time.sleep(1)
        return REFUSED

    def environment(self, cluster: Cluster, job: Job) -> Mapping[str, str]:
        """Return what the job was submitted with, and what LSF says of it."""
        environment = {
            **job.environment,
            "LSB_ACCT_FILE": f"{job.extra['file']}.acct",
            "LSB_CHKFILENAME": job.extra["file"],
            "LSB_EXIT_PRE_ABORT": "99",
            "LSB_HOSTS": " ".join(hosts(job)),
            "LSB_JOBEXIT_STAT": "0",
            "LSB_JOBFILENAME": job.extra["file"],
            "LSB_JOBID": str(job.number),
            "LSB_JOBINDEX": str(job.index or 0),
            "LSB_JOBNAME": job.extra["spec"],
            "LSB_MCPU_HOSTS": "".join(f"{host} {slots} " for host, slots in counted_hosts(job).items()),
            "LSB_QUEUE": job.queue,
            "LSB_SUB_HOST": os.uname().nodename,
            "LSB_TRAPSIGS": "trap # 15 10 12 2 1",
            "LSFUSER": job.owner,
            "LS_EXEC_T": "START",
            "LS_SUBCWD": job.directory,
        }
        for letter, name in (("o", "LSB_OUTPUTFILE"), ("e", "LSB_ERRORFILE")):
            if letter in job.extra["homes"]:
                environment[name] = job.extra["homes"][letter]
        if job.index is not None:
            last = max(other.index or 0 for other in cluster.jobs.values() if other.number == job.number)
            environment |= {"LSB_JOBINDEX_END": str(last), "LSB_JOBINDEX_STEP": "1"}
        if self._launch_node:
            file = f"{job.extra['file']}.hostfile"
            with open(file, "w", encoding="utf-8") as stream:
                stream.writelines(f"{host}\n" for host in hosts(job))
            environment |= {"LSB_DJOB_HOSTFILE": file, "LSB_DJOB_NUMPROC": str(len(hosts(job)))}
        return environment

    def ended(self, cluster: Cluster, job: Job) -> None:
        """Keep the history, and bring the output home behind a report."""
        lsf_bhist.keep(cluster, job)
        if not job.started:
            return
        report = "" if job.extra["mail"] else _report(job)
        for letter, spooled in (("o", job.stdout), ("e", job.stderr)):
            home = job.extra["homes"].get(letter, cluster.path("mail") if letter == "o" else "")
            if not home or not os.path.exists(spooled):
                continue
            try:
                with open(home, "ab") as to, open(spooled, "rb") as output:
                    to.write(report.encode() if letter == "o" else b"")
                    shutil.copyfileobj(output, to)
                    if letter == "o" and report and "e" in job.extra["homes"]:
                        to.write(_ERRORS.format(errors=job.extra["homes"]["e"]).encode())
            except OSError:
                continue  # recorded: it is lost, and nobody is told

    def _lsid(self, cluster: Cluster, argv: Sequence[str]) -> int:  # noqa: ARG002 - as every program
        host = os.uname().nodename
        sys.stdout.write(f"{self._version}\n\nMy cluster name is volclava\nMy master name is {host}\n")
        return 0


FRONT: Front = Lsf()


def _report(job: Job) -> str:
    done = word(job) == "DONE"
    return _REPORT.format(
        owner=job.owner,
        host=os.uname().nodename,
        id=identifier(job),
        spec=job.extra["spec"],
        how="Done" if done else "Exited",
        hosts=" ".join(f"{slots}*{host}" if slots > 1 else host for host, slots in counted_hosts(job).items()),
        queue=job.queue,
        home=job.environment.get("HOME", "/"),
        directory=job.directory,
        started=time.strftime("%a %b %d %H:%M:%S %Y", time.localtime(job.started)),
        ended=time.strftime("%a %b %d %H:%M:%S %Y", time.localtime(job.ended)),
        command=job.extra["command"],
        end="Successfully completed." if done else f"Exited with exit code {job.returncode}.",
    )


def _bkill(cluster: Cluster, argv: Sequence[str]) -> int:
    options, names = getopt.getopt(list(argv), "rs:J:")
    wanted = dict(options).get("-s", "").removeprefix("SIG")
    user = pwd.getpwuid(os.getuid()).pw_name
    if names == ["0"]:
        names = [identifier(job) for job in cluster.jobs.values() if not job.is_over]
    named = [shown for _, shown in options if _ == "-J"]
    names += [str(job.number) for job in cluster.jobs.values() if shown_name(job) in named and not job.is_over]

    def terminate(jobs: Sequence[Job]) -> str:
        under_way = any(job.cause for job in jobs)
        for job in jobs:
            if not job.cause:
                note_signal(job, "KILL", user)
            cluster.delete(job, user)
        if under_way:
            raise RefusedError("Operation is in progress")
        return "is being terminated"

    def send(jobs: Sequence[Job]) -> str:
        for job in jobs:
            if not job.runs:
                raise RefusedError("Job has not started yet")
            note_signal(job, wanted, user)
            cluster.signal(job, signal.Signals[f"SIG{wanted}"])
            cluster.save(job)
        return "is being signaled"

    return _each(cluster, names, send if wanted else terminate)


def _bstop(cluster: Cluster, argv: Sequence[str]) -> int:
    def stop(jobs: Sequence[Job]) -> str:
        for job in jobs:
            waits = job.state is State.QUEUED
            note(job, f"Suspended by the user or administrator{' while pending' if waits else ''};")
            if waits:
                job.state = State.HELD
            else:
                cluster.signal(job, signal.SIGSTOP)
            cluster.save(job)
        return "is being stopped"

    return _each(cluster, argv, stop)


def _bresume(cluster: Cluster, argv: Sequence[str]) -> int:
    def resume(jobs: Sequence[Job]) -> str:
        for job in jobs:
            if job.state is State.HELD:
                job.state = State.QUEUED
            else:
                cluster.signal(job, signal.SIGCONT)
                note(job, "Running;")
            cluster.save(job)
        return "is being resumed"

    return _each(cluster, argv, resume)


def _each(cluster: Cluster, names: Sequence[str], do: Callable[[Sequence[Job]], str]) -> int:
    """Do something to each job that is named and did not end; return 255 when one could not be."""
    code = 0
    for name in names:
        try:
            jobs = find(cluster, name)
            if not jobs:
                raise RefusedError("No matching job found")
            left = [job for job in jobs if not job.is_over]
            if not left:
                raise RefusedError("Job has already finished")
            sys.stdout.write(f"Job <{name}> {do(left)}\n")
        except RefusedError as refused:
            sys.stderr.write(f"Job <{name}>: {refused}\n")
            code = refused.code
    return code
