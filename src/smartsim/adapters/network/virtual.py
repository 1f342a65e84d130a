"""A network for tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class VirtualNetwork:
    """Interfaces and ports that exist on paper.

    Args:
        interfaces: address by interface name.
        ports_in_use: pairs of address and port that are taken.
        hostname: the name of the machine.
    """

    def __init__(
        self,
        interfaces: Mapping[str, str] | None = None,
        ports_in_use: Iterable[tuple[str, int]] = (),
        hostname: str = "virtual",
    ) -> None:
        self._interfaces = dict(interfaces) if interfaces is not None else {"lo": "127.0.0.1"}
        self.ports_in_use = set(ports_in_use)
        self._hostname = hostname
        self._ports = iter(range(49152, 65536))

    def interfaces(self) -> Mapping[str, str]:
        """Return the address of each interface."""
        return self._interfaces

    def hostname(self) -> str:
        """Return the name given."""
        return self._hostname

    def port_is_free(self, address: str, port: int) -> bool:
        """Return whether the port is not among those in use."""
        return address in self._interfaces.values() and (address, port) not in self.ports_in_use

    def free_port(self, address: str) -> int:
        """Return the next port from 49152 on that is not in use; each call gives another."""
        return next(port for port in self._ports if (address, port) not in self.ports_in_use)
