"""What a client does to consume a stream."""

from __future__ import annotations

import math
import os
import platform
import time
import uuid
from typing import Final

from smartsim.app.client.calls import Call, check, integer, several
from smartsim.app.client.dataset import Dataset
from smartsim.app.client.dataset_storage import read
from smartsim.app.client.streams import (
    Entry,
    add_group,
    command,
    delivered,
    end_key,
    entries_of,
    groups_of,
    parse_name,
    parse_seconds,
    parse_timeout,
    remove_finished,
    twice,
)
from smartsim.app.client.waiting import SLICE, wait
from smartsim.domain.client_errors import RedisDatabaseError, RedisKeyError, RedisTimeoutError
from smartsim.domain.metadata import decode_text
from smartsim.ports.tensor_store import Command, Transaction

_LAST_PAUSE: Final = 1.0
"""For how many seconds at most to wait for the last datasets of other consumers, before looking after them again."""


class Consumption:
    """One consumer of a group: what it has in hand, and what it asks for next.

    Args:
        key: of the stream.
        group: the group that shares the datasets.
        consumer: its name in the group, or None for a new one; what was delivered under this name, and not
            acknowledged, comes first.
        timeout: how many seconds `get` waits for a dataset; None for as long as it takes.
        reclaim_after: after how many seconds without acknowledgement a dataset of another consumer is taken over.
    """

    def __init__(
        self, key: bytes, group: str, consumer: str | None, timeout: float | None, reclaim_after: float
    ) -> None:
        own_name = f"{platform.node()}-{os.getpid()}-{uuid.uuid4().hex[:8]}" if consumer is None else consumer
        self._key = key
        self._group = parse_name(group, "group")
        self._consumer = parse_name(own_name, "consumer")
        self._timeout = timeout
        self._patience = parse_timeout(timeout)
        self._reclaim_after = parse_seconds(reclaim_after, "reclaim_after")
        if not self._reclaim_after:
            raise ValueError("Argument reclaim_after is 0: give it more seconds than the work on a dataset takes")
        self._in_hand: Entry | None = None
        self._joined = False
        self._over = False  # whether all datasets of the stream have been delivered to somebody
        # Whether something may have been delivered that this consumer does not know of: the answer was lost, or it is
        # an older one of the same name that died.
        self._may_have_more = True
        self._may_still_get = False  # whether the server may be delivering to a connection that is no more

    def join(self) -> Call[None]:
        """Join the group, which is made when it is not there."""
        if not self._joined:
            yield from add_group(self._key, self._group)
            self._joined = True

    def get(self) -> Call[Dataset | None]:
        """Return the next dataset, after the one before has been acknowledged; None when the stream has ended."""
        deadline = time.monotonic() + self._patience
        yield from self.acknowledge()
        yield from self.join()
        while entry := (yield from self._next(deadline)):
            if entry.stem:
                more, self._may_have_more = self._may_have_more, True  # should reading it fail
                try:
                    (content,) = yield from read([entry.stem])
                except RedisKeyError:
                    pass  # the group is late: others had finished with it
                else:
                    self._in_hand, self._may_have_more = entry, more
                    return Dataset.received(decode_text(entry.name), content)
            yield from self._finish(entry)
        yield from self.leave()
        self._over = False
        return None

    def acknowledge(self) -> Call[None]:
        """Say that the work on the last dataset is done: it will not be delivered again."""
        if self._in_hand:
            yield from self._finish(self._in_hand)
            self._in_hand = None

    def leave(self) -> Call[None]:
        """Leave the group, which must not have anything that this consumer did not acknowledge."""
        if self._joined and not (self._may_have_more or self._may_still_get or self._in_hand):
            check(
                (yield from twice([self._command(b"XGROUP", b"DELCONSUMER", self._key, self._group, self._consumer)]))
            )
            self._joined = False

    def _next(self, deadline: float) -> Call[Entry | None]:
        """Return the next entry: one that was delivered before, one that another consumer left, or a new one."""
        lost = False
        while True:
            if self._may_have_more:
                (reply,) = yield [self._command(*self._read(), b"0", changes=False)]
                if entries := delivered(reply):
                    return entries[0]
            self._may_have_more = True
            before, self._may_still_get = self._may_still_get, True  # should this be interrupted
            try:
                entry, ended = yield from self._ask(deadline)
            except RedisDatabaseError:
                if lost:
                    raise
                lost = True
                continue
            self._may_have_more, self._may_still_get = False, before
            if entry:
                return entry
            if ended and (yield from self._is_last(deadline)):
                return None
            if time.monotonic() >= deadline:
                name = decode_text(self._key)
                raise RedisTimeoutError(f"No dataset came through the stream {name!r} in {self._timeout} s", key=name)

    def _ask(self, deadline: float) -> Call[tuple[Entry | None, bool]]:
        """Wait for an entry, but not for long; return also whether the stream had ended before."""
        idle = b"%d" % math.ceil(self._reclaim_after * 1000)
        words = (b"XAUTOCLAIM", self._key, self._group, self._consumer, idle, b"0", b"COUNT", b"1")
        claimed, ended = yield [self._command(*words), self._command(b"EXISTS", end_key(self._key), changes=False)]
        if entries := entries_of(several(claimed)[1]):
            return entries[0], False
        if self._over:  # what is left are entries that wake others
            return None, True
        seconds = 0.0 if integer(ended) else self._pause(deadline)
        block = (b"BLOCK", b"%d" % math.ceil(seconds * 1000)) if seconds else ()  # BLOCK 0 would wait for ever
        (reply,) = yield [self._command(*self._read(*block), b">")._replace(patience=seconds)]
        entry = next(iter(delivered(reply)), None)
        self._over = entry is not None and not entry.stem
        return entry, bool(integer(ended))

    def _is_last(self, deadline: float) -> Call[bool]:
        """Return whether nothing more can come from a stream that has ended; wait a little otherwise.

        What another consumer of the group works on comes again, should that one die.
        """
        key = self._key
        information = self._command(b"XINFO", b"GROUPS", key, changes=False)
        reply, length = yield [information, self._command(b"XLEN", key, changes=False)]
        left = integer(length)
        if not left or not any(group.pending for group in groups_of(reply) if group.name == self._group):
            return True
        seconds = min(self._pause(deadline), _LAST_PAUSE)
        yield from wait(key, (b"LENGTH", b"LE", b"%d" % (left - 1)), seconds)
        return False

    def _finish(self, entry: Entry) -> Call[None]:
        """Acknowledge an entry, and remove what all groups have acknowledged."""
        key = self._key
        acknowledge = self._command(b"XACK", key, self._group, entry.number)
        (reply,) = yield from twice([Transaction((acknowledge, self._command(b"XINFO", b"GROUPS", key)))])
        yield from remove_finished(key, groups_of(several(reply)[1]))

    def _pause(self, deadline: float) -> float:
        return max(0.0, min(deadline - time.monotonic(), SLICE, self._reclaim_after))

    def _read(self, *options: bytes) -> tuple[bytes, ...]:
        who = (b"GROUP", self._group, self._consumer)
        return (b"XREADGROUP", *who, b"COUNT", b"1", *options, b"STREAMS", self._key)

    def _command(self, *words: bytes, changes: bool = True) -> Command:
        return command(self._key, *words, changes=changes)
