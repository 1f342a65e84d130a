"""The command `smart`, run in this process as its entry point does."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest import mock

from smartsim.app.cli import main


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Args:
        code: its exit code.
        raw: what it printed.
        errors: what it complained of.
    """

    code: int
    raw: bytes
    errors: str

    @property
    def text(self) -> str:
        """What it printed, as text."""
        return self.raw.decode()


def run_smart(*arguments: str) -> Outcome:
    """Run the command with arguments."""
    printed, errors = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True), io.StringIO()
    code = 0
    with mock.patch.object(sys, "argv", ["smart", *arguments]), redirect_stdout(printed), redirect_stderr(errors):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    raw = printed.detach()
    assert isinstance(raw, io.BytesIO)
    return Outcome(code, raw.getvalue(), errors.getvalue())
