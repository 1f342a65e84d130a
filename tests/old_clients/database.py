"""Databases as the clients of old find them: real servers with the module, real workers beside them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from database_clusters import connect_node, join
from module_server import MODULE
from readiness import is_readable
from servers import Server, free_port, running_server
from smartsim.domain.addresses import Address

DEADLINE = 120.0  # for a worker to start: frameworks take their time
_PASSWORD = "not-for-sale"
_WORKER = ("--user", "worker", "on", f">{_PASSWORD}", "~*", "&*", "+@all")


@dataclass(frozen=True)
class Database:
    """A database of one shard.

    Attributes:
        server: what runs it.
        client: of the tests themselves, to look behind the scenes.
    """

    server: Server
    client: redis.Redis

    @property
    def tcp(self) -> str:
        """What ``SSDB`` says of it."""
        return str(self.server.tcp)

    @property
    def unix(self) -> str:
        """What ``SSDB`` says of its unix socket."""
        return str(self.server.unix)

    def stored(self) -> set[bytes]:
        """Return all keys."""
        return set(self.client.scan_iter())

    def connections(self) -> int:
        """Return how many connections came since the statistics of the server were reset."""
        return int(self.client.info("stats")["total_connections_received"])

    def statistics(self, key: str) -> dict[str, Any]:
        """Return what AI.INFO says of a model or script."""
        reply = self.client.execute_command("AI.INFO", key)
        return {name.decode(): value for name, value in zip(reply[::2], reply[1::2], strict=True)}


@contextlib.contextmanager
def running_database(directory: Path, *options: str, worker: bool = True, port: int = 0) -> Iterator[Database]:
    """Run a server with the module.

    Args:
        directory: where it works.
        *options: more of its command line.
        worker: whether to run a worker for the CPU beside it; it is ready then.
        port: to listen on; 0 for a free one.
    """
    arguments = [*_WORKER, *options, "--loadmodule", str(MODULE)]
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(running_server(directory, *arguments, port=port, module=False))
        client = redis.Redis(host=server.tcp.host, port=server.tcp.port, socket_timeout=DEADLINE)
        stack.callback(client.close)
        if worker:
            stack.enter_context(_running_worker(server.unix, directory))
        yield Database(server, client)


@contextlib.contextmanager
def running_cluster(directory: Path, *options: str, shards: int) -> Iterator[Sequence[Database]]:
    """Run a cluster, with a worker beside each shard; it is ready then.

    Args:
        directory: where it works.
        *options: of each server.
        shards: how many.
    """
    with contextlib.ExitStack() as stack:
        databases = []
        for number in range(shards):
            path = directory / str(number)
            path.mkdir()
            databases.append(stack.enter_context(running_database(path, *cluster_mode(), *options)))
        join([connect_node(stack, database.server) for database in databases])
        yield databases


def cluster_mode() -> list[str]:
    """Return what the command line of a server says that is a shard."""
    return ["--cluster-enabled", "yes", "--cluster-port", str(free_port())]


@contextlib.contextmanager
def _running_worker(address: Address, directory: Path) -> Iterator[None]:
    password, log = directory / "password", directory / "worker.log"
    password.write_text(_PASSWORD)
    readable, writable = os.pipe()
    command = [sys.executable, "-m", "smartsim.app.worker", str(address), "--password-file", str(password)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--ready", str(writable)], pass_fds=[writable], stdout=output, stderr=subprocess.STDOUT
        )
    os.close(writable)
    try:
        with open(readable, "rb") as pipe:
            assert is_readable(pipe, DEADLINE), "the worker did not become ready"
            assert pipe.read(1), f"the worker ended:\n{log.read_text(errors='replace')}"
        yield
    finally:
        process.kill()
        process.wait(DEADLINE)
