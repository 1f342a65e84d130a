"""What is told of an experiment besides the table of its members, as lines of text."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from smartsim.app.plain_text import amount, clock_time, printable, sparkline
from smartsim.app.watch.text import LETTERS, counted, fitted
from smartsim.domain.views.databases import DatabaseView, ServerView
from smartsim.domain.views.inference import ModelView
from smartsim.domain.views.overview import GroupView, Overview

_SPARK: Final = 12  # cells
_WIDEST: Final = 24  # cells of a column
_CALLS: Final = 5  # slow ones that are shown
_LARGE_KEYS: Final = 8  # that are shown
_SERVER_HEADINGS: Final = ("S", "SERVER", "ADDRESS", "MEMORY", "CLIENTS", "OPS/S", "HITS", "P99", "OPS/S BEFORE")
_MODEL_HEADINGS: Final = (
    *("MODEL", "SERVER", "DEVICE", "CALLS", "ERRORS", "CALLS/S", "QUEUE", "RUN", "WAIT", "CALLS/S BEFORE"),
)
_WORDS: Final = {"S", "SERVER", "ADDRESS", "MODEL", "DEVICE", "OPS/S BEFORE", "CALLS/S BEFORE"}


def title_line(directory: str, view: Overview, width: int) -> Text:
    """Return the name of the experiment, and how many members are in each state."""
    name = view.experiment or os.path.basename(directory)
    launcher = printable(view.launcher)
    line = Text.assemble((printable(name), "bold"), f"  {launcher}  {view.entities}: ", counted(view.counts))
    if view.lost:
        line.append("  its driver has gone", "bold red")
    line.truncate(width, overflow="crop")
    return line


def group_lines(view: Overview, width: int, selected: int | None = None) -> list[Text]:
    """Return a heading, and a line for each ensemble and database."""
    names = max([len("NAME"), *(len(printable(group.name)) for group in view.groups)])
    names = min(names, width // 3)
    lines = [Text(f"{fitted('NAME', names)} {fitted('KIND', 8)} {'MEMBERS':>7}  STATES", "bold")]
    for number, group in enumerate(view.groups):
        line = Text(style="reverse" if number == selected else "")
        line.append(f"{fitted(group.name, names)} {fitted(group.kind, 8)} {group.members:>7}  ")
        line.append_text(counted(group.counts)).append(_parameters(group))
        lines.append(line)
    return lines


def _parameters(group: GroupView) -> str:
    return "".join(f"  {printable(name)}={printable(','.join(values))}" for name, values in group.params.items())


def run_lines(view: Overview, width: int) -> list[Text]:
    """Return who drives the experiment, its calls of `start`, and what failed last."""
    lines = [Text("Drivers", "bold")]
    for driver in view.drivers:
        state = {None: "", True: ", runs", False: ", has gone"}[driver.is_alive]
        where = f"process {driver.pid} on {printable(driver.host)}, {printable(driver.launcher)}"
        lines.append(Text(f"  {clock_time(driver.began_at)}  {where}{state}"))
    lines.append(Text("Starts", "bold"))
    for run in view.runs:
        line = Text(f"  {clock_time(run.began_at)}  {run.jobs:>5}  ").append_text(counted(run.counts))
        if run.error:
            line.append(f"  {printable(run.error)}", "bold red")
        lines.append(line)
    if view.failures:
        lines.append(Text("Failed last", "bold"))
        lines.extend(
            Text(f"  {clock_time(row.ended_at)}  {printable(row.entity)}: {printable(row.reason)}")
            for row in view.failures
        )
    if view.unknown_events:
        lines.append(Text(f"{view.unknown_events} events of the record are not known to this version"))
    return _cut(lines, width)


def database_lines(databases: Sequence[DatabaseView], width: int, *, unicode: bool) -> list[Text]:
    """Return how databases do: a line for each server, slow calls, and the largest keys.

    Args:
        databases: all of the experiment.
        width: of the terminal, in cells.
        unicode: whether it shows more than ASCII.
    """
    if not databases:
        return [Text("No database was started.", "dim")]
    lines: list[Text] = []
    for database in databases:
        lines.append(Text.assemble((printable(database.name), "bold"), f"  {_since(database)}"))
        rows = [_server(server, unicode=unicode) for server in database.servers]
        lines.extend(_table(_SERVER_HEADINGS, rows))
        if database.slow_calls:
            lines.append(Text("Slow calls", "bold"))
        for call in database.slow_calls[:_CALLS]:
            took = f"{amount(call.microseconds / 1000)} ms"
            lines.append(
                Text(f"{clock_time(call.at)} {took:>10}  {printable(call.server)}  {printable(' '.join(call.command))}")
            )
        if database.largest_keys:
            lines.append(Text("Largest keys", "bold"))
        lines.extend(
            Text(
                f"{amount(key.bytes) + 'B':>10}  {printable(key.server)}  {printable(key.name)} ({printable(key.type)})"
            )
            for key in database.largest_keys[:_LARGE_KEYS]
        )
        lines.append(Text())
    return _cut(lines, width)


def inference_lines(models: Sequence[ModelView], width: int, *, unicode: bool) -> list[Text]:
    """Return how models and scripts do: a line for each of them and each server, and how full batches were.

    Args:
        models: all of the experiment.
        width: of the terminal, in cells.
        unicode: whether it shows more than ASCII.
    """
    if not models:
        return [Text("No model was sampled: databases tell of those that they run once they run any.", "dim")]
    lines = _table(_MODEL_HEADINGS, [_model(model, unicode=unicode) for model in models])
    lines += [Text(), Text("Requests that ran together: how many runs", "bold")]
    for model in models:
        sizes = "  ".join(f"{_bound(bound)}: {amount(runs)}" for bound, runs in model.batch_sizes.items() if runs)
        lines.append(Text(f"{printable(model.model)} on {printable(model.server)}  {sizes or 'none'}"))
    return _cut(lines, width)


def _since(database: DatabaseView) -> str:
    if database.ready_at is None:
        return "not ready"
    return f"server {printable(database.server_version)}, ready since {clock_time(database.ready_at)}"


def _server(server: ServerView, *, unicode: bool) -> Sequence[str]:
    latest, rates = server.latest, _known(server.series.get("ops_per_second", ()))
    hits = latest.get("hit_rate")
    return (
        LETTERS.get(server.status, ""),
        f"{server.server}{' (replica)' if server.is_replica else ''}",
        server.address,
        _amount(latest.get("used_memory"), "B"),
        _amount(latest.get("clients")),
        _amount(latest.get("ops_per_second")),
        "" if hits is None else f"{hits:.0%}",
        _amount(latest.get("p99"), "us"),
        sparkline(rates, _SPARK, unicode=unicode),
    )


def _model(model: ModelView, *, unicode: bool) -> Sequence[str]:
    rates = _known(model.series.get("calls_per_second", ()))
    return (
        model.model,
        model.server,
        f"{model.backend} {model.device}",
        amount(model.calls),
        amount(model.errors),
        _amount(rates[-1] if rates else None),
        _amount(model.queue_ms, "ms"),
        _amount(model.run_ms, "ms"),
        amount(model.queue_length),
        sparkline(rates, _SPARK, unicode=unicode),
    )


def _bound(bound: str) -> str:
    return "more" if bound == "inf" else f"<={bound}"


def _known(values: Sequence[float | None]) -> Sequence[float]:
    return [value for value in values[-_SPARK:] if value is not None]


def _amount(value: float | None, unit: str = "") -> str:
    return "" if value is None else f"{amount(value)}{unit}"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Text]:
    """Return a table: words at the left, numbers at the right."""
    widths = [
        min(max(cell_len(printable(row[at])) for row in (headings, *rows)), _WIDEST) for at in range(len(headings))
    ]
    lines = []
    for number, row in enumerate((headings, *rows)):
        cells = (
            fitted(value, width, right=heading not in _WORDS)
            for value, width, heading in zip(row, widths, headings, strict=True)
        )
        lines.append(Text(" ".join(cells).rstrip(), "bold" if number == 0 else ""))
    return lines


def _cut(lines: Sequence[Text], width: int) -> list[Text]:
    for line in lines:
        line.truncate(width, overflow="crop")
    return list(lines)
