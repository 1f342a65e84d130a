"""How values are written for people: short, and without anything that a terminal would obey."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Sequence
from math import isfinite
from typing import Final

_UNSEEN: Final = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # control, format (also of the direction of writing), none
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_THOUSAND: Final = 1000
_UNITS: Final = "kMGT"
_BARS: Final = " ▁▂▃▄▅▆▇█"
_PLAIN_BARS: Final = " .:-=+*#@"


def printable(text: str) -> str:
    r"""Return text with escapes in place of characters that a terminal obeys, or does not show.

    Example:
        >>> printable("a\x1b[31mb\u202e")
        'a\\x1b[31mb\\u202e'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if unicodedata.category(character) not in _UNSEEN else ascii(character)[1:-1] for character in text
    )


def duration(seconds: float | None) -> str:
    """Return a time in its two largest units; empty for none, "?" for what is no time.

    Example:
        >>> duration(0.25), duration(42.3), duration(3723), duration(None)
        ('0.2s', '42s', '1h02m', '')
    """
    if seconds is None:
        return ""
    if not isfinite(seconds):
        return "?"
    seconds = max(seconds, 0.0)
    if seconds < _MINUTE:
        return f"{seconds:.1f}s" if seconds < 10 else f"{seconds:.0f}s"  # noqa: PLR2004 - two digits are enough
    whole = int(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE}m{whole % _MINUTE:02}s"
    if whole < _DAY:
        return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02}m"
    return f"{whole // _DAY}d{whole % _DAY // _HOUR:02}h"


def growing(seconds: float | None) -> str:
    """Return a time that goes on, so coarsely that it seldom has to be drawn again; empty for none.

    Example:
        >>> growing(42.3), growing(150), growing(3723)
        ('<1m', '2m', '1h02m')
    """
    if seconds is None:
        return ""
    if seconds < _MINUTE:
        return "<1m"
    return f"{int(seconds) // _MINUTE}m" if seconds < _HOUR else duration(seconds)


def clock_time(at: float | None) -> str:
    """Return date and time of day here, to the second; empty for none, "?" for what no calendar has.

    Args:
        at: seconds since the epoch.
    """
    if not at:
        return ""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
    except (OverflowError, ValueError, OSError):
        return "?"


def amount(number: float) -> str:
    """Return a number in few characters.

    Example:
        >>> amount(0.123), amount(42), amount(98.76), amount(15300), amount(2.5e9)
        ('0.123', '42', '98.8', '15.3k', '2.5G')
    """
    if abs(number) < _THOUSAND:
        return f"{number:.3g}" if abs(number) < 100 else f"{number:.0f}"  # noqa: PLR2004 - three digits are enough
    units = 1
    while units < len(_UNITS) and abs(number) >= _THOUSAND ** (units + 1):
        units += 1
    return f"{number / _THOUSAND**units:.1f}{_UNITS[units - 1]}"


def sparkline(values: Sequence[float], width: int, *, unicode: bool) -> str:
    """Return the latest values as bars, from nothing to the highest of them; what is no number is nothing.

    Args:
        values: the latest is the last.
        width: the most cells.
        unicode: whether the terminal shows more than ASCII.

    Example:
        >>> sparkline([0.0, 1.0, 2.0], 10, unicode=False)
        ' =@'
    """
    bars = _BARS if unicode else _PLAIN_BARS
    latest = [value if isfinite(value) else 0.0 for value in values[-width:]] if width > 0 else []
    highest = max(latest, default=0.0)
    if highest <= 0:
        return bars[0] * len(latest)
    return "".join(bars[round(max(value, 0.0) / highest * (len(bars) - 1))] for value in latest)
