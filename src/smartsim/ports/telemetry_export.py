"""Where telemetry goes beside the files of the experiment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from smartsim.domain.telemetry_export import Measurement, Span


class TelemetryExport(Protocol):
    """Passes spans and measurements on. It returns at once, whatever becomes of them, and may be used by any thread."""

    def add_spans(self, spans: Sequence[Span]) -> None:
        """Pass on what has ended."""
        ...

    def add_measurements(self, measurements: Sequence[Measurement]) -> None:
        """Pass on what was measured."""
        ...

    def close(self) -> None:
        """Pass on what is left, within some seconds, and nothing any more."""
        ...
