from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.domain.layouts import Layout, decode_layouts, encode_layout, join_layouts
from smartsim.domain.tensor_types import WIRE_NAMES

TENSORS = st.lists(st.tuples(st.sampled_from(sorted(WIRE_NAMES)), st.lists(st.integers(1, 10**6), max_size=4)))


@given(TENSORS)
def test_layouts_come_back(tensors: list[tuple[str, list[int]]]) -> None:
    text = join_layouts(encode_layout(dtype, shape) for dtype, shape in tensors)
    assert decode_layouts(text) == tuple(
        Layout(dtype, tuple(shape), int(np.dtype(dtype).itemsize * np.prod(shape, dtype=object)))
        for dtype, shape in tensors
    )


@pytest.mark.parametrize(
    "text", [b",", b"INT8 1,", b"STRING 2", b"INT8 -1", b"INT8 1.0", b"INT8  1", b"int8 1", b"\xff"]
)
def test_what_is_none_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"its type is|is no type and shape"):
        decode_layouts(text)


@given(st.binary())
def test_any_bytes_are_layouts_or_refused(text: bytes) -> None:
    try:
        layouts = decode_layouts(text)
    except ValueError:
        return
    assert all(layout.dtype in WIRE_NAMES for layout in layouts)
