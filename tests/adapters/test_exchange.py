"""What is sent and answered, on a connection that is played: in windows, in transactions, and when it is lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import hiredis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resp_peer import ANY, GET, LENGTHS, Peer, arrays, encoded
from smartsim.adapters.tensors import wire
from smartsim.adapters.tensors.exchange import LostConnectionError
from smartsim.domain.client_errors import RedisRuntimeError
from smartsim.ports.tensor_store import Command, Request, Transaction

words = st.lists(st.binary(max_size=40) | st.sampled_from([b"x" * 20_000]) | arrays(), min_size=1, max_size=5)


@given(st.lists(words, min_size=1, max_size=6), LENGTHS)
def test_commands_leave_in_pieces_of_any_length(commands: list[list[Any]], lengths: list[int]) -> None:
    plain = [[word if isinstance(word, bytes) else word.tobytes() for word in command] for command in commands]
    commands = [[b"ANY", *command] for command in commands]
    peer = Peer(b"+OK\r\n" * len(commands), [*lengths, 1 << 30, 1 << 30])
    peer.play([Command(tuple(command)) for command in commands])
    assert peer.sent == b"".join(encoded([b"ANY", *command]) for command in plain)


@given(st.lists(words, min_size=1, max_size=3), st.lists(arrays(), max_size=4), st.booleans(), LENGTHS)
def test_several_arrays_leave_as_one_word(
    before: list[list[Any]], data: list[Any], last: bool, lengths: list[int]
) -> None:
    plain = [word if isinstance(word, bytes) else word.tobytes() for command in before for word in command]
    word = b"".join(array.tobytes() for array in data)
    command = (b"ANY", *(word for command in before for word in command), tuple(data), *(() if last else (b"end",)))
    peer = Peer(b"+OK\r\n", [*lengths, 1 << 30, 1 << 30])
    peer.play([Command(command)])
    assert peer.sent == encoded([b"ANY", *plain, word, *([] if last else [b"end"])])


@pytest.mark.parametrize("size", [1, 16 * 1024, 1 << 20])
def test_a_transaction_stands_between_multi_and_exec(size: int) -> None:
    data = np.zeros(size, np.int8)
    put = Command((b"SET", b"k", data))
    peer = Peer(b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n:1\r\n")
    assert peer.play([Transaction((put, ANY))]) == [[b"OK", 1]]
    assert peer.sent == b"".join(map(encoded, [[b"MULTI"], [b"SET", b"k", data.tobytes()], [b"ANY"], [b"EXEC"]]))


REFUSED = {
    "a command": (b"+OK\r\n-ERR no\r\n+QUEUED\r\n-EXECABORT Transaction discarded\r\n", "ERR no"),
    "EXEC": (b"+OK\r\n+QUEUED\r\n+QUEUED\r\n-EXECABORT no\r\n", "EXECABORT no"),
    "MULTI": (b"-NOPERM no\r\n+OK\r\n:1\r\n-ERR EXEC without MULTI\r\n", "NOPERM no"),
    "the shard": (b"+OK\r\n-MOVED 7 h:1\r\n-MOVED 7 h:1\r\n-EXECABORT x\r\n", "MOVED 7 h:1"),
}


@pytest.mark.parametrize(("replies", "text"), REFUSED.values(), ids=REFUSED.keys())
def test_a_transaction_that_is_refused_is_an_error(replies: bytes, text: str) -> None:
    refused, following = Peer(replies + b":5\r\n").play([Transaction((GET, ANY)), ANY])
    assert isinstance(refused, RedisRuntimeError)
    assert refused.reply == text
    assert following == 5


def test_errors_within_a_transaction_are_about_their_keys() -> None:
    other = Command((b"GET", b"other"), key=b"other")
    replies = b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n-ERR a\r\n-ERR b\r\n"
    (answered,) = Peer(replies).play([Transaction((GET, other))])
    assert isinstance(answered, list)
    first, second = answered
    assert isinstance(first, RedisRuntimeError)
    assert isinstance(second, RedisRuntimeError)
    assert (first.key, second.key) == ("k", "other")


@pytest.mark.parametrize(
    "replies",
    [b"+OK\r\n+OK\r\n*1\r\n+OK\r\n", b"+OK\r\n+QUEUED\r\n*-1\r\n", b"+OK\r\n+QUEUED\r\n*3\r\n:1\r\n:2\r\n:3\r\n"],
    ids=["not queued", "nothing", "more than commands"],
)
def test_what_is_no_transaction_is_not_taken_for_one(replies: bytes) -> None:
    with pytest.raises(wire.GarbledReplyError):
        Peer(replies).play([Transaction((ANY,))])


class Server(Peer):
    """One that answers each command when it has it whole, and keeps count of the replies that nobody has read."""

    def __init__(self, reply: Callable[[int], bytes]) -> None:
        super().__init__(b"")
        self.reply = reply
        self.reader = hiredis.Reader()
        self.commands = 0
        self.most_commands = 0
        self.most_bytes = 0

    def send(self, buffers: Sequence[bytes | memoryview]) -> int:
        data = b"".join(buffers)
        self.reader.feed(data)
        replies = []
        while self.reader.gets() is not False:
            replies.append(self.reply(self.commands))
            self.commands += 1
        self.replies = memoryview(b"".join([self.replies, *replies]))
        self.most_commands = max(self.most_commands, len(replies))
        self.most_bytes = max(self.most_bytes, len(self.replies))
        return len(data)


def test_thousands_of_commands_do_not_wait_for_one_another() -> None:
    server = Server(lambda number: b":%d\r\n" % number)
    assert server.play([ANY] * 20_000) == list(range(20_000))
    assert 100 < server.most_commands <= 1000


def test_large_replies_do_not_pile_up_at_the_database() -> None:
    payload = b"x" * (1 << 20)
    server = Server(lambda _: encoded(payload))
    assert all(reply == payload for reply in server.play([ANY] * 300))
    assert server.most_bytes < 100 << 20


COMMAND = encoded([b"ANY"])


@pytest.mark.parametrize(
    ("taken", "answered", "sent"),
    [
        (0, 0, False),
        (len(COMMAND) - 1, 0, False),
        (len(COMMAND), 0, True),
        (len(COMMAND) + 1, 0, True),
    ],
)
def test_a_lost_connection_tells_what_may_have_been_carried_out(taken: int, answered: int, *, sent: bool) -> None:
    for failure in (
        BrokenPipeError("gone"),
        TimeoutError("slow"),
        BlockingIOError(11, "slow"),
        OSError(113, "no route"),
    ):
        with pytest.raises(LostConnectionError) as caught:
            Peer(b"", takes=taken, failure=failure).play([ANY] * 3)
        assert caught.value.sent is sent
        assert len(caught.value.replies) == answered
        assert caught.value.__cause__ is failure
        assert caught.value.timed_out is isinstance(failure, (TimeoutError, BlockingIOError))


def test_replies_that_came_before_the_connection_failed_are_told() -> None:
    with pytest.raises(LostConnectionError, match="in time") as caught:
        Peer(b":1\r\n:2\r\n:", failure=TimeoutError()).play([ANY] * 5)
    assert caught.value.replies == [1, 2]
    assert caught.value.handed_over == 5
    assert caught.value.sent


TOO_LARGE = b"-ERR Protocol error: invalid bulk length\r\n"


def test_the_last_words_to_what_is_being_sent_are_heard() -> None:
    put = Command((b"SET", b"k", np.zeros(1 << 20)))
    with pytest.raises(LostConnectionError, match="invalid bulk length") as caught:
        Peer(b":1\r\n" + TOO_LARGE, takes=5000, failure=BrokenPipeError("gone")).play([ANY, put, ANY])
    first, refused = caught.value.replies
    assert first == 1
    assert isinstance(refused, RedisRuntimeError)
    assert "larger than the database takes" in str(refused)
    assert not caught.value.sent


def test_nothing_is_carried_out_after_a_protocol_error() -> None:
    cases: list[tuple[Request, bytes]] = [(ANY, TOO_LARGE), (Transaction((ANY, ANY)), b"+OK\r\n" + TOO_LARGE)]
    for request, replies in cases:
        with pytest.raises(LostConnectionError) as caught:
            Peer(replies).play([request, ANY])
        (refused,) = caught.value.replies
        assert isinstance(refused, RedisRuntimeError)
        assert not caught.value.sent


def test_no_requests_are_no_exchange() -> None:
    assert Peer(b"").play([]) == []
