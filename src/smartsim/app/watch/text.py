"""How values are written in a terminal: short, and without anything that a terminal would obey."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from smartsim.domain.status import SmartSimStatus

LETTERS: Final[Mapping[str, str]] = {
    SmartSimStatus.STATUS_NEW.value: "N",
    SmartSimStatus.STATUS_QUEUED.value: "Q",
    SmartSimStatus.STATUS_RUNNING.value: "R",
    SmartSimStatus.STATUS_PAUSED.value: "P",
    SmartSimStatus.STATUS_COMPLETED.value: "C",
    SmartSimStatus.STATUS_FAILED.value: "F",
    SmartSimStatus.STATUS_CANCELLED.value: "X",
    SmartSimStatus.STATUS_NEVER_STARTED.value: "-",
}
"""The letter of each state."""
STYLES: Final[Mapping[str, str]] = {
    SmartSimStatus.STATUS_QUEUED.value: "yellow",
    SmartSimStatus.STATUS_RUNNING.value: "green",
    SmartSimStatus.STATUS_PAUSED.value: "magenta",
    SmartSimStatus.STATUS_COMPLETED.value: "cyan",
    SmartSimStatus.STATUS_FAILED.value: "bold red",
    SmartSimStatus.STATUS_CANCELLED.value: "bold",
}
"""The colour of each state, of the sixteen that every terminal has; the others have that of text."""

_UNSEEN: Final = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # control, format (also of the direction of writing), none
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_THOUSAND: Final = 1000
_UNITS: Final = "kMGT"
_BARS: Final = " ▁▂▃▄▅▆▇█"
_PLAIN_BARS: Final = " .:-=+*#@"
_CUT: Final = "~"


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


def fitted(text: str, width: int, *, right: bool = False) -> str:
    """Return text that takes exactly so many cells; what is cut ends with a tilde.

    Args:
        text: any.
        width: cells.
        right: whether it stands at the right.

    Example:
        >>> fitted("diffusivity", 6), fitted("12", 4, right=True)
        ('diffu~', '  12')
    """
    text = printable(text)
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, max(width - 1, 0)) + _CUT[:width]
    padding = " " * (width - length)
    return padding + text if right else text + padding


def state(status: str) -> Text:
    """Return the letter of a state, in its colour."""
    return Text(LETTERS.get(status, "?"), STYLES.get(status, ""))


def counted(counts: Mapping[str, int]) -> Text:
    """Return how many are in each state, such as "R 12  F 2"."""
    return Text("  ").join(
        Text(f"{letter} {counts[status]}", STYLES.get(status, ""))
        for status, letter in LETTERS.items()
        if counts.get(status)
    )


def duration(seconds: float | None) -> str:
    """Return a time in its two largest units; empty for none.

    Example:
        >>> duration(0.25), duration(42.3), duration(3723), duration(None)
        ('0.2s', '42s', '1h02m', '')
    """
    if seconds is None:
        return ""
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
    return duration(seconds) if seconds >= _HOUR else f"{int(seconds) // _MINUTE}m"


def clock_time(at: float | None) -> str:
    """Return date and time of day here, to the second; empty for none.

    Args:
        at: seconds since the epoch.
    """
    return "" if not at else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


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
    """Return the latest values as bars, from nothing to the highest of them.

    Args:
        values: the latest is the last.
        width: the most cells.
        unicode: whether the terminal shows more than ASCII.

    Example:
        >>> sparkline([0.0, 1.0, 2.0], 10, unicode=False)
        ' =@'
    """
    bars = _BARS if unicode else _PLAIN_BARS
    latest = values[-width:] if width > 0 else ()
    highest = max(latest, default=0.0)
    if highest <= 0:
        return bars[0] * len(latest)
    return "".join(bars[round(max(value, 0.0) / highest * (len(bars) - 1))] for value in latest)
