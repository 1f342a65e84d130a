"""The table of members: parameters as columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from smartsim.app.plain_text import duration, growing, printable
from smartsim.app.watch.text import LETTERS, STYLES, fitted
from smartsim.domain.views.table import Page, Row

_LONGEST_NAME: Final = 32  # cells
_LONGEST: Final = 16  # so of other columns but the last
_GAP: Final = " "


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Args:
        key: what rows are sorted by, as `Query.sort` has it.
        heading: above it.
        value: returns what stands in it.
        right: whether that stands at the right.
        longest: the most cells; None for as many as are left.
    """

    key: str
    heading: str
    value: Callable[[Row], str]
    right: bool = False
    longest: int | None = _LONGEST


@dataclass
class Layout:
    """How the table is shown.

    Args:
        sort: the key of the column that it is sorted by.
        descending: whether from the last to the first.
        skipped: how many columns behind the name are left out, so that others can be seen.
        widths: of columns, by key; they only grow, so that the table stays where it is while it is read.
    """

    sort: str = "entity"
    descending: bool = False
    skipped: int = 0
    widths: dict[str, int] = field(default_factory=dict)


def columns(parameters: Sequence[str]) -> tuple[Column, ...]:
    """Return the columns of a table whose members have these parameters."""
    return (
        Column("status", "S", _letter, longest=2),
        Column("entity", "NAME", lambda row: row.entity, longest=_LONGEST_NAME),
        *(
            Column(f"params.{name}", name, lambda row, name=name: row.params.get(name, ""), right=True)  # type: ignore[misc]
            for name in parameters
        ),
        Column("wait_seconds", "WAIT", _wait, right=True),
        Column("run_seconds", "RUN", _run, right=True),
        Column("returncode", "CODE", lambda row: "" if row.returncode is None else str(row.returncode), right=True),
        Column("reason", "REASON, NODES", _reason, longest=None),
    )


def _letter(row: Row) -> str:
    return LETTERS.get(row.status, "?") + ("?" if row.driver_gone else "")


def _wait(row: Row) -> str:
    return (growing if row.started_at is None and row.ended_at is None else duration)(row.wait_seconds)


def _reason(row: Row) -> str:
    reason = row.reason or (f"being stopped by {row.stopped_by}" if row.stopped_by else "")
    return "; ".join(filter(None, (reason, ",".join(row.hosts))))


def _run(row: Row) -> str:
    return (growing if row.ended_at is None else duration)(row.run_seconds)


def member_lines(page: Page, layout: Layout, width: int, selected: int | None = None) -> list[Text]:
    """Return the heading of the table and a line for each row of a page.

    Args:
        page: the rows.
        layout: how they are shown; takes in the widths that they need.
        width: of the terminal, in cells.
        selected: the row that is marked, counted from the first of the page.
    """
    shown = _shown(page, layout)
    widths = _widths(shown, page.rows, layout.widths, width)
    heading = Text()
    for column, cells in zip(shown, widths, strict=False):
        mark = ("v" if layout.descending else "^") if column.key == layout.sort else ""
        style = "bold underline" if mark else "bold"
        heading.append(fitted(f"{column.heading}{mark}", cells, right=column.right), style).append(_GAP)
    lines = [heading]
    for number, row in enumerate(page.rows):
        line = Text(style="reverse" if number == selected else "")
        for column, cells in zip(shown, widths, strict=False):
            style = STYLES.get(row.status, "") if column.key == "status" else ""
            line.append(fitted(column.value(row), cells, right=column.right), style).append(_GAP)
        lines.append(line)
    return lines


def _shown(page: Page, layout: Layout) -> list[Column]:
    every = columns(page.parameters)
    values = [column for column in every[2:] if column.key != "wait_seconds" or _has(column, page.rows)]
    layout.skipped = max(0, min(layout.skipped, len(values) - 1))
    return [*every[:2], *values[layout.skipped :]]


def _has(column: Column, rows: Sequence[Row]) -> bool:
    return any(column.value(row) for row in rows)


def _widths(shown: Sequence[Column], rows: Sequence[Row], known: dict[str, int], width: int) -> list[int]:
    """Return the widths of as many columns as fit, the last of them cut or stretched to the edge."""
    left, widths = width, list[int]()
    for column in shown:
        content = max((cell_len(printable(column.value(row))) for row in rows), default=0)
        heading = cell_len(printable(column.heading)) + 1  # for the mark of the order
        wanted = max(content, heading, known.get(column.key, 0))
        cells = left if column.longest is None else min(wanted, column.longest, left)
        if cells <= 0:
            break
        known[column.key] = cells if column.longest is not None else 0
        widths.append(cells)
        left -= cells + len(_GAP)
    return widths


def sort_keys(page: Page, layout: Layout) -> Mapping[str, str]:
    """Return the keys of the columns that are shown, with their headings, in their order."""
    return {column.key: column.heading for column in _shown(page, layout)}
