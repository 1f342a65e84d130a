"""What a scheduler says when it refuses something, made into an error that tells what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping

from smartsim.domain.errors import LauncherError
from smartsim.ports.process_runner import Completed

_LAST_LINES = 10


def refusal(what: str, answer: Completed, advice: Mapping[str, str]) -> LauncherError:
    """Return the error to raise for a command that a scheduler refused.

    Args:
        what: what happened, in words, such as "PBS refused the job".
        answer: what the command said.
        advice: what to do, by a pattern that is searched in what the command said, whatever its case; the first that is
            found counts.
    """
    said = "\n".join((answer.stderr.strip() or answer.stdout.strip()).splitlines()[-_LAST_LINES:])
    todo = next((todo for pattern, todo in advice.items() if re.search(pattern, said, re.IGNORECASE)), "")
    message = f"{what} (exit code {answer.returncode}): {said or 'it said nothing'}"
    return LauncherError(f"{message}\n{todo}" if todo else message)
