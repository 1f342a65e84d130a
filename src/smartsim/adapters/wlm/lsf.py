"""LSF of IBM, on machines with JSM too, and its relatives of the OpenLava family.

How a job is submitted: ``bsub SCRIPT`` takes the script for a mere command where the site has not arranged otherwise,
and then reads no ``#BSUB`` line; ``bsub < SCRIPT`` does not work where it has. So the options are given as words, which
count everywhere, and the script has them for people to read.

What the queue tells of an exit code depends on the family; so the history is asked (``bhist``), which all have.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence

from smartsim.adapters.wlm.job_script import returncode_of
from smartsim.adapters.wlm.refusals import refusal
from smartsim.adapters.wlm.scheduler import Command, JobFacts, Phase
from smartsim.domain.steps import Batch
from smartsim.ports.process_runner import Completed

_ADVICE = {
    "no such queue|queue has been closed": "Name a queue (-q) that exists and is open: `bqueues` lists them.",
    "cannot exceed queue|RUNLIMIT|hard limit": "Ask for less time (-W), or name another queue (-q): `bqueues -l` shows "
    "the limits.",
    "too many processors|too many tasks|not enough hosts": "Ask for less (-n, -nnodes): `bhosts` shows what there is.",
    "bad host": "Name hosts that exist (-m): `bhosts` lists them.",
    "project": "Name a project (-P) that may run here.",
    "permission denied": "This user may not submit jobs here (root never may by default): ask the site.",
    "dependency": "Correct the dependency (-w).",
    "not responding|cannot connect|daemon|timed out": "LSF does not answer: see whether `lsid` works.",
    "illegal option|bad argument|usage": "Correct the option named.",
}
_SUBMITTED = re.compile(r"^Job <(\d+)> is submitted", re.MULTILINE)
_PHASES = {
    "RUN": Phase.RUNNING,
    "WAIT": Phase.QUEUED,
    "PROV": Phase.QUEUED,
    "PEND": Phase.QUEUED,
    "PSUSP": Phase.QUEUED,
    "USUSP": Phase.SUSPENDED,
    "SSUSP": Phase.SUSPENDED,
    "DONE": Phase.ENDED,
    "EXIT": Phase.ENDED,
    "ZOMBI": Phase.ENDED,
}  # UNKWN and what may come: it runs, as far as anybody knows
_INDEX = re.compile(r"\[(\d+)\]$")
_NOT_FOUND = re.compile(r"is not found|No \w+ ?job found", re.IGNORECASE)
_HISTORY = re.compile(r"^ ?Job <(\d+(?:\[\d+\])?)>", re.MULTILINE)
_CODE = re.compile(r"Exited with exit code (\d+)")
_SIGNAL = re.compile(r"Exited by signal (\d+)")
_WHO = re.compile(
    r"(?:Signal <(?:KILL|TERM|INT)> requested|Termination request issued) by user or administrator <(\w+)>"
)
_TERMINATED = re.compile(r"TERM_\w+")
_RUN_LIMIT = re.compile(r"^ RUNLIMIT *\n *([\d.]+) min", re.MULTILINE)
_TIMES = re.compile(r"^ +PEND +PSUSP +RUN .*\n +\d+ +\d+ +(\d+) ", re.MULTILINE)
_LONGEST_NAME = 4094
_SECONDS = 60

# "termination_reasons_lsf" of IBM's manual.
_REASONS = {
    "TERM_RUNLIMIT": "time limit: the job ran longer than its -W",
    "TERM_CPULIMIT": "CPU time limit: the job used more than its -c",
    "TERM_MEMLIMIT": "out of memory: the job used more than its -M",
    "TERM_SWAP": "out of memory: the job used more swap than it may",
    "TERM_PREEMPT": "preempted by another job",
    "TERM_LOAD": "LSF ended the job: its host had too much to do",
    "TERM_DEADLINE": "LSF ended the job: it would not have ended before its deadline",
    "TERM_WINDOW": "LSF ended the job: the time window of its queue was over",
    "TERM_CWD_NOTEXIST": "its working directory does not exist on its host",
    "TERM_ZOMBIE": "node failure: LSF lost its host",
    "TERM_CSM_ALLOC": "the nodes of the job could not be prepared",
}
_CANCELLED = {
    "TERM_OWNER": "its owner",
    "TERM_FORCE_OWNER": "its owner",
    "TERM_ADMIN": "an administrator",
    "TERM_FORCE_ADMIN": "an administrator",
    "TERM_BUCKET_KILL": "somebody (bkill -b)",
}


class Lsf:
    """Renders the commands of LSF and reads its answers."""

    name = "lsf"
    element_variable = "LSB_JOBINDEX"
    first_element = 1

    def header(self, batch: Batch, elements: int) -> Sequence[str]:
        """Return the shebang and the ``#BSUB`` lines; each element of an array has files of its own."""
        return (batch.shebang, "", *(f"#BSUB {option}" for option in _options(batch, elements)))

    def submission(self, batch: Batch, elements: int) -> Command:
        """Return the ``bsub`` command with all of the options."""
        words = (word for option in _options(batch, elements) for word in shlex.split(option))
        return (*batch.submit, *words, batch.script)

    def job_id(self, answer: Completed) -> str:
        """Return the number of the job."""
        found = _SUBMITTED.findall(answer.stdout)
        if answer.returncode or not found:
            raise refusal("LSF refused the job", answer, _ADVICE)
        return str(found[-1])

    def element_id(self, job: str, index: int) -> str:
        """Return what LSF calls an element.

        Example:
            >>> Lsf().element_id("36", 2)
            '36[3]'
        """
        return f"{job}[{index + self.first_element}]"

    def query(self, jobs: Collection[str]) -> Command:
        """Return the ``bjobs`` command, with columns that all families have, whatever the user's environment says."""
        return ("bjobs", "-a", "-json", "-o", "JOBID STAT JOB_NAME", *jobs)

    def facts(self, answer: Completed, jobs: Collection[str]) -> Mapping[str, JobFacts]:  # noqa: ARG002 - see Scheduler
        """Return what ``bjobs`` says. Its exit code says nothing: one job that it does not know decides it."""
        try:
            records = json.loads(answer.stdout)["RECORDS"]
        except (ValueError, KeyError, TypeError):
            if _NOT_FOUND.search(f"{answer.stdout}\n{answer.stderr}"):
                return {}
            raise refusal("LSF did not answer", answer, _ADVICE) from None
        return {_named(record): _fact(record) for record in records if "STAT" in record}

    def accounting(self, jobs: Collection[str]) -> Sequence[Command]:
        """Return the command that asks for the history, as far back as there are files of it."""
        return (("bhist", "-l", "-n", "0", *jobs),)

    def accounted(self, answer: Completed, jobs: Collection[str]) -> Mapping[str, JobFacts]:  # noqa: ARG002 - see Scheduler
        """Return what the history says of jobs that ended."""
        return dict(_ends(answer.stdout))

    def cancellation(self, jobs: Collection[str], *, force: bool) -> Command:
        """Return the ``bkill`` command: LSF sends SIGINT, SIGTERM and SIGKILL, seconds apart; or the last at once."""
        return ("bkill", *(("-s", "KILL") if force else ()), *jobs)


def _options(batch: Batch, elements: int) -> Iterator[str]:
    """Yield the options of a job, each as it is written in a script."""
    name = re.sub(r"[^\w.+-]", "_", batch.name)[:_LONGEST_NAME]
    own = ".%I" if batch.array else ""
    yield f"-J {shlex.quote(f'{name}[1-{elements}]' if batch.array else name)}"
    yield f"-o {shlex.quote(batch.stdout.replace('%', '%%') + own)}"
    yield f"-e {shlex.quote(batch.stderr.replace('%', '%%') + own)}"
    yield from batch.directives


def _named(record: Mapping[str, str]) -> str:
    """Return what a record is about: of an element, its number is that of the array, and its name has the index."""
    index = _INDEX.search(record.get("JOB_NAME", ""))
    return f"{record['JOBID']}[{index[1]}]" if index else record["JOBID"]


def _fact(record: Mapping[str, str]) -> JobFacts:
    state = record["STAT"]
    phase = _PHASES.get(state, Phase.RUNNING)
    if state == "DONE":
        return JobFacts(phase, 0)
    if state == "PSUSP":
        job = _named(record)
        return JobFacts(phase, reason=f"the job is held: release it with `bresume {shlex.quote(job)}`, or stop it")
    return JobFacts(phase)


def _ends(text: str) -> Iterator[tuple[str, JobFacts]]:
    """Yield what the history says of each job that ended. Long lines go on in lines that begin with blanks."""
    _, *parts = _HISTORY.split(text)
    for job, body in zip(parts[::2], parts[1::2], strict=True):
        lines = re.sub(r"\n {20,}", "", body)
        if fact := _end(lines):
            yield job, fact


def _end(text: str) -> JobFacts | None:
    if "Done successfully" in text:
        return JobFacts(Phase.ENDED, 0)
    if "Exited" not in text:
        return None
    code, signal = _CODE.search(text), _SIGNAL.search(text)
    returncode = returncode_of(int(code[1])) if code else -int(signal[1]) if signal else None
    found = _TERMINATED.search(text)
    terminated = found[0] if found else ""
    if terminated in _REASONS:
        return JobFacts(Phase.ENDED, returncode, _REASONS[terminated])
    if not terminated and _ran_too_long(text):
        return JobFacts(Phase.ENDED, returncode, _REASONS["TERM_RUNLIMIT"])
    who = _WHO.search(text)
    cancelled_by = who[1] if who else _CANCELLED.get(terminated, "")
    if cancelled_by:
        return JobFacts(Phase.ENDED, returncode, cancelled_by=cancelled_by)
    return JobFacts(Phase.ENDED, returncode, reason=f"LSF ended the job ({terminated})" if terminated else "")


def _ran_too_long(text: str) -> bool:
    """Return whether a job ran as long as it was allowed to: families without reasons do not say more."""
    limit, times = _RUN_LIMIT.search(text), _TIMES.search(text)
    return limit is not None and times is not None and float(times[1]) >= float(limit[1]) * _SECONDS
