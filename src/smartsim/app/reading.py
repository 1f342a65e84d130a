"""Reading the record of an experiment, while it runs and afterwards."""

from __future__ import annotations

import os
import posixpath
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from smartsim.adapters.eventlog.jsonl import parse_line
from smartsim.adapters.filesystem.posix import PosixFileSystem
from smartsim.adapters.wlm.proc import started_at
from smartsim.domain import metrics, record
from smartsim.domain.errors import TelemetryError
from smartsim.domain.history import History
from smartsim.domain.metrics_history import MetricsHistory

if TYPE_CHECKING:
    from smartsim.ports.file_system import FileReader

EVENTS_FILE = ".smartsim/events.jsonl"
METRICS_FILE = ".smartsim/metrics.jsonl"
_BLOCK = 1 << 17  # bytes that are read at a time
_KNOWN = 256  # bytes before the offset by which a file is known again
_SLACK = 10.0  # seconds by which the clock may have been set since a driver began


class LineFile:
    """JSON objects that others append to a file, one a line.

    Args:
        files: has it.
        path: of the file.
    """

    def __init__(self, files: FileReader, path: str) -> None:
        self._files = files
        self._path = path
        self._offset = 0
        self._known = b""  # what stands before the offset

    def new(self, begin_again: Callable[[], None]) -> Iterator[Mapping[str, Any]]:
        """Return what was added since the last call; a part of a line at the end is left for the next.

        What is no object, such as a line that was cut short when its writer was killed, is left out.

        Args:
            begin_again: is called when the file was replaced or cut: all of it follows.

        Raises:
            OSError: the file cannot be read.
        """
        limit = _BLOCK
        while True:
            begin = self._offset - len(self._known)
            content = self._files.read_range(self._path, begin, len(self._known) + limit).content
            if not content.startswith(self._known):
                self._offset, self._known = 0, b""
                begin_again()
                continue
            content = content[len(self._known) :]
            is_last = len(content) < limit
            end = _end(content, is_last)
            if end:
                self._offset += end
                self._known = (self._known + content[max(0, end - _KNOWN) : end])[-_KNOWN:]
                yield from _objects(content[:end])
            if is_last:
                return
            limit = _BLOCK if end else 2 * limit  # for a line that is longer


def _end(content: bytes, is_last: bool) -> int:
    """Return where the last line ends that is complete."""
    end = content.rfind(b"\n") + 1
    # The end of a line may be all that was not written: no object can go on behind its last brace.
    is_whole = is_last and content.endswith(b"}") and next(_objects(content[end:]), None) is not None
    return len(content) if is_whole else end


def _objects(lines: bytes) -> Iterator[Mapping[str, Any]]:
    for line in lines.split(b"\n"):
        written = parse_line(line) if line else None
        if written is not None:
            yield written


class ExperimentReader:
    """Follows the record of an experiment. It is for one thread, and so are the views of its history.

    Args:
        directory: of the experiment.
        files: has it; None for those of this machine.

    Attributes:
        directory: of the experiment, absolute.
        history: what the record tells, as of the last `refresh`; another object after the record was replaced.
        revision: grows with each change of it.

    Raises:
        TelemetryError: there is no record that can be read; it says what was looked for, and what to do.

    Example::

        reader = ExperimentReader("study")
        print(overview(reader.history).counts)
        while not reader.refresh():
            time.sleep(0.5)
    """

    def __init__(self, directory: str, files: FileReader | None = None) -> None:
        self.directory = os.path.abspath(directory)
        self.history = History()
        self.revision = 0
        self._files = PosixFileSystem() if files is None else files
        self._events = LineFile(self._files, posixpath.join(self.directory, EVENTS_FILE))
        self._samples = LineFile(self._files, posixpath.join(self.directory, METRICS_FILE))
        self._metrics = MetricsHistory()
        self._follows_metrics = False
        try:
            self._read_events()
        except OSError as error:
            raise TelemetryError(_nothing(self._files, self.directory, error)) from error

    @property
    def metrics(self) -> MetricsHistory:
        """The samples of the experiment. They are read from the first use on."""
        if not self._follows_metrics:
            self._follows_metrics = True
            self._read_metrics()
        return self._metrics

    def refresh(self) -> bool:
        """Read what was recorded since the last time.

        A record that cannot be read for the moment, or was removed, leaves what is known as it is.

        Returns:
            Whether anything is new.
        """
        before = self.revision
        try:
            self._read_events()
        except OSError:
            self._look_at_drivers()
        if self._follows_metrics:
            self._read_metrics()
        return self.revision != before

    def _read_events(self) -> None:
        for written in self._events.new(self._forget_events):
            self.history.add(record.parse(written))
            self.revision += 1
        self._look_at_drivers()

    def _forget_events(self) -> None:
        self.history = History()
        self.revision += 1

    def _read_metrics(self) -> None:
        try:
            for written in self._samples.new(self._forget_metrics):
                self._metrics.add(metrics.parse(written))
                self.revision += 1
        except OSError:
            return  # nobody has taken a sample

    def _forget_metrics(self) -> None:
        self._metrics = MetricsHistory()
        self.revision += 1

    def _look_at_drivers(self) -> None:
        """Find out which drivers of this machine run; those that have gone do not come back."""
        alive, host, now = self.history.alive, os.uname().nodename, time.time()
        own = [driver for driver in self.history.drivers if driver.host == host and alive.get(driver, True)]
        began = {pid: started_at(pid, now) for pid in {driver.pid for driver in own}}
        for driver in own:
            at = began[driver.pid]
            runs = at is not None and at <= driver.at + _SLACK  # or it is another process of the same id
            self.revision += alive.get(driver) is not runs
            alive[driver] = runs


def _nothing(files: FileReader, directory: str, error: OSError) -> str:
    """Return why there is nothing to show, and what to do."""
    path = posixpath.join(directory, EVENTS_FILE)
    if files.inspect(directory) is None:
        return f"There is no directory {directory}: give the one of an experiment (its exp_path)"
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        return f"The record of the experiment, {path}, cannot be read: {error.strerror or error}"
    above = posixpath.dirname(directory)
    while above != directory:
        if files.inspect(posixpath.join(above, EVENTS_FILE)) is not None:
            return f"{directory} has no record of an experiment, but {above} has: give that"
        directory, above = above, posixpath.dirname(above)
    return (
        f"There is no record of an experiment: {path} is missing. Give the directory of an experiment (its exp_path). "
        "It keeps a record from its first start on, unless telemetry is off (SMARTSIM_FLAG_TELEMETRY=0)"
    )
