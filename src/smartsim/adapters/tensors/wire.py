"""Tensors in RESP, the protocol of the database: commands to bytes, bytes to what they say. Pure functions.

The commands are those of RedisAI, which every SmartRedis client speaks: ``AI.TENSORSET key TYPE dim... BLOB bytes`` and
``AI.TENSORGET key META BLOB``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from smartsim.domain.layouts import decode_layouts
from smartsim.domain.tensor_types import WIRE_NAMES
from smartsim.ports.tensor_store import Word

CRLF: Final = b"\r\n"
OK: Final = b"+OK\r\n"
MAX_HEADER: Final = 4096
"""No reply to AI.TENSORGET has a longer header: NumPy allows 64 dimensions, each takes 23 bytes at most."""

JOIN_BELOW: Final = 16 * 1024
"""Smaller payloads are copied behind their header: that is faster than handing the kernel three pieces."""

_LARGE_COMMAND: Final = 4 * JOIN_BELOW
"""A smaller one is copied into one piece, even if its payload is in several arrays."""

_MOST_ARRAYS: Final = 64
"""Of more, those are joined that are small: each costs the kernel something."""

Piece: TypeAlias = "bytes | memoryview | npt.NDArray[Any]"
"""A part of a command, in bytes or shown by the memory where they are."""

_LONGEST_NUMBER: Final = 20
_NUMBERS: Final = 1 << 63
"""Numbers of the protocol have 64 bits."""

_TYPE_NAMES = {np.dtype(name): wire.encode() for name, wire in WIRE_NAMES.items()}
_DTYPES = {wire: dtype for dtype, wire in _TYPE_NAMES.items()}
_BLOB = b"\r\n$4\r\nblob\r\n$"
_HEADER: Final = re.compile(
    rb"\*6\r\n\$5\r\ndtype\r\n\$\d{1,2}\r\n([A-Z0-9]{1,16})\r\n"
    rb"\$5\r\nshape\r\n\*(\d{1,2})((?:\r\n:\d{1,19})*)" + re.escape(_BLOB) + rb"(\d{1,19})\r\n"
)


class GarbledReplyError(Exception):
    """The other side does not speak the protocol; what follows on the connection cannot be understood."""


class Layout(NamedTuple):
    """A header, and what it says of the elements that follow.

    Attributes:
        header: as received.
        shape: of the tensor.
        dtype: of its elements.
        size: of all elements, in bytes.
    """

    header: bytes
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    size: int


class UnreadableTensorError(Exception):
    """The tensor is of a type that NumPy arrays cannot hold (STRING)."""


def encode(words: tuple[Word, ...], pieces: list[Piece]) -> int:
    r"""Append a command, in pieces, and return its length.

    A word of `JOIN_BELOW` bytes or more is a piece of its own, a `memoryview` of where it is. No other piece is one:
    those are to be joined.

    Example:
        >>> encode((b"EXISTS", b"k"), pieces := []), pieces
        (23, [b'*2\r\n$6\r\nEXISTS\r\n$1\r\nk\r\n'])
    """
    text, arrays, length = _filled(words)
    if not length:
        return _encode_one_by_one(words, pieces)
    pieces.append(text)
    if arrays is not None:
        pieces += [array if array.nbytes < JOIN_BELOW else array.data.cast("B") for array in arrays]
        pieces.append(CRLF)
    return length


def encode_alone(words: tuple[Word, ...]) -> tuple[Sequence[Any], int]:
    """Return a command that nothing else is sent with, in a few buffers for the kernel, and its length."""
    text, arrays, length = _filled(words)
    if length and arrays is None:
        return (text,), length
    if length and arrays is not None and len(arrays) <= _MOST_ARRAYS:
        buffers: tuple[Any, ...] = (text, *arrays, CRLF)
        return buffers if length >= _LARGE_COMMAND else (b"".join(buffers),), length
    pieces: list[Piece] = []
    length = encode(words, pieces)
    return join(pieces), length


def join(pieces: Sequence[Piece]) -> list[bytes | memoryview]:
    """Return the same bytes in as few pieces as can be without copying what is large."""
    joined: list[bytes | memoryview] = []
    kinds = list(map(type, pieces))
    start = 0
    for _ in range(kinds.count(memoryview)):
        position = kinds.index(memoryview, start)
        if position > start:
            joined.append(b"".join(pieces[start:position]))  # type: ignore[arg-type]  # NumPy's are buffers
        joined.append(pieces[position])  # type: ignore[arg-type]  # just found
        start = position + 1
    joined.append(b"".join(pieces[start:]))  # type: ignore[arg-type]  # likewise
    return joined


def _filled(words: tuple[Word, ...]) -> tuple[bytes, tuple[npt.NDArray[Any], ...] | None, int]:
    """Return a command up to the arrays at its end, these if there are any, and its length.

    The length is 0 when this cannot be done: another word is large, or there is an array elsewhere.
    """
    last = words[-1]
    # Commands of one shape differ in nothing but their words, so all but these is made once: that takes half the time.
    try:
        if isinstance(last, bytes):
            form, length = _form(tuple(map(_size, words)))
            return form and form % words, None, length
        arrays = _arrays(last)
        texts = words[:-1]
        form, length = _form(tuple(map(_size, texts)), sum([array.nbytes for array in arrays]))
        return form and form % texts, arrays, length
    except TypeError:  # there is an array among the texts
        return b"", None, 0


_size: Final[Callable[[Any], int]] = bytes.__len__  # refuses all that is not bytes


@lru_cache(maxsize=4096)
def _form(sizes: tuple[int, ...], array: int | None = None) -> tuple[bytes, int]:
    """Return what becomes a command when its texts are put in, and its length; or, if one is large, nothing.

    Args:
        sizes: of the texts.
        array: size of the arrays after them, which are to follow the form, if there are any.
    """
    if max(sizes, default=0) >= JOIN_BELOW:
        return b"", 0
    form = b"*%d\r\n" % (len(sizes) + (array is not None)) + b"".join(b"$%d\r\n%%b\r\n" % size for size in sizes)
    if array is None:
        return form, len(form) + sum(sizes) - 2 * len(sizes)
    form += b"$%d\r\n" % array
    return form, len(form) + sum(sizes) - 2 * len(sizes) + array + 2


def _encode_one_by_one(words: Sequence[Word], pieces: list[Piece]) -> int:
    pieces.append(b"*%d\r\n" % len(words))
    length = len(pieces[-1])
    for word in words:
        if isinstance(word, bytes):
            size = len(word)
            payloads: list[Piece] = [word if size < JOIN_BELOW else memoryview(word)]
        else:
            arrays = _arrays(word)
            size = sum([array.nbytes for array in arrays])
            payloads = [array if array.nbytes < JOIN_BELOW else elements_of(array) for array in arrays]
        header = b"$%d\r\n" % size
        pieces += (header, *payloads, CRLF)
        length += len(header) + size + len(CRLF)
    return length


def _arrays(word: npt.NDArray[Any] | tuple[npt.NDArray[Any], ...]) -> tuple[npt.NDArray[Any], ...]:
    return word if isinstance(word, tuple) else (word,)


def encode_tensor_get(key: bytes) -> bytes:
    """Return the command that asks for a tensor with its type and shape."""
    return b"*4\r\n$12\r\nAI.TENSORGET\r\n$%d\r\n%b\r\n$4\r\nMETA\r\n$4\r\nBLOB\r\n" % (len(key), key)


def encode_tensor_set(key: bytes, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """Return the command that stores a tensor, up to its elements: they follow, then `CRLF`."""
    before_key, after_key = _around_key(dtype, shape)
    return b"%b%d\r\n%b%b" % (before_key, len(key), key, after_key)


@lru_cache(maxsize=1024)
def _around_key(dtype: np.dtype[Any], shape: tuple[int, ...]) -> tuple[bytes, bytes]:
    # Simulations send the same few layouts over and over: formatting them once saves much of the work of a small put.
    words = [_TYPE_NAMES[dtype], *(b"%d" % dimension for dimension in shape), b"BLOB"]
    after_key = b"".join(b"\r\n$%d\r\n%b" % (len(word), word) for word in words)
    size = math.prod(shape) * dtype.itemsize
    return b"*%d\r\n$12\r\nAI.TENSORSET\r\n$" % (len(words) + 3), b"%b\r\n$%d\r\n" % (after_key, size)


def elements_of(array: npt.NDArray[Any]) -> memoryview:
    """Return the memory of an array that is in C order, as bytes."""
    return array.reshape(-1).view(np.uint8).data  # a cast of the memory itself refuses arrays without elements


def find_header(data: bytes, start: int) -> bytes:
    """Return the bytes that are the header of a tensor which starts there, if any; empty when its end is not there."""
    blob = data.find(_BLOB, start, start + MAX_HEADER)
    end = data.find(CRLF, blob + len(_BLOB), start + MAX_HEADER) if blob > 0 else -1
    return data[start : end + 2] if end > 0 else b""


def header_length(reply: bytes) -> int:
    """Return the length of a tensor's header, given the first bytes of a reply to AI.TENSORGET.

    Returns:
        0 when more bytes are needed, or the reply is an error.

    Raises:
        GarbledReplyError: when there is none within `MAX_HEADER` bytes.
    """
    if header := find_header(reply, 0):
        return len(header)
    if len(reply) >= MAX_HEADER or not reply.startswith((b"-", b"*6\r\n"[: len(reply)])):
        raise GarbledReplyError(f"no tensor in {reply[:60]!r}")
    return 0


@lru_cache(maxsize=1024)
def parse_tensor_header(header: bytes) -> Layout:
    """Return what the header of a reply to AI.TENSORGET says of the elements that follow.

    Raises:
        GarbledReplyError: when the header is not one, or its parts do not fit together.
        UnreadableTensorError: when its elements are not numbers.
    """
    match = _HEADER.fullmatch(header)
    if not match:
        raise GarbledReplyError(f"no tensor in {header[:60]!r}")
    type_name, dimensions, numbers, size = match.groups()
    shape = tuple(int(number) for number in numbers.split(b"\r\n:")[1:])
    if len(shape) != int(dimensions):
        raise GarbledReplyError(f"a tensor of {int(dimensions)} dimensions with the shape {shape}")
    return layout(type_name, shape, int(size), header)


def layout(type_name: bytes, shape: tuple[int, ...], size: int, header: bytes = b"") -> Layout:
    """Return the layout of a tensor, given what its header says.

    Raises:
        GarbledReplyError: when that does not fit together.
        UnreadableTensorError: when its elements are not numbers.
    """
    if type_name == b"STRING":
        raise UnreadableTensorError("it is a tensor of strings, which this client does not read")
    dtype = _DTYPES.get(type_name)
    if dtype is None or min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != size:
        raise GarbledReplyError(f"a tensor of type {type_name!r} and shape {shape} in {size} bytes")
    try:
        np.broadcast_to(np.zeros((), dtype), shape)
    except ValueError as error:  # of more dimensions or elements than NumPy can count
        raise GarbledReplyError(f"a tensor of shape {shape}: {error}") from None
    return Layout(header, shape, dtype, size)


@lru_cache(maxsize=64)
def size_of_layouts(text: bytes) -> int:
    """Return how many bytes some tensors take, given their layouts; 0 if these cannot be read."""
    try:
        return sum(layout.size for layout in decode_layouts(text))
    except ValueError:
        return 0


SOME_LAYOUT: Final = parse_tensor_header(
    b"*6\r\n$5\r\ndtype\r\n$5\r\nUINT8\r\n$5\r\nshape\r\n*1\r\n:1\r\n$4\r\nblob\r\n$1\r\n"
)
"""That of a tensor, for those who have not seen one yet."""


def parse_number(line: bytes) -> int:
    """Return the number that is the text of a line.

    Raises:
        GarbledReplyError: it is none.
    """
    digits = line.removeprefix(b"-")
    if len(line) <= _LONGEST_NUMBER and digits.isdigit() and (digits[:1] != b"0" or line == b"0"):
        number = int(line)
        if -_NUMBERS <= number < _NUMBERS:
            return number
    raise GarbledReplyError(f"{line[:60]!r} is not a number")
