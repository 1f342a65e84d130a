"""A shard that gives out work prepared beforehand, over a socket: what the server module does, in a few lines."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import hiredis
import numpy as np
import numpy.typing as npt

from smartsim.adapters.work.in_memory import Answer
from smartsim.domain.addresses import Address
from smartsim.domain.tensor_types import WIRE_NAMES
from smartsim.ports.work_source import Call, Check, Drop, Item, Kill, ModelProgram, Program, Run

DEADLINE = 30.0
PASSWORD = "the worker's"
_DTYPES = {wire.encode(): np.dtype(name) for name, wire in WIRE_NAMES.items()}


def resp(value: object) -> bytes:
    """Return strings, and lists of them, in RESP."""
    if isinstance(value, bytes):
        return b"$%d\r\n%b\r\n" % (len(value), value)
    if isinstance(value, str):
        return resp(value.encode(errors="surrogateescape"))
    assert isinstance(value, list | tuple)
    return b"*%d\r\n%b" % (len(value), b"".join(map(resp, value)))


def encoded(item: Item) -> bytes:
    """Return an item as docs/workers.md has it."""
    if isinstance(item, Check):
        return resp([f"CHECK {item.job} {item.version} {item.backend}"])
    if isinstance(item, Drop):
        return resp([" ".join(["DROP", *map(str, item.versions)])])
    if isinstance(item, Kill):
        return resp([f"KILL {item.process}"])
    inputs = item.inputs
    if isinstance(item, Call):
        numbers = (item.job, item.version, len(item.keys), len(item.args), item.list_start, len(inputs), item.outputs)
        head = [f"SCRIPT {' '.join(map(str, numbers))}", item.function, *item.keys, *item.args]
        return resp([*head, *(part for array in inputs for part in (_layout(array), array.tobytes()))])
    counts = (len(item.rows), len(inputs), item.outputs, *item.rows)
    head = [f"RUN {item.job} {item.version} {item.backend} {' '.join(map(str, counts))}"]
    return resp([*head, *(part for array in inputs for part in (_layout(array), *_pieces(array, item.rows)))])


def _layout(array: npt.NDArray[Any]) -> str:
    return " ".join([WIRE_NAMES[array.dtype.name], *map(str, array.shape)])


def _pieces(array: npt.NDArray[Any], rows: Sequence[int]) -> list[bytes]:
    if len(rows) == 1:
        return [array.tobytes()]
    return [piece.tobytes() for piece in np.split(array, np.cumsum(rows)[:-1])]


def _program(program: Program) -> bytes:
    if isinstance(program, ModelProgram):
        return resp(["MODEL", program.backend, "CPU", program.inputs, program.outputs, program.blob])
    return resp(["SCRIPT", "TORCH", "CPU", program.entry_points, [], program.source])


class WireShard:
    """What one connection sees of a shard.

    Args:
        items: what there is to do, one for each question; then the connection is closed. Bytes are sent as they are.
        programs: those that the items name, by version.
        piece: how many bytes are sent at once; 0 for all.
    """

    def __init__(self, items: Iterable[Item | bytes], programs: Mapping[int, Program], piece: int = 0) -> None:
        self.answers: dict[int, Answer] = {}
        self.fetched: list[int] = []
        self.greeting: tuple[str, dict[str, str]] | None = None
        self.commands: list[list[bytes]] = []
        self._items = iter(items)
        self._programs = programs
        self._piece = piece
        self._present: Item | bytes | None = None

    def talk(self, connection: socket.socket) -> None:
        """Answer everything that is said on a connection."""
        reader = hiredis.Reader()
        while data := connection.recv(1 << 16):
            reader.feed(data)
            while (command := reader.gets()) is not False:
                reply = self._reply(command)
                if reply is None:
                    return
                step = self._piece or len(reply)
                for begin in range(0, len(reply), step):
                    connection.sendall(reply[begin : begin + step])

    def _reply(self, words: list[bytes]) -> bytes | None:
        self.commands.append(words)
        if words[0] == b"AUTH":
            good = words[1:] == [b"worker", PASSWORD.encode()]
            return b"+OK\r\n" if good else b"-WRONGPASS invalid username-password pair\r\n"
        assert words[0] == b"AI._WORKER"
        if words[1] == b"HELLO":
            assert words[2:4] == [b"1", b"WORKER"]
            texts = [word.decode() for word in words]
            self.greeting = texts[4], dict(zip(texts[6::2], texts[7::2], strict=True))
            return b"+OK\r\n"
        if words[1] == b"FETCH":
            assert isinstance(self._present, Run | Call | Check)
            self.fetched.append(self._present.version)
            return _program(self._programs[self._present.version])
        if words[1] != b"NEXT":
            self._answer(words)
            return b"+OK\r\n"
        self._present = next(self._items, None)
        if self._present is None or isinstance(self._present, bytes):
            return self._present
        return encoded(self._present)

    def _answer(self, words: list[bytes]) -> None:
        job = int(words[2])
        if words[1] == b"FAIL":
            (text,) = words[3:]
            self.answers[job] = Answer(error=text.decode())
        elif words[1] == b"CHECKED":
            inputs = int(words[4])
            assert int(words[5 + inputs]) == len(words) - 6 - inputs
            names = [word.decode() for word in words]
            self.answers[job] = Answer(names=(tuple(names[5 : 5 + inputs]), tuple(names[6 + inputs :])))
        else:
            assert words[1] == b"DONE"
            assert int(words[3]) >= 0
            assert isinstance(self._present, Run | Call)
            rows = self._present.rows if isinstance(self._present, Run) else (1,)
            self.answers[job] = Answer(outputs=_outputs(words[4:], rows))


def _outputs(words: list[bytes], rows: Sequence[int]) -> tuple[tuple[npt.NDArray[Any], ...], ...]:
    rest = iter(words)
    columns = []
    for _ in range(int(next(rest))):
        dtype = _DTYPES[next(rest)]
        shape = [int(next(rest)) for _ in range(int(next(rest)))]
        shapes = [shape] if len(rows) == 1 else [[count, *shape[1:]] for count in rows]
        columns.append([np.frombuffer(next(rest), dtype).reshape(shape) for shape in shapes])
    assert next(rest, None) is None
    return tuple(zip(*columns, strict=True))


@contextlib.contextmanager
def serving(shard: WireShard, path: str = "") -> Iterator[Address]:
    """Have a shard serve one connection; its own assertions fail the test.

    Args:
        shard: what it does.
        path: of a unix socket to listen on; empty for TCP.
    """
    listener = socket.socket(socket.AF_UNIX) if path else socket.create_server(("127.0.0.1", 0))
    failures: list[BaseException] = []

    def serve() -> None:
        try:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(DEADLINE)
                shard.talk(connection)
        except ConnectionError:
            return  # the test is over
        except BaseException as error:  # noqa: BLE001 - the test's
            failures.append(error)

    with listener:
        if path:
            listener.bind(path)
            listener.listen()
        listener.settimeout(DEADLINE)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Address.unix(path) if path else Address.tcp("127.0.0.1", listener.getsockname()[1])
        finally:
            thread.join(DEADLINE)
    assert not thread.is_alive()
    assert not failures, failures
