"""What calls about the database itself say, and what they make of the answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from scripted_store import CLUSTER, STANDALONE, ScriptedStore
from smartsim.app.client import administration
from smartsim.app.client.calls import Call, carry_out
from smartsim.domain.addresses import Address
from smartsim.domain.client_errors import RedisInternalError, RedisRuntimeError, refusal
from smartsim.ports.tensor_store import Command, Transaction

OK = b"OK"
INFO = b"# Server\r\nos:Linux\r\n\r\n# Keyspace\r\ndb0:keys=1\r\n"
STATISTICS = [b"key", b"{8M}.m", b"type", b"MODEL", b"tag", b"\xff", b"calls", 3, b"duration", b"1.5"]


def test_servers_are_asked_by_address_and_in_the_order_given() -> None:
    store = ScriptedStore([INFO, b""], shards=CLUSTER)
    found = carry_out(administration.get_db_node_info(["db:7002", "tcp://db:7000"]), store)
    assert found == [{"Server": {"os": "Linux"}, "Keyspace": {"db0": "keys=1"}}, {}]
    assert store.asked == [[Command((b"INFO", b"EVERYTHING"), shard=CLUSTER[i].address, changes=False) for i in (2, 0)]]


def test_a_unix_socket_is_an_address() -> None:
    shard = replace(STANDALONE[0], address=Address.unix("/tmp/db.socket"))
    assert (
        carry_out(administration.config_get("x", "unix:///tmp/db.socket"), ScriptedStore([[]], shards=(shard,))) == {}
    )


def test_an_unknown_address_is_told_with_the_known_ones() -> None:
    store = ScriptedStore(shards=CLUSTER)
    with pytest.raises(RedisRuntimeError, match="'localhost:7000' is not.*: use one of db:7000, db:7001, db:7002"):
        carry_out(administration.flush_db(["db:7000", "localhost:7000"]), store)
    assert not store.asked


def test_a_shard_with_two_ranges_of_slots_is_asked_once() -> None:
    shards = (*CLUSTER, replace(CLUSTER[2], address=CLUSTER[1].address))
    store = ScriptedStore([STATISTICS], shards=shards)
    assert carry_out(administration.get_ai_info(["db:7001"], "m"), store)[0]["key"] == "m"
    assert [request.words[1] for request in store.asked[0] if isinstance(request, Command)] == [b"{8M}.m"]


def test_what_a_cluster_says_of_itself() -> None:
    store = ScriptedStore([b"cluster_state:ok\r\n"], shards=CLUSTER)
    assert carry_out(administration.get_db_cluster_info(["db:7001"]), store) == [{"cluster_state": "ok"}]
    assert store.asked == [[Command((b"CLUSTER", b"INFO"), shard=CLUSTER[1].address, changes=False)]]


def test_there_is_no_cluster_to_tell_of() -> None:
    with pytest.raises(RedisRuntimeError, match="Cannot run on non-cluster environment"):
        carry_out(administration.get_db_cluster_info(["db:6379"]), ScriptedStore())


def test_statistics_are_texts_without_the_prefix_of_the_shard() -> None:
    store = ScriptedStore([STATISTICS], shards=CLUSTER)
    (found,) = carry_out(administration.get_ai_info(["db:7001"], "m"), store)
    assert found == {"key": "m", "type": "MODEL", "tag": "\\xff", "calls": "3", "duration": "1.5"}
    assert store.asked == [[Command((b"AI.INFO", b"{8M}.m"), shard=CLUSTER[1].address, changes=False)]]


def test_statistics_begin_anew_after_they_were_read_with_nothing_in_between() -> None:
    store = ScriptedStore([[STATISTICS, OK]])
    (found,) = carry_out(administration.get_ai_info(["db:6379"], "m", reset_stat=True), store)
    assert found["calls"] == "3"
    ((request,),) = store.asked
    assert isinstance(request, Transaction)
    assert [command.words for command in request.commands] == [
        (b"AI.INFO", b"m"),
        (b"AI.INFO", b"m", b"RESETSTAT"),
    ]
    assert [command.changes for command in request.commands] == [False, True]


def test_statistics_of_nothing_are_an_error() -> None:
    missing = refusal("ERR cannot find run info for key", "")
    for reset in (False, True):
        reply = [missing, missing] if reset else missing
        with pytest.raises(RedisRuntimeError, match="cannot find run info"):
            carry_out(administration.get_ai_info(["db:6379"], "m", reset), ScriptedStore([reply]))
    with pytest.raises(RedisInternalError, match="names and values"):
        carry_out(administration.get_ai_info(["db:6379"], "m"), ScriptedStore([[b"key"]]))


def test_settings() -> None:
    store = ScriptedStore([[b"maxmemory", b"0"]], [OK])
    assert carry_out(administration.config_get("maxm*", "db:6379"), store) == {"maxmemory": "0"}
    carry_out(administration.config_set("maxmemory", "1", "db:6379"), store)
    assert [request.words for (request,) in store.asked if isinstance(request, Command)] == [
        (b"CONFIG", b"GET", b"maxm*"),
        (b"CONFIG", b"SET", b"maxmemory", b"1"),
    ]


@pytest.mark.parametrize(("call", "word"), [(administration.save, b"SAVE"), (administration.flush_db, b"FLUSHDB")])
def test_what_takes_long_is_waited_for(call: Callable[[list[str]], Call[None]], word: bytes) -> None:
    store = ScriptedStore([OK, OK], shards=CLUSTER)
    carry_out(call(["db:7000", "db:7001"]), store)
    for request, shard in zip(store.asked[0], CLUSTER, strict=False):
        assert isinstance(request, Command)
        assert (request.words, request.shard, request.changes) == ((word,), shard.address, True)
        assert request.patience >= 600
    with pytest.raises(RedisRuntimeError, match="NOPERM"):
        carry_out(call(["db:6379"]), ScriptedStore([refusal("NOPERM no", "")]))


@pytest.mark.parametrize(
    ("call", "arguments", "message"),
    [
        (administration.get_db_node_info, ("db:6379",), "Argument addresses is of type <class 'str'>"),
        (administration.get_db_node_info, ([1],), r"Argument addresses\[...\] is of type <class 'int'>"),
        (
            administration.get_ai_info,
            (
                "db:6379",
                "m",
            ),
            "Argument address is of type <class 'str'>",
        ),
        (
            administration.get_ai_info,
            (
                [],
                3,
            ),
            "Argument key is of type <class 'int'>",
        ),
        (
            administration.get_ai_info,
            (
                [],
                "m",
                1,
            ),
            "Argument reset_stat is of type <class 'int'>",
        ),
        (
            administration.config_get,
            (
                1,
                "db:6379",
            ),
            "Argument expression is of type <class 'int'>",
        ),
        (
            administration.config_get,
            (
                "x",
                1,
            ),
            "Argument address is of type <class 'int'>",
        ),
        (
            administration.config_set,
            (
                "x",
                1,
                "db:6379",
            ),
            "Argument value is of type <class 'int'>",
        ),
        (administration.save, ("db:6379",), "Argument addresses is of type <class 'str'>"),
    ],
)
def test_arguments_are_looked_at_before_anything_is_sent(
    call: Callable[..., Call[Any]], arguments: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        next(call(*arguments))
