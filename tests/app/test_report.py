"""`smart report`: one file that has what the dashboard tells, and runs nothing but its own scripts."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dashboard_clients import NOW, client_of
from recorded_studies import record_study
from report_pages import Elements, data_of
from scripts import run_python
from smart_commands import run_smart
from smartsim.adapters.eventlog.jsonl import JsonlEventLog
from smartsim.app.log_files import LogFiles
from smartsim.app.reading import ExperimentReader
from smartsim.app.report import report
from smartsim.domain import record

MEMBERS = 300
MARKUP = "</script><script>alert(1)</script><!-- \u2028 <img src=x onerror=alert(2)> &amp; ü"


def report_of(directory: Path) -> str:
    reader = ExperimentReader(str(directory))
    return report(reader, LogFiles(reader), NOW)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("study")
    record_study(directory, MEMBERS, NOW)
    return directory


@pytest.fixture(scope="module")
def page(study: Path) -> str:
    return report_of(study)


def started(entity: str, code: int, params: dict[str, str] | None = None) -> list[record.Event]:
    step = f"{entity}-1"
    status = "Failed" if code else "Completed"
    return [
        record.Submitted(1.0, entity, "Model", step, params=params or {}, stdout="m.out", stderr="m.err"),
        record.Started(2.0, entity, step, "7"),
        record.Ended(3.0, entity, step, status, code, MARKUP if code else ""),
    ]


def write(directory: Path, *events: record.Event) -> None:
    log = JsonlEventLog(str(directory / ".smartsim" / "events.jsonl"))
    log.append([record.write(event, event.at) for event in (record.Opened(0.5, MARKUP, "local"), *events)])


def test_it_has_what_the_dashboard_answers(study: Path, page: str) -> None:
    told, client = data_of(page), client_of(study)
    overview = client.json("/api/overview")
    assert told["overview"] == {name: overview[name] for name in told["overview"]}
    assert told["entities"] == client.json("/api/entities?limit=1000")
    assert told["timeline"] == client.json("/api/timeline?limit=1000")
    for name in ("load", "databases", "inference"):
        assert told[name] == client.json(f"/api/{name}")
    for group in ("sweep", "orchestrator", "(models)", ""):
        assert told["heatMaps"][group] == client.json(f"/api/heat-map?group={group}")
        assert told["errors"][group] == client.json(f"/api/errors?group={group}")
    failed = {row["entity"] for row in told["entities"]["rows"] if row["status"] == "Failed"}
    assert set(told["details"]) == set(told["diagnoses"]) == failed
    assert len(failed) > 5
    for entity in failed:
        assert told["details"][entity] == client.json(f"/api/entities/{entity}")
        assert told["diagnoses"][entity] == client.json(f"/api/entities/{entity}/diagnosis")
    assert told["generated_at"] == NOW


def test_it_is_the_same_again(study: Path, page: str) -> None:
    assert report_of(study) == page


def policy_of(page: str) -> dict[str, list[str]]:
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    return {words[0]: words[1:] for part in policy.split(";") if (words := part.split())}


def test_it_runs_nothing_but_its_own_scripts_and_fetches_nothing(page: str) -> None:
    policy, elements = policy_of(page), Elements(page).found
    assert policy["default-src"] == ["'none'"]
    assert policy["img-src"] == ["data:"]

    def hashed(text: list[str]) -> str:
        digest = hashlib.sha256("".join(text).encode()).digest()
        return f"'sha256-{base64.b64encode(digest).decode()}'"

    scripts = [text for tag, attributes, text in elements if tag == "script" and "json" not in str(attributes)]
    assert policy["script-src"] == [hashed(text) for text in scripts]
    assert policy["style-src"] == [hashed(text) for tag, _, text in elements if tag == "style"]
    assert "unsafe" not in str(policy)
    addresses = [
        attributes[name] or "" for _, attributes, _ in elements for name in ("src", "href") if name in attributes
    ]
    assert [address for address in addresses if not address.startswith("data:")] == []
    tags = [tag for tag, _, _ in elements]
    assert tags.index("meta") < tags.index("script")
    assert elements[tags.index("meta") + 1][1].get("http-equiv") == "Content-Security-Policy"


def test_no_name_or_log_breaks_out(tmp_path: Path) -> None:
    write(tmp_path, *started(MARKUP, 1, {MARKUP: MARKUP}), *started("fine", 0))
    (tmp_path / "m.err").write_text(f"{MARKUP}\nError: {MARKUP}\n")
    page = report_of(tmp_path)
    plain = tmp_path / "plain"
    write(plain, *started("bad", 1), *started("fine", 0))
    assert [found[0] for found in Elements(page).found] == [found[0] for found in Elements(report_of(plain)).found]
    told = data_of(page)
    (name,) = told["details"]
    assert name == MARKUP
    assert told["details"][name]["row"]["params"] == {MARKUP: MARKUP}
    assert told["overview"]["experiment"] == MARKUP
    assert "<img" not in page.partition('id="report-data">')[2]


def test_only_the_ends_of_logs_of_failures_are_in_it(tmp_path: Path) -> None:
    events = started("bad", 1) + started("fine", 0)
    for number, event in enumerate(events):
        if isinstance(event, record.Submitted):
            events[number] = replace(event, stdout=f"{event.entity}.out", stderr=f"{event.entity}.err")
    write(tmp_path, *events)
    (tmp_path / "bad.err").write_text("the beginning\n" + "x" * 9_000_000 + "\nthe end of it\n")
    (tmp_path / "fine.out").write_text("hush\n")
    page = report_of(tmp_path)
    assert "the end of it" in page
    assert "the beginning" not in page
    assert "hush" not in page
    assert len(page) < 1_000_000


def test_of_many_failures_the_latest_are_explained(tmp_path: Path) -> None:
    events: list[record.Event] = []
    for number in range(550):
        submitted, begun, _ = started(f"m_{number}", 1)
        ended = record.Ended(10.0 + number, f"m_{number}", f"m_{number}-1", "Failed", 1, "exit code 1")
        events += [submitted, begun, ended]
    write(tmp_path, *events)
    told = data_of(report_of(tmp_path))
    assert set(told["details"]) == {f"m_{number}" for number in range(50, 550)}
    assert len(told["entities"]["rows"]) == 550


def test_logs_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, *started("bad", 1))
    (tmp_path / "m.err").mkdir()
    assert data_of(report_of(tmp_path))["diagnoses"]["bad"]["stderr_tail"] == []


# The command


def test_the_command_writes_a_file(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = os.umask(0o027)
    try:
        done = run_smart("report", str(study))
    finally:
        os.umask(before)
    assert (done.code, done.errors) == (0, "")
    file = tmp_path / f"{study.name}-report.html"
    assert str(file) in done.text
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert data_of(file.read_text())["overview"]["experiment"] == "climate"


def test_an_older_report_is_replaced_as_a_whole(study: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text("older")
    before = file.open()
    told: Any = json.loads(run_smart("report", str(study), "-o", str(file), "--json").text)
    assert told == {"file": str(file), "bytes": file.stat().st_size}
    with before:
        assert before.read() == "older"  # who reads it has all of it


def test_what_cannot_be_written_is_an_error(study: Path, tmp_path: Path) -> None:
    failed = run_smart("report", str(study), "-o", str(tmp_path / "nowhere" / "report.html"))
    assert (failed.code, failed.text) == (os.EX_SOFTWARE, "")
    assert "No such file or directory" in failed.errors
    assert "There is no record of an experiment" in run_smart("report", str(tmp_path)).errors


def test_it_needs_no_web_server(study: Path, tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules.update(starlette=None, uvicorn=None, textual=None)\n"
        f"sys.argv = ['smart', 'report', {str(study)!r}, '-o', 'report.html']\n"
        "from smartsim.app.cli import main; main()"
    )
    done = run_python("-c", script, directory=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "report.html").stat().st_size > 100_000
