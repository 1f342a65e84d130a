"""A database server that serves nothing, for experiments on fakes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from smartsim.domain.errors import SmartSimError, SSInternalError
from smartsim.ports.database_server import Credentials, LargestKeys, ServerCommand, ServerFacts, ServerUsage

if TYPE_CHECKING:
    from smartsim.domain.addresses import Address
    from smartsim.domain.database import ClusterPlace, ShardPlan

PROGRAM = "in-memory-server"


class InMemoryDatabaseServer:
    """Answers as long as its step runs.

    Args:
        runs: says whether a step with some argv runs at the moment.
        end: has the step with some argv end with exit code 0.

    Attributes:
        settings: what `configure` set, by the text of the address.
        usages: what servers are to say that they use, by the text of the address.
    """

    def __init__(self, runs: Callable[[Sequence[str]], bool], end: Callable[[Sequence[str]], None]) -> None:
        self.settings: dict[str, dict[str, str]] = {}
        self.usages: dict[str, ServerUsage] = {}
        self._runs = runs
        self._end = end
        self._shards: dict[str, tuple[tuple[str, ...], Credentials]] = {}
        self._clusters: dict[str, Sequence[ShardPlan]] = {}

    def command(self, shard: ShardPlan, credentials: Credentials, password: str | None = None) -> ServerCommand:
        """Return an argv that a scripted workload manager can tell from others."""
        del password  # there is no data to close
        argv = (PROGRAM, shard.name, str(shard.port))
        for address in shard.bind:
            self._shards[f"{address}:{shard.port}"] = argv, credentials
        if shard.place is not None:
            self._clusters[str(shard.address)] = ()
        return ServerCommand(argv, {f"{shard.directory}/{shard.name}.conf": b""})

    def probe(self, address: Address, credentials: Credentials, timeout: float) -> ServerFacts | None:
        """Return the facts of a shard that runs."""
        del timeout
        argv = self._running(address)
        if argv is None:
            return None
        if self._shards[str(address)][1] != credentials:
            raise SSInternalError(f"What answers at {address} does not accept these credentials")
        servers = self._clusters.get(str(address), ())
        place = next((server.place for server in servers if server.address == address), None)
        before = [other for other in self._alive(servers) if place and other.shard == place.shard]
        return ServerFacts(
            run_id=f"run-of-{'-'.join(argv)}",
            version="0",
            process_id=1,
            serves_all=self._serves_all(address),
            is_replica=place is not None and before[0] is not place,
        )

    def usage(
        self, address: Address, credentials: Credentials, timeout: float, *, lists_clients: bool = False
    ) -> ServerUsage:
        """Return what a shard that runs uses: nothing, unless `usages` says otherwise."""
        del lists_clients
        if self.probe(address, credentials, timeout) is None:
            raise SmartSimError(f"The database at {address} does not answer")
        return self.usages.get(str(address), ServerUsage(0, 0, 0))

    def largest_keys(
        self, address: Address, credentials: Credentials, timeout: float, known: LargestKeys
    ) -> LargestKeys:
        """Return no keys: there is no data."""
        if self.probe(address, credentials, timeout) is None:
            raise SmartSimError(f"The database at {address} does not answer")
        return known

    def join(self, servers: Sequence[ShardPlan], credentials: Credentials, timeout: float) -> bool:
        """Make servers one cluster."""
        formed = all(self._clusters[str(server.address)] == servers for server in servers)
        for server in servers:
            if self.probe(server.address, credentials, timeout) is None:
                raise SmartSimError(f"{server.name} at {server.address} cannot join its cluster: nothing answers")
            self._clusters[str(server.address)] = servers
        return formed

    def configure(self, address: Address, credentials: Credentials, settings: Mapping[str, str]) -> None:
        """Keep settings."""
        if self.probe(address, credentials, timeout=0.0) is None:
            raise SmartSimError(f"The database at {address} does not answer")
        self.settings.setdefault(str(address), {}).update(settings)

    def shut_down(self, address: Address, credentials: Credentials, timeout: float) -> None:
        """End the step of a shard."""
        if self.probe(address, credentials, timeout) is None:
            raise SmartSimError(f"The database at {address} cannot be asked to end: nothing answers")
        self._end(self._shards[str(address)][0])

    def _serves_all(self, address: Address) -> bool:
        servers = self._clusters.get(str(address))
        if servers is None:
            return True
        shards = {server.place.shard for server in servers if server.place is not None}
        return bool(servers) and shards == {place.shard for place in self._alive(servers)}

    def _alive(self, servers: Sequence[ShardPlan]) -> list[ClusterPlace]:
        return [server.place for server in servers if server.place is not None and self._running(server.address)]

    def _running(self, address: Address) -> tuple[str, ...] | None:
        argv, _ = self._shards.get(str(address), ((), None))
        return argv if argv and self._runs(argv) else None
