"""Grid Engine: Son of Grid Engine, Open Grid Scheduler, Univa.

A job that ended is gone from its queue at once, and is in the books a second or two later.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from smartsim.adapters.wlm.job_script import returncode_of
from smartsim.adapters.wlm.refusals import refusal
from smartsim.adapters.wlm.scheduler import Command, JobFacts, Phase
from smartsim.domain.errors import LauncherError
from smartsim.domain.steps import Batch
from smartsim.domain.walltime import walltime_seconds
from smartsim.ports.process_meter import ProcessUsage
from smartsim.ports.process_runner import Completed

_ADVICE = {
    "unknown queue": "Leave the queue out, or name one that exists: `qconf -sql` lists them.",
    "parallel environment": "Name a parallel environment that exists (set_pe_type): `qconf -spl` lists them.",
    "unknown resource": "Leave out the resource named (-l), or ask the site what it is called there: `qconf -sc` lists "
    "them.",
    "project": "Name a project (-P) that exists and that you belong to: `qconf -sprjl` lists them.",
    "no suitable queues|not offer|cannot run": "Ask for less (-l, -pe): no queue could ever run the job.",
    "denied|no permission|not allowed": "This user may not submit here: ask the site.",
    "commlib|qmaster|connection|connect": "The queue master does not answer: see whether `qconf -sh` works, and submit "
    "again.",
    "invalid option|unknown option": "Correct the option named.",
}
_SUBMITTED = re.compile(
    r"^(?:Your job(?:-array)? )?(\d+)(?:\.\d+-\d+:\d+)?(?: \(\".*\"\) has been submitted)?$", re.MULTILINE
)
# job-ID prior name user state submit/start at queue slots ja-task-ID; only a name can have blanks, and is cut to ten.
_ROW = re.compile(
    r"^ *(?P<job>\d+) +[\d.]+ .{10} +\S+ +(?P<state>[a-zA-Z]+) +\d\d/\d\d/\d{4} \d\d:\d\d:\d\d +"
    r"(?:\S+@\S+ +)?\d+ *(?P<tasks>[\d,:-]*) *$"
)
# What `qstat -j` says.
_DETAILS = re.compile(r"^={60,}\njob_number: +(\d+)$", re.MULTILINE)
_IS_ARRAY = re.compile(r"^job-array tasks: ", re.MULTILINE)
_USAGE = re.compile(
    r"^usage +(\d+): +(?:.*, )?cpu=(?:(\d+):)?(\d+):(\d\d):(\d\d), .*?\bvmem=([\d.]+)([KMGT]?)", re.MULTILINE
)
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_TASKS = re.compile(r"(\d+)(?:-(\d+):(\d+))?")
_NO_NAME = re.compile(r"[^A-Za-z0-9_.+-]")
_UNQUOTABLE = re.compile(r"[\"'#,:$\n]")
_FAILED = re.compile(r"(\d+) *(?:: *(.*))?")
_LIMIT = re.compile(r"\b(h_rt|s_rt|h_cpu|s_cpu|h_vmem|s_vmem)=")

# accounting(5), "failed", and sge_status(5).
_OVER_LIMIT = "37"
_LIMITS = {
    "rt": "time limit: the job ran longer than its h_rt",
    "cpu": "CPU time limit: the job used more than its h_cpu",
    "vmem": "out of memory: the job used more than its h_vmem",
}
_WELL = ("0", "100")  # the latter: a signal ended it

# The tasks that a parallel job starts on other nodes have records of their own, which come first, and which nothing in
# them tells apart where `qacct` can leave them out.
_ASK_BOOKS = 'case $(qacct -help) in *"[-m]"*) exec qacct -m -j "$0";; *) exec qacct -j "$0";; esac'


class Sge:
    """Renders the commands of Grid Engine and reads its answers."""

    name = "sge"
    element_variable = "SGE_TASK_ID"
    first_element = 1

    def header(self, batch: Batch, elements: int) -> Sequence[str]:
        """Return the shebang and the ``#$`` lines; each element of an array has files of its own.

        Raises:
            LauncherError: the path of a file cannot be written in a script of Grid Engine.
        """
        own = ".$TASK_ID" if batch.array else ""
        return (
            batch.shebang,
            "",
            f"#$ -o {_path(batch.stdout)}{own}",
            f"#$ -e {_path(batch.stderr)}{own}",
            # A name does not begin with a digit.
            f"#$ -N {re.sub('^[0-9]', '_', _NO_NAME.sub('_', batch.name))}",
            "#$ -V",
            "#$ -S /bin/bash",  # a queue may have another shell for all jobs, whatever their first lines say
            *((f"#$ -t 1-{elements}",) if batch.array else ()),
            *(f"#$ {directive}" for directive in batch.directives),
        )

    def submission(self, batch: Batch, elements: int) -> Command:  # noqa: ARG002 - see Scheduler
        """Return the ``qsub`` command."""
        return (*batch.submit, batch.script)

    def job_id(self, answer: Completed) -> str:
        """Return the number of the job, in what `qsub` prints with ``-terse`` and without."""
        found = _SUBMITTED.findall(answer.stdout)
        if answer.returncode or not found:
            raise refusal("Grid Engine refused the job", answer, _ADVICE)
        return str(found[-1])

    def element_id(self, job: str, index: int) -> str:
        """Return what `qdel` calls an element.

        Example:
            >>> Sge().element_id("36", 2)
            '36.3'
        """
        return f"{job}.{index + self.first_element}"

    def query(self, jobs: Collection[str]) -> Command:  # noqa: ARG002 - it asks for all jobs of the user
        """Return the ``qstat`` command. With ``-j`` it would fail for all jobs as soon as one has ended."""
        return ("qstat",)

    def facts(self, answer: Completed, jobs: Collection[str]) -> Mapping[str, JobFacts]:  # noqa: ARG002 - see Scheduler
        """Return what ``qstat`` says of jobs that have not ended, and of elements of arrays that have not."""
        if answer.returncode:
            raise refusal("Grid Engine did not answer", answer, _ADVICE)
        found = {}
        for row in map(_ROW.match, answer.stdout.splitlines()):
            if row is not None:
                for name in _names(row["job"], row["tasks"]):
                    found[name] = _fact(row["job"], row["state"])
        return found

    def accounting(self, jobs: Collection[str]) -> Sequence[Command]:
        """Return the commands that look into the books, one for each job."""
        return tuple(("sh", "-c", _ASK_BOOKS, job) for job in jobs)

    def accounted(self, answer: Completed, jobs: Collection[str]) -> Mapping[str, JobFacts]:  # noqa: ARG002 - see Scheduler
        """Return what the books say; nothing for a job that is not in them yet.

        A job that was started several times has several records, the last of which counts.
        """
        found = {}
        for record in answer.stdout.split("=" * 60):
            fields = dict(line.split(None, 1) for line in record.splitlines() if len(line.split(None, 1)) > 1)
            if "jobnumber" in fields and fields.get("pe_taskid", "NONE").strip() == "NONE":
                job, task = fields["jobnumber"].strip(), fields.get("taskid", "").strip()
                found[f"{job}.{task}" if task.isdecimal() else job] = _ended(fields)
        return found

    def cancellation(self, jobs: Collection[str], *, force: bool) -> Command:
        """Return the ``qdel`` command, which sends SIGKILL; there is no polite one."""
        return ("qdel", *jobs) if force else ()

    def usage_query(self, jobs: Collection[str]) -> Command:
        """Return the ``qstat`` command that tells all of jobs."""
        return ("qstat", "-j", ",".join(jobs))

    def usages(self, answer: Completed, jobs: Collection[str]) -> Mapping[str, ProcessUsage]:
        """Return what it says of CPU time and memory: all of that which is mapped, resident or not.

        Nobody says how many processes that is. It fails when all of the jobs have ended, and tells of the others when
        one has.

        Raises:
            LauncherError: it says something else than that.
        """
        if answer.returncode and "do not exist" not in answer.stderr:
            raise refusal("Grid Engine did not answer", answer, _ADVICE)
        found = {}
        _, *parts = _DETAILS.split(answer.stdout)
        for job, body in zip(parts[::2], parts[1::2], strict=True):
            is_array = _IS_ARRAY.search(body) is not None
            for task, *cpu, memory, unit in _USAGE.findall(body):
                name = f"{job}.{task}" if is_array else job
                if name in jobs:
                    days, hours, minutes, seconds = (int(number or 0) for number in cpu)
                    used = walltime_seconds(24 * days + hours, minutes, seconds)
                    found[name] = ProcessUsage(float(used), int(float(memory) * _UNITS[unit]), processes=0)
        return found


def _path(path: str) -> str:
    """Return a path as it stands in a script, where quotes keep blanks together and nothing else is read as a text."""
    if _UNQUOTABLE.search(path):
        raise LauncherError(
            f"Grid Engine cannot write to {path}: in the scripts of its jobs a path has no quotes, '#', ',', ':' and "
            "'$'. Choose another exp_path, or another name"
        )
    return f'"{path}"' if " " in path else path


def _names(job: str, tasks: str) -> Iterator[str]:
    """Yield what a row is about: a job, or elements of an array, such as ``3`` or ``5-9:2,12``."""
    if not tasks:
        yield job
    for first, last, step in _TASKS.findall(tasks):
        yield from (f"{job}.{task}" for task in range(int(first), int(last or first) + 1, int(step or 1)))


def _fact(job: str, state: str) -> JobFacts:
    """Return what the letters of a state say: qstat(1), "-s" and "OUTPUT FORMATS"."""
    if "E" in state:
        return JobFacts(
            Phase.QUEUED,
            reason=f"Grid Engine could not start it ({state}): `qstat -j {job}` says why. Stop it, or mend that and "
            f"have it tried again with `qmod -cj {job}`",
        )
    if "q" in state:
        return JobFacts(Phase.QUEUED)
    return JobFacts(Phase.SUSPENDED if any(letter in state for letter in "sST") else Phase.RUNNING)


def _ended(fields: Mapping[str, str]) -> JobFacts:
    match = _FAILED.match(fields.get("failed", ""))
    failed, text = match.groups() if match else ("0", "")
    status = fields.get("exit_status", "").split()
    returncode = returncode_of(int(status[0])) if status and status[0].isdecimal() else None
    deleted = fields.get("deleted_by", "NONE").strip()
    if deleted not in ("NONE", ""):  # Univa's alone
        return JobFacts(Phase.ENDED, returncode, cancelled_by=deleted)
    if failed == _OVER_LIMIT:
        kinds = {name.partition("_")[2] for name in _LIMIT.findall(fields.get("category", ""))}
        known = _LIMITS[kinds.pop()] if len(kinds) == 1 else "a limit: the job used more time or memory than it may"
        return JobFacts(Phase.ENDED, returncode, reason=known)
    if failed in _WELL:
        return JobFacts(Phase.ENDED, returncode)
    return JobFacts(Phase.ENDED, None, reason=f"Grid Engine could not run the job to its end: {text or failed}")
