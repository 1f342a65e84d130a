"""The JSON API: the views of a record as they are, and clear words for what cannot be."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from dashboard_clients import NOW, Client, client_of
from recorded_studies import MARKUP
from smartsim.adapters.eventlog.jsonl import JsonlEventLog
from smartsim.app.log_files import LogFiles
from smartsim.app.reading import ExperimentReader
from smartsim.domain import record
from smartsim.domain.views.databases import databases
from smartsim.domain.views.details import details
from smartsim.domain.views.diagnosis import diagnose
from smartsim.domain.views.heat_map import heat_map
from smartsim.domain.views.inference import inference
from smartsim.domain.views.overview import overview
from smartsim.domain.views.table import Query, page
from smartsim.domain.views.timeline import load, timeline


def told(view: Any) -> Any:
    """Return what JSON makes of a view."""
    return json.loads(json.dumps(asdict(view)))


def failed(reader: ExperimentReader) -> Sequence[str]:
    """Return the entities whose latest start failed; there are some."""
    names = [name for name, starts in reader.history.entities.items() if starts[-1].status.value == "Failed"]
    assert names
    return names


def log_of(directory: Path, *events: record.Event) -> None:
    """Append to a record, as a driver does."""
    JsonlEventLog(str(directory / ".smartsim/events.jsonl")).append([record.write(event, NOW) for event in events])


@pytest.fixture
def copied(recorded: Path, tmp_path: Path) -> Path:
    """Return a copy of the recorded experiment that may be changed."""
    return Path(shutil.copytree(recorded, tmp_path / "copy"))


def test_the_overview_tells_where_it_is_from(client: Client, reader: ExperimentReader, recorded: Path) -> None:
    facts = {"directory": str(recorded), "now": NOW, "control": False, "revision": reader.revision}
    assert client.json("/api/overview") == {**told(overview(reader.history)), **facts}


@pytest.mark.parametrize(
    ("words", "query"),
    [
        ("", Query()),
        ("group=sweep&limit=7&offset=3", Query(group="sweep", limit=7, offset=3)),
        ("status=Failed&status=Running", Query(statuses=("Failed", "Running"))),
        ("sort=params.dt&desc=1", Query(sort="params.dt", descending=True)),
        ("text=GMRES&run=5a641e7f3464", Query(text="GMRES", run_id="5a641e7f3464")),
        ("every_start=1&desc=0&limit=1000", Query(every_start=True, limit=1000)),
    ],
)
def test_entities_are_chosen_ordered_and_cut_by_the_server(
    client: Client, reader: ExperimentReader, words: str, query: Query
) -> None:
    assert client.json(f"/api/entities?{words}") == told(page(reader.history, query, NOW))
    assert client.json(f"/api/timeline?{words}") == told(timeline(reader.history, query, NOW))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("sort=colour", "'colour'"),
        ("sort=params", "'params'"),
        ("status=Melted", "'Melted'"),
        ("offset=-1", "offset must be a whole number, 0 or more, not '-1'"),
        ("offset=ten", "'ten'"),
        ("limit=0", "from 1 to 1000"),
        ("limit=1001", "'1001'"),
        ("limit=1e2", "'1e2'"),
        ("desc=perhaps", "desc must be 1 or 0, not 'perhaps'"),
    ],
)
@pytest.mark.parametrize("route", ["entities", "timeline"])
def test_questions_without_meaning_are_refused_in_words(client: Client, route: str, words: str, complaint: str) -> None:
    status, error = client.refused(f"/api/{route}?{words}")
    assert status == 422
    assert complaint in error


def test_every_view_is_answered(client: Client, reader: ExperimentReader) -> None:
    for group in ("", "sweep", "orchestrator"):
        assert client.json(f"/api/heat-map?group={group}") == told(heat_map(reader.history, group))
    assert client.json("/api/load") == told(load(reader.history, NOW))
    seen = databases(reader.history, reader.metrics)
    assert client.json("/api/databases") == {"databases": [told(database) for database in seen]}
    assert len(client.json("/api/databases")["databases"][0]["servers"][0]["series"]["times"]) > 1
    seen_models = inference(reader.history, reader.metrics)
    assert client.json("/api/inference") == {"models": [told(model) for model in seen_models]}
    assert len(seen_models) == 3


def test_details_of_each_start(client: Client, reader: ExperimentReader) -> None:
    name, starts = next((name, starts) for name, starts in reader.history.entities.items() if len(starts) > 1)
    first = starts[0].facts.step
    assert client.json(f"/api/entities/{name}") == told(details(reader.history, name, now=NOW))
    assert client.json(f"/api/entities/{name}?step={first}") == told(details(reader.history, name, first, NOW))


def test_names_with_markup_are_data(client: Client) -> None:
    (name,) = [row["entity"] for row in client.json("/api/entities?text=onerror")["rows"]]
    assert name == MARKUP
    answer = client.ask(f"/api/entities/{quote(name, safe='')}")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["row"]["entity"] == name


@pytest.mark.parametrize(
    "route",
    [
        *("entities/{}", "entities/{}/diagnosis", "entities/{}/usage", "logs/{}", "logs/{}/search?text=a"),
        *("logs/{}/first-error",),
    ],
)
@pytest.mark.parametrize("entity", ["nobody", "sweep_0?step=none", quote("<b>")])
def test_what_the_record_does_not_know_is_not_found(client: Client, route: str, entity: str) -> None:
    name, _, step = entity.partition("?")
    path = route.format(name)
    status, error = client.refused(f"/api/{path}{'&' if '?' in path else '?'}{step}")
    assert status == 404
    assert error


def test_what_a_job_uses(client: Client, reader: ExperimentReader) -> None:
    step, series = next(iter(reader.metrics.jobs.items()))
    entity = reader.history.jobs[step].facts.entity
    assert client.json(f"/api/entities/{entity}/usage?step={step}") == {
        "times": series.times,
        "cpu": series.values["cpu"],
        "memory": series.values["memory"],
    }
    assert client.json("/api/entities/orchestrator_0/usage") == {"times": [], "cpu": [], "memory": []}


def test_a_diagnosis_shows_the_last_lines(client: Client, reader: ExperimentReader) -> None:
    for entity in failed(reader):
        job = reader.history.entities[entity][-1]
        logs = LogFiles(reader)
        tails = (logs.tail(path, 40).text.splitlines() for path in (job.facts.stderr, job.facts.stdout))
        assert client.json(f"/api/entities/{entity}/diagnosis") == told(diagnose(job, *tails))


def test_logs_are_read_by_offset_and_from_the_end(client: Client, reader: ExperimentReader) -> None:
    running = next(
        name
        for name, starts in reader.history.entities.items()
        if starts[-1].status.value == "Running" and starts[-1].facts.type == "Model"
    )
    whole = client.json(f"/api/logs/{running}")
    assert whole["text"].startswith("step 0: ")
    assert (whole["offset"], whole["end"]) == (0, whole["size"])
    part = client.json(f"/api/logs/{running}?offset=5&limit=3")
    assert (part["text"], part["offset"], part["end"]) == (whole["text"][5:8], 5, 8)
    assert client.json(f"/api/logs/{running}?offset=-1&limit=60")["text"].endswith(whole["text"][-20:])
    beyond = client.json(f"/api/logs/{running}?offset=99999")
    assert beyond["text"] == ""
    assert client.json(f"/api/logs/{running}?stream=stderr")["exists"] is False


def test_logs_are_searched_and_errors_found(client: Client, reader: ExperimentReader) -> None:
    entity = next(
        name for name in failed(reader) if "Traceback" in client.json(f"/api/logs/{name}?stream=stderr")["text"]
    )
    found = client.json(f"/api/logs/{entity}/search?stream=stderr&text=too%20large")
    assert len(found["found"]) == 12
    assert found["next"] is None
    later = client.json(f"/api/logs/{entity}/search?stream=stderr&text=too&start={found['found'][3]['offset']}")
    assert later["found"][0]["line"] == "step 1041: dt is too large"
    error = client.json(f"/api/logs/{entity}/first-error?stream=stderr")
    assert (error["line_number"], error["line"]) == (13, "Traceback (most recent call last):")
    assert client.json(f"/api/logs/{entity}/first-error") is None
    (merged,) = [each for each in client.json("/api/errors")["errors"] if entity in each["entities"]]
    assert merged["lines"][-1] == "FloatingPointError: overflow encountered in multiply"


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("?stream=../../../etc/passwd", 404),
        ("?stream=/etc/passwd", 404),
        ("?path=/etc/passwd&stream=secret", 404),
        ("?offset=-2", 422),
        (f"?offset={2**64}", 422),
        (f"?offset={'9' * 5000}", 422),
        ("?limit=0", 422),
        ("?limit=99999999", 422),
        ("/search", 422),
        ("/search?text=a&start=-1", 422),
        (f"/search?text=a&start={2**64}", 422),
    ],
)
def test_no_other_file_and_no_other_part_is_read(client: Client, words: str, status: int) -> None:
    assert client.refused(f"/api/logs/sweep_0{words}")[0] == status


def test_output_that_is_no_text_is_shown_and_not_sent(client: Client, reader: ExperimentReader) -> None:
    texts = [client.json(f"/api/logs/{name}?stream=stderr")["text"] for name in failed(reader)]
    text = next(text for text in texts if "mesh" in text and "bell" in text)
    assert MARKUP in text  # as JSON, which nobody runs
    assert "\x1b" not in text
    assert "\x00" not in text


def test_a_log_that_is_a_pipe_keeps_nobody_waiting(copied: Path) -> None:
    os.mkfifo(copied / "pipe")
    log_of(copied, record.Submitted(NOW, "odd", "Model", "odd-1", stdout="pipe", stderr="none"))
    client = client_of(copied)
    status, error = client.refused("/api/logs/odd")
    assert status == 404
    assert "pipe" in error
    assert client.json("/api/entities/odd/diagnosis")["entity"] == "odd"


def test_what_is_recorded_is_seen_half_a_second_later(copied: Path) -> None:
    client = client_of(copied)
    before = client.json("/api/overview")
    log_of(copied, record.Submitted(NOW, "late", "Model", "late-1"))
    client.clock.advance(0.4)
    assert client.json("/api/overview")["revision"] == before["revision"]
    client.clock.advance(0.2)
    after = client.json("/api/overview")
    assert after["revision"] > before["revision"]
    assert after["jobs"] == before["jobs"] + 1


def test_a_record_that_is_cut_or_replaced_is_read_anew(copied: Path) -> None:
    client = client_of(copied)
    assert client.json("/api/overview")["entities"] > 200
    path = copied / ".smartsim/events.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]) + lines[3][:20])
    client.clock.advance(1)
    assert client.json("/api/overview")["entities"] < 5
    path.unlink()
    client.clock.advance(1)
    assert client.json("/api/overview")["entities"] < 5  # what is known stays
    log_of(copied, record.Submitted(NOW, "new", "Model", "new-1"))
    client.clock.advance(1)
    assert client.json("/api/overview")["entities"] == 1


def test_numbers_and_names_that_json_has_not_pass_all_the_same(copied: Path) -> None:
    with (copied / ".smartsim/events.jsonl").open("ab") as stream:
        stream.write(b'{"event": "submitted", "at": NaN, "entity": "odd\\udcff", "type": "Model", "step": "odd-1"}\n')
    row = client_of(copied).json("/api/entities?text=odd")["rows"][0]
    assert (row["entity"], row["submitted_at"]) == ("odd\udcff", None)
