"""How models and scripts do that are stored in databases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isnan

from smartsim.domain.history import History
from smartsim.domain.metrics_history import MetricsHistory
from smartsim.domain.views.databases import columns


@dataclass(frozen=True, slots=True)
class ModelView:
    """A model or script on a server.

    Args:
        database: the name of the database.
        server: the name of the server.
        model: the key of the model or script.
        type: "MODEL" or "SCRIPT".
        backend: what runs it.
        device: where it runs.
        calls: that were answered; a total.
        errors: calls that failed; a total.
        queue_ms: that a call has waited on average, in milliseconds; None before the first.
        run_ms: that a run has taken on average for each call, so.
        queue_length: calls that wait at the moment.
        batch_sizes: how many runs had how many requests, by the upper bound of their number, ascending.
        series: values over time by name, with "times"; those of `MetricsHistory.models`.
    """

    database: str
    server: str
    model: str
    type: str
    backend: str
    device: str
    calls: int
    errors: int
    queue_ms: float | None
    run_ms: float | None
    queue_length: int
    batch_sizes: Mapping[str, int]
    series: Mapping[str, Sequence[float | None]] = field(default_factory=dict)


def inference(history: History, metrics: MetricsHistory) -> tuple[ModelView, ...]:
    """Return how models and scripts do, in the order of databases, servers and models.

    Args:
        history: of the experiment.
        metrics: its samples.
    """
    order = {name: place for place, name in enumerate(history.databases)}
    samples = sorted(
        metrics.latest_models.items(),
        key=lambda item: (order.get(item[1].database, len(order)), item[1].database, *item[0]),
    )
    return tuple(
        ModelView(
            sample.database,
            sample.server,
            sample.model,
            sample.type,
            sample.backend,
            sample.device,
            sample.calls,
            sample.errors,
            sample.queue_seconds / sample.calls * 1e3 if sample.calls else None,
            sample.run_seconds / sample.calls * 1e3 if sample.calls else None,
            sample.queue_length,
            dict(sorted(sample.batch_sizes.items(), key=lambda item: _bound(item[0]))),
            columns(metrics.models[key]) if key in metrics.models else {},
        )
        for key, sample in samples
    )


def _bound(written: str) -> float:
    """Return what the upper bound of a number of requests sorts by; what is none comes last."""
    try:
        bound = float(written)
    except ValueError:
        return inf
    return inf if isnan(bound) else bound
