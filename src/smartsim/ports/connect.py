"""Connecting to a database that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from smartsim.domain.addresses import Address
    from smartsim.ports.database_server import Credentials
    from smartsim.ports.tensor_store import TensorStore


class Connect(Protocol):
    """Connects to databases, of one shard or several."""

    def __call__(
        self, addresses: Sequence[Address], credentials: Credentials, /
    ) -> AbstractContextManager[TensorStore]:
        """Return what a database holds, for a ``with`` block, which closes the connections.

        Args:
            addresses: one of each shard.
            credentials: to log in with.

        Raises:
            RedisConnectionError: nothing answers there in time.
        """
        ...
