"""Tensors in RESP, the protocol of the database: commands to bytes, bytes to what they say. Pure functions.

The commands are those of RedisAI, which every SmartRedis client speaks: ``AI.TENSORSET key TYPE dim... BLOB bytes`` and
``AI.TENSORGET key META BLOB``.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np

from smartsim.domain.tensor_types import WIRE_NAMES

CRLF: Final = b"\r\n"
OK: Final = b"+OK\r\n"
MAX_HEADER: Final = 4096
"""No reply to AI.TENSORGET has a longer header: NumPy allows 64 dimensions, each takes 23 bytes at most."""

_TYPE_NAMES = {np.dtype(name): wire.encode() for name, wire in WIRE_NAMES.items()}
_DTYPES = {wire: dtype for dtype, wire in _TYPE_NAMES.items()}
_BLOB = b"\r\n$4\r\nblob\r\n$"
_HEADER = re.compile(
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


def encode_command(*words: bytes) -> bytes:
    r"""Return a command.

    Example:
        >>> encode_command(b"EXISTS", b"k")
        b'*2\r\n$6\r\nEXISTS\r\n$1\r\nk\r\n'
    """
    return b"*%d\r\n%b" % (len(words), b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words))


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


def header_length(reply: bytes) -> int:
    """Return the length of a tensor's header, given the first bytes of a reply to AI.TENSORGET.

    Returns:
        0 when more bytes are needed, or the reply is an error.

    Raises:
        GarbledReplyError: when there is none within `MAX_HEADER` bytes.
    """
    blob = reply.find(_BLOB)
    end = reply.find(CRLF, blob + len(_BLOB)) if blob > 0 else -1
    if end > 0:
        return end + 2
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
    if type_name == b"STRING":
        raise UnreadableTensorError("it is a tensor of strings, which this client does not read")
    shape = tuple(int(number) for number in numbers.split(b"\r\n:")[1:])
    dtype = _DTYPES.get(type_name)
    if dtype is None or len(shape) != int(dimensions) or math.prod(shape) * dtype.itemsize != int(size):
        raise GarbledReplyError(f"a tensor of type {type_name!r} and shape {shape} in {size.decode()} bytes")
    return Layout(header, shape, dtype, int(size))
