"""PBS Professional and OpenPBS.

Its answers are read as text (``qstat -f``), not as JSON: the text is the same in every version, and cannot be broken by
a value (a variable of the job's environment with an escape character makes the JSON of several versions unreadable).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping, Sequence

from smartsim.adapters.wlm.refusals import refusal
from smartsim.adapters.wlm.scheduler import Command, JobFacts, Phase
from smartsim.domain.errors import LauncherError
from smartsim.domain.steps import Batch
from smartsim.domain.walltime import parse_walltime
from smartsim.ports.process_meter import ProcessUsage
from smartsim.ports.process_runner import Completed

# What a program's exit code is after an error of PBS: its number modulo 256. See pbs_error.h.
_HAS_FINISHED, _UNKNOWN_JOB = 35, 153

_PHASES = {
    "B": Phase.RUNNING,  # an array of which an element has begun
    "E": Phase.RUNNING,  # its processes are over, its output is not back yet
    "F": Phase.ENDED,
    "R": Phase.RUNNING,
    "S": Phase.SUSPENDED,
    "U": Phase.SUSPENDED,  # its workstation is used by a person
    "X": Phase.ENDED,  # an element of an array that has not ended
}  # H, M, Q, T, W and what may come: queued
_TERMINATED = "91"  # the substate of a job that was deleted; its Exit_status may say anything, 0 too
_SIGNALLED = 256  # and the number of the signal that ended the script

# Exit_status of a job that PBS itself ended: Administrator's Guide, "Job Exit Status Codes".
_KILLED_BY_PBS = {
    -24: "PBS ended the job: it used more CPUs than its limit for a moment (ncpus)",
    -25: "PBS ended the job: it used more CPUs than its limit (ncpus)",
    -26: "out of memory: the job used more than its limit (vmem)",
    -27: "out of memory: the job used more than its limit (mem)",
    -28: "CPU time limit: the job used more than its limit (cput)",
    -29: "time limit: the job ran longer than its walltime",
}

_ADVICE = {
    "cannot connect|connection|timed out": "The PBS server does not answer: see whether `qstat -B` works, and submit "
    "again.",
    "unknown queue|no route|all possible destinations": "Name a queue (-q) that exists and takes this job: `qstat -Q` "
    "lists the queues, `qstat -Qf` their limits.",
    "not enabled|not started": "Name another queue (-q), or submit again later: `qstat -Q` shows which take jobs.",
    "resource limits|exceed": "Ask for less (-l walltime, -l select), or name another queue (-q): `qstat -Qf` shows "
    "the limits of each.",
    "illegal attribute or resource value": "Correct the value of the option named: -l walltime is HH:MM:SS, counts are "
    "whole numbers.",
    "unknown resource": "Leave out the resource named (-l), or ask the site what it is called there.",
    "unknown node": "Name hosts that exist (-l select=1:host=...): `pbsnodes -aSj` lists them.",
    "account|allocation|project": "Name an account or project (-A) that may run here.",
    "unauthorized|bad uid|access denied": "This user may not submit here: ask the site, or name another queue (-q).",
    "illegal -": "Correct the value of the option named.",
}
_JOB_ID = re.compile(r"^\d+(?:\[\])?(?:\.\S+)?$", re.MULTILINE)
_RECORD = re.compile(r"^Job Id: (\S+)$", re.MULTILINE)
_CPU, _MEMORY = "resources_used.cput", "resources_used.mem"
_FIELDS = ("job_state", "substate", "Exit_status", "comment", "depend", _CPU, _MEMORY)
_FIELD = re.compile(rf"^ {{4}}({'|'.join(map(re.escape, _FIELDS))}) = (.*)$", re.MULTILINE)
_SIZE = re.compile(r"(\d+)([kmgtp]?)([bw])")
_UNITS = "kmgtp"
_WORD = 8  # bytes
_FINISHED = re.compile(r"^qstat: (\S+) Job has finished", re.MULTILINE)
_NO_NAME = re.compile(r"[^A-Za-z0-9_.+-]")
_LONGEST_NAME = 230


class Pbs:
    """Renders the commands of PBS and reads its answers."""

    name = "pbs"
    element_variable = "PBS_ARRAY_INDEX"
    first_element = 0

    def header(self, batch: Batch, elements: int) -> Sequence[str]:
        """Return the shebang and the ``#PBS`` lines; each element of an array has files of its own."""
        own = ".^array_index^" if batch.array else ""
        return (
            batch.shebang,
            "",
            f"#PBS -o {shlex.quote(batch.stdout + own)}",
            f"#PBS -e {shlex.quote(batch.stderr + own)}",
            f"#PBS -N {_NO_NAME.sub('_', batch.name)[:_LONGEST_NAME]}",
            "#PBS -V",
            *((f"#PBS -J 0-{elements - 1}",) if batch.array else ()),
            *(f"#PBS {directive}" for directive in batch.directives),
        )

    def submission(self, batch: Batch, elements: int) -> Command:  # noqa: ARG002 - see Scheduler
        """Return the ``qsub`` command."""
        return (*batch.submit, batch.script)

    def job_id(self, answer: Completed) -> str:
        """Return the job's identifier, the last one that `qsub` prints: hooks of a site may print before it."""
        found = _JOB_ID.findall(answer.stdout)
        if answer.returncode or not found:
            raise refusal("PBS refused the job", answer, _ADVICE)
        return str(found[-1])

    def element_id(self, job: str, index: int) -> str:
        """Return the identifier of an element.

        Example:
            >>> Pbs().element_id("36[].pbsserver", 2)
            '36[2].pbsserver'
        """
        return job.replace("[]", f"[{index}]", 1)

    def query(self, jobs: Collection[str]) -> Command:
        """Return the ``qstat`` command.

        It does not ask for finished jobs: where PBS keeps no history that is an error, whatever else is asked.
        """
        return ("qstat", "-t", "-f", *jobs)

    def facts(self, answer: Completed, jobs: Collection[str]) -> Mapping[str, JobFacts]:  # noqa: ARG002 - see Scheduler
        """Return what ``qstat`` says of jobs that have not ended; of others only that they have."""
        if answer.returncode not in (0, _HAS_FINISHED, _UNKNOWN_JOB):
            raise refusal("PBS did not answer", answer, _ADVICE)
        return dict.fromkeys(_FINISHED.findall(answer.stderr), JobFacts(Phase.ENDED)) | _facts(answer.stdout)

    def accounting(self, jobs: Collection[str]) -> Sequence[Command]:
        """Return the command that asks for finished jobs."""
        return (("qstat", "-x", "-t", "-f", *jobs),)

    def accounted(self, answer: Completed, jobs: Collection[str]) -> Mapping[str, JobFacts]:  # noqa: ARG002 - see Scheduler
        """Return what the history says; nothing where PBS keeps none."""
        return _facts(answer.stdout)

    def cancellation(self, jobs: Collection[str], *, force: bool) -> Command:
        """Return the ``qdel`` command: PBS sends SIGTERM and, after the queue's kill_delay, SIGKILL."""
        return ("qdel", *(("-W", "force") if force else ()), *jobs)

    def usage_query(self, jobs: Collection[str]) -> Command:
        """Return the ``qstat`` command that asks after jobs, since its answer says what they use, too."""
        return self.query(jobs)

    def usages(self, answer: Completed, jobs: Collection[str]) -> Mapping[str, ProcessUsage]:
        """Return what ``qstat`` says of CPU time and memory; nobody says how many processes that is.

        Raises:
            LauncherError: see `facts`.
        """
        if answer.returncode not in (0, _HAS_FINISHED, _UNKNOWN_JOB):
            raise refusal("PBS did not answer", answer, _ADVICE)
        return {
            job: ProcessUsage(float(parse_walltime(record[_CPU])), _bytes(record[_MEMORY]), processes=0)
            for job, record in _records(answer.stdout).items()
            if job in jobs and _CPU in record and _MEMORY in record
        }


def _bytes(size: str) -> int:
    """Return a size such as ``35844kb`` (pbs_resources(7)) in bytes."""
    match = _SIZE.fullmatch(size)
    if match is None:
        raise LauncherError(f"PBS says that a job uses memory of {size!r}")
    factor: int = 1024 ** (_UNITS.index(match[2]) + 1 if match[2] else 0)
    return int(match[1]) * factor * (_WORD if match[3] == "w" else 1)


def _facts(text: str) -> dict[str, JobFacts]:
    return {job: _fact(job, record) for job, record in _records(text).items()}


def _records(text: str) -> dict[str, dict[str, str]]:
    # A long value goes on in lines that begin with a tab.
    _, *parts = _RECORD.split(text.replace("\n\t", ""))
    # Of a field that is there twice the first is PBS' own: what follows is the text of a variable of the job.
    return {job: dict(reversed(_FIELD.findall(body))) for job, body in zip(parts[::2], parts[1::2], strict=True)}


def _fact(job: str, record: Mapping[str, str]) -> JobFacts:
    state = record.get("job_state", "")
    phase = _PHASES.get(state, Phase.QUEUED)
    if phase is Phase.ENDED:
        return _ended(record)
    return JobFacts(phase, reason=_obstacle(job, record) if phase is Phase.QUEUED else "")


def _obstacle(job: str, record: Mapping[str, str]) -> str:
    """Return why a queued job will not start by itself; nothing when it waits for its turn."""
    comment = record.get("comment", "")
    if comment.startswith("Can Never Run"):
        return f"PBS says {comment!r}: stop the job, and ask for less (-l select, -l nodes, -l place)"
    if record.get("job_state") == "H" and "depend" not in record:
        return f"the job is held{f' ({comment})' if comment else ''}: release it with `qrls {job}`, or stop it"
    return ""


def _ended(record: Mapping[str, str]) -> JobFacts:
    try:
        status = int(record["Exit_status"])
    except (KeyError, ValueError):
        status = None
    comment = record.get("comment", "")
    if status in _KILLED_BY_PBS:
        return JobFacts(Phase.ENDED, reason=_KILLED_BY_PBS[status])
    returncode = None if status is None or status < 0 else status if status < _SIGNALLED else _SIGNALLED - status
    if record.get("substate") == _TERMINATED:
        return JobFacts(Phase.ENDED, returncode or None, cancelled_by="somebody")
    if returncode is None and record.get("job_state") == "F":
        said = f"Exit_status {status}" if status is not None else "no exit status"
        return JobFacts(Phase.ENDED, reason=f"PBS could not run the job to its end: {said}, {comment or 'no comment'}")
    return JobFacts(Phase.ENDED, returncode)
