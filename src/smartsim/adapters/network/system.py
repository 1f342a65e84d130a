"""The network of this machine."""

from __future__ import annotations

import socket
from collections.abc import Mapping


class SystemNetwork:
    """Asks the operating system."""

    def interfaces(self) -> Mapping[str, str]:
        """Return the first IPv4 address of each interface that has one, by interface name."""
        import psutil

        found: dict[str, str] = {}
        for name, addresses in psutil.net_if_addrs().items():
            for address in addresses:
                if address.family == socket.AF_INET:
                    found.setdefault(name, address.address)
        return found

    def hostname(self) -> str:
        """Return the name of this machine."""
        return socket.gethostname()

    def port_is_free(self, address: str, port: int) -> bool:
        """Return whether a server could listen on a TCP port of one of this machine's addresses."""
        with socket.socket() as probe:
            # As the server itself does: a port that only lingers in TIME_WAIT can be listened on.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
                probe.listen(1)
            except OSError:
                return False
        return True

    def free_port(self, address: str) -> int:
        """Return a TCP port on which nothing listens at the moment."""
        with socket.socket() as probe:
            probe.bind((address, 0))
            port: int = probe.getsockname()[1]
        return port
