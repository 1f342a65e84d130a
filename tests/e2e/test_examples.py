from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from scripts import EXAMPLES, processes_in, run_python, run_script


def test_the_smallest_experiment_greets(tmp_path: Path) -> None:
    ended = run_script(EXAMPLES / "hello" / "hello.py", directory=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "greeting" in ended.stdout
    assert (tmp_path / "hello" / "greeting" / "greeting.out").read_text() == "Hello World\n"


def test_a_platform_runs_experiments_with_its_own_adapters(tmp_path: Path) -> None:
    ended = run_script(EXAMPLES / "embed" / "science_platform.py", str(tmp_path), directory=tmp_path)
    assert ended.returncode == 0, ended.stderr

    counts = [(tmp_path / f"ada/primes/primes_{i}/primes_{i}.out").read_text() for i in range(4)]
    assert counts == ["168\n", "303\n", "430\n", "550\n"]  # primes below 1000, 2000, 3000 and 4000
    assert ended.stdout.count("ada pays for primes_") == 4
    assert f"it is outside of {tmp_path / 'eve'}" in ended.stdout
    assert not (tmp_path / "ada" / "mine").exists()

    with closing(sqlite3.connect(tmp_path / "events.sqlite")) as connection:
        rows = connection.execute("SELECT event, record FROM events WHERE user = 'ada' ORDER BY rowid").fetchall()
    events = [event for event, _ in rows]
    assert [events.count(event) for event in ("submitted", "queued", "started", "ended")] == [4, 4, 4, 4]
    assert {json.loads(record)["returncode"] for event, record in rows if event == "ended"} == {0}
    assert not (tmp_path / "ada" / ".smartsim" / "events.jsonl").exists()
    running = [events[:i].count("started") - events[:i].count("ended") for i in range(len(events) + 1)]
    assert max(running) == 2  # there are two slots
    assert processes_in(tmp_path) == []


def test_a_users_own_tests_pass_on_the_fakes(tmp_path: Path) -> None:
    arguments = ("-m", "pytest", "-c", "/dev/null", "-p", "no:cacheprovider", str(EXAMPLES / "embed"))
    ended = run_python(*arguments, directory=tmp_path, environment={"PYTHONDONTWRITEBYTECODE": "1"})
    assert ended.returncode == 0, ended.stdout
    assert "4 passed" in ended.stdout
    assert list(tmp_path.iterdir()) == []
