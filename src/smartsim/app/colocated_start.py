"""Colocated databases, as the driver sees them: what their ranks are told, and what became of them."""

from __future__ import annotations

import json
import posixpath
import secrets
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from smartsim.app.database_samples import SampledServer
from smartsim.app.model import Model
from smartsim.app.secret_files import (
    ADMINISTRATOR,
    administrators_file,
    draw_secret,
    read_administrator,
    write_secret,
)
from smartsim.domain.addresses import Address, parse_addresses
from smartsim.domain.client_environment import DEFAULT_IDENTIFIER, Endpoint
from smartsim.domain.colocation import ColocatedDatabase, option_name
from smartsim.domain.database import DEFAULT_PORT, ShardPlan
from smartsim.domain.errors import SmartSimError
from smartsim.domain.status import SmartSimStatus
from smartsim.domain.workers import WorkerOptions
from smartsim.ports.database_server import Credentials, DatabaseServer

if TYPE_CHECKING:
    from smartsim.app.jobs import Job, Jobs
    from smartsim.ports.clock import Clock
    from smartsim.ports.file_system import FileReader, FileSystem

DESCRIPTION = "database.json"
"""The file, in the directory of a run, that tells its ranks of their database."""

_READY, _ERROR = ".ready", ".error"
_LONGEST_START = 330.0  # seconds; the ranks give up before
_INTERVAL = 0.005  # seconds between two looks at a database that is starting


def endpoint(model: Model) -> Endpoint:
    """Return the colocated database of a model, with a stand-in for its address: that is the node's to say."""
    settings = _settings(model)
    return Endpoint(settings["db_identifier"], (Address.tcp("127.0.0.1", settings["port"] or DEFAULT_PORT),))


def prepare(
    model: Model, directory: str, objects: list[dict[str, Any]], server: DatabaseServer, files: FileSystem
) -> tuple[str, ...]:
    """Write what the ranks of a run and their nodes need for a database.

    Args:
        model: whose database it is.
        directory: of the run, for the files.
        objects: models and scripts that it is to hold from the beginning; see `ml_uploads.describe`.
        server: renders the configuration.
        files: where they are written.

    Returns:
        The words that stand before the application's own in the command of every rank.
    """
    settings = _settings(model)
    credentials = Credentials(ADMINISTRATOR, draw_secret())
    files.make_directory(directory, 0o700)
    workers = WorkerOptions(**settings["rai_args"])
    plan = ShardPlan(_shard(model), directory, ("127.0.0.1",), settings["port"], workers)
    command = server.command(plan, credentials)
    password_file = administrators_file(directory)
    database = ColocatedDatabase(
        model=model.name,
        token=secrets.token_hex(16),
        variable=f"SSDB{endpoint(model).suffix}",
        directory=directory,
        log=posixpath.join(model.path, f"{model.name}-db.log") if settings["debug"] else None,
        ranks=None if model.run_settings.run_command else 1,
        settings=command.argv[-1],
        user=credentials.username,
        password_file=password_file,
        is_unix="unix_socket" in settings,
        unix_socket=settings.get("unix_socket"),
        socket_permissions=settings.get("socket_permissions", 0),
        port=settings["port"],
        interfaces=_listed(settings.get("ifname", [])),
        cpus=settings["cpus"],
        pinning=_pinning(settings),
        arguments=_arguments(settings),
        objects=objects,
    )
    description = posixpath.join(directory, DESCRIPTION)
    write_secret(files, password_file, credentials.password)
    written = {**command.files, description: json.dumps(asdict(database), indent=2).encode() + b"\n"}
    for path, content in written.items():
        files.write(path, content, 0o600)
    return (sys.executable, "-P", "-m", "smartsim.app.colocated", description, "--")


def await_ready(started: Sequence[Job], jobs: Jobs, files: FileReader, clock: Clock) -> None:
    """Wait until the applications of some jobs have their databases.

    Args:
        started: the jobs; those without a colocated database, and those that wait in a queue, are passed over.
        jobs: follows them.
        files: where nodes tell what became of their databases.
        clock: waits.

    Raises:
        SmartSimError: a database cannot be started.
    """
    deadline = clock.monotonic() + _LONGEST_START
    for job in started:
        if job.colocated is None or job.state.status is SmartSimStatus.STATUS_QUEUED:
            continue
        while not _told(files, job.colocated, _READY):
            if problems := _texts(files, job.colocated):
                raise SmartSimError("\n".join(problems))
            # Whatever else it may end of is told of the job.
            if jobs.wait_ended([job], _INTERVAL):
                break
            if clock.monotonic() > deadline:
                raise SmartSimError(f"The database of {job.entity} was not ready within {_LONGEST_START:.0f} s")


def sampled(jobs: Sequence[Job], server: DatabaseServer, files: FileReader, host: str) -> list[SampledServer]:
    """Return the colocated databases that run on this machine, to be looked at.

    Args:
        jobs: that have not ended.
        server: talks to databases.
        files: where nodes tell of their databases.
        host: the name of this machine.
    """
    found = []
    for job in jobs:
        if job.colocated is None or not isinstance(job.owner, Model):
            continue
        path = posixpath.join(job.colocated, f"{host}{_READY}")
        try:
            (address,) = parse_addresses(files.read(path).decode().strip())
            credentials = read_administrator(files, job.colocated)
        except (OSError, ValueError, SmartSimError):
            continue  # it runs elsewhere, or not yet, or no more
        database = endpoint(job.owner).identifier or DEFAULT_IDENTIFIER
        known = database, _shard(job.owner), job.step.name
        found.append(SampledServer(*known, server, address, credentials, home=job.colocated, is_colocated=True))
    return found


def found_problems(files: FileReader, job: Job) -> list[str]:
    """Return what was wrong with the colocated database of a job that ended, a text for each node."""
    if job.colocated is None:
        return []
    problems = _texts(files, job.colocated)
    # Its supervisor takes the file away when the application has ended; where that was forced, so may it have been.
    if job.state.status is not SmartSimStatus.STATUS_CANCELLED:
        for path in _told(files, job.colocated, _READY):
            node = posixpath.basename(path).removesuffix(_READY)
            problems.append(
                f"The database of {job.entity} on {node} ended because its supervisor was killed "
                f"(see {path.removesuffix(_READY)}.log)"
            )
    return problems


def _texts(files: FileReader, directory: str) -> list[str]:
    return [files.read(path).decode("utf-8", "replace").strip() for path in _told(files, directory, _ERROR)]


def _shard(model: Model) -> str:
    return f"{model.name}_db"


def _settings(model: Model) -> dict[str, Any]:
    if model.run_settings.colocated_db_settings is None:
        raise SmartSimError(f"{model.name} has no colocated database: call colocate_db_uds or colocate_db_tcp first")
    return model.run_settings.colocated_db_settings


def _told(files: FileReader, directory: str, ending: str) -> list[str]:
    return [posixpath.join(directory, name) for name in files.walk(directory) if name.endswith(ending)]


def _listed(ifname: str | list[str]) -> list[str]:
    return [ifname] if isinstance(ifname, str) else ifname


def _pinning(settings: dict[str, Any]) -> list[int] | None:
    if settings["default_pinning"]:
        return None
    text: str | None = settings["custom_pinning"]
    return [] if text is None else [int(cpu) for cpu in text.split(",")]


def _arguments(settings: dict[str, Any]) -> list[str]:
    arguments = ["--loglevel", "debug"] if settings["debug"] else []
    for name, value in settings["extra_db_args"].items():
        arguments += [f"--{option_name(name)}", value]
    return arguments
