"""Bytes of RESP2, however they are cut, to what they say. No I/O: whoever has a socket fills the decoder's room."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from enum import Enum, auto
from itertools import takewhile
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from smartsim.adapters.tensors import wire
from smartsim.adapters.tensors.dataset_form import FormFinder
from smartsim.adapters.tensors.replies import (
    TENSOR_ITEMS,
    closed,
    error_of,
    gives_dataset,
    gives_one_tensor,
    gives_tensors,
    is_blob,
    layout_of,
    rest_of_dataset,
)
from smartsim.adapters.tensors.tensor_run import TensorRun
from smartsim.ports.tensor_store import Command, Reply

ROOM: Final = 16 * 1024
"""So many bytes are received at once, of a single reply."""

_MOST_ROOM: Final = 64 * 1024
_LARGE: Final = 16 * 1024
_BEHIND_PAYLOAD: Final = 512
"""Room behind large payloads, for the header of the next: what comes of its elements is moved to where they belong."""

_LONGEST_LINE: Final = 64 * 1024

_DEEPEST: Final = 32
_KINDS: Final = b"+-:$*"
_STATUS, _ERROR, _NUMBER, _TEXT, _LIST = _KINDS
_LENGTHS: Final = {b"%d" % number: number for number in range(1024)}
_TEXT_LINES: Final = {b"$%d\r\n" % number: number for number in range(1024)}
_LIST_LINES: Final = {b"*%d\r\n" % number: number for number in range(1024)}
"""Lines before short texts and lists: one look at them is all that it takes to read a text."""

_LARGEST_BLOCK: Final = 1 << 30
_NOTHING: Final = np.empty(0, np.uint8)
_NO_ROOM: Final = memoryview(b"")


class Sign(Enum):
    """What the decoder finds that is not a reply."""

    MORE = auto()
    """The bytes of the next reply are not all there."""

    OPENED = auto()
    """A list has begun."""


More: TypeAlias = Literal[Sign.MORE]
_MORE: Final = Sign.MORE
_OPENED: Final = Sign.OPENED


class ReplyDecoder:
    """Replies, out of the bytes that are received into the room it makes.

    A payload that is not there as a whole when its length is known is received into the memory of its own: that of the
    array, for a tensor.

    Args:
        replies: how many are expected; the more, the more bytes are received at once.
    """

    def __init__(self, replies: int = 1) -> None:
        self._size = min(ROOM * replies, _MOST_ROOM)  # of the room
        self._room = _NO_ROOM
        self._data = b""  # what came, but for payloads
        self._start = 0  # of what is not decoded
        self._lists: list[tuple[int, list[Reply]]] = []  # that are not complete, with the lengths they will have
        self._payload: npt.NDArray[Any] | None = None  # that is not complete
        self._payload_is_text = False
        self._rest = _NO_ROOM  # where the rest of the payload goes
        self._run: TensorRun | None = None  # of tensors that are expected after the payload
        self._ready: deque[npt.NDArray[Any]] = deque()  # tensors that were received before the payload
        self._layout = wire.SOME_LAYOUT  # of the last tensor: most are alike
        self._block = _NOTHING  # room for the rest of a dataset
        self._forms = FormFinder()

    @property
    def room(self) -> Sequence[memoryview]:
        """Where the next bytes go, in this order; `received` says how many came."""
        if self._run:
            return self._run.room
        room = self._own_room()
        if not self._rest:
            return (room,)
        return (self._rest, room if len(self._rest) < _LARGE else room[:_BEHIND_PAYLOAD])

    def add(self, data: bytes) -> None:
        """Take bytes that were received elsewhere; none of the rest of a payload."""
        self._data = data if self._start == len(self._data) else self._data[self._start :] + data
        self._start = 0

    @property
    def rest(self) -> memoryview:
        """Where the rest of a payload goes, if one is being received; `received` says that it has come."""
        return self._rest

    def received(self, count: int) -> None:
        """Say how many bytes have come."""
        if self._run and self._payload is not None:
            self._run.received(count)
            if end := self._run.end():
                tensors, self._data = end
                self._ready.extend((self._payload, *tensors))
                self._payload = self._ready.pop()
                self._rest, self._start, self._run = _NO_ROOM, 0, None
            return
        into_payload = min(count, len(self._rest))
        self._rest = self._rest[into_payload:]
        self._data = self._data[self._start :] + self._room[: count - into_payload]
        self._start = 0

    @property
    def empty(self) -> bool:
        """Whether nothing is left of what was received."""
        return self._start == len(self._data) and not self.in_the_middle

    def take(self, commands: Sequence[Command], replies: list[Reply]) -> None:
        """Append the next replies, up to the first that is not there as a whole: that is for `next`.

        Args:
            commands: to each of which there is a reply.
            replies: where they go.

        Raises:
            GarbledReplyError: what is there is none.
        """
        # One after the other through `next`, the replies to a transaction took three times as long.
        data, start = self._data, self._start
        header, shape, dtype, size = self._layout
        before = len(replies)
        for command in commands:
            if data.startswith(header, start) and gives_tensors(command):
                begin = start + len(header)
                if not data.startswith(wire.CRLF, begin + size):
                    break
                replies.append(np.ndarray(shape, dtype, data, begin).copy())
                start = begin + size + 2
            elif data.startswith(wire.OK, start):
                replies.append(b"OK")
                start += len(wire.OK)
            elif (form := self._forms.form) and gives_dataset(command) and (reply := form.read(data, start)):
                replies.append(reply)
                start += form.size
            else:
                self._start = start
                value = self._read(command)
                if value is _MORE or value is _OPENED:
                    self._expect(commands[len(replies) - before + 1 :])
                    return
                if gives_dataset(command):
                    self._forms.see(value)
                replies.append(value)
                start = self._start
                header, shape, dtype, size = self._layout
        self._start = start

    def begin_list(self, head: bytes, length: int) -> bool:
        """Go into a list of so many items, if these bytes come next: the head of the list and what is before it."""
        if self.in_the_middle or not self._data.startswith(head, self._start):
            return False
        self._start += len(head)
        self._lists.append((length, []))
        return True

    def next_of_each(self, commands: Sequence[Command]) -> Reply | More:
        """Return the next reply as `next` does, if it is a list with a reply to each of the commands."""
        if len(self._lists) == 1 and self._payload is None and not self._ready:
            length, items = self._lists[0]
            self.take(commands[len(items) : length], items)
            if len(items) == length:
                self._lists.clear()
                return items
        return self.next(commands, each=True)

    @property
    def in_the_middle(self) -> bool:
        """Whether a part of the next reply has been read already."""
        return bool(self._lists) or self._payload is not None or bool(self._ready)

    @property
    def filling(self) -> bool:
        """Whether what comes next is nothing but the rest of a payload."""
        return bool(self._rest)

    def next(self, commands: Sequence[Command], *, each: bool = False) -> Reply | More:
        """Return the next reply, or `Sign.MORE`.

        Args:
            commands: to which it is the reply.
            each: whether it is a list, with a reply to each of the commands; otherwise it is that to the first.

        Raises:
            GarbledReplyError: it is none.
        """
        lists = self._lists
        while True:
            position = min(len(lists[0][1]), len(commands) - 1) if each and lists else 0
            command = commands[position]
            if self._ready:
                value: Reply | Sign = self._ready.popleft()
            else:
                value = self._read(command) if self._payload is None else self._complete()
            if value is _OPENED:
                continue
            if value is _MORE:
                if each:
                    self._expect(commands[position + 1 :])
                return value
            while lists:
                length, items = lists[-1]
                items.append(value)
                if len(items) < length:
                    break
                lists.pop()
                value = closed(items, command)
            else:
                return value

    def _read(self, command: Command) -> Reply | Sign:
        """Read one value, or the head of a list and the texts that follow it."""
        data, start = self._data, self._start
        stop = data.find(wire.CRLF, start)
        if stop < 0:
            if len(data) - start > _LONGEST_LINE or (start < len(data) and data[start] not in _KINDS):
                raise wire.GarbledReplyError(f"{data[start : start + 60]!r} is no reply")
            return _MORE
        kind, line = data[start], data[start + 1 : stop]
        self._start = stop + 2
        if kind in (_STATUS, _ERROR):
            if b"\r" in line or b"\n" in line:
                raise wire.GarbledReplyError(f"{line[:60]!r} is not one line")
            return line if kind == _STATUS else error_of(line, command)
        if kind not in _KINDS:
            raise wire.GarbledReplyError(f"{data[start : start + 60]!r} is no reply")
        number = _LENGTHS.get(line)
        if number is None:
            number = wire.parse_number(line)
            if kind != _NUMBER and number < 0:
                if line != b"-1":
                    raise wire.GarbledReplyError(f"{line!r} is not a length")
                return None
        if kind == _NUMBER:
            return number
        return self._read_text(number, command) if kind == _TEXT else self._read_list(number, start, command)

    def _read_list(self, length: int, start: int, command: Command) -> Reply | Sign:
        """Read a list of which the head starts there, as far as it is texts."""
        if length == TENSOR_ITEMS and gives_tensors(command) and self._at_tensor(start):
            return self._read_tensor(self._layout)
        items, self._start = self._take_texts(length, self._start, lists=True)
        if len(items) == length:
            return items
        if len(self._lists) == _DEEPEST:
            raise wire.GarbledReplyError(f"more than {_DEEPEST} lists in one another")
        self._lists.append((length, items))
        return _OPENED

    def _take_texts(self, count: int, start: int, *, lists: bool = False) -> tuple[list[Reply], int]:
        """Return short texts that follow one another, as far as they are there, and where they end.

        Args:
            count: of the texts that may come.
            start: of the first.
            lists: whether there may be lists of such texts among them.
        """
        data = self._data
        items: list[Reply] = []
        for _ in range(count):
            begin = data.find(b"\n", start) + 1
            line = data[start:begin]
            size = _TEXT_LINES.get(line)
            if size is not None:
                if not data.startswith(wire.CRLF, end := begin + size):
                    break
                items.append(data[begin:end])
                start = end + 2
            elif lists and (length := _LIST_LINES.get(line)):
                texts, end = self._take_texts(length, begin)
                if len(texts) < length:
                    break
                items.append(texts)
                start = end
            else:
                break
        return items, start

    def _at_tensor(self, start: int) -> bool:
        """Tell whether a whole header of a tensor is there; if so, go to its end and keep what it says."""
        if not self._data.startswith(self._layout.header, start):
            try:
                self._layout = wire.parse_tensor_header(wire.find_header(self._data, start))
            except (wire.GarbledReplyError, wire.UnreadableTensorError):
                return False
        self._start = start + len(self._layout.header)
        return True

    def _read_text(self, size: int, command: Command) -> Reply | Sign:
        length, items = self._lists[-1] if self._lists else (0, [])
        if length == TENSOR_ITEMS and len(items) == length - 1 and gives_tensors(command):
            layout = layout_of(items, size)
            if layout:  # the header came in pieces
                self._lists.pop()
                return self._read_tensor(layout)
        data, start = self._data, self._start
        if len(data) < start + size + 2:
            if is_blob(items, command):
                return self._begin(self._part_of_block(size, items), text=False)
            return self._begin(np.empty(size, np.uint8), text=True)
        self._go_past(size)
        return data[start : start + size]

    def _part_of_block(self, size: int, items: Sequence[Reply]) -> npt.NDArray[np.uint8]:
        """Return room for a blob of a dataset.

        All of them are received into one piece of memory: what is freed in many large pieces is given back to the
        system, and has to be asked for again for the next dataset.

        Args:
            size: of the blob.
            items: what is before it in the list.
        """
        if len(self._block) < size:
            self._block = np.empty(max(size, min(rest_of_dataset(items), _LARGEST_BLOCK)), np.uint8)
        part, self._block = self._block[:size], self._block[size:]
        return part

    def _read_tensor(self, layout: wire.Layout) -> Reply | Sign:
        _, shape, dtype, size = layout
        data, start = self._data, self._start
        if len(data) < start + size + 2:
            return self._begin(np.empty(shape, dtype), text=False)
        self._go_past(size)
        return np.ndarray(shape, dtype, data, start).copy()

    def _begin(self, payload: npt.NDArray[Any], *, text: bool) -> Reply | Sign:
        """Move what is there of a payload, so that the rest is received where it belongs."""
        elements = wire.elements_of(payload)
        there = min(len(self._data) - self._start, len(elements))
        elements[:there] = self._data[self._start : self._start + there]
        self._start += there
        self._payload, self._payload_is_text, self._rest = payload, text, elements[there:]
        return self._complete()

    def _expect(self, commands: Sequence[Command]) -> None:
        """Expect tensors like the one that is being received, if there is one, as replies to some commands."""
        if len(self._rest) >= _LARGE and self._run is None and not self._payload_is_text and len(self._lists) <= 1:
            following = len(list(takewhile(gives_one_tensor, commands)))
            if following:
                self._run = TensorRun(self._layout, self._rest, following, self._own_room()[:_BEHIND_PAYLOAD])

    def _own_room(self) -> memoryview:
        if not self._room:
            self._room = np.empty(self._size, np.uint8).data  # without zeros: they take a microsecond
        return self._room

    def _complete(self) -> Reply | Sign:
        """Return the payload that is being received, when it and its line end are there."""
        payload = self._payload
        if payload is None or self._rest or len(self._data) < self._start + 2:
            return _MORE
        self._go_past(0)
        self._payload = None
        return payload.tobytes() if self._payload_is_text else payload

    def _go_past(self, size: int) -> None:
        """Go past so many bytes of a payload, and the line end after them."""
        end = self._start + size
        if not self._data.startswith(wire.CRLF, end):
            raise wire.GarbledReplyError(f"{self._data[end : end + 2]!r} where a payload should end")
        self._start = end + 2
