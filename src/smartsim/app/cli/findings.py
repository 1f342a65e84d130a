"""What `smart doctor` finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        what: the thing.
        state: "problem" where something cannot work, "warning" where it may not.
        found: what it is like.
        advice: what to do; None if there is nothing to do.
    """

    what: str
    state: Literal["ok", "warning", "problem"]
    found: str
    advice: str | None = None
