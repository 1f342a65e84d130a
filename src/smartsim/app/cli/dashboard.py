"""`smart dashboard`: a web application on this machine that shows an experiment."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import Annotated

import typer

from smartsim.app.cli.options import Directory, Json


def dashboard(
    directory: Directory,
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="TCP port; 0 for one that is free.")] = 0,
    control: Annotated[bool, typer.Option("--control", help="Let its pages stop and restart entities.")] = False,
    as_json: Json = False,
) -> None:
    """Show an experiment in a browser, while it runs and afterwards, until Ctrl-C."""
    for package in ("starlette", "uvicorn"):
        if find_spec(package) is None:
            typer.echo(f"The dashboard needs {package}: pip install 'smartsim-next[dashboard]'", err=True)
            raise typer.Exit(os.EX_CONFIG)
    # It may run for days: what read the command line takes 15 MB, which another program in its place does not have.
    options = [*(["--control"] if control else []), *(["--json"] if as_json else [])]
    command = [sys.executable, "-P", "-m", "smartsim.app.dashboard", directory, str(port), *options]
    os.execv(sys.executable, command)  # noqa: S606 - no shell is wanted
