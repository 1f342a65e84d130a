"""Where a client finds its database: what it is given, and what the environment says."""

from __future__ import annotations

import random

from smartsim.app.client.config_options import ConfigOptions
from smartsim.domain.addresses import Address, parse_addresses
from smartsim.domain.client_config import ClientConfig, variable_name
from smartsim.domain.client_errors import RedisConnectionError, check_type


def options_form(
    config_options: ConfigOptions | None = None, logger_name: str = "Default"
) -> tuple[ConfigOptions, str]:
    """Return options and logger name of the form ``Client(config_options, logger_name)``."""
    options = ConfigOptions.create_from_environment("") if config_options is None else config_options
    check_type(options, "config_options", ConfigOptions)
    return options, logger_name


def address_form(cluster: bool, address: str | None = None, logger_name: str = "Default") -> tuple[ConfigOptions, str]:
    """Return options and logger name of the form ``Client(cluster, address, logger_name)``."""
    check_type(cluster, "cluster", bool)
    options = ConfigOptions.create_from_environment("")
    options.override_string_option("SR_DB_TYPE", "Clustered" if cluster else "Standalone")
    if address is not None:
        check_type(address, "address", str)
        options.override_string_option("SSDB", address)
    return options, logger_name


def find_address(options: ConfigOptions) -> Address:
    """Return the address to connect to: any of those in `SSDB`.

    Raises:
        RedisConnectionError: there is none, or what it names is a cluster.
    """
    text = options.find("SSDB")
    if not text:
        raise RedisConnectionError(
            f"{variable_name('SSDB', options.suffix)} is not set: it says where the database is (the experiment sets "
            "it for the applications that it starts); set it, or give the address to Client(cluster=False, address=...)"
        )
    if (options.find("SR_DB_TYPE") or "").lower() == "clustered":
        raise RedisConnectionError(
            "This version speaks to a standalone database: pass cluster=False, or set "
            f"{variable_name('SR_DB_TYPE', options.suffix)}=Standalone",
            text,
        )
    try:
        addresses = parse_addresses(text)
    except ValueError as error:
        raise RedisConnectionError(str(error), text) from None
    return random.choice(addresses)  # noqa: S311 - to spread the clients, as the clients of old do


def describe(address: Address, config: ClientConfig) -> str:
    """Return what a client says of its connection."""
    return (
        "Non-clustered Redis connection:\n"
        "  Redis shards at:\n"
        f"    {address}\n"
        f"  Protocol: {'Unix Domain Socket' if address.is_unix else 'TCP'}\n"
        "  Command parameters:\n"
        f"    Retry attempts: {config.commands.attempts}\n"
        f"    Retry interval: {config.commands.interval:g} s\n"
        f"    Retry timeout: {config.commands.timeout:g} s\n"
        f"    Socket timeout: {config.socket_timeout:g} s"
    )
