from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.domain.addresses import Address, format_addresses, parse_addresses

WORD = string.ascii_letters + string.digits + "._-"
TCP = st.builds(Address.tcp, st.text(WORD, min_size=1), st.integers(1, 65535))
UNIX = st.builds(Address.unix, st.text(WORD + "/:").map("/".__add__))


@given(st.lists(TCP | UNIX, min_size=1))
def test_what_is_written_is_read_back(addresses: list[Address]) -> None:
    assert parse_addresses(format_addresses(addresses)) == tuple(addresses)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:6379", (Address.tcp("127.0.0.1", 6379),)),
        ("tcp://node-1.cluster:6379", (Address.tcp("node-1.cluster", 6379),)),
        ("unix:///tmp/a_b.socket", (Address.unix("/tmp/a_b.socket"),)),
        ("a:1,b:2,", (Address.tcp("a", 1), Address.tcp("b", 2))),
    ],
)
def test_every_form_is_understood(text: str, expected: tuple[Address, ...]) -> None:
    assert parse_addresses(text) == expected


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "''"),
        (",", "''"),
        ("a:1,,b:2", "''"),
        ("localhost", "'localhost'"),
        (":6379", "''"),
        ("host:", "'host:'"),
        ("host:port", "'host:port'"),
        ("host:+1", "'host:+1'"),
        ("host:0", "0"),
        ("host:99999", "99999"),
        ("host:²", "'host:²'"),
        ("a:b:1", "'a:b'"),
        ("http://host:1", "'http://host'"),
        ("unix://", "empty"),
        ("unix://relative/path", "'relative/path'"),
        ("unix:///tmp/with space", "' '"),
        ("høst:1", "'ø'"),
        ("host\n:1", r"'\n'"),
    ],
)
def test_what_is_not_an_address_is_named(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        parse_addresses(text)
    assert named in str(raised.value)


@given(st.text())
def test_any_text_is_either_addresses_or_a_value_error(text: str) -> None:
    try:
        addresses = parse_addresses(text)
    except ValueError:
        return
    assert parse_addresses(format_addresses(addresses)) == addresses
