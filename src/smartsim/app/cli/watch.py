"""`smart watch`: experiments in a terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Annotated, Final

import typer

from smartsim.app.cli.options import Json
from smartsim.domain.errors import SmartSimError

_WIDE: Final = 200  # columns of what goes to no terminal
_MISSING: Final = "`smart watch` needs textual: pip install 'smartsim-next[watch]'; `smart watch --once` does without"


def watch(
    directory: Annotated[str, typer.Argument(help="Of an experiment, or one that holds several.")] = ".",
    once: Annotated[bool, typer.Option("--once", help="Print what there is as text, and end.")] = False,
    as_json: Json = False,
) -> None:
    """Watch an experiment in a terminal: what runs, what failed and why, logs, databases. Keys are told by `?`."""
    from smartsim.app.watch.experiments import find_experiments

    try:
        directories = find_experiments(directory)
        if as_json:
            from smartsim.app.json_text import indented
            from smartsim.app.watch.once import told

            typer.echo(indented(told(directories, time.time())))
        elif once or not _is_terminal():
            _print(directories)
        else:
            _run(directories)
    except SmartSimError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(os.EX_SOFTWARE) from None


def _is_terminal() -> bool:
    streams = (sys.__stdin__, sys.__stdout__, sys.__stderr__)
    return os.environ.get("TERM", "dumb") != "dumb" and all(stream and stream.isatty() for stream in streams)


def _print(directories: Sequence[str]) -> None:
    from rich.console import Console

    from smartsim.app.watch.once import shown

    console = Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)
    for line in shown(directories, time.time(), console.width):
        line.rstrip()
        console.print(line, no_wrap=True, overflow="crop", crop=True)


def _run(directories: Sequence[str]) -> None:
    if find_spec("textual") is None:
        typer.echo(_MISSING, err=True)
        raise typer.Exit(os.EX_CONFIG)
    from smartsim.app.watch.application import WatchApp

    encoding = sys.__stdout__.encoding if sys.__stdout__ else ""
    app = WatchApp(directories, time.time, unicode=encoding.lower().startswith("utf"))
    app.run(mouse=False)
    if app.return_code:
        raise typer.Exit(os.EX_SOFTWARE)
