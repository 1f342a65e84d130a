"""What every export of telemetry does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from smartsim.adapters.telemetry.in_memory import InMemoryTelemetryExport
from smartsim.adapters.telemetry.opentelemetry import OpenTelemetryExport
from smartsim.domain.telemetry_export import Attributes, Measurement, Span
from smartsim.ports.telemetry_export import TelemetryExport
from telemetry_collectors import Collector, running_collector

# Times that are the same in nanoseconds, as floats have them.
ATTRIBUTES: Attributes = {
    "smartsim.entity": "m",
    "smartsim.returncode": -11,
    "smartsim.hosts": ("n1", "n2"),
    "share": 0.5,
}
JOB = Span("m", 2**127 + 5, 2**63 + 7, 11, 1_700_000_000.0, 1_700_000_002.5, ATTRIBUTES, "killed by SIGSEGV")
RUN = Span("start x", 2**127 + 5, 11, None, 1_700_000_000.0, 1_700_000_003.0, {"smartsim.run_id": "5f"})
MEMORY = Measurement("smartsim.job.memory", 4096, "By", 1_700_000_000.0, {"smartsim.step": "m-1"})
CPU = Measurement("smartsim.job.cpu_seconds", 1.5, "s", 1_700_000_000.0, {"smartsim.step": "m-1"}, is_total=True)


@dataclass
class Site:
    """An export, and what arrives."""

    export: TelemetryExport
    arrived: Collector | InMemoryTelemetryExport


@pytest.fixture(params=["memory", "opentelemetry"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    if request.param == "memory":
        export = InMemoryTelemetryExport()
        yield Site(export, export)
        return
    with running_collector() as collector:
        spans = OTLPSpanExporter(endpoint=f"{collector.endpoint}/v1/traces")
        metrics = OTLPMetricExporter(endpoint=f"{collector.endpoint}/v1/metrics")
        yield Site(OpenTelemetryExport(spans, metrics, pytest.fail), collector)


def test_what_was_added_has_arrived_when_it_is_closed(site: Site) -> None:
    site.export.add_spans([JOB])
    site.export.add_measurements([MEMORY, CPU])
    site.export.add_spans([RUN])
    site.export.add_spans([])
    site.export.close()
    assert site.arrived.spans == [JOB, RUN]
    assert sorted(site.arrived.measurements, key=lambda found: found.name) == [CPU, MEMORY]


def test_there_may_be_many(site: Site) -> None:
    many = [Measurement("x", number, "1", 1_700_000_000.0, {"n": number}) for number in range(5000)]
    site.export.add_measurements(many)
    site.export.close()
    assert sorted(found.value for found in site.arrived.measurements) == list(range(5000))


def test_nothing_is_taken_after_the_end(site: Site) -> None:
    site.export.close()
    site.export.close()
    site.export.add_spans([JOB])
    site.export.add_measurements([CPU])
    assert site.arrived.spans == []
    assert site.arrived.measurements == []
