"""A collector of telemetry, as OpenTelemetry has them: OTLP over HTTP."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from smartsim.domain.telemetry_export import Measurement, Span

_FAILED = 2  # STATUS_CODE_ERROR


@dataclass
class Collector:
    """What was received.

    Attributes:
        endpoint: where it listens.
        status: of its answers.
        spans: in the terms of the domain.
        measurements: so.
        services: the names of the services that sent.
    """

    endpoint: str
    status: int = 200
    spans: list[Span] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
    services: set[str] = field(default_factory=set)
    asked: int = 0

    def take(self, path: str, body: bytes) -> None:
        """Decode a request."""
        self.asked += 1
        if path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.services.add(_attributes(resource.resource.attributes)["service.name"])
                self.spans += [_span(span) for scope in resource.scope_spans for span in scope.spans]
        else:
            assert path == "/v1/metrics", path
            for told in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                self.services.add(_attributes(told.resource.attributes)["service.name"])
                for scope in told.scope_metrics:
                    self.measurements += [found for metric in scope.metrics for found in _measurements(metric)]


@contextmanager
def running_collector() -> Iterator[Collector]:
    """Run a collector on the loopback."""
    collector = Collector("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            collector.take(self.path, body)
            self.send_response(collector.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        collector.endpoint = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join(30)


def _span(span: Any) -> Span:
    return Span(
        span.name,
        int.from_bytes(span.trace_id, "big"),
        int.from_bytes(span.span_id, "big"),
        int.from_bytes(span.parent_span_id, "big") if span.parent_span_id else None,
        span.start_time_unix_nano / 1e9,
        span.end_time_unix_nano / 1e9,
        _attributes(span.attributes),
        span.status.message if span.status.code == _FAILED else None,
    )


def _measurements(metric: Any) -> list[Measurement]:
    is_total = metric.HasField("sum")
    if is_total:
        assert metric.sum.is_monotonic
    points = metric.sum.data_points if is_total else metric.gauge.data_points
    return [
        Measurement(
            metric.name,
            getattr(point, point.WhichOneof("value")),
            metric.unit,
            point.time_unix_nano / 1e9,
            _attributes(point.attributes),
            is_total,
        )
        for point in points
    ]


def _attributes(attributes: Any) -> dict[str, Any]:
    return {attribute.key: _value(attribute.value) for attribute in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return tuple(map(_value, value.array_value.values)) if kind == "array_value" else getattr(value, kind)
