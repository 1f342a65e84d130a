"""The stores of a cluster, each in the same way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from smartsim.adapters.tensors.async_resp import AsyncRespTensorStore
from smartsim.adapters.tensors.resp import RespTensorStore
from smartsim.domain.addresses import Address
from smartsim.domain.client_config import ClientConfig
from smartsim.domain.client_errors import RedisReplyError
from smartsim.ports.tensor_store import Command
from tensor_stores import OnALoop, Store, tensor_get, tensor_set


@contextmanager
def opened_cluster_store(kind: str, addresses: Sequence[Address], config: ClientConfig) -> Iterator[Store]:
    """Open a store.

    Args:
        kind: ``waiting`` or ``on a loop``.
        addresses: of nodes of the cluster.
        config: how patient to be.
    """
    if kind == "waiting":
        with closing(RespTensorStore(addresses, config, cluster=True)) as store:
            yield store
    else:
        looping = OnALoop(lambda: AsyncRespTensorStore.connect(addresses, config, cluster=True))
        try:
            yield looping
        finally:
            looping.end()


def put(store: Store, key: bytes, data: npt.NDArray[Any]) -> None:
    """Store an array."""
    if isinstance(store, OnALoop):
        _reply(store, tensor_set(key, data))
    else:
        store.put(key, data)


def get(store: Store, key: bytes) -> npt.NDArray[Any]:
    """Return an array."""
    if not isinstance(store, OnALoop):
        return store.get(key)
    tensor = _reply(store, tensor_get(key))
    assert isinstance(tensor, np.ndarray)
    return tensor


def _reply(store: OnALoop, command: Command) -> Any:
    (reply,) = store.run([command])
    if isinstance(reply, RedisReplyError):
        raise reply
    return reply
