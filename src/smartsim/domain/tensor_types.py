"""The element types of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

WIRE_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "float64": "DOUBLE",
        "float32": "FLOAT",
        "int8": "INT8",
        "int16": "INT16",
        "int32": "INT32",
        "int64": "INT64",
        "uint8": "UINT8",
        "uint16": "UINT16",
        "bool": "BOOL",
    }
)
"""What the database calls each NumPy dtype that it can hold. All but BOOL are shared with the clients of old."""
