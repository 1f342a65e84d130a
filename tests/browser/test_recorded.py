"""A recorded run of 10,000 members in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, Page, expect

from browsers import MEMBERS, Watched, shoot, show
from recorded_studies import MARKUP
from smartsim.adapters.eventlog.jsonl import JsonlEventLog
from smartsim.domain import record

SWEEP = MEMBERS - 2 * (MEMBERS // 10) - 2  # members of the largest ensemble
TOTAL = "10,003"  # with the servers of the database


def rows(page: Page) -> Locator:
    return page.get_by_role("region", name="Table of entities").locator("tbody tr")


def names(page: Page) -> list[str]:
    return rows(page).locator("th").all_inner_texts()


def column(page: Page, title: str) -> list[str]:
    """Return the cells of a column, as they are written."""
    heads = page.locator("thead th").all_inner_texts()
    (at,) = (index for index, head in enumerate(heads) if head.strip() == title)
    return rows(page).locator(f":nth-child({at + 1})").all_inner_texts()


def test_the_overview_tells_where_everything_stands(page: Page, study_url: str) -> None:
    page.goto(study_url)
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    expect(page.locator(".figures")).to_contain_text(f"{TOTAL}entities")
    expect(page).to_have_title("Overview · climate")
    assert "token" not in page.url
    groups = page.locator("section", has=page.get_by_role("heading", name="Groups"))
    expect(groups.get_by_role("row", name="sweep")).to_contain_text("7,998")
    bar = groups.get_by_role("row", name="sweep").get_by_role("img")
    expect(bar).to_have_attribute("aria-label", re.compile(r"\d+ failed, \d+ running, .*\d+ completed"))
    expect(
        page.get_by_role("img", name=re.compile("Running and waiting starts over time. running: now"))
    ).to_be_visible()
    expect(page.locator("section", has_text="Runs").last).to_contain_text("the node node0063 does not answer")
    shoot(page, "overview-10000")


def test_a_page_of_the_table_at_a_time(page: Page, study_url: str) -> None:
    page.goto(f"{study_url}#/entities?group=sweep")
    expect(rows(page)).to_have_count(100)
    assert names(page)[:3] == ["sweep_0", "sweep_1", "sweep_2"]
    page.get_by_role("button", name="Next").click()
    expect(page.locator(".pager")).to_contain_text(re.compile("101.200 of 7,998 entities"))
    expect(rows(page).first).to_contain_text("sweep_100")
    page.get_by_role("button", name="Last").click()
    expect(rows(page)).to_have_count(98)
    expect(rows(page).last).to_contain_text("sweep_7997")
    page.go_back()
    expect(rows(page).first).to_contain_text("sweep_100")
    page.reload()  # the address has all of it
    expect(rows(page).first).to_contain_text("sweep_100")


def test_sorting_by_any_column_and_by_parameters_as_numbers(page: Page, study_url: str) -> None:
    page.goto(f"{study_url}#/entities?group=sweep")
    page.get_by_role("button", name="seed", exact=True).click()
    head = page.get_by_role("columnheader", name="seed")
    expect(head).to_have_attribute("aria-sort", "ascending")
    expect(rows(page).first).to_contain_text("sweep_0")
    page.get_by_role("button", name="seed", exact=True).click()
    expect(head).to_have_attribute("aria-sort", "descending")
    expect(rows(page).first).to_contain_text("sweep_7997")
    assert column(page, "seed") == [str(SWEEP - 1 - each) for each in range(100)]
    page.get_by_role("button", name="Exit code").click()
    expect(rows(page).first).to_contain_text("-15")
    codes = [int(code) for code in column(page, "Exit code") if code.strip("-").isdigit()]
    assert codes == sorted(codes)


def test_filters_by_state_and_text(page: Page, study_url: str) -> None:
    page.goto(f"{study_url}#/entities")
    expect(rows(page)).to_have_count(100)
    page.get_by_role("button", name=re.compile("^Failed")).click()
    expect(page.get_by_role("button", name=re.compile("^Failed"))).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("status")).to_have_text(re.compile(r"\d+ entities found\."))
    assert {text.strip() for text in column(page, "Status")} == {"F\nFailed"}
    search = page.get_by_role("searchbox", name="Filter by name, parameter, reason or host")
    search.fill("sigsegv")
    expect(page).to_have_url(re.compile("text=sigsegv"))
    expect(page.locator(".pager")).to_contain_text("entities")
    expect(rows(page).filter(has_not_text="killed by SIGSEGV")).to_have_count(0)
    search.fill("no such thing")
    expect(page.get_by_text("No entity matches.")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    expect(page.locator(".pager")).to_contain_text(f"of {TOTAL} entities")
    page.get_by_label("Group").select_option("hires")
    expect(page.locator(".pager")).to_contain_text("of 1,000 entities")


def test_the_map_of_10000_states_by_mouse_and_by_keys(page: Page, study_url: str) -> None:
    page.goto(f"{study_url}#/entities?group=sweep")
    cells = page.get_by_role("application", name=re.compile("States of 7,998 members of sweep"))
    cells.hover(position={"x": 3, "y": 3})
    expect(page.locator(".tip")).to_have_text(re.compile("^sweep_0: "))
    shoot(page, "entities-10000")
    cells.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".heat [aria-live]")).to_have_text(re.compile("^sweep_1: "))
    page.keyboard.press("End")
    expect(page.locator(".heat [aria-live]")).to_have_text(re.compile("^sweep_7997: "))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("sweep_7997")
    page.go_back()
    cells.click(position={"x": 3, "y": 3})
    expect(page.get_by_role("heading", level=1)).to_have_text("sweep_0")


def test_why_a_member_failed(page: Page, study_url: str) -> None:
    page.goto(f"{study_url}#/entities?group=sweep&status=Failed&text=SIGSEGV")
    rows(page).first.get_by_role("link").click()
    card = page.locator(".diagnosis")
    expect(card).to_contain_text("SIGSEGV (signal 11)")
    expect(card).to_contain_text("srun --ntasks=4 /opt/solver/bin/solver --input params.nml --seed=")
    expect(card).to_contain_text("Segmentation fault (core dumped)")
    expect(card).to_contain_text("Next: ")
    facts = page.locator("main")
    for known in ("viscosity", "/data/mesh.nc", "4242.", "sweep/sweep.sh", "node00"):
        expect(facts).to_contain_text(known)
    shoot(page, "failure")


def test_the_timeline_of_a_page_of_members(page: Page, study_url: str) -> None:
    page.goto(f"{study_url}#/timeline?group=sweep")
    lanes = page.get_by_role("listitem")
    expect(lanes).to_have_count(100)
    expect(lanes.first).to_contain_text(re.compile(r"sweep_0: \w+; waited .* s"))
    expect(page.locator(".lane .wait").first).to_be_visible()
    shoot(page, "timeline-10000")
    page.get_by_label("Order").select_option("run_seconds")
    expect(page).to_have_url(re.compile("sort=run_seconds&desc=1"))
    expect(lanes.first).to_contain_text(re.compile(r"ran \d+ min"))
    page.get_by_role("button", name="Next").click()
    expect(page.locator(".pager")).to_contain_text(re.compile("101.200 of"))


def test_how_databases_do(page: Page, study_url: str) -> None:
    page.goto(f"{study_url}#/databases")
    servers = page.locator("section", has_text="Server program").last
    expect(servers.get_by_role("row", name="orchestrator_2")).to_contain_text("10.0.0.3:6780")
    for chart in ("Memory of", "Commands per second of", "Latency, 99th percentile of", "Clients of"):
        expect(
            page.get_by_role("img", name=re.compile(f"^{chart} orchestrator. orchestrator_0: now [1-9]"))
        ).to_be_visible()
    expect(page.locator("section", has_text="Latencies by command").last).to_contain_text("ai.tensorset")
    expect(page.locator("section", has_text="Slow commands").last).to_contain_text("AI.TENSORSET field_")
    expect(page.locator("section", has_text="Largest keys").last).to_contain_text("95.4 MiB")
    shoot(page, "databases")


def test_how_models_do(page: Page, study_url: str) -> None:
    page.goto(f"{study_url}#/inference")
    expect(page.get_by_role("row", name="surrogate").first).to_contain_text("142,800")
    expect(page.get_by_role("img", name=re.compile("^Calls per second of surrogate. calls.s: now 40"))).to_have_count(3)
    waits = re.compile("^Time that calls of surrogate wait and run. waits: now 400 µs, .*; runs: now 1.1 ms")
    expect(page.get_by_role("img", name=waits)).to_have_count(3)
    expect(page.get_by_role("img", name=re.compile("1: 17,850 runs, 2: 17,850 runs, 3.4: 8,925 runs"))).to_have_count(3)
    shoot(page, "inference")


def test_logs_are_searched_and_errors_merged(page: Page, study_url: str) -> None:
    page.goto(f"{study_url}#/entities?group=sweep&status=Failed&text=exit+code+1")
    expect(rows(page).first).to_contain_text("exit code 1")
    traced = page.locator(".diagnosis", has_text="MPI_ABORT")
    for name in names(page)[:20]:
        show(page, f"#/entity/{name}", name)
        expect(page.locator(".diagnosis .tail")).to_be_visible()
        if traced.count():
            break
    page.get_by_role("searchbox", name="Search in the log").fill("rank 17")
    page.get_by_role("button", name="Search", exact=True).click()
    hit = page.get_by_role("list", name="Lines found").get_by_role("button")
    expect(hit).to_have_text(re.compile(r"41\s+MPI_ABORT was invoked on rank 17"))
    hit.click()
    expect(page.locator(".log .target")).to_have_text(re.compile("^MPI_ABORT was invoked on rank 17"))
    show(page, "#/logs?group=sweep", "Logs")
    alike = page.locator("section", has_text="Segmentation fault")
    expect(alike.get_by_role("heading")).to_have_text(re.compile(r"\d+ entities"))
    expect(alike).to_have_count(1)
    shoot(page, "merged-errors")


def test_names_with_markup_are_shown_and_do_nothing(page: Page, study_url: str) -> None:
    for address in ("#/overview", "#/entities?group=(models)", "#/timeline?group=(models)", "#/logs"):
        page.goto(f"{study_url}{address}")
        expect(page.locator("main h1")).to_be_visible()
    page.goto(f"{study_url}#/entities?group=(models)")
    page.get_by_role("link", name=MARKUP).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(MARKUP)
    page.goto(f"{study_url}#/entities?text=exit+code+2&status=Failed")
    rows(page).first.get_by_role("link").click()
    expect(page.locator(".diagnosis .tail")).to_contain_text(f"cannot open <b>mesh</b>.nc {MARKUP}\\x1b[31m red")
    assert page.locator("img, main b, main script").count() == 0


def test_what_is_not_there_is_said(page: Page, study_url: str) -> None:
    page.goto(f"{study_url}#/nowhere")
    expect(page.get_by_role("heading", level=1)).to_have_text("Not found")
    show(page, "#/entities?group=nobody", "Entities")
    expect(page.get_by_text("No entity matches.")).to_be_visible()


@pytest.mark.parametrize("width", [1280, 800])
def test_long_names_are_told_apart_and_fit(
    tmp_path: Path, serve: Callable[..., str], watched: Watched, width: int
) -> None:
    group = "<i>long" + "x" * 190
    entities = [f"{group}_{number}" for number in range(12)]
    events: list[record.Event] = [record.Opened(at, name, "local", "login1", at) for at, name in ((1, "a"), (2, "b"))]
    for name in entities:
        events.append(record.Submitted(3.0, name, "Model", f"{name}-1", ensemble=group, params={group: group}))
        events.append(record.Ended(4.0, name, f"{name}-1", "Failed", 1, group))
    JsonlEventLog(str(tmp_path / ".smartsim/events.jsonl")).append([record.write(event, 4.0) for event in events])
    page = watched.page(width=width)
    page.goto(serve(tmp_path))
    for address in ("overview", f"entities?group={quote(group)}", "timeline", f"entity/{quote(entities[7])}", "logs"):
        kind = re.split("[?/]", address)[0]
        show(page, f"#/{address}", entities[7] if kind == "entity" else kind.capitalize())
        link = page.get_by_title(entities[0], exact=True).first
        if kind not in ("entity", "logs"):
            expect(link.locator(".ends > :last-child")).to_have_text(entities[0][-8:])
            expect(link.locator(".ends > :last-child")).to_be_in_viewport(ratio=1)
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth"), address
        shoot(page, f"long-names-{kind}-{width}")
    show(page, "#/overview", "Overview")
    expect(page.get_by_text("a: login1, process 1")).to_be_visible()  # another experiment in the directory
