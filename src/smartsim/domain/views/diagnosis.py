"""Why something failed, in words, and what to do next."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from smartsim.domain.history import JobHistory
from smartsim.domain.status import SmartSimStatus
from smartsim.domain.views.causes import CODES, OUTPUTS, REASONS, SIGNALS, Cause
from smartsim.domain.views.log_text import first_error


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is known of the end of a start of an entity.

    Args:
        entity: its name.
        step: the name of the start.
        headline: what became of it, in a few words.
        explanation: the exit code in words; empty before the end.
        reason: what was recorded of it: what the workload manager said.
        command_line: as text for a shell.
        stderr_tail: the last lines of its errors.
        next_step: what to do; empty when there is nothing to do.
        first_error_line: the first line of its output that looks like an error; empty without one.
    """

    entity: str
    step: str
    headline: str
    explanation: str
    reason: str
    command_line: str
    stderr_tail: tuple[str, ...]
    next_step: str
    first_error_line: str


_SHELL_SIGNALS = 128  # and the number of a signal: the exit code that shells and launchers make of it
_LONGEST_LINE = 500  # characters of it that are looked at
_LONGEST_REASON = 2000  # so
_TRACEBACK = "Traceback (most recent call last)"
# The others may have been sent for a reason that the output tells.
_TELLING = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGXCPU, signal.SIGXFSZ)


def diagnose(job: JobHistory, stderr_tail: Sequence[str], stdout_tail: Sequence[str]) -> Diagnosis:
    """Return what is known of the end of a start of an entity.

    Args:
        job: the start.
        stderr_tail: the last lines of its errors.
        stdout_tail: the last lines of its output.
    """
    headline, next_step = _what(job, (stderr_tail, stdout_tail))
    return Diagnosis(
        job.facts.entity,
        job.facts.step,
        headline,
        explain(job.returncode) if job.is_final else "",
        job.reason,
        shlex.join(job.facts.command),
        tuple(stderr_tail),
        next_step,
        first_error(stderr_tail) or first_error(stdout_tail),
    )


def explain(returncode: int | None) -> str:
    """Return what an exit code says, in words.

    Args:
        returncode: the exit code, or the negative number of a signal; None when nobody knows.

    Example:
        >>> explain(129)
        'exit code 129, as shells tell of SIGHUP (128 + 1): its session ended'
        >>> explain(3)
        'exit code 3: what that means is up to the program'
    """
    if returncode is None:
        return "nobody knows its exit code"
    if returncode == 0:
        return "exit code 0: by its own account all went well"
    number = _signal_of(returncode)
    if number is not None:
        name, meaning = _signal_name(number), SIGNALS.get(number, ("", ""))[0]
        told = f"exit code {returncode}, as shells tell of {name} (128 + {number})"
        words = f"{name} (signal {number}) ended it" if returncode < 0 else told
        return f"{words}: {meaning}" if meaning else words
    meaning = CODES.get(returncode, ("what that means is up to the program", ""))[0]
    return f"exit code {returncode}: {meaning}"


def _what(job: JobHistory, tails: Sequence[Sequence[str]]) -> tuple[str, str]:
    """Return the headline, and the next step."""
    match job.status:
        case SmartSimStatus.STATUS_COMPLETED:
            return "Completed", ""
        case SmartSimStatus.STATUS_CANCELLED:
            return f"Stopped by {job.stopped_by or 'somebody'}", ""
        case SmartSimStatus.STATUS_NEVER_STARTED:
            return "Never started: something before it could not be started", "See what failed in the same start."
        case SmartSimStatus.STATUS_FAILED:
            headline, next_step = _failure(job, tails)
            return f"Failed: {headline}", next_step
        case _:
            return f"{job.status.value}: it has not ended, as far as was recorded", ""


def _failure(job: JobHistory, tails: Sequence[Sequence[str]]) -> tuple[str, str]:
    number = None if job.returncode is None else _signal_of(job.returncode)
    found = _known(REASONS, job.reason[:_LONGEST_REASON])
    if found is None and number not in _TELLING:
        found = next((told for tail in tails if (told := _told(tail)) is not None), None)
    return found or _by_code(job, number, is_silent=not any(map(any, tails)))


def _told(tail: Sequence[str]) -> tuple[str, str] | None:
    """Return what the output tells; an exception that ended a program in Python tells more than the rest."""
    lines = [line[:_LONGEST_LINE] for line in tail]
    exception = _exception(lines)
    found = _known(OUTPUTS, exception or "\n".join(lines))
    return (exception, "The traceback shows where.") if exception and found is None else found


def _exception(lines: Sequence[str]) -> str:
    """Return the last line of the last traceback of Python; empty without one."""
    begins = [number for number, line in enumerate(lines) if line.startswith(_TRACEBACK)]
    after = lines[begins[-1] + 1 :] if begins else ()
    return next((line for line in after if line and not line.startswith(" ")), "")


def _known(causes: Sequence[Cause], text: str) -> tuple[str, str] | None:
    for cause in causes:
        found = cause.pattern.search(text)
        if found is not None:
            word = next((group for group in found.groups() if group), "")
            return cause.headline.replace("{}", word).removesuffix(" ()"), cause.next_step.replace("{}", word)
    return None


def _by_code(job: JobHistory, number: int | None, *, is_silent: bool) -> tuple[str, str]:
    """Return what the exit code alone tells."""
    code = job.returncode
    look = (
        "Why is not known, and it wrote nothing: run its command line by hand, in its directory."
        if is_silent
        else "Why is not known beyond that: read its output, the first error before the last."
    )
    if number is not None:
        meaning, next_step = SIGNALS.get(number, ("", ""))
        return f"{_signal_name(number)} ended it" + (f" ({meaning})" if meaning else ""), next_step or look
    if code is not None and code in CODES:
        meaning, next_step = CODES[code]
        return f"exit code {code} ({meaning})", next_step or look
    if job.started_at is None and job.reason:
        return "it could not be started", "The reason says why, and what to do."
    return job.reason or explain(code), look


def _signal_of(returncode: int) -> int | None:
    """Return the signal that an exit code tells of; None when it tells of none."""
    number = -returncode if returncode < 0 else returncode - _SHELL_SIGNALS
    return number if 0 < number < signal.NSIG else None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
