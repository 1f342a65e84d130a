"""Replies are what was said, however they are cut; and nothing else is taken for one."""

from __future__ import annotations

from typing import Any

import hiredis
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resp_peer import ANY, GET, LENGTHS, Peer, Status, arrays, encoded
from smartsim.adapters.tensors import wire
from smartsim.adapters.tensors.exchange import LostConnectionError
from smartsim.domain.client_errors import RedisRuntimeError
from smartsim.ports.tensor_store import Command, Request, Transaction

DAG = Command((b"AI.DAGEXECUTE", b"LOAD", b"1", b"k", b"|>", b"AI.TENSORGET", b"k", b"META", b"BLOB"))
DATASET = Command((b"AI._DATASETGET", b"{d}.meta"), key=b"{d}.meta")
lines = st.binary(max_size=60).filter(lambda line: b"\r" not in line and b"\n" not in line)
leaves = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.binary(max_size=3000)
    | st.sampled_from([b"dtype", b"blob", b"a" * 70_000, b"\r\n" * 40])
    | lines.map(Status)
    | st.text("ERabc ").map(lambda text: RedisRuntimeError(text, reply=text))
)
values = st.recursive(leaves, lambda part: st.lists(part, max_size=7), max_leaves=25)


def same(left: Any, right: Any) -> bool:
    """Compare replies; errors by their text, arrays with their types."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, RedisRuntimeError) and isinstance(right, RedisRuntimeError):
        return left.reply == right.reply
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        return (left.dtype, left.shape, left.tobytes()) == (right.dtype, right.shape, right.tobytes())
    return type(right) in {type(left), Status} and bool(left == right)


@given(st.lists(values, min_size=1, max_size=5), LENGTHS)
def test_any_replies_arrive_in_any_pieces(expected: list[Any], lengths: list[int]) -> None:
    for command in (ANY, GET):
        peer = Peer(b"".join(map(encoded, expected)), [1 << 20, *lengths])
        assert same(peer.play([command] * len(expected)), expected)


@given(values, st.data())
def test_no_part_of_a_reply_is_a_reply(value: Any, data: st.DataObject) -> None:
    whole = encoded(value)
    end = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(LostConnectionError) as caught:
        Peer(b"+OK\r\n" + whole[:end]).play([ANY, ANY])
    assert caught.value.replies == [b"OK"]
    assert caught.value.sent
    assert not caught.value.timed_out


@given(st.lists(arrays(), min_size=1, max_size=4), LENGTHS)
def test_tensors_arrive_in_any_pieces_wherever_they_stand(tensors: list[npt.NDArray[Any]], lengths: list[int]) -> None:
    dag = [b"OK", *tensors, RedisRuntimeError("", reply="ERR no")]
    requests: list[Request] = [*[GET] * len(tensors), Transaction((GET,) * len(tensors)), DAG]
    queued = [Status(b"OK"), *[Status(b"QUEUED")] * len(tensors)]
    wholes = [*tensors, *queued, tensors, dag]
    replies = Peer(b"".join(map(encoded, wholes)), [1 << 20, *lengths]).play(requests)
    assert same(replies, [*tensors, tensors, dag])
    assert all(reply.flags.writeable and reply.flags.c_contiguous for reply in replies if isinstance(reply, np.ndarray))


LARGE = [np.arange(5000.0), np.arange(5000.0)[::-1].copy(), np.ones((2, 2500)), np.zeros(5001, np.int32), np.ones(3)]
no = RedisRuntimeError("", reply="ERR no")


@given(st.lists(st.sampled_from([*LARGE[:2] * 4, *LARGE[2:], no]), min_size=2, max_size=12), LENGTHS)
def test_large_tensors_that_are_mostly_alike_arrive_in_any_pieces(expected: list[Any], lengths: list[int]) -> None:
    queued = [Status(b"OK"), *[Status(b"QUEUED")] * len(expected)]
    requests: list[Request] = [*[GET] * len(expected), Transaction((GET,) * len(expected)), ANY]
    wholes = [*expected, *queued, expected, 7]
    replies = Peer(b"".join(map(encoded, wholes)), [1 << 20, *lengths, *lengths, *lengths]).play(requests)
    assert same(replies, [*expected, expected, 7])
    tensors = [reply for reply in replies if isinstance(reply, np.ndarray)]
    assert all(tensor.flags.writeable and tensor.flags.owndata for tensor in tensors)


BLOBS = [
    b"abc",
    bytes(range(256)) * 70,
    np.random.default_rng(0).bytes(100_000),
    np.random.default_rng(1).bytes(300_000),
]


@given(
    st.lists(st.lists(st.sampled_from(BLOBS), max_size=5) | st.none() | st.just(no), min_size=1, max_size=4),
    st.booleans(),
    LENGTHS,
)
def test_datasets_arrive_in_any_pieces(datasets: list[Any], honest: bool, lengths: list[int]) -> None:
    expected = []
    for blobs in datasets:
        layouts = b",".join(b"UINT8 %d" % len(blob) for blob in blobs) if isinstance(blobs, list) else b""
        fields = [b"time", b"\4" * 9, b".COMPLETE", b"1"]
        expected.append([fields, layouts if honest else b"UINT8 7", *blobs] if isinstance(blobs, list) else blobs)
    peer = Peer(b"".join(map(encoded, [*expected, 7])), [1 << 20, *lengths, *lengths])
    *replies, last = peer.play([*[DATASET] * len(expected), ANY])
    plain = [
        [part.tobytes() if isinstance(part, np.ndarray) else part for part in reply]
        if isinstance(reply, list)
        else reply
        for reply in replies
    ]
    assert same(plain, expected)
    assert last == 7


def test_no_cut_of_a_dataset_matters() -> None:
    expected = [[b"time", b"\4" * 9, b".tensor_names", b"\7" * 20], b"UINT8 3,UINT8 4", b"abc", b"defg"]
    reply = encoded(expected)
    for lengths in (*([cut] for cut in range(1, len(reply))), [1] * len(reply)):
        (found,) = Peer(reply, [1 << 20, *lengths]).play([DATASET])
        assert isinstance(found, list)
        assert found[:2] == expected[:2]
        assert [bytes(blob) for blob in found[2:]] == expected[2:]  # type: ignore[arg-type]  # bytes, or arrays of bytes


def test_the_blobs_of_a_dataset_are_received_into_one_piece_of_memory() -> None:
    expected = [[b"f", b"v"], b"UINT8 100000,UINT8 300000", *BLOBS[2:]]
    (reply,) = Peer(encoded(expected), [1 << 20, *[50_000] * 100]).play([DATASET])
    assert isinstance(reply, list)
    _, _, first, second = reply
    assert isinstance(first, np.ndarray)
    assert isinstance(second, np.ndarray)
    assert first.base is second.base is not None
    assert [first.tobytes(), second.tobytes()] == BLOBS[2:]


@pytest.mark.parametrize("claim", [b"UINT8 %d" % (1 << 62), b"DOUBLE 1", b"STRING 1", b"\xff", b"UINT8 -1"])
def test_layouts_that_are_wrong_harm_nobody(claim: bytes) -> None:
    expected = [[b"f", b"v"], claim, BLOBS[2]]
    (reply,) = Peer(encoded(expected), [1 << 20, 1000, 1000]).play([DATASET])
    assert isinstance(reply, list)
    assert isinstance(reply[2], np.ndarray)
    assert reply[2].tobytes() == BLOBS[2]


def test_of_large_tensors_that_are_alike_no_bytes_are_taken_for_others() -> None:
    one = encoded(LARGE[0])
    for garbled in (one[:-2] + b"xy", one[:-2] + b"\0\r\n", one.replace(b":5000", b":5001")):
        for lengths in ([1 << 20], [1 << 20, 100_000, *[7] * 30_000]):
            with pytest.raises((wire.GarbledReplyError, LostConnectionError)):
                Peer(one * 2 + garbled + one * 2, lengths).play([GET] * 5)


def test_no_cut_of_a_tensor_matters() -> None:
    tensor = np.arange(6, dtype=np.float32).reshape(2, 3)
    reply = encoded([1, tensor, b"x"])
    for cut in range(1, len(reply)):
        assert same(Peer(reply, [1 << 20, cut]).play([DAG]), [[1, tensor, b"x"]])
    assert same(Peer(reply, [1 << 20, *[1] * len(reply)]).play([DAG]), [[1, tensor, b"x"]])


def test_only_commands_that_give_tensors_give_them() -> None:
    tensor = np.arange(3, dtype=np.int8)
    assert Peer(encoded(tensor)).play([ANY]) == [[b"dtype", b"INT8", b"shape", [3], b"blob", tensor.tobytes()]]


@pytest.mark.parametrize("reply", [b"+\r\r\n", b"+O\nK\r\n", b"-ERR \rno\r\n"])
def test_a_line_has_no_line_ends_in_it(reply: bytes) -> None:
    with pytest.raises(wire.GarbledReplyError, match="not one line"):
        Peer(reply).play([ANY])


@given(LENGTHS)
def test_a_tensor_of_strings_is_an_error_and_what_follows_is_read(lengths: list[int]) -> None:
    strings = encoded([b"dtype", b"STRING", b"shape", [2], b"blob", b"a\0b\0"])
    refused, following = Peer(strings + b"+OK\r\n", [1 << 20, *lengths]).play([GET, ANY])
    assert isinstance(refused, RedisRuntimeError)
    assert "strings" in str(refused)
    assert refused.key == "k"
    assert following == b"OK"


@given(value=values | arrays(), garbage=st.binary(max_size=12), data=st.data(), lengths=LENGTHS)
def test_garbage_is_refused_or_means_what_it_says(
    value: Any, garbage: bytes, data: st.DataObject, lengths: list[int]
) -> None:
    whole = encoded(value)
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 20)))
    changed = whole[:start] + garbage + whole[end:]
    try:
        (reply,) = Peer(changed, [1 << 20, *lengths]).play([GET])
    except (wire.GarbledReplyError, LostConnectionError, MemoryError):
        return
    reader = hiredis.Reader()
    reader.feed(changed)
    judged = reader.gets()
    if isinstance(reply, np.ndarray):
        assert encoded(reply) == changed
    else:
        assert same(reply, _like_ours(judged))


def _like_ours(reply: Any) -> Any:
    if isinstance(reply, hiredis.ReplyError):
        return RedisRuntimeError("", reply=str(reply))
    return [_like_ours(part) for part in reply] if isinstance(reply, list) else reply


TENSOR = encoded(np.arange(6, dtype=np.float64).reshape(2, 3))
GARBLED = {
    "of another protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "of another protocol, without lines": b"SSH-2.0",
    "of RESP3": b"%1\r\n+a\r\n+b\r\n",
    "an empty line": b"\r\n",
    "a line without end": b"+" + b"x" * 200_000,
    "no number": b":\r\n",
    "a number with a blank": b": 1\r\n",
    "a number with a zero before it": b"$01\r\na\r\n",
    "too long a number": b":" + b"1" * 5000 + b"\r\n",
    "a number of more than 64 bits": b":9223372036854775808\r\n",
    "a length of more than 64 bits": b"$9999999999999999999\r\n",
    "a negative length": b"$-2\r\n",
    "a negative count": b"*-7\r\n",
    "a text that is longer": b"$3\r\nabcd\r\n",
    "a text that is longer, in a list": b"*1\r\n$3\r\nabcd\r\n",
    "lists without end": b"*1\r\n" * 10_000,
    "more behind it": b"+OK\r\n+OK\r\n",
    "one byte behind it": TENSOR + b"\0",
    "no line end": TENSOR[:-2] + b"xy",
    "more bytes than elements": TENSOR.replace(b"$48", b"$56")[:-2] + b"12345678\r\n",
    "an unknown type": TENSOR.replace(b"$6\r\nDOUBLE", b"$7\r\nCOMPLEX"),
    "negative sides": TENSOR.replace(b":2\r\n:3", b":-2\r\n:-3"),
    "fewer sides than elements": TENSOR.replace(b"*2\r\n:2\r\n:3", b"*1\r\n:2"),
    "more dimensions than NumPy has": TENSOR.replace(b"*2\r\n:2", b"*99\r\n" + b":1\r\n" * 97 + b":2"),
    "more elements than can be": encoded([b"dtype", b"INT8", b"shape", [0, 2**63 - 1, 2**63 - 1], b"blob", b""]),
}


@pytest.mark.parametrize("reply", GARBLED.values(), ids=GARBLED.keys())
@pytest.mark.parametrize("lengths", [[], [1 << 20, *[3] * 100_000]])
def test_what_is_no_reply_is_not_taken_for_one(reply: bytes, lengths: list[int]) -> None:
    with pytest.raises(wire.GarbledReplyError):
        Peer(reply, lengths).play([GET])


@pytest.mark.parametrize("command", [ANY, GET])
def test_a_length_that_is_only_claimed_takes_no_memory(command: Command) -> None:
    header = TENSOR.replace(b":2\r\n:3", b":%d\r\n:1" % (1 << 57)).replace(b"$48", b"$%d" % (1 << 60))
    with pytest.raises(MemoryError):
        Peer(header if command is GET else b"$%d\r\nabc" % (1 << 60)).play([command])
