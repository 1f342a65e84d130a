"""The file by which another driver finds a database that runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from smartsim.domain.database import ClusterPlace, ShardPlan
from smartsim.domain.errors import SmartSimError
from smartsim.domain.steps import Step
from smartsim.ports.file_system import FileReader, FileSystem

if TYPE_CHECKING:
    from smartsim.app.orchestrator import Orchestrator

_VERSION = 1
_DAMAGED = (ValueError, KeyError, TypeError, IndexError, AttributeError)  # what reading a damaged checkpoint raises


@dataclass(frozen=True)
class RecordedServer:
    """One server of a database that ran when it was recorded.

    Args:
        plan: what was started.
        run_id: see `ServerFacts`.
        step: by which it was started.
        run: counts the runs of the entity, from 0.
        handle: by which the workload manager finds it.
    """

    plan: ShardPlan
    run_id: str
    step: Step
    run: int
    handle: dict[str, object]


@dataclass(frozen=True)
class Checkpoint:
    """A database that ran when it was recorded.

    Args:
        db_identifier: its name.
        path: its directory.
        interfaces: what was asked for.
        db_nodes: number of shards.
        replicas: of each.
        password: whether applications need one.
        servers: shards in their order, and their replicas.
        lease: seconds for which it stays when driver and clients have gone; None for ever.
    """

    db_identifier: str
    path: str
    interfaces: tuple[str, ...]
    db_nodes: int
    replicas: int
    password: bool
    servers: tuple[RecordedServer, ...]
    lease: float | None = None


def write_checkpoint(
    files: FileSystem, database: Orchestrator, servers: Sequence[RecordedServer], launcher: str, host: str
) -> None:
    """Record a database.

    Args:
        files: where.
        database: the one.
        servers: that run.
        launcher: the name of what started them.
        host: the name of this machine.
    """
    shards = [
        {
            "name": server.plan.name,
            "bind": server.plan.bind,
            "port": server.plan.port,
            "place": None if server.plan.place is None else asdict(server.plan.place),
            "server_run_id": server.run_id,
            "step": server.step.name,
            "command": server.step.command,
            "stdout": server.step.stdout,
            "stderr": server.step.stderr,
            "run": server.run,
            "handle": server.handle,
        }
        for server in servers
    ]
    checkpoint = {
        "format": "smartsim-next database checkpoint",
        "version": _VERSION,
        "launcher": launcher,
        "host": host,
        "db_identifier": database.name,
        "path": database.path,
        "interfaces": database.interfaces,
        "db_nodes": database.db_nodes,
        "replicas": database.replicas,
        "password": database.needs_password,
        "lease": database.lease,
        "shards": shards,
    }
    files.write(database.checkpoint_file, json.dumps(checkpoint, indent=2).encode() + b"\n", 0o600)


def read_checkpoint(files: FileReader, path: str) -> Checkpoint:
    """Return what was recorded.

    Raises:
        FileNotFoundError: there is no such file.
        SmartSimError: it cannot be read, or is not a checkpoint of this version.
    """
    try:
        text = files.read(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"The SmartSim database config file {path} cannot be found.") from None
    except OSError as error:
        raise SmartSimError(f"The SmartSim database checkpoint {path} cannot be read: {error.strerror}") from error
    try:
        found: dict[str, Any] = json.loads(text)
        if found["version"] != _VERSION:
            raise SmartSimError(
                f"The SmartSim database checkpoint {path} has version {found['version']}, and this release "
                f"reads version {_VERSION}: reconnect with the release that wrote it"
            )
        return Checkpoint(
            db_identifier=found["db_identifier"],
            path=found["path"],
            interfaces=tuple(found["interfaces"]),
            db_nodes=found["db_nodes"],
            replicas=found["replicas"],
            password=found["password"],
            servers=tuple(_server(shard, found["path"]) for shard in found["shards"]),
            lease=found.get("lease"),
        )
    except _DAMAGED as error:
        raise SmartSimError(
            f"The SmartSim database checkpoint {path} is incomplete or corrupted: {error!r}. "
            "Start a new database, or give the path of another checkpoint"
        ) from error


def _server(shard: Mapping[str, Any], path: str) -> RecordedServer:
    place = shard["place"]
    if place is not None:
        first, last = place["slots"]
        place = ClusterPlace(**{**place, "slots": (first, last)})
    return RecordedServer(
        plan=ShardPlan(shard["name"], path, tuple(shard["bind"]), shard["port"], place=place),
        run_id=shard["server_run_id"],
        step=Step(shard["step"], tuple(shard["command"]), (), {}, path, shard["stdout"], shard["stderr"]),
        run=shard["run"],
        handle=dict(shard["handle"]),
    )
