"""What is asked and told in front of the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from smartsim.app.plain_text import printable
from smartsim.app.watch.text import LETTERS, state

_STYLE = """
{name} {{ align: center middle; }}
{name} > Vertical {{
    width: 76; max-width: 100%; height: auto; max-height: 100%; border: ascii; padding: 0 1; overflow-y: auto;
}}
{name} Static {{ height: auto; }}
"""
_KEYS: Sequence[tuple[str, str]] = (
    ("1 2 3 4", "members, groups, databases, inference; tab: the next"),
    ("arrows", "move, as do pgup, pgdn, home, end; left, right: other columns"),
    ("enter", "all about a member, and why it failed; the members of a group"),
    ("escape", "back; then without filters; then to the list of experiments"),
    ("/", "only members with a text in name, parameters, reason or nodes"),
    ("f", "only those that failed; then of the next state; then all"),
    ("g", "only those of the first group; then of the next; then all"),
    ("< > r", "sort by the next column to the left, to the right; reverse"),
    ("l e", "the log on the whole screen; standard error or output"),
    ("s", "stop the member, after a question"),
    ("q", "quit, as ctrl+c; what runs goes on"),
)


class Question(ModalScreen[bool]):
    """Asks something that is answered by yes or no.

    Args:
        question: what is asked.
        yes: what is done then.
        no: so otherwise.
    """

    DEFAULT_CSS = _STYLE.format(name="Question")
    BINDINGS: ClassVar[list[BindingType]] = [("y", "dismiss(True)"), ("n,escape,q", "dismiss(False)")]

    def __init__(self, question: str, yes: str, no: str) -> None:
        super().__init__()
        self._text = Text.assemble(printable(question), "\n\n", ("y", "bold"), f"  {yes}\n", ("n", "bold"), f"  {no}")

    def compose(self) -> ComposeResult:
        """Lay it out; called by textual."""
        with Vertical():
            yield Static(self._text)


class Help(ModalScreen[None]):
    """Tells the keys, and the letters of the states."""

    DEFAULT_CSS = _STYLE.format(name="Help")
    BINDINGS: ClassVar[list[BindingType]] = [("escape,q,question_mark,enter", "dismiss")]

    def compose(self) -> ComposeResult:
        """Lay it out; called by textual."""
        text = Text("Keys\n", "bold")
        for keys, does in _KEYS:
            text.append(f"{keys:<10}", "bold").append(f"{does}\n")
        text.append("States\n", "bold")
        text.append_text(Text("  ").join(Text.assemble(state(name), f" {name}") for name in LETTERS))
        text.append("\nR? and the like: its driver has gone, nobody knows more", "dim")
        with Vertical():
            yield Static(text)
