"""What nodes of a cluster say of their shards, and what follows for keys."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.adapters.tensors.topology import Topology, UnreadableTopologyError, parse_cluster_slots, parse_node
from smartsim.domain.addresses import Address
from smartsim.domain.slots import SLOTS, key_slot, shard_prefix
from smartsim.ports.tensor_store import Command, Shard, Transaction

ASKED = Address.tcp("asked", 7000)
ANY_REPLY = st.recursive(
    st.none() | st.integers() | st.binary(max_size=8) | st.sampled_from([0, 16383, b"host", 7001]),
    lambda parts: st.lists(parts, max_size=5),
)


def node(host: bytes | None, port: int) -> list[Any]:
    return [host, port, b"id", [b"hostname", b""]]


WHOLE: Any = [
    [8000, 16383, node(b"b", 2), node(b"c", 3)],
    [0, 7999, node(b"a", 1), node(b"d", 4), node(b"?", 5)],
]


def test_shards_are_in_the_order_of_their_slots_and_replicas_are_known() -> None:
    topology = parse_cluster_slots(WHOLE, ASKED)
    assert topology.shards == (
        Shard(Address.tcp("a", 1), (0, 7999), shard_prefix(0)),
        Shard(Address.tcp("b", 2), (8000, 16383), shard_prefix(8000)),
    )
    assert set(topology.nodes()) == {Address.tcp(host, port) for host, port in (("a", 1), ("b", 2), ("c", 3), ("d", 4))}


@pytest.mark.parametrize("host", [b"", None])
def test_a_node_that_does_not_know_its_host_is_where_it_was_asked(host: bytes | None) -> None:
    topology = parse_cluster_slots([[0, 16383, node(host, 7001)]], ASKED)
    assert topology.shards[0].address == Address.tcp("asked", 7001)
    assert parse_node(":7002", ASKED) == Address.tcp("asked", 7002)
    assert parse_node("10.0.0.1:7002", ASKED) == Address.tcp("10.0.0.1", 7002)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ([], "no shard has the hash slot 0"),
        ([[0, 100, node(b"a", 1)]], "no shard has the hash slot 101"),
        ([[0, 100, node(b"a", 1)], [102, 16383, node(b"b", 1)]], "no shard has the hash slot 101"),
        ([[0, 100, node(b"a", 1)], [100, 16383, node(b"b", 1)]], "no shard has the hash slot 101"),
        ([[0, 16383]], "no range"),
        ([[0, 16383, node(b"a", 0)]], "not a TCP port"),
        ([[0, 16383, node(b"?", 1)]], "'?'"),
        (b"OK", "no list of shards"),
    ],
)
def test_what_is_no_whole_cluster_is_refused(reply: Any, reason: str) -> None:
    with pytest.raises(UnreadableTopologyError) as raised:
        parse_cluster_slots(reply, ASKED)
    assert reason in str(raised.value)


@given(ANY_REPLY)
def test_any_reply_is_a_whole_cluster_or_refused(reply: Any) -> None:
    entries: Any
    for entries in (reply, [reply], [[0, 16383, reply]], [[0, reply, node(b"a", 1)]]):
        try:
            topology = parse_cluster_slots(entries, ASKED)
        except UnreadableTopologyError:
            continue
        assert sum(last - first + 1 for first, last in (shard.slots for shard in topology.shards)) == SLOTS


@given(st.text())
def test_any_text_is_a_node_or_refused(text: str) -> None:
    try:
        address = parse_node(text, ASKED)
    except UnreadableTopologyError:
        return
    assert text.rpartition(":")[0] in (address.host, "")


@given(firsts=st.sets(st.integers(1, SLOTS - 1), max_size=8), key=st.binary())
def test_a_key_is_where_its_slot_is(firsts: set[int], key: bytes) -> None:
    bounds = [0, *sorted(firsts), SLOTS]
    ranges: list[Any] = [[first, end - 1, node(b"n", first + 1)] for first, end in pairwise(bounds)]
    topology = parse_cluster_slots(ranges, ASKED)
    first = topology.address_of_key(key).port - 1
    assert first <= key_slot(key) < bounds[bounds.index(first) + 1]
    for shard in topology.shards:
        assert topology.address_of_key(shard.prefix + b"." + key) == shard.address


def test_requests_go_to_their_shards_or_keys_or_anywhere() -> None:
    topology = parse_cluster_slots(WHOLE, ASKED)
    here = topology.address_of_key(b"k")
    elsewhere = Address.tcp("e", 9)
    assert topology.address_of(Command((b"GET", b"k"), b"k")) == here
    assert topology.address_of(Command((b"GET", b"k"), b"k", elsewhere)) == elsewhere
    assert topology.address_of(Transaction((Command((b"PING",)), Command((b"GET", b"k"), b"k")))) == here
    assert topology.address_of(Transaction((Command((b"PING",), shard=elsewhere),))) == elsewhere
    assert topology.address_of(Command((b"PING",))) == Address.tcp("a", 1)


def test_a_standalone_database_has_all_keys() -> None:
    topology = Topology.standalone(ASKED)
    assert topology.shards == (Shard(ASKED, (0, SLOTS - 1)),)
    assert topology.address_of_key(b"k") == ASKED
