"""An experiment at a glance, one entity in full, and how databases and models do."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from json import dumps

import pytest
from hypothesis import given

from recorded_members import MEMBERS, Member, recorded
from smartsim.domain import record
from smartsim.domain.errors import EntityNotFoundError, SmartSimError
from smartsim.domain.history import History
from smartsim.domain.metrics import LargeKey, ModelSampled, ServersSampled, SlowCall
from smartsim.domain.metrics_history import MetricsHistory
from smartsim.domain.record_facts import DatabaseFacts, EnsembleFacts, RunOptions, ShardFacts
from smartsim.domain.views.databases import databases
from smartsim.domain.views.details import details, find
from smartsim.domain.views.inference import inference
from smartsim.domain.views.overview import overview
from smartsim.domain.views.table import MODELS

MARKUP = "<script>alert(1)</script>"


def sampled(*events: record.Event) -> MetricsHistory:
    metrics = MetricsHistory()
    for event in events:
        metrics.add(event)
    return metrics


def with_database() -> History:
    history = History()
    history.add(record.Launching(1.0, "r1", databases=(DatabaseFacts("db", "db", shards=2),)))
    for number in (0, 1):
        step = f"db_{number}-1"
        history.add(record.Submitted(1.0, f"db_{number}", "DBNode", step, run_id="r1", database="db"))
        history.add(record.Started(2.0, f"db_{number}", step, str(number)))
    shards = tuple(ShardFacts(f"db_{number}", "10.0.0.1", 6379 + number, number, (0, 8191)) for number in (0, 1))
    history.add(record.DatabaseReady(3.0, "db", "9.0", shards))
    return history


@given(MEMBERS)
def test_counts_are_those_of_the_latest_starts(members: list[Member]) -> None:
    seen = overview(recorded(members))
    latest = {member.name: member for member in members}
    assert (seen.entities, seen.jobs) == (len(latest), len(members))
    assert sum(seen.counts.values()) == seen.entities == sum(group.members for group in seen.groups)
    for status, number in seen.counts.items():
        assert number == sum(group.counts.get(status, 0) for group in seen.groups) > 0
    assert {group.name for group in seen.groups} == {member.group or MODELS for member in latest.values()}
    assert sum(run.jobs for run in seen.runs) == len(members)
    failed = [member for member in latest.values() if member.ended is not None and member.status == "Failed"]
    assert sorted(row.entity for row in seen.failures) == sorted(member.name for member in failed)[:20]
    ends = [row.ended_at or 0.0 for row in seen.failures]
    assert ends == sorted(ends, reverse=True)


def test_an_overview_tells_of_drivers_runs_and_ensembles() -> None:
    history = recorded([Member("e_0", "e", ended=1.0, status="Failed")])
    history.add(record.Opened(0.5, MARKUP, "slurm", "login1", 7, "2.0"))
    history.add(record.Launching(0.6, "r1", ensembles=(EnsembleFacts("e", "e", {"x": list(range(300)), "y": "cg"}),)))
    history.add(record.LaunchFailed(1.5, "r1", "no node"))
    history.add(record.parse({"event": "sung", "at": 2.0}))
    history.alive = {history.drivers[0]: True}
    seen = overview(history)
    assert (seen.experiment, seen.launcher, seen.began_at, seen.latest_at) == (MARKUP, "slurm", 0.5, 2.0)
    assert (seen.unknown_events, seen.driver_gone) == (1, False)
    assert [(driver.host, driver.pid, driver.is_alive) for driver in seen.drivers] == [("login1", 7, True)]
    assert [(run.run_id, run.error, run.jobs, run.counts) for run in seen.runs] == [("r1", "no node", 1, {"Failed": 1})]
    (group,) = seen.groups
    assert (group.name, group.kind, group.members) == ("e", "ensemble", 1)
    assert group.params["y"] == ("cg",)
    assert group.params["x"] == tuple(map(str, range(100)))
    assert dumps(asdict(seen))


def test_of_an_empty_record_there_is_nothing_to_tell() -> None:
    seen = overview(History())
    assert (seen.experiment, seen.began_at, seen.counts, seen.driver_gone) == ("", None, {}, False)


def test_a_driver_on_another_machine_may_live() -> None:
    history = recorded([Member("m", started=1.0)])
    history.add(record.Opened(0.0, "study", "local", "elsewhere", 1))
    seen = overview(history)
    assert (seen.driver_gone, [driver.is_alive for driver in seen.drivers]) == (False, [None])


def test_only_what_has_no_end_is_lost_with_its_driver() -> None:
    history = History.of(
        [
            {"event": "opened", "at": 1.0, "experiment": "e", "launcher": "local"},
            *({"event": "submitted", "at": 2.0, "entity": name, "type": "Model", "step": name} for name in "abc"),
            {"event": "ended", "at": 3.0, "entity": "a", "step": "a", "status": "Failed"},
            {"event": "withdrawn", "at": 3.0, "entity": "b", "step": "b"},
        ]
    )
    assert overview(history).lost == 0
    history.alive = {history.drivers[0]: False}
    assert overview(history).lost == 1


def test_all_of_an_entity_is_told() -> None:
    history, command = recorded([]), ("sh", "-c", "echo 'a b' > $OUT", MARKUP)
    for number in (1, 2):
        submitted = record.Submitted(
            float(number), "m", "Model", f"m-{number}", command=command, directory="m", settings=RunOptions(("sh",))
        )
        history.add(submitted)
    history.add(record.Ended(5.0, "m", "m-1", "Failed", 3))
    latest = details(history, "m", now=10.0)
    assert (latest.row.step, latest.row.wait_seconds) == ("m-2", 8.0)
    assert [(start.step, start.status) for start in latest.starts] == [("m-1", "Failed"), ("m-2", "New")]
    assert latest.command == command
    assert tuple(shlex.split(latest.command_line)) == command
    assert latest.settings == RunOptions(("sh",))
    assert details(history, "m", "m-1").row.returncode == 3
    assert dumps(asdict(latest))


def test_what_is_not_there_is_refused_with_what_is() -> None:
    history = recorded([Member(f"m_{number}") for number in range(7)])
    with pytest.raises(EntityNotFoundError, match=r"'n'.*m_0, .*m_4, \.\.\. \(7 in all\)") as refused:
        details(history, "n")
    assert isinstance(refused.value, SmartSimError | LookupError)
    with pytest.raises(EntityNotFoundError, match=r"m_1 has no start 'x'.*m_1-1"):
        find(history, "m_1", "x")
    with pytest.raises(EntityNotFoundError, match="none"):
        find(History(), "m")


def test_a_database_is_shown_before_it_was_sampled() -> None:
    (seen,) = databases(with_database(), MetricsHistory())
    assert (seen.name, seen.directory, seen.server_version, seen.ready_at) == ("db", "db", "9.0", 3.0)
    assert [(server.server, server.address, server.shard, server.status) for server in seen.servers] == [
        ("db_0", "10.0.0.1:6379", 0, "Running"),
        ("db_1", "10.0.0.1:6380", 1, "Running"),
    ]
    assert (seen.servers[0].latest, seen.servers[0].series) == ({}, {})


def test_a_database_that_does_not_answer_yet_has_its_servers() -> None:
    history = History()
    history.add(record.Launching(1.0, "r1", databases=(DatabaseFacts("db"),)))
    history.add(record.Submitted(1.0, "db_0", "DBNode", "db_0-1", database="db"))
    (seen,) = databases(history, MetricsHistory())
    assert (seen.server_version, seen.ready_at) == ("", None)
    assert [(server.server, server.address, server.status) for server in seen.servers] == [("db_0", "", "New")]


def test_samples_show_how_each_server_does() -> None:
    metrics = sampled(
        ServersSampled(10.0, "db", "db_0", used_memory=100, clients=2, commands=10, bytes_in=10),
        ServersSampled(
            15.0,
            "db",
            "db_0",
            used_memory=300,
            clients=3,
            commands=60,
            bytes_in=20,
            latencies={"get": (1.0, 2.0, 3.0)},
            slow=(SlowCall(14.0, 20000, ("KEYS", MARKUP)),),
            largest_keys=(LargeKey("small", "string", 10), LargeKey("big", "hash", 1000)),
        ),
        ServersSampled(15.0, "near", "near", used_memory=7),  # beside an application: no entity of its own
    )
    seen, near = databases(with_database(), metrics)
    first, second = seen.servers
    assert (first.latest["used_memory"], first.latest["ops_per_second"]) == (300, 10.0)
    assert first.series["times"] == (10.0, 15.0)
    assert first.series["clients"] == (2.0, 3.0)
    assert first.latencies == {"get": (1.0, 2.0, 3.0)}
    assert second.latest == {}
    assert [(call.server, call.command) for call in seen.slow_calls] == [("db_0", ("KEYS", MARKUP))]
    assert [(key.name, key.server) for key in seen.largest_keys] == [("big", "db_0"), ("small", "db_0")]
    assert (near.name, [server.server for server in near.servers]) == ("near", ["near"])
    assert dumps([asdict(seen), asdict(near)])


def test_samples_show_how_each_model_does() -> None:
    metrics = sampled(
        ModelSampled(5.0, "other", "other_0", "late"),
        ModelSampled(
            5.0,
            "db",
            "db_1",
            "resnet",
            backend="ONNX",
            device="CPU",
            calls=4,
            queue_seconds=0.2,
            run_seconds=0.4,
            queue_length=3,
            batch_sizes={"inf": 1, "16": 2, "2": 3},
        ),
        ModelSampled(5.0, "db", "db_0", "resnet"),
    )
    seen = inference(with_database(), metrics)
    assert [(model.database, model.server, model.model) for model in seen] == [
        ("db", "db_0", "resnet"),
        ("db", "db_1", "resnet"),
        ("other", "other_0", "late"),
    ]
    idle, busy, _ = seen
    assert (idle.queue_ms, idle.run_ms) == (None, None)
    assert busy.queue_ms == pytest.approx(50.0)
    assert busy.run_ms == pytest.approx(100.0)
    assert busy.queue_length == 3
    assert list(busy.batch_sizes.items()) == [("2", 3), ("16", 2), ("inf", 1)]
    assert busy.series["times"] == (5.0,)
    assert dumps([asdict(model) for model in seen])


def test_bounds_that_are_no_numbers_come_last() -> None:
    metrics = MetricsHistory()
    metrics.add(ModelSampled(5.0, "db", "db_0", "m", batch_sizes={"lots": 1, "nan": 1, "2": 1}))
    (seen,) = inference(with_database(), metrics)
    assert list(seen.batch_sizes) == ["2", "lots", "nan"]
