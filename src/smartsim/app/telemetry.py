"""Whether an experiment keeps a record of what happens."""

from __future__ import annotations


class TelemetryConfiguration:
    """A switch.

    Args:
        enabled: its first position.
    """

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled

    @property
    def is_enabled(self) -> bool:
        """Whether the record is kept."""
        return self._enabled

    def enable(self) -> None:
        """Keep the record from now on."""
        self._enabled = True

    def disable(self) -> None:
        """Keep no record from now on. Results, exit codes and files of entities are the same without."""
        self._enabled = False
