"""A worker, connected to a shard.

The bytes of inputs go from the socket into the memory of the arrays that the framework is given, the pieces of a batch
one behind the other; those of outputs from the memory of the arrays to the socket.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from smartsim.adapters.work.connection import CRLF, Buffer, Connection, encode, encode_hello
from smartsim.domain.addresses import Address
from smartsim.domain.tensor_types import WIRE_NAMES
from smartsim.ports.work_source import (
    Call,
    Check,
    Drop,
    Item,
    Kill,
    ModelProgram,
    Program,
    Run,
    ScriptProgram,
    WorkSourceLostError,
)

_TYPE_NAMES = {np.dtype(name): wire.encode() for name, wire in WIRE_NAMES.items()}
_DTYPES = {wire: dtype for dtype, wire in _TYPE_NAMES.items()}
_NEXT = encode("AI._WORKER", "NEXT")
_FETCH = encode("AI._WORKER", "FETCH")
_ALIGNMENT: Final = 64  # bytes; TensorFlow copies what lies otherwise
_ALIGN_FROM: Final = 16 * 1024  # bytes; less is copied faster than aligned
_STRINGS: Final = "ERR tensors of type STRING cannot be inputs of models and scripts"


class RespWorkSource:
    """A `WorkSource` in a shard.

    Args:
        address: where the shard listens.
        user: to log in as.
        password: the user's.

    Raises:
        WorkSourceLostError: there is no shard, or it does not let the user in.
    """

    def __init__(self, address: Address, user: str, password: str) -> None:
        self._connection = Connection(address, user, password)
        self._asked = False  # for the next item; that is sent together with an answer

    def fileno(self) -> int:
        """Return the descriptor of the connection."""
        return self._connection.fileno()

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def hello(self, device: str, versions: Mapping[str, str]) -> None:
        """Say what this worker can run."""
        self._connection.send(encode_hello("WORKER", device, os.getpid(), versions))
        self._connection.read_ok()

    def next(self) -> Item:
        """Wait until there is something to do."""
        if self._asked:
            self._connection.read_ok()  # to the answer
        else:
            self._connection.send(_NEXT)
        self._asked = False
        return self._receive()

    def fetch(self) -> Program:
        """Return the program of the present job."""
        connection = self._connection
        connection.send(_FETCH)
        if connection.read_length(b"*") != 6:  # noqa: PLR2004 - docs/workers.md
            raise WorkSourceLostError("The shard answers FETCH with what is no program")
        kind, backend, _device = (connection.read_string() for _ in range(3))
        first, second = (tuple(map(_text, connection.read_strings())) for _ in range(2))
        content = connection.read_string()
        if kind == b"SCRIPT":
            return ScriptProgram(first, _text(content))
        return ModelProgram(_text(backend), first, second, content)

    def done(self, job: int, microseconds: int, outputs: Sequence[npt.NDArray[Any]], rows: Sequence[int]) -> None:
        """Answer a `Run` or `Call`."""
        words = 5 + sum(2 + output.ndim + len(rows) for output in outputs)
        text = b"*%d\r\n$10\r\nAI._WORKER\r\n$4\r\nDONE\r\n" % words + _numbers((job, microseconds, len(outputs)))
        pieces: list[Buffer] = []
        for output in outputs:
            text += _layout_words(output.dtype, output.shape)
            data = output.reshape(-1).data.cast("B")
            row = len(data) // output.shape[0] if len(rows) > 1 else 0
            ends = [row * end for end in accumulate(rows)] if row else [len(data)]
            for begin, end in pairwise((0, *ends)):
                pieces += (text + b"$%d\r\n" % (end - begin), data[begin:end])
                text = CRLF
        pieces.append(text)
        self._answer(*pieces)

    def checked(self, job: int, microseconds: int, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """Answer a `Check`: the program is sound."""
        numbers = str(job), str(microseconds), str(len(inputs))
        self._answer(encode("AI._WORKER", "CHECKED", *numbers, *inputs, str(len(outputs)), *outputs))

    def fail(self, job: int, text: str) -> None:
        """Say that a job failed."""
        self._answer(encode("AI._WORKER", "FAIL", str(job), text))

    def _answer(self, *pieces: Buffer) -> None:
        self._connection.send(*pieces, _NEXT)
        self._asked = True

    def _receive(self) -> Item:
        while True:
            elements = self._connection.read_length(b"*")
            words = self._connection.read_string().split(b" ") if elements else []
            try:
                return self._item(words, elements)
            except _UnreadableTensorError:
                self._connection.send(encode("AI._WORKER", "FAIL", _text(words[1]), _STRINGS), _NEXT)
                self._connection.read_ok()
            except (ValueError, IndexError, KeyError) as error:
                raise WorkSourceLostError(f"The shard gives {b' '.join(words)[:60]!r} to do: {error!r}") from error

    def _item(self, words: list[bytes], elements: int) -> Item:
        if not words:
            raise ValueError("it is empty")
        if words[0] == b"RUN":
            job, version, requests, inputs, outputs, *rows = map(int, words[1:3] + words[4:])
            if elements != 1 + inputs * (1 + requests) or len(rows) != requests:
                raise ValueError("its numbers do not fit together")
            return Run(job, version, _text(words[3]), tuple(rows), outputs, self._inputs(inputs, requests))
        if words[0] == b"SCRIPT":
            job, version, keys, args, list_start, inputs, outputs = map(int, words[1:])
            if elements != 2 + keys + args + 2 * inputs:
                raise ValueError("its numbers do not fit together")
            function, *texts = (_text(self._connection.read_string()) for _ in range(1 + keys + args))
            arguments = tuple(texts[:keys]), tuple(texts[keys:])
            return Call(job, version, function, *arguments, list_start, outputs, self._inputs(inputs, 1))
        if words[0] == b"CHECK":
            return Check(int(words[1]), int(words[2]), _text(words[3]))
        if words[0] == b"DROP":
            return Drop(tuple(map(int, words[1:])))
        if words[0] == b"KILL":
            return Kill(int(words[1]))
        raise ValueError("there is no such item")

    def _inputs(self, count: int, requests: int) -> tuple[npt.NDArray[Any], ...]:
        inputs = [self._input(requests) for _ in range(count)]
        if any(array is None for array in inputs):
            raise _UnreadableTensorError
        return tuple(array for array in inputs if array is not None)

    def _input(self, requests: int) -> npt.NDArray[Any] | None:
        """Receive an input; None for one of strings."""
        layout = self._connection.read_string()
        if layout.startswith(b"STRING"):
            for _ in range(requests):
                self._connection.read_string()
            return None
        dtype, shape = _parse_layout(layout)
        array = _empty(shape, dtype)
        self._connection.read_into(array.reshape(-1).data.cast("B"), requests)
        return array


class _UnreadableTensorError(Exception):
    """An input is of a type that NumPy arrays cannot hold (STRING)."""


def _text(data: bytes) -> str:
    return data.decode(errors="surrogateescape")


def _empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    size = math.prod(shape) * dtype.itemsize
    if size < _ALIGN_FROM:
        return np.empty(shape, dtype)
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    begin = -memory.ctypes.data % _ALIGNMENT
    return memory[begin : begin + size].view(dtype).reshape(shape)


def _numbers(numbers: Sequence[int]) -> bytes:
    return b"".join(b"$%d\r\n%d\r\n" % (len(str(number)), number) for number in numbers)


# Applications send the same few layouts over and over: parsing and formatting them once saves much of the work of a
# small run.
@lru_cache(maxsize=1024)
def _parse_layout(layout: bytes) -> tuple[np.dtype[Any], tuple[int, ...]]:
    name, *dimensions = layout.split(b" ")
    shape = tuple(map(int, dimensions))
    if math.prod(shape) < 1 or min(shape, default=1) < 1:
        raise ValueError(f"no shape: {shape}")
    return _DTYPES[name], shape


@lru_cache(maxsize=1024)
def _layout_words(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    name = _TYPE_NAMES[dtype]
    return b"$%d\r\n%b\r\n" % (len(name), name) + _numbers((len(shape), *shape))
