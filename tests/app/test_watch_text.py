from __future__ import annotations

import doctest
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.segment import Segment
from rich.text import Text
from textual.strip import Strip

from recorded_studies import record_study
from smartsim.app.log_files import LogFiles
from smartsim.app.plain_text import clock_time, duration, growing, printable, sparkline
from smartsim.app.reading import ExperimentReader
from smartsim.app.watch import log_tail, text
from smartsim.app.watch.browser import Browser
from smartsim.app.watch.experiments import find_experiments
from smartsim.app.watch.log_tail import LogTail, wrapped
from smartsim.app.watch.members import Layout, member_lines
from smartsim.app.watch.pane import changed_cells
from smartsim.app.watch.panes import database_lines
from smartsim.app.watch.text import fitted
from smartsim.domain.errors import TelemetryError
from smartsim.domain.views.databases import DatabaseView, LargeKeyView, SlowCallView
from smartsim.domain.views.table import Page, Row


@pytest.mark.parametrize("module", [text, log_tail])
def test_examples_are_right(module: object) -> None:
    failed, tried = doctest.testmod(module)  # type: ignore[arg-type]
    assert tried > 0
    assert failed == 0


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_printable(name: str) -> None:
    shown = printable(name)
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    if name.isascii() and name.isprintable():
        assert shown == name


@given(st.text(), st.integers(1, 40), st.booleans())
def test_what_is_fitted_takes_exactly_the_room_there_is(name: str, width: int, right: bool) -> None:
    assert cell_len(fitted(name, width, right=right)) == width


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n"))), st.integers(2, 40))
def test_long_lines_are_wrapped_and_lose_nothing(lines: list[str], width: int) -> None:
    found = wrapped(lines, width)
    assert all(cell_len(line) <= width for line in found)
    assert visible("".join(found)) == visible("".join(printable(line.expandtabs()) for line in lines))


def visible(line: str) -> str:
    """Return the characters that take room; accents that stand alone do not."""
    return "".join(character for character in line if cell_len(character) > 0)


@given(st.floats(0, 1e7))
def test_times_are_short(seconds: float) -> None:
    assert len(duration(seconds)) <= 7
    assert len(growing(seconds)) <= 7


@given(st.text("ab ", min_size=6, max_size=6), st.text("ab ", min_size=6, max_size=6))
def test_only_cells_that_changed_are_drawn_again(before: str, after: str) -> None:
    old, new = Strip([Segment(before)], 6), Strip([Segment(after)], 6)
    changed = changed_cells(old, new)
    assert bool(changed) == (before != after)
    drawn = list(before)
    for first, last in changed:
        drawn[first:last] = after[first:last]
    assert "".join(drawn) == after


def test_wide_characters_are_drawn_again_with_their_line() -> None:
    old, new = Strip([Segment("名前")], 4), Strip([Segment("abcd")], 4)
    assert changed_cells(old, new) == [(0, 4)]


def a_row(entity: str, **params: str) -> Row:
    return Row(entity, "", "Model", "", "", "Running", None, "", "", *(0.0,) * 3, *(None,) * 3, 0.5, "", (), params)


@given(st.lists(st.text(max_size=8), unique=True, max_size=12), st.integers(1, 120), st.integers(0, 20))
def test_the_table_fits_whatever_its_width(names: list[str], width: int, skipped: int) -> None:
    page = Page(1, 0, (a_row("m_1", **dict.fromkeys(names, "0.5")),), tuple(names))
    lines = member_lines(page, Layout(skipped=skipped), width, 0)
    assert len(lines) == 2
    assert all(cell_len(line.plain.rstrip()) <= width for line in lines)
    assert all(isinstance(line, Text) for line in lines)


def test_the_selection_stays_on_its_member(tmp_path: Path) -> None:
    record_study(tmp_path, 60, now=5000.0)
    browser = Browser(ExperimentReader(str(tmp_path)), lambda: 5000.0)
    browser.resize(10)
    browser.move(5)
    assert browser.selected is not None
    entity = browser.selected.entity
    browser.cursor = 0
    browser.follow(entity)
    assert browser.selected is not None
    assert browser.selected.entity == entity
    browser.move(10**9)
    assert browser.cursor == browser.page.total - 1
    assert browser.page.offset == browser.page.total - 10
    browser.next_status()
    assert browser.filters == ["Failed"]
    while browser.filters:
        assert browser.page.total > 0
        browser.next_status()


def test_experiments_are_found_but_not_those_within_others(tmp_path: Path) -> None:
    for path in ("a", "b/c", "a/inside", "b/.hidden/d", "1/2/3/far"):
        (tmp_path / path / ".smartsim").mkdir(parents=True)
        (tmp_path / path / ".smartsim/events.jsonl").touch()
    (tmp_path / "link").symlink_to(tmp_path / "b/c")
    assert sorted(find_experiments(str(tmp_path))) == [str(tmp_path / "a"), str(tmp_path / "b/c")]
    assert find_experiments(str(tmp_path / "a")) == [str(tmp_path / "a")]
    (tmp_path / "nothing").mkdir()
    with pytest.raises(TelemetryError, match="There is no experiment in .*nothing"):
        find_experiments(str(tmp_path / "nothing"))


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 1e300])
def test_times_that_no_clock_has_are_written_all_the_same(seconds: float) -> None:
    assert clock_time(seconds) == "?"
    assert duration(seconds) == growing(seconds)


def test_bars_leave_out_what_is_no_number() -> None:
    assert sparkline([float("nan"), 1.0, float("inf")], 5, unicode=False) == " @ "


def test_servers_are_named_without_what_a_terminal_obeys() -> None:
    evil = "\x1b]0;gone\x07"
    database = DatabaseView(
        name="db",
        directory="",
        server_version="",
        ready_at=None,
        servers=(),
        slow_calls=(SlowCallView(1.0, 5, ("GET",), evil),),
        largest_keys=(LargeKeyView("key", "string", 5, evil),),
    )
    lines = [line.plain for line in database_lines([database], 100, unicode=False)]
    assert sum(r"\x1b]0;gone\x07" in line for line in lines) == 2
    assert not any("\x1b" in line for line in lines)


def test_a_line_that_never_ends_is_kept_from_its_end_only(tmp_path: Path) -> None:
    """As a bar of progress draws it, all its life."""
    record_study(tmp_path, 1, now=5000.0)
    reader = ExperimentReader(str(tmp_path))
    path = reader.history.jobs[min(reader.history.jobs)].facts.stdout
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    tail = LogTail(LogFiles(reader), path)
    with (tmp_path / path).open("wb") as stream:
        for step in range(20):
            stream.write(b"=" * 30_000 + f"{step}%".encode())
            stream.flush()
            tail.poll()
    kept = "".join(tail.wrapped(100))
    assert kept.endswith("=19%")
    assert len(kept) < 100_000
