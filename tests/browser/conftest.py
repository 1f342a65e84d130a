"""A real browser, dashboards of real processes, and experiments to show."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

import recorded_studies
from browsers import COMMAND, MEMBERS, Watched, end, first_line
from own_network import own_network


@pytest.fixture(scope="module", autouse=True)
def _network() -> Iterator[None]:
    """Have no cluster of other tests begin or end in the middle: a browser gives up its requests when that changes."""
    with own_network():
        yield


# Not for the whole session: while it is there, no other test can run a loop of asyncio in this thread.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Chromium."""
    program = shutil.which("chromium")
    if program is None:
        pytest.fail("The tests of the dashboard need a browser: apt-get install chromium")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    """Open pages that are watched; nothing went wrong when the test ends."""
    watched = Watched(browser)
    yield watched
    watched.close()
    assert not watched.wrong


@pytest.fixture
def page(watched: Watched) -> Page:
    """Open a page of usual size."""
    return watched.page()


@contextlib.contextmanager
def serving() -> Iterator[Callable[..., str]]:
    """Run `smart dashboard` for directories, until this ends; what is returned returns the address with the token."""
    processes: list[subprocess.Popen[str]] = []

    def run(directory: Path, *options: str) -> str:
        command = [*COMMAND, "dashboard", str(directory), *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        return first_line(process)

    yield run
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        end(process)
        assert process.returncode == 0


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Run `smart dashboard` for a directory during a test."""
    with serving() as run:
        yield run


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Record an experiment of 10,000 members."""
    directory = tmp_path_factory.mktemp("study")
    recorded_studies.record_study(directory, MEMBERS)
    return directory


@pytest.fixture(scope="module")
def study_url(study: Path) -> Iterator[str]:
    """Serve the recorded experiment."""
    with serving() as run:
        yield run(study)
