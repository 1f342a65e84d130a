"""Telemetry for others than this package: what is exported of an experiment while it runs."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from smartsim.app.logs import get_logger
from smartsim.domain import record
from smartsim.domain.telemetry_export import Tracing, measurements

if TYPE_CHECKING:
    from smartsim.ports.telemetry_export import TelemetryExport

SWITCH = "SMARTSIM_OTEL"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Exporting:
    """Exports what happens in an experiment, and samples of it.

    Args:
        export: takes it.
        experiment: the name of the experiment.
    """

    def __init__(self, export: TelemetryExport, experiment: str) -> None:
        self._export = export
        self._experiment = experiment
        self._tracing = Tracing(experiment)
        self._lock = threading.Lock()

    def happened(self, events: Sequence[record.Event]) -> None:
        """Export what has ended with some events."""
        with self._lock:
            spans = [span for event in events for span in self._tracing.add(event)]
        self._export.add_spans(spans)

    def sampled(self, samples: Sequence[record.Event]) -> None:
        """Export samples."""
        self._export.add_measurements([found for sample in samples for found in measurements(sample, self._experiment)])

    def close(self) -> None:
        """Export nothing any more."""
        self._export.close()


def system_export(environment: Mapping[str, str]) -> TelemetryExport | None:
    """Return where the environment says that telemetry goes; None for nowhere.

    Args:
        environment: the variables of the driver. ``SMARTSIM_OTEL`` switches the export on (1) and off (0); without it,
            it is on when ``OTEL_EXPORTER_OTLP_ENDPOINT`` says where to.

    Raises:
        ValueError: the switch is neither.
    """
    text = environment.get(SWITCH, "1" if any(environment.get(name) for name in _ENDPOINTS) else "0")
    if text not in ("0", "1"):
        raise ValueError(f"{SWITCH} must be 1 for on or 0 for off, not {text!r}")
    if text == "0" or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    from smartsim.adapters.telemetry.opentelemetry import OpenTelemetryExport

    logger = get_logger(__name__)
    try:
        return OpenTelemetryExport.over_http(logger.warning)
    except ImportError as error:
        logger.warning(f"Telemetry is not exported: {error}. pip install 'smartsim-next[otel]', or set {SWITCH}=0")
        return None
