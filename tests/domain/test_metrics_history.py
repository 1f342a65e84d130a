"""What samples tell over time."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from smartsim.domain import record
from smartsim.domain.metrics import JobsSampled, JobUsage, LargeKey, ModelSampled, ServersSampled, SlowCall
from smartsim.domain.metrics_history import LONGEST, MetricsHistory, Series


def folded(*events: record.Event) -> MetricsHistory:
    return MetricsHistory.of(json.loads(json.dumps(record.write(event, event.at))) for event in events)


def server(at: float, **facts: object) -> ServersSampled:
    return ServersSampled(at, "db", "db_0", **facts)  # type: ignore[arg-type]


def model(at: float, **facts: object) -> ModelSampled:
    return ModelSampled(at, "db", "db_0", "net", **facts)  # type: ignore[arg-type]


def test_rates_are_those_between_two_samples() -> None:
    history = folded(
        server(10.0, used_memory=5, commands=100, hits=1, misses=1, bytes_in=10, bytes_out=20),
        server(20.0, used_memory=7, commands=150, hits=4, misses=2, bytes_in=110, bytes_out=20),
    )
    series = history.servers["db_0"]
    assert series.times == [10.0, 20.0]
    told = {name: column[-1] for name, column in series.values.items()}
    assert told["used_memory"] == 7
    assert told["ops_per_second"] == 5
    assert told["hit_rate"] == 0.75
    assert (told["bytes_in_per_second"], told["bytes_out_per_second"]) == (10, 0)
    assert series.values["ops_per_second"][0] is None
    assert history.latest_servers["db_0"].commands == 150


def test_percentiles_are_of_commands_that_were_called_meanwhile() -> None:
    percentiles = {"get": (1.0, 2.0, 3.0), "sort": (50.0, 60.0, 70.0)}
    history = folded(
        server(1.0, calls={"sort": 1}, latencies={"sort": (50.0, 60.0, 70.0)}),
        server(2.0, calls={"sort": 1, "get": 5}, latencies=percentiles),
        server(3.0, calls={"sort": 2, "get": 9}, latencies=percentiles),
        server(4.0, calls={"sort": 2, "get": 9}, latencies=percentiles),
    )
    values = history.servers["db_0"].values
    assert values["p50"] == [None, 1.0, 50.0, None]
    assert values["p999"] == [None, 3.0, 70.0, None]
    assert values["hit_rate"] == [None] * 4


def test_a_server_that_was_started_again_counts_anew() -> None:
    history = folded(
        server(1.0, commands=100, bytes_in=1000),
        server(2.0, commands=3, bytes_in=50),
        server(3.0, commands=5, bytes_in=60),
    )
    assert history.servers["db_0"].values["ops_per_second"] == [None, None, 2.0]


def test_times_of_a_model_are_means_of_calls() -> None:
    history = folded(
        model(10.0, calls=1, queue_seconds=1.0, run_seconds=1.0),
        model(20.0, calls=11, queue_seconds=1.5, run_seconds=1.25, queue_length=3),
        model(30.0, calls=11, queue_seconds=1.5, run_seconds=1.25),
        model(40.0, calls=2, run_seconds=0.1),
    )
    values = history.models["db_0", "net"].values
    assert values["calls_per_second"] == [None, 1.0, 0.0, None]
    assert values["queue_ms"] == [None, 50.0, None, None]
    assert values["run_ms"] == [None, 25.0, None, None]
    assert values["queue_length"] == [0.0, 3.0, 0.0, 0.0]
    assert history.latest_models["db_0", "net"].calls == 2


def test_cpu_of_a_job_is_cores() -> None:
    history = folded(
        JobsSampled(10.0, (JobUsage("m-1", 1.0, 100, 1), JobUsage("n-1", 0.0, 5, 1))),
        JobsSampled(15.0, (JobUsage("m-1", 11.0, 200, 2),)),
        JobsSampled(20.0, (JobUsage("m-1", 11.0, 50, 1, 7, 0.5), JobUsage("n-1", 5.0, 6, 1))),
    )
    assert history.jobs["m-1"].values == {
        "cpu": [None, 2.0, 0.0],
        "memory": [100.0, 200.0, 50.0],
        "gpu_memory": [None, None, 7.0],
        "gpu_utilization": [None, None, 0.5],
    }
    assert history.jobs["n-1"].values["cpu"] == [None, 0.5]
    assert history.latest_jobs["m-1"].memory == 50


def test_a_slow_call_counts_once_whoever_saw_it() -> None:
    call, other = SlowCall(1.0, 20_000, ("SORT", "k")), SlowCall(1.5, 30_000, ("SORT", "k"))
    history = folded(server(2.0, slow=(call,)), server(2.5, slow=(call, other)))
    assert history.slow_calls == [("db_0", call), ("db_0", other)]


def test_largest_keys_stay_until_others_are_found() -> None:
    first, second = (LargeKey("a", "string", 9),), (LargeKey("b", "list", 10),)
    history = folded(server(1.0, largest_keys=first), server(2.0))
    assert history.largest_keys == {"db_0": first}
    history.add(server(3.0, largest_keys=second))
    assert history.largest_keys == {"db_0": second}


def test_what_cannot_be_read_is_counted() -> None:
    history = MetricsHistory.of([{"event": "launched", "at": 1.0, "run_id": "5f"}, {"event": "later", "at": 1.0}])
    assert history.unknown == 2
    assert history.servers == {}


@given(st.integers(0, 5 * LONGEST))
def test_a_series_keeps_its_ends_and_its_length_is_bounded(count: int) -> None:
    series = Series()
    for number in range(count):
        series.add(float(number), {"x": float(number), **({"late": 1.0} if number > LONGEST else {})})
    assert len(series.times) <= LONGEST
    assert series.times[-1:] == ([count - 1.0] if count else [])
    assert all(early < late for early, late in pairwise(series.times))
    assert series.times == series.values.get("x", [])
    assert all(len(column) == len(series.times) for column in series.values.values())


@given(st.lists(st.floats(0, 100), max_size=20))
def test_times_ascend_whatever_comes(times: list[float]) -> None:
    history = folded(*(server(at, commands=int(at)) for at in times))
    series = history.servers.get("db_0", Series())
    assert series.times == sorted(set(series.times))
    assert all(rate is None or rate >= 0 for rate in series.values.get("ops_per_second", []))
