"""What terminals show: states in their colours, and text in cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from smartsim.app.plain_text import printable
from smartsim.domain.status import SmartSimStatus

LETTERS: Final[Mapping[str, str]] = {
    SmartSimStatus.STATUS_NEW.value: "N",
    SmartSimStatus.STATUS_QUEUED.value: "Q",
    SmartSimStatus.STATUS_RUNNING.value: "R",
    SmartSimStatus.STATUS_PAUSED.value: "P",
    SmartSimStatus.STATUS_COMPLETED.value: "C",
    SmartSimStatus.STATUS_FAILED.value: "F",
    SmartSimStatus.STATUS_CANCELLED.value: "X",
    SmartSimStatus.STATUS_NEVER_STARTED.value: "-",
}
"""The letter of each state."""
STYLES: Final[Mapping[str, str]] = {
    SmartSimStatus.STATUS_QUEUED.value: "yellow",
    SmartSimStatus.STATUS_RUNNING.value: "green",
    SmartSimStatus.STATUS_PAUSED.value: "magenta",
    SmartSimStatus.STATUS_COMPLETED.value: "cyan",
    SmartSimStatus.STATUS_FAILED.value: "bold red",
    SmartSimStatus.STATUS_CANCELLED.value: "bold",
}
"""The colour of each state, of the sixteen that every terminal has; the others have that of text."""

_CUT: Final = "~"


def fitted(text: str, width: int, *, right: bool = False) -> str:
    """Return text that takes exactly so many cells; what is cut ends with a tilde.

    Args:
        text: any.
        width: cells.
        right: whether it stands at the right.

    Example:
        >>> fitted("diffusivity", 6), fitted("12", 4, right=True)
        ('diffu~', '  12')
    """
    text = printable(text)
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, max(width - 1, 0)) + _CUT[:width]
    padding = " " * (width - length)
    return padding + text if right else text + padding


def state(status: str) -> Text:
    """Return the letter of a state, in its colour."""
    return Text(LETTERS.get(status, "?"), STYLES.get(status, ""))


def counted(counts: Mapping[str, int]) -> Text:
    """Return how many are in each state, such as "R 12  F 2"."""
    return Text("  ").join(
        Text(f"{letter} {counts[status]}", STYLES.get(status, ""))
        for status, letter in LETTERS.items()
        if counts.get(status)
    )
