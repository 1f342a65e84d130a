"""The client with which application scripts reach the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, overload

import numpy.typing as npt

from smartsim.adapters.tensors.resp import RespTensorStore
from smartsim.app.client.arrays import wire_array
from smartsim.app.client.calls import Call, carry_out, check, text
from smartsim.app.client.config_options import ConfigOptions
from smartsim.app.client.connecting import (
    WHICH_KIND,
    Target,
    describe,
    find_prefixes,
    find_target,
    kind_unknown,
    model_timeout,
    read_arguments,
)
from smartsim.app.client.dataset import Dataset
from smartsim.app.client.dataset_storage import found, get
from smartsim.app.client.datasets import put_command, put_dataset
from smartsim.app.client.documentation import documented_as, returning
from smartsim.app.client.interface import Interface
from smartsim.app.client.interface.naming import key
from smartsim.app.client.pipeline import Pipeline
from smartsim.app.client.prefixed import PrefixedClient
from smartsim.app.client.stream import Stream
from smartsim.app.client.streams import find_keys
from smartsim.app.client.tensors import key_bytes
from smartsim.domain.client_errors import RedisReplyError, check_type
from smartsim.ports.tensor_store import TensorStore

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _waits(method: Callable[Concatenate[Interface, _P], Call[_T]]) -> Callable[Concatenate[Client, _P], _T]:
    """Return a method that carries out what a method of the interface says, and returns its result."""

    @wraps(method)
    def call(self: Client, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return self._carry_out(method(self._interface, *args, **kwargs))
        except RedisReplyError as error:
            error.method = f"Client.{method.__name__}"
            raise

    return returning(call, "{}")


class Client(PrefixedClient):
    """A connection to the database of an experiment.

    An application that an experiment started needs no arguments: its environment says where the database is (`SSDB`),
    under which prefix to write (`SSKEYOUT`) and from which to read (`SSKEYIN`). A client may be used from several
    threads.

    There are two forms: ``Client(config_options=None, logger_name="Default")`` and
    ``Client(cluster, address=None, logger_name="Default")``.

    Args:
        config_options: where and how to connect; the environment without suffix when None.
        cluster: whether the database is a cluster. In the other form `SR_DB_TYPE` says so, or else the database itself.
        address: of the database, as in `SSDB`: ``host:port`` or ``unix:///path``; `SSDB` when None.
        logger_name: begins the client's log lines.
        username: to log in with; `SR_DB_USERNAME`, or else the database's default user, when None.
        password: to log in with; when None, `SR_DB_PASSWORD`, or else what is in the file that `SR_DB_PASSWORD_FILE`
            names, which experiments set for databases that have a password, or else none.
        store: keep everything there, and connect to nothing: `smartsim.testing.InMemoryTensorStore`, in tests. Closing
            it is left to whoever made it.

    Raises:
        RedisConnectionError: no database is known, none answers there in time (`SR_CONN_TIMEOUT`), it wants a
            password, or the file with that cannot be read, or may be read by others.
        ValueError: a number in the environment is not one.
        TypeError: an argument is of another type.

    Every call raises `RedisDatabaseError` when the database does not answer, `RedisRuntimeError` when it refuses, and
    `TypeError` for arguments of other types; arguments are looked at before anything is sent. What changes the database
    is never sent twice: when the connection is lost before the answer has come, the error says that it may have been
    carried out.

    Example:
        >>> import numpy as np
        >>> with Client(cluster=False, address="127.0.0.1:6379") as client:  # doctest: +SKIP
        ...     client.put_tensor("field", np.zeros((128, 128)))
        ...     field = client.get_tensor("field")
    """

    @overload
    def __init__(
        self,
        config_options: ConfigOptions | None = None,
        logger_name: str = "Default",
        *,
        username: str | None = None,
        password: str | None = None,
        store: TensorStore | None = None,
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
        store: TensorStore | None = None,
    ) -> None: ...

    def __init__(
        self,
        *args: Any,
        username: str | None = None,
        password: str | None = None,
        store: TensorStore | None = None,
        **kwargs: Any,
    ) -> None:
        options, logger_name = read_arguments(args, kwargs)
        super().__init__(logger_name, Interface(find_prefixes(options), model_timeout))
        self._own_store: RespTensorStore | None = None
        self._store: TensorStore
        if store is None:
            target = find_target(options, username, password)
            self._store = self._own_store = _connect(target)
            self._description = describe(self._own_store.shards(), target.config)
        else:
            self._store, self._description = store, f"Tensor store: {type(store).__name__}"

    def __str__(self) -> str:
        return f"Client ({self._context}):\n{self._description}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _carry_out(self, call: Call[_T]) -> _T:
        return carry_out(call, self._store)

    def close(self) -> None:
        """Close the connections to the database; calls that follow fail."""
        if self._own_store:
            self._own_store.close()

    @contextmanager
    def pipeline(self) -> Iterator[Pipeline]:
        """Carry out many calls in a few round trips: those of the ``with`` block, when it ends.

        Returns:
            What has the client's calls, except those that wait and those about the database itself. Each returns at
            once; its ``result()`` is there after the block. Arrays that are put must not be changed before.

        Raises:
            RedisReplyError: at the end of the block: what the first of its calls that failed raises. The others have
                been carried out all the same.

        Example:
            >>> with client.pipeline() as pipeline:  # doctest: +SKIP
            ...     pipeline.put_tensor("pressure", pressure)
            ...     old = pipeline.get_tensor("temperature")
            >>> old.result().mean()  # doctest: +SKIP
        """
        pipeline = Pipeline(self._interface)
        yield pipeline
        self._carry_out(pipeline.all_calls())
        pipeline.raise_first_error()

    def stream(self, name: str, capacity: int = 64) -> Stream:
        """Return a stream of datasets, for training while simulations run; it is made by its first use.

        Args:
            name: prefixed as names of lists are; without braces.
            capacity: how many datasets it holds at most; who publishes more waits.

        Raises:
            ValueError: the name is empty or has braces, or the capacity is below one.

        Example:
            >>> client.stream("samples").publish(dataset)  # doctest: +SKIP
            >>> for dataset in client.stream("samples").consume(group="trainer", timeout=60):  # doctest: +SKIP
            ...     train(dataset.get_tensor("x"))
        """
        return Stream(find_keys(self._interface.prefixes, name), capacity, self._carry_out)

    # A simulation puts and gets small tensors and datasets by the thousand: these four take the short way to the store.

    @documented_as(Interface.put_tensor)
    def put_tensor(self, name: str, data: Any, ttl: float | None = None) -> None:  # noqa: D102 - see there
        if ttl is not None:
            self._put_tensor(name, data, ttl)
            return
        try:
            self._store.put(key_bytes(key(self._interface.prefixes.tensor_to_write, name)), wire_array(data))
        except RedisReplyError as error:
            error.method = "Client.put_tensor"
            raise

    _put_tensor = _waits(Interface.put_tensor)

    @documented_as(Interface.get_tensor)
    def get_tensor(self, name: str) -> npt.NDArray[Any]:  # noqa: D102 - see there
        try:
            return self._store.get(key_bytes(key(self._interface.prefixes.tensor_to_read, name)))
        except RedisReplyError as error:
            error.method = "Client.get_tensor"
            raise

    delete_tensor = _waits(Interface.delete_tensor)
    copy_tensor = _waits(Interface.copy_tensor)
    rename_tensor = _waits(Interface.rename_tensor)
    tensor_exists = _waits(Interface.tensor_exists)
    key_exists = _waits(Interface.key_exists)
    put_bytes = _waits(Interface.put_bytes)
    get_bytes = _waits(Interface.get_bytes)

    @documented_as(Interface.put_dataset)
    def put_dataset(self, dataset: Dataset, ttl: float | None = None) -> None:  # noqa: D102 - see there
        try:
            check_type(dataset, "dataset", Dataset)
            stem = key(self._interface.prefixes.dataset_to_write, dataset.get_name())
            if ttl is None and (command := put_command(stem, dataset)):
                check(self._store.run((command,))[0])
            else:
                self._carry_out(put_dataset(stem, dataset, ttl))
        except RedisReplyError as error:
            error.method = "Client.put_dataset"
            raise

    @documented_as(Interface.get_dataset)
    def get_dataset(self, name: str) -> Dataset:  # noqa: D102 - see there
        try:
            stem = key_bytes(key(self._interface.prefixes.dataset_to_read, name))
            return Dataset.received(name, found(stem, self._store.run((get(stem),))[0]))
        except RedisReplyError as error:
            error.method = "Client.get_dataset"
            raise

    delete_dataset = _waits(Interface.delete_dataset)
    copy_dataset = _waits(Interface.copy_dataset)
    rename_dataset = _waits(Interface.rename_dataset)
    dataset_exists = _waits(Interface.dataset_exists)

    append_to_list = _waits(Interface.append_to_list)
    delete_list = _waits(Interface.delete_list)
    copy_list = _waits(Interface.copy_list)
    rename_list = _waits(Interface.rename_list)
    get_list_length = _waits(Interface.get_list_length)
    get_datasets_from_list = _waits(Interface.get_datasets_from_list)
    get_dataset_list_range = _waits(Interface.get_dataset_list_range)

    set_model = _waits(Interface.set_model)
    set_model_from_file = _waits(Interface.set_model_from_file)
    set_model_multigpu = _waits(Interface.set_model_multigpu)
    set_model_from_file_multigpu = _waits(Interface.set_model_from_file_multigpu)
    get_model = _waits(Interface.get_model)
    run_model = _waits(Interface.run_model)
    run_model_multigpu = _waits(Interface.run_model_multigpu)
    delete_model = _waits(Interface.delete_model)
    delete_model_multigpu = _waits(Interface.delete_model_multigpu)
    model_exists = _waits(Interface.model_exists)
    set_model_chunk_size = _waits(Interface.set_model_chunk_size)

    set_function = _waits(Interface.set_function)
    set_function_multigpu = _waits(Interface.set_function_multigpu)
    set_script = _waits(Interface.set_script)
    set_script_multigpu = _waits(Interface.set_script_multigpu)
    set_script_from_file = _waits(Interface.set_script_from_file)
    set_script_from_file_multigpu = _waits(Interface.set_script_from_file_multigpu)
    get_script = _waits(Interface.get_script)
    run_script = _waits(Interface.run_script)
    run_script_multigpu = _waits(Interface.run_script_multigpu)
    delete_script = _waits(Interface.delete_script)
    delete_script_multigpu = _waits(Interface.delete_script_multigpu)

    poll_tensor = _waits(Interface.poll_tensor)
    poll_key = _waits(Interface.poll_key)
    poll_dataset = _waits(Interface.poll_dataset)
    poll_model = _waits(Interface.poll_model)
    poll_list_length = _waits(Interface.poll_list_length)
    poll_list_length_gte = _waits(Interface.poll_list_length_gte)
    poll_list_length_lte = _waits(Interface.poll_list_length_lte)

    get_db_node_info = _waits(Interface.get_db_node_info)
    get_db_cluster_info = _waits(Interface.get_db_cluster_info)
    get_ai_info = _waits(Interface.get_ai_info)
    flush_db = _waits(Interface.flush_db)
    config_get = _waits(Interface.config_get)
    config_set = _waits(Interface.config_set)
    save = _waits(Interface.save)


def _connect(target: Target) -> RespTensorStore:
    if target.cluster:
        return RespTensorStore(target.addresses, target.config, cluster=True)
    store = RespTensorStore(target.addresses, target.config)
    if target.cluster is None:
        try:
            is_cluster = b"cluster_enabled:1" in text(store.run([WHICH_KIND])[0])
        except RedisReplyError as error:
            store.close()
            raise kind_unknown(error, target) from error
        if is_cluster:
            store.close()
            return RespTensorStore(target.addresses, target.config, cluster=True)
    return store
