"""Many calls of a client in common round trips."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from copy import copy
from functools import wraps
from typing import Any, Concatenate, Generic, NoReturn, ParamSpec, TypeVar

import numpy.typing as npt

from smartsim.app.client.arrays import wire_array
from smartsim.app.client.calls import SHARDS, Call, ShardsRequest, check, tensor
from smartsim.app.client.documentation import documented_as, returning
from smartsim.app.client.interface import Interface
from smartsim.app.client.interface.naming import key
from smartsim.app.client.tensors import key_bytes, tensor_get, tensor_set
from smartsim.domain.client_errors import RedisReplyError, RedisRuntimeError
from smartsim.ports.tensor_store import Reply, Request

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Pending(Generic[_T]):
    """What a call of a pipeline will have returned once the pipeline has been carried out.

    Attributes:
        error: what the call raised; None if nothing, or not yet.
        wanted: what it wants to know to go on; None when it has ended.

    Args:
        call: the call; what it checks of its arguments is checked here.
        name: of the call, for messages.
    """

    __slots__ = ("_call", "_name", "_result", "error", "wanted")

    def __init__(self, call: Call[_T], name: str) -> None:
        self._call = call
        self._name = name
        self._result: _T
        self.error: BaseException | None = None
        self.wanted: Sequence[Request] | ShardsRequest | None = None
        self.send(None)
        if self.error is not None:
            raise self.error

    def result(self) -> _T:
        """Return what the call returned.

        Raises:
            RedisRuntimeError: the pipeline has not been carried out yet.
            Exception: what the call raised.
        """
        if self.error is not None:
            raise self.error
        if self.wanted is not None:
            raise RedisRuntimeError(
                f"The result of {self._name} is not there before the pipeline has been carried out: ask for it after "
                "the `with` block"
            )
        return self._result

    def send(self, answer: Any) -> None:
        """Hand the call what it wanted."""
        try:
            self.wanted = self._call.send(answer)
        except StopIteration as end:
            self.wanted, self._result = None, end.value
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to whoever asks for the result
            self._fail(error)

    def throw(self, error: Exception) -> None:
        """Tell the call that it cannot have what it wanted."""
        try:
            self.wanted = self._call.throw(error)
        except StopIteration as end:
            self.wanted, self._result = None, end.value
        except Exception as raised:  # noqa: BLE001 - likewise
            self._fail(raised)

    def _fail(self, error: Exception) -> None:
        if isinstance(error, RedisReplyError) and not error.method:
            error.method = self._name
        self.wanted, self.error = None, error


class _One(Pending[_T]):
    """A call that wants one reply: it takes half the time of one that may want anything.

    Args:
        request: what it wants the reply to.
        result: makes its result of the reply, or raises.
        name: of the call, for messages.
    """

    __slots__ = ("_make_result",)

    def __init__(self, request: Request, result: Callable[[Reply], _T], name: str) -> None:  # a generator less
        self._make_result = result
        self._name = name
        self.error = None
        self.wanted = (request,)

    def send(self, answer: Any) -> None:
        try:
            self._result = self._make_result(answer[0])
        except Exception as error:  # noqa: BLE001 - as for all calls
            self._fail(error)
        self.wanted = None

    def throw(self, error: Exception) -> None:
        self._fail(error)


def _pends(method: Callable[Concatenate[Interface, _P], Call[_T]]) -> Callable[Concatenate[Pipeline, _P], Pending[_T]]:
    """Return a method that notes what a method of the interface says, to be carried out with the other calls."""
    name = f"Pipeline.{method.__name__}"

    @wraps(method)
    def call(self: Pipeline, /, *args: _P.args, **kwargs: _P.kwargs) -> Pending[_T]:
        try:
            pending = Pending(method(self.interface, *args, **kwargs), name)
        except RedisReplyError as error:
            error.method = name
            raise
        self.pending.append(pending)
        return pending

    return returning(call, "Pending[{}]")


class _CarriedOut(list[Pending[Any]]):
    """The calls of a pipeline that takes no more: they would never be made."""

    def append(self, _pending: Pending[Any], /) -> NoReturn:
        """Refuse one more call."""
        raise RedisRuntimeError("This pipeline has been carried out: begin another one for further calls")


class Pipeline:
    """Calls of a client that are carried out together; see `Client.pipeline`.

    They are begun in their order. A call that needs several steps (those that read lists and, in a cluster, runs)
    makes each of them together with those of the other calls: what has to come after another call as a whole belongs
    behind the pipeline. While a cluster moves the slot of a key, calls about that key may change places.

    Args:
        interface: of the client.
    """

    def __init__(self, interface: Interface) -> None:
        self.interface = interface
        self.pending: list[Pending[Any]] = []

    def all_calls(self) -> Call[None]:
        """Return one call that is all of them; there can be no more from now on."""
        self.pending = _CarriedOut(self.pending)
        return _together(self.pending)

    def raise_first_error(self) -> None:
        """Raise what the first call that failed has raised."""
        for pending in self.pending:
            if pending.error is not None:
                raise pending.error

    # Small tensors are put and got by the thousand: as `Client` does, these two take the short way.

    @documented_as(Interface.put_tensor)
    def put_tensor(self, name: str, data: Any, ttl: float | None = None) -> Pending[None]:  # noqa: D102 - see there
        if ttl is not None:
            return self._put_tensor(name, data, ttl)
        try:
            request = tensor_set(key_bytes(key(self.interface.prefixes.tensor_to_write, name)), wire_array(data))
        except RedisReplyError as error:
            error.method = "Pipeline.put_tensor"
            raise
        pending = _One(request, check, "Pipeline.put_tensor")
        self.pending.append(pending)
        return pending

    _put_tensor = _pends(Interface.put_tensor)

    @documented_as(Interface.get_tensor)
    def get_tensor(self, name: str) -> Pending[npt.NDArray[Any]]:  # noqa: D102 - see there
        try:
            request = tensor_get(key_bytes(key(self.interface.prefixes.tensor_to_read, name)))
        except RedisReplyError as error:
            error.method = "Pipeline.get_tensor"
            raise
        pending = _One(request, tensor, "Pipeline.get_tensor")
        self.pending.append(pending)
        return pending

    delete_tensor = _pends(Interface.delete_tensor)
    copy_tensor = _pends(Interface.copy_tensor)
    rename_tensor = _pends(Interface.rename_tensor)
    tensor_exists = _pends(Interface.tensor_exists)
    key_exists = _pends(Interface.key_exists)
    put_bytes = _pends(Interface.put_bytes)
    get_bytes = _pends(Interface.get_bytes)

    put_dataset = _pends(Interface.put_dataset)
    get_dataset = _pends(Interface.get_dataset)
    delete_dataset = _pends(Interface.delete_dataset)
    copy_dataset = _pends(Interface.copy_dataset)
    rename_dataset = _pends(Interface.rename_dataset)
    dataset_exists = _pends(Interface.dataset_exists)

    append_to_list = _pends(Interface.append_to_list)
    delete_list = _pends(Interface.delete_list)
    copy_list = _pends(Interface.copy_list)
    rename_list = _pends(Interface.rename_list)
    get_list_length = _pends(Interface.get_list_length)
    get_datasets_from_list = _pends(Interface.get_datasets_from_list)
    get_dataset_list_range = _pends(Interface.get_dataset_list_range)

    set_model = _pends(Interface.set_model)
    set_model_from_file = _pends(Interface.set_model_from_file)
    set_model_multigpu = _pends(Interface.set_model_multigpu)
    set_model_from_file_multigpu = _pends(Interface.set_model_from_file_multigpu)
    get_model = _pends(Interface.get_model)
    run_model = _pends(Interface.run_model)
    run_model_multigpu = _pends(Interface.run_model_multigpu)
    delete_model = _pends(Interface.delete_model)
    delete_model_multigpu = _pends(Interface.delete_model_multigpu)
    model_exists = _pends(Interface.model_exists)
    set_model_chunk_size = _pends(Interface.set_model_chunk_size)

    set_function = _pends(Interface.set_function)
    set_function_multigpu = _pends(Interface.set_function_multigpu)
    set_script = _pends(Interface.set_script)
    set_script_multigpu = _pends(Interface.set_script_multigpu)
    set_script_from_file = _pends(Interface.set_script_from_file)
    set_script_from_file_multigpu = _pends(Interface.set_script_from_file_multigpu)
    get_script = _pends(Interface.get_script)
    run_script = _pends(Interface.run_script)
    run_script_multigpu = _pends(Interface.run_script_multigpu)
    delete_script = _pends(Interface.delete_script)
    delete_script_multigpu = _pends(Interface.delete_script_multigpu)


def _together(pending: Sequence[Pending[Any]]) -> Call[None]:
    """Carry out some calls step by step, with the requests of all in one round trip at each step."""
    while open_calls := [call for call in pending if call.wanted is not None]:
        if askers := [call for call in open_calls if isinstance(call.wanted, ShardsRequest)]:
            yield from _hand_out_shards(askers)
        else:
            yield from _hand_out_replies(open_calls)


def _hand_out_shards(askers: Sequence[Pending[Any]]) -> Generator[ShardsRequest, Any, None]:
    try:
        shards = yield SHARDS
    except RedisReplyError as error:
        for call in askers:
            call.throw(copy(error))  # each says which call it was
    else:
        for call in askers:
            call.send(shards)


def _hand_out_replies(open_calls: Sequence[Pending[Any]]) -> Generator[Sequence[Request], Any, None]:
    requests: list[Request] = []
    ends = []
    for call in open_calls:
        requests += call.wanted  # type: ignore[arg-type]  # nobody asks for shards here
        ends.append(len(requests))
    try:
        replies: list[Reply] = yield requests
    except RedisReplyError as error:
        for call in open_calls:
            call.throw(copy(error))  # each says which call it was
        return
    begin = 0
    for call, end in zip(open_calls, ends, strict=True):
        call.send(replies[begin:end])
        begin = end
