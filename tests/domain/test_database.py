from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.domain.database import SLOTS, Database, choose_interfaces
from smartsim.domain.errors import SmartSimError, SSUnsupportedError

NAMES = st.lists(st.sampled_from(["lo", "eth0", "hsn0", "hsn1", "ipogif0", "ib0", "ib1"]), unique=True)


@given(NAMES)
def test_auto_takes_loopback_for_the_local_launcher(available: list[str]) -> None:
    assert choose_interfaces(["auto"], {"lo", *available}, local=True) == ("lo",)


@given(NAMES)
def test_auto_takes_the_fastest_interface_elsewhere(available: list[str]) -> None:
    (chosen,) = choose_interfaces(["auto"], {"lo", *available}, local=False)
    for kind in ("hsn", "ipogif", "ib"):
        if any(name.startswith(kind) for name in available):
            assert chosen.startswith(kind)
            return
    assert chosen == "lo"


def test_an_interface_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(SmartSimError, match=r"ib0.*eth0, lo"):
        choose_interfaces(["lo", "ib0"], ["lo", "eth0"], local=True)


def test_the_order_of_interfaces_is_kept() -> None:
    assert choose_interfaces(["eth0", "lo"], ["lo", "eth0"], local=True) == ("eth0", "lo")


def test_a_plan_has_the_shard_with_its_addresses() -> None:
    (shard,) = Database("db", "/exp/db/", 6379, "lo", 1).plan(["127.0.0.1", "10.0.0.1"], 6400)
    assert (shard.name, shard.directory, shard.bind, shard.port) == ("db_0", "/exp/db", ("127.0.0.1", "10.0.0.1"), 6400)


@given(st.integers(3, 500), st.integers(0, 3))
def test_a_cluster_parts_all_slots_among_its_shards(db_nodes: int, replicas: int) -> None:
    servers = Database("db", "/", 0, "lo", db_nodes, replicas=replicas).plan(["127.0.0.1", "10.0.0.1"], 6400, 16400)
    places = [server.place for server in servers if server.place is not None]
    assert len(places) == len(servers) == db_nodes * (1 + replicas)
    assert [server.name for server in servers] == [f"db_{index}" for index in range(len(servers))]
    assert [server.address.port for server in servers] == list(range(6400, 6400 + len(servers)))
    assert [place.bus_port for place in places] == list(range(16400, 16400 + len(servers)))
    shards, copies = places[:db_nodes], places[db_nodes:]
    assert [slot for place in shards for slot in range(place.slots[0], place.slots[1] + 1)] == list(range(SLOTS))
    sizes = {place.slots[1] - place.slots[0] for place in shards}
    assert max(sizes) - min(sizes) <= 1
    assert not any(place.is_replica for place in shards)
    for place in copies:
        assert place.is_replica
        assert place.slots == shards[place.shard].slots
    assert all(count == replicas for count in Counter(place.shard for place in copies).values())


def test_three_shards_begin_where_other_tools_have_them_begin() -> None:
    servers = Database("db", "/", 0, "lo", 3).plan(["127.0.0.1"], 6400, 16400)
    assert [server.place and server.place.slots for server in servers] == [(0, 5460), (5461, 10922), (10923, 16383)]


def test_a_cluster_of_two_is_refused_with_the_reason() -> None:
    with pytest.raises(SSUnsupportedError, match="size 2"):
        Database("db", "/", 6379, "lo", 2)


@pytest.mark.parametrize(
    ("port", "db_nodes", "replicas", "error", "words"),
    [
        (0, 3, -1, ValueError, "-1"),
        (0, 3, "1", TypeError, "'1'"),
        (0, 3, True, TypeError, "True"),
        (0, 1, 1, ValueError, "db_nodes=3"),
        (65533, 3, 1, ValueError, "65530 or less"),
        (0, SLOTS + 1, 0, ValueError, str(SLOTS + 1)),
    ],
)
def test_a_cluster_that_cannot_be_is_named(
    port: int, db_nodes: int, replicas: int, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        Database("db", "/", port, "lo", db_nodes, replicas=replicas)


def test_the_last_port_may_be_that_of_the_last_server() -> None:
    assert Database("db", "/", 65533, "lo", 3).plan(["127.0.0.1"], 65533, 1)[-1].port == 65535


@pytest.mark.parametrize(
    ("port", "interface", "db_nodes", "error", "words"),
    [
        ("6379", "lo", 1, TypeError, "'6379'"),
        (True, "lo", 1, TypeError, "True"),
        (70000, "lo", 1, ValueError, "70000"),
        (-1, "lo", 1, ValueError, "-1"),
        (1, 5, 1, TypeError, "5"),
        (1, [], 1, TypeError, r"\[\]"),
        (1, "lo", 0, ValueError, "0"),
        (1, "lo", 1.5, TypeError, "1.5"),
    ],
)
def test_what_cannot_be_is_named(port: int, interface: str, db_nodes: int, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Database("db", "/", port, interface, db_nodes)


@given(st.floats(min_value=0, exclude_min=True, allow_infinity=False) | st.integers(1, 10**9))
def test_a_lease_is_a_number_of_seconds(lease: float) -> None:
    database = Database("db", "/", 0, "lo", 3, lease=lease)
    assert {shard.lease for shard in database.plan(["127.0.0.1"], 6400, 16400)} == {float(lease)}


def test_without_a_lease_there_is_none() -> None:
    (shard,) = Database("db", "/", 0, "lo", 1).plan(["127.0.0.1"], 6400)
    assert shard.lease is None


@pytest.mark.parametrize(
    ("lease", "error", "words"),
    [
        (0, ValueError, "above 0, .* not 0"),
        (-0.5, ValueError, "above 0, .* not -0.5"),
        (float("nan"), ValueError, "above 0, .* not nan"),
        (float("inf"), ValueError, "above 0, .* not inf"),
        ("60", TypeError, "a number of seconds, .* not '60'"),
        (True, TypeError, "a number of seconds, .* not True"),
    ],
)
def test_a_lease_that_cannot_be_is_refused(lease: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=f"lease must be .*{words}"):
        Database("db", "/", 0, "lo", 1, lease=lease)
