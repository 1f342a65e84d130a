"""What calls about models say, word for word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripted_store import CLUSTER, ScriptedStore
from smartsim.app.client import models, programs
from smartsim.app.client.calls import Call, carry_out
from smartsim.domain.client_errors import RedisInternalError, RedisRuntimeError, refusal
from smartsim.ports.tensor_store import Command, Request, Word

OK = b"OK"
LARGE = bytes(range(256)) * 8192  # two megabytes


def words(request: Request) -> tuple[bytes, ...]:
    """Return the words of a command, arrays as their bytes."""
    assert isinstance(request, Command)
    return tuple(word if isinstance(word, bytes) else np.asarray(word).tobytes() for word in request.words)


def told(call: Call[Any], *rounds: list[Any], shards: Any = None) -> list[list[tuple[bytes, ...]]]:
    """Return what a call says when it is answered so."""
    store = ScriptedStore(*rounds) if shards is None else ScriptedStore(*rounds, shards=shards)
    carry_out(call, store)
    return [[words(request) for request in requests] for requests in store.asked]


def test_a_model_is_stored_with_nothing_that_was_not_asked_for() -> None:
    options = models.model_options("torch")
    assert told(models.set_model("m", b"blob", options, "cpu"), [OK]) == [
        [(b"AI.MODELSTORE", b"m", b"TORCH", b"CPU", b"BLOB", b"blob")]
    ]


def test_options_stand_in_the_order_of_the_protocol() -> None:
    options = models.model_options("TF", 8, 2, 10, "v1", ["a", "b"], "c")
    ((store,),) = told(models.set_model("m", "blob", options, "GPU:1"), [OK])
    assert b" ".join(store) == (
        b"AI.MODELSTORE m TF GPU:1 TAG v1 BATCHSIZE 8 MINBATCHSIZE 2 MINBATCHTIMEOUT 10 INPUTS 2 a b OUTPUTS 1 c "
        b"BLOB blob"
    )


def test_the_answer_may_take_as_long_as_the_check_of_a_worker() -> None:
    store = ScriptedStore([OK])
    carry_out(models.set_model("m", b"blob", models.model_options("TORCH")), store)
    ((command,),) = store.asked
    assert isinstance(command, Command)
    assert command.changes
    assert command.patience >= 300


@pytest.mark.parametrize(
    "model", [b"blob", bytearray(b"blob"), memoryview(b"blob"), "blob", np.frombuffer(b"blob", np.uint8)]
)
def test_a_model_is_bytes_or_text(model: Any) -> None:
    ((store,),) = told(models.set_model("m", model, models.model_options("TORCH")), [OK])
    assert store[-1] == b"blob"


def test_a_large_model_goes_in_the_parts_that_the_database_takes_and_is_not_copied() -> None:
    store = ScriptedStore([1_000_000], [OK])
    carry_out(models.set_model("m", LARGE, models.model_options("TORCH")), store)
    (question,), (command,) = store.asked
    assert words(question) == (b"AI.CONFIG", b"GET", b"MODEL_CHUNK_SIZE")
    assert isinstance(command, Command)
    parts: tuple[Word, ...] = command.words[5:]
    assert b"".join(map(bytes, parts)) == LARGE
    assert [len(part) for part in parts] == [1_000_000, 1_000_000, len(LARGE) - 2_000_000]
    memory = np.frombuffer(LARGE, np.uint8)
    assert all(np.shares_memory(memory, part) for part in parts if isinstance(part, np.ndarray))
    assert not any(isinstance(part, bytes) for part in parts)


def test_all_shards_are_asked_and_the_smallest_part_counts() -> None:
    asked = told(
        models.set_model("m", LARGE, models.model_options("TORCH")), [10**9, 1_500_000, 10**9], [OK] * 3, shards=CLUSTER
    )
    assert len(asked[0]) == 3
    assert all(len(store) == 5 + 2 for store in asked[1])


def test_parts_of_no_bytes_are_an_error() -> None:
    with pytest.raises(RedisInternalError, match="0 bytes"):
        told(models.set_model("m", LARGE, models.model_options("TORCH")), [0])


def test_in_a_cluster_every_shard_stores_a_model_under_a_key_of_its_own() -> None:
    (round_trip,) = told(models.set_model("m", b"blob", models.model_options("ONNX")), [OK] * 3, shards=CLUSTER)
    assert [store[1] for store in round_trip] == [b"{\0\0}.m", b"{8M}.m", b"{\xed\xeb}.m"]
    (round_trip,) = told(models.delete_model("m"), [OK] * 3, shards=CLUSTER)
    assert round_trip == [(b"AI.MODELDEL", key) for key in (b"{\0\0}.m", b"{8M}.m", b"{\xed\xeb}.m")]


def test_a_shard_that_refuses_is_named() -> None:
    refused = refusal("ERR no worker for CPU runs ONNX", "")
    call = models.set_model("m", b"blob", models.model_options("ONNX"))
    with pytest.raises(RedisRuntimeError, match=r"no worker for CPU runs ONNX.*m on db:7001, and for no other copy"):
        told(call, [OK, refused, OK], shards=CLUSTER)


def test_when_all_shards_refuse_the_answer_of_one_will_do() -> None:
    refused = refusal("ERR model key is empty", "m")
    with pytest.raises(RedisRuntimeError, match=r"model key is empty; there is no such model[^;]*$"):
        told(models.delete_model("m"), [refused] * 3, shards=CLUSTER)


def test_the_copies_for_gpus_are_those_that_runs_look_for() -> None:
    asked = told(models.set_model_multigpu("m", b"blob", models.model_options("TORCH"), 1, 2), [OK], [OK], [OK])
    assert [(store[1], store[3]) for (store,) in asked] == [
        (b"m.GPU:1", b"GPU:1"),
        (b"m.GPU:2", b"GPU:2"),
        (b"m", b"GPU"),
    ]
    keys = {told(models.run_model_multigpu("m", n, 1, 2, ["x"], ["y"], 9), [OK])[0][0][1] for n in range(-9, 9)}
    assert keys == {b"m.GPU:1", b"m.GPU:2"}
    ((*deleted,),) = told(models.delete_model_multigpu("m", 1, 2), [OK] * 3)
    assert [delete[1] for delete in deleted] == [b"m.GPU:1", b"m.GPU:2", b"m"]


def test_after_a_gpu_that_refuses_no_other_is_sent_the_model() -> None:
    with pytest.raises(RedisRuntimeError, match="no worker serves the device GPU:0"):
        told(
            models.set_model_multigpu("m", b"blob", models.model_options("TORCH"), 0, 2),
            [refusal("ERR no worker serves the device GPU:0", "")],
        )


def test_all_copies_are_deleted_even_if_one_is_missing() -> None:
    store = ScriptedStore([OK, refusal("ERR model key is empty", ""), OK])
    with pytest.raises(RedisRuntimeError, match=r"model key is empty.*m\.GPU:1 on db:6379, and for no other copy"):
        carry_out(models.delete_model_multigpu("m", 0, 2), store)
    assert len(store.asked[0]) == 3


def test_a_model_in_parts_is_put_together() -> None:
    assert carry_out(models.get_model("m"), ScriptedStore([[b"ab", b"c", b""]])) == b"abc"
    store = ScriptedStore([b"abc"], shards=CLUSTER)
    assert carry_out(models.get_model("m"), store) == b"abc"
    assert words(store.asked[0][0]) == (b"AI.MODELGET", b"{\0\0}.m", b"BLOB")


def test_existence_is_looked_up_on_the_first_shard() -> None:
    store = ScriptedStore([1], [0], shards=CLUSTER)
    assert carry_out(models.model_exists("m"), store) is True
    assert carry_out(models.model_exists("m"), store) is False
    assert words(store.asked[0][0]) == (b"EXISTS", b"{\0\0}.m")


def test_the_size_of_parts_reaches_all_shards_once() -> None:
    shards = (*CLUSTER, CLUSTER[0])  # one that serves two ranges of slots
    store = ScriptedStore([OK] * 3, shards=shards)
    carry_out(models.set_model_chunk_size(1234), store)
    assert [words(request) for request in store.asked[0]] == [(b"AI.CONFIG", b"MODEL_CHUNK_SIZE", b"1234")] * 3
    assert {request.shard for request in store.asked[0] if isinstance(request, Command)} == {s.address for s in CLUSTER}


# Arguments


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"backend": "KERAS"}, TypeError, "Backend type KERAS unsupported"),
        ({"backend": 3}, TypeError, "Argument backend is of type <class 'int'>, not <class 'str'>"),
        ({"tag": 1}, TypeError, "Argument tag is of type <class 'int'>"),
        ({"batch_size": "1"}, TypeError, "Argument batch_size is of type <class 'str'>, not <class 'int'>"),
        ({"batch_size": -1}, ValueError, "batch_size is -1"),
        ({"min_batch_size": 2}, RedisRuntimeError, "batch_size must be non-zero"),
        ({"min_batch_timeout": 2}, RedisRuntimeError, "batch_size must be non-zero"),
        ({"batch_size": 2, "min_batch_timeout": 2}, RedisRuntimeError, "min_batch_size must be non-zero"),
        ({"inputs": ["x"]}, ValueError, "INPUTS in the model set command is only valid for TF models"),
        ({"outputs": "x"}, ValueError, "OUTPUTS in the model set command is only valid for TF models"),
        ({"inputs": 3}, TypeError, "Argument was of type <class 'int'>, not"),
        ({"inputs": ("x",)}, TypeError, "Argument was of type <class 'tuple'>, not"),
        ({"inputs": [3]}, TypeError, "inputs has 3 of type <class 'int'> in it"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        models.model_options(**{"backend": "TORCH", **options})


OPTIONS = models.ModelOptions(b"TORCH", ())


@pytest.mark.parametrize(
    ("call", "arguments", "error", "message"),
    [
        (
            models.set_model,
            (
                "m",
                b"",
                OPTIONS,
                "XPU",
            ),
            TypeError,
            "must start with either CPU or GPU",
        ),
        (
            models.set_model,
            (
                "m",
                b"",
                OPTIONS,
                1,
            ),
            TypeError,
            "Argument device is of type <class 'int'>",
        ),
        (
            models.set_model,
            (
                "m",
                b"",
                OPTIONS,
                "CPU:1",
            ),
            RedisRuntimeError,
            "CPU:1 is not a valid device",
        ),
        (
            models.set_model,
            (
                "m",
                b"",
                OPTIONS,
                "GPUx",
            ),
            RedisRuntimeError,
            "GPUx is not a valid device",
        ),
        (
            models.set_model,
            (
                "m",
                5,
                OPTIONS,
            ),
            TypeError,
            "Argument model is of type <class 'int'>",
        ),
        (
            models.set_model,
            (
                "m",
                None,
                OPTIONS,
            ),
            TypeError,
            "Argument model is of type <class 'NoneType'>",
        ),
        (
            models.set_model_multigpu,
            (
                "m",
                b"",
                OPTIONS,
                -1,
                2,
            ),
            ValueError,
            "first_gpu .* but it is -1",
        ),
        (
            models.set_model_multigpu,
            (
                "m",
                b"",
                OPTIONS,
                0,
                0,
            ),
            ValueError,
            "num_gpus .* but it is 0",
        ),
        (
            models.delete_model_multigpu,
            (
                "m",
                -1,
                1,
            ),
            ValueError,
            "first_gpu .* but it is -1",
        ),
        (
            models.run_model_multigpu,
            (
                "m",
                0,
                0,
                0,
                [],
                [],
                1,
            ),
            ValueError,
            "num_gpus .* but it is 0",
        ),
        (
            models.run_model_multigpu,
            (
                "m",
                "0",
                0,
                1,
                [],
                [],
                1,
            ),
            TypeError,
            "Argument offset is of type",
        ),
        (models.set_model_chunk_size, ("1",), TypeError, "Argument chunk_size is of type"),
    ],
)
def test_arguments_are_looked_at_before_anything_is_sent(
    call: Callable[..., Call[Any]], arguments: tuple[Any, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        next(call(*arguments))


def test_waiting_for_batches_without_end_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    models.model_options("TORCH", batch_size=4, min_batch_size=2)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("WARNING: min_batch_timeout was not set")
    models.model_options("TORCH", batch_size=4, min_batch_size=2, min_batch_timeout=1)
    assert capsys.readouterr().err == ""


@given(st.none() | st.text() | st.lists(st.text()))
def test_names_are_a_list(value: Any) -> None:
    assert programs.names(value, "inputs") == ([] if value is None else [value] if isinstance(value, str) else value)


def test_a_file_is_read_or_missed_under_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.pt").write_bytes(b"blob")
    assert programs.read_file("model.pt", "model_file") == b"blob"
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}/missing.pt"):
        programs.read_file("missing.pt", "model_file")
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        programs.read_file(".", "model_file")
    with pytest.raises(TypeError, match="Argument model_file is of type"):
        programs.read_file(3, "model_file")  # type: ignore[arg-type]
