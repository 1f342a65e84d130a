from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.domain.metadata import Scalars, decode, decode_text, encode_scalars, encode_strings, encode_text

FORMATS = {"float64": "d", "float32": "f", "int32": "i", "int64": "q", "uint32": "I", "uint64": "Q"}


def test_what_the_clients_of_old_wrote() -> None:
    assert decode(b"\x07\x05\0\0\0\0\0\0\0hello\x06\0\0\0\0\0\0\0w\xc3\xb6rld") == [b"hello", "wörld".encode()]
    assert decode(b"\x04\x07\0\0\0\0\0\0\0") == Scalars("int64", struct.pack("<q", 7))
    assert decode(b"\x01\0\0\0\0\0\0\xf8\x3f") == Scalars("float64", struct.pack("<d", 1.5))
    assert decode(b"\x02\0\0\xc0\x3f") == Scalars("float32", struct.pack("<f", 1.5))
    assert decode(b"\x03\xff\xff\xff\xff\x02\0\0\0") == Scalars("int32", struct.pack("<ii", -1, 2))
    assert decode(b"\x05\xff\xff\xff\xff") == Scalars("uint32", struct.pack("<I", 2**32 - 1))
    assert decode(b"\x06\xff\xff\xff\xff\xff\xff\xff\xff") == Scalars("uint64", struct.pack("<Q", 2**64 - 1))


@given(st.sampled_from(sorted(FORMATS)), st.integers(0, 20), st.data())
def test_scalars_come_back(dtype: str, count: int, data: st.DataObject) -> None:
    size = count * struct.calcsize("<" + FORMATS[dtype])
    packed = data.draw(st.binary(min_size=size, max_size=size))
    assert decode(encode_scalars(dtype, packed)) == Scalars(dtype, packed)


@given(st.lists(st.binary()))
def test_texts_come_back(strings: list[bytes]) -> None:
    assert decode(encode_strings(strings)) == strings


@given(st.binary() | st.builds(bytes.__add__, st.sampled_from([bytes([code]) for code in range(9)]), st.binary()))
def test_any_bytes_are_read_or_refused(field: bytes) -> None:
    try:
        values = decode(field)
    except ValueError as error:
        assert str(error).startswith("it")  # noqa: PT017 - what is wrong goes on; or there is no error at all
    else:
        assert (encode_scalars(*values) if isinstance(values, Scalars) else encode_strings(values)) == field


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        (b"", "it is empty"),
        (b"\0", "its type is 0, not one of 1 to 7"),
        (b"1", "its type is 49"),
        (b"\x03\0\0\0\0\0", "its values take 5 bytes, but each int32 takes 4"),
        (b"\x07\x01\0\0\0\0\0\0\0a\x02\0\0", "it ends within its text number 2"),
        (b"\x07\x02\0\0\0\0\0\0\0a", "it ends within its text number 1"),
        (b"\x07" + b"\xff" * 8 + b"text", "it ends within its text number 1"),
    ],
)
def test_what_is_wrong_with_a_field_is_said(field: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        decode(field)


@given(st.text())
def test_any_text_comes_back(text: str) -> None:
    assert decode_text(encode_text(text)) == text


@given(st.binary())
def test_any_bytes_come_back_as_text(text: bytes) -> None:
    assert encode_text(decode_text(text)) == text


def test_half_a_character_is_no_text() -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        encode_text("\ud800")
