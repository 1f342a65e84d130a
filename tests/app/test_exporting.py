"""Telemetry of a whole experiment, at a collector."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from smartsim import Experiment
from smartsim.app.exporting import system_export
from smartsim.domain.telemetry_export import Span
from smartsim.status import SmartSimStatus
from smartsim.testing import InMemoryTelemetryExport, Script, fake_adapters
from telemetry_collectors import Collector, running_collector


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with running_collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        yield collector


def test_an_experiment_is_at_the_collector(collector: Collector, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with Experiment("study", str(tmp_path)) as exp:
        settings = exp.create_run_settings("sh", ["-c", "exit 3"])
        ensemble = exp.create_ensemble("e", run_settings=settings, replicas=2)
        database = exp.create_database(port=0, interface="lo")
        exp.generate(ensemble, database)
        exp.start(ensemble, database)
    spans = {span.name: span for span in collector.spans}
    assert set(spans) == {"start study", "e_0", "e_1", "orchestrator_0"}
    for name in ("e_0", "e_1"):
        assert spans[name].attributes["smartsim.returncode"] == 3
        assert spans[name].attributes["smartsim.ensemble"] == "e"
        assert spans[name].error
        assert spans[name].trace_id == spans["start study"].trace_id
        assert spans[name].parent_id == spans["start study"].span_id
    assert spans["orchestrator_0"].error is None
    assert collector.services == {"smartsim"}
    measured = {found.name: found for found in collector.measurements}
    assert measured["smartsim.server.used_memory"].attributes["smartsim.server"] == "orchestrator_0"
    assert measured["smartsim.job.memory"].value > 0
    left = set(threading.enumerate()) - before
    assert not [thread for thread in left if thread.name == "smartsim-opentelemetry"]


def test_a_collector_that_refuses_is_told_of_once_and_changes_nothing(
    collector: Collector, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    collector.status = 400
    with Experiment("study", str(tmp_path)) as exp:
        model = exp.create_model("m", exp.create_run_settings("true"))
        exp.generate(model)
        exp.start(model)
        assert exp.get_status(model) == [SmartSimStatus.STATUS_COMPLETED]
    assert collector.asked
    assert capsys.readouterr().out.count("Telemetry cannot be exported") == 1


def test_nobody_at_the_collector_changes_nothing_either(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    with Experiment("study", str(tmp_path)) as exp:
        model = exp.create_model("m", exp.create_run_settings("true"))
        exp.generate(model)
        exp.start(model)
        assert exp.get_status(model) == [SmartSimStatus.STATUS_COMPLETED]
    told = capfd.readouterr()
    assert told.out.count("Telemetry cannot be exported") == 1
    assert told.err == ""


def test_nothing_leaves_the_machine_unless_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, collector: Collector
) -> None:
    del collector
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
    assert system_export({}) is None
    assert system_export({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "SMARTSIM_OTEL": "0"}) is None
    assert system_export({"SMARTSIM_OTEL": "1", "OTEL_SDK_DISABLED": "true"}) is None
    with pytest.raises(ValueError, match="SMARTSIM_OTEL must be 1 for on or 0 for off, not 'yes'"):
        system_export({"SMARTSIM_OTEL": "yes"})
    export = system_export({"SMARTSIM_OTEL": "1"})
    assert export is not None
    export.close()


def test_an_experiment_whose_telemetry_is_off_exports_none() -> None:
    export = InMemoryTelemetryExport()
    exp = Experiment("study", "/virtual", adapters=replace(fake_adapters(), telemetry_export=export))
    exp.telemetry.disable()
    exp.start(exp.create_model("m", exp.create_run_settings("true")))
    assert export.spans == []


def test_tests_of_drivers_can_look_at_spans() -> None:
    export = InMemoryTelemetryExport()
    adapters = replace(fake_adapters(lambda _: Script(duration=60, returncode=1)), telemetry_export=export)
    exp = Experiment("study", "/virtual", adapters=adapters)
    exp.start(exp.create_model("m", exp.create_run_settings("true")))
    job, run = export.spans
    assert isinstance(job, Span)
    assert (job.name, job.attributes["smartsim.status"], run.error) == ("m", "Failed", "1 failed")
    assert job.end - job.begin == 60
