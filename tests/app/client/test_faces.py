"""The three ways of carrying out a call: waiting for it, awaiting it, and together with others."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from servers import Server, scripted_server
from smartsim.adapters.tensors.in_memory import AsyncInMemoryTensorStore, InMemoryTensorStore
from smartsim.app.client.interface import Interface
from smartsim.client import (
    AsyncClient,
    Client,
    Dataset,
    Pending,
    Pipeline,
    RedisConnectionError,
    RedisDatabaseError,
    RedisKeyError,
    RedisRuntimeError,
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("SSDB", "SR_DB_TYPE", "SSKEYIN", "SSKEYOUT"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.fixture(params=["fake", "tcp", "unix"])
def client(request: pytest.FixtureRequest, server: Server) -> Iterator[Client]:
    if request.param == "fake":
        yield Client(store=InMemoryTensorStore())
        return
    with Client(cluster=False, address=str(getattr(server, request.param))) as client:
        client.flush_db([str(getattr(server, request.param))])
        yield client


@pytest.fixture(params=["fake", "tcp", "unix"])
def make_async(request: pytest.FixtureRequest, server: Server) -> Callable[[], AsyncClient]:
    if request.param == "fake":
        store = InMemoryTensorStore()
        return lambda: AsyncClient(store=AsyncInMemoryTensorStore(store))
    address = str(getattr(server, request.param))
    with Client(cluster=False, address=address) as client:
        client.flush_db([address])
    return lambda: AsyncClient(cluster=False, address=address)


CALLS = sorted(name for name, _ in inspect.getmembers(Interface, inspect.isfunction) if not name.startswith("_"))
WAITING = {name for name in CALLS if name.startswith("poll_")}
ADMINISTRATION = {
    "get_db_node_info",
    "get_db_cluster_info",
    "get_ai_info",
    "flush_db",
    "config_get",
    "config_set",
    "save",
}


def parameters(method: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(method).parameters.values())


@pytest.mark.parametrize("name", CALLS)
def test_the_faces_have_the_same_calls_with_the_same_arguments_and_words(name: str) -> None:
    faces: list[type] = [Client, AsyncClient]
    if name not in WAITING | ADMINISTRATION:
        faces.append(Pipeline)
    for face in faces:
        method = getattr(face, name)
        assert parameters(method) == parameters(getattr(Interface, name))
        assert method.__doc__ == getattr(Interface, name).__doc__
        assert "Call[" not in str(inspect.signature(method).return_annotation)
    assert inspect.iscoroutinefunction(getattr(AsyncClient, name))


# --- asyncio


def dataset(name: str, value: float) -> Dataset:
    made = Dataset(name)
    made.add_tensor("x", np.full(3, value))
    made.add_meta_string("kind", "test")
    return made


def test_an_asyncio_client_does_what_the_other_does(make_async: Callable[[], AsyncClient]) -> None:
    async def work() -> None:
        async with make_async() as client:
            await client.put_tensor("t", np.arange(6).reshape(2, 3))
            assert (await client.get_tensor("t")).tolist() == [[0, 1, 2], [3, 4, 5]]
            await client.rename_tensor("t", "u")
            assert not await client.tensor_exists("t")
            await client.put_dataset(dataset("d", 1.0))
            await client.append_to_list("l", dataset("d", 1.0))
            (read,) = await client.get_datasets_from_list("l")
            assert read.get_tensor("x").tolist() == [1.0, 1.0, 1.0]
            assert read.get_meta_strings("kind") == ["test"]
            with pytest.raises(RedisKeyError, match="AsyncClient.get_dataset execution failed\n"):
                await client.get_dataset("absent")
            with pytest.raises(TypeError, match="Argument name is of type"):
                await client.get_tensor(1)  # type: ignore[arg-type]  # that is the point

    asyncio.run(work())


def test_tasks_wait_side_by_side_on_one_client(make_async: Callable[[], AsyncClient]) -> None:
    async def work() -> None:
        async with make_async() as client, asyncio.timeout(30):
            waiting = [asyncio.create_task(client.poll_tensor(f"t{number}", 1000, 25)) for number in range(20)]
            await asyncio.sleep(0)
            for number in reversed(range(20)):
                await client.put_tensor(f"t{number}", np.zeros(1))
            assert all(await asyncio.gather(*waiting))

    asyncio.run(work())


def test_a_cancelled_call_leaves_a_client_that_works(make_async: Callable[[], AsyncClient]) -> None:
    async def work() -> None:
        async with make_async() as client:
            await client.put_tensor("t", np.arange(3))
            for _ in range(5):
                waiting = asyncio.create_task(client.poll_key("never", 1000, 2))
                await asyncio.sleep(0.01)  # long enough for it to be sent; right whether or not it was
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                assert (await client.get_tensor("t")).tolist() == [0, 1, 2]

    asyncio.run(work())


def test_an_asyncio_client_connects_at_its_first_call_and_ends(server: Server) -> None:
    async def work() -> None:
        client = AsyncClient(cluster=False, address=str(server.tcp))
        assert str(client) == f"AsyncClient (Default): {server.tcp}"
        await asyncio.gather(*(client.put_tensor(f"{number}", np.zeros(1)) for number in range(5)))
        await client.close()
        with pytest.raises(RedisDatabaseError, match="closed"):
            await client.get_tensor("0")

    asyncio.run(work())


def test_an_asyncio_client_says_when_there_is_no_database(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(RedisConnectionError, match="SSDB is not set"):
        AsyncClient()
    environment.setenv("SR_CONN_TIMEOUT", "1")
    environment.setenv("SR_CONN_INTERVAL", "1000000")

    async def work() -> None:
        with pytest.raises(RedisConnectionError, match="Could not connect to Orchestrator at unix:///nowhere"):
            await AsyncClient(cluster=False, address="unix:///nowhere").connect()

    asyncio.run(work())


# --- pipelines


def test_a_pipeline_carries_out_its_calls_in_order(client: Client) -> None:
    with client.pipeline() as pipeline:
        for number in range(500):
            pipeline.put_tensor(f"t{number}", np.full((2, 3), number))
        pipeline.put_tensor("t0", np.full(1, -1))
        read = [pipeline.get_tensor(f"t{number}") for number in range(500)]
        there, missing = pipeline.tensor_exists("t7"), pipeline.tensor_exists("absent")
        pipeline.put_bytes("b", b"bytes")
        stored = pipeline.get_bytes("b")
    assert read[0].result().tolist() == [-1]
    assert all((read[number].result() == number).all() for number in range(1, 500))
    assert (there.result(), missing.result(), stored.result()) == (True, False, b"bytes")


def test_a_pipeline_takes_calls_of_several_steps(client: Client) -> None:
    with client.pipeline() as pipeline:
        for number in range(20):
            pipeline.put_dataset(dataset(f"d{number}", number))
            pipeline.append_to_list("l", dataset(f"d{number}", number))
    with client.pipeline() as pipeline:
        read = [pipeline.get_dataset(f"d{number}") for number in range(20)]
        listed = pipeline.get_datasets_from_list("l")
    assert [one.result().get_tensor("x")[0] for one in read] == list(range(20))
    assert [one.get_name() for one in listed.result()] == [f"d{number}" for number in range(20)]


def test_what_fails_in_a_pipeline_stops_nothing_else(client: Client) -> None:
    pending: list[Pending[Any]] = []

    def work() -> None:
        with client.pipeline() as pipeline:
            pending.extend([pipeline.put_tensor("a", np.ones(1)), pipeline.get_tensor("absent")])
            pending.extend([pipeline.get_tensor("a"), pipeline.get_dataset("missing")])

    with pytest.raises(RedisRuntimeError, match=r"Pipeline.get_tensor execution failed\n.*absent"):
        work()
    assert pending[2].result().tolist() == [1.0]
    with pytest.raises(RedisRuntimeError, match="absent"):
        pending[1].result()
    with pytest.raises(RedisKeyError, match="Pipeline.get_dataset execution failed"):
        pending[3].result()


def test_when_the_connection_is_lost_each_call_says_so_of_itself() -> None:
    pending: list[Pending[Any]] = []
    with scripted_server([b"+PONG\r\n", b""]) as server:
        client = Client(cluster=False, address=str(server.address))

        def work() -> None:
            with client.pipeline() as pipeline:
                pending.extend([pipeline.put_bytes("a", b"1"), pipeline.delete_tensor("b")])

        with client, pytest.raises(RedisDatabaseError, match="Pipeline.put_bytes execution failed\n"):
            work()
    with pytest.raises(RedisDatabaseError, match="Pipeline.delete_tensor execution failed\n"):
        pending[1].result()


def test_wrong_arguments_are_refused_where_they_stand(client: Client) -> None:
    def work() -> None:
        with client.pipeline() as pipeline:
            pipeline.put_tensor("first", np.ones(1))
            pipeline.put_tensor("second", "text")

    with pytest.raises(TypeError, match="Argument data is of type"):
        work()
    assert not client.tensor_exists("first")


def test_results_are_not_there_before_the_end(client: Client) -> None:
    with client.pipeline() as pipeline:
        pipeline.put_tensor("t", np.ones(1))
        read = pipeline.get_tensor("t")
        with pytest.raises(RedisRuntimeError, match="not there before the pipeline has been carried out"):
            read.result()
    assert read.result().tolist() == [1.0]


def test_an_empty_pipeline_does_nothing(client: Client) -> None:
    with client.pipeline():
        pass


def test_an_asyncio_pipeline(make_async: Callable[[], AsyncClient]) -> None:
    async def work() -> None:
        async with make_async() as client:
            async with client.pipeline() as pipeline:
                pipeline.put_tensor("t", np.arange(3))
                read = pipeline.get_tensor("t")
            assert read.result().tolist() == [0, 1, 2]
            with pytest.raises(RedisRuntimeError, match="Pipeline.get_tensor execution failed"):
                async with client.pipeline() as pipeline:
                    pipeline.get_tensor("absent")

    asyncio.run(work())


# --- threads


def test_threads_share_a_client(client: Client) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for step in range(50):
                data = np.full(1000 + number, step * 10 + number)
                client.put_tensor(f"t{number}", data)
                assert np.array_equal(client.get_tensor(f"t{number}"), data)
                client.put_dataset(dataset(f"d{number}", step))
                assert client.get_dataset(f"d{number}").get_tensor("x")[0] == step
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert not any(thread.is_alive() for thread in threads)
