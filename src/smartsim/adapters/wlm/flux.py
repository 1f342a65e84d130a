"""Flux: a job is an instance of its own, in which steps are started.

Its answers are read as JSON. What Flux calls a job begins with a florin sign where the locale has one, and with an f
where it has not; it takes either, and here it is an f.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from smartsim.adapters.wlm.job_script import returncode_of
from smartsim.adapters.wlm.refusals import refusal
from smartsim.adapters.wlm.scheduler import Command, JobFacts, Phase
from smartsim.domain.errors import LauncherError
from smartsim.domain.settings.batch_flux import escaped
from smartsim.domain.steps import Batch
from smartsim.ports.process_runner import Completed

_ADVICE = {
    "number of slots": "Ask for nodes (set_nodes), or for slots (batch_args nslots).",
    "duration|time.?limit|exceeds": "Ask for less time (--time-limit), or name another queue: `flux queue list` shows "
    "the limits.",
    "unsatisfiable|insufficient": "Ask for less (-N, -n, -g, --requires): `flux resource list` shows what there is.",
    "queue": "Name a queue (--queue) that exists: `flux queue list` lists them.",
    "bank|account|invalid user|user not": "Name a bank (--bank) that you belong to: `flux account view-user` tells.",
    "constraint|property|requires": "Correct --requires: `flux resource list -o rlist` shows the properties there are.",
    "connect|broker|no such file|socket": "No instance of Flux answers: see whether `flux uptime` works.",
    "unrecognized|usage": "Correct the option named.",
}
_FLORIN = "ƒ"
_PHASES = {"RUN": Phase.RUNNING, "CLEANUP": Phase.RUNNING, "INACTIVE": Phase.ENDED}  # the others: queued
_HELD = 0  # the urgency of a job that is not to start; see flux-job(1)
_UNKNOWN = re.compile(r"^JobID \S+ unknown", re.MULTILINE)
_FATAL = 0  # the severity of an exception that ends its job: RFC 21
# The types of exceptions of RFC 21, and those of Flux' parts.
_REASONS = {
    "timeout": "time limit: the job ran longer than its --time-limit",
    "alloc": "Flux cannot give the job what it asks for",
    "dependency": "its dependency cannot be met any more",
    "node-failure": "node failure",
    "lost-shell": "node failure: Flux lost a node of the job",
    "exec": "Flux could not run the job to its end",
}


class Flux:
    """Renders the commands of Flux and reads its answers."""

    name = "flux"
    element_variable = ""  # bulk submission gives each command a job of its own, which is no array
    first_element = 0

    def header(self, batch: Batch, elements: int) -> Sequence[str]:  # noqa: ARG002 - there are no arrays
        """Return the shebang and the ``#flux:`` lines.

        Raises:
            LauncherError: Flux would read the path of a file otherwise.
        """
        return (
            batch.shebang,
            "",
            f"#flux: --output={_path(batch.stdout)}",
            f"#flux: --error={_path(batch.stderr)}",
            f"#flux: --job-name={escaped(batch.name)}",
            *(f"#flux: {directive}" for directive in batch.directives),
        )

    def submission(self, batch: Batch, elements: int) -> Command:  # noqa: ARG002 - see Scheduler
        """Return the ``flux batch`` command."""
        return (*batch.submit, "batch", batch.script)

    def job_id(self, answer: Completed) -> str:
        """Return the job's identifier.

        Example:
            >>> Flux().job_id(Completed(0, "ƒ2QHVd9Z", ""))
            'f2QHVd9Z'
        """
        words = answer.stdout.split()
        if answer.returncode or not words:
            raise refusal("Flux refused the job", answer, _ADVICE)
        return _ascii(words[-1])

    def element_id(self, job: str, index: int) -> str:
        """Refuse: there are no arrays."""
        raise LauncherError(f"Flux has no job arrays: job {job} has no element {index}")

    def query(self, jobs: Collection[str]) -> Command:
        """Return the ``flux jobs`` command; jobs that ended are told of for as long as the instance remembers them."""
        return ("flux", "jobs", "--json", *jobs)

    def facts(self, answer: Completed, jobs: Collection[str]) -> Mapping[str, JobFacts]:  # noqa: ARG002 - see Scheduler
        """Return what ``flux jobs`` says. Its exit code says nothing: one job that it does not know decides it."""
        try:
            told = json.loads(answer.stdout)
        except ValueError:
            if _UNKNOWN.search(answer.stderr) and not answer.stdout.strip():
                return {}
            raise refusal("Flux did not answer", answer, _ADVICE) from None
        # One job is told of as such, several in a list.
        return {_ascii(job["jobid"]): _fact(job) for job in told.get("jobs", [told]) if "jobid" in job}

    def accounting(self, jobs: Collection[str]) -> Sequence[Command]:
        """Return the same command: what the instance remembers of jobs that ended is all that anybody does."""
        return (self.query(jobs),)

    def accounted(self, answer: Completed, jobs: Collection[str]) -> Mapping[str, JobFacts]:
        """Return what ``flux jobs`` says."""
        return self.facts(answer, jobs)

    def cancellation(self, jobs: Collection[str], *, force: bool) -> Command:
        """Return the ``flux cancel`` command.

        It ends the job's instance by SIGTERM and soon SIGKILL. Which signal the job's script then gets is the
        instance's affair: so there is no polite way.
        """
        return ("flux", "cancel", *jobs) if force else ()


def _path(path: str) -> str:
    if "{{" in path:
        raise LauncherError(
            f"Flux cannot write to {path}: it puts the job's identifier for {{{{id}}}}, and the like. Choose another "
            "exp_path, or another name"
        )
    return escaped(path)


def _ascii(job: str) -> str:
    return "f" + job.removeprefix(_FLORIN) if job.startswith(_FLORIN) else job


def _fact(job: Mapping[str, Any]) -> JobFacts:
    phase = _PHASES.get(str(job.get("state")), Phase.QUEUED)
    if phase is Phase.ENDED:
        return _ended(job)
    if phase is Phase.QUEUED and job.get("urgency") == _HELD:
        identifier = _ascii(str(job["jobid"]))
        return JobFacts(phase, reason=f"the job is held: release it with `flux job urgency {identifier} default`")
    return JobFacts(phase)


def _ended(job: Mapping[str, Any]) -> JobFacts:
    result, returncode = job.get("result"), _returncode(job)
    exception = job.get("exception") or {}
    kind, note = str(exception.get("type", "")), str(exception.get("note", ""))
    if result == "COMPLETED":
        return JobFacts(Phase.ENDED, 0)
    if result == "CANCELED":
        return JobFacts(Phase.ENDED, returncode, cancelled_by="somebody")
    if result == "TIMEOUT":
        return JobFacts(Phase.ENDED, returncode, reason=_REASONS["timeout"])
    if not exception.get("occurred") or exception.get("severity") != _FATAL:
        return JobFacts(Phase.ENDED, returncode)
    known = _REASONS.get(kind, f"Flux ended the job ({kind})")
    return JobFacts(Phase.ENDED, returncode, reason=f"{known}: {note}" if note else known)


def _returncode(job: Mapping[str, Any]) -> int | None:
    """Return the exit code of a job that failed, if it ever ran: Flux makes one up for one that did not."""
    code = job.get("returncode")
    if not isinstance(code, int) or "t_run" not in job:
        return None
    return returncode_of(code) or None
