"""An export of telemetry into lists."""

from __future__ import annotations

from collections.abc import Sequence

from smartsim.domain.telemetry_export import Measurement, Span


class InMemoryTelemetryExport:
    """Keeps what it is given for the life of the object.

    Attributes:
        spans: what has ended.
        measurements: what was measured.

    Example:
        >>> export = InMemoryTelemetryExport()
        >>> export.add_measurements([Measurement("smartsim.job.memory", 4096, "By", 1.0, {"smartsim.step": "m-1"})])
        >>> export.measurements[0].value
        4096
    """

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.measurements: list[Measurement] = []
        self._closed = False

    def add_spans(self, spans: Sequence[Span]) -> None:
        """Keep what has ended."""
        if not self._closed:
            self.spans.extend(spans)

    def add_measurements(self, measurements: Sequence[Measurement]) -> None:
        """Keep what was measured."""
        if not self._closed:
            self.measurements.extend(measurements)

    def close(self) -> None:
        """Take nothing any more."""
        self._closed = True
