"""Cobalt, the scheduler of Argonne's machines.

A job that ended is gone from its queue at once, and nobody is told its exit code. What became of it stands in a log
file, which Cobalt writes for each job.

Jobs get nothing of the environment that they are submitted from: members have the variables of their run settings, what
the nodes' login shells set, and what the preamble of their job does.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Mapping, Sequence

from smartsim.adapters.wlm.job_script import returncode_of
from smartsim.adapters.wlm.refusals import refusal
from smartsim.adapters.wlm.scheduler import Command, JobFacts, Phase
from smartsim.domain.errors import LauncherUnsupportedFeature
from smartsim.domain.steps import Batch
from smartsim.ports.process_runner import Completed

_PHASES = {
    "running": Phase.RUNNING,
    "killing": Phase.RUNNING,
    "exiting": Phase.RUNNING,
    "preempting": Phase.SUSPENDED,
    "preempted": Phase.SUSPENDED,
    "done": Phase.ENDED,
}  # queued, starting (its nodes are being booted), the holds and what may come: queued
_OBSTACLES = {
    "user_hold": "the job is held by its user: release it with `qrls {job}`, or stop it",
    "admin_hold": "the job is held by an administrator: ask the site, or stop it",
    "dep_fail": "a job that it depends on did not end well: release it with `qrls --dependencies {job}`, or stop it",
}

_ADVICE = {
    "component error|connect|timed out": "Cobalt does not answer: see whether `qstat` works, and submit again.",
    "'time' not provided": "Give the job a time limit (-t, in minutes): Cobalt wants one (set_walltime).",
    "'nodecount' not provided": "Give the job a number of nodes (-n): Cobalt wants one (set_nodes).",
    "walltime|time limit|maxtime|mintime": "Ask for another time limit (-t, in minutes): `qstat -Q` shows the limits.",
    "nodecount|node count|nodes": "Ask for another number of nodes (-n): `qstat -Q` shows the limits.",
    "queue": "Name a queue (-q) that exists and takes this job: `qstat -Q` lists them with their limits.",
    "project|allocation|account": "Name a project (-A) that may run here.",
    "not executable": "Make the script executable with chmod +x.",
    "does not exist": "Correct the path named, or make that directory first.",
}
_JOB_ID = re.compile(r"^(\d+)[ \t]*$", re.MULTILINE)
_JOB_ID_WITH_MESSAGE = re.compile(r"^(\d+)[ \t]", re.MULTILINE)
_ROW = re.compile(r"^(\d+) +(\S+) *$", re.MULTILINE)

# What the log says of a job's end. The log has the whole environment of the job, too, and must not be read further.
_ENDS = "Info: (task completed normally with an exit code of|maximum execution time exceeded|user delete)"
_LOGGED = re.compile(r"^.*?/(\d+)\.cobaltlog:(.*)$", re.MULTILINE)
_EXIT_CODE = re.compile(r"an exit code of (\d+)")
_DELETED_BY = re.compile(r"user delete .*requested by user '?([^\s;']+)")


class Cobalt:
    """Renders the commands of Cobalt and reads its answers."""

    name = "cobalt"
    element_variable = ""
    first_element = 0

    def header(self, batch: Batch, elements: int) -> Sequence[str]:  # noqa: ARG002 - see Scheduler
        """Return the shebang and the ``#COBALT`` lines, which must follow it at once.

        Raises:
            LauncherUnsupportedFeature: for an array.
        """
        if batch.array:
            raise _no_arrays()
        return (batch.shebang, *(f"#COBALT {directive}" for directive in batch.directives))

    def submission(self, batch: Batch, elements: int) -> Command:  # noqa: ARG002 - see Scheduler
        """Return the ``qsub`` command.

        Names and paths stand here, as directives know no quoting. Cobalt puts the job's number into the log's path.
        """
        files = ("-o", batch.stdout, "-e", batch.stderr, "--debuglog", _log(batch.directory, "$jobid"))
        return (*batch.submit, "--jobname", batch.name, *files, batch.script)

    def job_id(self, answer: Completed) -> str:
        """Return the job's number: the last line that is one, as filters of a site may print before it."""
        found = _JOB_ID.findall(answer.stdout) or _JOB_ID_WITH_MESSAGE.findall(answer.stdout)
        if answer.returncode or not found:
            raise refusal("Cobalt refused the job", answer, _ADVICE)
        return str(found[-1])

    def element_id(self, job: str, index: int) -> str:  # noqa: ARG002 - see Scheduler
        """Raise an error: there are no arrays.

        Raises:
            LauncherUnsupportedFeature: always.
        """
        raise _no_arrays()

    def query(self, jobs: Collection[str]) -> Command:
        """Return the ``qstat`` command; it names the columns, which users and sites can set otherwise."""
        return ("qstat", "--header", "JobID:State", *jobs)

    def facts(self, answer: Completed, jobs: Collection[str]) -> Mapping[str, JobFacts]:  # noqa: ARG002 - see Scheduler
        """Return what ``qstat`` says of the jobs that have not ended.

        An exit code other than 0 and no word of error say that none of the jobs is known.
        """
        if answer.returncode and answer.stderr.strip():
            raise refusal("Cobalt did not answer", answer, _ADVICE)
        return {
            job: JobFacts(_PHASES.get(state, Phase.QUEUED), reason=_OBSTACLES.get(state, "").format(job=job))
            for job, state in _ROW.findall(answer.stdout)
        }

    def accounting(self, jobs: Mapping[str, str]) -> Sequence[Command]:
        """Return the command that reads the end of jobs from their logs."""
        return (("grep", "-H", "-E", _ENDS, *(_log(directory, job) for job, directory in jobs.items())),)

    def accounted(self, answer: Completed, jobs: Collection[str]) -> Mapping[str, JobFacts]:  # noqa: ARG002 - see Scheduler
        """Return what the logs say; those that are not written yet, or never will be, are missing."""
        said: dict[str, list[str]] = {}
        for job, line in _LOGGED.findall(answer.stdout):
            said.setdefault(job, []).append(line)
        return {job: _ended("\n".join(lines)) for job, lines in said.items()}

    def cancellation(self, jobs: Collection[str], *, force: bool) -> Command:  # noqa: ARG002 - users have no other
        """Return the ``qdel`` command: Cobalt sends SIGTERM and, minutes later as the site has it, SIGKILL."""
        return ("qdel", *jobs)


def _log(directory: str, job: str) -> str:
    return posixpath.join(directory, f"{job}.cobaltlog")


def _no_arrays() -> LauncherUnsupportedFeature:
    return LauncherUnsupportedFeature("Cobalt has no job arrays: put the members into one job, or into a job each")


def _ended(said: str) -> JobFacts:
    code = _EXIT_CODE.search(said)
    returncode = returncode_of(int(code[1])) if code else None
    if "maximum execution time exceeded" in said:
        return JobFacts(Phase.ENDED, returncode or None, "time limit: the job ran longer than it asked for (-t)")
    if "user delete" in said:
        user = _DELETED_BY.search(said)
        return JobFacts(Phase.ENDED, returncode or None, cancelled_by=user[1] if user else "somebody")
    return JobFacts(Phase.ENDED, returncode)
