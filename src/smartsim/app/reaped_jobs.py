"""Ends of jobs that `smart reap` has brought about, for the record: their driver can no longer tell of them."""

from __future__ import annotations

import posixpath
import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from smartsim.adapters.eventlog.jsonl import JsonlEventLog
from smartsim.app.reading import EVENTS_FILE, ExperimentReader
from smartsim.domain import record
from smartsim.domain.errors import TelemetryError
from smartsim.domain.status import SmartSimStatus

if TYPE_CHECKING:
    from smartsim.domain.history import JobHistory

_REASON: Final = "its driver had gone, and smart reap ended it"
_CANCELLED: Final = SmartSimStatus.STATUS_CANCELLED.value


class ReapedJobs:
    """Records the ends of jobs whose driver has gone.

    Args:
        by: who ends them, in words.
    """

    def __init__(self, by: str) -> None:
        self._by = by
        self._readers: dict[str, ExperimentReader] = {}

    def ended(self, experiment: str, outputs: Collection[str]) -> None:
        """Record the end of each job that has none, and had one of these files for its output. Others may write, too.

        Args:
            experiment: its directory. One without a record is left without.
            outputs: what the processes that have ended wrote to.

        Raises:
            TelemetryError: the ends cannot be recorded.
        """
        try:
            reader = self._readers.get(experiment) or ExperimentReader(experiment)
        except TelemetryError:
            return  # it keeps none, or is no longer there
        self._readers[experiment] = reader
        reader.refresh()
        now = time.time()
        ends = [
            record.Ended(now, job.facts.entity, job.facts.step, _CANCELLED, None, _REASON, self._by)
            for job in reader.history.jobs.values()
            if not (job.is_final or job.facts.batch_job) and _outputs(job, experiment) & set(outputs)
        ]
        JsonlEventLog(posixpath.join(experiment, EVENTS_FILE)).append([record.write(end, now) for end in ends])


def _outputs(job: JobHistory, experiment: str) -> set[str]:
    return {record.absolute(path, experiment) for path in (job.facts.stdout, job.facts.stderr) if path}
