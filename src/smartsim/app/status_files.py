"""`start.json` and `stop.json` beside the outputs of each job, as tools for the old system read them.

Times in them are milliseconds since the epoch.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii as _json
from typing import TYPE_CHECKING

from smartsim.domain import record
from smartsim.domain.status import SmartSimStatus

if TYPE_CHECKING:
    from smartsim.ports.file_system import FileSystem

_COMPLETED = SmartSimStatus.STATUS_COMPLETED.value


@dataclass(slots=True)
class _Running:
    """A job that has not ended."""

    facts: record.Submitted
    directory: str
    native_id: str = ""


class StatusFiles:
    """Writes the files when jobs start and end, whatever ends them. What an earlier driver wrote is left as it is.

    Args:
        exp_path: the directory of the experiment.
        files: where they go.
    """

    def __init__(self, exp_path: str, files: FileSystem) -> None:
        self._exp_path = exp_path
        self._files = files
        self._running: dict[str, _Running] = {}  # each step is told of by one thread at a time

    def __call__(self, events: Sequence[record.Event]) -> None:
        """Take in events.

        Raises:
            OSError: a file cannot be written.
        """
        problems = []
        for event in events:
            try:
                self._take(event)
            except OSError as error:  # those of other jobs may be written
                problems.append(error)
        if problems:
            raise problems[0]

    def _take(self, event: record.Event) -> None:
        match event:
            case record.Submitted(step=step):
                self._running[step] = _Running(event, directory_of(event, self._exp_path))
            case record.Started(step=step, native_id=native_id) if step in self._running:
                running = self._running[step]
                running.native_id = native_id
                self._write(running, event, "start", "")
            # What was submitted before the record was kept is not known.
            case record.Ended(step=step) if step in self._running:
                self._write(self._running.pop(step), event, "stop", _end(event))
            case record.Withdrawn(step=step):
                self._running.pop(step, None)

    def _write(self, running: _Running, event: record.Event, action: str, more: str) -> None:
        facts = running.facts
        path = f"{running.directory}/{action}.json"
        if isinstance(facts, record.TakenOver) and self._files.inspect(path) is not None:
            return
        step_id, task_id = ids(facts, running.native_id)
        # There are two for every job of thousands: no objects are made for what has the same form each time.
        text = (
            f'{{"timestamp": {int(event.at * 1e3)}, "job_id": {_json(task_id)}, "step_id": {_json(step_id)}, '
            f'"type": {_json(facts.type.lower())}, "action": "{action}"{more}}}\n'
        )
        self._files.write(path, text.encode())


def _end(event: record.Ended) -> str:
    code = event.returncode
    if code is None:  # such tools want a number; `detail` says that it is not known
        code = 0 if event.status == _COMPLETED else 1
    return f', "detail": {_json(event.reason)}, "return_code": {code}'


def directory_of(facts: record.Submitted, exp_path: str) -> str:
    """Return the directory in which the files of a job are."""
    return posixpath.dirname(record.absolute(facts.stdout, exp_path))


def ids(facts: record.Submitted, native_id: str) -> tuple[str, str]:
    """Return the id of a job with the scheduler, and the process id if it is a process of the driver.

    Args:
        facts: of the job.
        native_id: what its workload manager calls it.

    Returns:
        One of them is empty.
    """
    is_process = native_id.isdigit() and not facts.batch_job
    return ("", native_id) if is_process else (native_id, "")
