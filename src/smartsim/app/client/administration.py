"""Calls about the database itself; each names the shards that it is for by their addresses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from smartsim.app.client.calls import SHARDS, Call, check, pairs, several, text
from smartsim.app.client.programs import key_on
from smartsim.domain.client_errors import RedisInternalError, RedisRuntimeError, check_type
from smartsim.domain.client_info import parse_fields, parse_sections
from smartsim.ports.tensor_store import Command, Reply, Shard, Transaction

_SAVE_PATIENCE: Final = 3600.0
"""How long it may take to write a database to disk, or to throw it away, in seconds."""


def get_db_node_info(addresses: list[str]) -> Call[list[dict[str, dict[str, str]]]]:
    """Return what servers say of themselves: for each its sections, and their fields."""
    replies = yield from _ask(addresses, (b"INFO", b"EVERYTHING"), changes=False)
    return [parse_sections(_readable(text(reply))) for reply in replies]


def get_db_cluster_info(addresses: list[str]) -> Call[list[dict[str, str]]]:
    """Return what shards say of their cluster: for each its fields."""
    shards = yield from _find("addresses", addresses)
    if not all(shard.prefix for shard in shards):
        raise RedisRuntimeError("Cannot run on non-cluster environment: the database is a standalone one")
    replies = yield _on(shards, (b"CLUSTER", b"INFO"), changes=False)
    return [parse_fields(_readable(text(reply))) for reply in replies]


def get_ai_info(address: list[str], key: str, reset_stat: bool = False) -> Call[list[dict[str, str]]]:
    """Return what shards have counted of a model or script, and have them begin anew, if asked to.

    Args:
        address: of the shards.
        key: of the model or script.
        reset_stat: whether they begin anew. Nothing gets lost between what is returned and the new beginning.
    """
    check_type(key, "key", str)
    check_type(reset_stat, "reset_stat", bool)
    shards = yield from _find("address", address)
    requests = []
    for shard in shards:
        words = (b"AI.INFO", key_on(shard, key))
        get = Command(words, shard=shard.address, changes=False)
        reset = Command((*words, b"RESETSTAT"), shard=shard.address)
        requests.append(Transaction((get, reset)) if reset_stat else get)
    replies = yield requests
    told = [several(reply)[0] if reset_stat else reply for reply in replies]
    return [_statistics(reply, shard) for reply, shard in zip(told, shards, strict=True)]


def flush_db(addresses: list[str]) -> Call[None]:
    """Delete all keys of some shards."""
    check((yield from _ask(addresses, (b"FLUSHDB",), patience=_SAVE_PATIENCE)))


def save(addresses: list[str]) -> Call[None]:
    """Have some shards write what they hold to disk."""
    check((yield from _ask(addresses, (b"SAVE",), patience=_SAVE_PATIENCE)))


def config_get(expression: str, address: str) -> Call[dict[str, str]]:
    """Return the settings of a server whose names match an expression; none if it knows no such name."""
    check_type(expression, "expression", str)
    check_type(address, "address", str)
    (reply,) = yield from _ask([address], (b"CONFIG", b"GET", expression.encode()), changes=False)
    return {_readable(name): _readable(value) for name, value in pairs(reply).items()}


def config_set(config_param: str, value: str, address: str) -> Call[None]:
    """Change a setting of a server."""
    check_type(config_param, "config_param", str)
    check_type(value, "value", str)
    check_type(address, "address", str)
    check((yield from _ask([address], (b"CONFIG", b"SET", config_param.encode(), value.encode()))))


def _ask(
    addresses: list[str], words: tuple[bytes, ...], *, changes: bool = True, patience: float = 0
) -> Call[list[Reply]]:
    shards = yield from _find("addresses", addresses)
    replies: list[Reply] = yield _on(shards, words, changes=changes, patience=patience)
    return replies


def _on(shards: Sequence[Shard], words: tuple[bytes, ...], *, changes: bool, patience: float = 0) -> list[Command]:
    return [Command(words, shard=shard.address, changes=changes, patience=patience) for shard in shards]


def _find(argument: str, addresses: list[str]) -> Call[list[Shard]]:
    """Return the shards that listen at some addresses."""
    check_type(addresses, argument, list)
    for address in addresses:
        check_type(address, f"{argument}[...]", str)
    shards: Sequence[Shard] = yield SHARDS
    known = {str(shard.address): shard for shard in reversed(shards)}
    for address in addresses:
        if address.removeprefix("tcp://") not in known:
            raise RedisRuntimeError(
                f"{address!r} is not an address of this database, as it is known to this client: use one of "
                f"{', '.join(reversed(known))}"
            )
    return [known[address.removeprefix("tcp://")] for address in addresses]


def _statistics(reply: Reply, shard: Shard) -> dict[str, str]:
    parts = several(reply)
    if len(parts) % 2:
        raise RedisInternalError(f"The database answered {str(parts)[:60]!r} where names and values were expected")
    names, values = parts[::2], parts[1::2]
    return {_readable(text(name)): _value(value, shard) for name, value in zip(names, values, strict=True)}


def _value(value: Reply, shard: Shard) -> str:
    if isinstance(value, int):
        return str(value)
    return _readable(text(value).removeprefix(b"%b." % shard.prefix if shard.prefix else b""))


def _readable(word: bytes) -> str:
    return word.decode(errors="backslashreplace")
