"""Slurm: jobs of ``sbatch``, followed with ``squeue`` and ``sacct``, ended with ``scancel``.

``squeue`` tells at once what it knows, and keeps jobs that ended for a while (``MinJobAge``, five minutes by default).
``sacct`` is a second or two behind, and needs a site that keeps accounts; it alone tells who cancelled a job.
"""

from __future__ import annotations

import pwd
import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence

from smartsim.adapters.wlm.job_script import returncode_of
from smartsim.adapters.wlm.refusals import refusal
from smartsim.adapters.wlm.scheduler import Command, JobFacts, Phase
from smartsim.adapters.wlm.srun import OUT_OF_MEMORY
from smartsim.domain.errors import LauncherError
from smartsim.domain.steps import Batch
from smartsim.domain.walltime import parse_walltime
from smartsim.ports.process_meter import ProcessUsage
from smartsim.ports.process_runner import Completed

NO_OUTPUT = (
    "no output file: the node of the job could not open it. Choose an exp_path on a file system that all nodes share, "
    "and see that it is still there"
)
"""The reason of a job that could not begin because of that."""

_ADVICE = {
    "invalid partition": "Leave --partition out, or name one that exists: `sinfo` lists them.",
    "partition not available|partition in down state|required partition": "The partition (--partition) takes no jobs "
    "at the moment: `sinfo` tells which do.",
    "invalid account": "Leave --account out, or name one that you belong to: `sacctmgr show associations user=$USER` "
    "lists them.",
    "invalid qos": "Leave --qos out, or name one that you may use: `sacctmgr show associations user=$USER` lists them.",
    "feature": "Leave --constraint out, or name a feature that nodes have: `sinfo -o '%N %f'` lists them.",
    "generic resource|gres": "Leave --gres (--gpus) out, or name one that nodes have: `sinfo -o '%N %G'` lists them.",
    "invalid node name": "Correct --nodelist or --exclude: `sinfo -N` lists the nodes.",
    "memory specification": "Ask for less memory (--mem, --mem-per-cpu): `sinfo -o '%N %m'` tells what nodes have.",
    "time limit is invalid": "Ask for less time (--time): `sinfo -o '%P %l'` tells the limit of each partition.",
    "more processors|node count|node configuration|tasks": "Ask for less, or for another kind of node (--nodes, "
    "--ntasks, --cpus-per-task, --mem, --gres): `sinfo -o '%P %D %c %m %G'` tells what there is.",
    "accounting/qos policy|limit": "The job is over a limit of the account or of the partition: ask for less, or wait "
    "until other jobs have ended. `sacctmgr show associations user=$USER` and `sacctmgr show qos` tell the limits.",
    "dependency": "Correct --dependency: the job named is unknown.",
    "reservation": "Leave --reservation out, or name one that is yours: `scontrol show reservation` lists them.",
    "license": "Leave --licenses out, or name one that exists: `scontrol show licenses` lists them.",
    "configuration source|slurm.conf": "This machine knows no Slurm: run on a login node, or set SLURM_CONF.",
    r"unrecognized option|invalid --|invalid option|not a valid|specification": "Correct the option named.",
    "contact slurm controller|socket timed out|connection|unable to contact": "The controller does not answer: see "
    "whether `scontrol ping` says that it is up, and submit again.",
}

_SUSPENDED = frozenset({"SUSPENDED", "STOPPED"})
_QUEUED = frozenset({"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"})
_COMPLETED, _FAILED, _CANCELLED = "COMPLETED", "FAILED", "CANCELLED"
_REASONS = {
    "TIMEOUT": "time limit: the job ran longer than it was given",
    "DEADLINE": "deadline: the job could not have ended by its --deadline",
    "OUT_OF_MEMORY": OUT_OF_MEMORY,
    "NODE_FAIL": "node failure: a node of the job failed",
    "BOOT_FAIL": "node failure: a node of the job could not be booted",
    "PREEMPTED": "preempted: a job of higher priority took its nodes",
    "REVOKED": "revoked: a copy of the job was started on another cluster",
}
_NEVER_STARTS = {
    "DependencyNeverSatisfied": "a job that it depends on (--dependency) did not end as it would have had to: stop it",
    "BadConstraints": "no node has all that it asks for: stop it, and ask for less (--constraint, --mem, --gres)",
    "JobHeldUser": "its owner holds it: `scontrol release` lets it go",
    "JobHeldAdmin": "an administrator holds it: ask the site",
    "launch failed requeued held": "it could not be launched, and is held: see `scontrol show job`, then let it go "
    "with `scontrol release`, or stop it",
    "PartitionDown": "its partition is down: wait until it is up, or stop it and name another (--partition)",
    "PartitionInactive": "its partition takes no jobs: stop it, and name another (--partition)",
    "PartitionNodeLimit": "it asks for more nodes than its partition gives to a job, or for nodes that are down: see "
    "`sinfo`",
    "PartitionTimeLimit": "it asks for more time than its partition gives to a job: stop it, and ask for less (--time)",
    "AccountNotAllowed": "its account may not use this partition: stop it, and name another (--account, --partition)",
    "QOSNotAllowed": "its QOS may not be used here: stop it, and name another (--qos)",
    "InvalidAccount": "its account is not known: stop it, and name another (--account)",
    "InvalidQOS": "its QOS is not known: stop it, and name another (--qos)",
    "ReservationDeleted": "its reservation was deleted: stop it, and leave --reservation out",
}
_PER_JOB_LIMIT = re.compile(r"(?:Assoc|QOS)\w*Max\w*Per\w*|(?:QOS|Assoc)MaxWall\w*")
_AMOUNT = re.compile(r"\b(cpu|mem)=([\d:-]+)")
_SUBMITTED = re.compile(r"^(\d+)(?:;\S+)?$", re.MULTILINE)
_UNKNOWN_JOB = "Invalid job id specified"
_OUT_OF_MEMORY_CODE = 125  # the "signal" of a step that ran out of memory
_NO_OUTPUT_CODE = "0:53"  # what slurmd makes of a job whose output file it cannot open


class Slurm:
    """Renders the commands of Slurm and reads its answers."""

    name = "slurm"
    element_variable = "SLURM_ARRAY_TASK_ID"
    first_element = 0

    def header(self, batch: Batch, elements: int) -> Sequence[str]:
        """Return the shebang and the ``#SBATCH`` lines.

        A job is not started a second time, which a site may have as the default when a node fails, unless the
        directives say ``--requeue``: who follows it is to know that it failed.
        """
        array = (f"#SBATCH --array=0-{elements - 1}", "#SBATCH --open-mode=append") if batch.array else ()
        return (
            batch.shebang,
            "",
            f"#SBATCH --output={_pattern(batch.stdout)}",
            f"#SBATCH --error={_pattern(batch.stderr)}",
            f"#SBATCH --job-name={shlex.quote(batch.name)}",
            "#SBATCH --no-requeue",
            *array,
            *(f"#SBATCH {directive}" for directive in batch.directives),
        )

    def submission(self, batch: Batch, elements: int) -> Command:  # noqa: ARG002 - see Scheduler
        """Return the ``sbatch`` command."""
        return (*batch.submit, "--parsable", batch.script)

    def job_id(self, answer: Completed) -> str:
        """Return the number of the job, without the name of the cluster that may follow it."""
        found = _SUBMITTED.findall(answer.stdout)
        if answer.returncode or not found:
            raise refusal("Slurm refused the job", answer, _ADVICE)
        return str(found[-1])

    def element_id(self, job: str, index: int) -> str:
        """Return what Slurm calls an element.

        Example:
            >>> Slurm().element_id("123", 4)
            '123_4'
        """
        return f"{job}_{index}"

    def query(self, jobs: Collection[str]) -> Command:
        """Return the ``squeue`` command, with a line for each element of an array and each component of a het job."""
        return ("squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%r", f"--jobs={','.join(jobs)}")

    def facts(self, answer: Completed, jobs: Collection[str]) -> Mapping[str, JobFacts]:  # noqa: ARG002 - see Scheduler
        """Return what ``squeue`` says. It is silent about jobs that it does not know, and refuses a single one."""
        if answer.returncode:
            if _UNKNOWN_JOB in answer.stderr:
                return {}
            raise refusal("squeue failed", answer, {})
        return {job: _queue_facts(state, reason) for job, state, reason in _rows(answer.stdout, 3)}

    def accounting(self, jobs: Collection[str]) -> Sequence[Command]:
        """Return the ``sacct`` command."""
        return (
            (
                "sacct",
                "--noheader",
                "--parsable2",
                "--allocations",
                "--format=JobID,State,ExitCode",
                f"--jobs={','.join(jobs)}",
            ),
        )

    def accounted(self, answer: Completed, jobs: Collection[str]) -> Mapping[str, JobFacts]:  # noqa: ARG002 - see Scheduler
        """Return what ``sacct`` says of jobs that ended."""
        if answer.returncode:
            raise refusal("sacct failed", answer, {})
        rows = _rows(answer.stdout, 3)
        return {job: book_facts(state, code) for job, state, code in rows}

    def cancellation(self, jobs: Collection[str], *, force: bool) -> Command:
        """Return the ``scancel`` command.

        Without force, processes get a SIGTERM and, ``KillWait`` seconds later, a SIGKILL; with it, the latter at once.
        """
        return ("scancel", *(("--signal=KILL", "--full") if force else ()), *jobs)

    def usage_query(self, jobs: Collection[str]) -> Command:
        """Return the ``sstat`` command, which asks the nodes. It tells jobs and steps by their numbers alone.

        An array is asked after as a whole: what it is called is the number of one of its elements, too.
        """
        return (
            "sstat",
            "--noheader",
            "--parsable2",
            "--noconvert",
            "--allsteps",
            "--format=JobID,NTasks,TRESUsageInTot",
            f"--jobs={','.join(jobs)}",
        )

    def usages(self, answer: Completed, jobs: Collection[str]) -> Mapping[str, ProcessUsage]:
        """Return what ``sstat`` says: CPU time, memory at the moment, and how many tasks, of all running steps.

        Raises:
            LauncherError: it failed, or Slurm does not look at processes of jobs (JobAcctGatherType).
        """
        rows = {number: (tasks, used) for number, tasks, used in _rows(answer.stdout, 3)}
        if answer.returncode and not rows:
            raise refusal("sstat failed", answer, {})
        found: dict[str, ProcessUsage] = {}
        for number, (tasks, used) in rows.items():
            name = number if number in jobs else number.partition(".")[0]
            amounts = dict(_AMOUNT.findall(used))
            if name in jobs and amounts.keys() >= {"cpu", "mem"}:
                before = found.get(name, ProcessUsage(0.0, 0, 0))
                found[name] = ProcessUsage(
                    before.cpu_seconds + parse_walltime(amounts["cpu"]),
                    before.memory + int(amounts["mem"]),
                    before.processes + int(tasks),
                )
        if rows and not found:
            raise LauncherError("sstat knows the jobs, and not what they use: see JobAcctGatherType in slurm.conf")
        return found


def book_facts(state: str, code: str) -> JobFacts:
    """Return what accounts say of a job or step.

    Args:
        state: such as ``COMPLETED`` or ``CANCELLED by 1000``.
        code: exit code and signal, such as ``7:0``.
    """
    word, _, who = state.partition(" by ")
    facts = _queue_facts(word, "")
    if facts.phase is not Phase.ENDED or facts.returncode == 0:
        return facts
    if code == _NO_OUTPUT_CODE:
        return JobFacts(Phase.ENDED, None, reason=NO_OUTPUT)
    return JobFacts(Phase.ENDED, _returncode(code), facts.reason, _user(who) if who else facts.cancelled_by)


def _queue_facts(state: str, reason: str) -> JobFacts:
    if state in _QUEUED:
        return JobFacts(Phase.QUEUED, reason=_waits_for(reason))
    if state in _SUSPENDED:
        return JobFacts(Phase.SUSPENDED)
    if state.startswith(_CANCELLED):
        return JobFacts(Phase.ENDED, cancelled_by="somebody")
    if state == _COMPLETED:
        return JobFacts(Phase.ENDED, 0)
    if state == _FAILED:
        return JobFacts(Phase.ENDED)
    if state in _REASONS:
        return JobFacts(Phase.ENDED, reason=_REASONS[state])
    # That it runs, or is about to or just did. Nothing is concluded from a state that nobody knows, either.
    return JobFacts(Phase.RUNNING)


def _waits_for(reason: str) -> str:
    """Return why a job waits, in words, if that will not pass by itself."""
    known = reason.strip("()").replace("_", " ")
    if known in _NEVER_STARTS:
        return f"{_NEVER_STARTS[known]} ({reason})"
    if _PER_JOB_LIMIT.fullmatch(known):
        return f"it asks for more than one job may have: stop it, and ask for less ({reason})"
    return ""


def _returncode(code: str) -> int | None:
    status, _, number = code.partition(":")
    if not status.isdecimal() or not number.isdecimal():
        return None
    if int(number) == _OUT_OF_MEMORY_CODE or not int(status) + int(number):
        return None
    return -int(number) if int(number) else returncode_of(int(status))


def _rows(text: str, columns: int) -> Iterator[list[str]]:
    """Yield the fields of lines; the last of them may hold anything. The first component of a het job is the job."""
    for line in text.splitlines():
        fields = line.split("|", columns - 1)
        if len(fields) == columns and fields[0]:
            yield [fields[0].removesuffix("+0"), *fields[1:]]


def _user(number: str) -> str:
    try:
        return pwd.getpwuid(int(number)).pw_name
    except (KeyError, ValueError):
        return f"user {number}"


def _pattern(path: str) -> str:
    """Return the path of an output file, in which Slurm would replace what follows a percent sign."""
    if "\\" in path:
        raise LauncherError(
            f"Slurm cannot write to {path}: it leaves backslashes out of the paths of its jobs. Choose another "
            "exp_path, or another name"
        )
    return shlex.quote(path.replace("%", "%%"))
