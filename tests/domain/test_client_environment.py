from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.domain.addresses import Address, parse_addresses
from smartsim.domain.client_environment import Endpoint, client_environment
from smartsim.domain.errors import SSDBIDConflictError

names = st.text(st.characters(codec="utf-8", exclude_characters=",=\0/"), min_size=1)
addresses = st.builds(Address.tcp, st.sampled_from(["127.0.0.1", "10.0.0.2", "node-3"]), st.integers(1, 65535))
endpoints = st.lists(
    st.builds(Endpoint, names, st.lists(addresses, min_size=1, max_size=300).map(tuple)),
    max_size=4,
    unique_by=lambda endpoint: endpoint.identifier,
)


def tcp(*ports: int) -> tuple[Address, ...]:
    return tuple(Address.tcp("127.0.0.1", port) for port in ports)


@given(names, endpoints, st.booleans(), st.lists(names))
def test_every_address_of_every_database_arrives_in_order(
    name: str, databases: list[Endpoint], prefixing: bool, incoming: list[str]
) -> None:
    environment = client_environment(name, databases, key_prefixing=prefixing, incoming=incoming)
    for database in databases:
        suffix = "" if database.identifier == "orchestrator" else f"_{database.identifier}"
        assert parse_addresses(environment.pop(f"SSDB{suffix}")) == database.addresses
        kind = "Clustered" if len(database.addresses) > 1 else "Standalone"
        assert environment.pop(f"SR_DB_TYPE{suffix}") == kind
        assert environment.pop(f"SR_SOCKET_TIMEOUT{suffix}") == "60000"
    assert environment.pop("SSKEYOUT", None) == (name if prefixing else None)
    assert environment.pop("SSKEYIN", "").split(",") == (incoming or [""])
    assert environment == {}


def test_two_databases_and_two_sources() -> None:
    databases = [Endpoint("orchestrator", tcp(7902)), Endpoint("dbA", tcp(7901))]
    assert client_environment("envm", databases, key_prefixing=True, incoming=["src", "src2"]) == {
        "SSDB": "127.0.0.1:7902",
        "SR_DB_TYPE": "Standalone",
        "SR_SOCKET_TIMEOUT": "60000",
        "SSDB_dbA": "127.0.0.1:7901",
        "SR_DB_TYPE_dbA": "Standalone",
        "SR_SOCKET_TIMEOUT_dbA": "60000",
        "SSKEYIN": "src,src2",
        "SSKEYOUT": "envm",
    }


def test_a_password_is_named_by_its_file() -> None:
    databases = [
        Endpoint("orchestrator", tcp(7902)),
        Endpoint("dbA", tcp(7901), "/exp/dbA/password"),
        Endpoint("", tcp(7903), "/exp/password"),
    ]
    (first, closed, unnamed) = (
        client_environment("m", [database], key_prefixing=False, incoming=[]) for database in databases
    )
    assert not [variable for variable in first if "PASSWORD" in variable]
    assert closed["SR_DB_PASSWORD_FILE_dbA"] == "/exp/dbA/password"
    assert unnamed["SR_DB_PASSWORD_FILE"] == "/exp/password"


def test_without_anything_the_environment_is_empty() -> None:
    assert client_environment("m", [], key_prefixing=False, incoming=[]) == {}


def test_shards_on_one_host_are_all_listed() -> None:
    cluster = Endpoint("orchestrator", tcp(6379, 6380, 6381))
    assert client_environment("m", [cluster], key_prefixing=False, incoming=[]) == {
        "SSDB": "127.0.0.1:6379,127.0.0.1:6380,127.0.0.1:6381",
        "SR_DB_TYPE": "Clustered",
        "SR_SOCKET_TIMEOUT": "60000",
    }


def test_a_long_list_is_not_cut() -> None:
    cluster = Endpoint("big", tcp(*range(6379, 6379 + 129)))
    environment = client_environment("m", [cluster], key_prefixing=False, incoming=[])
    assert environment["SSDB_big"].count(",") == 128


def test_an_unnamed_colocated_database_has_no_suffix() -> None:
    colocated = Endpoint("", (Address.unix("/tmp/db.socket"),))
    assert client_environment("m", [colocated], key_prefixing=False, incoming=[]) == {
        "SSDB": "unix:///tmp/db.socket",
        "SR_DB_TYPE": "Standalone",
        "SR_SOCKET_TIMEOUT": "60000",
    }


def test_a_timeout_that_the_user_has_set_stays() -> None:
    database = Endpoint("db", tcp(1))
    inherited = ["SR_SOCKET_TIMEOUT_db"]
    environment = client_environment("m", [database], key_prefixing=False, incoming=[], inherited=inherited)
    assert "SR_SOCKET_TIMEOUT_db" not in environment


@pytest.mark.parametrize(
    ("first", "second", "named"),
    [("dbA", "dbA", "dbA"), ("orchestrator", "", "orchestrator"), ("", "orchestrator", "orchestrator")],
)
def test_two_databases_under_one_identifier_are_refused(first: str, second: str, named: str) -> None:
    databases = [Endpoint(first, tcp(6379)), Endpoint(second, tcp(6380))]
    with pytest.raises(SSDBIDConflictError, match=f"Database identifier '{named}' has already been used"):
        client_environment("m", databases, key_prefixing=False, incoming=[])


def test_what_cannot_be_expressed_is_refused() -> None:
    with pytest.raises(ValueError, match="'a,b' cannot be an incoming entity"):
        client_environment("m", [], key_prefixing=False, incoming=["a,b"])
    with pytest.raises(ValueError, match="'a=b' cannot be a database identifier"):
        Endpoint("a=b", tcp(6379))
    with pytest.raises(ValueError, match="'empty' has no address"):
        Endpoint("empty", ())
