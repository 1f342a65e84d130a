"""What logs of an experiment there are, and what is found in them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import typer

from smartsim.app.cli.tables import print_table, table_of
from smartsim.app.log_files import LogChunk, errors_of
from smartsim.app.plain_text import amount, printable
from smartsim.domain.status import SmartSimStatus

if TYPE_CHECKING:
    from smartsim.app.cli.log_output import JobLogs
    from smartsim.app.log_files import Found, LogFile, LogFiles
    from smartsim.app.reading import ExperimentReader
    from smartsim.domain.history import JobHistory

_LISTED: Final = 100  # entities in a list for people
_LOOKED_INTO: Final = 200  # failures whose first error is looked for
_NAMED: Final = 3  # of those who wrote the same
_HEADINGS: Final = ("ENTITY", "STATUS", "OUTPUT", "ERRORS", "FIRST ERROR")
_FIRST: Final = (SmartSimStatus.STATUS_FAILED, SmartSimStatus.STATUS_RUNNING)
_ERRORS_FIRST: Final = ("stderr", "stdout")


def list_logs(reader: ExperimentReader, files: LogFiles, *, as_json: bool) -> None:
    """Print which logs there are: of entities that failed first, then of those that run."""
    jobs = [starts[-1] for starts in reader.history.entities.values()]
    jobs.sort(key=lambda job: _FIRST.index(job.status) if job.status in _FIRST else len(_FIRST))
    shown = jobs if as_json else jobs[:_LISTED]
    rows = [_listed(files, job, look=number < _LOOKED_INTO) for number, job in enumerate(shown)]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    print_table(table_of(_HEADINGS, map(_cells, rows), right=("OUTPUT", "ERRORS")))
    if len(jobs) > len(rows):
        typer.echo(f"and {len(jobs) - len(rows)} others; --json lists all")


def _listed(files: LogFiles, job: JobHistory, *, look: bool) -> dict[str, Any]:
    """Return an entity of the list; with its first error if it failed, and somebody is to look."""
    found = {log.name: log for log in files.of(job)}
    sizes = {name: _beginning(files, log.path) for name, log in found.items()}
    error = None
    if look and job.status is SmartSimStatus.STATUS_FAILED:
        paths = [found[name].path for name in _ERRORS_FIRST if name in found and sizes[name].exists]
        error = next((error for path in paths if (error := _first_error(files, path)) is not None), None)
    return {
        "entity": job.facts.entity,
        "step": job.facts.step,
        "status": job.status.value,
        "logs": [
            {**asdict(log), "size": sizes[name].size, "exists": sizes[name].exists} for name, log in found.items()
        ],
        "first_error": None if error is None else asdict(error),
    }


def _beginning(files: LogFiles, path: str) -> LogChunk:
    try:
        return files.chunk(path, 0, 0)
    except OSError:  # one that cannot be read hides no other
        return LogChunk(0, 0, 0, "", exists=False)


def _first_error(files: LogFiles, path: str) -> Found | None:
    try:
        return files.first_error(path)
    except OSError:
        return None


def _cells(row: Mapping[str, Any]) -> Sequence[str]:
    sizes = {log["name"]: f"{amount(log['size'])}B" if log["exists"] else "-" for log in row["logs"]}
    error = "" if row["first_error"] is None else row["first_error"]["line"].strip()
    return row["entity"], row["status"], sizes.get("stdout", ""), sizes.get("stderr", ""), error


def print_merged(reader: ExperimentReader, files: LogFiles, group: str, *, as_json: bool) -> None:
    """Print what the members of a group wrote last to their standard error, those who wrote the same together."""
    found = files.merged_errors(errors_of(reader.history, group))
    if as_json:
        typer.echo(json.dumps({"errors": [asdict(errors) for errors in found]}, indent=2))
        return
    for errors in found:
        others = len(errors.entities) - _NAMED
        names = ", ".join(map(printable, errors.entities[:_NAMED])) + (f" and {others} others" if others > 0 else "")
        typer.echo(f"==> {names} <==\n" + "\n".join(errors.lines) + "\n")
    if not found:
        typer.echo(f"No member of {printable(group)} wrote anything to its standard error.")


def print_found(logs: JobLogs, text: str | None, *, as_json: bool) -> bool:
    """Print the lines that have a text; without one, the first of each log that looks like an error.

    Returns:
        Whether there is any.
    """
    lines = ((log, found) for log in logs.chosen for found in _lines(logs.files, log, text))
    if as_json:
        found = [{**asdict(log), **asdict(line)} for log, line in lines]
        typer.echo(json.dumps({"entity": logs.entity, "step": logs.step, "found": found}, indent=2))
        return bool(found)
    is_any = False
    for log, line in lines:
        is_any = True
        typer.echo(
            f"{printable(log.name)}:{line.offset if line.line_number is None else line.line_number}: {line.line}"
        )
    if not is_any:
        typer.echo(
            f"No line of {printable(logs.entity)} {'looks like an error' if text is None else 'has it'}.", err=True
        )
    return is_any


def _lines(files: LogFiles, log: LogFile, text: str | None) -> Iterator[Found]:
    if text is None:
        error = files.first_error(log.path)
        if error is not None:
            yield error
        return
    start: int | None = 0
    while start is not None:
        search = files.search(log.path, text, start)
        yield from search.found
        start = search.next
