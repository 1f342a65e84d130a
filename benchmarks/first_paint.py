"""How soon the dashboard of a recorded experiment is seen in a real browser, against a bare page.

For each number of members, in milliseconds from the beginning of a navigation in a fresh browser context (medians): the
first paint, the numbers of the overview, the table of an ensemble with the map of its states; and from a click on, the
next page of the table, and another order of it. The bare page is some words, served by `http.server` of Python.

    python benchmarks/first_paint.py [members ...]
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from recorded_studies import record_study

MEMBERS = (1_000, 10_000)
ROUNDS = 9
TIMEOUT = 60_000
SMART = ("-c", "from smartsim.app.cli import main; main()", "dashboard")
PAINTED = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
OVERVIEW = "() => document.querySelector('.figures') && performance.now()"
TABLE = """() => document.querySelectorAll('tbody tr').length === 100
    && document.querySelector('.heat canvas')?.style.height && performance.now()"""


class Bare(BaseHTTPRequestHandler):
    """Answers with a few words."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        with suppress(ConnectionError):  # the browser asks for an icon, and may not wait for it
            self.wfile.write(b"<!doctype html><title>Bare</title><p>Some words.")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def bare() -> Iterator[str]:
    """Serve the bare page."""
    with HTTPServer(("127.0.0.1", 0), Bare) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@contextmanager
def dashboard(directory: str) -> Iterator[str]:
    """Serve an experiment."""
    with subprocess.Popen([sys.executable, *SMART, directory], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.send_signal(signal.SIGINT)


def seen(browser: Browser, address: str, *conditions: str) -> list[float]:
    """Return when each condition held, in milliseconds since the navigation began."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(address)
    times = [when(page, condition) for condition in conditions]
    context.close()
    return times


def when(page: Page, condition: str) -> float:
    """Wait for a condition, and return when it held."""
    return float(page.wait_for_function(condition, timeout=TIMEOUT).json_value())


def clicked(page: Page, button: str, first: str) -> float:
    """Click, and return the milliseconds until the table begins with a member."""
    began = page.evaluate("() => performance.now()")
    page.get_by_role("button", name=button, exact=True).click()
    condition = f"() => document.querySelector('tbody th')?.innerText === '{first}' && performance.now()"
    return when(page, condition) - float(began)


def turns(browser: Browser, address: str, members: int) -> tuple[float, float]:
    """Return the milliseconds to the next page of the table, and to another order."""
    largest = members - 2 * (members // 10) - 2
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(f"{address}#/entities?group=sweep")
    when(page, TABLE)
    following = clicked(page, "Next", "sweep_100")
    page.get_by_role("button", name="seed", exact=True).click()
    page.wait_for_url("**sort=params.seed")
    order = clicked(page, "seed", f"sweep_{largest - 1}")
    context.close()
    return following, order


def measure(browser: Browser, members: int) -> None:
    """Print the figures of one experiment."""
    with tempfile.TemporaryDirectory() as directory:
        record_study(directory, members)
        with dashboard(directory) as address:
            overview = [seen(browser, address, PAINTED, OVERVIEW) for _ in range(ROUNDS)]
            table = [seen(browser, f"{address}#/entities?group=sweep", PAINTED, TABLE) for _ in range(ROUNDS)]
            following, order = zip(*(turns(browser, address, members) for _ in range(ROUNDS)), strict=True)
    figures = {
        "first paint": [painted for painted, _ in overview + table],
        "overview": [shown for _, shown in overview],
        "table and map": [shown for _, shown in table],
        "next page": following,
        "another order": order,
    }
    print(
        f"{members:6d} members: "
        + ", ".join(f"{name} {statistics.median(all_of):.0f} ms" for name, all_of in figures.items())
    )


def main() -> None:
    """Measure, and print what was found."""
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    members = [int(number) for number in sys.argv[1:]] or MEMBERS
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        print(f"Chromium {browser.version}; medians of {ROUNDS}")
        with bare() as address:
            painted = [seen(browser, address, PAINTED)[0] for _ in range(ROUNDS)]
        print(f"     bare page: first paint {statistics.median(painted):.0f} ms")
        for number in members:
            measure(browser, number)
        browser.close()


if __name__ == "__main__":
    main()
