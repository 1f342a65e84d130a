"""The calls that wait: the server, or the fake, wakes them."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from scripted_store import CLUSTER, ScriptedStore
from servers import scripted_server
from smartsim.adapters.tensors.resp import RespTensorStore
from smartsim.app.client.calls import Call, carry_out
from smartsim.app.client.tensors import put_tensor
from smartsim.app.client.waiting import (
    SLICE,
    poll_dataset,
    poll_key,
    poll_list_length,
    poll_list_length_gte,
    poll_list_length_lte,
    poll_model,
)
from smartsim.domain.client_config import ClientConfig, RetryPolicy
from smartsim.domain.client_errors import RedisDatabaseError, RedisRuntimeError, refusal
from smartsim.ports.tensor_store import Command, TensorStore

DEADLINE = 60.0
CONFIG = ClientConfig(RetryPolicy(10, 0.1), RetryPolicy(10, 0.1), DEADLINE)


def say(store: TensorStore, *words: str) -> None:
    encoded = tuple(word.encode() for word in words)
    (reply,) = store.run([Command(encoded, key=encoded[1] if len(encoded) > 1 else None)])
    assert not isinstance(reply, RedisRuntimeError), reply


Poll = Callable[[int, int], Call[bool]]

WAYS: dict[str, tuple[list[list[str]], Poll, list[str]]] = {
    "key": ([], lambda ms, tries: poll_key("k", ms, tries), ["SET", "k", "v"]),
    "model": ([], lambda ms, tries: poll_model("k", ms, tries), ["SET", "k", "v"]),
    "dataset": (
        [["HSET", "{d}.meta", "field", "v"]],
        lambda ms, tries: poll_dataset("{d}", ms, tries),
        ["HSET", "{d}.meta", ".COMPLETE", "1"],
    ),
    "list of a length": (
        [["RPUSH", "l", "a", "b", "c"]],
        lambda ms, tries: poll_list_length("l", 4, ms, tries),
        ["RPUSH", "l", "d"],
    ),
    "long list": (
        [["RPUSH", "l", "a"]],
        lambda ms, tries: poll_list_length_gte("l", 3, ms, tries),
        ["RPUSH", "l", "b", "c", "d"],
    ),
    "short list": ([["RPUSH", "l", "a"]], lambda ms, tries: poll_list_length_lte("l", 0, ms, tries), ["DEL", "l"]),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_wait_ends_when_it_comes_to_that_and_not_before(store: TensorStore, way: str) -> None:
    before, poll, event = WAYS[way]
    for words in before:
        say(store, *words)
    assert not carry_out(poll(1, 1), store)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(carry_out, poll(1000, 60), store)
        assert not waiting.done()
        say(store, *event)
        assert waiting.result(DEADLINE)
    assert carry_out(poll(0, 1), store)  # a look is enough now


def test_many_wait_for_one_key(store: TensorStore) -> None:
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(carry_out, poll_key("t", 1000, 60), store) for _ in range(4)]
        carry_out(put_tensor("t", np.zeros(1)), store)
        assert all(each.result(DEADLINE) for each in waiting)


def test_what_is_no_list_has_no_length(store: TensorStore) -> None:
    carry_out(put_tensor("t", np.zeros(1)), store)
    with pytest.raises(RedisRuntimeError, match="WRONGTYPE"):
        carry_out(poll_list_length("t", 0, 1, 1), store)


@pytest.mark.parametrize("way", WAYS)
def test_no_tries_are_no_question(way: str) -> None:
    store = ScriptedStore()
    assert not carry_out(WAYS[way][1](1000, 0), store)
    assert not store.asked


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((-1, 1), "Argument poll_frequency_ms is -1"),
        ((1, -1), "Argument num_tries is -1"),
        (("1", 1), "Argument poll_frequency_ms is of type <class 'str'>, not <class 'int'>"),
        ((1, 1.0), "Argument num_tries is of type <class 'float'>, not <class 'int'>"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(way: str, numbers: Any, message: str) -> None:
    with pytest.raises(ValueError if "of type" not in message else TypeError, match=message):
        carry_out(WAYS[way][1](*numbers), ScriptedStore())


@pytest.mark.parametrize("poll", [poll_list_length, poll_list_length_gte, poll_list_length_lte])
def test_so_are_lengths(poll: Callable[[str, Any, int, int], Call[bool]]) -> None:
    with pytest.raises(ValueError, match="Argument list_length is -1"):
        carry_out(poll("l", -1, 1, 0), ScriptedStore())
    with pytest.raises(TypeError, match="Argument list_length is of type"):
        carry_out(poll("l", "1", 1, 0), ScriptedStore())


def test_a_long_wait_goes_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    class Clockwork(ScriptedStore):
        def run(self, requests: Any) -> Any:
            nonlocal now
            (command,) = requests
            now += int(command.words[1]) / 1000
            return super().run(requests)

    monkeypatch.setattr(time, "monotonic", lambda: now)
    store = Clockwork([0], [0], [0], [0])
    assert not carry_out(poll_key("k", 100, 160), store)
    commands = [request for (request,) in store.asked if isinstance(request, Command)]
    assert [int(bytes(command.words[1])) for command in commands] == [5000, 5000, 5000, 1000]
    assert all(command.patience * 1000 == int(bytes(command.words[1])) for command in commands)
    assert not any(command.changes for command in commands)
    assert SLICE == 5.0


def test_in_a_cluster_the_model_of_the_first_shard_is_waited_for() -> None:
    store = ScriptedStore([1], shards=CLUSTER)
    assert carry_out(poll_model("m", 10, 1), store)
    ((command,),) = store.asked
    key = CLUSTER[0].prefix + b".m"
    assert isinstance(command, Command)
    assert command.words == (b"AI._WAIT", b"10", b"EXISTS", key)
    assert command.key == key


def test_a_refusal_ends_the_wait() -> None:
    with pytest.raises(RedisRuntimeError, match="WRONGTYPE"):
        carry_out(poll_key("k", 1000, 60), ScriptedStore([refusal("WRONGTYPE", "k")]))


def test_a_database_that_goes_away_is_noticed() -> None:
    impatient = ClientConfig(RetryPolicy(10, 0.1), RetryPolicy(0.2, 0.1), 0.2)
    with scripted_server([b"+PONG\r\n"], []) as server:
        store = RespTensorStore((server.address,), impatient)
        try:
            with pytest.raises(RedisDatabaseError):
                carry_out(poll_key("k", 100, 2), store)
        finally:
            store.close()
