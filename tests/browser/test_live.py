"""An experiment that runs, as a page sees it that is never loaded again."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from browsers import DEADLINE, Watched, end, first_line, shoot, show

MEMBER = """
echo "member in $PWD"
exec 3<go
while read -r -u 3 word text; do
    case $word in
    say) echo "$text" ;;
    end) exit 0 ;;
    fail) echo "Traceback (most recent call last):" >&2; echo "ValueError: $text" >&2; exit 3 ;;
    esac
done
"""
DRIVER = f"""
import json, os, sys
from smartsim import Experiment

experiment = Experiment("waves", exp_path=sys.argv[1], launcher="local")
settings = experiment.create_run_settings("/bin/bash", ["-c", {MEMBER!r}])
ensemble = experiment.create_ensemble("ens", params={{"height": [1, 2, 3, 4]}}, run_settings=settings)
experiment.generate(ensemble, overwrite=True)
for member in ensemble:
    os.mkfifo(os.path.join(member.path, "go"))
print(json.dumps([member.path for member in ensemble]), flush=True)
experiment.start(ensemble, block=True, summary=False)
"""


class Waves:
    """An experiment that runs in a process of its own. Its members do what they are told.

    Args:
        directory: of the experiment.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        command = [sys.executable, "-c", DRIVER, str(directory)]
        self.driver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        paths = [Path(path) for path in json.loads(first_line(self.driver))]
        # For reading, too: so it opens at once, and what is written waits for the member.
        self._pipes = {path.name: os.open(path / "go", os.O_RDWR) for path in paths}

    def tell(self, member: str, words: str) -> None:
        """Have a member say something, end or fail."""
        os.write(self._pipes[member], f"{words}\n".encode())

    def close(self) -> None:
        """Let all members and the driver end."""
        for member, pipe in self._pipes.items():
            self.tell(member, "end")
            os.close(pipe)
        end(self.driver)


@pytest.fixture
def waves(tmp_path: Path) -> Iterator[Waves]:
    """Run an experiment of four members that wait to be told what to do."""
    waves = Waves(tmp_path / "waves")
    yield waves
    waves.close()


def legend(page: Page) -> Locator:
    return page.locator("section", has_text="Where it stands").locator(".legend")


def test_what_happens_is_seen_without_loading_again(waves: Waves, serve: Callable[..., str], page: Page) -> None:
    page.goto(serve(waves.directory))
    page.evaluate("window.isTheSame = true")
    expect(legend(page)).to_have_text(re.compile("4 running"))
    expect(page.locator(".link-state")).to_have_text("Live")
    waves.tell("ens_0", "end")
    expect(legend(page)).to_have_text(re.compile("3 running.*1 completed", re.DOTALL))
    waves.tell("ens_1", "fail the sea is flat")
    expect(legend(page)).to_have_text(re.compile("1 failed.*2 running.*1 completed", re.DOTALL))
    expect(page.get_by_role("status")).to_have_text("1 entity failed.")
    shoot(page, "overview-live")
    page.get_by_role("link", name="ens_1", exact=True).click()
    card = page.locator(".diagnosis")
    expect(card).to_contain_text("ValueError: the sea is flat")
    expect(card).to_contain_text("3")
    expect(card).to_contain_text("bash -c")
    page.go_back()
    expect(legend(page)).to_have_text(re.compile("1 failed"))
    assert page.evaluate("window.isTheSame")


def test_a_log_is_followed_while_it_grows(waves: Waves, serve: Callable[..., str], page: Page) -> None:
    page.goto(f"{serve(waves.directory)}#/logs?entity=ens_2")
    log = page.get_by_role("region", name="Text of stdout")
    expect(log).to_contain_text("member in ")
    expect(page.get_by_role("button", name="Follow")).to_have_attribute("aria-pressed", "true")
    waves.tell("ens_2", "say the first wave")
    expect(log).to_contain_text("the first wave")
    for number in range(200):
        waves.tell("ens_2", f"say wave {number} <b>is bold</b>")
    expect(log).to_contain_text("wave 199 <b>is bold</b>")
    assert log.evaluate("log => log.scrollTop + log.clientHeight >= log.scrollHeight - 2")  # its end is shown
    shoot(page, "log-live")


def test_the_state_of_an_entity_and_of_the_table_follow(waves: Waves, serve: Callable[..., str], page: Page) -> None:
    page.goto(f"{serve(waves.directory)}#/entity/ens_3")
    expect(page.locator(".page-head .state")).to_contain_text("Running")
    expect(page.get_by_role("button", name="Stop …")).to_have_count(0)  # it only looks
    waves.tell("ens_3", "end")
    expect(page.locator(".page-head .state")).to_contain_text("Completed")
    show(page, "#/entities?group=ens&sort=params.height&desc=1", "Entities")
    row = page.get_by_role("row", name="ens_2")
    expect(row).to_contain_text("Running")
    waves.tell("ens_2", "fail of all")
    expect(row).to_contain_text("Failed")
    expect(page.locator("tbody tr").first).to_contain_text("ens_3")


def test_it_is_stopped_when_somebody_confirms(waves: Waves, serve: Callable[..., str], page: Page) -> None:
    page.goto(f"{serve(waves.directory, '--control')}#/entity/ens_0")
    expect(page.locator(".page-head .state")).to_contain_text("Running")
    expect(page.get_by_role("button", name="Restart …")).to_be_disabled()
    opener = page.get_by_role("button", name="Stop …")
    opener.click()
    dialog = page.get_by_role("dialog", name="Stop ens_0?")
    name, stop = dialog.get_by_label("Type ens_0 to confirm"), dialog.get_by_role("button", name="Stop", exact=True)
    expect(name).to_be_focused()
    expect(stop).to_be_disabled()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(opener).to_be_focused()
    page.keyboard.press("Enter")
    name.fill("ens_1")
    expect(stop).to_be_disabled()
    for _ in range(6):  # the focus does not leave for the page behind
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('dialog')")
    shoot(page, "confirm")
    name.fill("ens_0")
    stop.click()
    expect(page.locator(".page-head .state")).to_contain_text("Cancelled")
    expect(page.get_by_role("status")).to_contain_text("ens_0")
    expect(page.locator("main")).to_contain_text("smart dashboard")  # who stopped it


def test_it_is_restarted_by_keys_when_somebody_confirms(
    waves: Waves, serve: Callable[..., str], watched: Watched
) -> None:
    page = watched.page(scheme="dark", width=800)
    page.goto(f"{serve(waves.directory, '--control')}#/entity/ens_0")
    restart = page.get_by_role("button", name="Restart …")
    expect(restart).to_be_disabled()
    waves.tell("ens_0", "fail the sea is flat")
    expect(page.locator(".page-head .state")).to_contain_text("Failed")
    restart.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Restart ens_0?")
    expect(dialog.get_by_label("Type ens_0 to confirm")).to_be_focused()
    page.keyboard.type("ens_1")
    page.keyboard.press("Enter")  # which confirms nothing
    expect(dialog).to_be_visible()
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.type("ens_0")
    expect(dialog.get_by_role("button", name="Restart", exact=True)).to_be_enabled()
    shoot(page, "confirm-restart-dark-narrow")
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    expect(page.locator(".page-head .state")).to_contain_text("Running")
    expect(page.get_by_role("status")).to_contain_text("ens_0")
    expect(restart).to_be_disabled()
    starts = page.locator("section", has_text="Starts").get_by_role("row")
    expect(starts.filter(has_text="Failed")).to_have_count(1)
    expect(starts.filter(has_text="Running")).to_have_count(1)
    shoot(page, "restarted-dark-narrow")
    waves.tell("ens_0", "end")
    expect(page.locator(".page-head .state")).to_contain_text("Completed")


class Wire:
    """Lets connections through to a dashboard until it is cut.

    Args:
        url: of the dashboard.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.port = 0
        self._open: list[socket.socket] = []
        self.mend()

    @property
    def near_url(self) -> str:
        """The address of the dashboard on this side."""
        return urlsplit(self.url)._replace(netloc=f"127.0.0.1:{self.port}").geturl()

    def mend(self) -> None:
        """Let them through, at the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def cut(self) -> None:
        """End all connections, and refuse others."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(DEADLINE)
        self._listener.close()
        for end_of_wire in self._open:
            with suppress(OSError):
                end_of_wire.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(DEADLINE)
        for end_of_wire in self._open:
            end_of_wire.close()
        self._open.clear()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", urlsplit(self.url).port or 0), DEADLINE)
                self._open += (near, far)
                for source, target in ((near, far), (far, near)):
                    self._threads.append(threading.Thread(target=_carry, args=(source, target)))
                    self._threads[-1].start()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while content := source.recv(65536):
            target.sendall(content)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def test_a_lost_connection_is_said_and_comes_back(waves: Waves, serve: Callable[..., str], browser: Browser) -> None:
    page = browser.new_page()  # that it cannot reach the dashboard is an error in its console
    wire = Wire(serve(waves.directory))
    try:
        page.goto(wire.near_url)
        expect(legend(page)).to_have_text(re.compile("4 running"))
        wire.cut()
        expect(page.locator(".link-state")).to_have_text("Connection lost; trying again …")
        expect(page.get_by_role("status")).to_have_text("The connection is lost; it is tried again.")
        shoot(page, "connection-lost")
        waves.tell("ens_0", "end")
        wire.mend()
        expect(page.locator(".link-state")).to_have_text("Live")
        expect(page.get_by_role("status")).to_have_text("Connected again.")
        expect(legend(page)).to_have_text(re.compile("3 running.*1 completed", re.DOTALL))
    finally:
        page.close()
        wire.cut()


def test_a_network_that_changes_in_between_does_no_harm(
    waves: Waves, serve: Callable[..., str], browser: Browser
) -> None:
    page = browser.new_page()  # a request that fails is an error in its console
    failed = []

    def fail_first(route: Route) -> None:
        if route.request.url in failed:
            route.continue_()
        else:
            failed.append(route.request.url)
            route.abort("addressunreachable")

    page.route("**/api/overview", fail_first)
    page.goto(serve(waves.directory))
    expect(legend(page)).to_have_text(re.compile("4 running"))
    assert failed
    page.close()


def be_seen(page: Page, *, is_seen: bool) -> None:
    """Tell a page that its tab is in front, or is no longer; a browser without a screen has all in front."""
    page.evaluate(
        """isSeen => {
            Object.defineProperty(document, "hidden", { value: !isSeen, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        is_seen,
    )


def test_tabs_that_nobody_sees_leave_the_connections_to_others(
    waves: Waves, serve: Callable[..., str], page: Page
) -> None:
    """A browser has six connections to a server."""
    first, url = page, serve(waves.directory)
    for _ in range(8):
        page.goto(url)
        expect(legend(page)).to_have_text(re.compile("4 running"))
        be_seen(page, is_seen=False)
        page = page.context.new_page()
    waves.tell("ens_0", "end")
    be_seen(first, is_seen=True)
    expect(legend(first)).to_have_text(re.compile("3 running.*1 completed", re.DOTALL))
    expect(first.locator(".link-state")).to_have_text("Live")


def test_a_dashboard_that_was_started_anew_wants_its_new_address(
    waves: Waves, serve: Callable[..., str], browser: Browser
) -> None:
    page = browser.new_page()
    wire = Wire(serve(waves.directory))
    try:
        page.goto(wire.near_url)
        expect(page.locator(".link-state")).to_have_text("Live")
        wire.cut()
        wire.url = serve(waves.directory)  # it has another token
        wire.mend()
        expect(page.get_by_role("alert").first).to_contain_text("open the URL that `smart dashboard` printed")
        page.goto(wire.near_url)
        expect(page.locator(".link-state")).to_have_text("Live")
    finally:
        page.close()
        wire.cut()


def test_a_killed_driver_is_told(waves: Waves, serve: Callable[..., str], page: Page) -> None:
    page.goto(serve(waves.directory))
    expect(legend(page)).to_have_text(re.compile("4 running"))
    waves.driver.send_signal(signal.SIGKILL)
    expect(page.locator(".notice")).to_contain_text("The driver has gone without recording the end of 4 entities")
    show(page, "#/entities", "Entities")
    expect(page.locator("tbody tr").first).to_contain_text("(driver gone)")
    shoot(page, "driver-gone")
