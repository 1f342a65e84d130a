"""The decisions of the stores, with no database and no clock: what is sent where, how often, after which pauses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from smartsim.adapters.tensors.delivery import Batch, Outcome
from smartsim.adapters.tensors.exchange import LostConnectionError
from smartsim.adapters.tensors.routing import Pause, Router, Routing
from smartsim.adapters.tensors.topology import CLUSTER_SLOTS
from smartsim.adapters.tensors.wire import GarbledReplyError
from smartsim.domain.addresses import Address
from smartsim.domain.client_config import ClientConfig, RetryPolicy
from smartsim.domain.client_errors import (
    RedisBadAllocError,
    RedisDatabaseError,
    RedisInternalError,
    RedisRuntimeError,
    refusal,
)
from smartsim.ports.tensor_store import Command, Request, Transaction

POLICY = RetryPolicy(timeout=3, interval=1)  # four attempts
CONFIG = ClientConfig(connecting=POLICY, commands=POLICY, socket_timeout=60)
NODES = [Address.tcp("node", number) for number in (1, 2, 3)]
OTHER = Address.tcp("node", 4)
SLOTS = [(0, 5460), (5461, 10922), (10923, 16383)]
KEYS = [b"b", b"c", b"a"]  # one on each of the nodes
READS = [Command((b"GET", key), key, changes=False) for key in KEYS]
CHANGES = [Command((b"INCR", key), key) for key in KEYS]
ASKING = Command((b"ASKING",), changes=False)
REFUSED = ConnectionRefusedError("nobody listens")


def table(*owners: Address) -> list[Any]:
    """Return what CLUSTER SLOTS answers."""
    return [
        [*slots, [node.host.encode(), node.port, b"id"]] for slots, node in zip(SLOTS, owners or NODES, strict=True)
    ]


def error(text: str) -> RedisRuntimeError:
    return refusal(text, "")


@dataclass
class Network:
    """Gives prepared outcomes to batches, one after the other, and then always the last; time passes in pauses alone.

    Attributes:
        outcomes: for each node.
        topology: what any node answers to CLUSTER SLOTS.
        log: the batches, but for those with CLUSTER SLOTS: of these only the node.
        pauses: how many there were.
    """

    outcomes: dict[Address, list[Any]] = field(default_factory=dict)
    topology: list[Any] = field(default_factory=lambda: [table()])
    log: list[Batch | Address] = field(default_factory=list)
    pauses: int = 0

    def now(self) -> float:
        return self.pauses * POLICY.interval

    def drive(self, routing: Routing[Any]) -> Any:
        try:
            wanted = next(routing)
            while True:
                if isinstance(wanted, Pause):
                    assert wanted.seconds == POLICY.interval
                    self.pauses += 1
                    wanted = routing.send([])
                else:
                    wanted = routing.send([self._outcome(batch) for batch in wanted])
        except StopIteration as end:
            return end.value

    def _outcome(self, batch: Batch) -> Outcome:
        prepared: list[Outcome] = self.outcomes.get(batch.address, [])
        if tuple(batch.requests) == (CLUSTER_SLOTS,):
            self.log.append(batch.address)
            return prepared[0] if prepared and isinstance(prepared[0], OSError) else self.topology
        self.log.append(Batch(batch.address, tuple(batch.requests)))
        if not prepared:
            return [b"%d" % batch.address.port] * len(batch.requests)
        return prepared.pop(0) if len(prepared) > 1 else prepared[0]

    def router(self, *, cluster: bool = True) -> Router:
        """Return a router that has connected."""
        router = Router(NODES[:1], CONFIG, cluster=cluster, clock=self.now)
        Network(topology=[table()] if cluster else []).drive(router.connect())
        return router

    def sent(self) -> list[tuple[Address, tuple[Request, ...]]]:
        """Return the batches, without those for the topology."""
        return [(entry.address, tuple(entry.requests)) for entry in self.log if isinstance(entry, Batch)]


def test_replies_are_in_the_order_of_the_requests() -> None:
    network = Network()
    requests: list[Request] = [
        READS[2],
        CHANGES[0],
        READS[1],
        READS[0],
        Transaction((CHANGES[2],)),
        Command((b"PING",), shard=OTHER),
    ]
    assert network.drive(network.router().route(requests)) == [b"3", b"1", b"2", b"1", b"3", b"4"]
    assert network.sent() == [
        (NODES[2], (requests[0], requests[4])),
        (NODES[0], (requests[1], requests[3])),
        (NODES[1], (requests[2],)),
        (OTHER, (requests[5],)),
    ]


def test_nothing_is_sent_for_no_requests() -> None:
    network = Network()
    assert network.drive(network.router().route([])) == []
    assert not network.log


def test_what_has_moved_is_sent_there_at_once_and_the_new_owner_is_asked_for_the_topology() -> None:
    network = Network(
        {NODES[0]: [[error("MOVED 3300 node:4"), error("MOVED 3300 node:4")]]}, [table(OTHER, *NODES[1:])]
    )
    router = network.router()
    assert network.drive(router.route([CHANGES[0], READS[1], READS[0]])) == [b"4", b"2", b"4"]
    assert network.log[2:] == [OTHER, Batch(OTHER, (CHANGES[0], READS[0]))]
    assert router.topology.shards[0].address == OTHER
    assert network.pauses == 0


def test_a_node_that_names_no_host_means_its_own() -> None:
    network = Network({NODES[0]: [[error("MOVED 3300 :4")]]})
    assert network.drive(network.router().route(READS[:1])) == [b"4"]


@pytest.mark.parametrize("request_", [CHANGES[0], Transaction((CHANGES[0], READS[0]))])
def test_what_is_on_its_way_is_asked_for_this_once(request_: Request) -> None:
    network = Network({NODES[0]: [[error("ASK 3300 node:2")]], NODES[1]: [[b"OK", 7]]})
    assert network.drive(network.router().route([request_])) == [7]
    assert network.log == [Batch(NODES[0], (request_,)), Batch(NODES[1], (ASKING, request_))]


def test_asking_does_not_disturb_the_others() -> None:
    network = Network({NODES[0]: [[error("ASK 3300 node:2"), error("MOVED 3300 node:2")]], NODES[1]: [[b"OK", 1, 2]]})
    assert network.drive(network.router().route([CHANGES[0], READS[0]])) == [1, 2]
    assert network.sent()[-1] == (NODES[1], (ASKING, CHANGES[0], READS[0]))


@pytest.mark.parametrize("code", ["TRYAGAIN", "CLUSTERDOWN", "LOADING", "MASTERDOWN"])
def test_what_is_refused_for_the_time_being_is_sent_again_after_pauses(code: str) -> None:
    network = Network({NODES[0]: [[error(f"{code} not now")]] * 3 + [[5]]})
    assert network.drive(network.router().route(CHANGES[:1])) == [5]
    assert network.pauses == 3


def test_a_refusal_for_the_time_being_that_stays_is_the_reply() -> None:
    network = Network({NODES[0]: [[error("TRYAGAIN not now")]]})
    reply, other = network.drive(network.router().route(CHANGES[:2]))
    assert reply.reply == "TRYAGAIN not now"
    assert other == b"2"
    assert network.pauses == 3
    assert len(network.sent()) == 5  # four attempts, and the other shard's only one


def test_shards_that_send_a_request_to_one_another_get_time_to_agree() -> None:
    network = Network({NODES[0]: [[error("MOVED 3300 node:2")]], NODES[1]: [[error("MOVED 3300 node:1")]]})
    (reply,) = network.drive(network.router().route(CHANGES[:1]))
    assert reply.reply.startswith("MOVED")
    assert network.pauses == 3
    assert len(network.sent()) < 12


@pytest.mark.parametrize("code", ["MOVED 3300 node:2", "ASK 3300 node:2", "READONLY a copy", "NOTLOCAL elsewhere"])
def test_what_has_its_place_is_sent_nowhere_else_but_the_topology_is_learnt(code: str) -> None:
    network = Network({NODES[0]: [[error(code)]]}, [table(OTHER, *NODES[1:])])
    router = network.router()
    (reply,) = network.drive(router.route([Command((b"FLUSHDB",), shard=NODES[0])]))
    assert reply.reply == code
    assert len(network.sent()) == 1
    assert (router.topology.shards[0].address == OTHER) == (not code.startswith("ASK"))


def test_what_may_be_anywhere_leaves_a_copy() -> None:
    network = Network({NODES[0]: [[error("READONLY a copy")]]}, [table(OTHER, *NODES[1:])])
    assert network.drive(network.router().route([Command((b"PUBLISH", b"c", b"m"))])) == [b"4"]


@pytest.mark.parametrize("code", ["MOVED 3300 node:2", "ASK 3300 node:2", "READONLY a copy", "NOTLOCAL elsewhere"])
def test_a_standalone_database_is_not_left(code: str) -> None:
    network = Network({NODES[0]: [[error(code)]]})
    (reply,) = network.drive(network.router(cluster=False).route(CHANGES[:1]))
    assert reply.reply == code
    assert len(network.log) == 1


def test_a_node_that_does_not_answer_is_left_when_others_know_another() -> None:
    network = Network({NODES[0]: [REFUSED]}, [table(OTHER, *NODES[1:])])
    router = network.router()
    assert network.drive(router.route(CHANGES)) == [b"4", b"2", b"3"]
    assert NODES[0] not in network.log  # nobody asks it for the topology
    assert network.pauses == 1


def test_nodes_that_do_not_answer_are_asked_last() -> None:
    network = Network({node: [REFUSED] for node in NODES})
    with pytest.raises(RedisDatabaseError, match=r"'b' from node:1: nobody listens \(attempts: 4\)"):
        network.drive(network.router().route(CHANGES[:1]))
    asked = [entry for entry in network.log if isinstance(entry, Address)]
    assert [address for address in asked if address == NODES[0]] == asked[2::3]


@pytest.mark.parametrize("cluster", [True, False])
def test_what_was_not_sent_is_sent_when_there_is_a_connection(cluster: bool) -> None:
    failures: list[Outcome] = [REFUSED, LostConnectionError("cut"), TimeoutError()]
    network = Network({NODES[0]: [*failures, [5]]})
    assert network.drive(network.router(cluster=cluster).route(CHANGES[:1])) == [5]
    assert network.pauses == 3


def test_a_connection_that_was_lost_is_replaced_at_once() -> None:
    network = Network({NODES[0]: [LostConnectionError("cut", handed_over=1), [5]]})
    assert network.drive(network.router(cluster=False).route(READS[:1])) == [5]
    assert network.pauses == 0


def test_what_reads_is_sent_as_often_as_the_policy_says() -> None:
    network = Network({NODES[0]: [LostConnectionError("cut", handed_over=1)]})
    with pytest.raises(RedisDatabaseError, match=r"No answer for the key 'b' from node:1: cut \(attempts: 5\)"):
        network.drive(network.router(cluster=False).route(READS[:1]))
    assert (network.pauses, len(network.sent())) == (3, 5)  # and once when the connection may just have been too old


def test_no_attempt_begins_when_the_time_is_over() -> None:
    network = Network({NODES[0]: [REFUSED]})
    router = Router(NODES[:1], CONFIG, cluster=False, clock=lambda: network.pauses * 2.0)
    with pytest.raises(RedisDatabaseError, match="attempts: 3"):
        network.drive(router.route(READS[:1]))


def test_what_changes_something_and_may_have_arrived_is_not_sent_again() -> None:
    network = Network({NODES[0]: [LostConnectionError("cut", handed_over=1)]})
    with pytest.raises(RedisDatabaseError, match="node:1 .* 'b': cut; INCR may have been carried out or not") as raised:
        network.drive(network.router().route(CHANGES[:1]))
    assert raised.value.key == "b"
    assert len(network.log) == 1


def test_only_what_has_no_reply_is_sent_again() -> None:
    lost = LostConnectionError("cut", [1], handed_over=2)
    network = Network({NODES[0]: [lost, [2, 3]]})
    requests = [CHANGES[0], READS[0], CHANGES[0]]
    assert network.drive(network.router(cluster=False).route(requests)) == [1, 2, 3]
    assert network.sent()[1] == (NODES[0], tuple(requests[1:]))


@pytest.mark.parametrize(
    ("failure", "expected", "text"),
    [
        (
            GarbledReplyError("b'HTTP'"),
            RedisInternalError,
            "node:1 answered for the key 'b' what makes no sense: b'HTTP'",
        ),
        (MemoryError("too large"), RedisBadAllocError, "for the key 'b': too large"),
    ],
)
def test_other_failures_are_errors_at_once(failure: Exception, expected: type[Exception], text: str) -> None:
    network = Network({NODES[0]: [failure]})
    with pytest.raises(expected, match=text):
        network.drive(network.router().route(READS[:1]))
    assert len(network.log) == 1
