"""Which shard of a cluster has a key: hash slots, and prefixes that lead to a given one.

The rule for keys is that of the server (its cluster specification, "Hash tags"). The prefixes are those that the
SmartRedis clients choose, so that clients of all languages find each other's models.
"""

from __future__ import annotations

from binascii import crc_hqx
from functools import lru_cache
from typing import Final

SLOTS: Final = 16384

_POLYNOMIAL: Final = 0x11021
"""Of CRC-16/XMODEM, with its leading term; `crc_hqx` computes that."""


def key_slot(key: bytes) -> int:
    """Return the hash slot of a key.

    Only what stands between the first ``{`` and the next ``}`` counts, if there is anything.

    Example:
        >>> key_slot(b"{wind}.meta") == key_slot(b"{wind}.speed") == key_slot(b"wind")
        True
    """
    start = key.find(b"{")
    if start >= 0:
        end = key.find(b"}", start)
        if end > start + 1:
            key = key[start + 1 : end]
    return crc_hqx(key, 0) % SLOTS


@lru_cache(maxsize=1024)
def shard_prefix(slot: int) -> bytes:
    r"""Return the prefix that leads to the shard of which this is the first slot.

    It is the text of two bytes whose CRC is the slot itself, in braces; where a brace is in it, that of three.

    Example:
        >>> shard_prefix(0), shard_prefix(5461), shard_prefix(9)
        (b'{\x00\x00}', b'{8M}', b'{\x01&\\}')
    """
    text = slot
    for _ in range(16):  # backwards through the 16 bits that lead from 0 to this CRC
        text = (text ^ _POLYNOMIAL if text & 1 else text) >> 1
    length = 2
    while any(brace in text.to_bytes(length, "big") for brace in b"{}"):
        # The lowest bit ends; as what is added is a multiple of the polynomial, the CRC stays.
        text ^= _POLYNOMIAL * (text & -text)
        length = 3
    return b"{%b}" % text.to_bytes(length, "big")
