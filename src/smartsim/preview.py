"""How much `Experiment.preview` tells, and in which form."""

from __future__ import annotations

from smartsim.app.preview import Format, Verbosity

__all__ = ["Format", "Verbosity"]
