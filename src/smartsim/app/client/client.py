"""The client with which application scripts reach the database."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, overload

import numpy as np
import numpy.typing as npt

from smartsim.adapters.tensors.resp import RespTensorStore
from smartsim.app.client.config_options import ConfigOptions
from smartsim.app.client.connecting import address_form, describe, find_address, options_form
from smartsim.app.client.logging import SRObject
from smartsim.domain.client_config import read_client_config
from smartsim.domain.client_errors import RedisReplyError, RedisRuntimeError, check_type
from smartsim.domain.keys import Prefixes
from smartsim.domain.tensor_types import WIRE_NAMES
from smartsim.ports.tensor_store import TensorStore

_P = ParamSpec("_P")
_T = TypeVar("_T")

_DTYPES = frozenset(map(np.dtype, WIRE_NAMES))
_SHORTEST_PAUSE = 1_000_000  # ns


def _names_itself(method: Callable[_P, _T]) -> Callable[_P, _T]:
    """Have the errors of a method say that it was this one."""

    @wraps(method)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return method(*args, **kwargs)
        except RedisReplyError as error:
            error.method = method.__qualname__
            raise

    return call


class Client(SRObject):
    """A connection to the database of an experiment.

    An application that an experiment started needs no arguments: its environment says where the database is (`SSDB`),
    under which prefix to write (`SSKEYOUT`) and from which to read (`SSKEYIN`). A client may be used from several
    threads.

    There are two forms: ``Client(config_options=None, logger_name="Default")`` and
    ``Client(cluster, address=None, logger_name="Default")``.

    Args:
        config_options: where and how to connect; the environment without suffix when None.
        cluster: whether the database is a cluster. This version speaks to standalone databases only.
        address: of the database, as in `SSDB`: ``host:port`` or ``unix:///path``; `SSDB` when None.
        logger_name: begins the client's log lines.
        store: keep tensors there, and connect to nothing: `smartsim.testing.InMemoryTensorStore`, in tests. Closing it
            is left to whoever made it.

    Raises:
        RedisConnectionError: no database is known, or none answers there in time (`SR_CONN_TIMEOUT`).
        ValueError: a number in the environment is not one.
        TypeError: an argument is of another type.

    Every call raises `RedisDatabaseError` when the database does not answer, `RedisRuntimeError` when it refuses, and
    `TypeError` for arguments of other types; arguments are looked at before anything is sent.

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
        store: TensorStore | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self,
        cluster: bool,
        address: str | None = None,
        logger_name: str = "Default",
        *,
        store: TensorStore | None = None,
    ) -> None: ...

    def __init__(self, *args: Any, store: TensorStore | None = None, **kwargs: Any) -> None:
        of_address = isinstance(args[0], bool) if args else bool(kwargs.keys() & {"cluster", "address"})
        try:
            inspect.signature(address_form if of_address else options_form).bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(
                f"{error}: use Client(config_options=None, logger_name='Default') or "
                "Client(cluster, address=None, logger_name='Default')"
            ) from None
        options, logger_name = (address_form if of_address else options_form)(*args, **kwargs)
        super().__init__(logger_name)
        self._prefixes = Prefixes.parse(options.find("SSKEYIN") or "", options.find("SSKEYOUT") or "")
        self._own_store: RespTensorStore | None = None
        if store is None:
            address, config = find_address(options), read_client_config(options.find, options.suffix)
            store = self._own_store = RespTensorStore(address, config)
            self._description = describe(address, config)
        else:
            self._description = f"Tensor store: {type(store).__name__}"
        self._store = store

    def __str__(self) -> str:
        return f"Client ({self._context}):\n{self._description}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the database; calls that follow fail."""
        if self._own_store:
            self._own_store.close()

    @_names_itself
    def put_tensor(self, name: str, data: npt.NDArray[Any]) -> None:
        """Store an array under a name, replacing what was there.

        Args:
            name: without prefix; the client adds its own.
            data: of at least one dimension, none of them zero; float64, float32, int8, int16, int32, int64, uint8,
                uint16 or bool. Any memory layout and byte order: what is sent is in C order. (Clients in C, C++ and
                Fortran do not know bool.)

        Raises:
            TypeError: not an array, or of another dtype.
            RedisRuntimeError: it has no dimension or no element, or the database refuses.

        Example:
            >>> client.put_tensor("temperature", np.full((64, 64), 293.15))  # doctest: +SKIP
        """
        _check_name(name)
        check_type(data, "data", np.ndarray)
        self._store.put(self._prefixes.tensor_to_write(name), _in_wire_layout(data))

    @_names_itself
    def get_tensor(self, name: str) -> npt.NDArray[Any]:
        """Return the array under a name.

        Returns:
            A new array that owns its memory: writable, in C order.

        Raises:
            RedisRuntimeError: there is none.

        Example:
            >>> client.get_tensor("temperature").mean()  # doctest: +SKIP
            np.float64(293.15)
        """
        _check_name(name)
        return self._store.get(self._prefixes.tensor_to_read(name))

    @_names_itself
    def delete_tensor(self, name: str) -> None:
        """Remove a tensor; nothing happens when there is none of that name."""
        _check_name(name)
        self._store.delete(self._prefixes.tensor_to_read(name))

    @_names_itself
    def copy_tensor(self, src_name: str, dest_name: str) -> None:
        """Store a tensor under another name, too.

        Args:
            src_name: read under the prefix of the data source.
            dest_name: written under the prefix of this client.

        Raises:
            RedisRuntimeError: there is no such tensor.
        """
        _check_name(src_name, "src_name")
        _check_name(dest_name, "dest_name")
        self._store.copy(self._prefixes.tensor_to_read(src_name), self._prefixes.tensor_to_write(dest_name))

    @_names_itself
    def rename_tensor(self, old_name: str, new_name: str) -> None:
        """Give a tensor another name.

        Unlike other calls it is not sent again when the connection fails on the way: it may have been carried out.

        Args:
            old_name: read under the prefix of the data source.
            new_name: written under the prefix of this client.

        Raises:
            RedisRuntimeError: there is no such tensor.
        """
        _check_name(old_name, "old_name")
        _check_name(new_name, "new_name")
        self._store.rename(self._prefixes.tensor_to_read(old_name), self._prefixes.tensor_to_write(new_name))

    @_names_itself
    def tensor_exists(self, name: str) -> bool:
        """Return whether there is a tensor of that name, under the prefix of the data source."""
        _check_name(name)
        return self._store.exists(self._prefixes.tensor_to_read(name))

    @_names_itself
    def key_exists(self, key: str) -> bool:
        """Return whether there is anything under a key; no prefix is added."""
        _check_name(key, "key")
        return self._store.exists(key)

    @_names_itself
    def poll_tensor(self, name: str, poll_frequency_ms: int, num_tries: int) -> bool:
        """Wait until there is a tensor of a name, for ``poll_frequency_ms * num_tries`` ms at most.

        Args:
            name: looked for under the prefix of the data source.
            poll_frequency_ms: the longest pause between two looks. The first looks follow one another faster, so that
                what comes soon is seen soon.
            num_tries: how many such pauses to wait.

        Returns:
            Whether it came.

        Example:
            >>> if not client.poll_tensor("temperature", 100, 600):  # doctest: +SKIP
            ...     raise SystemExit("no temperature within a minute")
        """
        _check_name(name)
        return self._poll(self._prefixes.tensor_to_read(name), poll_frequency_ms, num_tries)

    @_names_itself
    def poll_key(self, key: str, poll_frequency_ms: int, num_tries: int) -> bool:
        """Wait until there is something under a key, to which no prefix is added; otherwise as `poll_tensor`."""
        _check_name(key, "key")
        return self._poll(key, poll_frequency_ms, num_tries)

    @_names_itself
    def set_data_source(self, source_id: str) -> None:
        """Read under another prefix from now on.

        Args:
            source_id: one of the entities that the experiment registered with this one (`SSKEYIN`).

        Raises:
            RedisRuntimeError: it is none of them.

        Example:
            >>> client.set_data_source("sim_1")  # doctest: +SKIP
            >>> client.get_tensor("temperature")  # doctest: +SKIP
        """
        check_type(source_id, "source_id", str)
        try:
            self._prefixes = self._prefixes.reading_from(source_id)
        except LookupError as error:
            raise RedisRuntimeError(str(error)) from None

    def use_tensor_ensemble_prefix(self, use_prefix: bool) -> None:
        """Say whether names of tensors are prefixed from now on; they are at first."""
        check_type(use_prefix, "use_prefix", bool)
        self._prefixes = replace(self._prefixes, tensors=use_prefix)

    def use_dataset_ensemble_prefix(self, use_prefix: bool) -> None:
        """Say whether names of datasets are prefixed from now on; they are at first."""
        check_type(use_prefix, "use_prefix", bool)
        self._prefixes = replace(self._prefixes, datasets=use_prefix)

    def use_list_ensemble_prefix(self, use_prefix: bool) -> None:
        """Say whether names of lists are prefixed from now on; they are at first."""
        check_type(use_prefix, "use_prefix", bool)
        self._prefixes = replace(self._prefixes, lists=use_prefix)

    def use_model_ensemble_prefix(self, use_prefix: bool) -> None:
        """Say whether names of models and scripts are prefixed from now on; they are not at first."""
        check_type(use_prefix, "use_prefix", bool)
        self._prefixes = replace(self._prefixes, models=use_prefix)

    def _poll(self, key: str, poll_frequency_ms: int, num_tries: int) -> bool:
        check_type(poll_frequency_ms, "poll_frequency_ms", int)
        check_type(num_tries, "num_tries", int)
        if poll_frequency_ms < 0 or num_tries < 0:
            raise ValueError(f"poll_frequency_ms={poll_frequency_ms} and num_tries={num_tries} must not be negative")
        frequency = poll_frequency_ms * 1_000_000  # all in ns, as whole numbers: multiples are exact
        began = time.monotonic_ns()
        looks = 0
        while num_tries:
            if self._store.exists(key):
                return True
            looks += 1
            elapsed = time.monotonic_ns() - began
            if looks >= num_tries and elapsed >= frequency * num_tries:
                return False
            # A look at every multiple of the frequency, as scripts expect, and more while little time has passed.
            until_next = frequency - elapsed % frequency if frequency else 0
            time.sleep(min(until_next, max(_SHORTEST_PAUSE, elapsed // 16)) / 1e9)
        return False


def _check_name(name: str, argument: str = "name") -> None:
    if isinstance(name, str) and name:
        return
    check_type(name, argument, str)
    raise RedisRuntimeError(f"Argument {argument} is empty: give a name")


def _in_wire_layout(data: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array as it can be sent: the same one, if it is in C order and native byte order.

    Of a subclass it is the plain array below: of a masked array all elements, masked or not.
    """
    data = np.asarray(data)
    if data.dtype in _DTYPES and data.flags.c_contiguous and data.size and data.ndim:
        return data
    native = data.dtype.newbyteorder("=")
    if native not in _DTYPES:
        raise TypeError(f"Incompatible tensor type provided {data.dtype}: use one of {', '.join(WIRE_NAMES)}")
    if not (data.size and data.ndim):
        raise RedisRuntimeError(
            f"An array of shape {data.shape} cannot be stored: a tensor has at least one dimension, and none is zero"
        )
    return np.ascontiguousarray(data, dtype=native)
