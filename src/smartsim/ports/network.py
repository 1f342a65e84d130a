"""This machine's network: interfaces and ports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Network(Protocol):
    """What an experiment asks of the network of the machine that its driver runs on."""

    def interfaces(self) -> Mapping[str, str]:
        """Return the IPv4 address of each interface that has one, by interface name."""
        ...

    def hostname(self) -> str:
        """Return the name of this machine."""
        ...

    def port_is_free(self, address: str, port: int) -> bool:
        """Return whether a server could listen on a TCP port of one of this machine's addresses."""
        ...

    def free_port(self, address: str) -> int:
        """Return a TCP port on which nothing listens at the moment."""
        ...
