"""Walltimes: how long a job may run."""

from __future__ import annotations

import re
from operator import index
from typing import SupportsIndex

_MINUTE = 60
_HOUR = 60 * _MINUTE
_HOURS_PER_DAY = 24
_WALLTIME = re.compile(r"(?:(?P<days>[0-9]+)-)?(?P<hours>[0-9]+):(?P<minutes>[0-5][0-9]):(?P<seconds>[0-5][0-9])")


def parse_walltime(text: str) -> int:
    """Return a walltime in seconds.

    Args:
        text: ``HH:MM:SS`` with any number of hours, or ``D-HH:MM:SS`` with hours below 24.

    Raises:
        TypeError: when it is not a string.
        ValueError: when it has another form.

    Example:
        >>> parse_walltime("36:00:00"), parse_walltime("1-12:00:00")
        (129600, 129600)
    """
    if not isinstance(text, str):
        raise TypeError(f"a walltime is text of the form HH:MM:SS, not {type(text).__name__}: {text!r}")
    match = _WALLTIME.fullmatch(text)
    if match is None or (match["days"] and int(match["hours"]) >= _HOURS_PER_DAY):
        raise ValueError(f"{text!r} is not a walltime: write it as HH:MM:SS or D-HH:MM:SS")
    hours = int(match["days"] or 0) * _HOURS_PER_DAY + int(match["hours"])
    return walltime_seconds(hours, int(match["minutes"]), int(match["seconds"]))


def format_walltime(seconds: int) -> str:
    """Return a walltime as ``HH:MM:SS``; days are written as hours.

    Args:
        seconds: at least 0.

    Raises:
        ValueError: when it is negative.

    Example:
        >>> format_walltime(129_605)
        '36:00:05'
    """
    if seconds < 0:
        raise ValueError(f"{seconds} s is not a walltime: it must be 0 or more")
    hours, rest = divmod(seconds, _HOUR)
    minutes, rest = divmod(rest, _MINUTE)
    return f"{hours:02}:{minutes:02}:{rest:02}"


def walltime_seconds(hours: int = 0, minutes: int = 0, seconds: int = 0) -> int:
    """Return a walltime in seconds.

    Args:
        hours: at least 0.
        minutes: at least 0; more than 59 are fine.
        seconds: at least 0; more than 59 are fine.

    Raises:
        TypeError: when one is not an integer.
        ValueError: when one is negative.
    """
    total = 0
    for what, unit, number in (("hours", _HOUR, hours), ("minutes", _MINUTE, minutes), ("seconds", 1, seconds)):
        if not isinstance(number, SupportsIndex):
            raise TypeError(f"{what} of a walltime must be an integer, not {type(number).__name__}: {number!r}")
        count = index(number)
        if count < 0:
            raise ValueError(f"{what} of a walltime is {count}: it must be 0 or more")
        total += count * unit
    return total
