"""A database on the same nodes as a model: what was asked for, checked and written down."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from smartsim.domain.addresses import Address
from smartsim.domain.errors import SSUnsupportedError
from smartsim.domain.integers import integer
from smartsim.domain.workers import OPTION_NAMES, worker_options

Pinning: TypeAlias = Iterable[int | Iterable[int]]
"""CPUs, one by one or in ranges."""

_TASKS = re.compile(r"(\d+)(?:\(x(\d+)\))?")  # of Slurm: "4(x2),3" for 4, 4 and 3
_SOCKET = re.compile(r"[a-zA-Z0-9.:,_\-/]*")
_MAX_PORT = 65535
_LONGEST_SOCKET_PATH = 107  # bytes: sockaddr_un has room for as many and a NUL
_OWN_OPTIONS = {
    "port": "port",
    "bind": "ifname",
    "unixsocket": "colocate_db_uds(unix_socket=...)",
    "unixsocketperm": "colocate_db_uds(socket_permissions=...)",
    "daemonize": "nothing: it runs with the application",
    "cluster-enabled": "create_database(db_nodes=...), for a cluster",
}
"""Options of the server that are given otherwise, and how."""


def tcp_connection(port: int, ifname: str | list[str]) -> dict[str, Any]:
    """Return the part of the settings that says where a database listens, for TCP.

    Args:
        port: TCP port; 0 for any that is free on the node.
        ifname: one network interface or several.

    Raises:
        TypeError: an argument has another type.
        ValueError: the port is out of range.
    """
    number = integer("port", port)
    if number > _MAX_PORT:
        raise ValueError(f"port must be at most {_MAX_PORT}, not {number}")
    return {"port": number, "ifname": _interfaces(ifname)}


def unix_connection(unix_socket: str | None, socket_permissions: int) -> dict[str, Any]:
    """Return the part of the settings that says where a database listens, for a unix socket.

    Args:
        unix_socket: path of the socket, absolute; None for one in a private directory, made when it starts.
        socket_permissions: its permissions, the octal digits read as a decimal number: 755 for rwxr-xr-x.

    Raises:
        TypeError: an argument has another type.
        ValueError: the path is too long or not absolute, it has a character that clients do not accept, or the
            permissions are none.
    """
    if unix_socket is not None:
        _check_socket(unix_socket)
    permissions = integer("socket_permissions", socket_permissions)
    if not re.fullmatch("[0-7]{3}", str(permissions)):
        raise ValueError(f"socket_permissions must be three octal digits, such as 755, not {permissions}")
    return {"unix_socket": unix_socket, "socket_permissions": permissions, "port": 0}


def colocated_settings(
    connection: Mapping[str, Any],
    db_cpus: int,
    custom_pinning: Pinning | None,
    debug: bool,
    db_identifier: str,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the settings of a colocated database.

    Args:
        connection: where it listens: `tcp_connection` or `unix_connection`.
        db_cpus: CPUs for the database, at least 1.
        custom_pinning: see `pinning_text`.
        debug: whether the database logs what it does.
        db_identifier: its name for clients; may be empty.
        options: ``threads_per_queue``, ``inter_op_threads`` and ``intra_op_threads`` (also as ``..._parallelism``) are
            for the workers that run machine-learning models; others are options of the server, with ``_`` for ``-``.

    Returns:
        The keys of `connection`, ``cpus``, ``custom_pinning`` (text or None), ``default_pinning`` (whether none was
        given), ``debug``, ``db_identifier``, ``rai_args`` (of the workers) and ``extra_db_args`` (of the server).

    Raises:
        TypeError, ValueError: an argument has another type or is out of range.
        SSUnsupportedError: ``limit_app_cpus`` is given.
    """
    if "limit_app_cpus" in options:
        raise SSUnsupportedError(
            "limit_app_cpus is not supported: bind the application with run_settings.set_cpu_bindings, and the "
            "database with custom_pinning"
        )
    cpus = integer("db_cpus", db_cpus, at_least=1)
    if not isinstance(db_identifier, str):
        raise TypeError(f"db_identifier must be a str, not {db_identifier!r}")
    if "=" in db_identifier or "\0" in db_identifier:
        raise ValueError(f"{db_identifier!r} cannot be a db_identifier: it ends the name of a variable")
    extra = {name: str(value) for name, value in options.items() if name not in OPTION_NAMES}
    for name in extra:
        if (instead := _OWN_OPTIONS.get(option_name(name))) is not None:
            raise ValueError(f"{name} cannot be given as an option of a colocated database: use {instead}")
    return {
        **connection,
        "cpus": cpus,
        "custom_pinning": pinning_text(custom_pinning, cpus),
        "default_pinning": custom_pinning is None,
        "debug": bool(debug),
        "db_identifier": db_identifier,
        "rai_args": asdict(worker_options(options)),
        "extra_db_args": extra,
    }


def pinning_text(custom_pinning: Pinning | None, cpus: int) -> str | None:
    """Return the CPUs that a colocated database is pinned to, in ascending order and each once.

    Args:
        custom_pinning: CPUs numbered from 0, one by one or in ranges; None for the first `cpus`; empty for no pinning.
        cpus: how many the database has.

    Returns:
        Numbers joined by commas, or None for no pinning.

    Raises:
        TypeError: it holds something that is no integer.
        ValueError: a number is negative.

    Example:
        >>> pinning_text([10, range(2, 4), 9], 4)
        '2,3,9,10'
        >>> pinning_text(None, 3)
        '0,1,2'
    """
    if custom_pinning is None:
        custom_pinning = [range(cpus)]
    if not isinstance(custom_pinning, Iterable):
        raise TypeError(f"custom_pinning must be an iterable of CPU numbers, not {custom_pinning!r}")
    chosen: set[int] = set()
    for item in custom_pinning:
        several = item if isinstance(item, Iterable) and not isinstance(item, str | bytes) else [item]
        chosen.update(integer("a CPU in custom_pinning", number) for number in several)
    return ",".join(map(str, sorted(chosen))) or None


def option_name(name: str) -> str:
    """Return what the server calls an option.

    Example:
        >>> option_name("maxmemory_policy")
        'maxmemory-policy'
    """
    return name.replace("_", "-").lower()


@dataclass(frozen=True)
class ColocatedDatabase:
    """The database of one run of a model, as its ranks and their nodes are told of it.

    Attributes:
        model: whose it is.
        token: tells the run from all others.
        variable: in which the application finds the address.
        directory: of the run's files; only its owner can reach it.
        log: the file that takes what the database says; None for one per node in the directory.
        ranks: how many ranks run on a node, if that is known.
        settings: the file that describes the shard, but for what depends on the node.
        user: the administrator.
        password_file: holds the administrator's password.
        is_unix: whether it listens on a unix socket, and not on TCP.
        unix_socket: its path; None for one in a private directory.
        socket_permissions: the octal digits of its permissions.
        port: TCP port; 0 for any that is free.
        interfaces: that it listens on, besides the loopback.
        cpus: how many it is pinned to, if it is not said to which.
        pinning: to which; empty for no pinning.
        arguments: more of the server's.
        objects: models and scripts that it holds from the beginning, with the files that they are in.
    """

    model: str
    token: str
    variable: str
    directory: str
    log: str | None
    ranks: int | None
    settings: str
    user: str
    password_file: str
    is_unix: bool
    unix_socket: str | None
    socket_permissions: int
    port: int
    interfaces: list[str]
    cpus: int
    pinning: list[int] | None
    arguments: list[str]
    objects: list[dict[str, Any]]

    def log_of(self, host: str) -> str:
        """Return the file that takes what the database of a node says."""
        return self.log or posixpath.join(self.directory, f"{host}.log")


def local_ranks(environment: Mapping[str, str]) -> int | None:
    """Return how many ranks of an application run on this node, from what their launcher tells each; None if nothing.

    Open MPI and `jsrun` tell the first, MPICH, Intel MPI and PALS the second, `srun` the number on each node.

    Example:
        >>> local_ranks({"SLURM_STEP_TASKS_PER_NODE": "4(x2),3", "SLURM_NODEID": "2"})
        3
    """
    for name in ("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "PALS_LOCAL_SIZE"):
        if environment.get(name, "").isdigit():
            return int(environment[name])
    node = environment.get("SLURM_NODEID", "")
    groups = _TASKS.findall(environment.get("SLURM_STEP_TASKS_PER_NODE", ""))
    counts = [int(tasks) for tasks, nodes in groups for _ in range(int(nodes or 1))]
    return counts[int(node)] if node.isdigit() and int(node) < len(counts) else None


def _check_socket(path: object) -> None:
    if not isinstance(path, str):
        raise TypeError(f"unix_socket must be a str, not {path!r}")
    if not path or not _SOCKET.fullmatch(path):
        raise ValueError(
            f"Invalid name for unix socket: {path!r}. Use letters, digits and the characters . : _ - / only"
        )
    Address.unix(path)
    if len(path) > _LONGEST_SOCKET_PATH:
        raise ValueError(
            f"the unix socket path {path!r} has {len(path)} characters, and the system allows {_LONGEST_SOCKET_PATH}: "
            "choose a shorter one, or none, for one in a private directory"
        )


def _interfaces(ifname: object) -> object:
    names = ifname if isinstance(ifname, list) else [ifname]
    if not names or not all(isinstance(name, str) and name for name in names):
        raise TypeError(f"ifname must be the name of a network interface, or a list of names, not {ifname!r}")
    return names.copy() if isinstance(ifname, list) else ifname
