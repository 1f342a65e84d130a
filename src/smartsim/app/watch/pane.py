"""A part of the screen that shows lines, and redraws of them only what changed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from rich.text import Text
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget


class Resized(Message):
    """A pane has another size."""


class Pane(Widget):
    """Lines of text.

    A line that is wider than the pane is cut at its edge; lines below the last are empty. Over a slow line every byte
    counts: what stays as it was is not sent again, line by line, and within a line from the first cell that changed to
    the last.

    Args:
        id: of the widget.
    """

    def __init__(self, id: str) -> None:  # noqa: A002 - what textual calls it
        super().__init__(id=id)
        self._lines: Sequence[Text] = ()
        self._strips: list[Strip] = []

    def show(self, lines: Sequence[Text]) -> None:
        """Show these lines from now on."""
        self._lines = lines
        before, self._strips = self._strips, self._drawn()
        if len(before) != len(self._strips):
            self.refresh()
            return
        changed = [
            Region(first, y, last - first, 1)
            for y, (old, new) in enumerate(zip(before, self._strips, strict=True))
            for first, last in changed_cells(old, new)
        ]
        if changed:
            self.refresh(*changed)

    def on_resize(self) -> None:
        """Tell the screen, which has other lines for another size; called by textual."""
        self.post_message(Resized())

    def render_line(self, y: int) -> Strip:
        """Return one line; called by textual."""
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width)

    def _drawn(self) -> list[Strip]:
        width, height = self.size
        strips = []
        for line in self._lines[:height]:
            text = line.copy()
            text.truncate(width, overflow="crop", pad=True)
            console = self.app.console
            whole = console.get_style(line.style)  # rich leaves it out where a text has no other style
            strips.append(Strip(Segment.apply_style(text.render(console), whole), width))
        return strips + [Strip.blank(width)] * (height - len(strips))


def changed_cells(old: Strip, new: Strip) -> list[tuple[int, int]]:
    """Return the cells from the first one that differs to behind the last; nothing if none does.

    Args:
        old: what stood in the line.
        new: what stands there now.
    """
    if old == new:
        return []
    if old.cell_length != new.cell_length:
        return [(0, new.cell_length)]
    before, after = _cells(old), _cells(new)
    differ = [at for at, (one, other) in enumerate(zip(before, after, strict=False)) if one != other]
    if len(before) != new.cell_length or len(after) != new.cell_length or not differ:  # wide characters: all of it
        return [(0, new.cell_length)]
    return [(differ[0], differ[-1] + 1)]


def _cells(strip: Strip) -> list[tuple[str, object]]:
    return [(character, segment.style) for segment in strip for character in segment.text]
