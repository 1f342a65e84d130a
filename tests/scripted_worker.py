"""A worker and clients that say what a test tells them to, one step after the other; see docs/workers.md.

Nothing here runs in the background: what was sent waits in the server until the test goes on.

    with Peer(server.socket) as client, ScriptedWorker(server.socket, TORCH="2.9") as worker:
        client.send("AI.MODELSTORE", "m", "TORCH", "CPU", "BLOB", b"...")
        check = worker.next()  # sends NEXT and waits for an item
        worker.checked(check, inputs=["x"], outputs=["y"])
        assert client.receive() == b"OK"
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from redis.backoff import NoBackoff
from redis.connection import Connection, UnixDomainSocketConnection
from redis.retry import Retry

DEADLINE = 30.0


class Peer:
    """One connection to a server, on which sending and receiving are two steps.

    Args:
        address: the path of its unix socket, or host and port.
        username: to log in as; nobody if empty.
        password: of that user.
    """

    def __init__(self, address: Path | tuple[str, int], username: str = "", password: str = "") -> None:
        options: dict[str, Any] = {"socket_timeout": DEADLINE, "retry": Retry(NoBackoff(), 0)}
        options |= {"username": username or None, "password": password or None}
        kind: Any = Connection if isinstance(address, tuple) else UnixDomainSocketConnection
        options |= {"host": address[0], "port": address[1]} if isinstance(address, tuple) else {"path": str(address)}
        self._connection = kind(**options)
        self._connection.connect()

    def send(self, *arguments: Any) -> None:
        """Send a command; its reply is received later."""
        self._connection.send_command(*arguments)

    def receive(self) -> Any:
        """Wait for the reply to the oldest command that has none; raises `redis.ResponseError` for an error."""
        return self._connection.read_response(disconnect_on_error=False)

    def ask(self, *arguments: Any) -> Any:
        """Send a command and wait for its reply."""
        self.send(*arguments)
        return self.receive()

    def answered(self) -> bool:
        """Return whether a reply has come that was not received yet."""
        return bool(self._connection.can_read(timeout=0))

    def id(self) -> int:
        """Return the number that the server has for this connection."""
        return int(self.ask("CLIENT", "ID"))

    def drop(self) -> None:
        """Close the socket with whatever was not read in it, as most clients do; `close` says goodbye first."""
        self._connection._sock.close()

    def close(self) -> None:
        """Hang up, whatever is under way. May be called again."""
        self._connection.disconnect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class Item:
    """Something to do: the words of its first element, and the other elements."""

    words: tuple[str, ...]
    parts: tuple[bytes, ...]

    @property
    def kind(self) -> str:
        """RUN, SCRIPT, CHECK, DROP or KILL."""
        return self.words[0]

    @property
    def job(self) -> int:
        """The number by which the answer names it; a DROP or KILL has none."""
        assert self.kind in {"RUN", "SCRIPT", "CHECK"}
        return int(self.words[1])

    @property
    def version(self) -> int:
        """The version of its program."""
        assert self.kind in {"RUN", "SCRIPT", "CHECK"}
        return int(self.words[2])

    @property
    def requests(self) -> int:
        """How many requests a RUN joins."""
        assert self.kind == "RUN"
        return int(self.words[4])

    @property
    def outputs(self) -> int:
        """How many outputs a RUN or SCRIPT is to have."""
        return int(self.words[{"RUN": 6, "SCRIPT": 7}[self.kind]])

    @property
    def rows(self) -> list[int]:
        """How many rows each request of a RUN has."""
        assert self.kind == "RUN"
        return [int(word) for word in self.words[7:]]

    @property
    def inputs(self) -> list[tuple[str, list[bytes]]]:
        """The layout of each input, `TYPE dim...`, and its bytes, one piece for each request."""
        if self.kind == "RUN":
            pieces, parts = self.requests, self.parts
        else:
            keys, args = int(self.words[3]), int(self.words[4])
            pieces, parts = 1, self.parts[1 + keys + args :]
        return [
            (parts[start].decode(), list(parts[start + 1 : start + 1 + pieces]))
            for start in range(0, len(parts), 1 + pieces)
        ]


@dataclass(frozen=True)
class Program:
    """What FETCH replies with."""

    kind: str
    backend: str
    device: str
    names: tuple[list[bytes], list[bytes]]
    payload: bytes


@dataclass(frozen=True)
class Output:
    """An output: its type, the shape of all requests together, and its bytes, one piece for each request."""

    type: str
    shape: Sequence[int]
    pieces: Sequence[bytes]


class ScriptedWorker(Peer):
    """A worker, or a supervisor, that answers as it is told.

    Args:
        address: see `Peer`.
        device: the device that it serves.
        process: the number of its process; workers of the same process share it.
        role: WORKER or SUPERVISOR.
        username: see `Peer`.
        password: see `Peer`.
        versions: for each backend that it runs, the version of the framework.
    """

    def __init__(
        self,
        address: Path | tuple[str, int],
        *,
        device: str = "CPU",
        process: int = 1,
        role: str = "WORKER",
        username: str = "",
        password: str = "",
        **versions: str,
    ) -> None:
        super().__init__(address, username, password)
        self._role, self._device, self._process = role, device, process
        self._waiting = False
        self.hello(**versions)

    def hello(self, **versions: str) -> None:
        """Say (again) what it can run."""
        words = [word for backend in versions.items() for word in backend]
        assert self.ask("AI._WORKER", "HELLO", 1, self._role, self._device, self._process, *words) == b"OK"

    def want(self) -> None:
        """Ask for something to do, unless that was asked already: every answer asks for the next item as well."""
        if not self._waiting:
            self.send("AI._WORKER", "NEXT")
        self._waiting = True

    def next(self) -> Item:
        """Ask for something to do, unless that was asked already, and wait for it."""
        self.want()
        self._waiting = False
        first, *parts = self.receive()
        return Item(tuple(first.decode().split(" ")), tuple(parts))

    def job(self) -> Item:
        """Wait for something that is to be answered; what is to be dropped until then is passed over."""
        item = self.next()
        while item.kind == "DROP":
            item = self.next()
        return item

    def fetch(self) -> Program:
        """Fetch the program of the present job."""
        kind, backend, device, first, second, payload = self.ask("AI._WORKER", "FETCH")
        return Program(kind.decode(), backend.decode(), device.decode(), (first, second), payload)

    def done(self, item: Item, *outputs: Output, microseconds: int = 1) -> None:
        """Answer a RUN or SCRIPT, and ask for the next item."""
        words: list[Any] = []
        for output in outputs:
            words += [output.type, len(output.shape), *output.shape, *output.pieces]
        self._answer("DONE", item.job, microseconds, len(outputs), *words)

    def checked(
        self, item: Item, inputs: Sequence[str | bytes] = (), outputs: Sequence[str | bytes] = (), microseconds: int = 1
    ) -> None:
        """Answer a CHECK: it is sound. Asks for the next item as well."""
        self._answer("CHECKED", item.job, microseconds, len(inputs), *inputs, len(outputs), *outputs)

    def fail(self, item: Item, text: str | bytes) -> None:
        """Answer that the job failed, and ask for the next item."""
        self._answer("FAIL", item.job, text)

    def unavailable(self, text: str | bytes) -> None:
        """Say, as a supervisor, that its workers do not start."""
        assert self.ask("AI._WORKER", "UNAVAILABLE", text) == b"OK"

    def _answer(self, *words: Any) -> None:
        assert self.ask("AI._WORKER", *words) == b"OK"
        self.want()


def store(
    client: Peer, worker: ScriptedWorker, *arguments: Any, inputs: Sequence[str] = (), outputs: Sequence[str] = ()
) -> Any:
    """Store a program with a command that `worker` approves of; returns the reply.

    Args:
        client: who stores it.
        worker: who checks it.
        arguments: the command.
        inputs: the names of inputs that the worker finds in a model.
        outputs: likewise.
    """
    client.send(*arguments)
    worker.checked(worker.job(), inputs, outputs)
    return client.receive()
