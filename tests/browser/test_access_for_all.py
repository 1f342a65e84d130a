"""The dashboard by keyboard, in light and dark, and on a narrow screen."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from browsers import Watched, shoot, show

PAGES = {
    "overview": ("#/overview", "Overview", ".uplot"),
    "entities": ("#/entities?group=hires", "Entities", "tbody tr"),
    "filtered": ("#/entities?status=Failed&status=Cancelled", "Entities", "tbody tr"),
    "timeline": ("#/timeline?status=Cancelled", "Timeline", ".lane .stop"),
    "databases": ("#/databases", "Databases", ".uplot"),
    "inference": ("#/inference", "Inference", ".uplot"),
    "logs": ("#/logs", "Logs", ".tail"),
}

RATIO = """
  const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const parts = numbers(color).slice(0, 3).map((each) => each / 255);
    const [r, g, b] = parts.map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => {
    const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };
"""
"""The contrast of two colours, as WCAG 2 has it."""

CONTRASTS = f"""() => {{
  {RATIO}
  const behind = (element) => {{
    for (; element; element = element.parentElement) {{
      const ground = getComputedStyle(element).backgroundColor;
      const alpha = numbers(ground)[3] ?? 1;
      if (alpha === 1) return ground;
      if (alpha > 0) throw new Error("a ground that shines through: " + element.className);
    }}
    return "rgb(255, 255, 255)";
  }};
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const pairs = {{}};
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {{
    const element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility() || element.closest(".hidden, script, option")) continue;
    const [ink, ground] = [getComputedStyle(element).color, behind(element)];
    pairs[`${{ink}} on ${{ground}}: ${{element.tagName}} ${{node.data.trim().slice(0, 30)}}`] = ratio(ink, ground);
  }}
  return pairs;
}}"""

COLORS = f"""() => {{
  {RATIO}
  const probe = document.body.appendChild(document.createElement("i"));
  const color = (name) => {{
    probe.style.color = `var(${{name}})`;
    return getComputedStyle(probe).color;
  }};
  const against = (names, ground) => Object.fromEntries(names.map((name) => [name, ratio(color(name), color(ground))]));
  const states = [..."FRPQNCX0"].map((letter) => `--state-${{letter}}`);
  const lines = [..."01234567"].map((number) => `--line-${{number}}`);
  const found = {{
    letters: against(states, "--on-state"),
    graphics: against([...states, ...lines, "--strong-line"], "--surface"),
    axes: against(["--muted"], "--surface"),
    marks: against(["--on-mark"], "--mark"),
  }};
  probe.remove();
  return found;
}}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_graphics_can_be_told_from_their_ground(watched: Watched, study_url: str, scheme: str) -> None:
    page = watched.page(scheme=scheme)
    page.goto(study_url)
    for name, (address, heading, ready) in PAGES.items():
        show(page, address, heading)
        expect(page.locator(ready).first).to_be_visible()
        pairs: dict[str, float] = page.evaluate(CONTRASTS)
        assert len(pairs) > 10
        assert {words: ratio for words, ratio in pairs.items() if ratio < 4.5} == {}
        shoot(page, f"{name}-{scheme}")
    colors: dict[str, dict[str, float]] = page.evaluate(COLORS)
    least = {"letters": 4.5, "graphics": 3.0, "axes": 4.5, "marks": 4.5}
    assert {
        (kind, name) for kind, all_of in colors.items() for name, ratio in all_of.items() if ratio < least[kind]
    } == set()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_has_it_all(watched: Watched, study_url: str, scheme: str) -> None:
    page = watched.page(scheme=scheme, width=800)
    page.goto(study_url)
    for name, (address, heading, ready) in PAGES.items():
        show(page, address, heading)
        expect(page.locator(ready).first).to_be_visible()
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth"), f"{name} is wider than the screen"
        expect(page.get_by_role("link", name="Logs", exact=True)).to_be_in_viewport()
        shoot(page, f"{name}-{scheme}-narrow")


def focused(page: Page) -> dict[str, Any]:
    """Return what has the focus, and whether that can be seen."""
    found: dict[str, Any] = page.evaluate("""() => {
      const element = document.activeElement;
      const style = getComputedStyle(element);
      const box = element.getBoundingClientRect();
      const isOutlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
      const isVisible = isOutlined && box.width > 0 && box.top >= 0;
      return { tag: element.tagName, text: (element.innerText || element.ariaLabel || "").trim(), isVisible };
    }""")
    return found


def test_every_stop_of_the_tab_key_is_seen(page: Page, study_url: str) -> None:
    page.goto(f"{study_url}#/entities?group=hires")
    expect(page.locator("tbody tr")).to_have_count(100)
    page.keyboard.press("Tab")
    assert focused(page) == {"tag": "A", "text": "Skip to the content", "isVisible": True}
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    stops = []
    while True:
        page.keyboard.press("Tab")
        stop = focused(page)
        if stop["tag"] == "BODY":
            break
        stops.append(stop)
        assert len(stops) < 60, "the table is one stop, not one a row"
    assert [stop for stop in stops if not stop["isVisible"]] == []
    texts = [stop["text"] for stop in stops]
    for expected in ("Errors of all members", "Filter by name, parameter, reason or host", "hires_0", "Next", "Entity"):
        assert expected in texts
    assert "hires_1" not in texts


def test_the_table_by_keys(page: Page, study_url: str) -> None:
    page.goto(f"{study_url}#/entities?group=hires")
    page.get_by_role("link", name="hires_0", exact=True).focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("link", name="hires_1", exact=True)).to_be_focused()
    page.keyboard.press("End")
    expect(page.get_by_role("link", name="hires_99", exact=True)).to_be_focused()
    page.get_by_role("button", name="Ran", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("columnheader", name="Ran")).to_have_attribute("aria-sort", "ascending")
    expect(page.get_by_role("button", name="Ran", exact=True)).to_be_focused()
    link = page.locator("tbody a").first
    expect(link).not_to_have_text("hires_0")
    name = link.inner_text()
    link.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    expect(page.get_by_role("heading", level=1)).to_be_focused()  # where screen readers go on
    page.go_back()
    expect(page.get_by_role("columnheader", name="Ran")).to_have_attribute("aria-sort", "ascending")


def test_states_are_told_by_letters_too(page: Page, study_url: str) -> None:
    page.goto(f"{study_url}#/entities")
    for word, letter in (("Failed", "F"), ("Running", "R"), ("Queued", "Q"), ("Completed", "C"), ("Cancelled", "X")):
        chip = page.get_by_role("button", name=re.compile(f"^{word}"))
        expect(chip.locator(".letter")).to_have_text(letter)
