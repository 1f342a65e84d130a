"""The list of experiments, one of which may be chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen

from smartsim.app.reading import ExperimentReader
from smartsim.app.watch.experiments import Listed, experiment_lines
from smartsim.app.watch.pane import Pane

_FAR: Final = 10**9  # more rows than any list has


class ListScreen(Screen[None]):
    """Experiments: their names, what their members do, and when anything happened last.

    Only records of those on the screen are read.

    Args:
        directories: of the experiments.
        open_: shows one of them.
    """

    DEFAULT_CSS = """
    ListScreen Pane { height: 1; }
    ListScreen #main { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("up,k", "move(-1)", "up"),
        ("down,j", "move(1)", "down"),
        ("pageup", "page(-1)", "page up"),
        ("pagedown,space", "page(1)", "page down"),
        ("home", f"move({-_FAR})", "first"),
        ("end", f"move({_FAR})", "last"),
        ("enter", "open", "open"),
    ]

    def __init__(self, directories: Sequence[str], open_: Callable[[str, ExperimentReader], None]) -> None:
        super().__init__()
        self._directories = directories
        self._open = open_
        self._cursor = 0
        self._top = 0
        self._known: dict[str, Listed] = {}

    def compose(self) -> ComposeResult:
        """Lay it out; called by textual."""
        for name in ("title", "main", "keys"):
            yield Pane(name)

    def on_resized(self) -> None:
        """Draw for the new size of a pane; called by textual."""
        self.draw()

    def on_screen_resume(self) -> None:
        """Draw what happened meanwhile; called by textual."""
        self.draw()

    def poll(self) -> None:
        """Look for what is new; called once a second."""
        new = [listed.refresh() for listed in map(self._listed, self._shown())]
        if any(new):
            self.draw()

    def draw(self) -> None:
        """Show what is there."""
        shown = self._shown()
        text = f"{len(self._directories)} experiments"
        self.query_one("#title", Pane).show([Text(text, "bold")])
        listed = [self._listed(directory) for directory in shown]
        self.query_one("#main", Pane).show(experiment_lines(listed, self.size.width, self._cursor - self._top))
        self.query_one("#keys", Pane).show([Text("enter opens  ? help  q quit", "dim")])

    def _shown(self) -> Sequence[str]:
        height = max(1, self.query_one("#main", Pane).size.height - 1)
        self._top = max(min(self._top, self._cursor), self._cursor - height + 1)
        return self._directories[self._top : self._top + height]

    def _listed(self, directory: str) -> Listed:
        if directory not in self._known:
            self._known[directory] = Listed(directory)
        return self._known[directory]

    def action_move(self, by: int) -> None:
        """Move down by so many rows."""
        self._cursor = max(0, min(self._cursor + by, len(self._directories) - 1))
        self.draw()

    def action_page(self, pages: int) -> None:
        """Move down by so many pages."""
        self.action_move(pages * max(1, self.query_one("#main", Pane).size.height - 2))

    def action_open(self) -> None:
        """Show the experiment that is selected."""
        listed = self._listed(self._directories[self._cursor])
        if listed.reader is not None:
            self._open(listed.directory, listed.reader)
