from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.domain.walltime import format_walltime, parse_walltime, walltime_seconds


@given(st.integers(min_value=0, max_value=10**9))
def test_what_is_written_is_read_back(seconds: int) -> None:
    assert parse_walltime(format_walltime(seconds)) == seconds


@given(st.integers(0, 10_000), st.integers(0, 59), st.integers(0, 59))
def test_hours_beyond_a_day_stay_hours(hours: int, minutes: int, seconds: int) -> None:
    text = f"{hours:02d}:{minutes:02d}:{seconds:02d}"
    total = round(timedelta(hours=hours, minutes=minutes, seconds=seconds).total_seconds())
    assert parse_walltime(text) == total
    assert format_walltime(total) == text


@given(st.integers(0, 400), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_days_are_read(days: int, hours: int, minutes: int, seconds: int) -> None:
    expected = round(timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds).total_seconds())
    assert parse_walltime(f"{days}-{hours:02d}:{minutes:02d}:{seconds:02d}") == expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("00:10:00", 600), ("1:00:00", 3600), ("24:00:00", 86400), ("100:00:00", 360_000), ("1-00:00:00", 86400)],
)
def test_forms(text: str, seconds: int) -> None:
    assert parse_walltime(text) == seconds


MALFORMED = (
    "",
    "10",
    "10:00",
    "1:2:3",
    "00:60:00",
    "00:00:60",
    "-1:00:00",
    "01:00:00\n",
    " 01:00:00",
    "1-24:00:00",
    "1-",
    "a:b:c",
    "01 day, 0:00:00",
    "\u0660\u0661:\u0660\u0660:\u0660\u0660",  # digits, but not those a scheduler reads
    "1.5:00:00",
    "01:00:00:00",
    "1-2-03:00:00",
)


@pytest.mark.parametrize("text", MALFORMED)
def test_anything_else_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(ValueError, match="HH:MM:SS") as caught:
        parse_walltime(text)
    assert repr(text) in str(caught.value)


def test_a_number_is_not_a_walltime() -> None:
    with pytest.raises(TypeError, match="not int: 3600"):
        parse_walltime(3600)  # type: ignore[arg-type]


def test_a_negative_walltime_is_refused() -> None:
    with pytest.raises(ValueError, match="-1 s"):
        format_walltime(-1)


def test_parts_add_up() -> None:
    assert walltime_seconds() == 0
    assert walltime_seconds(hours=30, minutes=90, seconds=75) == 30 * 3600 + 90 * 60 + 75
    assert walltime_seconds(np.int64(2)) == 7200  # type: ignore[arg-type]


@pytest.mark.parametrize(("part", "wrong"), [("hours", 1.5), ("minutes", "10"), ("seconds", None)])
def test_parts_must_be_integers(part: str, wrong: object) -> None:
    with pytest.raises(TypeError, match=f"{part} of a walltime must be an integer"):
        walltime_seconds(**{part: wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize("part", ["hours", "minutes", "seconds"])
def test_parts_must_not_be_negative(part: str) -> None:
    with pytest.raises(ValueError, match=f"{part} of a walltime is -1"):
        walltime_seconds(**{part: -1})
