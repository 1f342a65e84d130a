"""Where a database listens, and the text that says so in `SSDB`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_UNIX_SCHEME = "unix://"
_TCP_SCHEME = "tcp://"
_MAX_PORT = 65535
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9.:/_-]")
_EXAMPLES = "host:port, tcp://host:port or unix:///absolute/path"


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP endpoint or the path of a unix socket; made with `Address.tcp` or `Address.unix`.

    Only letters, digits and ``. : / _ -`` may occur: these are what every client accepts in `SSDB`.

    Attributes:
        host: name or IPv4 address; empty for a unix socket.
        port: 1 to 65535; 0 for a unix socket.
        path: absolute path of a unix socket; empty for TCP.

    Raises:
        ValueError: when a part cannot be written in `SSDB`, or is out of range.

    Example:
        >>> str(Address.tcp("node01", 6379))
        'node01:6379'
        >>> str(Address.unix("/tmp/db.socket"))
        'unix:///tmp/db.socket'
    """

    host: str = ""
    port: int = 0
    path: str = ""

    def __post_init__(self) -> None:
        wrong = _NOT_ALLOWED.search(self.path or self.host)
        if wrong:
            raise ValueError(
                f"{self.path or self.host!r} cannot be a database address because of {wrong.group()!r}: "
                "use letters, digits and . : / _ - only"
            )
        if self.path:
            if not self.path.startswith("/"):
                raise ValueError(f"the unix socket path {self.path!r} is not absolute: begin it with /")
        elif not self.host or ":" in self.host or "/" in self.host:
            raise ValueError(f"{self.host!r} is not a host: write a database address as {_EXAMPLES}")
        elif not 1 <= self.port <= _MAX_PORT:
            raise ValueError(f"{self.port} is not a TCP port: use 1 to {_MAX_PORT}")

    @classmethod
    def tcp(cls, host: str, port: int) -> Address:
        """Return the address of a TCP endpoint."""
        return cls(host=host, port=port)

    @classmethod
    def unix(cls, path: str) -> Address:
        """Return the address of a unix socket, given its absolute path."""
        if not path:
            raise ValueError("the unix socket path is empty: give an absolute path")
        return cls(path=path)

    @property
    def is_unix(self) -> bool:
        """Whether this is a unix socket."""
        return bool(self.path)

    def __str__(self) -> str:
        return f"{_UNIX_SCHEME}{self.path}" if self.path else f"{self.host}:{self.port}"


def parse_addresses(text: str) -> tuple[Address, ...]:
    """Return the addresses of an `SSDB` text, in its order.

    Args:
        text: entries parted by commas, each ``host:port``, ``tcp://host:port`` or ``unix:///path``; a comma at the end
            is let pass, as the clients of old do.

    Raises:
        ValueError: when there is no entry, or one is not an address.

    Example:
        >>> [str(address) for address in parse_addresses("10.0.0.1:6379,tcp://10.0.0.2:6380,")]
        ['10.0.0.1:6379', '10.0.0.2:6380']
    """
    return tuple(_parse_address(entry) for entry in text.removesuffix(",").split(","))


def format_addresses(addresses: Iterable[Address]) -> str:
    """Return the `SSDB` text of some addresses: the inverse of `parse_addresses`.

    Example:
        >>> format_addresses([Address.tcp("10.0.0.1", 6379), Address.tcp("10.0.0.2", 6379)])
        '10.0.0.1:6379,10.0.0.2:6379'
    """
    return ",".join(map(str, addresses))


def _parse_address(entry: str) -> Address:
    if entry.startswith(_UNIX_SCHEME):
        return Address.unix(entry.removeprefix(_UNIX_SCHEME))
    host, _, port = entry.removeprefix(_TCP_SCHEME).rpartition(":")
    if not (port.isascii() and port.isdigit()):
        raise ValueError(f"{entry!r} is not a database address: write it as {_EXAMPLES}")
    return Address.tcp(host, int(port))
