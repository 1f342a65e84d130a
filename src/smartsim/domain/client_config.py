"""What the environment tells a client: names, defaults and rules of its variables."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

DEFAULTS: Mapping[str, int] = MappingProxyType(
    {
        "SR_CONN_TIMEOUT": 100,
        "SR_CONN_INTERVAL": 1000,
        "SR_CMD_TIMEOUT": 100,
        "SR_CMD_INTERVAL": 1000,
        "SR_SOCKET_TIMEOUT": 60_000,
    }
)
"""The numbers and their defaults: ``_TIMEOUT`` of connections and commands in s, the others in ms."""

_UNSUFFIXED = frozenset({"SR_LOG_FILE", "SR_LOG_LEVEL", "SR_MODEL_TIMEOUT"})
_INTEGER = re.compile(r"-?[0-9]{1,10}", re.ASCII)
_LARGEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to keep trying.

    Attributes:
        timeout: no further attempt begins later than this many seconds after the first has failed.
        interval: pause between two attempts, in seconds.

    Example:
        >>> RetryPolicy(timeout=100, interval=1).attempts
        101
    """

    timeout: float
    interval: float

    @property
    def attempts(self) -> int:
        """The largest number of attempts."""
        return int(self.timeout / self.interval) + 1


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """How patient a client is.

    Attributes:
        connecting: for the first connection.
        commands: for a command that did not reach the database, or was not carried out for the time being, or that
            changes nothing.
        socket_timeout: the longest wait for a connection to go on, in seconds.
        username: to log in with; the database's default user when None.
        password: to log in with; none when None.
    """

    connecting: RetryPolicy
    commands: RetryPolicy
    socket_timeout: float
    username: str | None = None
    password: str | None = field(default=None, repr=False)


def variable_name(option: str, suffix: str) -> str:
    """Return the environment variable of an option, for the database of a given identifier.

    Args:
        option: for example ``SSDB``.
        suffix: the identifier of the database; empty for the only one. Options of the whole process take no suffix.

    Example:
        >>> variable_name("SSDB", "ocean"), variable_name("SR_LOG_FILE", "ocean")
        ('SSDB_ocean', 'SR_LOG_FILE')
    """
    return f"{option}_{suffix}" if suffix and option not in _UNSUFFIXED else option


def parse_integer(variable: str, text: str) -> int:
    """Return the number that an environment variable holds.

    Raises:
        ValueError: when it is not a whole number of at most 32 bits.
    """
    if not _INTEGER.fullmatch(text) or abs(int(text)) > _LARGEST:
        raise ValueError(f"{variable} is {text!r}: give a whole number of at most {_LARGEST}")
    return int(text)


def read_client_config(
    option: Callable[[str], str | None], suffix: str = "", username: str | None = None, password: str | None = None
) -> ClientConfig:
    """Return the configuration that some options ask for.

    Args:
        option: gives the text of an option, None when it is not set; an empty text counts as not set.
        suffix: the identifier of the database, for messages.
        username: to log in with; the option `SR_DB_USERNAME` when None.
        password: to log in with; the option `SR_DB_PASSWORD` when None.

    Raises:
        ValueError: when a number is not one, or not above zero.
    """

    def number(name: str) -> int:
        text = option(name)
        value = parse_integer(variable_name(name, suffix), text) if text else DEFAULTS[name]
        if value <= 0:
            raise ValueError(f"{variable_name(name, suffix)} is {value}: give a number above zero")
        return value

    return ClientConfig(
        connecting=RetryPolicy(number("SR_CONN_TIMEOUT"), number("SR_CONN_INTERVAL") / 1000),
        commands=RetryPolicy(number("SR_CMD_TIMEOUT"), number("SR_CMD_INTERVAL") / 1000),
        socket_timeout=number("SR_SOCKET_TIMEOUT") / 1000,
        username=(option("SR_DB_USERNAME") or None) if username is None else username,
        password=(option("SR_DB_PASSWORD") or None) if password is None else password,
    )
