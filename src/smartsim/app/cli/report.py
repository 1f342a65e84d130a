"""`smart report`: an experiment as one HTML file."""

from __future__ import annotations

import json
import os
from typing import Annotated

import typer

from smartsim.adapters.clock.system import SystemClock
from smartsim.adapters.filesystem.posix import PosixFileSystem
from smartsim.app.cli.options import Directory, Json
from smartsim.app.log_files import LogFiles
from smartsim.app.reading import ExperimentReader
from smartsim.app.report import report as report_of
from smartsim.domain.errors import SmartSimError


def report(
    directory: Directory,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="By default DIRECTORY-report.html, here.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write one HTML file that shows all of an experiment: to keep, or to send."""
    try:
        reader = ExperimentReader(directory)
        content = report_of(reader, LogFiles(reader), SystemClock().now()).encode()
        path = os.path.abspath(output or f"{os.path.basename(reader.directory)}-report.html")
        PosixFileSystem().write(path, content, 0o666 & ~_umask())
    except (SmartSimError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(os.EX_SOFTWARE) from None
    if as_json:
        typer.echo(json.dumps({"file": path, "bytes": len(content)}))
    else:
        typer.echo(f"{path} ({len(content) / 1e6:.1f} MB) shows the experiment in any browser.")


def _umask() -> int:
    """Return which permissions new files are not to have; a system tells who sets others."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
