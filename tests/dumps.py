"""What DUMP gives and RESTORE takes.

The layout of a module's value: kind of value, type and version of the module, then what the module wrote, each after a
code, and an end mark; then the version of the format (2 bytes) and a checksum (8 bytes).
"""

from __future__ import annotations

import struct

import redis

FOOTER = 10


def crc64(data: bytes) -> bytes:
    """Return the checksum of a dump, CRC-64/Jones, so that a corrupt one gets past it and to the module."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x95AC9329AC4BC9B5 if crc & 1 else 0)
    return struct.pack("<Q", crc)


def sealed(body: bytes, version: bytes) -> bytes:
    """Return the dump with the given body."""
    return body + version + crc64(body + version)


def opened(db: redis.Redis, key: str | bytes) -> tuple[bytes, bytes]:
    """Return the body of the dump of a key, and the version that belongs into its footer."""
    dump: bytes | None = db.execute_command("DUMP", key)
    assert dump is not None
    body, version = dump[:-FOOTER], dump[-FOOTER:-8]
    assert sealed(body, version) == dump
    return body, version


def number(value: int) -> bytes:
    """Return how an unsigned number below 64 is written."""
    return b"\x02" + bytes([value])


def text(data: bytes) -> bytes:
    """Return how a string of fewer than 64 bytes is written."""
    return b"\x05" + bytes([len(data)]) + data


def of_another_encoding(body: bytes) -> bytes:
    """Return the body with another encoding version: the low bits of the type's number."""
    return body[:9] + bytes([body[9] + 1]) + body[10:]
