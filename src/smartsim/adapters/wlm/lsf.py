"""LSF of IBM, on machines with JSM too, and its relatives of the OpenLava family.

How a job is submitted: ``bsub SCRIPT`` takes the script for a mere command where the site has not arranged otherwise,
and then reads no ``#BSUB`` line; ``bsub < SCRIPT`` does not work where it has. So the options are given as words, which
count everywhere, and the script has them for people to read.

What the queue tells of an exit code depends on the family; so the history is asked (``bhist``), which all have.

There is no polite way to end a job: ``bkill`` sends SIGINT first.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence

from smartsim.adapters.wlm.job_script import returncode_of
from smartsim.adapters.wlm.refusals import refusal
from smartsim.adapters.wlm.scheduler import Command, JobFacts, Phase
from smartsim.domain.errors import LauncherError
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
    "bad argument for option -n": "This LSF counts slots, not nodes: leave the nodes out, and use set_tasks (-n).",
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
_NOT_FOUND = re.compile(r"is not found|No (\w+ )?job found", re.IGNORECASE)
_HISTORY = re.compile(r"^ ?Job <(\d+(?:\[\d+\])?)>", re.MULTILINE)
_EVENT = re.compile(r"^\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d(?: \d{4})?: +(.*)$", re.MULTILINE)
_DONE, _EXITED = re.compile("^Done successfully", re.MULTILINE), re.compile("^Exited", re.MULTILINE)
_CODE = re.compile(r"Exited with exit code (\d+)")
_SIGNAL = re.compile(r"Exited by signal (\d+)")
_WHO = re.compile(
    r"^(?:Signal <(?:KILL|TERM|INT)> requested|Termination request issued) by user or administrator <([^>]+)>",
    re.MULTILINE,
)
_TERMINATED = re.compile(r"^(?:Completed <exit>; )?(TERM_\w+)", re.MULTILINE)
_RUN_LIMIT = re.compile(r"^ RUNLIMIT *\n *([\d.]+) min", re.MULTILINE)
_TIMES = re.compile(r"^ +PEND +PSUSP +RUN .*\n +\d+ +\d+ +(\d+) ", re.MULTILINE)
_NO_NAME = re.compile(r"[^A-Za-z0-9_.+-]")
_EXPANDED = re.compile("%[IJ]")
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
        """Return the shebang and the ``#BSUB`` lines; each element of an array has files of its own.

        Raises:
            LauncherError: LSF would read the path of a file otherwise.
        """
        return (batch.shebang, "", *(f"#BSUB {option}" for option in _options(batch, elements)))

    def submission(self, batch: Batch, elements: int) -> Command:
        """Return the ``bsub`` command with all of the options. A shell of LSF reads the script's path as a command.

        Raises:
            LauncherError: see `header`.
        """
        words = (word for option in _options(batch, elements) for word in _words(option))
        return (*batch.submit, *words, shlex.quote(batch.script))

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
        """Return the command that asks for the history: in its current file, as the others may be large and many."""
        return (("bhist", "-l", *jobs),)

    def accounted(self, answer: Completed, jobs: Collection[str]) -> Mapping[str, JobFacts]:  # noqa: ARG002 - see Scheduler
        """Return what the history says of jobs that ended."""
        return dict(_ends(answer.stdout))

    def cancellation(self, jobs: Collection[str], *, force: bool) -> Command:
        """Return the ``bkill`` command, which sends SIGINT, SIGTERM and SIGKILL; there is none that begins politely."""
        return ("bkill", *jobs) if force else ()


def _options(batch: Batch, elements: int) -> Iterator[str]:
    """Yield the options of a job, each as it is written in a script."""
    name = _NO_NAME.sub("_", batch.name)[:_LONGEST_NAME]
    own = ".%I" if batch.array else ""
    yield f"-J {shlex.quote(f'{name}[1-{elements}]' if batch.array else name)}"
    yield f"-o {shlex.quote(_path(batch.stdout) + own)}"
    yield f"-e {shlex.quote(_path(batch.stderr) + own)}"
    yield from batch.directives


def _path(path: str) -> str:
    if _EXPANDED.search(path):
        raise LauncherError(
            f"LSF cannot write to {path}: it puts the job's number for %J, and the element's for %I. Choose another "
            "exp_path, or another name"
        )
    return path


def _words(option: str) -> list[str]:
    """Return the words of an option as LSF reads it in a script: within quotes nothing has a meaning."""
    lexer = shlex.shlex(option, posix=True)
    lexer.whitespace_split, lexer.escape, lexer.commenters = True, "", ""
    return list(lexer)


def _named(record: Mapping[str, str]) -> str:
    """Return what a record is about: of an element, its number is that of the array, and its name has the index."""
    index = _INDEX.search(record.get("JOB_NAME", ""))
    return f"{record['JOBID'].partition('[')[0]}[{index[1]}]" if index else record["JOBID"]


def _fact(record: Mapping[str, str]) -> JobFacts:
    state = record["STAT"]
    reason = ""
    if state == "PSUSP":
        job = shlex.quote(_named(record))
        reason = f"the job is held: release it with `bresume {job}`, or stop it"
    # DONE is no exit code: a job of the OpenLava family whose shell a signal ends is done, too.
    return JobFacts(_PHASES.get(state, Phase.RUNNING), reason=reason)


def _ends(text: str) -> Iterator[tuple[str, JobFacts]]:
    """Yield what the history says of each job that ended. Long lines go on in lines that begin with blanks."""
    _, *parts = _HISTORY.split(text)
    for job, body in zip(parts[::2], parts[1::2], strict=True):
        if fact := _end(re.sub(r"\n {20,}", "", body)):
            yield job, fact


def _end(text: str) -> JobFacts | None:
    """Return how a job ended by the events of its last run, one of which may be that it is put into the queue again."""
    events = _EVENT.findall(text)
    starts = [number for number, event in enumerate(events) if event.startswith("Dispatched")]
    said = "\n".join(events[starts[-1] :] if starts else events)
    if not (_DONE.search(said) or _EXITED.search(said)):
        return None
    returncode = _returncode(said)
    if returncode == 0:
        return JobFacts(Phase.ENDED, 0)
    found = _TERMINATED.search(said)
    terminated = found[1] if found else ""
    if terminated in _REASONS:
        return JobFacts(Phase.ENDED, returncode, _REASONS[terminated])
    if not terminated and _ran_too_long(text):
        return JobFacts(Phase.ENDED, returncode, _REASONS["TERM_RUNLIMIT"])
    who = _WHO.search(said)
    cancelled_by = who[1] if who else _CANCELLED.get(terminated, "")
    if cancelled_by:
        return JobFacts(Phase.ENDED, returncode, cancelled_by=cancelled_by)
    return JobFacts(Phase.ENDED, returncode, reason=f"LSF ended the job ({terminated})" if terminated else "")


def _returncode(said: str) -> int | None:
    if code := _CODE.search(said):
        return returncode_of(int(code[1]))
    if signal := _SIGNAL.search(said):
        return -int(signal[1])
    # The OpenLava family says this of a job whose shell a signal ended, too, and then something more.
    is_done = _DONE.search(said) and "Post job process failed" not in said
    return 0 if is_done else None


def _ran_too_long(text: str) -> bool:
    """Return whether a job ran as long as it was allowed to: families without reasons do not say more."""
    limit, times = _RUN_LIMIT.search(text), _TIMES.search(text)
    return limit is not None and times is not None and float(times[1]) >= float(limit[1]) * _SECONDS
