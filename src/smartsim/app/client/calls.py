"""What a client does, without saying how: calls yield requests for the database, and are sent its replies.

So the client that waits, the one for asyncio and the pipeline share every line that knows what to ask for::

    def rename(old: bytes, new: bytes) -> Call[None]:
        (reply,) = yield [Command((b"RENAME", old, new), key=old)]
        check(reply)
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from smartsim.domain.client_errors import RedisInternalError, RedisReplyError
from smartsim.ports.tensor_store import AsyncTensorStore, Reply, Request, TensorStore

_T = TypeVar("_T")


_ONLY_BYTES: Final = frozenset({bytes})


class ShardsRequest:
    """Asks for the shards of the database, as they are now (`TensorStore.shards`); no request to the database."""


SHARDS: Final = ShardsRequest()

Call: TypeAlias = Generator[Sequence[Request] | ShardsRequest, Any, _T]
"""A call of the client: it yields requests and is sent their replies (a `list[Reply]`), or yields `SHARDS` and is sent
those. What it checks before it yields is checked before anything is sent."""


def carry_out(call: Call[_T], store: TensorStore) -> _T:
    """Return what a call returns, after it has asked a store whatever it wants to know."""
    answer: Any = None
    try:
        wanted = next(call)
        while True:
            try:
                answer = store.shards() if isinstance(wanted, ShardsRequest) else store.run(wanted)
            except RedisReplyError as error:
                wanted = call.throw(error)
            else:
                wanted = call.send(answer)
    except StopIteration as end:
        result: _T = end.value
        return result


async def carry_out_async(call: Call[_T], store: AsyncTensorStore) -> _T:
    """Return what a call returns, as `carry_out` does."""
    answer: Any = None
    try:
        wanted = next(call)
        while True:
            try:
                answer = await (store.shards() if isinstance(wanted, ShardsRequest) else store.run(wanted))
            except RedisReplyError as error:
                wanted = call.throw(error)
            else:
                wanted = call.send(answer)
    except StopIteration as end:
        result: _T = end.value
        return result


def check(reply: Reply) -> None:
    """Raise the error that a reply is, if it is one; also one inside of a list of replies."""
    if isinstance(reply, list):
        for part in reply:
            if isinstance(part, (RedisReplyError, list)):
                check(part)
    elif isinstance(reply, RedisReplyError):
        raise reply


def integer(reply: Reply) -> int:
    """Return a reply that is a number."""
    check(reply)
    if not isinstance(reply, int):
        raise _senseless(reply, "a number")
    return reply


def text(reply: Reply) -> bytes:
    """Return a reply that is a text."""
    if not isinstance(reply, bytes):
        check(reply)
        raise _senseless(reply, "a text")
    return reply


def texts(reply: Reply) -> list[bytes]:
    """Return a reply that is a list of texts."""
    if isinstance(reply, list) and _ONLY_BYTES.issuperset(map(type, reply)):  # as always: the rest takes its time
        return reply  # type: ignore[return-value]  # just looked at
    return [text(part) for part in several(reply)]


def pairs(reply: Reply) -> dict[bytes, bytes]:
    """Return a reply that is a list of names and values in turn."""
    parts = texts(reply)
    if len(parts) % 2:
        raise _senseless(reply, "names and values")
    each = iter(parts)
    return dict(zip(each, each, strict=True))


def several(reply: Reply) -> list[Reply]:
    """Return a reply that is a list."""
    check(reply)
    if not isinstance(reply, list):
        raise _senseless(reply, "a list")
    return reply


def tensor(reply: Reply) -> npt.NDArray[Any]:
    """Return a reply that is a tensor."""
    if not isinstance(reply, np.ndarray):
        check(reply)
        raise _senseless(reply, "a tensor")
    return reply


def _senseless(reply: Reply, expected: str) -> RedisInternalError:
    return RedisInternalError(f"The database answered {str(reply)[:60]!r} where {expected} was expected")
