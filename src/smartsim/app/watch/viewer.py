"""What a person looks at in an experiment: which view of it, which member, which part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from rich.text import Text

from smartsim.app.plain_text import printable
from smartsim.app.watch.about import about_lines, prose
from smartsim.app.watch.browser import Browser
from smartsim.app.watch.log_tail import LogTail
from smartsim.app.watch.members import member_lines
from smartsim.app.watch.panes import database_lines, group_lines, inference_lines, run_lines, title_line
from smartsim.domain.errors import SmartSimError
from smartsim.domain.status import SmartSimStatus
from smartsim.domain.views.databases import databases
from smartsim.domain.views.details import details, find
from smartsim.domain.views.diagnosis import Diagnosis, diagnose
from smartsim.domain.views.inference import inference

if TYPE_CHECKING:
    from smartsim.app.log_files import LogFiles
    from smartsim.app.reading import ExperimentReader
    from smartsim.domain.views.table import Row

View: TypeAlias = Literal["members", "groups", "databases", "inference", "about", "log"]
Stream: TypeAlias = Literal["stdout", "stderr"]
TABS: Final[tuple[View, ...]] = ("members", "groups", "databases", "inference")
_MESSAGE: Final = 8  # lines of what is told below
_TAIL: Final = 20  # lines of a log from which a failure is told
_MINUTE: Final = 60.0  # seconds: times that go on are not shown to the second
_HINTS: Final[dict[View, str]] = {
    "members": "enter why  / find  f failed  g group  <>r sort  l log  e stderr  s stop  ? help",
    "groups": "enter members  ? help  q quit",
    "databases": "up down scroll  ? help  q quit",
    "inference": "up down scroll  ? help  q quit",
    "about": "escape back  l log  s stop  ? help  q quit",
    "log": "escape back  e stdout or stderr  up down scroll  ? help  q quit",
}


class Viewer:
    """The state of the screen of an experiment, and its lines.

    Args:
        reader: of the record.
        logs: of the experiment.
        now: tells the time, in seconds since the epoch.
        unicode: whether the terminal shows more than ASCII.

    Attributes:
        browser: the table of members.
        view: what is shown.
        typed: the text that is asked for, as far as it was typed; None when none is.
        message: what came of the last thing that was done, in words.
        problem: what keeps things from being read, in words.
    """

    def __init__(self, reader: ExperimentReader, logs: LogFiles, now: Callable[[], float], *, unicode: bool) -> None:
        self._reader = reader
        self._logs = logs
        self._now = now
        self._unicode = unicode
        self.browser = Browser(reader, now)
        self.view: View = "members"
        self.typed: str | None = None
        self.message = ""
        self.problem = ""
        self._before: View = "members"  # what was shown before the log
        self._group = 0  # the row that is selected among the groups
        self._top = 0  # the first line that is shown of what has no rows
        self._above_end = 0  # lines of the log below the last one that is shown
        self._page = 1  # lines that are moved by a page
        self._stream: Stream = "stdout"
        self._tail: LogTail | None = None

    # What keys do

    def show(self, view: View) -> None:
        """Show a view from its beginning; the log from its end."""
        if view == "log" != self.view:
            self._before = "about" if self.view == "about" else "members"
        self.view, self._top, self._above_end, self.message = view, 0, 0, ""

    def next_view(self) -> None:
        """Show the view behind this one."""
        at = TABS.index(self.view) if self.view in TABS else -1
        self.show(TABS[(at + 1) % len(TABS)])

    def go(self, by: int) -> None:
        """Move down by so many rows or lines."""
        self.message = ""
        match self.view:
            case "members":
                self.browser.move(by)
            case "groups":
                self._group = max(0, min(self._group + by, len(self.browser.overview.groups) - 1))
            case "log":
                self._above_end -= by
            case _:
                self._top += by

    def turn(self, pages: int) -> None:
        """Move down by so many pages."""
        self.go(pages * self._page)

    def next_status(self) -> None:
        """Show members of another state."""
        self.browser.next_status()
        self.show("members")

    def next_group(self) -> None:
        """Show members of another group."""
        self.browser.next_group()
        self.show("members")

    def open(self) -> None:
        """Show all about what is selected."""
        if self.view == "members" and self.browser.selected is not None:
            self.show("about")
        elif self.view == "groups" and self.browser.overview.groups:
            self.browser.everything()
            self.browser.group(self.browser.overview.groups[self._group].name)
            self.show("members")

    def back(self) -> bool:
        """Show what was shown before; return whether there was anything."""
        if self.view != "members":
            self.show(self._before if self.view == "log" else "members")
        elif self.browser.filters:
            self.browser.everything()
            self.show("members")
        else:
            return False
        return True

    def other_stream(self) -> None:
        """Show standard error in place of standard output, or the other way round."""
        self._stream = "stderr" if self._stream == "stdout" else "stdout"

    def find(self) -> None:
        """Ask for the text that members must have."""
        self.show("members")
        self.typed = ""

    def found(self) -> None:
        """Show only members that have the text that was typed."""
        self.browser.search(self.typed or "")
        self.typed = None

    # What is new

    def poll(self) -> None:
        """Read what is new."""
        before = self.browser.selected
        if self._reader.refresh() and before is not None:
            self.browser.follow(before.entity)
        if self._tail is not None:
            self._tail.poll()

    def state(self) -> tuple[object, ...]:
        """Return something that differs once there may be something else to show, though no key was pressed."""
        log = None if self._tail is None else (self._tail.path, self._tail.version)
        return (self._reader.revision, self._now() // _MINUTE, log, self.message, self.problem)

    # What is shown

    def title(self, width: int) -> list[Text]:
        """Return the line at the top."""
        return [title_line(self._reader.directory, self.browser.overview, width)]

    def tabs(self) -> list[Text]:
        """Return the line that names the views, and which members are shown."""
        line = Text()
        for number, name in enumerate(TABS, start=1):
            line.append(f" {number} {name} ", "reverse" if name == self.view else "").append(" ")
        if self.view == "members":
            page = self.browser.page
            shown = f"{page.offset + 1}-{page.offset + len(page.rows)} of {page.total}" if page.rows else "0 of 0"
            line.append(f" {shown}")
            for each in self.browser.filters:
                line.append(f" [{printable(each)}]", "bold")
        return [line]

    def main(self, width: int, height: int) -> Sequence[Text]:
        """Return the lines of the view, as many as there is room for."""
        self._page = max(1, height - 2)
        history, browser = self._reader.history, self.browser
        match self.view:
            case "members":
                browser.resize(height - 1)
                lines = member_lines(browser.page, browser.layout, width, browser.cursor - browser.query.offset)
                return lines if browser.page.total else [*lines, Text(self._nothing(), "dim")]
            case "groups":
                groups = group_lines(browser.overview, width, self._group)
                return [*groups, Text(), *run_lines(browser.overview, width)]
            case "databases":
                views = databases(history, self._reader.metrics)
                return self._scrolled(database_lines(views, width, unicode=self._unicode), height)
            case "inference":
                models = inference(history, self._reader.metrics)
                return self._scrolled(inference_lines(models, width, unicode=self._unicode), height)
            case "about":
                return self._scrolled(self._about(width), height)
            case "log":
                return [*self.log_title(), *self.log(width, height - 1)]

    def log_title(self) -> list[Text]:
        """Return the line that names the log of the selected member."""
        self._follow_log()
        row = self.browser.selected
        if self._tail is None or row is None:
            return [Text("no log", "dim")]
        above = f", {self._above_end} lines above its end" if self._above_end else ""
        size = f"{self._tail.size:,} bytes{above}"
        return [
            Text(f"{self._stream} of {printable(row.entity)}, {size}: {printable(self._tail.path)}", "bold underline")
        ]

    def log(self, width: int, height: int) -> list[Text]:
        """Return the last lines of the log, or those above them that are looked at."""
        if self._tail is None:
            return []
        if self._tail.problem:
            return [Text(printable(self._tail.problem), "dim")]
        lines = self._tail.wrapped(width)
        self._above_end = max(0, min(self._above_end, len(lines) - height))
        end = len(lines) - self._above_end
        return [Text(line) for line in lines[max(0, end - height) : end]]

    def below(self, width: int) -> list[Text]:
        """Return the lines at the bottom: what is typed, what came of something, or some keys."""
        if self.typed is not None:
            return [
                Text.assemble("/", printable(self.typed), (" ", "reverse"), ("  enter finds  escape leaves", "dim"))
            ]
        if self.problem or self.message:
            told = prose(printable(self.problem or self.message), width)[:_MESSAGE]
            return [Text(line, "bold red" if self.problem else "bold") for line in told]
        return [Text(_HINTS[self.view], "dim")]

    def _nothing(self) -> str:
        if self.browser.filters:
            return "No member is like that; escape shows all."
        return "Nothing has been started yet."

    def _scrolled(self, lines: Sequence[Text], height: int) -> Sequence[Text]:
        self._top = max(0, min(self._top, len(lines) - height))
        return lines[self._top : self._top + height]

    def _about(self, width: int) -> Sequence[Text]:
        row = self.browser.selected
        if row is None:
            return [Text("No member is selected.", "dim")]
        detail = details(self._reader.history, row.entity, row.step, self._now())
        return about_lines(detail, self._diagnosis(row), width)

    def _diagnosis(self, row: Row) -> Diagnosis | None:
        if row.status != SmartSimStatus.STATUS_FAILED.value:
            return None
        job = find(self._reader.history, row.entity, row.step)
        tails = []
        for path in (job.facts.stderr, job.facts.stdout):
            try:
                tails.append(self._logs.tail(path, _TAIL).text.splitlines() if path else [])
            except (OSError, SmartSimError):
                tails.append([])
        return diagnose(job, *tails)

    def _follow_log(self) -> None:
        row = self.browser.selected
        path = ""
        if row is not None:
            facts = find(self._reader.history, row.entity, row.step).facts
            path = facts.stdout if self._stream == "stdout" else facts.stderr
        if path != (self._tail.path if self._tail else ""):
            self._above_end = 0
            self._tail = LogTail(self._logs, path) if path else None
            if self._tail is not None:
                self._tail.poll()
