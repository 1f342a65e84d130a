"""Tables for people."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Final

import typer

from smartsim.app.plain_text import printable

if TYPE_CHECKING:
    from rich.table import Table

_WIDE: Final = 200  # columns of a table that goes to no terminal


def table_of(
    headings: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str] = (), title: str | None = None
) -> Table:
    """Return a table; what a terminal would obey is escaped.

    Args:
        headings: of the columns.
        rows: their cells.
        right: the headings of columns whose cells stand at the right.
        title: above it.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, title=title, title_justify="left", title_style="bold")
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table


def print_table(table: Table) -> None:
    """Print a table as wide as the terminal is; to a file or a pipe, without blanks at the ends of lines."""
    from rich.console import Console

    if sys.stdout.isatty():
        Console().print(table)
        return
    console = Console(width=_WIDE)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        typer.echo(line.rstrip())
