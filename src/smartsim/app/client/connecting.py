"""Where a client finds its database: what it is given, and what the environment says."""

from __future__ import annotations

import inspect
import os
import random
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from smartsim.app.client.config_options import ConfigOptions
from smartsim.domain.addresses import Address, format_addresses, parse_addresses
from smartsim.domain.client_config import ClientConfig, parse_integer, read_client_config, variable_name
from smartsim.domain.client_errors import RedisConnectionError, RedisReplyError, check_type
from smartsim.domain.keys import Prefixes
from smartsim.ports.tensor_store import Command, Shard

WHICH_KIND = Command((b"INFO", b"cluster"), changes=False)
"""Asks a server whether it is part of a cluster."""

_MODEL_TIMEOUT = 60_000_000  # ms
_PASSWORD_FILE = "SR_DB_PASSWORD_FILE"  # noqa: S105 - the name of an option


@dataclass(frozen=True, slots=True)
class Target:
    """The database that a client is to connect to.

    Attributes:
        addresses: of its shards, in the order in which to try them.
        cluster: whether it is a cluster; None when the database is to say so itself.
        config: how patient to be, and as whom to log in.
    """

    addresses: tuple[Address, ...]
    cluster: bool | None
    config: ClientConfig


def read_arguments(arguments: Sequence[Any], keywords: dict[str, Any]) -> tuple[ConfigOptions, str]:
    """Return the options and the logger name that either form of the constructor of a client says.

    Raises:
        TypeError: the arguments fit neither form, or one is of another type.
    """
    of_address = isinstance(arguments[0], bool) if arguments else bool(keywords.keys() & {"cluster", "address"})
    form = _address_form if of_address else _options_form
    try:
        inspect.signature(form).bind(*arguments, **keywords)
    except TypeError as error:
        raise TypeError(
            f"{error}: use Client(config_options=None, logger_name='Default') or "
            "Client(cluster, address=None, logger_name='Default')"
        ) from None
    return form(*arguments, **keywords)


def _options_form(
    config_options: ConfigOptions | None = None, logger_name: str = "Default"
) -> tuple[ConfigOptions, str]:
    options = ConfigOptions.create_from_environment("") if config_options is None else config_options
    check_type(options, "config_options", ConfigOptions)
    return options, logger_name


def _address_form(cluster: bool, address: str | None = None, logger_name: str = "Default") -> tuple[ConfigOptions, str]:
    check_type(cluster, "cluster", bool)
    options = ConfigOptions.create_from_environment("")
    options.override_string_option("SR_DB_TYPE", "Clustered" if cluster else "Standalone")
    if address is not None:
        check_type(address, "address", str)
    if address:
        options.override_string_option("SSDB", address)
    return options, logger_name


def find_target(options: ConfigOptions, username: str | None, password: str | None) -> Target:
    """Return the database that some options mean.

    Args:
        options: of the client.
        username: to log in with; None for the option `SR_DB_USERNAME`, or else the default user of the database.
        password: to log in with; None for the option `SR_DB_PASSWORD`, or else what is in the file that the option
            `SR_DB_PASSWORD_FILE` names, or else none.

    Raises:
        RedisConnectionError: they mean none, or the file with the password cannot be used.
        ValueError: a number among them is not one.
        TypeError: an argument is of another type.
    """
    for argument, given in (("username", username), ("password", password)):
        if given is not None:
            check_type(given, argument, str)
    text = options.find("SSDB")
    if not text:
        raise RedisConnectionError(
            f"{variable_name('SSDB', options.suffix)} is not set: it says where the database is (the experiment sets "
            "it for the applications that it starts); set it, or give the address to Client(cluster=False, address=...)"
        )
    try:
        addresses = parse_addresses(text)
    except ValueError as error:
        raise RedisConnectionError(str(error), text) from None
    kind = options.find("SR_DB_TYPE")
    cluster = kind.lower() == "clustered" if kind else None
    if cluster and any(address.is_unix for address in addresses):
        raise RedisConnectionError("The shards of a cluster are reached over TCP only: give host:port", text)
    shuffled = random.sample(addresses, len(addresses))  # to spread the clients, as the clients of old do
    if password is None and not options.find("SR_DB_PASSWORD"):
        password = _read_password(options)
    config = read_client_config(options.find, options.suffix, username, password)
    return Target(tuple(shuffled), cluster, config)


def _read_password(options: ConfigOptions) -> str | None:
    """Return the password in the file that some options name; None if they name none."""
    path = options.find(_PASSWORD_FILE)
    if not path:
        return None
    file = f"The file {path}, which {variable_name(_PASSWORD_FILE, options.suffix)} names,"
    try:
        with open(path, encoding="utf-8") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            password = stream.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise RedisConnectionError(
            f"{file} cannot be read for the password of the database: {reason}. Applications run as the user who "
            "started the database, on machines that have its directory; else give the password to the client"
        ) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise RedisConnectionError(
            f"{file} is open to other users (its mode is {stat.S_IMODE(mode):04o}), and so the password of the "
            f"database is known to them: chmod 600 {path}, and restart the database, which draws a new one"
        )
    if not password:
        raise RedisConnectionError(f"{file} is empty, where the password of the database should be")
    return password


def kind_unknown(error: RedisReplyError, target: Target) -> RedisConnectionError:
    """Return the error that a database did not say, when it was asked, whether it is a cluster."""
    address = format_addresses(target.addresses)
    return RedisConnectionError(
        f"{error.cause} (asked whether it is a cluster: SR_DB_TYPE may say so instead)", address
    )


def find_prefixes(options: ConfigOptions) -> Prefixes:
    """Return the prefixes that some options ask for."""
    return Prefixes.parse(options.find("SSKEYIN") or "", options.find("SSKEYOUT") or "")


def model_timeout() -> int:
    """Return how long a run of a model may take, in ms.

    Raises:
        ValueError: `SR_MODEL_TIMEOUT` is no number above zero.
    """
    text = os.environ.get("SR_MODEL_TIMEOUT")
    value = parse_integer("SR_MODEL_TIMEOUT", text) if text else _MODEL_TIMEOUT
    if value <= 0:
        raise ValueError(f"SR_MODEL_TIMEOUT is {value}: give a number of milliseconds above zero")
    return value


def describe(shards: Sequence[Shard], config: ClientConfig) -> str:
    """Return what a client says of its connection."""
    addresses = dict.fromkeys(shard.address for shard in shards)
    listed = "".join(f"    {address}\n" for address in addresses)
    return (
        f"{'Clustered' if shards[0].prefix else 'Non-clustered'} Redis connection:\n"
        f"  Redis shards at:\n{listed}"
        f"  Protocol: {'Unix Domain Socket' if shards[0].address.is_unix else 'TCP'}\n"
        "  Command parameters:\n"
        f"    Retry attempts: {config.commands.attempts}\n"
        f"    Retry interval: {config.commands.interval:g} s\n"
        f"    Retry timeout: {config.commands.timeout:g} s\n"
        f"    Socket timeout: {config.socket_timeout:g} s"
    )
