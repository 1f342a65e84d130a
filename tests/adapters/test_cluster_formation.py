"""What a server is told so that it becomes a part of its cluster, from what it knows."""

from smartsim.adapters.database.cluster import (
    final_settings,
    first_nodes,
    has_joined,
    next_commands,
    parse_nodes,
    serves_all,
)
from smartsim.domain.database import Database
from smartsim.ports.database_server import Credentials

ADMIN = Credentials("admin", "secret")
SERVERS = Database("db", "/", 0, "lo", 3).plan(["10.0.0.1"], 7000, 17000)
COPIED = Database("db", "/", 0, "lo", 3, replicas=1).plan(["10.0.0.1"], 7000, 17000)
LOGIN = [
    ("ACL", "SETUSER", "default", "-config"),  # CONFIG GET would tell the password
    ("CONFIG", "SET", "masteruser", "admin"),
    ("CONFIG", "SET", "masterauth", "secret"),
]
A, B, C, D = (letter * 40 for letter in "abcd")
WHOLE = f"""\
{A} 10.0.0.1:7000@17000,host-a master - 0 1 1 connected 0-5460
{B} 10.0.0.1:7001@17001 myself,master - 0 0 2 connected 5461-10921 10922
{C} 10.0.0.1:7002@17002 master - 0 1 3 connected 10923-16383 [10923->-{A}]
"""


def test_a_shard_begins_as_a_replica_that_takes_over() -> None:
    assert SERVERS[1].place is not None
    nodes = parse_nodes(first_nodes(SERVERS[1].place).removesuffix("vars currentEpoch 1 lastVoteEpoch 0\n"))
    (predecessor,) = (node for node in nodes if "myself" not in node.flags)
    assert predecessor.slots == 5462
    takeover = [("CLUSTER", "FAILOVER", "TAKEOVER"), ("CLUSTER", "FORGET", predecessor.id)]
    assert next_commands(SERVERS[1], SERVERS, nodes, ADMIN) == takeover
    assert next_commands(COPIED[1], COPIED, nodes, ADMIN) == [*LOGIN, *takeover]


def test_those_that_are_not_met_are_met() -> None:
    known = parse_nodes("".join(WHOLE.splitlines(keepends=True)[:2]))
    assert next_commands(SERVERS[1], SERVERS, known, ADMIN) == [("CLUSTER", "MEET", "10.0.0.1", 7002, 17002)]
    assert not has_joined(SERVERS, known)


def test_those_that_are_being_met_are_not_met_again() -> None:
    meeting = parse_nodes(WHOLE.replace(f"{C} 10.0.0.1:7002@17002 master", f"{D} 10.0.0.1:7002@17002 handshake"))
    assert next_commands(SERVERS[1], SERVERS, meeting, ADMIN) == []
    assert not has_joined(SERVERS, meeting)


def test_a_server_that_knows_all_others_with_their_slots_has_joined() -> None:
    nodes = parse_nodes(WHOLE)
    assert next_commands(SERVERS[1], SERVERS, nodes, ADMIN) == []
    assert has_joined(SERVERS, nodes)
    assert not has_joined(SERVERS, parse_nodes(WHOLE.replace("0-5460", "0-5459")))
    assert not has_joined(SERVERS, parse_nodes(WHOLE.replace("3 connected", "3 disconnected")))


def test_a_replica_copies_the_shard_of_its_number() -> None:
    assert COPIED[4].place is not None
    start = first_nodes(COPIED[4].place).splitlines()
    predecessor = start[1].split()[0]
    others = "".join(
        f"{letter * 40} 10.0.0.1:{7000 + index}@{17000 + index} slave {primary} 0 1 1 connected\n"
        for letter, index, primary in [("e", 3, A), ("f", 5, C)]
    )
    waiting = WHOLE.replace("myself,master", "master") + others
    myself = f"{D} 10.0.0.1:7004@17004 myself,slave {predecessor} 0 0 1 connected\n"
    nodes = parse_nodes(waiting + myself + start[1] + "\n")
    replicate = [("CLUSTER", "REPLICATE", B), ("CLUSTER", "FORGET", predecessor)]
    assert next_commands(COPIED[4], COPIED, nodes, ADMIN) == [*LOGIN, *replicate]
    assert not has_joined(COPIED, nodes)
    nodes = parse_nodes(waiting + myself.replace(predecessor, B))
    assert next_commands(COPIED[4], COPIED, nodes, ADMIN) == []
    assert has_joined(COPIED, nodes)
    assert not has_joined(COPIED, parse_nodes(waiting + myself.replace(predecessor, C)))


def test_a_cluster_with_replicas_gives_a_server_up_earlier() -> None:
    (alone,), (with_replicas,) = final_settings(SERVERS).values(), final_settings(COPIED).values()
    assert 0 < int(with_replicas) < int(alone)


def test_every_key_is_served_when_every_slot_is() -> None:
    assert serves_all("cluster_state:ok\r\ncluster_slots_ok:16384\r\n")
    assert not serves_all("cluster_state:ok\r\ncluster_slots_ok:16383\r\n")
    assert not serves_all("cluster_state:fail\r\ncluster_slots_ok:16384\r\n")
