"""The output of one start of an entity: its end, all that comes then, or the bytes as they are."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import typer

from smartsim.adapters.filesystem.posix import PosixFileSystem
from smartsim.app.plain_text import printable
from smartsim.domain import record
from smartsim.domain.views.details import find

if TYPE_CHECKING:
    from smartsim.app.log_files import LogChunk, LogFile, LogFiles
    from smartsim.app.reading import ExperimentReader
    from smartsim.domain.history import JobHistory

_BLOCK: Final = 1 << 16  # bytes that are read at a time
_MOST: Final = 1 << 24  # bytes of an end, however long its lines are
_INTERVAL: Final = 0.3  # seconds between two looks at a file that grows: file systems of clusters tell nobody


@dataclass(frozen=True)
class JobLogs:
    """Logs of one start of an entity.

    Args:
        reader: of the experiment.
        files: of the experiment.
        entity: its name.
        step: of the start.
        chosen: the logs that are meant.
    """

    reader: ExperimentReader
    files: LogFiles
    entity: str
    step: str
    chosen: Sequence[LogFile]

    @property
    def job(self) -> JobHistory:
        """The start, as far as it was recorded."""
        return find(self.reader.history, self.entity, self.step)

    def end(self, log: LogFile, lines: int) -> LogChunk:
        """Return the last lines of a log; with 0, as much of its beginning."""
        return self.files.tail(log.path, lines, _MOST) if lines else self.files.chunk(log.path, 0, _MOST)


def told(logs: JobLogs, lines: int) -> dict[str, Any]:
    """Return the ends of logs, for programs."""
    return {
        "entity": logs.entity,
        "step": logs.step,
        "status": logs.job.status.value,
        "logs": [{**asdict(log), **asdict(logs.end(log, lines))} for log in logs.chosen],
    }


def copy(logs: JobLogs) -> None:
    """Write logs to the standard output as they are."""
    files, sink = PosixFileSystem(), sys.stdout.buffer
    for log in logs.chosen:
        path, offset = record.absolute(log.path, logs.reader.directory), 0
        if files.inspect(path) is None:
            typer.echo(_missing(log), err=True)
            continue
        while content := files.read_range(path, offset, _BLOCK).content:
            sink.write(content)
            offset += len(content)
    sink.flush()


def show(logs: JobLogs, lines: int, *, follow: bool) -> None:
    """Print the ends of logs, and what comes then until the job has ended, if that is wanted.

    Args:
        logs: the ones.
        lines: of each; 0 for all.
        follow: whether to go on.
    """
    printer = _Printer(logs)
    for log in logs.chosen:
        chunk = logs.end(log, lines)
        printer.print(log, chunk)
        if not chunk.exists and not follow:
            typer.echo(_missing(log), err=True)
    printer.go_on()
    while follow:
        logs.reader.refresh()
        has_ended = logs.job.is_final
        printer.go_on()
        if has_ended:
            return
        time.sleep(_INTERVAL)


def _missing(log: LogFile) -> str:
    return printable(f"{log.name}: there is no {log.path}")


class _Printer:
    """Prints logs part by part, with a heading when another one goes on, if there are several."""

    def __init__(self, logs: JobLogs) -> None:
        self._logs = logs
        self._offsets: dict[str, int] = {}
        self._latest: LogFile | None = None

    def print(self, log: LogFile, chunk: LogChunk) -> None:
        """Print the next part of a log."""
        self._offsets[log.name] = chunk.end
        if not chunk.text:
            return
        if log is not self._latest and len(self._logs.chosen) > 1:
            typer.echo(("" if self._latest is None else "\n") + f"==> {printable(f'{log.name}: {log.path}')} <==")
        self._latest = log
        typer.echo(chunk.text, nl=False)

    def go_on(self) -> None:
        """Print what was not yet printed of all logs."""
        for log in self._logs.chosen:
            while True:
                offset = self._offsets[log.name]
                chunk = self._logs.files.chunk(log.path, offset, _BLOCK)
                if chunk.size < offset:  # it was emptied, and begins anew
                    self._offsets[log.name] = 0
                elif chunk.end == offset:
                    break
                else:
                    self.print(log, chunk)
