"""What the database says of itself, and its settings."""

from __future__ import annotations

from smartsim.app.client import administration
from smartsim.app.client.calls import Call
from smartsim.app.client.interface.naming import Naming


class AdministrationInterface(Naming):
    """Calls about the database. Addresses are those of its shards, as `SSDB` has them: ``host:port``.

    Experiments keep applications from `config_set`, which needs an administrator's password there, and from
    `config_get` in a cluster with replicas.
    """

    def get_db_node_info(self, addresses: list[str]) -> Call[list[dict[str, dict[str, str]]]]:
        """Return what ``INFO EVERYTHING`` says of some shards: for each its sections, with their values by name.

        Raises:
            RedisRuntimeError: an address is not that of a shard.

        Example:
            >>> (info,) = client.get_db_node_info(["127.0.0.1:6379"])  # doctest: +SKIP
            >>> info["Memory"]["used_memory_human"]  # doctest: +SKIP
        """
        return administration.get_db_node_info(addresses)

    def get_db_cluster_info(self, addresses: list[str]) -> Call[list[dict[str, str]]]:
        """Return what ``CLUSTER INFO`` says of some shards.

        Raises:
            RedisRuntimeError: the database is no cluster, or an address is not that of a shard.
        """
        return administration.get_db_cluster_info(addresses)

    def get_ai_info(self, address: list[str], key: str, reset_stat: bool = False) -> Call[list[dict[str, str]]]:
        """Return how a model or script was run on some shards: calls, errors, samples, duration in us, and more.

        Args:
            address: of the shards.
            key: of the model or script; no prefix is added.
            reset_stat: begin to count anew.

        Raises:
            RedisRuntimeError: there is none, or an address is not that of a shard.
        """
        return administration.get_ai_info(address, key, reset_stat)

    def flush_db(self, addresses: list[str]) -> Call[None]:
        """Remove everything from some shards."""
        return administration.flush_db(addresses)

    def config_get(self, expression: str, address: str) -> Call[dict[str, str]]:
        """Return the settings of a shard whose names match, by name; none for an unknown one.

        Example:
            >>> client.config_get("maxmemory*", "127.0.0.1:6379")  # doctest: +SKIP
        """
        return administration.config_get(expression, address)

    def config_set(self, config_param: str, value: str, address: str) -> Call[None]:
        """Change a setting of a shard.

        Raises:
            RedisRuntimeError: there is no such setting, or it cannot have this value.
        """
        return administration.config_set(config_param, value, address)

    def save(self, addresses: list[str]) -> Call[None]:
        """Have some shards write what they hold to their files; returns when they have."""
        return administration.save(addresses)
