"""What `smart watch` shows, printed once: for scripts, and for terminals that show no application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from rich.text import Text

from smartsim.app.reading import ExperimentReader
from smartsim.app.watch.experiments import Listed, experiment_lines
from smartsim.app.watch.members import Layout, member_lines
from smartsim.app.watch.panes import group_lines, run_lines, title_line
from smartsim.domain.views.overview import overview
from smartsim.domain.views.table import Query, page


def told(directories: Sequence[str], now: float) -> Mapping[str, object]:
    """Return what is known of experiments, as JSON values: of one, all that `shown` has; of several, a list.

    Args:
        directories: their own.
        now: the time, in seconds since the epoch.

    Raises:
        TelemetryError: the record of the only one cannot be read.
    """
    if len(directories) > 1:
        listed = [Listed(directory) for directory in directories]
        return {
            "experiments": [
                {"directory": each.directory, "problem": each.problem, "overview": each.view and asdict(each.view)}
                for each in listed
            ]
        }
    reader = ExperimentReader(directories[0])
    return {
        "directory": reader.directory,
        "overview": asdict(overview(reader.history)),
        "entities": asdict(page(reader.history, Query(), now)),
    }


def shown(directories: Sequence[str], now: float, width: int) -> Sequence[Text]:
    """Return what is known of experiments, as lines: of one, an overview and its first members; of several, a list.

    Args:
        directories: their own.
        now: the time, in seconds since the epoch.
        width: of a line, in cells.

    Raises:
        TelemetryError: the record of the only one cannot be read.
    """
    if len(directories) > 1:
        return experiment_lines([Listed(directory) for directory in directories], width)
    reader = ExperimentReader(directories[0])
    view, members = overview(reader.history), page(reader.history, Query(), now)
    lines = [
        title_line(reader.directory, view, width),
        *(Text(), *group_lines(view, width)),
        *(Text(), *run_lines(view, width)),
        *(Text(), *member_lines(members, Layout(), width)),
    ]
    left = members.total - len(members.rows)
    return [*lines, Text(f"... and {left} more")] if left else lines
