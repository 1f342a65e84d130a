"""What is exported of events and samples."""

from __future__ import annotations

from smartsim.domain import record
from smartsim.domain.metrics import JobsSampled, JobUsage, ModelSampled, ServersSampled
from smartsim.domain.record_facts import DatabaseFacts, EnsembleFacts
from smartsim.domain.resources import Share
from smartsim.domain.telemetry_export import Span, Tracing, measurements


def traced(*events: record.Event, experiment: str = "study") -> list[Span]:
    tracing = Tracing(experiment)
    return [span for event in events for span in tracing.add(event)]


def submitted(name: str, run_id: str = "5f", **facts: str) -> record.Submitted:
    return record.Submitted(1.0, name, "Model", f"{name}-1", run_id=run_id, **facts)  # type: ignore[arg-type]


LAUNCHING = record.Launching(0.5, "5f", ensembles=(EnsembleFacts("e"),), databases=(DatabaseFacts("db"),))
LAUNCHED = record.Launched(2.5, "5f")


def test_a_job_is_a_span_within_that_of_its_start() -> None:
    job, run = traced(
        LAUNCHING,
        submitted("m", ensemble="e"),
        record.Queued(1.5, "m", "m-1", "77"),
        record.Started(3.0, "m", "m-1", "77", (Share("n1", 1, (0,)), Share("n2", 1, (0,)))),
        LAUNCHED,
        record.Ended(5.0, "m", "m-1", "Failed", -11, "killed by SIGSEGV", "the user"),
    )
    assert (job.name, job.begin, job.end, job.error) == ("m", 1.0, 5.0, "killed by SIGSEGV")
    assert job.attributes == {
        "smartsim.experiment": "study",
        "smartsim.entity": "m",
        "smartsim.type": "Model",
        "smartsim.ensemble": "e",
        "smartsim.run_id": "5f",
        "smartsim.step": "m-1",
        "smartsim.status": "Failed",
        "smartsim.reason": "killed by SIGSEGV",
        "smartsim.stopped_by": "the user",
        "smartsim.returncode": -11,
        "smartsim.native_id": "77",
        "smartsim.wait_seconds": 2.0,
        "smartsim.hosts": ("n1", "n2"),
    }
    assert (run.begin, run.end, run.error, run.parent_id) == (0.5, 5.0, "1 failed", None)
    assert run.attributes["smartsim.ensembles"] == ("e",)
    assert run.attributes["smartsim.databases"] == ("db",)
    assert (job.trace_id, job.parent_id) == (run.trace_id, run.span_id)
    assert 0 < job.span_id < 2**64
    assert 2**64 < job.trace_id < 2**128


def test_a_start_ends_with_its_last_job() -> None:
    ended = [record.Ended(at, name, f"{name}-1", "Completed", 0) for at, name in ((2.0, "a"), (9.0, "b"))]
    spans = traced(LAUNCHING, submitted("a"), ended[0], submitted("b"), LAUNCHED, ended[1])
    assert [(span.name, span.end, span.error) for span in spans] == [
        ("a", 2.0, None),
        ("b", 9.0, None),
        ("start study", 9.0, None),
    ]


def test_a_start_that_fails_says_why() -> None:
    spans = traced(LAUNCHING, submitted("a"), record.Withdrawn(2.0, "a", "a-1"), record.LaunchFailed(3.0, "5f", "no"))
    assert [(span.name, span.error) for span in spans] == [("start study", "no")]


def test_what_was_cancelled_has_not_failed() -> None:
    (span,) = traced(submitted("a", ""), record.Ended(4.0, "a", "a-1", "Cancelled", -15))
    assert span.error is None
    assert span.parent_id is None


def test_events_without_a_beginning_are_none() -> None:
    assert traced(record.Ended(4.0, "a", "a-1", "Completed", 0), LAUNCHED, record.LaunchFailed(1.0, "6a")) == []


def test_drivers_of_one_experiment_agree_on_ids_and_others_do_not() -> None:
    events = (submitted("a"), record.Ended(4.0, "a", "a-1", "Completed", 0))
    assert traced(*events) == traced(*events)
    assert traced(*events)[0].trace_id != traced(*events, experiment="other")[0].trace_id


def test_samples_are_measurements_with_their_owner() -> None:
    sample = JobsSampled(5.0, (JobUsage("m-1", 1.5, 4096, 2), JobUsage("n-1", 0.0, 1, 1, 7, 0.25)))
    found = {(told.attributes["smartsim.step"], told.name): told for told in measurements(sample, "study")}
    assert found["m-1", "smartsim.job.cpu_seconds"].value == 1.5
    assert found["m-1", "smartsim.job.cpu_seconds"].is_total
    assert not found["m-1", "smartsim.job.memory"].is_total
    assert ("m-1", "smartsim.job.gpu_memory") not in found
    assert found["n-1", "smartsim.job.gpu_utilization"].value == 0.25
    assert all(told.at == 5.0 and told.attributes["smartsim.experiment"] == "study" for told in found.values())
    server = {told.name: told.value for told in measurements(ServersSampled(5.0, "db", "db_0", commands=7), "x")}
    assert server["smartsim.server.commands"] == 7
    (calls, *_) = measurements(ModelSampled(5.0, "db", "db_0", "net", device="CPU", calls=3), "x")
    assert calls.attributes == {
        "smartsim.experiment": "x",
        "smartsim.database": "db",
        "smartsim.server": "db_0",
        "smartsim.model": "net",
        "smartsim.device": "CPU",
    }
