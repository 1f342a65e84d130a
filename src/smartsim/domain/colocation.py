"""A database on the same nodes as a model: what was asked for, checked and written down."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, TypeAlias

from smartsim.domain.errors import SSUnsupportedError
from smartsim.domain.integers import integer
from smartsim.domain.workers import OPTION_NAMES, worker_options

Pinning: TypeAlias = Iterable[int | Iterable[int]]
"""CPUs, one by one or in ranges."""

_SOCKET = re.compile(r"[a-zA-Z0-9.:,_\-/]*")
_MAX_PORT = 65535


def tcp_connection(port: int, ifname: str | list[str]) -> dict[str, Any]:
    """Return the part of the settings that says where a database listens, for TCP.

    Args:
        port: TCP port.
        ifname: one network interface or several.

    Raises:
        TypeError: an argument has another type.
        ValueError: the port is out of range.
    """
    number = integer("port", port, at_least=1)
    if number > _MAX_PORT:
        raise ValueError(f"port must be at most {_MAX_PORT}, not {number}")
    return {"port": number, "ifname": _interfaces(ifname)}


def unix_connection(unix_socket: str, socket_permissions: int) -> dict[str, Any]:
    """Return the part of the settings that says where a database listens, for a unix socket.

    Args:
        unix_socket: path of the socket.
        socket_permissions: its permissions, the octal digits read as a decimal number: 755 for rwxr-xr-x.

    Raises:
        TypeError: an argument has another type.
        ValueError: the path has a character that clients do not accept, or the permissions are none.
    """
    if not isinstance(unix_socket, str):
        raise TypeError(f"unix_socket must be a str, not {unix_socket!r}")
    if not unix_socket or not _SOCKET.fullmatch(unix_socket):
        raise ValueError(
            f"Invalid name for unix socket: {unix_socket!r}. Use letters, digits and the characters . : , _ - / only"
        )
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
        The keys of `connection`, ``cpus``, ``custom_pinning`` (text or None), ``debug``, ``db_identifier``,
        ``rai_args`` (of the workers) and ``extra_db_args`` (of the server).

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
    return {
        **connection,
        "cpus": cpus,
        "custom_pinning": pinning_text(custom_pinning, cpus),
        "debug": bool(debug),
        "db_identifier": db_identifier,
        "rai_args": asdict(worker_options(options)),
        "extra_db_args": {name: str(value) for name, value in options.items() if name not in OPTION_NAMES},
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


def _interfaces(ifname: object) -> object:
    names = ifname if isinstance(ifname, list) else [ifname]
    if not names or not all(isinstance(name, str) and name for name in names):
        raise TypeError(f"ifname must be the name of a network interface, or a list of names, not {ifname!r}")
    return names.copy() if isinstance(ifname, list) else ifname
