"""An experiment as one HTML file, to keep or to send: the pages of the dashboard with what they show at that moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from smartsim.app.dashboard.bundle import page as html_page
from smartsim.app.json_text import by_name, encoded
from smartsim.app.log_files import errors_of
from smartsim.domain.status import SmartSimStatus
from smartsim.domain.views.databases import databases
from smartsim.domain.views.details import details
from smartsim.domain.views.diagnosis import diagnose
from smartsim.domain.views.heat_map import heat_map
from smartsim.domain.views.inference import inference
from smartsim.domain.views.overview import overview
from smartsim.domain.views.table import Query, page
from smartsim.domain.views.timeline import load, timeline

if TYPE_CHECKING:
    from smartsim.app.log_files import LogFiles
    from smartsim.app.reading import ExperimentReader
    from smartsim.domain.history import JobHistory

_ALL: Final = Query(limit=1_000_000_000)
_EXPLAINED: Final = 500  # failures with all that is known of them, and the end of their output
_TAIL: Final = 40  # lines of an output
_TAIL_BYTES: Final = 1 << 13  # of these, however long they are
_MERGED: Final = 200  # members of a group whose errors are compared


def report(reader: ExperimentReader, logs: LogFiles, now: float) -> str:
    """Return an experiment as HTML that needs nothing else. It is the same for the same record, logs and time.

    Args:
        reader: of the experiment.
        logs: its log files, of which the ends of those that failed are shown.
        now: the time, in seconds since the epoch.
    """
    return html_page(encoded(_content(reader, logs, now)).decode("ascii"))


def _content(reader: ExperimentReader, logs: LogFiles, now: float) -> dict[str, object]:
    """Return what the pages show, as `dashboard/static/source.js` describes it."""
    history, seen = reader.history, overview(reader.history)
    failed = [starts[-1] for starts in history.entities.values() if starts[-1].status is SmartSimStatus.STATUS_FAILED]
    explained = sorted(failed, key=lambda job: job.ended_at or 0.0, reverse=True)[:_EXPLAINED]
    groups = ["", *(group.name for group in seen.groups)]
    return {
        "generated_at": now,
        "overview": {**by_name(seen), "directory": reader.directory},
        "entities": page(history, _ALL, now),
        "heatMaps": {group: heat_map(history, group) for group in groups},
        "timeline": timeline(history, _ALL, now),
        "load": load(history, now),
        "databases": {"databases": databases(history, reader.metrics)},
        "inference": {"models": inference(history, reader.metrics)},
        "details": {job.facts.entity: details(history, job.facts.entity, now=now) for job in explained},
        "diagnoses": {job.facts.entity: diagnose(job, *_tails(logs, job)) for job in explained},
        "errors": {group: {"errors": logs.merged_errors(errors_of(history, group, _MERGED))} for group in groups},
    }


def _tails(logs: LogFiles, job: JobHistory) -> tuple[Sequence[str], Sequence[str]]:
    """Return the last lines of errors and output; none of what cannot be read."""

    def tail(path: str) -> Sequence[str]:
        try:
            return logs.tail(path, _TAIL, _TAIL_BYTES).text.splitlines() if path else ()
        except OSError:
            return ()

    return tail(job.facts.stderr), tail(job.facts.stdout)
