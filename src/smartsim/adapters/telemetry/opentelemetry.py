"""Export to an OpenTelemetry collector, by OTLP over HTTP.

The standard variables say where it is, and with what: ``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_EXPORTER_OTLP_HEADERS``,
``OTEL_SERVICE_NAME``, ``OTEL_RESOURCE_ATTRIBUTES`` and so on.
"""

from __future__ import annotations

import atexit
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final

from smartsim.domain.telemetry_export import Measurement, Span

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import Metric, MetricExporter, MetricsData
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

_SERVICE: Final = "smartsim"
_LONGEST_QUEUE: Final = 100_000  # spans and measurements that wait to be sent
_BATCH: Final = 2_000  # that are sent at once
_DELAY: Final = 1.0  # seconds that others are waited for, to be sent together
_LONGEST_END: Final = 5.0  # seconds that a driver waits in the end
_SHORTER_END: Final = 0.5  # if the collector did not answer before


class OpenTelemetryExport:
    """Sends spans and measurements in a thread of its own. What cannot be sent is dropped, and told of once.

    Args:
        span_exporter: sends spans.
        metric_exporter: sends measurements.
        log: tells users.
    """

    def __init__(
        self, span_exporter: SpanExporter, metric_exporter: MetricExporter, log: Callable[[str], object]
    ) -> None:
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource

        self._span_exporter = span_exporter
        self._metric_exporter = metric_exporter
        self._log = log
        resource = Resource.create()
        if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
            resource = resource.merge(Resource({SERVICE_NAME: _SERVICE}))
        self._resource = resource
        self._changed = threading.Condition()
        self._waiting: deque[Span | Measurement] = deque()
        self._closing = False
        self._failed = False
        self._answers = True  # as far as is known
        self._thread: threading.Thread | None = None

    @classmethod
    def over_http(cls, log: Callable[[str], object]) -> OpenTelemetryExport:
        """Return the export to the collector that the environment says.

        Raises:
            ImportError: the package of the exporter is not installed.
        """
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        library = logging.getLogger("opentelemetry.exporter")
        if library.level == logging.NOTSET:  # it would tell of every attempt, on the standard error of the driver
            library.setLevel(logging.CRITICAL)
        return cls(OTLPSpanExporter(), OTLPMetricExporter(), log)

    def add_spans(self, spans: Sequence[Span]) -> None:
        """Send what has ended, soon."""
        self._add(spans)

    def add_measurements(self, measurements: Sequence[Measurement]) -> None:
        """Send what was measured, soon."""
        self._add(measurements)

    def _add(self, items: Sequence[Span | Measurement]) -> None:
        with self._changed:
            if self._closing or not items:
                return
            self._waiting.extend(items[: _LONGEST_QUEUE - len(self._waiting)])
            if self._thread is None:
                atexit.register(self.close)  # not every driver closes its experiment
                self._thread = threading.Thread(target=self._run, name="smartsim-opentelemetry", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def close(self) -> None:
        """Send what is left, within some seconds."""
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(_LONGEST_END if self._answers else _SHORTER_END)
            atexit.unregister(self.close)
        self._span_exporter.shutdown()  # what is under way is given up
        self._metric_exporter.shutdown()
        if self._thread is not None:
            self._thread.join(_SHORTER_END)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                self._changed.wait_for(lambda: self._closing or len(self._waiting) >= _BATCH, _DELAY)
                batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            self._send(batch)

    def _send(self, batch: Sequence[Span | Measurement]) -> None:
        from opentelemetry.sdk.metrics.export import MetricExportResult
        from opentelemetry.sdk.trace.export import SpanExportResult

        spans = [item for item in batch if isinstance(item, Span)]
        measurements = [item for item in batch if isinstance(item, Measurement)]
        problem = "the collector did not take it"
        try:
            sent = not spans or self._span_exporter.export(self._readable(spans)) is SpanExportResult.SUCCESS
            if measurements:
                told = self._metric_exporter.export(_metrics_data(measurements, self._resource))
                sent = sent and told is MetricExportResult.SUCCESS
        except Exception as error:  # noqa: BLE001 - an exporter may raise anything; the next batch may get through
            sent, problem = False, repr(error)
        self._answers = sent
        if not sent and not self._failed:
            self._failed = True
            self._log(
                f"Telemetry cannot be exported: {problem}. Jobs go on; see OTEL_EXPORTER_OTLP_ENDPOINT, or set "
                "SMARTSIM_OTEL=0"
            )

    def _readable(self, spans: Sequence[Span]) -> list[ReadableSpan]:
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

        def context(span: Span, span_id: int) -> SpanContext:
            return SpanContext(span.trace_id, span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))

        return [
            ReadableSpan(
                name=span.name,
                context=context(span, span.span_id),
                parent=None if span.parent_id is None else context(span, span.parent_id),
                resource=self._resource,
                attributes=dict(span.attributes),
                status=Status(StatusCode.OK) if span.error is None else Status(StatusCode.ERROR, span.error),
                start_time=_nanoseconds(span.begin),
                end_time=_nanoseconds(span.end),
                instrumentation_scope=_scope(),
            )
            for span in spans
        ]


def _metrics_data(measurements: Sequence[Measurement], resource: Resource) -> MetricsData:
    from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics

    by_name = groupby(sorted(measurements, key=lambda found: found.name), key=lambda found: found.name)
    metrics = [_metric(list(found)) for _, found in by_name]
    return MetricsData([ResourceMetrics(resource, [ScopeMetrics(_scope(), metrics, "")], "")])


def _metric(measurements: Sequence[Measurement]) -> Metric:
    """Return measurements of one name."""
    from opentelemetry.sdk.metrics.export import AggregationTemporality, Gauge, Metric, NumberDataPoint, Sum

    points = [
        # When a total began nobody says: 0, as the protocol has it.
        NumberDataPoint(dict(found.attributes), 0, _nanoseconds(found.at), found.value)
        for found in measurements
    ]
    first = measurements[0]
    data = Sum(points, AggregationTemporality.CUMULATIVE, is_monotonic=True) if first.is_total else Gauge(points)
    return Metric(first.name, None, first.unit, data)


def _scope() -> InstrumentationScope:
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    return InstrumentationScope("smartsim")


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
