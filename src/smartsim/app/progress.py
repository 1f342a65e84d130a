"""The live line that a person at a terminal sees while an experiment runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from smartsim.domain.status import SmartSimStatus

if TYPE_CHECKING:
    from smartsim.app.jobs import Job, Jobs
    from smartsim.ports.clock import Clock

_REFRESH = 0.25  # seconds between two looks of the line


def wait_with_progress(jobs: Jobs, started: Sequence[Job], clock: Clock) -> None:
    """Wait until no application is active, with a live line when standard output is a terminal.

    Args:
        jobs: of the experiment.
        started: the jobs that the line counts.
        clock: for the time that passes.
    """
    if not (started and _is_terminal(sys.stdout)):
        jobs.wait_idle()
        return
    from rich.console import Console
    from rich.status import Status

    begin = clock.monotonic()
    line = _line(jobs, started)
    with Status(line(0.0), console=Console(file=sys.stdout)) as status:
        while not jobs.wait_idle(_REFRESH):
            status.update(line(clock.monotonic() - begin))


def _is_terminal(stream: object) -> bool:
    """Return whether a person reads a stream; scripts put all kinds of objects in the place of standard output."""
    isatty = getattr(stream, "isatty", None)
    return bool(isatty is not None and isatty())


def _line(jobs: Jobs, started: Sequence[Job]) -> Callable[[float], str]:
    def line(elapsed: float) -> str:
        count = jobs.count(started)
        running = count[SmartSimStatus.STATUS_RUNNING] + count[SmartSimStatus.STATUS_PAUSED]
        failed, cancelled = count[SmartSimStatus.STATUS_FAILED], count[SmartSimStatus.STATUS_CANCELLED]
        parts = [f"{running} running", f"{count[SmartSimStatus.STATUS_COMPLETED]} done"]
        parts += [f"[red]{failed} failed[/red]" if failed else "0 failed"]
        parts += [f"{cancelled} cancelled"] if cancelled else []
        minutes, seconds = divmod(int(elapsed), 60)
        return f"{', '.join(parts)} of {len(started)}, {minutes}:{seconds:02d} elapsed"

    return line
