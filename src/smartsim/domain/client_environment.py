"""What an application finds in its environment: where the databases are, and under which keys it reads and writes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from smartsim.domain.addresses import Address, format_addresses
from smartsim.domain.errors import SSDBIDConflictError

CLUSTERED = "Clustered"
"""Value of `SR_DB_TYPE` for a database of several shards."""

STANDALONE = "Standalone"
"""Value of `SR_DB_TYPE` for a database of one shard."""

SOCKET_TIMEOUT = 60_000
"""Value of `SR_SOCKET_TIMEOUT`, in milliseconds, for applications that are given none. The clients of old wait 250 ms
for an answer, and then send the same command again: too soon for many a model."""

DEFAULT_IDENTIFIER = "orchestrator"
"""The identifier whose variables have no suffix."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One running database, as an application sees it.

    Args:
        identifier: its `db_identifier`; empty for a colocated database that was given none.
        addresses: one per shard, in their order.
        password_file: holds the password that applications have to give; None if they need none.

    Raises:
        ValueError: when there is no address, or the identifier cannot be part of a variable's name.
    """

    identifier: str
    addresses: tuple[Address, ...]
    password_file: str | None = None

    def __post_init__(self) -> None:
        if not self.addresses:
            raise ValueError(f"the database {self.identifier!r} has no address")
        if "=" in self.identifier or "\0" in self.identifier:
            raise ValueError(f"{self.identifier!r} cannot be a database identifier: it ends the name of a variable")

    @property
    def suffix(self) -> str:
        """What the names of its variables end in."""
        return "" if self.identifier in ("", DEFAULT_IDENTIFIER) else f"_{self.identifier}"


def client_environment(
    name: str,
    endpoints: Sequence[Endpoint],
    *,
    key_prefixing: bool,
    incoming: Sequence[str],
    inherited: Collection[str] = (),
) -> dict[str, str]:
    """Return the variables that the client library reads inside an application.

    ``SSDB`` lists the addresses of a database and ``SR_DB_TYPE`` says what it is; both end in ``_<identifier>``,
    except those of the database called "orchestrator" or nothing at all; and so does ``SR_SOCKET_TIMEOUT``, how long
    a client waits for an answer, unless the user has said so already. ``SR_DB_PASSWORD_FILE``, with the same ending,
    names the file with the password of a database that has one. ``SSKEYIN`` lists whose keys may be read,
    ``SSKEYOUT`` is the prefix of the keys written.

    Args:
        name: the application's entity name.
        endpoints: the databases it can reach, with all their addresses.
        key_prefixing: whether what it writes is prefixed with its name.
        incoming: names of the entities whose data it reads.
        inherited: names of the variables that it has anyway.

    Raises:
        SSDBIDConflictError: when two databases would have the same variables.
        ValueError: when an incoming name has a comma, which ``SSKEYIN`` cannot express.

    Example:
        >>> db = Endpoint("orchestrator", (Address.tcp("127.0.0.1", 6379),))
        >>> client_environment("m", [db], key_prefixing=True, incoming=[])
        {'SSDB': '127.0.0.1:6379', 'SR_DB_TYPE': 'Standalone', 'SR_SOCKET_TIMEOUT': '60000', 'SSKEYOUT': 'm'}
    """
    environment: dict[str, str] = {}
    for endpoint in endpoints:
        suffix = endpoint.suffix
        if f"SSDB{suffix}" in environment:
            raise SSDBIDConflictError(
                f"Database identifier {endpoint.identifier or DEFAULT_IDENTIFIER!r} has already been used: "
                f"{name!r} would see two databases under it. Pass in a unique name for db_identifier"
            )
        environment[f"SSDB{suffix}"] = format_addresses(endpoint.addresses)
        environment[f"SR_DB_TYPE{suffix}"] = CLUSTERED if len(endpoint.addresses) > 1 else STANDALONE
        if f"SR_SOCKET_TIMEOUT{suffix}" not in inherited:
            environment[f"SR_SOCKET_TIMEOUT{suffix}"] = str(SOCKET_TIMEOUT)
        if endpoint.password_file is not None:
            environment[f"SR_DB_PASSWORD_FILE{suffix}"] = endpoint.password_file
    if incoming:
        environment["SSKEYIN"] = _listed(incoming)
    if key_prefixing:
        environment["SSKEYOUT"] = name
    return environment


def _listed(incoming: Sequence[str]) -> str:
    for source in incoming:
        if "," in source:
            raise ValueError(
                f"{source!r} cannot be an incoming entity: its name has a comma, which parts names in SSKEYIN"
            )
    return ",".join(incoming)
