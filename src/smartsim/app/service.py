"""A database that runs: its servers, and who of them answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from smartsim.domain.database import ShardPlan
from smartsim.domain.errors import SSInternalError
from smartsim.ports.database_server import Credentials, DatabaseServer, ServerFacts

if TYPE_CHECKING:
    from smartsim.domain.addresses import Address

_ANSWER_TIMEOUT = 2.0  # seconds that a server has to answer when asked whether it is there


@dataclass(frozen=True)
class RunningShard:
    """One server that answered.

    Args:
        plan: what was started.
        facts: what it said of itself.
    """

    plan: ShardPlan
    facts: ServerFacts

    @property
    def address(self) -> Address:
        """Where clients find it."""
        return self.plan.address


@dataclass(frozen=True)
class Service:
    """A database that runs: what binds the description to its processes.

    Args:
        server: talks to the shards.
        credentials: of the administrator.
        shards: in their order, and their replicas behind them.
        password: that clients have to give; None if they need none.
        stored: the digests of the models and scripts that starts have put there, by name.
    """

    server: DatabaseServer
    credentials: Credentials
    shards: tuple[RunningShard, ...]
    password: str | None = field(default=None, repr=False)
    stored: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    def probe(self, shard: RunningShard) -> ServerFacts | None:
        """Return what a server says of itself, None if it does not answer, or another one does."""
        try:
            facts = self.server.probe(shard.address, self.credentials, _ANSWER_TIMEOUT)
        except SSInternalError:
            return None
        return facts if facts == shard.facts else None

    def addresses(self, alive: Callable[[RunningShard], bool]) -> tuple[Address, ...] | None:
        """Return an address of each shard, in their order: its own, or that of a replica when it is not alive.

        Args:
            alive: says which servers are.

        Returns:
            None when a shard is lost.
        """
        found: dict[int, Address | None] = {}
        for shard in self.shards:
            number = 0 if shard.plan.place is None else shard.plan.place.shard
            if found.get(number) is None:
                found[number] = shard.address if alive(shard) else None
        addresses = tuple(address for _, address in sorted(found.items()) if address is not None)
        return addresses if len(addresses) == len(found) else None


@dataclass(frozen=True)
class DBNode:
    """One server as a part of its database.

    Args:
        name: of the shard.
        path: where it keeps its files.
        db_identifier: of its database.
        hosts: where it runs; empty before its start.
    """

    name: str
    path: str
    db_identifier: str
    hosts: tuple[str, ...] = field(default=(), compare=False)

    @property
    def type(self) -> str:
        """The name of the class."""
        return "DBNode"

    @property
    def num_shards(self) -> int:
        """The number of shards in this node."""
        return 1

    @property
    def host(self) -> str:
        """Where it runs.

        Raises:
            ValueError: it does not run.
        """
        if not self.hosts:
            raise ValueError(f"{self.name} has no host before its database is started")
        return self.hosts[0]
