"""Which experiments a directory holds, and how they do."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from smartsim.app.plain_text import clock_time, printable
from smartsim.app.reading import EVENTS_FILE, ExperimentReader
from smartsim.app.watch.text import counted, fitted
from smartsim.domain.errors import SmartSimError, TelemetryError
from smartsim.domain.views.overview import Overview, overview

_DEPTH: Final = 3  # levels below the directory that are looked through
_TIME: Final = 19  # cells of a date and a time


def find_experiments(directory: str) -> list[str]:
    """Return the directories of experiments: the one that is given, or those up to three levels below it.

    What cannot be read, links and hidden directories are left out; so is what lies within an experiment.

    Returns:
        Absolute paths, the one whose record was written last first.

    Raises:
        TelemetryError: there is none.
    """
    top = os.path.abspath(directory)
    if not os.path.isdir(top):
        raise TelemetryError(f"There is no directory {directory}: give that of an experiment, or one that holds some")
    found = sorted(_below(top, _DEPTH), reverse=True)
    if not found:
        raise TelemetryError(
            f"There is no experiment in {top}, nor up to {_DEPTH} levels below it: none has a record, {EVENTS_FILE}. "
            "Give the directory of an experiment, or one that holds some. An experiment has a record once it has "
            "started something, unless SMARTSIM_FLAG_TELEMETRY=0 or exp.telemetry.disable() keeps it from that"
        )
    return [path for _, path in found]


def _below(directory: str, depth: int) -> Iterator[tuple[float, str]]:
    """Yield when records were written, and the directories of their experiments."""
    try:
        written = os.stat(os.path.join(directory, EVENTS_FILE)).st_mtime
    except OSError:
        if depth > 0:
            yield from _inside(directory, depth - 1)
    else:
        yield written, directory


def _inside(directory: str, depth: int) -> Iterator[tuple[float, str]]:
    try:
        with os.scandir(directory) as entries:
            inside = [
                entry.path
                for entry in entries
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
            ]
    except OSError:
        return
    for path in inside:
        yield from _below(path, depth)


class Listed:
    """An experiment of a list.

    Args:
        directory: its own.

    Attributes:
        reader: of its record; None if that cannot be read.
        view: what it tells; None so.
        problem: why it cannot be read; empty otherwise.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.reader: ExperimentReader | None = None
        self.view: Overview | None = None
        self.problem = ""
        try:
            self.reader = ExperimentReader(directory)
            self.view = overview(self.reader.history)
        except SmartSimError as error:
            self.problem = str(error)

    def refresh(self) -> bool:
        """Read what was recorded since the last time; return whether anything is new."""
        if self.reader is None or not self.reader.refresh():
            return False
        self.view = overview(self.reader.history)
        return True


def experiment_lines(experiments: Sequence[Listed], width: int, selected: int | None = None) -> list[Text]:
    """Return a heading, and a line for each experiment.

    Args:
        experiments: in their order.
        width: of the terminal, in cells.
        selected: the one that is marked.
    """
    names = [_name(listed) for listed in experiments]
    cells = min(max((cell_len(printable(name)) for name in ("NAME", *names)), default=0), width // 3)
    lines = [Text(f"{fitted('NAME', cells)} {fitted('LATEST', _TIME)}  STATES", "bold")]
    for number, (listed, name) in enumerate(zip(experiments, names, strict=True)):
        line = Text(style="reverse" if number == selected else "")
        view = listed.view
        line.append(f"{fitted(name, cells)} {fitted(clock_time(view.latest_at) if view else '', _TIME)}  ")
        if view is None:
            line.append(printable(listed.problem), "bold red")
        else:
            line.append_text(counted(view.counts)).append("  its driver has gone" if view.lost else "")
            line.append(f"  {printable(listed.directory)}")
        lines.append(line)
    return lines


def _name(listed: Listed) -> str:
    return (listed.view.experiment if listed.view else "") or os.path.basename(listed.directory)
