"""The network of this machine."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping

_FIRST_PORT = 10_000  # below it are those that services have by agreement
_TRIES = 100


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
        """Return a TCP port on which nothing listens at the moment.

        It is drawn from below those that the kernel gives to outgoing connections (`ip(7)`), one of which would else
        take it before a server does.
        """
        for _ in range(_TRIES):
            port = _FIRST_PORT + secrets.randbelow(_first_ephemeral_port() - _FIRST_PORT)
            if self.port_is_free(address, port):
                return port
        with socket.socket() as probe:
            probe.bind((address, 0))
            given: int = probe.getsockname()[1]
        return given


def _first_ephemeral_port() -> int:
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as stream:
            return max(int(stream.read().split()[0]), _FIRST_PORT + 1)
    except OSError:
        return 32768  # Linux's own
