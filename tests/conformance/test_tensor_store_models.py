"""What every tensor store answers to the commands for models; the fake has a runtime, a database a worker."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import ml_models
from servers import DEADLINE
from smartsim.domain.client_errors import RedisRuntimeError
from smartsim.ports.model_runtime import WRONG_INPUTS, WRONG_OUTPUTS
from smartsim.ports.tensor_store import Command
from tensor_stores import Store, ask, refused, same, say, tensor_get, tensor_set, together

PATIENCE = 60.0  # s: the first model makes a worker import its framework
MAX_CHUNK = 535_822_336
X = np.arange(8, dtype=np.float32).reshape(2, 4)


def model_store(key: str, *options: str | int, blob: bytes | None = None, device: str = "CPU") -> Command:
    blob = ml_models.affine("ONNX").blob if blob is None else blob
    return say("AI.MODELSTORE", key, "ONNX", device, *options, "BLOB", blob, patience=PATIENCE)


def execute(key: str, inputs: list[str], outputs: list[str], *options: str | int) -> Command:
    words: tuple[str | int, ...] = ("INPUTS", len(inputs), *inputs, "OUTPUTS", len(outputs), *outputs)
    return say("AI.MODELEXECUTE", key, *words, *options, patience=PATIENCE)


def test_a_model_computes(any_store: Store, key: str) -> None:
    model, x, y = f"{key}.model", f"{key}.x", f"{key}.y"
    replies = any_store.run([model_store(model), tensor_set(x, X), execute(model, [x], [y]), tensor_get(y)])
    assert replies[:3] == [b"OK", b"OK", b"OK"]
    assert same(replies[3], X * 2 + 1)
    replies = any_store.run([execute(model, [y], [y], "TIMEOUT", 60_000), tensor_get(y), tensor_get(x)])
    assert same(replies[1], (X * 2 + 1) * 2 + 1)
    assert same(replies[2], X)


def test_a_model_is_told_as_it_was_stored(any_store: Store, key: str) -> None:
    blob = ml_models.affine("ONNX").blob
    options: tuple[str | bytes | int, ...] = ("TAG", b"\1\xff", "BATCHSIZE", 4, "MINBATCHSIZE", 2, "MINBATCHTIMEOUT", 9)
    chunks = ("BLOB", blob[:9], blob[9:])
    assert ask(any_store, "AI.MODELSTORE", key, "ONNX", "cpu", *options, *chunks, patience=PATIENCE) == b"OK"
    meta, both, alone = any_store.run(
        [say("AI.MODELGET", key, "META"), say("AI.MODELGET", key), say("AI.MODELGET", key, "BLOB")]
    )
    assert isinstance(meta, list)
    assert dict(zip(meta[::2], meta[1::2], strict=True)) == {
        b"backend": b"ONNX",
        b"device": b"cpu",
        b"tag": b"\1\xff",
        b"batchsize": 4,
        b"minbatchsize": 2,
        b"minbatchtimeout": 9,
        b"inputs": [b"x"],
        b"outputs": [b"y"],
    }
    assert both == [*meta, b"blob", blob]
    assert alone == blob


def test_a_model_comes_in_chunks(any_store: Store, key: str) -> None:
    blob = ml_models.affine("ONNX").blob
    any_store.run([model_store(key)])
    (shard, *_) = (each for each in any_store.shards() if _has(any_store, each, key))
    where = {"shard": shard.address}
    assert ask(any_store, "AI.CONFIG", "GET", "MODEL_CHUNK_SIZE", **where) == MAX_CHUNK
    try:
        assert ask(any_store, "AI.CONFIG", "MODEL_CHUNK_SIZE", 100, **where) == b"OK"
        assert ask(any_store, "AI.CONFIG", "GET", "MODEL_CHUNK_SIZE", **where) == 100
        chunks = ask(any_store, "AI.MODELGET", key, "BLOB")
        assert b"".join(chunks) == blob
        assert [len(chunk) for chunk in chunks] == [100] * (len(blob) // 100) + [len(blob) % 100]
        ask(any_store, "AI.CONFIG", "MODEL_CHUNK_SIZE", len(blob), **where)
        assert ask(any_store, "AI.MODELGET", key, "BLOB") == [blob, b""]
        for words in (("MODEL_CHUNK_SIZE", 0), ("MODEL_CHUNK_SIZE", "x")):
            assert refused(ask(any_store, "AI.CONFIG", *words, **where), "MODEL_CHUNK_SIZE: invalid chunk size")
    finally:
        ask(any_store, "AI.CONFIG", "MODEL_CHUNK_SIZE", MAX_CHUNK, **where)
    assert refused(ask(any_store, "AI.CONFIG", "FOO", **where), "unsupported subcommand")


def _has(store: Store, shard: Any, key: str) -> bool:
    """Return whether a shard has a key: others refuse to say so."""
    reply = ask(store, "AI.MODELGET", key, "META", shard=shard.address)
    return not isinstance(reply, RedisRuntimeError)


def test_a_model_is_replaced_and_removed(any_store: Store, key: str) -> None:
    model, x = f"{key}.model", f"{key}.x"
    other = ml_models.affine("ONNX", scale=3.0).blob
    any_store.run([model_store(model), model_store(model, blob=other), tensor_set(x, X), execute(model, [x], [x])])
    assert same(any_store.run([tensor_get(x)])[0], X * 3 + 1)
    assert ask(any_store, "AI.MODELDEL", model) == b"OK"
    assert refused(ask(any_store, "AI.MODELDEL", model), "ERR model key is empty")
    assert refused(ask(any_store, "AI.MODELGET", model, "BLOB"), "ERR model key is empty")
    assert refused(any_store.run([execute(model, [x], [x])])[0], "ERR model key is empty")


def test_a_copy_of_a_model_runs(any_store: Store, key: str) -> None:
    model, copy, x = f"{key}.model", f"{key}.copy", f"{key}.x"
    any_store.run([model_store(model), say("COPY", model, copy), say("DEL", model), tensor_set(x, X)])
    assert any_store.run([execute(copy, [x], [x])]) == [b"OK"]
    assert same(any_store.run([tensor_get(x)])[0], X * 2 + 1)


def test_what_is_no_model_is_not_stored(any_store: Store, key: str) -> None:
    (error,) = any_store.run([model_store(key, blob=b"no model")])
    assert isinstance(error, RedisRuntimeError)
    assert ask(any_store, "EXISTS", key) == 0


def test_runs_that_cannot_be_are_refused(any_store: Store, key: str) -> None:
    model, x, y, text = (f"{key}.{name}" for name in ("model", "x", "y", "text"))
    any_store.run([model_store(model), tensor_set(x, X), say("SET", text, "x"), tensor_set(f"{key}.flat", X[0])])
    for request, why in (
        (execute(model, [x, x], [y]), WRONG_INPUTS),
        (execute(model, [x], [y, y]), WRONG_OUTPUTS),
        (execute(model, [f"{key}.none"], [y]), "ERR tensor key is empty"),
        (execute(model, [text], [y]), "WRONGTYPE"),
        (execute(model, [x], [text]), "WRONGTYPE"),
        (execute(text, [x], [y]), "WRONGTYPE"),
        (execute(model, [f"{key}.flat"], [y]), "ERR"),
        (execute(model, [x], [y], "TIMEOUT"), "ERR No value provided for TIMEOUT"),
        (execute(model, [x], [y], "TIMEOUT", 0), "ERR Invalid value for TIMEOUT"),
        (execute(model, [x], [y], "TIMEOUT", "x"), "ERR Invalid value for TIMEOUT"),
        (execute(model, [x], [y], "FOO"), "Invalid argument: FOO"),
        (say("AI.MODELEXECUTE", model, "INPUTS", 0, x, "OUTPUTS", 1, y, 1), "ERR Input count must be a positive"),
        (say("AI.MODELEXECUTE", model, "INPUTS", "x", x, "OUTPUTS", 1, y), "ERR Invalid argument for input_count"),
        (say("AI.MODELEXECUTE", model, "INPUTS", 1, x, "OUTPUTS", 3, y), "ERR number of output keys"),
        (say("AI.MODELEXECUTE", model, "INPUTS", 1, x), "wrong number of arguments for 'AI.MODELEXECUTE'"),
        (say("AI.MODELEXECUTE", model, "FOO", 1, x, "OUTPUTS", 1, y), "ERR INPUTS not specified"),
    ):
        (reply,) = any_store.run([request._replace(key=key.encode())])
        assert refused(reply, why), request
    assert ask(any_store, "EXISTS", y) == 0
    assert ask(any_store, "GET", text) == b"x"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("FOO", "CPU", "BLOB", "x"), "ERR unsupported backend"),
        (("ONNX", "XPU", "BLOB", "x"), "ERR Invalid DEVICE"),
        (("ONNX", "CPU:", "BLOB", "x"), "ERR Invalid DEVICE"),
        (("ONNX", "CPU"), "ERR Insufficient arguments, missing model BLOB"),
        (("ONNX", "CPU", "BLOB"), "ERR Insufficient arguments, missing model BLOB"),
        (("ONNX", "CPU", "TAG"), "ERR Insufficient arguments, missing model BLOB"),
        (("ONNX", "CPU", "FOO", "x"), "ERR Invalid argument, expected BLOB"),
        (("ONNX", "CPU", "BATCHSIZE", "x", "BLOB", "x"), "ERR Invalid argument for BATCHSIZE"),
        (("ONNX", "CPU", "BATCHSIZE", "-1", "BLOB", "x"), "ERR Invalid argument for BATCHSIZE"),
        (("ONNX", "CPU", "MINBATCHSIZE", "1", "BLOB", "x"), "ERR MINBATCHSIZE specified without BATCHSIZE"),
        (
            ("ONNX", "CPU", "BATCHSIZE", "1", "MINBATCHTIMEOUT", "1", "BLOB", "x"),
            "ERR MINBATCHTIMEOUT specified without MINBATCHSIZE",
        ),
        (("ONNX", "CPU", "INPUTS", "1", "x", "BLOB", "x"), "ERR INPUTS argument should not be specified"),
        (("ONNX", "CPU", "OUTPUTS", "1", "x", "BLOB", "x"), "ERR OUTPUTS argument should not be specified"),
        (("TF", "CPU", "BLOB", "x"), "ERR INPUTS not specified for TF"),
        (("TF", "CPU", "INPUTS", "1", "x", "BLOB", "x"), "ERR OUTPUTS not specified for TF"),
        (("TF", "CPU", "INPUTS", "0", "BLOB", "x"), "ERR Invalid argument for input_count"),
        (("TF", "CPU", "INPUTS", "9", "x", "BLOB", "x"), "ERR number of model inputs does not match"),
    ],
)
def test_models_that_cannot_be_are_refused(any_store: Store, words: tuple[str, ...], text: str) -> None:
    assert refused(ask(any_store, "AI.MODELSTORE", "{k}", *words), text)
    assert ask(any_store, "EXISTS", "{k}") == 0


def test_models_are_neither_stored_nor_run_within_transactions(any_store: Store, key: str) -> None:
    model, x = f"{key}.model", f"{key}.x"
    any_store.run([model_store(model), tensor_set(x, X)])
    other = model_store(f"{key}.other")
    (replies,) = any_store.run([together(execute(model, [x], [x]), other, say("AI.MODELGET", model, "BLOB"))])
    assert isinstance(replies, list)
    for reply in replies[:2]:
        assert refused(reply, "ERR Cannot run RedisAI command within a transaction")
    assert replies[2] == ml_models.affine("ONNX").blob
    assert same(any_store.run([tensor_get(x)])[0], X)


def test_models_run_for_many_callers(any_store: Store, key: str) -> None:
    model = f"{key}.model"
    any_store.run([model_store(model)])
    begin = threading.Barrier(4)

    def work(number: int) -> bool:
        x, data = f"{key}.{number}", np.full((number + 1, 4), number, np.float32)
        begin.wait(DEADLINE)
        for _ in range(10):
            replies = any_store.run([tensor_set(x, data), execute(model, [x], [x]), tensor_get(x)])
            if not same(replies[2], data * 2 + 1):
                return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(work, range(4), timeout=DEADLINE))


def test_scripts_that_are_not_there_are_refused(any_store: Store, key: str) -> None:
    assert refused(ask(any_store, "AI.SCRIPTGET", key, "SOURCE"), "ERR script key is empty")
    assert refused(ask(any_store, "AI.SCRIPTDEL", key), "ERR script key is empty")
