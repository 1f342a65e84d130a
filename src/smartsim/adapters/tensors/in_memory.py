"""A tensor store in this process, for tests of code that uses a client."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from smartsim.adapters.tensors import (
    in_memory_datasets,
    in_memory_scripts,
    in_memory_streams,
    in_memory_tensors,
    in_memory_values,
)
from smartsim.adapters.tensors.in_memory_keys import CommandKind, Keys, NotYet, RefusedError
from smartsim.adapters.tensors.in_memory_models import ModelCommands
from smartsim.domain.addresses import Address
from smartsim.domain.client_errors import RedisDatabaseError, RedisInternalError, RedisRuntimeError, refusal
from smartsim.domain.tensor_types import WIRE_NAMES
from smartsim.ports.model_runtime import ModelRuntime
from smartsim.ports.tensor_store import Command, Reply, Request, Shard, Transaction

_SHARDS = (Shard(Address.unix("/in-memory"), (0, 16383)),)


class InMemoryTensorStore:
    """A `TensorStore` in dictionaries, which carries out the commands that the client uses as a database does.

    What it does not know is answered with an error, so that a test says what it would need a database for.

    Args:
        runtime: runs the models that are stored, `smartsim.testing.AffineRuntime` for example; None to keep them
            without a look at them. Scripts are always kept, and never run.

    Example:
        >>> from smartsim.client import Client
        >>> client = Client(store=InMemoryTensorStore())
        >>> client.tensor_exists("field")
        False
    """

    def __init__(self, runtime: ModelRuntime | None = None) -> None:
        self._keys = Keys()
        self._commands = {
            **in_memory_values.COMMANDS,
            **in_memory_tensors.COMMANDS,
            **in_memory_datasets.COMMANDS,
            **in_memory_streams.COMMANDS,
            **in_memory_scripts.COMMANDS,
            **ModelCommands(runtime).table(),
        }
        self._lock = threading.Lock()
        self._wakers: list[Callable[[], object]] = []
        self._closed = False

    def put(self, key: bytes, data: npt.NDArray[Any]) -> None:
        """Store an array under a key, replacing what was there."""
        layout = (WIRE_NAMES[data.dtype.name].encode(), *(b"%d" % dimension for dimension in data.shape))
        (reply,) = self.run([Command((b"AI.TENSORSET", key, *layout, b"BLOB", data), key)])
        if isinstance(reply, RedisRuntimeError):
            raise reply

    def get(self, key: bytes) -> npt.NDArray[Any]:
        """Return the array under a key: fresh, writable, in C order."""
        (reply,) = self.run([Command((b"AI.TENSORGET", key, b"META", b"BLOB"), key, changes=False)])
        if isinstance(reply, RedisRuntimeError):
            raise reply
        if not isinstance(reply, np.ndarray):
            raise RedisInternalError(f"{reply!r} is no tensor")
        return reply

    def run(self, requests: Sequence[Request]) -> list[Reply]:
        """Carry out some requests, in their order."""
        changed = threading.Event()
        replies: list[Reply] = []
        with closing(self.carry_out(requests, replies, changed.set)) as work:
            for seconds in work:
                changed.wait(seconds)
                changed.clear()
        return replies

    def shards(self) -> tuple[Shard, ...]:
        """Return the only shard; it listens nowhere."""
        with self._lock:
            self._check_open()
        return _SHARDS

    def close(self) -> None:
        """End the calls that wait; they fail, as do those that follow."""
        with self._lock:
            self._closed = True
            self._wake()

    def carry_out(
        self, requests: Sequence[Request], replies: list[Reply], wake: Callable[[], object]
    ) -> Generator[float]:
        """Carry out some requests, and leave the waiting to whoever iterates.

        Args:
            requests: as for `run`.
            replies: gets the replies.
            wake: called, from any thread, when something has changed while a command waits for it.

        Yields:
            How long to wait for that, in seconds; then go on, whether it came or not.
        """
        for request in requests:
            with self._lock:
                reply = self._attempt(request)
                if isinstance(reply, NotYet):
                    self._wakers.append(wake)
            if isinstance(reply, NotYet):
                reply = yield from self._wait(request, reply, wake)
            replies.append(reply)

    def _wait(self, request: Request, blocked: NotYet, wake: Callable[[], object]) -> Generator[float, None, Reply]:
        deadline = time.monotonic() + blocked.seconds
        try:
            while (now := time.monotonic()) < deadline:
                with self._lock:
                    # A key that goes away may be what it waits for, and nobody tells.
                    until = min(deadline, self._keys.next_end())
                yield min(max(0, until - now), threading.TIMEOUT_MAX)
                with self._lock:
                    reply = self._attempt(request)
                if not isinstance(reply, NotYet):
                    return reply
            return blocked.otherwise
        finally:
            with self._lock:
                self._wakers.remove(wake)

    def _attempt(self, request: Request) -> Reply | NotYet:
        """Carry out a request, if it need not wait."""
        self._check_open()
        if isinstance(request, Transaction):
            reply: Reply | NotYet = self._carry_out_together(request.commands)
        else:
            reply = self._carry_out_one(request)
        if not isinstance(reply, NotYet):
            self._wake()
        return reply

    def _carry_out_together(self, commands: Sequence[Command]) -> Reply:
        for command in commands:
            try:
                self._find(_parts(command))
            except RefusedError as error:
                return _refusal(str(error), command)
        replies = []
        for command in commands:
            reply = self._carry_out_one(command, in_transaction=True)
            replies.append(reply.otherwise if isinstance(reply, NotYet) else reply)
        return replies

    def _carry_out_one(self, command: Command, *, in_transaction: bool = False) -> Reply | NotYet:
        try:
            parts = _parts(command)
            kind = self._find(parts)
            if in_transaction and not kind.in_transactions:
                raise RefusedError("ERR Cannot run RedisAI command within a transaction or a LUA script")
            return kind.carry_out(self._keys, *parts[1:])
        except RefusedError as error:
            return _refusal(str(error), command)

    def _find(self, parts: Sequence[bytes]) -> CommandKind:
        name, *words = parts
        kind = self._commands.get(name)
        text = name.decode(errors="replace")
        if kind is None:
            beginning = " ".join(f"'{word[:128].decode(errors='replace')}'" for word in words)
            raise RefusedError(f"ERR unknown command '{text}', with args beginning with: {beginning[:128]}")
        if not kind.least <= len(words) <= kind.most:
            called = text if text.startswith("AI.") else text.lower()
            raise RefusedError(f"ERR wrong number of arguments for '{called}' command")
        return kind

    def _wake(self) -> None:
        for wake in self._wakers:
            wake()

    def _check_open(self) -> None:
        if self._closed:
            raise RedisDatabaseError("The client is closed: make another")


class AsyncInMemoryTensorStore:
    """An `AsyncTensorStore` that shows the contents of an `InMemoryTensorStore`; it starts no threads.

    Args:
        store: whose contents; a new one by default. Closing either closes both.

    Example:
        >>> import asyncio
        >>> from smartsim.ports.tensor_store import Command
        >>> asyncio.run(AsyncInMemoryTensorStore().run([Command((b"PING",))]))
        [b'PONG']
    """

    def __init__(self, store: InMemoryTensorStore | None = None) -> None:
        self._store = InMemoryTensorStore() if store is None else store

    async def run(self, requests: Sequence[Request]) -> list[Reply]:
        """Carry out some requests, in their order."""
        changed = asyncio.Event()
        wake = partial(asyncio.get_running_loop().call_soon_threadsafe, changed.set)
        replies: list[Reply] = []
        with closing(self._store.carry_out(requests, replies, wake)) as work:
            for seconds in work:
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), seconds)
                changed.clear()
        return replies

    async def shards(self) -> tuple[Shard, ...]:
        """Return the only shard; it listens nowhere."""
        return self._store.shards()

    async def close(self) -> None:
        """End the calls that wait; they fail, as do those that follow."""
        self._store.close()


def _parts(command: Command) -> list[bytes]:
    return [
        word
        if isinstance(word, bytes)
        else b"".join([array.tobytes() for array in (word if isinstance(word, tuple) else (word,))])
        for word in command.words
    ]


def _refusal(text: str, command: Command) -> RedisRuntimeError:
    return refusal(text, (command.key or b"").decode(errors="backslashreplace"))
