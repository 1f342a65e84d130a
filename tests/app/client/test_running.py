"""What runs of models and scripts say, word for word."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scripted_store import CLUSTER, ScriptedStore, name_on
from smartsim.app.client.calls import carry_out
from smartsim.app.client.models import run_model
from smartsim.app.client.scripts import run_script
from smartsim.domain.client_errors import RedisInternalError, RedisRuntimeError, refusal
from smartsim.domain.slots import key_slot
from smartsim.ports.tensor_store import Command, Request

OK = b"OK"
X = np.arange(4, dtype=np.float32).reshape(2, 2)
Y = np.arange(2, dtype=np.int64)
HERE, OTHER, THIRD = (name_on(shard) for shard in range(3))
MOVED = refusal("NOTLOCAL the key is not served here", "")


def words(request: Request) -> list[Any]:
    """Return the words of a command, texts as such, arrays as they are."""
    assert isinstance(request, Command)
    return [word.decode(errors="replace") if isinstance(word, bytes) else word for word in request.words]


def text(request: Request) -> str:
    """Return the words of a command in a line, with * for arrays."""
    return " ".join(word if isinstance(word, str) else "*" for word in words(request))


def test_standalone_a_run_is_one_command_with_its_deadline() -> None:
    store = ScriptedStore([OK])
    carry_out(run_model("m", ["x", "x"], ["y"], 2500), store)
    ((command,),) = store.asked
    assert text(command) == "AI.MODELEXECUTE m INPUTS 2 x x OUTPUTS 1 y TIMEOUT 2500"
    assert isinstance(command, Command)
    assert (command.patience, command.changes) == (2.5, True)


def test_names_of_tensors_may_look_like_words_of_the_command() -> None:
    store = ScriptedStore([OK])
    carry_out(run_script("s", "f", ["OUTPUTS", "$"], ["TIMEOUT"], 9), store)
    assert text(store.asked[0][0]) == "AI.SCRIPTEXECUTE s f INPUTS 2 OUTPUTS $ OUTPUTS 1 TIMEOUT TIMEOUT 9"


def test_a_function_may_need_nothing_and_return_nothing() -> None:
    store = ScriptedStore([OK])
    carry_out(run_script("s", "f", [], [], 9), store)
    assert text(store.asked[0][0]) == "AI.SCRIPTEXECUTE s f INPUTS 0 OUTPUTS 0 TIMEOUT 9"
    store = ScriptedStore([[OK]], shards=CLUSTER)
    carry_out(run_script("s", "f", [], [], 9), store)
    assert text(store.asked[0][0]).endswith("|> AI.SCRIPTEXECUTE {\0\0}.s f INPUTS 0 OUTPUTS 0")


def test_where_all_tensors_are_on_one_shard_a_run_is_one_round_trip_and_moves_nothing() -> None:
    x, y = name_on(1, "x"), name_on(1, "y")
    store = ScriptedStore([[OK]], shards=CLUSTER)
    carry_out(run_model("m", [x], [y], 7), store)
    ((command,),) = store.asked
    assert text(command) == (
        f"AI._DAGLOCAL ROUTING {{8M}}.m TIMEOUT 7 LOAD 1 {x} PERSIST 1 {y} "
        f"|> AI.MODELEXECUTE {{8M}}.m INPUTS 1 {x} OUTPUTS 1 {y}"
    )
    assert isinstance(command, Command)
    assert command.shard == CLUSTER[1].address


def test_what_lives_elsewhere_comes_and_goes_by_way_of_the_client() -> None:
    near, far, kept, sent = name_on(0, "a"), name_on(1, "b"), name_on(0, "c"), name_on(2, "d")
    second = name_on(0, "e")
    store = ScriptedStore([X], [[OK, OK, Y]], [OK], shards=CLUSTER)
    carry_out(run_model("m", [far, near, second], [kept, sent], 7), store)
    fetch, run, keep = store.asked
    assert [text(request) for request in fetch] == [f"AI.TENSORGET {far} META BLOB"]
    assert len(run) == 1
    assert text(run[0]) == (
        f"AI._DAGLOCAL ROUTING {{\0\0}}.m TIMEOUT 7 LOAD 2 {near} {second} PERSIST 1 {kept} "
        f"|> AI.TENSORSET {far} FLOAT 2 2 BLOB * "
        f"|> AI.MODELEXECUTE {{\0\0}}.m INPUTS 3 {far} {near} {second} OUTPUTS 2 {kept} {sent} "
        f"|> AI.TENSORGET {sent} META BLOB"
    )
    assert words(run[0])[words(run[0]).index("BLOB") + 1] is X
    assert [text(request) for request in keep] == [f"AI.TENSORSET {sent} INT64 2 BLOB *"]
    assert words(keep[0])[-1] is Y
    assert all(isinstance(request, Command) and request.key for request in (*fetch, *keep))


def test_of_shards_with_as_many_inputs_that_of_the_first_is_chosen() -> None:
    store = ScriptedStore([X], [[OK, OK]], shards=CLUSTER)
    carry_out(run_model("m", [THIRD, OTHER], [name_on(2, "y")], 7), store)
    (run,) = store.asked[1]
    assert isinstance(run, Command)
    assert run.shard == CLUSTER[2].address


def test_names_that_occur_twice_move_once() -> None:
    twice, out = name_on(1, "x"), name_on(2, "y")
    store = ScriptedStore([X], [[OK, OK, Y]], [OK], shards=CLUSTER)
    carry_out(run_model("m", [HERE, name_on(0, "u"), twice, twice], [out, out], 7), store)
    fetch, (run,), keep = store.asked
    assert (len(fetch), len(keep)) == (1, 1)
    assert text(run).count("AI.TENSORSET") == text(run).count("AI.TENSORGET") == 1
    assert f"INPUTS 4 {HERE} {name_on(0, 'u')} {twice} {twice} OUTPUTS 2 {out} {out}" in text(run)


def test_an_output_may_overwrite_an_input() -> None:
    store = ScriptedStore([[OK]], shards=CLUSTER)
    carry_out(run_model("m", [HERE, HERE], [HERE, HERE], 7), store)
    assert f"LOAD 1 {HERE} PERSIST 1 {HERE} |> AI.MODELEXECUTE" in text(store.asked[0][0])


def test_a_scalar_goes_where_it_belongs() -> None:
    store = ScriptedStore([[OK, np.array(3.0)]], [OK], shards=CLUSTER)
    carry_out(run_script("s", "f", [HERE], [OTHER], 7), store)
    assert words(store.asked[1][0])[:-1] == ["AI.TENSORSET", OTHER, "DOUBLE", "BLOB"]


def test_a_shard_with_two_ranges_of_slots_is_one_shard() -> None:
    shards = (*CLUSTER[:2], replace(CLUSTER[2], address=CLUSTER[0].address))
    store = ScriptedStore([[OK]], shards=shards)
    carry_out(run_model("m", [HERE, THIRD], [name_on(2, "y")], 7), store)
    assert f"LOAD 2 {HERE} {THIRD} PERSIST 1" in text(store.asked[0][0])


@pytest.mark.parametrize(
    "reply", [MOVED, refusal("ERR model key is empty", ""), [refusal("ERR model key is empty", "")]]
)
def test_when_slots_have_moved_the_run_finds_its_way_without_knowing_where(reply: Any) -> None:
    store = ScriptedStore([reply], [X], [[OK, OK, Y]], [OK], shards=CLUSTER)
    carry_out(run_model("m", [OTHER], [name_on(1, "y")], 7), store)
    _, fetch, (run,), keep = store.asked
    assert [text(request) for request in fetch] == [f"AI.TENSORGET {OTHER} META BLOB"]
    assert text(run).startswith(f"AI.DAGEXECUTE ROUTING {{\0\0}}.m TIMEOUT 7 |> AI.TENSORSET {OTHER} FLOAT")
    assert isinstance(run, Command)
    assert (run.key, run.shard) == (b"{\0\0}.m", None)
    assert len(keep) == 1


def test_a_failure_says_what_was_to_be_run_on_what() -> None:
    failure = refusal("ERR tensor key is empty or in a different shard", "")
    with pytest.raises(
        RedisRuntimeError, match=r"tensor key is empty.*'m' with inputs \[x, z\] and outputs \[y\]"
    ) as caught:
        carry_out(run_model("m", ["x", "z"], ["y"], 7), ScriptedStore([failure]))
    assert caught.value.key == "m"
    assert caught.value.reply == failure.reply


def test_an_input_that_is_missing_elsewhere_ends_the_run_before_it_begins() -> None:
    failure = refusal("ERR tensor key is empty or in a different shard", OTHER)
    store = ScriptedStore([failure], shards=CLUSTER)
    with pytest.raises(RedisRuntimeError, match="tensor key is empty"):
        carry_out(run_model("m", [HERE, OTHER], ["y"], 7), store)
    assert len(store.asked) == 1


def test_what_fails_within_the_run_is_raised_and_nothing_is_stored_elsewhere() -> None:
    store = ScriptedStore([[refusal("the model is not amused", ""), b"NA"]], shards=CLUSTER)
    with pytest.raises(RedisRuntimeError, match="not amused"):
        carry_out(run_model("m", [HERE], [OTHER], 7), store)
    assert len(store.asked) == 1


def test_an_output_that_cannot_be_stored_is_raised() -> None:
    store = ScriptedStore([[OK, Y]], [refusal("WRONGTYPE", OTHER)], shards=CLUSTER)
    with pytest.raises(RedisRuntimeError, match="WRONGTYPE"):
        carry_out(run_model("m", [HERE], [OTHER], 7), store)


@pytest.mark.parametrize("reply", [OK, [], [OK], [OK, OK], [OK, Y, Y]])
def test_a_reply_that_makes_no_sense_is_an_error(reply: Any) -> None:
    with pytest.raises(RedisInternalError):
        carry_out(run_model("m", [HERE], [OTHER], 7), ScriptedStore([reply], shards=CLUSTER))


def test_the_names_of_these_tests_are_where_they_are_said_to_be() -> None:
    for name, shard in zip((HERE, OTHER, THIRD), CLUSTER, strict=True):
        assert shard.slots[0] <= key_slot(name.encode()) <= shard.slots[1]
