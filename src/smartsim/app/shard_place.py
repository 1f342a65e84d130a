"""Where a shard listens, on the node that it came to run on; and how its driver learns of it."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from smartsim.adapters.filesystem.posix import PosixFileSystem
from smartsim.adapters.network.system import SystemNetwork
from smartsim.domain.database import LOOPBACK, choose_interfaces
from smartsim.domain.errors import SmartSimError


def choose_place(interfaces: Sequence[str], announcement: str, port: int, *, in_cluster: bool) -> list[str]:
    """Choose where this process listens when it has become a server, and tell the driver.

    Args:
        interfaces: as they were asked for; "auto" is the first fast one of this node, or the one by which others find
            the node by its name.
        announcement: the file to tell it in.
        port: that was asked for; 0 for a free one.
        in_cluster: whether it needs another port for the other servers of its cluster.

    Returns:
        Words of the server's command line.
    """
    network = SystemNetwork()
    available = network.interfaces()
    try:
        names = choose_interfaces(interfaces, available, local=False, otherwise=interface_of_host(available))
        addresses = [available[name] for name in names]
        chosen = port or network.free_port(addresses[0])
        for address in addresses:
            if not network.port_is_free(address, chosen):
                raise SmartSimError(
                    f"Port {chosen} of {address} is in use: stop what listens there, choose another port, or port=0 "
                    "for any that is free"
                )
    except SmartSimError as error:
        sys.exit(f"{network.hostname()}: {error}")
    bus_port = network.free_port(addresses[0]) if in_cluster else 0
    place = {"host": network.hostname(), "bind": addresses, "port": chosen, "bus_port": bus_port}
    PosixFileSystem().write(announcement, json.dumps(place).encode() + b"\n", 0o600)
    bus = ["--cluster-announce-ip", addresses[0], "--cluster-port", str(bus_port)] if in_cluster else []
    return ["--bind", " ".join(addresses), "--port", str(chosen), *bus]


def interface_of_host(available: Mapping[str, str]) -> str:
    """Return the interface by which other nodes find this one by its name; loopback when there is none."""
    try:
        found: list[Any] = socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
    except OSError:
        return LOOPBACK
    addresses = {str(entry[4][0]) for entry in found}
    return next((name for name, address in available.items() if address in addresses), LOOPBACK)
