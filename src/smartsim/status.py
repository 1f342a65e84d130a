"""The states of entities."""

from __future__ import annotations

from smartsim.domain.status import TERMINAL_STATUSES, SmartSimStatus

__all__ = ["TERMINAL_STATUSES", "SmartSimStatus"]
