"""What a client does to wait until a key is there, or as long as it should be: the server wakes it.

Keys are final: prefixes are there already. All return whether it came to that, within
``poll_frequency_ms * num_tries`` ms.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Final

from smartsim.app.client.calls import SHARDS, Call, integer
from smartsim.app.client.programs import key_on
from smartsim.app.client.tensors import key_bytes
from smartsim.domain.client_errors import check_type
from smartsim.ports.tensor_store import Command, Shard

SLICE: Final = 5.0
"""For how many seconds at most the server is asked to wait at a time: so a server that is gone is noticed in time."""


def poll_key(key: str, poll_frequency_ms: int, num_tries: int) -> Call[bool]:
    """Wait until there is something under a key."""
    return _poll(key_bytes(key), (b"EXISTS",), poll_frequency_ms, num_tries)


def poll_model(key: str, poll_frequency_ms: int, num_tries: int) -> Call[bool]:
    """Wait until there is a model; in a cluster, where every shard has it, on the first."""
    seconds = _seconds(poll_frequency_ms, num_tries)
    if seconds is None:
        return False
    shards: Sequence[Shard] = yield SHARDS
    return (yield from wait(key_on(shards[0], key), (b"EXISTS",), seconds))


def poll_dataset(stem: str, poll_frequency_ms: int, num_tries: int) -> Call[bool]:
    """Wait until there is a complete dataset."""
    return _poll(key_bytes(f"{stem}.meta"), (b"FIELD", b".COMPLETE"), poll_frequency_ms, num_tries)


def poll_list_length(key: str, list_length: int, poll_frequency_ms: int, num_tries: int) -> Call[bool]:
    """Wait until a list has so many entries."""
    return _poll_length(key, b"EQ", list_length, poll_frequency_ms, num_tries)


def poll_list_length_gte(key: str, list_length: int, poll_frequency_ms: int, num_tries: int) -> Call[bool]:
    """Wait until a list has so many entries or more."""
    return _poll_length(key, b"GE", list_length, poll_frequency_ms, num_tries)


def poll_list_length_lte(key: str, list_length: int, poll_frequency_ms: int, num_tries: int) -> Call[bool]:
    """Wait until a list has so many entries or fewer."""
    return _poll_length(key, b"LE", list_length, poll_frequency_ms, num_tries)


def wait(key: bytes, condition: tuple[bytes, ...], seconds: float) -> Call[bool]:
    """Wait until a condition holds for a key; look at it once at least.

    Args:
        key: the key.
        condition: ``EXISTS``, ``FIELD name`` or ``LENGTH EQ|GE|LE number`` (of a list or a stream), word by word.
        seconds: the longest wait; infinity for any.
    """
    deadline = time.monotonic() + seconds
    while True:
        left = min(max(0.0, deadline - time.monotonic()), SLICE)
        kind, *details = condition
        words = (b"AI._WAIT", b"%d" % math.ceil(left * 1000), kind, key, *details)
        (reply,) = yield [Command(words, key=key, changes=False, patience=left)]
        if integer(reply):
            return True
        if time.monotonic() >= deadline:
            return False


def _poll_length(key: str, comparison: bytes, list_length: int, poll_frequency_ms: int, num_tries: int) -> Call[bool]:
    _check_not_negative(list_length, "list_length")
    condition = (b"LENGTH", comparison, b"%d" % list_length)
    return (yield from _poll(key_bytes(key), condition, poll_frequency_ms, num_tries))


def _poll(key: bytes, condition: tuple[bytes, ...], poll_frequency_ms: int, num_tries: int) -> Call[bool]:
    seconds = _seconds(poll_frequency_ms, num_tries)
    return seconds is not None and (yield from wait(key, condition, seconds))


def _seconds(poll_frequency_ms: int, num_tries: int) -> float | None:
    """Return how long to wait; None for not even looking once."""
    _check_not_negative(poll_frequency_ms, "poll_frequency_ms")
    _check_not_negative(num_tries, "num_tries")
    return poll_frequency_ms * num_tries / 1000 if num_tries else None


def _check_not_negative(number: int, argument: str) -> None:
    check_type(number, argument, int)
    if number < 0:
        raise ValueError(f"Argument {argument} is {number}: it cannot be negative")
