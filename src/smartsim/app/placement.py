"""Where the servers of databases listen."""

from __future__ import annotations

import posixpath
import secrets
from collections import Counter
from collections.abc import Collection, Sequence

from smartsim.domain.database import LOOPBACK, Database, ShardPlan, choose_interfaces
from smartsim.domain.errors import SmartSimError
from smartsim.ports.network import Network

_TRIES = 100  # to find free ports in a row


def place(databases: Sequence[Database], network: Network, *, local: bool) -> list[tuple[ShardPlan, ...]]:
    """Return the servers of each database, with addresses and ports that are free.

    Args:
        databases: that start together.
        network: of this machine.
        local: whether they run on this machine; otherwise addresses, and ports unless they are asked for, are for the
            nodes to choose.

    Raises:
        SmartSimError: an interface does not exist, or a port is taken.
    """
    if not local:
        return [database.plan((), database.port, announcements=_announcements(database)) for database in databases]
    taken = {port for database in databases if database.port for port in _ports(database, database.port)}
    placed = [_place(database, network, taken) for database in databases]
    places = Counter((address, plan.port) for plans in placed for plan in plans for address in plan.bind)
    for (address, port), count in places.items():
        if count > 1:
            raise SmartSimError(f"Port {port} of {address} is asked for {count} times: give each database its own")
    return placed


def refuse_unreachable(server: str, interface: str, hosts: Collection[str], network: Network) -> None:
    """Do nothing when this machine can reach a server.

    Args:
        server: its name.
        interface: the first that it listens on.
        hosts: those that it may run on; none where that is not known.
        network: of this machine.

    Raises:
        SmartSimError: it listens on the loopback of another machine.
    """
    here = network.hostname()
    if interface != LOOPBACK or not hosts or here.partition(".")[0] in {host.partition(".")[0] for host in hosts}:
        return
    others = ", ".join(repr(name) for name in sorted(network.interfaces()) if name != LOOPBACK)
    raise SmartSimError(
        f"{server} runs on {', '.join(hosts)}, where interface={interface!r} is reached from that node alone, and not "
        f"from {here}, where this driver runs: choose interface='auto', or one that the nodes share"
        f"{f' (here there are {others})' if others else ''}"
    )


def _announcements(database: Database) -> str:
    """Return what the names of files begin with that were not there before."""
    return posixpath.join(database.path, f"{database.name}_{secrets.token_hex(8)}")


def _place(database: Database, network: Network, taken: set[int]) -> tuple[ShardPlan, ...]:
    available = network.interfaces()
    addresses = [available[name] for name in choose_interfaces(database.interfaces, available, local=True)]
    port = database.port or _free_ports(database, addresses, network, taken)
    bus_port = _free_ports(database, addresses, network, taken) if database.is_cluster else 0
    plans = database.plan(addresses, port, bus_port)
    for plan in plans:
        for address in plan.bind:
            if not network.port_is_free(address, plan.port):
                raise SmartSimError(
                    f"Port {plan.port} of {address} is in use, so {plan.name} cannot be started: "
                    "stop what listens there, choose another port, or port=0 for any that is free"
                )
    return plans


def _free_ports(database: Database, addresses: Sequence[str], network: Network, taken: set[int]) -> int:
    """Return the first of as many ports in a row as there are servers, which are free at all addresses."""
    for _ in range(_TRIES):
        first = network.free_port(addresses[0])
        ports = _ports(database, first)
        free = all(network.port_is_free(address, port) for address in addresses for port in ports)
        if free and not taken.intersection(ports):
            taken.update(ports)
            return first
    raise SmartSimError(
        f"No {database.num_servers} free TCP ports in a row were found at {', '.join(addresses)} for {database.name}: "
        "end what listens there, or choose another interface"
    )


def _ports(database: Database, first: int) -> range:
    return range(first, first + database.num_servers)
