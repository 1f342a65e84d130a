"""`smart dbcli`: a session with a database that runs, as its administrator."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Final

import typer

from smartsim.adapters.filesystem.posix import PosixFileSystem
from smartsim.adapters.process.subprocess import SubprocessRunner
from smartsim.adapters.wlm.own import own_processes
from smartsim.app.cli.prompt import converse
from smartsim.app.leftovers import Leftover, find_leftovers
from smartsim.app.reaping import choose
from smartsim.app.secret_files import read_administrator
from smartsim.domain.addresses import Address
from smartsim.domain.errors import SmartSimError

_PROGRAMS: Final = ("valkey-cli", "redis-cli")
_PASSWORD_VARIABLE: Final = "REDISCLI_AUTH"  # noqa: S105 - of both programs: nobody else sees the environment


def dbcli(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME|PATH]", help="A database of `smart ps`; not needed if there is but one."),
    ] = None,
    path: Annotated[bool, typer.Option("--path", help="Print the path of a client program instead.")] = False,
) -> None:
    """Open a session with a database that runs, as its administrator."""
    program = next(filter(None, map(SubprocessRunner().find, _PROGRAMS)), None)
    try:
        if path:
            if program is None:
                raise SmartSimError(f"There is no {' or '.join(_PROGRAMS)} in PATH; `smart dbcli` works without one")
            typer.echo(program)
            return
        files = PosixFileSystem()
        database = _choose(find_leftovers(own_processes(), files), name)
        credentials = read_administrator(files, database.path)
        address = _address(database)
        if program is None:
            converse(address, credentials, sys.stdin, sys.stdout)
            return
    except SmartSimError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(os.EX_SOFTWARE) from None
    where = ["-s", address.path] if address.is_unix else ["-h", address.host, "-p", str(address.port)]
    follow = ["-c"] if len(database.servers) > 1 else []
    command = [program, *where, *follow, "--user", credentials.username]
    sys.stdout.flush()
    os.execve(program, command, {**os.environ, _PASSWORD_VARIABLE: credentials.password})  # noqa: S606 - no shell


def _choose(leftovers: list[Leftover], name: str | None) -> Leftover:
    """Return the database that is meant.

    Raises:
        SmartSimError: there is none, or more than one.
    """
    databases = [leftover for leftover in leftovers if leftover.servers]
    if name is not None:
        databases = choose(databases, [name])
    if not databases:
        raise SmartSimError("No database of yours runs on this machine; `smart ps` lists what does")
    if len(databases) > 1:
        listed = ", ".join(f"{database.name} ({database.path})" for database in databases)
        raise SmartSimError(f"Several databases run: give the name or the path of one: {listed}")
    return databases[0]


def _address(database: Leftover) -> Address:
    """Return where the first server listens that does."""
    known = next((server.address for server in database.servers if server.address is not None), None)
    if known is None:
        raise SmartSimError(f"The database {database.name} ({database.path}) does not listen yet: try again")
    path = known.removeprefix("unix://")
    host, _, port = known.rpartition(":")
    return Address.unix(path) if path != known else Address.tcp(host, int(port))
