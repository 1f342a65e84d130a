"""What a person looks at: a page of members, one of which is selected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from smartsim.app.watch.members import Layout, sort_keys
from smartsim.app.watch.text import LETTERS
from smartsim.domain.status import SmartSimStatus
from smartsim.domain.views.overview import Overview, overview
from smartsim.domain.views.table import Page, Query, Row, chosen, members, ordered, row

if TYPE_CHECKING:
    from smartsim.app.reading import ExperimentReader
    from smartsim.domain.history import JobHistory

_FRESH: Final = 60.0  # seconds after which times that go on are looked at again
_FIRST: Final = SmartSimStatus.STATUS_FAILED.value


class Browser:
    """A table of members that may be moved through, sorted and filtered. Only the rows on the screen are ever made.

    Args:
        reader: of the experiment.
        now: tells the time, in seconds since the epoch.
    """

    def __init__(self, reader: ExperimentReader, now: Callable[[], float]) -> None:
        self._reader = reader
        self._now = now
        self.query = Query(limit=1)
        self.layout = Layout()
        self.cursor = 0
        self._order: tuple[object, Sequence[JobHistory], tuple[str, ...]] | None = None
        self._page: tuple[object, Page] | None = None
        self._overview: tuple[int, Overview] | None = None

    @property
    def overview(self) -> Overview:
        """The experiment as a whole."""
        if self._overview is None or self._overview[0] != self._reader.revision:
            self._overview = self._reader.revision, overview(self._reader.history)
        return self._overview[1]

    @property
    def page(self) -> Page:
        """The rows on the screen."""
        now, history = self._now(), self._reader.history
        jobs, parameters = self._ordered(now)
        key = (self._reader.revision, self.query, now // _FRESH)
        if self._page is None or self._page[0] != key:
            shown = jobs[self.query.offset : self.query.offset + self.query.limit]
            rows = tuple(row(history, job, now) for job in shown)
            self._page = key, Page(len(jobs), self.query.offset, rows, parameters)
        return self._page[1]

    def _ordered(self, now: float) -> tuple[Sequence[JobHistory], tuple[str, ...]]:
        """Return all members in their order, and their parameters: the same for every page."""
        query = replace(self.query, offset=0, limit=0)
        key = (self._reader.revision, query, now // _FRESH)
        if self._order is None or self._order[0] != key:
            history = self._reader.history
            among = members(history, query)
            parameters = dict.fromkeys(name for job in among for name in job.facts.params)
            self._order = key, ordered(history, chosen(among, query), query, now), tuple(parameters)
        return self._order[1:]

    @property
    def selected(self) -> Row | None:
        """The member that is selected."""
        rows, at = self.page.rows, self.cursor - self.query.offset
        return rows[at] if 0 <= at < len(rows) else None

    def resize(self, rows: int) -> None:
        """Show so many rows."""
        self.query = replace(self.query, limit=max(rows, 1))
        self.move(0)

    def move(self, by: int) -> None:
        """Select the row so many further down, or the first or last one."""
        total = self.page.total
        self.cursor = max(0, min(self.cursor + by, total - 1))
        highest = max(0, total - self.query.limit)
        top = min(self.query.offset, self.cursor, highest)
        top = max(top, self.cursor - self.query.limit + 1)
        self.query = replace(self.query, offset=top)

    def follow(self, entity: str) -> None:
        """Keep a member selected that has moved to another row of the screen."""
        for at, shown in enumerate(self.page.rows):
            if shown.entity == entity:
                self.cursor = self.query.offset + at
                return
        self.move(0)

    def shift(self, by: int) -> None:
        """Show columns further to the right."""
        self.layout.skipped = max(0, self.layout.skipped + by)

    def sort(self, by: int) -> None:
        """Sort by the column so many further to the right."""
        keys = list(sort_keys(self.page, self.layout))
        at = keys.index(self.query.sort) if self.query.sort in keys else 0
        self._ask(sort=keys[(at + by) % len(keys)])

    def reverse(self) -> None:
        """Sort the other way round."""
        self._ask(descending=not self.query.descending)

    def search(self, text: str) -> None:
        """Show only members that have this text; all, for an empty one."""
        self._ask(text=text)

    def next_status(self) -> None:
        """Show only those that failed; then those in the next state that occurs, then all."""
        occur = [status for status in LETTERS if self.overview.counts.get(status)]
        occur.sort(key=lambda status: status != _FIRST)
        shown = self.query.statuses[0] if self.query.statuses else ""
        following = _next(occur, shown)
        self._ask(statuses=(following,) if following else ())

    def next_group(self) -> None:
        """Show only members of the next ensemble or database; after the last of them, all."""
        self.group(_next([group.name for group in self.overview.groups], self.query.group))

    def group(self, name: str) -> None:
        """Show only members of an ensemble or database; all, for an empty name."""
        self._ask(group=name)
        if self.query.sort not in sort_keys(self.page, self.layout):
            self._ask(sort=Query().sort)

    @property
    def filters(self) -> Sequence[str]:
        """What keeps members from being shown, in words."""
        found = [self.query.group, *self.query.statuses, f"/{self.query.text}" if self.query.text else ""]
        return [each for each in found if each]

    def everything(self) -> None:
        """Show all members."""
        self._ask(group="", text="", statuses=())

    def _ask(self, **changes: object) -> None:
        self.query = replace(self.query, **changes, offset=0)  # type: ignore[arg-type]
        self.layout = Layout(self.query.sort, self.query.descending)
        self.cursor = 0


def _next(names: Sequence[str], current: str) -> str:
    """Return the name behind the current one; the first for none, none behind the last."""
    if current not in names:
        return names[0] if names else ""
    at = names.index(current) + 1
    return names[at] if at < len(names) else ""
