"""The terminal application of `smart watch`."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from textual.app import App
from textual.binding import Binding, BindingType

from smartsim.app.log_files import LogFiles
from smartsim.app.reading import ExperimentReader
from smartsim.app.remote_control import RemoteControl, user_here
from smartsim.app.watch.dialogs import Help
from smartsim.app.watch.experiment_screen import ExperimentScreen
from smartsim.app.watch.list_screen import ListScreen

_INTERVAL: Final = 1.0  # seconds between two looks at what is new


class WatchApp(App[None]):
    """Shows experiments: a list of them, or the only one.

    It has the sixteen colours of the terminal, or none if `NO_COLOR` is set. The mouse is left to the terminal, which
    selects text with it.

    Args:
        directories: of the experiments.
        now: tells the time, in seconds since the epoch.
        unicode: whether the terminal shows more than ASCII.
    """

    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = None
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c,ctrl+q", "quit", "quit", priority=True),
        Binding("q", "quit", "quit"),
        Binding("question_mark", "help", "help"),
    ]

    def __init__(self, directories: Sequence[str], now: Callable[[], float], *, unicode: bool) -> None:
        super().__init__(ansi_color=True)
        self._directories = directories
        self._now = now
        self._unicode = unicode

    async def on_mount(self) -> None:
        """Show the first screen, and look for what is new from now on; called by textual."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):  # without a word to textual, the terminal would stay as it is
            loop.add_signal_handler(number, self.exit)
        if len(self._directories) == 1:
            self.open(self._directories[0])
        else:
            self.push_screen(ListScreen(self._directories, self.open))
        self.set_interval(_INTERVAL, self._poll)

    def open(self, directory: str, reader: ExperimentReader | None = None) -> None:
        """Show an experiment.

        Args:
            directory: its own.
            reader: of its record, if there is one already.
        """
        reader = ExperimentReader(directory) if reader is None else reader
        user = f"{user_here()} with smart watch"
        self.push_screen(
            ExperimentScreen(
                reader,
                LogFiles(reader),
                self._now,
                lambda entity: RemoteControl(reader.directory, reader.history).stop(entity, user),
                is_only=len(self._directories) == 1,
                unicode=self._unicode,
            )
        )

    def action_help(self) -> None:
        """Tell the keys."""
        self.push_screen(Help())

    def _poll(self) -> None:
        for screen in reversed(self.screen_stack):  # the uppermost but for what is asked or told in front of it
            if isinstance(screen, ExperimentScreen | ListScreen):
                screen.poll()
                return
