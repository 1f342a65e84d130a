"""The metadata of datasets, in the format that the clients of all languages share.

The metadata are a hash in the database. Each field of it has a type and any number of values: one byte names the type,
the values follow. Numbers are packed, little-endian; of a text come its length, eight bytes, and its bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

TENSOR_NAMES: Final = b".tensor_names"
"""The field that lists the tensors of a dataset, in the order in which they were added; absent when there are none."""

COMPLETE: Final = b".COMPLETE"
"""The field that is there when all of a dataset is; its value is the text ``1``, without a type."""

SCALAR_CODES: Mapping[str, int] = MappingProxyType(
    {"float64": 1, "float32": 2, "int32": 3, "int64": 4, "uint32": 5, "uint64": 6}
)
"""The byte that stands for each type of numbers, by its NumPy name."""

STRING_CODE: Final = 7
"""The byte that stands for texts."""

_DTYPES = {code: dtype for dtype, code in SCALAR_CODES.items()}
_SIZES = {code: int(dtype[-2:]) // 8 for code, dtype in _DTYPES.items()}
_LENGTH: Final = 8


class Scalars(NamedTuple):
    """The numbers of a field.

    Attributes:
        dtype: the NumPy name of their type.
        packed: the numbers one after the other, little-endian.
    """

    dtype: str
    packed: bytes


def encode_scalars(dtype: str, packed: bytes) -> bytes:
    r"""Return a field of numbers.

    Example:
        >>> encode_scalars("int32", b"\x07\x00\x00\x00")
        b'\x03\x07\x00\x00\x00'
    """
    return bytes([SCALAR_CODES[dtype]]) + packed


def encode_strings(strings: Iterable[bytes]) -> bytes:
    r"""Return a field of texts.

    Example:
        >>> encode_strings([b"hi"])
        b'\x07\x02\x00\x00\x00\x00\x00\x00\x00hi'
    """
    parts = [len(string).to_bytes(_LENGTH, "little") + string for string in strings]
    return b"".join([bytes([STRING_CODE]), *parts])


def decode(field: bytes) -> Scalars | list[bytes]:
    r"""Return the values of a field: numbers, or texts.

    Raises:
        ValueError: it is not in the format.

    Example:
        >>> decode(b"\x03\x07\x00\x00\x00")
        Scalars(dtype='int32', packed=b'\x07\x00\x00\x00')
    """
    if not field:
        raise ValueError("it is empty, not even its type is there")
    code, packed = field[0], field[1:]
    if code == STRING_CODE:
        return _split_strings(packed)
    dtype = _DTYPES.get(code)
    if dtype is None:
        raise ValueError(f"its type is {code}, not one of 1 to {STRING_CODE}")
    size = _SIZES[code]
    if len(packed) % size:
        raise ValueError(f"its values take {len(packed)} bytes, but each {dtype} takes {size}")
    return Scalars(dtype, packed)


def check(field: bytes) -> None:
    """Raise a `ValueError` when `decode` would do so."""
    size = _SIZES.get(field[0]) if field else None
    if size is None or len(field) % size != 1:  # not just numbers: decoding them all would take much longer
        decode(field)


def encode_text(text: str) -> bytes:
    r"""Return the bytes of a name or text.

    Bytes that are no UTF-8 (clients in C and Fortran may write them) are ``\udc80`` to ``\udcff`` in a `str`, as in
    file names, so that any bytes come back as they were.

    Raises:
        ValueError: it has other halves of surrogate pairs in it.
    """
    return text.encode("utf-8", "surrogateescape")


def decode_text(text: bytes) -> str:
    """Return the name or text that bytes are; see `encode_text`."""
    return text.decode("utf-8", "surrogateescape")


def _split_strings(packed: bytes) -> list[bytes]:
    strings: list[bytes] = []
    begin, end = 0, len(packed)
    while begin < end:
        text = begin + _LENGTH
        after = text + int.from_bytes(packed[begin:text], "little")
        if text > end or after > end:
            raise ValueError(f"it ends within its text number {len(strings) + 1}")
        strings.append(packed[text:after])
        begin = after
    return strings
