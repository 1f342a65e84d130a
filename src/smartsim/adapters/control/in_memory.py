"""A control channel within one process."""

from __future__ import annotations

import itertools
import json
import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future

from smartsim.ports.control_channel import LONGEST, Address, Answer, Listener, Message


class InMemoryControlChannel:
    """Leads to whoever listens on the same object.

    Args:
        host: the name of this machine.

    Example:
        >>> channel = InMemoryControlChannel()
        >>> listener = channel.listen("/lab/study", lambda request: {"heard": request["word"]})
        >>> (address,) = channel.addresses("/lab/study")
        >>> channel.ask("/lab/study", address, {"word": "hello"}, 5.0)
        {'heard': 'hello'}
        >>> listener.close()
    """

    def __init__(self, host: str = "localhost") -> None:
        self._host = host
        self._serial = itertools.count()
        self._listening: dict[tuple[str, Address], Answer] = {}

    def listen(self, directory: str, answer: Answer) -> Listener:
        """Answer what this driver is asked from now on."""
        address = Address(self._host, os.getpid(), is_here=True, name=str(next(self._serial)))
        self._listening[directory, address] = answer
        return _InMemoryListener(self._listening, (directory, address))

    def addresses(self, directory: str) -> Sequence[Address]:
        """Return where drivers of an experiment listen."""
        return [address for place, address in tuple(self._listening) if place == directory]

    def ask(self, directory: str, address: Address, request: Message, timeout: float) -> Message | None:
        """Return the answer of a driver, None when it has gone."""
        written = json.dumps(request)
        if len(written) >= LONGEST:
            raise ValueError(f"A message of {len(written) + 1} bytes is too long: {LONGEST} at most")
        answer = self._listening.get((directory, address))
        if answer is None:
            return None
        future: Future[Message] = Future()
        threading.Thread(target=lambda: future.set_result(answer(json.loads(written))), daemon=True).start()
        received: Message = json.loads(json.dumps(future.result(timeout)))
        return received


class _InMemoryListener:
    def __init__(self, listening: dict[tuple[str, Address], Answer], key: tuple[str, Address]) -> None:
        self._listening = listening
        self._key = key

    def close(self) -> None:
        """Take no more requests."""
        self._listening.pop(self._key, None)
