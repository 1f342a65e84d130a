"""What experiments of this user run on this machine: found by looking at processes, so that nothing can be out of date.

A server is known by our module, which it has loaded, and its directory; an application by its output, which goes to the
experiment's record of its runs. The driver of a database is in a file of its directory; that of an application is its
parent, as long as that has the logs of the experiment open. What starts servers on nodes, such as ``srun``, belongs to
their database. What runs in batch jobs is left to the scheduler: their driver may be on any machine.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from smartsim.adapters.database.valkey import MODULE
from smartsim.adapters.wlm.own import OwnProcess, open_files
from smartsim.app.checkpoints import Checkpoint, read_checkpoint
from smartsim.app.colocated_start import DESCRIPTION
from smartsim.app.drivers import find_driver
from smartsim.app.orchestrator import CHECKPOINT_FILE
from smartsim.domain.errors import SmartSimError

if TYPE_CHECKING:
    from smartsim.ports.file_system import FileReader

_RECORD: Final = "/.smartsim/telemetry/"  # in the paths of what an experiment records of its runs
_OUTPUT: Final = re.compile(rf"(.+){_RECORD}.+/([^/]+)\.(?:out|err)(?: \(deleted\))?")
_JOB_OUTPUT: Final = re.compile(rf".+{_RECORD}.+/([^/]+)/\1\.batch\.(?:out|err)(?: \(deleted\))?")
_SHARD_OUTPUTS: Final = re.compile(r"/[0-9a-f]{12}/database/[^/]+/[^/]+$")
_LOG: Final = re.compile(rf".+{_RECORD}logs/smartsim\.(?:out|err)(?: \(deleted\))?")
_ADDRESS: Final = re.compile(r" (?:unixsocket:(?P<path>/\S+)|(?P<tcp>\S+:\d+))(?: \[\w+\])?$")  # in a server's title
_OURS: Final = ("smartsim.app.shard", "smartsim.app.worker", "smartsim.app.colocated")
_INIT: Final = 1
DELETED: Final = " (deleted)"
"""What Linux writes behind the path of a file that is no longer there."""


@dataclass(frozen=True)
class Server:
    """One server of a database that runs.

    Args:
        name: of the shard.
        pid: its process; for one on another node, that which started it from here.
        address: "address:port" or "unix://path"; None while it starts.
        run_id: see `ServerFacts`; empty for one that is known by its process.
    """

    name: str
    pid: int
    address: str | None
    run_id: str = ""


@dataclass(frozen=True)
class Leftover:
    """Something that an experiment started, and that runs.

    Args:
        kind: what it is. A "process" is one that belongs to nothing else that runs.
        name: the identifier of a database; the name of an application.
        path: the directory of a database; that in which an application works.
        experiment: the directory of the experiment; None if nothing tells.
        driver: the process id of the driver; None if that has gone.
        age: of its oldest process, in seconds.
        memory: of all of its processes, in bytes.
        servers: of a database.
        processes: all of them.
    """

    kind: Literal["database", "colocated", "application", "process"]
    name: str
    path: str
    experiment: str | None
    driver: int | None
    age: float
    memory: int
    servers: tuple[Server, ...]
    processes: tuple[int, ...]


def find_leftovers(processes: Sequence[OwnProcess], files: FileReader) -> list[Leftover]:
    """Return what runs: applications, and then their databases, the others, and single processes.

    Args:
        processes: of this user.
        files: where databases have theirs.
    """
    servers = [process for process in processes if process.maps(posixpath.basename(MODULE))]
    served = {member.pid for server in servers for member in _members(server, processes)}
    applications = _applications([process for process in processes if process.pid not in served])
    launchers: dict[str, list[Leftover]] = {}
    for directory in [directory for directory in applications if _SHARD_OUTPUTS.search(directory)]:
        launcher = applications.pop(directory)
        launchers.setdefault(launcher.path, []).append(launcher)
    found: list[Leftover] = list(applications.values())
    for directory in dict.fromkeys(server.directory for server in servers):
        own = [server for server in servers if server.directory == directory]
        database = _database(directory, own, processes, files, applications)
        if database is not None:
            own_launchers = launchers.pop(database.path, [])
            found.append(_launched(own_launchers, database, processes, files) if own_launchers else database)
    found += [_launched(each, None, processes, files) for each in launchers.values()]
    known = {pid for leftover in found for pid in leftover.processes} | served
    return [*found, *_strays([process for process in processes if process.pid not in known], processes)]


def _members(server: OwnProcess, processes: Sequence[OwnProcess]) -> list[OwnProcess]:
    """Return a server and what stands beside it: all of its session, if it leads one; so it does in an experiment."""
    return [process for process in processes if server.pid in (process.session, process.pid)]


def _driver(process: OwnProcess) -> int | None:
    """Return the parent of a process, if that drives an experiment."""
    return process.parent if any(_LOG.fullmatch(path) for path in open_files(process.parent)) else None


def _applications(processes: Sequence[OwnProcess]) -> dict[str, Leftover]:
    """Return the applications that run, by the directory of their output."""
    found = {}
    for session in dict.fromkeys(process.session for process in processes):
        members = [process for process in processes if process.session == session]
        outputs = [match for process in members for path in process.outputs if (match := _OUTPUT.fullmatch(path))]
        if not outputs or any(_JOB_OUTPUT.fullmatch(path) for process in members for path in process.outputs):
            continue
        leader = next((process for process in members if process.pid == session), None)
        driver = None if leader is None else _driver(leader)
        experiment, name = outputs[0].groups()
        found[posixpath.dirname(outputs[0][0])] = Leftover(
            "application",
            name,
            (leader or members[0]).directory.removesuffix(DELETED),
            experiment,
            driver,
            *_sizes(members),
            (),
            tuple(process.pid for process in members),
        )
    return found


def _database(
    directory: str,
    servers: Sequence[OwnProcess],
    processes: Sequence[OwnProcess],
    files: FileReader,
    applications: dict[str, Leftover],
) -> Leftover | None:
    """Return the database of a directory; None if it is not an experiment's."""
    path = directory.removesuffix(DELETED)
    names = {server.pid: _shard_name(server, processes) for server in servers}
    if directory == path and not any(names.values()) and not _has_settings(path, files):
        return None
    checkpoint = _checkpoint(path, servers, files)
    recorded = {} if checkpoint is None else {each.handle.get("pid"): each.plan.name for each in checkpoint.servers}
    model = _colocated_model(path, files)
    driver = find_driver(files, path)
    outputs = [match for server in servers for output in server.outputs if (match := _OUTPUT.fullmatch(output))]
    experiment = outputs[0][1] if outputs else None
    identifier = posixpath.basename(path)
    if model is not None:
        application = applications.get(posixpath.dirname(path))
        driver = None if application is None else application.driver
        experiment, identifier = path.partition(_RECORD)[0], model
    else:
        identifier = identifier if checkpoint is None else checkpoint.db_identifier
        driver = driver or _driver(servers[0])
    members = [member for server in servers for member in _members(server, processes)]
    shards = [
        Server(recorded.get(server.pid) or names[server.pid] or identifier, server.pid, _address(server))
        for server in servers
    ]
    return Leftover(
        "database" if model is None else "colocated",
        identifier,
        path,
        experiment,
        driver,
        *_sizes(members),
        tuple(sorted(shards, key=lambda shard: shard.name)),
        tuple(dict.fromkeys(member.pid for member in members)),
    )


def _launched(
    launchers: Sequence[Leftover], here: Leftover | None, processes: Sequence[OwnProcess], files: FileReader
) -> Leftover:
    """Return a database with what started its servers from this machine, which may run on other nodes.

    Args:
        launchers: what started them.
        here: the database, as far as its servers run here; None if none of them does.
        processes: of this user.
        files: where databases have theirs.
    """
    path = launchers[0].path
    pids = {pid for launcher in launchers for pid in launcher.processes}
    known = {(process.pid, process.identity) for process in processes if process.pid in pids}
    try:
        checkpoint = read_checkpoint(files, posixpath.join(path, CHECKPOINT_FILE))
    except (OSError, SmartSimError):
        checkpoint = None
    servers = {server.name: server for server in (() if here is None else here.servers)}
    for each in () if checkpoint is None else checkpoint.servers:
        pid = each.handle.get("pid")
        if isinstance(pid, int) and (pid, each.handle.get("identity")) in known:
            at = servers.get(each.plan.name, Server(each.plan.name, pid, str(each.plan.address)))
            servers[at.name] = replace(at, run_id=each.run_id)
    parts = launchers if here is None else [*launchers, here]
    identifier = posixpath.basename(path) if checkpoint is None else checkpoint.db_identifier
    return Leftover(
        "database",
        identifier if here is None else here.name,
        path,
        launchers[0].experiment,
        find_driver(files, path) or launchers[0].driver,
        max(part.age for part in parts),
        sum(part.memory for part in parts),
        tuple(servers[name] for name in sorted(servers)),
        tuple(pid for part in parts for pid in part.processes),
    )


def _strays(candidates: Sequence[OwnProcess], processes: Sequence[OwnProcess]) -> list[Leftover]:
    """Return processes beside databases whose server has gone, and who started them, too."""
    alive = {process.pid for process in processes}
    return [
        Leftover(
            "process",
            next(word for word in process.argv if word in _OURS),
            process.directory.removesuffix(DELETED),
            None,
            None,
            *_sizes([process]),
            (),
            (process.pid,),
        )
        for process in candidates
        if set(process.argv) & set(_OURS) and process.session not in alive and process.parent == _INIT
    ]


def _sizes(processes: Collection[OwnProcess]) -> tuple[float, int]:
    return max(process.age for process in processes), sum(process.memory for process in processes)


def _shard_name(server: OwnProcess, processes: Sequence[OwnProcess]) -> str | None:
    """Return the name of a server, as the process that keeps its workers running has it."""
    for process in processes:
        if process.parent == server.pid and "smartsim.app.shard" in process.argv:
            return posixpath.basename(process.argv[-1]).removesuffix(".json")
    return None


def _has_settings(directory: str, files: FileReader) -> bool:
    """Return whether there are the settings of a shard in a directory."""
    try:
        names = os.listdir(directory)
    except OSError:
        return False
    paths = [posixpath.join(directory, name) for name in names if name.endswith(".json")]
    return any("password_file" in _json(path, files) for path in paths)


def _json(path: str, files: FileReader) -> dict[str, object]:
    try:
        found = json.loads(files.read(path))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _colocated_model(directory: str, files: FileReader) -> str | None:
    model = _json(posixpath.join(directory, DESCRIPTION), files).get("model")
    return model if isinstance(model, str) else None


def _checkpoint(directory: str, servers: Sequence[OwnProcess], files: FileReader) -> Checkpoint | None:
    """Return what was recorded of a database; None if it is of other processes."""
    try:
        checkpoint = read_checkpoint(files, posixpath.join(directory, CHECKPOINT_FILE))
    except (OSError, SmartSimError):
        return None
    recorded = {(each.handle.get("pid"), each.handle.get("identity")) for each in checkpoint.servers}
    # What a scheduler started is not recorded as a process.
    addresses = {str(each.plan.address) for each in checkpoint.servers} & {_address(server) for server in servers}
    return checkpoint if addresses or recorded & {(server.pid, server.identity) for server in servers} else None


def _address(server: OwnProcess) -> str | None:
    match = _ADDRESS.search(server.argv[0])
    if match is None:
        return None
    return match["tcp"] or f"unix://{match['path']}"
