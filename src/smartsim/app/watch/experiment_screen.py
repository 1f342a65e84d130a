"""The screen of one experiment."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from textual.app import ComposeResult
from textual.events import Key, Paste
from textual.message import Message
from textual.screen import Screen

from smartsim.app.reading import EVENTS_FILE
from smartsim.app.watch.dialogs import Question
from smartsim.app.watch.pane import Pane
from smartsim.app.watch.viewer import Viewer
from smartsim.domain.errors import SmartSimError
from smartsim.domain.status import TERMINAL_STATUSES

if TYPE_CHECKING:
    from smartsim.app.log_files import LogFiles
    from smartsim.app.reading import ExperimentReader

_FAR: Final = 10**9  # more rows than any table has
_FINAL: Final = {status.value for status in TERMINAL_STATUSES}
_KEYS: Final[Mapping[str, Callable[[Viewer], None]]] = {
    "1": lambda viewer: viewer.show("members"),
    "2": lambda viewer: viewer.show("groups"),
    "3": lambda viewer: viewer.show("databases"),
    "4": lambda viewer: viewer.show("inference"),
    "tab": Viewer.next_view,
    "up": lambda viewer: viewer.go(-1),
    "down": lambda viewer: viewer.go(1),
    "k": lambda viewer: viewer.go(-1),
    "j": lambda viewer: viewer.go(1),
    "pageup": lambda viewer: viewer.turn(-1),
    "pagedown": lambda viewer: viewer.turn(1),
    "space": lambda viewer: viewer.turn(1),
    "home": lambda viewer: viewer.go(-_FAR),
    "end": lambda viewer: viewer.go(_FAR),
    "left": lambda viewer: viewer.browser.shift(-1),
    "right": lambda viewer: viewer.browser.shift(1),
    "less_than_sign": lambda viewer: viewer.browser.sort(-1),
    "greater_than_sign": lambda viewer: viewer.browser.sort(1),
    "r": lambda viewer: viewer.browser.reverse(),
    "slash": Viewer.find,
    "f": Viewer.next_status,
    "g": Viewer.next_group,
    "enter": Viewer.open,
    "l": lambda viewer: viewer.show("log"),
    "e": Viewer.other_stream,
}


@dataclass
class Answered(Message):
    """Somebody was asked to stop something, and this is what came of it.

    Args:
        text: in words.
    """

    text: str


class ExperimentScreen(Screen[None]):
    """Members, groups, databases and inference of an experiment, and the log of the selected member.

    Args:
        reader: of its record.
        logs: its logs.
        now: tells the time, in seconds since the epoch.
        stop: stops an entity; returns what was done, in words.
        is_only: whether there is no list of experiments to go back to.
        unicode: whether the terminal shows more than ASCII.
    """

    DEFAULT_CSS = """
    ExperimentScreen Pane { height: 1; }
    ExperimentScreen #main { height: 1fr; }
    ExperimentScreen #log { height: 35%; }
    """

    def __init__(
        self,
        reader: ExperimentReader,
        logs: LogFiles,
        now: Callable[[], float],
        stop: Callable[[str], str],
        *,
        is_only: bool,
        unicode: bool,
    ) -> None:
        super().__init__()
        self._record = os.path.join(reader.directory, EVENTS_FILE)
        self._ask_to_stop = stop
        self._is_only = is_only
        self._viewer = Viewer(reader, logs, now, unicode=unicode)
        self._drawn: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        """Lay it out; called by textual."""
        for name in ("title", "tabs", "main", "log-title", "log", "keys"):
            yield Pane(name)

    def on_resized(self) -> None:
        """Draw for the new size of a pane; called by textual."""
        self._draw()

    def poll(self) -> None:
        """Look for what is new; called once a second."""
        viewer = self._viewer
        viewer.poll()
        viewer.problem = "" if os.path.exists(self._record) else "The record has gone: this is what was read before"
        if viewer.state() != self._drawn:
            self._show()

    def _show(self) -> None:
        """Show what there is; nothing is sent for what stays as it was."""
        below = self._viewer.below(self.size.width)
        log, has_log = self._pane("log"), self._viewer.view == "members"
        if self._pane("keys").size.height == len(below) and log.display == has_log:
            self._draw()
        else:  # panes get other sizes, and tell
            self._pane("keys").styles.height = len(below)
            log.display = self._pane("log-title").display = has_log

    def _draw(self) -> None:
        viewer, width, main, log = self._viewer, self.size.width, self._pane("main"), self._pane("log")
        main.show(viewer.main(width, main.size.height))
        self._pane("title").show(viewer.title(width))
        self._pane("tabs").show(viewer.tabs())
        self._pane("log-title").show(viewer.log_title())
        if log.display:
            log.show(viewer.log(width, log.size.height))
        self._pane("keys").show(viewer.below(width))
        self._drawn = viewer.state()

    def _pane(self, name: str) -> Pane:
        return self.query_one(f"#{name}", Pane)

    def on_key(self, event: Key) -> None:
        """Do what a key means; called by textual.

        Its bindings would do it a little later: what is typed fast behind a "/" would be taken for commands.
        """
        if self._viewer.typed is not None:
            self._type(event, self._viewer.typed)
        elif event.key in _KEYS:
            _KEYS[event.key](self._viewer)
        elif event.key == "s":
            self._question()
        elif event.key == "escape":
            if not self._viewer.back() and not self._is_only:
                self.dismiss()
                return
        else:
            return  # it may mean something to the application
        event.stop()
        self._show()

    def _type(self, event: Key, typed: str) -> None:
        match event.key:
            case "enter":
                self._viewer.found()
            case "escape":
                self._viewer.typed = None
            case "backspace":
                self._viewer.typed = typed[:-1]
            case "ctrl+u":
                self._viewer.typed = ""
            case _ if event.character and event.is_printable:
                self._viewer.typed = typed + event.character

    def on_paste(self, event: Paste) -> None:
        """Take text for what is asked; called by textual."""
        if self._viewer.typed is not None:
            self._viewer.typed += " ".join(event.text.split())
            self._show()

    def _question(self) -> None:
        row = self._viewer.browser.selected
        if row is None or self._viewer.view not in {"members", "about", "log"}:
            return
        if row.status in _FINAL:
            self._viewer.message = f"{row.entity} has ended already"
            return
        where = f" on {', '.join(row.hosts)}" if row.hosts else ""
        question = Question(f"Stop {row.entity}? It is {row.status}{where}.", "stop it", "leave it as it is")
        self.app.push_screen(question, lambda yes: self._stop(row.entity) if yes else None)

    def _stop(self, entity: str) -> None:
        self._viewer.message = f"{entity} is being stopped ..."
        self._show()
        # The driver may take a minute. Whoever quits meanwhile does not wait: the thread ends with the process.
        threading.Thread(target=self._stop_and_tell, args=(entity,), name="smartsim-stop", daemon=True).start()

    def _stop_and_tell(self, entity: str) -> None:
        try:
            told = self._ask_to_stop(entity)
        except SmartSimError as error:
            told = str(error)
        with suppress(RuntimeError):  # it was quit meanwhile
            self.post_message(Answered(told))

    def on_answered(self, event: Answered) -> None:
        """Tell what came of a stop; called by textual."""
        self._viewer.message = event.text
        self._show()
