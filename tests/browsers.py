"""Pages in a real browser, watched while tests use them, and the processes that they show."""

from __future__ import annotations

import select
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, Request, expect

DEADLINE = 90.0
MEMBERS = 10_000
SCREENSHOTS = Path(__file__).resolve().parents[1] / "build" / "screenshots"
COMMAND = (sys.executable, "-c", "from smartsim.app.cli import main; main()")

expect.set_options(timeout=DEADLINE * 1000)


class Watched:
    """Pages of one browser that do nothing that they should not: no errors, no requests elsewhere, no dialogs.

    Args:
        browser: the one.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.wrong: list[str] = []

    def page(self, *, scheme: str = "light", width: int = 1280, height: int = 900) -> Page:
        """Open an empty page."""
        dark = scheme == "dark"
        context = self._browser.new_context(
            color_scheme="dark" if dark else "light", viewport={"width": width, "height": height}
        )
        self._contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(DEADLINE * 1000)
        page.on("console", lambda message: self._said(message.type, message.text))
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("request", self._asked)
        page.on("dialog", lambda dialog: self.wrong.append(f"dialog: {dialog.message}"))
        return page

    def close(self) -> None:
        """Close all pages."""
        for context in self._contexts:
            context.close()

    def _said(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.wrong.append(f"{kind}: {text}")

    def _asked(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob", "file") and parts.hostname != "127.0.0.1":
            self.wrong.append(f"request: {request.url}")


def first_line(process: subprocess.Popen[str]) -> str:
    """Return the first line that a process writes."""
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], DEADLINE)[0], f"{process.args!r} says nothing"
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> None:
    """Wait until a process has ended, and do not wait for ever."""
    try:
        process.wait(DEADLINE)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def shoot(page: Page, name: str) -> None:
    """Keep a picture of a page, to be looked at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def show(page: Page, address: str, heading: str) -> None:
    """Go to a page of the application that is open, and wait until it is there."""
    page.evaluate("hash => { location.hash = hash }", address)
    expect(page.get_by_role("heading", level=1)).to_have_text(heading)
