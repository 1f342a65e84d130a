"""What is particular to the in-memory tensor store; what it shares with the others is in their conformance suites."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from servers import DEADLINE
from smartsim.domain.client_errors import RedisDatabaseError
from smartsim.ports.tensor_store import Request
from smartsim.testing import AffineRuntime, AffineSerializer, AsyncInMemoryTensorStore, InMemoryTensorStore
from tensor_stores import LONG, UNTIL_IT_WAITS, ask, refused, same, say, tensor_get, tensor_set, wait_for


def affine_model() -> bytes:
    from smartsim.adapters.ml.affine import Affine

    return AffineSerializer().serialize(Affine(2, 1)).blob


def test_it_has_one_shard_and_no_prefix() -> None:
    (shard,) = InMemoryTensorStore().shards()
    assert (shard.slots, shard.prefix) == ((0, 16383), b"")


def test_two_stores_share_nothing() -> None:
    one, other = InMemoryTensorStore(), InMemoryTensorStore()
    one.put(b"a", np.zeros(1))
    assert ask(other, "EXISTS", "a") == 0


def test_models_are_kept_without_a_runtime_and_not_run() -> None:
    store = InMemoryTensorStore()
    assert ask(store, "AI.MODELSTORE", "m", "TORCH", "GPU:1", "BLOB", b"anything") == b"OK"
    assert ask(store, "AI.MODELGET", "m", "BLOB") == b"anything"
    store.put(b"x", np.zeros(1))
    reply = ask(store, "AI.MODELEXECUTE", "m", "INPUTS", 1, "x", "OUTPUTS", 1, "y")
    assert refused(reply, "InMemoryTensorStore(AffineRuntime())")
    assert ask(store, "EXISTS", "y") == 0


def test_models_need_their_runtime_and_device() -> None:
    store = InMemoryTensorStore(AffineRuntime("TORCH"))
    assert refused(ask(store, "AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", affine_model()), "TORCH, not ONNX")
    assert refused(ask(store, "AI.MODELSTORE", "m", "TORCH", "GPU:1", "BLOB", affine_model()), "GPU:1 requested")
    assert refused(ask(store, "AI.MODELSTORE", "m", "TORCH", "GPU", "BLOB", affine_model()), "GPU:0 requested")


def test_the_toy_runtime_runs_models() -> None:
    store = InMemoryTensorStore(AffineRuntime())
    replies = store.run(
        [
            say("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", affine_model()),
            tensor_set("x", np.arange(3.0)),
            say("AI.MODELEXECUTE", "m", "INPUTS", 1, "x", "OUTPUTS", 1, "y"),
            tensor_get("y"),
        ]
    )
    assert replies[:3] == [b"OK"] * 3
    assert same(replies[3], np.arange(3.0) * 2 + 1)


def test_names_of_inputs_and_outputs_are_told_as_given() -> None:
    store = InMemoryTensorStore(AffineRuntime("TF"))
    names = ("INPUTS", 1, "in", "OUTPUTS", 1, "out")
    assert ask(store, "AI.MODELSTORE", "m", "TF", "CPU", *names, "BLOB", affine_model()) == b"OK"
    meta = ask(store, "AI.MODELGET", "m", "META")
    assert meta[meta.index(b"inputs") + 1] == [b"in"]
    assert meta[meta.index(b"outputs") + 1] == [b"out"]


def test_scripts_are_kept_and_not_run() -> None:
    store, execute = InMemoryTensorStore(), ("AI.SCRIPTEXECUTE", "s", "f", "INPUTS", 0, "OUTPUTS", 0)
    source = b"def f(x): return x"
    assert refused(ask(store, *execute), "ERR script key is empty")
    assert ask(store, "AI.SCRIPTSET", "s", "CPU", "TAG", "v1", "SOURCE", source) == b"OK"
    assert ask(store, "AI.SCRIPTGET", "s", "SOURCE") == source
    meta = [b"device", b"CPU", b"tag", b"v1", b"Entry Points", []]
    assert ask(store, "AI.SCRIPTGET", "s", "META") == meta
    assert ask(store, "AI.SCRIPTGET", "s") == [*meta, b"source", source]
    assert refused(ask(store, *execute), "the in-memory store runs no scripts")
    assert ask(store, "AI.SCRIPTDEL", "s") == b"OK"
    assert ask(store, "EXISTS", "s") == 0


def test_what_is_no_script_is_refused() -> None:
    store = InMemoryTensorStore()
    assert refused(ask(store, "AI.SCRIPTSET", "s", "TPU", "SOURCE", "text"), "ERR Invalid DEVICE")
    assert refused(ask(store, "AI.SCRIPTSET", "s", "CPU", "TEXT", "text"), "missing script SOURCE")
    assert ask(store, "AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", b"anything") == b"OK"
    assert refused(ask(store, "AI.SCRIPTSET", "m", "CPU", "SOURCE", "text"), "WRONGTYPE")
    assert ask(store, "AI.SCRIPTSET", "s", "CPU", "SOURCE", "text") == b"OK"
    assert refused(ask(store, "AI.SCRIPTGET", "s", "BLOB"), "unsupported data format")
    assert refused(ask(store, "AI.MODELGET", "s", "BLOB"), "WRONGTYPE")


def test_closing_ends_the_calls_that_wait() -> None:
    store = InMemoryTensorStore()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(store.run, [wait_for(LONG, "EXISTS", "a")])
        with pytest.raises(TimeoutError):
            waiting.result(UNTIL_IT_WAITS)
        store.close()
        with pytest.raises(RedisDatabaseError, match="closed"):
            waiting.result(DEADLINE)
    with pytest.raises(RedisDatabaseError, match="closed"):
        store.shards()


def test_a_thread_ends_the_wait_of_a_task_and_the_other_way_round() -> None:
    store = InMemoryTensorStore()

    async def run_both() -> None:
        async_store = AsyncInMemoryTensorStore(store)
        with ThreadPoolExecutor(1) as threads:
            task = asyncio.create_task(async_store.run([wait_for(LONG, "EXISTS", "a")]))
            await asyncio.wait([task], timeout=UNTIL_IT_WAITS)
            assert threads.submit(ask, store, "SET", "a", "x").result(DEADLINE) == b"OK"
            assert await task == [1]
            wait: list[Request] = [wait_for(LONG, "EXISTS", "b")]
            thread = threads.submit(store.run, wait)
            await async_store.run([say("SET", "b", "x")])
            assert await asyncio.wrap_future(thread) == [1]

    asyncio.run(asyncio.wait_for(run_both(), DEADLINE))


def test_tasks_that_wait_take_no_threads() -> None:
    async def wait() -> int:
        store = AsyncInMemoryTensorStore()
        tasks = [asyncio.create_task(store.run([wait_for(LONG, "EXISTS", "a")])) for _ in range(100)]
        await asyncio.wait(tasks, timeout=UNTIL_IT_WAITS)
        threads = threading.active_count()
        await store.close()
        for failure in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(failure, RedisDatabaseError)
        return threads

    assert asyncio.run(asyncio.wait_for(wait(), DEADLINE)) == threading.active_count()
