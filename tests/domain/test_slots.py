from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.domain.slots import SLOTS, key_slot, shard_prefix

NO_BRACES = st.binary().filter(lambda text: not set(text) & set(b"{}"))


@pytest.mark.parametrize(
    ("key", "slot"),  # what a server answers to CLUSTER KEYSLOT
    [
        (b"", 0),
        (b"123456789", 12739),
        (b"foo", 12182),
        (b"{user1000}.following", 3443),
        (b"foo{}{bar}", 8363),
        (b"foo{{bar}}zap", 4015),
        (b"foo{bar}{zap}", 5061),
        (b"}foo{bar}", 5061),
        (b"\xff\0", 1023),
    ],
)
def test_a_key_has_the_slot_that_the_server_says(key: bytes, slot: int) -> None:
    assert key_slot(key) == slot


@given(NO_BRACES, NO_BRACES.filter(bool), st.binary())
def test_only_the_first_tag_counts(before: bytes, tag: bytes, after: bytes) -> None:
    assert key_slot(before + b"{" + tag + b"}" + after) == key_slot(tag)


@given(st.binary())
def test_every_key_has_a_slot(key: bytes) -> None:
    assert 0 <= key_slot(key) < SLOTS


@given(st.integers(0, SLOTS - 1), st.binary())
def test_a_prefix_leads_to_its_slot_whatever_follows(slot: int, name: bytes) -> None:
    assert key_slot(shard_prefix(slot) + b"." + name) == slot


@pytest.mark.parametrize(
    ("slot", "prefix"),  # as seen in the keys of the SmartRedis client on clusters of such shards
    [
        (0, b"{\0\0}"),
        (5461, b"{8M}"),
        (10923, b"{\xed\xeb}"),
        (9, b"{\x01&\x5c}"),
        (146, b"{\x11\x7f\x60}"),
        (399, b"{\x02\x5b\xe4}"),
        (547, b"{\x08\xfc\xe0}"),
        (6188, b"{\x03\x5b\x18}"),
        (3567, b"{\x44\x73\x80}"),
    ],
)
def test_a_prefix_is_the_one_that_the_clients_of_old_choose(slot: int, prefix: bytes) -> None:
    assert shard_prefix(slot) == prefix


def test_all_prefixes_differ_and_hold_no_other_brace() -> None:
    prefixes = [shard_prefix(slot) for slot in range(SLOTS)]
    assert len(set(prefixes)) == SLOTS
    assert all(prefix[:1] == b"{" and prefix[-1:] == b"}" for prefix in prefixes)
    assert not any(set(prefix[1:-1]) & set(b"{}") for prefix in prefixes)
