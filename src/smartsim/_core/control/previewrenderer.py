"""The old path of `smartsim.preview`."""

from __future__ import annotations

from smartsim.preview import Format, Verbosity

__all__ = ["Format", "Verbosity"]
