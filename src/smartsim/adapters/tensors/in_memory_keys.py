"""What the in-memory tensor store keeps: values of several types under keys, which may expire."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, Concatenate, Final, NamedTuple, TypeAlias, TypeVar

from smartsim.ports.tensor_store import Reply

_T = TypeVar("_T")

_INTEGER = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_LARGEST: Final = 2**63 - 1


class RefusedError(Exception):
    """A command cannot be carried out; its text is the error reply."""


class NotYet(NamedTuple):
    """There is nothing to answer yet: the command is to be carried out again when something has changed.

    Attributes:
        seconds: how long it may wait.
        otherwise: its reply when that time is over.
    """

    seconds: float
    otherwise: Reply


class CommandKind(NamedTuple):
    """A command that the store knows.

    Attributes:
        carry_out: takes the keys and the words after the name.
        least: the least number of those words.
        most: the largest.
        in_transactions: whether it may be part of one.
    """

    carry_out: Callable[Concatenate[Keys, ...], Reply | NotYet]
    least: int
    most: float = math.inf
    in_transactions: bool = True


Commands: TypeAlias = Mapping[bytes, CommandKind]


class Shared:
    """A value that never changes, so that several keys may have it."""


class Keys:
    """Values under keys. One thread uses them at a time."""

    def __init__(self) -> None:
        self._values: dict[bytes, Any] = {}
        self._ends: dict[bytes, float] = {}

    def __contains__(self, key: bytes) -> bool:
        self._expire(key)
        return key in self._values

    def __len__(self) -> int:
        self.next_end()
        return len(self._values)

    def find(self, key: bytes, kind: type[_T]) -> _T | None:
        """Return the value under a key, None if there is none; refuse one of another type."""
        value: _T | None = self.find_one_of(key, (kind,))
        return value

    def find_one_of(self, key: bytes, kinds: tuple[type, ...]) -> Any:
        """Return the value under a key, as `find` does, if it is of one of some types."""
        self._expire(key)
        value = self._values.get(key)
        if value is not None and not isinstance(value, kinds):
            raise RefusedError("WRONGTYPE Operation against a key holding the wrong kind of value")
        return value

    def need(self, key: bytes, kind: type[_T], absent: str) -> _T:
        """Return the value under a key; refuse with a text if there is none."""
        value = self.find(key, kind)
        if value is None:
            raise RefusedError(absent)
        return value

    def find_or_make(self, key: bytes, kind: type[_T]) -> _T:
        """Return the value under a key, after putting an empty one there if there is none."""
        value = self.find(key, kind)
        if value is None:
            value = self._values[key] = kind()
        return value

    def put(self, key: bytes, value: object) -> None:
        """Put a value under a key that may hold another; it does not expire."""
        self._values[key] = value
        self._ends.pop(key, None)

    def remove(self, key: bytes) -> bool:
        """Remove a key; return whether it was there."""
        self._expire(key)
        self._ends.pop(key, None)
        return self._values.pop(key, None) is not None

    def duplicate(self, source: bytes, destination: bytes) -> None:
        """Put what is under a key under another, too, to expire at the same time."""
        value, end = self._values[source], self._ends.get(source)
        self.put(destination, value if isinstance(value, Shared) else deepcopy(value))
        if end is not None:
            self._ends[destination] = end

    def clear(self) -> None:
        """Remove all keys."""
        self._values.clear()
        self._ends.clear()

    def expire(self, key: bytes, milliseconds: int) -> None:
        """Have a key go away after a time."""
        self._ends[key] = time.monotonic() + milliseconds / 1000

    def keep(self, key: bytes) -> bool:
        """Have a key stay; return whether it would have expired."""
        return self._ends.pop(key, None) is not None

    def milliseconds_left(self, key: bytes) -> int:
        """Return for how long a key stays; -1 if it does not expire."""
        end = self._ends.get(key)
        return -1 if end is None else max(0, round((end - time.monotonic()) * 1000))

    def next_end(self) -> float:
        """Return when the next key expires, on the monotonic clock."""
        for key in tuple(self._ends):
            self._expire(key)
        return min(self._ends.values(), default=math.inf)

    def _expire(self, key: bytes) -> None:
        if self._ends.get(key, math.inf) <= time.monotonic():
            del self._values[key], self._ends[key]


def integer(word: bytes, refusal: str = "ERR value is not an integer or out of range") -> int:
    """Return the number that a word is; refuse with a text if it is none."""
    if not _INTEGER.fullmatch(word) or abs(int(word)) > _LARGEST:
        raise RefusedError(refusal)
    return int(word)
