"""The connection of a worker to a shard, where the fake has nothing to say: bytes in pieces, nonsense, and ends."""

from __future__ import annotations

import socket
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers import free_port, scripted_server
from smartsim.adapters.work.resp import RespWorkSource
from smartsim.domain.addresses import Address
from smartsim.ports.work_source import Call, Item, Run, WorkRefusedError, WorkSourceLostError
from wire_shard import PASSWORD, WireShard, encoded, resp, serving


def received(items: list[Item | bytes], piece: int = 0) -> tuple[list[Item], WireShard]:
    """Return what a worker understands of items, and the shard that it failed them to."""
    shard = WireShard(items, {}, piece)
    understood: list[Item] = []
    with serving(shard) as address, closing(RespWorkSource(address, "worker", PASSWORD)) as source:
        source.hello("CPU", {})
        try:
            while True:
                item = source.next()
                understood.append(item)
                if isinstance(item, Run | Call):
                    source.fail(item.job, "ERR no")
        except WorkSourceLostError:
            if len(understood) < sum(not isinstance(item, bytes) for item in items):
                raise
    return understood, shard


@given(piece=st.integers(1, 40), size=st.integers(1, 60), rows=st.lists(st.integers(1, 3), min_size=1, max_size=4))
def test_items_may_come_in_pieces_of_any_size(piece: int, size: int, rows: list[int]) -> None:
    first = np.random.default_rng(size).random((sum(rows), size))
    second = np.arange(sum(rows), dtype=np.uint8)
    items: list[Item | bytes] = [Run(job, 2, "TORCH", tuple(rows), 1, (first, second)) for job in range(2)]
    found, _ = received(items, piece)
    for item in found:
        assert isinstance(item, Run)
        assert np.array_equal(item.inputs[0], first)
        assert np.array_equal(item.inputs[1], second)


@pytest.mark.parametrize("size", [65_400, 65_500, 65_536, 65_600, 131_072, 3_000_000])
@pytest.mark.parametrize("piece", [0, 4096, 65_537])
def test_inputs_around_the_size_of_the_buffer_arrive_whole(size: int, piece: int) -> None:
    data = np.random.default_rng(size).integers(0, 255, size, dtype=np.uint8)
    found, _ = received([Run(1, 2, "TORCH", (size,), 1, (data, data[:3])), Run(2, 2, "TORCH", (3,), 1, (data,))], piece)
    for item in found:
        assert isinstance(item, Run)
        assert np.array_equal(item.inputs[0], data)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int8", "bool"])
def test_large_inputs_lie_where_frameworks_need_not_copy_them(dtype: str) -> None:
    data = np.ones((3, 33_333), dtype)
    found, _ = received([Run(job, 2, "TF", (3,), 1, (data,)) for job in range(3)])
    for item in found:
        assert isinstance(item, Run)
        assert item.inputs[0].ctypes.data % 64 == 0
        assert np.array_equal(item.inputs[0], data)


def test_tensors_of_strings_are_refused_and_the_next_item_is_served() -> None:
    strings = resp(["RUN 5 1 TORCH 1 2 1 2", "STRING 2", b"a\0b\0", "FLOAT 1", b"\0\0\0\0"])
    found, shard = received([strings, Run(6, 1, "TORCH", (1,), 1, (np.zeros(1),))])
    assert [item.job for item in found if isinstance(item, Run)] == [6]
    assert b"STRING" in shard.commands[3][3]
    assert shard.commands[3][:3] == [b"AI._WORKER", b"FAIL", b"5"]


@pytest.mark.parametrize(
    "reply",
    [
        b"+OK\r\n",
        b"*0\r\n",
        b"*-1\r\n",
        b"*x\r\n",
        b"$3\r\nRUN\r\n",
        b"\r\n",
        b"x" * 100_000,
        resp(["SLEEP 1"]),
        resp(["RUN 1"]),
        resp(["RUN 1 2 TORCH x 1 1 1"]),
        resp(["RUN 1 2 TORCH 2 1 1 1", "FLOAT 1", b"\0\0\0\0"]),
        resp(["RUN 1 2 TORCH 1 1 1 1", "FLOAT 1", b"\0\0\0"]),
        resp(["RUN 1 2 TORCH 1 1 1 1", "FLOAT 1", b"\0\0\0\0\0"]),
        resp(["RUN 1 2 TORCH 2 1 1 1 1", "FLOAT 1", b"\0\0\0\0", b"\0\0\0\0"]),
        resp(["RUN 1 2 TORCH 2 1 1 1 1", "FLOAT 3", b"\0\0\0\0", b"\0\0\0\0"]),
        resp(["RUN 1 2 TORCH 1 1 1 1", "FLOAT 0", b""]),
        resp(["RUN 1 2 TORCH 1 1 1 1", "FLOAT -1", b""]),
        resp(["RUN 1 2 TORCH 1 1 1 1", "COMPLEX 1", b"\0"]),
        resp(["SCRIPT 1 2 1 0 -1 0 0", "f"]),
        resp(["KILL"]),
        encoded(Run(1, 2, "TORCH", (1,), 1, (np.zeros(3),)))[:-2] + b"\0\0",
    ],
)
def test_nonsense_ends_the_connection_with_an_error(reply: bytes) -> None:
    shard = WireShard([reply], {})
    with serving(shard) as address, closing(RespWorkSource(address, "worker", PASSWORD)) as source:
        source.hello("CPU", {})
        with pytest.raises(WorkSourceLostError, match=r"makes no sense|to do"):
            source.next()


def test_what_the_shard_refuses_is_told_in_its_words() -> None:
    shard = WireShard([b"-ERR no such job\r\n"], {})
    with serving(shard) as address, closing(RespWorkSource(address, "worker", PASSWORD)) as source:
        source.hello("CPU", {})
        source.fail(1, "ERR x")
        with pytest.raises(WorkRefusedError, match="ERR no such job"):
            source.next()
    with serving(WireShard([], {})) as address, pytest.raises(WorkRefusedError, match="WRONGPASS"):
        RespWorkSource(address, "worker", "wrong")


@pytest.mark.parametrize("length", [0, 5, 30, 60])
def test_an_end_in_the_middle_is_told(length: int) -> None:
    item = encoded(Run(1, 2, "TORCH", (1,), 1, (np.zeros(3),)))
    with (
        scripted_server([b"+OK\r\n", item[:length] or b"*"]) as server,
        closing(RespWorkSource(server.address, "worker", PASSWORD)) as source,
        pytest.raises(WorkSourceLostError, match="closed the connection"),
    ):
        source.next()


def test_no_shard_is_told_with_its_address() -> None:
    address = Address.tcp("127.0.0.1", free_port())
    with pytest.raises(WorkSourceLostError, match=str(address)):
        RespWorkSource(address, "worker", PASSWORD)


def test_a_host_that_dies_is_noticed() -> None:
    with serving(WireShard([], {})) as address, closing(RespWorkSource(address, "worker", PASSWORD)) as source:
        connected = source._connection._socket
        assert connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert connected.gettimeout() is None
