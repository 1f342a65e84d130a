"""`smart logs`: what the jobs of an experiment wrote."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from smartsim.app.cli.log_lists import list_logs, print_found, print_merged
from smartsim.app.cli.log_output import JobLogs, copy, show, told
from smartsim.app.cli.options import Directory, Json
from smartsim.app.log_files import LogFiles
from smartsim.app.plain_text import printable
from smartsim.app.reading import ExperimentReader
from smartsim.domain.errors import SmartSimError
from smartsim.domain.views.details import find

_LINES: Final = 50  # that are shown unless somebody asks for more
_NOTHING_FOUND: Final = 1
_INTERRUPTED: Final = 130  # as of any program that Ctrl-C ends


def logs(
    directory: Directory,
    entity: Annotated[str | None, typer.Argument(help="Whose output; without one, all there are.")] = None,
    stdout: Annotated[bool, typer.Option("--stdout", help="Its standard output.")] = False,
    stderr: Annotated[bool, typer.Option("--stderr", help="Its standard error.")] = False,
    log: Annotated[str | None, typer.Option(metavar="NAME", help="Another log of it, such as `script`.")] = None,
    start: Annotated[int, typer.Option(help="Which of its starts: 1 is the first, -1 the last.")] = -1,
    tail: Annotated[int, typer.Option(min=0, help="How many lines of its end; 0 for all.")] = _LINES,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it has ended, or Ctrl-C.")] = False,
    search: Annotated[str | None, typer.Option(metavar="TEXT", help="The lines that have a text.")] = None,
    first_error: Annotated[bool, typer.Option("--first-error", help="The first line that looks like one.")] = False,
    merged: Annotated[str | None, typer.Option(metavar="GROUP", help="The last errors of a group's members.")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="The bytes as they are, for a file or a pipe.")] = False,
    as_json: Json = False,
) -> None:
    """Show what the jobs of an experiment wrote."""
    names = [name for name, wanted in (("stdout", stdout), ("stderr", stderr), (log, log)) if wanted and name]
    ways = [follow, search is not None, first_error, raw]
    _check(entity, merged, names, ways, as_json=as_json)
    try:
        reader = ExperimentReader(directory)
        files = LogFiles(reader)
        if entity is None:
            print_merged(reader, files, merged, as_json=as_json) if merged else list_logs(
                reader, files, as_json=as_json
            )
            return
        chosen = _choose(reader, files, entity, start, names)
        if search is not None or first_error:
            if not print_found(chosen, search, as_json=as_json):
                raise typer.Exit(_NOTHING_FOUND)
        elif raw:
            copy(chosen)
        elif as_json:
            typer.echo(json.dumps(told(chosen, tail), indent=2))
        else:
            show(chosen, tail, follow=follow)
    except BrokenPipeError:
        raise  # whoever read this has seen enough
    except (SmartSimError, OSError) as error:  # some tell names, which are whatever the record has
        typer.echo(printable(str(error)), err=True)
        raise typer.Exit(os.EX_SOFTWARE) from None
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None


def _check(
    entity: str | None, merged: str | None, names: Sequence[str], ways: Sequence[bool], *, as_json: bool
) -> None:
    """See that options make sense together.

    Raises:
        BadParameter: they do not.
    """
    follow, _, _, raw = ways
    if entity is None and (names or any(ways)):
        raise typer.BadParameter("give an entity, too")
    if entity is not None and merged is not None:
        raise typer.BadParameter("give an entity or --merged, not both")
    if sum(ways) > 1:
        raise typer.BadParameter("give one of --follow, --search, --first-error and --raw")
    if as_json and (follow or raw):
        raise typer.BadParameter("--json goes with neither --follow nor --raw")
    if raw and sys.stdout.isatty():
        raise typer.BadParameter("--raw is not for a terminal, which would take some bytes for orders")


def _choose(reader: ExperimentReader, files: LogFiles, entity: str, start: int, names: Sequence[str]) -> JobLogs:
    """Return the logs that are meant: output and errors, unless others are named.

    Raises:
        SmartSimError: there is no such entity, start or log.
    """
    find(reader.history, entity)
    starts = reader.history.entities[entity]
    number = start - 1 if start > 0 else len(starts) + start
    if not start or not 0 <= number < len(starts):
        raise SmartSimError(f"{entity} has no start {start}: there are {len(starts)}; 1 is the first, -1 the last")
    step = starts[number].facts.step
    found = {log.name: log for log in files.of(starts[number])}
    unknown = next((name for name in names if name not in found), None)
    if unknown is not None:
        raise SmartSimError(f"{entity} has no log {unknown!r}: it has {', '.join(found) or 'none'}")
    wanted = names or [name for name in ("stdout", "stderr") if name in found]
    return JobLogs(reader, files, entity, step, [found[name] for name in wanted])
