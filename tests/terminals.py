"""Terminals of tests: a real one, of tmux, which shows a program and types what a person would."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from readiness import is_readable

DEADLINE = 60.0  # seconds within which a screen is as it should be
SCREENS = Path(__file__).resolve().parents[1] / "build" / "screenshots"
"""Where screens are kept that a person may want to look at."""
_ENDED = "the program has ended with"


class Terminal:
    """A terminal of its own: a server of tmux, which ends with the block.

    A second client of it, in control mode, is told of everything that is written to the screen, so that who waits for
    something is woken by it.

    Args:
        directory: for its files; a short path, since a socket is among them.
        columns: of the screen.
        rows: so.
    """

    def __init__(self, directory: Path, columns: int = 80, rows: int = 24) -> None:
        program = shutil.which("tmux")
        assert program is not None, "These tests need tmux. On Debian: apt-get install tmux"
        self._socket = directory / "tmux"
        self._tmux = [program, "-S", str(self._socket), "-f", "/dev/null"]
        self._output = directory / "output"
        self._size = (columns, rows)
        self._control: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        control, self._control = self._control, None
        if control is not None:
            self._do("kill-server")
            with control:
                control.communicate(timeout=DEADLINE)
            self._socket.unlink(missing_ok=True)

    def run(self, command: Sequence[str], environment: Mapping[str, str], directory: Path) -> None:
        """Start a program; what it ends with is shown afterwards, and the state of the terminal that it leaves.

        Args:
            command: the program and its arguments.
            environment: all of its variables.
            directory: where it runs.
        """
        term = f"TERM={environment.get('TERM', 'screen')}"
        line = f"{shlex.join(['env', term, *command])}; echo {_ENDED} $?; stty -a; exec cat"
        columns, rows = self._size
        size = ("-x", str(columns), "-y", str(rows))
        self._do("new-session", "-d", *size, "-c", str(directory), "sh", "-c", line, environment=environment)
        self.resize(columns, rows)  # from now on nobody else does
        self._do("pipe-pane", "-O", shlex.join(["dd", "bs=64k", f"of={self._output}"]))
        self._control = subprocess.Popen(
            [*self._tmux, "-C", "attach-session", "-f", "ignore-size"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def keys(self, *names: str) -> None:
        """Press keys one after the other, by the names that tmux has for them."""
        for name in names:
            self._do("send-keys", name)

    def type(self, text: str) -> None:
        """Type text."""
        self._do("send-keys", "-l", text)

    def resize(self, columns: int, rows: int) -> None:
        """Give the screen another size."""
        self._do("resize-window", "-x", str(columns), "-y", str(rows))

    def screen(self, *, colours: bool = False) -> str:
        """Return what is on the screen, line by line; with the codes of colours if wanted."""
        return self._do("capture-pane", "-p", *(["-e"] if colours else []))

    def wait(self, pattern: str, *, gone: bool = False) -> str:
        """Wait until the screen has something, and return it.

        Args:
            pattern: a regular expression of that; "^" and "$" are ends of lines.
            gone: wait until it has it no more.
        """
        search = re.compile(pattern, re.MULTILINE).search
        return self.wait_until(lambda screen: (search(screen) is None) == gone, f"{'no ' * gone}{pattern}")

    def wait_until(self, is_right: Callable[[str], bool], what: str) -> str:
        """Wait until the screen is right, and return it.

        Args:
            is_right: says whether it is.
            what: is waited for; for the message when it does not come.
        """
        deadline = time.monotonic() + DEADLINE
        while not is_right(screen := self.screen()):
            left = deadline - time.monotonic()
            assert left > 0, f"not on the screen within {DEADLINE:g} s: {what}\n{screen}"
            self._changed(left)
        return screen

    def keep(self, name: str) -> str:
        """Keep the screen as a file for people to look at, and return it."""
        SCREENS.mkdir(parents=True, exist_ok=True)
        screen = self.screen()
        (SCREENS / f"{name}.txt").write_text(screen)
        return screen

    def ended(self) -> int:
        """Wait for the end of the program; return its exit code, once the terminal is as it was before."""
        screen = self.wait(rf"{_ENDED} \d+")
        self.wait(r"(?<!-)icanon\b")  # lines are edited, and keys are shown, by the terminal again
        self.wait(r"(?<!-)echo\b")
        flags = "#{alternate_on} #{cursor_flag} #{mouse_any_flag}"
        state = self._do("display-message", "-p", flags).strip()
        assert state == "0 1 0", f"{flags}: {state}"
        found = re.search(rf"{_ENDED} (\d+)", screen)
        assert found is not None
        return int(found[1])

    def written(self) -> int:
        """Return how many bytes were written to the screen."""
        return self._output.stat().st_size

    def pid(self) -> int:
        """Return the process that the terminal runs: the shell that started the program."""
        return int(self._do("display-message", "-p", "#{pane_pid}"))

    def _changed(self, timeout: float) -> None:
        """Wait until something was written to the screen, or the time is over."""
        assert self._control is not None
        output: IO[bytes] | None = self._control.stdout
        assert output is not None
        if is_readable(output, timeout):
            assert os.read(output.fileno(), 1 << 16), "the server of tmux has ended"

    def _do(self, *command: str, environment: Mapping[str, str] | None = None) -> str:
        ended = subprocess.run(
            [*self._tmux, *command], capture_output=True, text=True, timeout=DEADLINE, check=False, env=environment
        )
        assert ended.returncode == 0, f"tmux {shlex.join(command)}: {ended.stderr}"
        return ended.stdout
