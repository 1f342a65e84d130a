"""How requests reach the databases that carry them out: decisions only, no sockets.

What is to be done is yielded, and what came of it is sent back; so callers that wait and those of asyncio share this.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Container, Generator, Iterable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple, TypeAlias, TypeVar

import redis

from smartsim.adapters.tensors.delivery import FAILURES, LOST, Batch, Delivery, Outcome, reason
from smartsim.adapters.tensors.topology import (
    CLUSTER_SLOTS,
    Topology,
    UnreadableTopologyError,
    parse_cluster_slots,
)
from smartsim.adapters.tensors.wire import GarbledReplyError
from smartsim.domain.addresses import Address, format_addresses
from smartsim.domain.client_config import ClientConfig, RetryPolicy
from smartsim.domain.client_errors import RedisConnectionError, RedisRuntimeError, refusal
from smartsim.ports.tensor_store import Reply, Request

_T = TypeVar("_T")

_REDIRECTIONS: Final = 5
"""After more of them in a row, the nodes of a cluster do not agree with one another yet: that takes a pause."""


class Pause(NamedTuple):
    """Nothing is to be done for some time."""

    seconds: float


Routing: TypeAlias = "Generator[list[Batch] | Pause, Sequence[Outcome], _T]"
"""What yields batches to be carried out at once, and is sent the outcome of each; or a pause, and is sent nothing."""


class Router:
    """Finds the databases that carry out requests.

    Args:
        addresses: of the database; of some of its nodes if it is a cluster.
        config: how patient to be.
        cluster: whether it is one.
        clock: tells seconds.

    Attributes:
        topology: where keys are, as far as is known, once `connect` has come to its end.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        config: ClientConfig,
        *,
        cluster: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.topology = Topology.standalone(addresses[0])
        self._seeds = random.sample(addresses, len(addresses)) if cluster else addresses[:1]
        self._config = config
        self._cluster = cluster
        self._clock = clock

    def connect(self) -> Routing[None]:
        """Make the first connection, and learn the topology.

        Raises:
            RedisConnectionError: there is no such database, or not in time.
        """
        attempts = _Attempts(self._config.connecting, self._clock)
        failure: Exception = ConnectionError("no address")
        while True:
            for address in self._seeds:
                (outcome,) = yield [Batch(address, (CLUSTER_SLOTS,) if self._cluster else ())]
                try:
                    self._learn(outcome, address)
                except (*LOST, UnreadableTopologyError) as error:
                    failure = error
                except (GarbledReplyError, redis.ResponseError, RedisRuntimeError) as error:
                    raise RedisConnectionError(_objection(error), str(address)) from error
                else:
                    return
            if not attempts.another():
                raise RedisConnectionError(
                    f"{reason(failure)} (attempts: {attempts.made}); "
                    "check that the database runs, and that SSDB says where",
                    format_addresses(self._seeds),
                ) from failure
            yield Pause(self._config.connecting.interval)

    def route(self, requests: Sequence[Request]) -> Routing[list[Reply]]:
        """Have requests carried out, and return their replies in their order.

        A request that a cluster sends elsewhere, or refuses for the time being, is sent again when others of the same
        round have been carried out.

        Raises:
            RedisDatabaseError: a database does not answer.
            RedisInternalError: what it answers makes no sense.
            RedisBadAllocError: there is no memory for what it answers.
        """
        policy = self._config.commands
        attempts = _Attempts(policy, self._clock)
        delivery = Delivery(requests, follows=self._cluster)
        rounds = 0
        while delivery.open:
            delivery.receive((yield delivery.batches(self.topology)))
            if delivery.stale and self._cluster:
                yield from self._refresh(delivery.hints, delivery.lost)
            rounds += 1
            if rounds == 1 and delivery.broke_off and policy.attempts > 1:
                # A connection that was kept may be dead since the database was started anew: that is no reason to
                # wait before the first that is fresh.
                attempts.made += 1
            elif delivery.waits or (delivery.open and rounds > _REDIRECTIONS):
                if not attempts.another():
                    delivery.give_up(attempts.made)
                    break
                yield Pause(policy.interval)
        return delivery.replies

    def _learn(self, outcome: Outcome, asked: Address) -> None:
        """Take what a node answered to `CLUSTER_SLOTS` for the topology, or raise what came of that."""
        answer = outcome if isinstance(outcome, Exception) else next(iter(outcome), None)
        if isinstance(answer, Exception):
            raise answer
        if self._cluster:
            self.topology = parse_cluster_slots(answer, asked)

    def _refresh(self, hints: Iterable[Address], lost: Container[Address]) -> Routing[None]:
        """Learn the topology anew, from any node that tells it; those that are lost are asked last."""
        known = self.topology.nodes()
        nodes = dict.fromkeys((*hints, *random.sample(known, len(known)), *self._seeds))
        for address in sorted(nodes, key=lambda address: address in lost):
            (outcome,) = yield [Batch(address, (CLUSTER_SLOTS,))]
            with suppress(*FAILURES, RedisRuntimeError, UnreadableTopologyError):
                self._learn(outcome, address)
                return


class _Attempts:
    """How often something was tried, and whether it may be tried once more."""

    def __init__(self, policy: RetryPolicy, clock: Callable[[], float]) -> None:
        self.made = 1
        self._left = policy.attempts - 1
        self._timeout = policy.timeout
        self._clock = clock
        self._failed: float | None = None

    def another(self) -> bool:
        """Return whether there is another attempt after one that failed, and count it."""
        now = self._clock()
        self._failed = now if self._failed is None else self._failed
        if not self._left or now - self._failed > self._timeout:
            return False
        self._left -= 1
        self.made += 1
        return True


def _objection(error: Exception) -> str:
    """Return why what listens somewhere is not a database for this client."""
    if isinstance(error, GarbledReplyError):
        return f"What listens there is not a database: it answered {error}"
    return error.cause if isinstance(error, RedisRuntimeError) else refusal(str(error), key="").cause
