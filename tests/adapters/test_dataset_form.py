"""Datasets that are laid out alike are read as any others, and nothing that is laid out otherwise is taken for one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resp_peer import LENGTHS, CutSocket, Peer, encoded
from smartsim.adapters.tensors import wire
from smartsim.adapters.tensors.connecting import TcpConnection
from smartsim.adapters.tensors.connection import TensorConnection
from smartsim.adapters.tensors.dataset_form import FormFinder
from smartsim.adapters.tensors.exchange import LostConnectionError
from smartsim.domain.client_errors import RedisRuntimeError
from smartsim.ports.tensor_store import Command

GET = Command((b"AI._DATASETGET", b"{d}.meta"), b"{d}.meta", changes=False)
NAMES = b"\x07\x01\0\0\0\0\0\0\0t"
SIZES = [0, 1, 8192, 16_000, 70_000]


def dataset(value: bytes, *sizes: int, fill: bytes = b"x", order: int = 1) -> list[Any]:
    fields = [[b"time", value], [b".tensor_names", NAMES], [b"empty", b""], [b".COMPLETE", b"1"]][::order]
    return [[word for field in fields for word in field], b"INT8 %d" % sum(sizes), *[fill * size for size in sizes]]


def read(connection: TensorConnection, sock: CutSocket, reply: bytes, lengths: Iterable[int]) -> Any:
    """Return what a connection gets out of a reply, with blobs as bytes."""
    sock.reply, sock.lengths = memoryview(reply), chain([1 << 30], lengths)
    found: Any = connection.exchange([GET])[0]
    return [bytes(part) if isinstance(part, np.ndarray) else part for part in found] if type(found) is list else found


def familiar(*datasets: list[Any]) -> tuple[TensorConnection, CutSocket]:
    """Return a connection that has seen some datasets, each twice."""
    connection, sock = TcpConnection(), CutSocket(b"", ())
    setattr(connection, "_sock", sock)  # noqa: B010 - a socket to this test only
    for each in datasets:
        for _ in range(2):
            assert read(connection, sock, encoded(each), []) == each
    return connection, sock


datasets = st.builds(
    dataset,
    st.sampled_from([b"\x01abcdefgh", b"\x01ijklmnop", b"\x07", b"\r\n$1\r\n"]),
    *[st.sampled_from(SIZES)] * 2,
    fill=st.sampled_from([b"x", b"\r", b"$"]),
    order=st.sampled_from([1, -1]),
) | st.builds(dataset, st.binary(max_size=12), st.sampled_from(SIZES))


@given(st.lists(datasets, min_size=1, max_size=8), LENGTHS)
def test_datasets_arrive_in_any_pieces_whatever_came_before(sent: list[list[Any]], lengths: list[int]) -> None:
    connection, sock = familiar(sent[0])
    for each in sent:
        assert read(connection, sock, encoded(each), lengths) == each
    assert connection.in_step


@given(st.lists(datasets, min_size=1, max_size=8), LENGTHS)
def test_many_datasets_arrive_in_any_pieces(sent: list[list[Any]], lengths: list[int]) -> None:
    every = [each for each in sent for _ in range(3)]
    found: Any = Peer(b"".join(map(encoded, every)), [1 << 30, *lengths]).play([GET] * len(every))
    assert [[*reply[:2], *map(bytes, reply[2:])] for reply in found] == every


def all_at_once() -> Iterator[int]:
    """Give all that there is; who wants more waits in vain."""
    yield 1 << 30
    raise BlockingIOError


@pytest.mark.parametrize("size", SIZES)
def test_after_datasets_anything_may_come(size: int) -> None:
    connection, sock = familiar(dataset(b"\x01abcdefgh", size))
    assert read(connection, sock, b"$-1\r\n", all_at_once()) is None
    refused = read(connection, sock, b"-INCOMPLETE t\r\n", all_at_once())
    assert isinstance(refused, RedisRuntimeError)
    assert refused.reply == "INCOMPLETE t"
    assert read(connection, sock, encoded(dataset(b"\x01ABCDEFGH", size)), []) == dataset(b"\x01ABCDEFGH", size)


@pytest.mark.parametrize("size", SIZES)
def test_no_part_of_a_dataset_is_a_dataset(size: int) -> None:
    whole = encoded(dataset(b"\x01abcdefgh", size, 3))
    for end in {*range(0, len(whole), 1 + len(whole) // 50), len(whole) - 1, len(whole) - 2}:
        connection, sock = familiar(dataset(b"\x01abcdefgh", size, 3))
        with pytest.raises(LostConnectionError):
            read(connection, sock, whole[:end], [])
        assert not connection.in_step


@pytest.mark.parametrize("size", SIZES)
def test_bytes_behind_a_dataset_end_the_connection(size: int) -> None:
    connection, sock = familiar(dataset(b"\x01abcdefgh", size))
    with pytest.raises(wire.GarbledReplyError, match="more bytes"):
        read(connection, sock, encoded(dataset(b"\x01abcdefgh", size)) + b"+OK\r\n", [])
    assert not connection.in_step


@given(st.sampled_from([5, 20_000]), st.data())
def test_a_changed_byte_is_read_as_it_is_or_refused(size: int, data: st.DataObject) -> None:
    known = dataset(b"\x01abcdefgh", size)
    whole = encoded(known)
    outside = len(whole) - size - 2
    position = data.draw(st.integers(0, outside + 1).map(lambda n: n if n < outside else n + size))
    changed = bytearray(whole)
    changed[position] ^= data.draw(st.integers(1, 255))
    connection, sock = familiar(known)
    try:
        found = read(connection, sock, bytes(changed), [])
    except (wire.GarbledReplyError, LostConnectionError):
        assert not connection.in_step
    else:
        assert isinstance(found, RedisRuntimeError) or encoded(found) == changed


def test_a_form_is_that_of_two_in_a_row() -> None:
    forms = FormFinder()
    for each in (dataset(b"a", 5), dataset(b"ab", 5), dataset(b"a", 5)):
        forms.see(each)
    assert forms.form is None
    forms.see(dataset(b"b", 5))
    assert forms.form is not None
    assert forms.form.read(encoded(dataset(b"c", 5))) == dataset(b"c", 5)
    assert forms.form.read(encoded(dataset(b"ab", 5))) is None


@pytest.mark.parametrize("reply", [None, 5, [], [[b"a"]], [[1, 2], b"", b"x"], [[b"a", b"b"], b"", 7], [b"", b"", b""]])
def test_what_is_no_dataset_has_no_form(reply: Any) -> None:
    forms = FormFinder()
    for _ in range(3):
        forms.see(reply)
    assert forms.form is None
