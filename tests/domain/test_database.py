import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.domain.database import Database, choose_interfaces
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


@pytest.mark.parametrize("db_nodes", [2, 3])
def test_clusters_are_refused_with_the_reason(db_nodes: int) -> None:
    with pytest.raises(SSUnsupportedError, match=r"size 2|single-shard"):
        Database("db", "/", 6379, "lo", db_nodes)


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
