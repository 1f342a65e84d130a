"""The client for programs that run an asyncio event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, overload

from smartsim.adapters.tensors.async_resp import AsyncRespTensorStore
from smartsim.adapters.tensors.pool import closed_error
from smartsim.app.client.async_stream import AsyncStream
from smartsim.app.client.calls import Call, carry_out_async, text
from smartsim.app.client.config_options import ConfigOptions
from smartsim.app.client.connecting import (
    WHICH_KIND,
    Target,
    find_prefixes,
    find_target,
    kind_unknown,
    model_timeout,
    read_arguments,
)
from smartsim.app.client.documentation import returning
from smartsim.app.client.interface import Interface
from smartsim.app.client.pipeline import Pipeline
from smartsim.app.client.prefixed import PrefixedClient
from smartsim.app.client.streams import find_keys
from smartsim.domain.client_errors import RedisReplyError
from smartsim.ports.tensor_store import AsyncTensorStore

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _awaited(
    method: Callable[Concatenate[Interface, _P], Call[_T]],
) -> Callable[Concatenate[AsyncClient, _P], Coroutine[Any, Any, _T]]:
    """Return a coroutine method that carries out what a method of the interface says, and returns its result."""

    @wraps(method)
    async def call(self: AsyncClient, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return await self._carry_out(method(self._interface, *args, **kwargs))
        except RedisReplyError as error:
            error.method = f"AsyncClient.{method.__name__}"
            raise

    return returning(call, "{}")


class AsyncClient(PrefixedClient):
    """A connection to the database of an experiment, for programs that run an asyncio event loop.

    It has the calls of `Client`, under the same names and with the same arguments; each is awaited. The constructor
    takes what that of `Client` takes, and connects to nothing yet: the first call does, or `connect`. Several tasks may
    use one client; their calls are carried out side by side.

    Args:
        config_options: as for `Client`.
        cluster: as for `Client`.
        address: as for `Client`.
        logger_name: as for `Client`.
        username: as for `Client`.
        password: as for `Client`.
        store: keep everything there, and connect to nothing: `smartsim.testing.AsyncInMemoryTensorStore`, in tests.
            Closing it is left to whoever made it.

    Raises:
        RedisConnectionError: no database is known.
        ValueError: a number in the environment is not one.
        TypeError: an argument is of another type.

    Example:
        >>> async def read():
        ...     async with AsyncClient(cluster=False, address="127.0.0.1:6379") as client:
        ...         if await client.poll_tensor("field", 100, 600):
        ...             return await client.get_tensor("field")
    """

    @overload
    def __init__(
        self,
        config_options: ConfigOptions | None = None,
        logger_name: str = "Default",
        *,
        username: str | None = None,
        password: str | None = None,
        store: AsyncTensorStore | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self,
        cluster: bool,
        address: str | None = None,
        logger_name: str = "Default",
        *,
        username: str | None = None,
        password: str | None = None,
        store: AsyncTensorStore | None = None,
    ) -> None: ...

    def __init__(
        self,
        *args: Any,
        username: str | None = None,
        password: str | None = None,
        store: AsyncTensorStore | None = None,
        **kwargs: Any,
    ) -> None:
        options, logger_name = read_arguments(args, kwargs)
        super().__init__(logger_name, Interface(find_prefixes(options), model_timeout))
        self._place: AsyncTensorStore | Target
        if store is None:
            self._place = target = find_target(options, username, password)
            self._where = ", ".join(map(str, target.addresses))
        else:
            self._place, self._where = store, type(store).__name__
        self._own_store: AsyncRespTensorStore | None = None
        self._connecting = asyncio.Lock()
        self._closed = False

    def __str__(self) -> str:
        return f"AsyncClient ({self._context}): {self._where}"

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def connect(self) -> None:
        """Connect to the database, unless that has been done.

        Raises:
            RedisConnectionError: it does not answer in time (`SR_CONN_TIMEOUT`).
        """
        await self._connected()

    async def close(self) -> None:
        """Close the connections to the database; calls that follow fail."""
        self._closed = True
        if self._own_store:
            await self._own_store.close()

    def stream(self, name: str, capacity: int = 64) -> AsyncStream:
        """Return a stream of datasets; otherwise as `Client.stream`.

        Example:
            >>> async def train(client):
            ...     async for dataset in await client.stream("samples").consume(group="trainer", timeout=60):
            ...         print(dataset.get_tensor("x").mean())
        """
        return AsyncStream(find_keys(self._interface.prefixes, name), capacity, self._carry_out)

    async def _carry_out(self, call: Call[_T]) -> _T:
        return await carry_out_async(call, await self._connected())

    async def _connected(self) -> AsyncTensorStore:
        if isinstance(self._place, Target):
            async with self._connecting:
                if isinstance(self._place, Target):
                    if self._closed:
                        raise closed_error()
                    self._place = self._own_store = await _connect(self._place)
                    if self._closed:  # meanwhile
                        await self._own_store.close()
        return self._place

    @asynccontextmanager
    async def pipeline(self) -> AsyncIterator[Pipeline]:
        """Carry out many calls in a few round trips: those of the ``async with`` block, when it ends.

        Otherwise as `Client.pipeline`: the calls of the block are not awaited.

        Example:
            >>> async def step(client):
            ...     async with client.pipeline() as pipeline:
            ...         pipeline.put_tensor("pressure", pressure)
            ...         old = pipeline.get_tensor("temperature")
            ...     return old.result()
        """
        pipeline = Pipeline(self._interface)
        yield pipeline
        await self._carry_out(pipeline.all_calls())
        pipeline.raise_first_error()

    put_tensor = _awaited(Interface.put_tensor)
    get_tensor = _awaited(Interface.get_tensor)
    delete_tensor = _awaited(Interface.delete_tensor)
    copy_tensor = _awaited(Interface.copy_tensor)
    rename_tensor = _awaited(Interface.rename_tensor)
    tensor_exists = _awaited(Interface.tensor_exists)
    key_exists = _awaited(Interface.key_exists)
    put_bytes = _awaited(Interface.put_bytes)
    get_bytes = _awaited(Interface.get_bytes)

    put_dataset = _awaited(Interface.put_dataset)
    get_dataset = _awaited(Interface.get_dataset)
    delete_dataset = _awaited(Interface.delete_dataset)
    copy_dataset = _awaited(Interface.copy_dataset)
    rename_dataset = _awaited(Interface.rename_dataset)
    dataset_exists = _awaited(Interface.dataset_exists)

    append_to_list = _awaited(Interface.append_to_list)
    delete_list = _awaited(Interface.delete_list)
    copy_list = _awaited(Interface.copy_list)
    rename_list = _awaited(Interface.rename_list)
    get_list_length = _awaited(Interface.get_list_length)
    get_datasets_from_list = _awaited(Interface.get_datasets_from_list)
    get_dataset_list_range = _awaited(Interface.get_dataset_list_range)

    set_model = _awaited(Interface.set_model)
    set_model_from_file = _awaited(Interface.set_model_from_file)
    set_model_multigpu = _awaited(Interface.set_model_multigpu)
    set_model_from_file_multigpu = _awaited(Interface.set_model_from_file_multigpu)
    get_model = _awaited(Interface.get_model)
    run_model = _awaited(Interface.run_model)
    run_model_multigpu = _awaited(Interface.run_model_multigpu)
    delete_model = _awaited(Interface.delete_model)
    delete_model_multigpu = _awaited(Interface.delete_model_multigpu)
    model_exists = _awaited(Interface.model_exists)
    set_model_chunk_size = _awaited(Interface.set_model_chunk_size)

    set_function = _awaited(Interface.set_function)
    set_function_multigpu = _awaited(Interface.set_function_multigpu)
    set_script = _awaited(Interface.set_script)
    set_script_multigpu = _awaited(Interface.set_script_multigpu)
    set_script_from_file = _awaited(Interface.set_script_from_file)
    set_script_from_file_multigpu = _awaited(Interface.set_script_from_file_multigpu)
    get_script = _awaited(Interface.get_script)
    run_script = _awaited(Interface.run_script)
    run_script_multigpu = _awaited(Interface.run_script_multigpu)
    delete_script = _awaited(Interface.delete_script)
    delete_script_multigpu = _awaited(Interface.delete_script_multigpu)

    poll_tensor = _awaited(Interface.poll_tensor)
    poll_key = _awaited(Interface.poll_key)
    poll_dataset = _awaited(Interface.poll_dataset)
    poll_model = _awaited(Interface.poll_model)
    poll_list_length = _awaited(Interface.poll_list_length)
    poll_list_length_gte = _awaited(Interface.poll_list_length_gte)
    poll_list_length_lte = _awaited(Interface.poll_list_length_lte)

    get_db_node_info = _awaited(Interface.get_db_node_info)
    get_db_cluster_info = _awaited(Interface.get_db_cluster_info)
    get_ai_info = _awaited(Interface.get_ai_info)
    flush_db = _awaited(Interface.flush_db)
    config_get = _awaited(Interface.config_get)
    config_set = _awaited(Interface.config_set)
    save = _awaited(Interface.save)


async def _connect(target: Target) -> AsyncRespTensorStore:
    if target.cluster:
        return await AsyncRespTensorStore.connect(target.addresses, target.config, cluster=True)
    store = await AsyncRespTensorStore.connect(target.addresses, target.config)
    if target.cluster is None:
        try:
            is_cluster = b"cluster_enabled:1" in text((await store.run([WHICH_KIND]))[0])
        except BaseException as error:
            await store.close()
            if isinstance(error, RedisReplyError):
                raise kind_unknown(error, target) from error
            raise
        if is_cluster:
            await store.close()
            return await AsyncRespTensorStore.connect(target.addresses, target.config, cluster=True)
    return store
