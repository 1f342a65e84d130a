"""The log viewer: the first error, searching, logs of any size and of any content, by mouse and by keys."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from browsers import Watched, shoot
from smartsim.adapters.eventlog.jsonl import JsonlEventLog
from smartsim.domain import record

STEPS = 60_000
ERROR_AT = 41_234  # the step after which the solver fails
GIBIBYTE = 1 << 30


@pytest.fixture
def failed(tmp_path: Path) -> Path:
    """Record a solver that failed in the middle of a long log, and went on to write."""
    lines = [f"step {step}: residual {step % 97} of <b>{step}</b>" for step in range(STEPS)]
    lines.insert(ERROR_AT, "FATAL: the mesh is torn\x1b[31m \x00 \\")
    (tmp_path / "solver.out").write_bytes("\n".join(lines).encode() + b"\xff\xfe\n")
    (tmp_path / "solver.err").write_bytes(b"")
    events = [
        record.Opened(1.0, "logs", "local", "login1", 1),
        record.Submitted(2.0, "solver", "Model", "solver-1", stdout="solver.out", stderr="solver.err"),
        record.Started(3.0, "solver", "solver-1"),
        record.Ended(4.0, "solver", "solver-1", "Failed", 1, "exit code 1"),
    ]
    JsonlEventLog(str(tmp_path / ".smartsim/events.jsonl")).append([record.write(event, 4.0) for event in events])
    return tmp_path


def text_of(page: Page) -> Locator:
    return page.get_by_role("region", name="Text of stdout")


def test_the_first_error_is_jumped_to_by_key(failed: Path, serve: Callable[..., str], page: Page) -> None:
    page.goto(f"{serve(failed)}#/logs?entity=solver")
    expect(text_of(page)).to_contain_text(f"step {STEPS - 1}: ")  # its end is shown at first
    expect(text_of(page)).not_to_contain_text("FATAL")
    jump = page.get_by_role("button", name="First error")
    jump.focus()
    page.keyboard.press("Enter")
    target = page.locator(".log .target")
    expect(target).to_have_text("FATAL: the mesh is torn\\x1b[31m \\x00 \\")
    expect(target).to_be_in_viewport()
    expect(page.get_by_role("status")).to_have_text(f"First error in line {ERROR_AT + 1}.")
    expect(text_of(page)).to_contain_text(f"step {ERROR_AT - 1}: ")  # what was before is there
    expect(text_of(page)).to_contain_text(f"step {ERROR_AT}: ")
    expect(jump).to_be_focused()
    shoot(page, "first-error")
    page.get_by_role("button", name="stderr").click()
    expect(page.get_by_text("Nothing was written to stderr so far.")).to_be_visible()
    page.get_by_role("button", name="First error").click()
    expect(page.get_by_role("status")).to_have_text("No line looks like an error.")
    expect(page.get_by_text("No line has an error.")).to_be_visible()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 800)])
def test_a_log_is_searched_by_keys(
    failed: Path, serve: Callable[..., str], watched: Watched, scheme: str, width: int
) -> None:
    page = watched.page(scheme=scheme, width=width)
    page.goto(f"{serve(failed)}#/logs?entity=solver")
    search = page.get_by_role("searchbox", name="Search in the log")
    search.focus()
    page.keyboard.type("RESIDUAL 13 OF <B>4")
    page.keyboard.press("Enter")
    hits = page.get_by_role("list", name="Lines found").get_by_role("button")
    expect(hits).to_have_count(101)  # and what leads on
    expect(page.get_by_role("status")).to_have_text("100 lines found, and there are more.")
    expect(hits.first).to_have_text(re.compile(r"^\s*\d+\s+step \d+: residual 13 of <b>4\d*</b>$"))
    shoot(page, f"search-{scheme}-{width}")
    hits.last.focus()
    page.keyboard.press("Enter")
    expect(hits.first).to_have_text(re.compile("<b>4"))
    expect(hits.filter(has_text="More")).to_have_count(0)  # these were the last ones
    hits.first.focus()
    page.keyboard.press("Enter")
    target = page.locator(".log .target")
    expect(target).to_have_text(re.compile("residual 13 of <b>4"))
    expect(target).to_be_in_viewport()
    search.fill("no such word")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No line has no such word.")).to_be_visible()
    assert page.locator(".log b").count() == 0
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")


def test_a_log_of_a_gibibyte_is_shown_and_searched_in_parts(
    failed: Path, serve: Callable[..., str], page: Page
) -> None:
    with (failed / "solver.out").open("r+b") as stream:
        stream.truncate(GIBIBYTE)  # the rest of it is zeros that take no room
        stream.seek(GIBIBYTE - 20)
        stream.write(b"\nthe very last line\n")
    page.goto(f"{serve(failed)}#/logs?entity=solver")
    expect(text_of(page)).to_contain_text("the very last line")
    expect(page.get_by_text("of 1 GiB")).to_be_visible()
    page.get_by_role("button", name="Beginning").click()
    expect(text_of(page)).to_contain_text("step 0: residual 0")
    page.get_by_role("button", name="Later lines").click()
    expect(text_of(page)).to_contain_text("step 2500: residual")
    page.get_by_role("searchbox", name="Search in the log").fill("the very last line")
    page.keyboard.press("Enter")
    hit = page.get_by_role("list", name="Lines found").get_by_role("button")
    expect(hit).to_have_text(re.compile("the very last line"))
    hit.click()
    expect(page.locator(".log .target")).to_have_text("the very last line")
    page.route("**/search?*", lambda route: route.fulfill(json={"found": [], "next": 512 << 20}))
    page.get_by_role("searchbox", name="Search in the log").fill("nothing of it")
    page.keyboard.press("Enter")
    end = page.get_by_role("button", name="End the search")
    expect(page.get_by_text("No line has nothing of it in the first 512 MiB.")).to_be_visible()
    end.click()
    expect(end).to_have_count(0)
    page.unroute("**/search?*")
    page.get_by_role("button", name="Search on").click()
    expect(page.get_by_text("No line has nothing of it.")).to_be_visible()
    shoot(page, "log-gibibyte")
