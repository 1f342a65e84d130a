"""What Prometheus is told, read as its format says."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from dashboard_clients import Client
from smartsim.app.dashboard.exposition import text
from smartsim.app.reading import ExperimentReader
from smartsim.domain import record
from smartsim.domain.history import History
from smartsim.domain.metrics_history import MetricsHistory

# https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details
_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
_SAMPLE = re.compile(rf"({_NAME})(?:\{{({_LABEL}(?:,{_LABEL})*)\}})? (\S+)")
_PAIR = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(exposition: str) -> Samples:
    """Return the samples by name and labels; each family has its type before its samples, once."""
    assert exposition.endswith("\n")
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    types: dict[str, str] = {}
    family = ""
    for line in exposition[:-1].split("\n"):
        if line.startswith("# "):
            _, keyword, family, words = line.split(" ", 3)
            if keyword == "TYPE":
                assert family not in types
                types[family] = words
            continue
        found = _SAMPLE.fullmatch(line)
        assert found, line
        assert found[1] == family
        assert (types[family] == "counter") == family.endswith("_total")
        labels = frozenset((name, _unescaped(value)) for name, value in _PAIR.findall(found[2] or ""))
        assert (family, labels) not in samples
        samples[family, labels] = float(found[3])
    return samples


def _unescaped(value: str) -> str:
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], value)


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[f"smartsim_{name}", frozenset(labels.items())]


def test_entities_servers_models_and_jobs_are_counted(client: Client, reader: ExperimentReader) -> None:
    answer = client.ask("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples = parsed(answer.text)
    counts = Counter(
        (starts[-1].facts.ensemble or starts[-1].facts.database, starts[-1].status.value)
        for starts in reader.history.entities.values()
    )
    for (group, status), number in counts.items():
        assert value(samples, "entities", group=group, status=status) == number
    assert value(samples, "entities", group="orchestrator", status="Failed") == 0
    assert value(samples, "starts_total") == len(reader.history.jobs)
    server = reader.metrics.latest_servers["orchestrator_1"]
    where = {"database": "orchestrator", "server": "orchestrator_1"}
    assert value(samples, "database_used_memory_bytes", **where) == server.used_memory
    assert value(samples, "database_commands_total", **where) == server.commands
    p99 = value(samples, "database_command_seconds", **where, command="ai.tensorset", quantile="0.99")
    assert p99 * 1e6 == server.latencies["ai.tensorset"][1]
    model = reader.metrics.latest_models["orchestrator_1", "surrogate"]
    labels = {**where, "model": "surrogate", "backend": "TORCH", "device": "GPU"}
    assert value(samples, "model_calls_total", **labels) == model.calls
    assert value(samples, "model_runs_total", **labels, requests="4") == model.batch_sizes["4"]
    step, usage = next(iter(reader.metrics.latest_jobs.items()))
    entity = reader.history.jobs[step].facts.entity
    assert value(samples, "job_memory_bytes", entity=entity, step=step) == usage.memory


def test_what_has_no_samples_has_no_families() -> None:
    samples = parsed(text(History(), MetricsHistory()))
    assert {name for name, _ in samples} == {
        "smartsim_experiment_latest_event_timestamp_seconds",
        "smartsim_starts_total",
    }


@given(st.text(), st.text())
def test_names_of_any_kind_are_labels(experiment: str, ensemble: str) -> None:
    history = History()
    history.add(record.Opened(1.0, experiment, "local"))
    history.add(record.Submitted(2.0, "m", "Model", "m-1", ensemble=ensemble))
    samples = parsed(text(history, MetricsHistory()))
    assert value(samples, "experiment_info", experiment=experiment, launcher="local", version="") == 1
    assert value(samples, "entities", group=ensemble, status="New") == 1
