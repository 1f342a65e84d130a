"""A report: the same pages, from one file that is opened from the disk."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from browsers import COMMAND, DEADLINE, MEMBERS, shoot, show
from recorded_studies import MARKUP


@pytest.fixture(scope="module")
def report(study: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Write the report of the recorded experiment, and return its address."""
    return report_of(study, tmp_path_factory.mktemp("report") / "climate.html")


def report_of(directory: Path, path: Path) -> str:
    command = [*COMMAND, "report", str(directory), "--output", str(path)]
    subprocess.run(command, check=True, timeout=4 * DEADLINE, stdout=subprocess.DEVNULL)
    return path.as_uri()


def test_the_pages_need_nothing_but_the_file(page: Page, report: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report)
    expect(page.locator(".link-state")).to_have_text(re.compile("Report of "))
    expect(page.locator(".figures")).to_contain_text("10,003entities")
    expect(page.locator(".uplot")).to_be_visible()
    shoot(page, "report-overview")
    for heading, ready in (
        ("Timeline", ".lane"),
        ("Databases", ".uplot"),
        ("Inference", ".histogram"),
        ("Logs", ".tail"),
    ):
        show(page, f"#/{heading.lower()}", heading)
        expect(page.locator(ready).first).to_be_visible()
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def test_10000_rows_are_sorted_and_filtered_in_the_page(page: Page, report: str) -> None:
    page.goto(f"{report}#/entities?group=sweep")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(100)
    expect(rows.first).to_contain_text("sweep_0")
    page.get_by_role("button", name="seed", exact=True).click()
    page.get_by_role("button", name="seed", exact=True).click()
    expect(rows.first).to_contain_text(f"sweep_{MEMBERS - 2003}")
    page.get_by_role("button", name="Next").click()
    expect(page.locator(".pager")).to_contain_text(re.compile("101.200 of 7,998 entities"))
    page.get_by_role("searchbox").fill("sweep_4321")
    expect(rows).to_have_count(1)
    expect(page.get_by_role("application", name=re.compile("States of 7,998 members"))).to_be_visible()
    show(page, "#/entities?group=(models)", "Entities")
    expect(rows).to_have_count(2)
    page.get_by_role("link", name=MARKUP).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(MARKUP)
    assert page.locator("img").count() == 0


def test_failures_are_explained(page: Page, report: str) -> None:
    page.goto(f"{report}#/entities?status=Failed")
    page.locator("tbody a").first.click()
    expect(page.locator(".diagnosis")).to_contain_text("Next: ")
    expect(page.locator("main")).to_contain_text("srun --ntasks=4")
    expect(page.get_by_role("button", name="Stop …")).to_have_count(0)
    shoot(page, "report-failure")


def test_the_file_is_small_enough_for_a_mail(report: str) -> None:
    assert Path(urlsplit(report).path).stat().st_size < 15_000_000


def test_names_that_objects_of_the_browser_have_too(page: Page, tmp_path: Path) -> None:
    names = "constructor", "toString"
    events = [{"event": "opened", "at": 1.0, "experiment": "e", "launcher": "local"}]
    for name in names:
        job = {"entity": name, "step": name, "type": "Model", "ensemble": f"{name}s"}
        events += [
            {"event": "submitted", "at": 2.0, **job},
            {"event": "ended", "at": 3.0, **job, "status": "Completed"},
        ]
    (tmp_path / ".smartsim").mkdir()
    (tmp_path / ".smartsim" / "events.jsonl").write_text("".join(f"{json.dumps(event)}\n" for event in events))
    address = report_of(tmp_path, tmp_path / "report.html")
    for name in names:
        page.goto(f"{address}#/entity/{name}")
        expect(page.locator(".page-head .state")).to_contain_text("Completed")
        page.goto(f"{address}#/entities?group={name}s")
        expect(page.locator("tbody tr")).to_have_count(1)
