"""Whatever happens to a cluster: nothing that changes something is carried out twice, and no reply is another's."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from smartsim.adapters.tensors.delivery import Batch, Outcome
from smartsim.adapters.tensors.exchange import LostConnectionError
from smartsim.adapters.tensors.routing import Pause, Router, Routing
from smartsim.adapters.tensors.topology import CLUSTER_SLOTS
from smartsim.domain.addresses import Address
from smartsim.domain.client_config import ClientConfig, RetryPolicy
from smartsim.domain.client_errors import RedisConnectionError, RedisDatabaseError, RedisRuntimeError, refusal
from smartsim.ports.tensor_store import Command, Reply, Request, Transaction

NODES = [Address.tcp("node", number) for number in (1, 2, 3)]
POLICY = RetryPolicy(timeout=5, interval=1)
CONFIG = ClientConfig(connecting=POLICY, commands=POLICY, socket_timeout=60)
KEYS = [b"a", b"b", b"c"]  # one on each of the nodes
REFUSALS = [
    "MOVED 1 node:1",
    "MOVED 1 node:2",
    "ASK 1 node:3",
    "TRYAGAIN",
    "CLUSTERDOWN",
    "LOADING",
    "ERR no",
    "READONLY",
    "MOVED 1 [::1]:7",
    "MOVED",
]


def table() -> list[Any]:
    slots = [(0, 5460), (5461, 10922), (10923, 16383)]
    return [[*pair, [b"node", node.port, b"id"]] for pair, node in zip(slots, NODES, strict=True)]


class Storm:
    """A cluster to which everything happens that can happen.

    Attributes:
        carried_out: how often each request was.
        rounds: how often anything was asked.
    """

    def __init__(self, data: st.DataObject) -> None:
        self.carried_out: Counter[bytes] = Counter()
        self.rounds = 0
        self._draw = data.draw

    def drive(self, routing: Routing[Any]) -> Any:
        try:
            wanted = next(routing)
            while True:
                self.rounds += 1
                outcomes = [] if isinstance(wanted, Pause) else [self._outcome(batch) for batch in wanted]
                wanted = routing.send(outcomes)
        except StopIteration as end:
            return end.value

    def _outcome(self, batch: Batch) -> Outcome:
        event = self._draw(st.sampled_from(["answer"] * 4 + ["refuse", "lose", "no connection"]))
        if event == "no connection":
            return ConnectionRefusedError("nobody listens")
        if event != "lose":
            return [self._reply(request, refuses=event == "refuse") for request in batch.requests]
        # So many were sent, no more than these carried out, no more of those answered.
        sent = self._draw(st.integers(0, len(batch.requests)))
        carried_out = self._draw(st.integers(0, sent))
        answered = self._draw(st.integers(0, carried_out))
        replies = [self._reply(request, refuses=False) for request in batch.requests[:carried_out]]
        return LostConnectionError("cut", replies[:answered], sent)

    def _reply(self, request: Request, *, refuses: bool) -> Reply:
        if request == CLUSTER_SLOTS:
            return table()
        if refuses and self._draw(st.booleans()):
            return refusal(self._draw(st.sampled_from(REFUSALS)), "")
        command = request if isinstance(request, Command) else request.commands[-1]
        name = bytes(command.words[-1])
        self.carried_out[name] += 1
        return name if isinstance(request, Command) else [b"OK", name]


def request_named(number: int, key: bytes, kind: str) -> Request:
    name = b"%d" % number
    changing = Command((b"DO", name), key)
    if kind == "transaction":
        return Transaction((Command((b"GET", b"x"), key, changes=False), changing))
    return changing if kind == "change" else Command((b"GET", name), key, changes=False)


KINDS = st.lists(
    st.tuples(st.sampled_from(KEYS), st.sampled_from(["read", "change", "transaction"])), min_size=1, max_size=6
)


@given(kinds=KINDS, cluster=st.booleans(), data=st.data())
def test_nothing_is_carried_out_twice(kinds: list[tuple[bytes, str]], cluster: bool, data: st.DataObject) -> None:
    storm = Storm(data)
    router = Router(NODES, CONFIG, cluster=cluster, clock=lambda: 0.0)
    requests = [request_named(number, *kind) for number, kind in enumerate(kinds)]
    try:
        storm.drive(router.connect())
        replies = storm.drive(router.route(requests))
    except (RedisConnectionError, RedisDatabaseError):
        replies = None
    assert storm.rounds < 100
    for number, (_, kind) in enumerate(kinds):
        name = b"%d" % number
        assert kind == "read" or storm.carried_out[name] <= 1
        if replies is not None:
            reply = replies[number]
            if isinstance(reply, RedisRuntimeError):
                assert kind == "read" or not storm.carried_out[name]
            else:
                assert reply == ([b"OK", name] if kind == "transaction" else name)
                assert storm.carried_out[name]
