"""Streams of datasets: what is published, who gets it, and when it goes."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pytest

from smartsim.adapters.tensors.in_memory import AsyncInMemoryTensorStore, InMemoryTensorStore
from smartsim.app.client.async_stream import AsyncStream
from smartsim.app.client.calls import Call, carry_out_async
from smartsim.app.client.dataset import Dataset
from smartsim.app.client.stream import Stream
from smartsim.app.client.streams import find_keys
from smartsim.domain.client_errors import RedisRuntimeError, RedisTimeoutError
from smartsim.domain.keys import Prefixes
from smartsim.domain.slots import key_slot
from smartsim.ports.tensor_store import Command, TensorStore
from streams import DEADLINE, ask, drain, keys_left, number_of, publish, sample, stream_of

_T = TypeVar("_T")


# --- one producer, one consumer


def test_datasets_come_as_they_were_published_and_in_that_order(stream: Stream) -> None:
    publish(stream, *range(5))
    stream.end()
    consumer = stream.consume(timeout=DEADLINE)
    for number, dataset in enumerate(consumer):
        assert dataset.get_name() == f"sample {number}"
        assert np.array_equal(dataset.get_tensor("x"), np.full((2, 3), float(number)))
        assert dataset.get_tensor_names() == ["x", "y.z"]
        assert dataset.get_meta_strings("text") == ["some"]
        assert number_of(dataset) == number
    assert number == 4
    assert consumer.get() is None


def test_a_dataset_may_be_published_again_and_even_be_empty(stream: Stream) -> None:
    dataset = Dataset("same")
    stream.publish(dataset)
    dataset.add_meta_scalar("number", 1)
    stream.publish(dataset)
    stream.end()
    fields = [dataset.get_metadata_field_names() for dataset in stream.consume(timeout=DEADLINE)]
    assert fields == [[], ["number"]]


def test_who_waits_for_a_dataset_gets_it_when_it_is_published(stream: Stream) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(stream.consume(timeout=DEADLINE).get)
        publish(stream, 7)
        assert number_of(waiting.result(DEADLINE)) == 7


def test_the_end_wakes_all_who_wait(stream: Stream) -> None:
    consumers = [stream.consume(group, timeout=DEADLINE) for group in ("a", "a", "a", "b")]
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(drain, consumer) for consumer in consumers]
        publish(stream, 1, 2)
        stream.end()
        seen = [each.result(DEADLINE) for each in waiting]
    assert sorted(seen[0] + seen[1] + seen[2]) == [1, 2]
    assert seen[3] == [1, 2]


def test_a_stream_that_has_ended_takes_nothing_more_until_it_is_deleted(store: TensorStore, stream: Stream) -> None:
    publish(stream, 1)
    stream.end()
    with pytest.raises(RedisRuntimeError, match="'samples' has ended: use another name, or delete") as raised:
        publish(stream, 2)
    assert raised.value.method == "Stream.publish"
    assert drain(stream.consume("late", timeout=DEADLINE)) == [1]
    stream.delete()
    stream.delete()
    assert not keys_left(store)
    publish(stream, 3)
    assert number_of(stream.consume(timeout=DEADLINE).get()) == 3


def test_to_delete_a_stream_removes_what_nobody_consumed(store: TensorStore, stream: Stream) -> None:
    stream.consume("nobody")
    publish(stream, 1, 2)
    stream.delete()
    assert not keys_left(store)


def test_a_dataset_is_removed_when_it_is_acknowledged_and_not_before(store: TensorStore, stream: Stream) -> None:
    publish(stream, 1)
    with stream.consume(timeout=DEADLINE) as consumer:
        assert number_of(consumer.get()) == 1
        assert len(keys_left(store)) == 4
        consumer.acknowledge()
        assert keys_left(store) == {b"samples"}
    assert ask(store, b"XLEN", b"samples") == 0


def test_everything_about_a_stream_is_in_one_slot(store: TensorStore, stream: Stream) -> None:
    publish(stream, 1)
    stream.end()
    assert {key_slot(key) for key in keys_left(store)} == {key_slot(b"samples")}


# --- limits


def test_who_publishes_more_than_fits_waits_until_one_is_done(store: TensorStore) -> None:
    stream = stream_of(store, capacity=2)
    consumer = stream.consume(timeout=DEADLINE)
    publish(stream, 1, 2)
    assert number_of(consumer.get()) == 1
    with pytest.raises(RedisTimeoutError, match=r"'samples' has been full for 0.01 s: 2 datasets") as raised:
        stream.publish(sample(3), timeout=0.01)
    assert raised.value.method == "Stream.publish"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(publish, stream, 3)
        assert not waiting.done()
        assert number_of(consumer.get()) == 2
        waiting.result(DEADLINE)
    assert number_of(consumer.get()) == 3
    stream.end()
    assert consumer.get() is None


def test_a_fast_producer_never_runs_far_ahead_of_a_slow_consumer(store: TensorStore) -> None:
    stream = stream_of(store, capacity=3)
    consumer = stream.consume(timeout=DEADLINE)

    def produce() -> None:
        publish(stream, *range(20))
        stream.end()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(produce)
        lengths = []
        for number, dataset in enumerate(consumer):
            lengths.append(ask(store, b"XLEN", b"samples"))
            assert number_of(dataset) == number
        done.result(DEADLINE)
    assert len(lengths) == 20
    assert max(length for length in lengths if isinstance(length, int)) <= 4  # the end wakes one, too


@pytest.mark.parametrize("timeout", [0, 0.02])
def test_to_wait_in_vain_is_an_error_after_which_the_consumer_goes_on(stream: Stream, timeout: float) -> None:
    consumer = stream.consume(timeout=timeout)
    with pytest.raises(RedisTimeoutError, match=r"No dataset came through the stream 'samples' in 0\S* s") as raised:
        consumer.get()
    assert raised.value.method == "Consumer.get"
    publish(stream, 1)
    assert number_of(consumer.get()) == 1


# --- groups


def test_each_group_sees_everything_and_then_it_is_removed(store: TensorStore, stream: Stream) -> None:
    one, other = stream.consume("trainer", timeout=DEADLINE), stream.consume("monitor", timeout=DEADLINE)
    publish(stream, 1, 2, 3)
    stream.end()
    assert drain(one) == [1, 2, 3]
    assert len([key for key in keys_left(store) if key.endswith(b".meta")]) == 3
    assert drain(other) == [1, 2, 3]
    assert not [key for key in keys_left(store) if key.endswith((b".meta", b".x", b".z"))]


def test_consumers_of_a_group_share_the_work(stream: Stream) -> None:
    consumers = [stream.consume(timeout=DEADLINE) for _ in range(3)]
    publish(stream, *range(30))
    stream.end()
    with ThreadPoolExecutor(3) as pool:
        seen = list(pool.map(drain, consumers))
    assert sorted(number for numbers in seen for number in numbers) == list(range(30))


def test_a_group_that_nobody_serves_can_be_removed(store: TensorStore) -> None:
    stream = stream_of(store, capacity=1)
    stream.consume("nobody")
    served = stream.consume("served", timeout=DEADLINE)
    publish(stream, 1)
    assert number_of(served.get()) == 1
    served.acknowledge()
    with pytest.raises(RedisTimeoutError, match="remove a group"):
        stream.publish(sample(2), timeout=0)
    stream.remove_group("nobody")
    stream.remove_group("nobody")
    publish(stream, 2)
    assert number_of(served.get()) == 2


def test_a_late_group_gets_what_is_still_there(stream: Stream) -> None:
    early = stream.consume("early", timeout=DEADLINE)
    publish(stream, 1, 2, 3)
    early.get()
    early.get()
    late = stream.consume("late", timeout=DEADLINE)
    assert number_of(late.get()) == 2
    assert number_of(early.get()) == 3
    assert number_of(late.get()) == 3


def test_prefixes_part_the_streams_of_ensemble_members(store: TensorStore) -> None:
    member = stream_of(store, prefixes=Prefixes(destination="sim_0"))
    publish(member, 1)
    plain = stream_of(store).consume(timeout=0)
    with pytest.raises(RedisTimeoutError):
        plain.get()
    reader = stream_of(store, prefixes=Prefixes.parse("sim_0", "train"))
    assert number_of(reader.consume(timeout=DEADLINE).get()) == 1


# --- arguments


@pytest.mark.parametrize("name", ["", "{a}", "a{", "}"])
def test_names_that_would_be_apart_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="give a stream a name, without braces"):
        find_keys(Prefixes(), name)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"group": ""}, ValueError, "Argument group is empty"),
        ({"group": None}, TypeError, "Argument group is of type"),
        ({"consumer": ""}, ValueError, "Argument consumer is empty"),
        ({"consumer": 1}, TypeError, "Argument consumer is of type"),
        ({"timeout": -1}, ValueError, "Argument timeout is -1"),
        ({"timeout": float("nan")}, ValueError, "Argument timeout is nan"),
        ({"timeout": "1"}, TypeError, "Argument timeout is of type"),
        ({"timeout": True}, TypeError, "Argument timeout is of type"),
        ({"reclaim_after": 0}, ValueError, "Argument reclaim_after is 0"),
        ({"reclaim_after": -1}, ValueError, "Argument reclaim_after is -1"),
        ({"reclaim_after": None}, TypeError, "Argument reclaim_after is of type"),
    ],
)
def test_arguments_of_consumers_are_checked(
    stream: Stream, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        stream.consume(**arguments)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda stream: stream.publish("dataset"), TypeError, "Argument dataset is of type <class 'str'>"),
        (lambda stream: stream.publish(sample(1), timeout=-1), ValueError, "Argument timeout is -1"),
        (lambda stream: stream.remove_group(""), ValueError, "Argument group is empty"),
    ],
)
def test_so_are_those_of_producers(store: TensorStore, call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(stream_of(store))
    assert not keys_left(store)


@pytest.mark.parametrize("capacity", [0, -1, "1", 1.5])
def test_a_stream_has_room_for_one_at_least(store: TensorStore, capacity: Any) -> None:
    with pytest.raises(ValueError if isinstance(capacity, int) else TypeError, match="Argument capacity is"):
        stream_of(store, capacity)


def test_what_is_no_stream_is_an_error(store: TensorStore, stream: Stream) -> None:
    store.run([Command((b"RPUSH", b"samples", b"x"), key=b"samples")])
    for call in (partial(publish, stream, 1), stream.consume, stream.end, stream.delete):
        with pytest.raises(RedisRuntimeError, match="WRONGTYPE"):
            call()
    assert keys_left(store) == {b"samples"}


# --- asyncio


def test_streams_can_be_awaited() -> None:
    async def run() -> list[int]:
        store = AsyncInMemoryTensorStore(InMemoryTensorStore())

        async def carry(call: Call[_T], /) -> _T:
            return await carry_out_async(call, store)

        stream = AsyncStream(find_keys(Prefixes(), "samples"), 2, carry)

        async def produce() -> None:
            for number in range(6):
                await stream.publish(sample(number), timeout=DEADLINE)
            await stream.end()

        producing = asyncio.create_task(produce())
        numbers = [number_of(dataset) async for dataset in await stream.consume(timeout=DEADLINE)]
        await producing
        with pytest.raises(RedisRuntimeError, match="AsyncStream.publish execution failed"):
            await stream.publish(sample(1))
        await stream.remove_group("default")
        await stream.delete()
        await stream.publish(sample(7))
        async with await stream.consume(timeout=0) as consumer:
            numbers.append(number_of(await consumer.get()))
        with pytest.raises(RedisTimeoutError):
            await (await stream.consume(timeout=0)).get()
        return numbers

    assert asyncio.run(run()) == [0, 1, 2, 3, 4, 5, 7]
