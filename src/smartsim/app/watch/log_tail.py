"""The end of a log, as it grows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len, chop_cells

from smartsim.app.plain_text import printable
from smartsim.domain.errors import SmartSimError

if TYPE_CHECKING:
    from smartsim.app.log_files import LogFiles

_HELD: Final = 2000  # lines
_AT_ONCE: Final = 65536  # bytes that are read at once
_LONGEST: Final = 65536  # characters of a line: its end


class LogTail:
    """The last lines of one log.

    Args:
        files: the logs of the experiment.
        path: the log, as the record names it.

    Attributes:
        size: of the log, in bytes.
        problem: why it cannot be read, in words; empty otherwise.
        version: grows with each change.
    """

    def __init__(self, files: LogFiles, path: str) -> None:
        self._files = files
        self.path = path
        self.size = 0
        self.problem = ""
        self.version = 0
        self._end = 0
        self._lines: deque[str] = deque(maxlen=_HELD)
        self._begun = False

    def poll(self) -> None:
        """Take in what was added."""
        before = (self.size, self.problem, self._end)
        try:
            self._read()
        except OSError as error:
            self.problem = f"{self.path} cannot be read: {error.strerror or error}"
        except SmartSimError as error:
            self.problem = str(error)
        self.version += (self.size, self.problem, self._end) != before

    def wrapped(self, width: int) -> list[str]:
        """Return the lines, those that are too long on several.

        Args:
            width: cells of a line.
        """
        return wrapped(self._lines, width)

    def _read(self) -> None:
        chunk = self._files.chunk(self.path, self._end, _AT_ONCE) if self._begun else None
        if chunk is None or chunk.size < self._end or chunk.size - chunk.end > _AT_ONCE:
            self._lines.clear()  # the first time; it was cut short; or much was added
            chunk = self._files.tail(self.path, _HELD, _AT_ONCE)
        self._begun = True
        self._take(chunk.text)
        self._end, self.size = chunk.end, chunk.size
        self.problem = (
            "" if chunk.size else "Nothing has been written yet." if chunk.exists else "There is no such file."
        )

    def _take(self, text: str) -> None:
        if not text:
            return
        first, *others = text.split("\n")
        unfinished = self._lines.pop() if self._lines else ""
        # A bar of progress may go on for days without the end of a line.
        self._lines.extend(line[-_LONGEST:] for line in (unfinished + first, *others))


def wrapped(lines: Iterable[str], width: int) -> list[str]:
    """Return lines, those that are too long on several.

    Args:
        lines: without ends of lines.
        width: cells.

    Example:
        >>> wrapped(["a long one", ""], 6)
        ['a long', ' one', '']
    """
    found = []
    for line in lines:
        text = printable(line.expandtabs())
        found.extend([text] if cell_len(text) <= width else chop_cells(text, max(width, 2)))
    return found
