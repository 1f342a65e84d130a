"""Requests on their way to the databases that carry them out: what is sent again, and where to. Pure.

Nothing that changes anything is sent again, unless it surely did not arrive or was refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import redis

from smartsim.adapters.tensors.exchange import LostConnectionError
from smartsim.adapters.tensors.topology import Topology, UnreadableTopologyError, parse_node
from smartsim.adapters.tensors.wire import GarbledReplyError
from smartsim.domain.addresses import Address
from smartsim.domain.client_errors import (
    RedisBadAllocError,
    RedisDatabaseError,
    RedisInternalError,
    RedisReplyError,
    RedisRuntimeError,
    refusal,
)
from smartsim.ports.tensor_store import Command, Reply, Request

LOST: Final = (OSError, redis.ConnectionError, redis.TimeoutError)
"""No connection, or no longer. Unless it is a `LostConnectionError` that says so, nothing had been sent."""

FAILURES: Final = (*LOST, redis.ResponseError, GarbledReplyError, MemoryError)
"""What may come of a batch instead of its replies."""

Outcome: TypeAlias = "list[Reply] | Exception"
"""What came of a batch: its replies, or one of `FAILURES`, or an error for the client."""

_ASKING: Final = Command((b"ASKING",), changes=False)
_NOWHERE: Final = -1
"""The position of `_ASKING`, which nobody has asked for."""


class Batch(NamedTuple):
    """Requests for one database, to be carried out in their order; if there are none, a connection is to be made."""

    address: Address
    requests: Sequence[Request] = ()


@dataclass(slots=True)
class _Open:
    """A request that has no final reply yet.

    Attributes:
        position: among all.
        request: what is to be carried out.
        target: where a node sent it; None where the topology says.
        asking: whether that is only for this once.
    """

    position: int
    request: Request
    target: Address | None = None
    asking: bool = False


class Delivery:
    """Some requests, and what is known of them after each round.

    Attributes:
        replies: to each request, the last there was.
        open: the requests to be sent in the next round.
        waits: whether there is reason to wait before it.
        stale: whether the topology may not be what it was.
        hints: nodes that should know what it is now.
        lost: nodes that did not answer, with what failed and a request that it had been sent.

    Args:
        requests: what is to be carried out.
        follows: whether to go where the nodes of a cluster say.
    """

    def __init__(self, requests: Sequence[Request], *, follows: bool) -> None:
        self.replies: list[Reply] = [None] * len(requests)
        self.open = [_Open(position, request) for position, request in enumerate(requests)]
        self._follows = follows

    def batches(self, topology: Topology) -> list[Batch]:
        """Return what is to be sent now, one batch for each database."""
        self._sent: dict[Address, list[_Open]] = {}
        for each in sorted(self.open, key=lambda each: each.position):
            sent = self._sent.setdefault(each.target or topology.address_of(each.request), [])
            sent += [_Open(_NOWHERE, _ASKING), each] if each.asking else [each]
        return [Batch(address, [each.request for each in sent]) for address, sent in self._sent.items()]

    def receive(self, outcomes: Sequence[Outcome]) -> None:
        """Learn what came of the batches.

        Raises:
            RedisReplyError: some replies are missing, and to send those requests again could do harm, or is no use.
        """
        self.open = []
        self.waits = self.stale = False
        self.hints: list[Address] = []
        self.lost: dict[Address, tuple[Exception, Request]] = {}
        for (address, sent), outcome in zip(self._sent.items(), outcomes, strict=True):
            if isinstance(outcome, LostConnectionError):
                settled = len(outcome.replies)
                self._settle_all(address, sent[:settled], outcome.replies)
                _check_harmless(address, sent[settled : outcome.handed_over], outcome)
                if sent[settled:]:
                    self._lose(address, sent[settled:], outcome)
            elif isinstance(outcome, Exception):
                _check_of_use(address, sent[0].request, outcome)
                self._lose(address, sent, outcome)
            else:
                self._settle_all(address, sent, outcome)

    @property
    def broke_off(self) -> bool:
        """Whether a connection that had been made was lost."""
        return any(isinstance(failure, LostConnectionError) for failure, _ in self.lost.values())

    def give_up(self, attempts: int) -> None:
        """Make do with the refusals that there are.

        Raises:
            RedisDatabaseError: to some request there is no reply at all.
        """
        for address, (failure, request) in self.lost.items():
            raise RedisDatabaseError(
                f"No answer{_about(request)} from {address}: {reason(failure)} (attempts: {attempts}); "
                "check that the database still runs",
                key=_key(request),
            ) from failure

    def _lose(self, address: Address, sent: Sequence[_Open], failure: Exception) -> None:
        self.waits = self.stale = True
        self.lost[address] = failure, sent[0].request
        self.open += [_Open(each.position, each.request) for each in sent if each.position != _NOWHERE]

    def _settle_all(self, address: Address, sent: Sequence[_Open], replies: Sequence[Reply]) -> None:
        for each, reply in zip(sent, replies, strict=True):
            if each.position != _NOWHERE:
                self._settle(address, each, reply)

    def _settle(self, address: Address, sent: _Open, reply: Reply) -> None:
        """Take a reply for final, or have the request sent again."""
        self.replies[sent.position] = reply
        match reply.reply.split() if isinstance(reply, RedisRuntimeError) else ():
            case ["MOVED" | "ASK" as code, _, node] if self._follows:
                with suppress(UnreadableTopologyError):
                    self._redirect(sent, parse_node(node, address), asking=code == "ASK")
            case ["READONLY", *_] if self._follows:  # said of what has no key, by a node that has become a copy
                self.waits = self.stale = True
                if not _has_its_place(sent.request):
                    self.open.append(_Open(sent.position, sent.request))
            case ["NOTLOCAL", *_]:
                self.stale = True
            case ["TRYAGAIN" | "CLUSTERDOWN" | "LOADING" | "MASTERDOWN" as code, *_]:
                # A slot is on its way, a shard is being replaced, data are being read: that ends by itself.
                self.waits = True
                self.stale = self.stale or code == "CLUSTERDOWN"
                self.open.append(_Open(sent.position, sent.request))

    def _redirect(self, sent: _Open, target: Address, *, asking: bool) -> None:
        if not asking:
            self.stale = True
            self.hints.append(target)
        if not _has_its_place(sent.request):
            self.open.append(_Open(sent.position, sent.request, target, asking))


def _has_its_place(request: Request) -> bool:
    return any(command.shard is not None for command in _commands(request))


def _commands(request: Request) -> Sequence[Command]:
    return (request,) if isinstance(request, Command) else request.commands


def _check_harmless(address: Address, unanswered: Sequence[_Open], failure: Exception) -> None:
    """Raise an error if there is any among some requests that may have been carried out which changes something."""
    for each in unanswered:
        for command in _commands(each.request):
            if command.changes:
                name = bytes(command.words[0]).decode(errors="backslashreplace")
                raise RedisDatabaseError(
                    f"The connection to {address} was lost before the answer{_about(each.request)}: {failure}; "
                    f"{name} may have been carried out or not: look, before you repeat it",
                    key=_key(each.request),
                ) from failure


def _check_of_use(address: Address, request: Request, failure: Exception) -> None:
    """Raise the error of the client for a failure, unless it is that there is no connection."""
    key, about = _key(request), _about(request)
    if isinstance(failure, RedisReplyError):
        raise failure
    if isinstance(failure, MemoryError):
        raise RedisBadAllocError(f"There is no memory for the answer{about}: {failure}", key=key) from failure
    if isinstance(failure, GarbledReplyError):
        raise RedisInternalError(f"{address} answered{about} what makes no sense: {failure}", key=key) from failure
    if not isinstance(failure, LOST):
        raise refusal(str(failure), key) from failure  # by a database that does not want this client


def patience(requests: Sequence[Request]) -> float:
    """Return how many seconds longer than others the replies to some requests may take."""
    longer = 0.0
    for request in requests:  # in a sum of what a generator yields, this takes four times as long
        if isinstance(request, Command):
            longer += request.patience
        else:
            for command in request.commands:
                longer += command.patience
    return longer


def reason(failure: Exception) -> str:
    """Return why there is no connection."""
    return str(failure) or "it did not answer in time"


def _key(request: Request) -> str:
    """Return the key that messages name."""
    key = next((command.key for command in _commands(request) if command.key is not None), b"")
    return key.decode(errors="backslashreplace")


def _about(request: Request) -> str:
    return f" for the key {key!r}" if (key := _key(request)) else ""
