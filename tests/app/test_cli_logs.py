"""`smart logs`: which there are, their ends, what comes then, and what is found in them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from readiness import is_readable
from smart_commands import run_smart
from smartsim.adapters.eventlog.jsonl import JsonlEventLog
from smartsim.domain import record

DEADLINE = 60.0
TRACEBACK = "Traceback (most recent call last):\n  boom\nValueError: x is 7\n"


@dataclass(frozen=True)
class Study:
    """An experiment that was recorded, and whose files lie where the record says."""

    path: Path

    def add(self, *events: record.Event) -> None:
        JsonlEventLog(str(self.path / ".smartsim" / "events.jsonl")).append(
            [record.write(each, 9.0) for each in events]
        )

    def start(self, entity: str, number: int = 1, ensemble: str = "") -> None:
        step = f"{entity}-{number}"
        self.add(
            record.Submitted(
                *(float(number), entity, "Model", step),
                ensemble=ensemble,
                stdout=f"out/{step}.out",
                stderr=f"out/{step}.err",
            ),
            record.Started(number + 0.5, entity, step, "77"),
        )

    def end(self, entity: str, code: int, number: int = 1) -> None:
        status = "Failed" if code else "Completed"
        self.add(record.Ended(number + 5.0, entity, f"{entity}-{number}", status, code, f"exit code {code}"))

    def write(self, name: str, content: bytes | str) -> None:
        path = self.path / "out" / name
        path.parent.mkdir(exist_ok=True)
        with path.open("ab") as stream:
            stream.write(content if isinstance(content, bytes) else content.encode())


@pytest.fixture
def study(tmp_path: Path) -> Study:
    study = Study(tmp_path)
    for entity, code in (("fine", 0), ("bad", 3)):
        study.start(entity)
        study.end(entity, code)
    study.write("fine-1.out", "".join(f"line {number}\n" for number in range(100)))
    study.write("bad-1.out", "begins\n")
    study.write("bad-1.err", TRACEBACK)
    return study


def test_all_logs_are_listed_those_of_failures_first(study: Study) -> None:
    listed = run_smart("logs", str(study.path))
    assert listed.code == 0
    header, first, second = listed.text.splitlines()
    assert header.split()[:4] == ["ENTITY", "STATUS", "OUTPUT", "ERRORS"]
    assert first.split()[:4] == ["bad", "Failed", "7B", f"{len(TRACEBACK)}B"]
    assert first.rstrip().endswith("Traceback (most recent call last):")
    assert second.split() == ["fine", "Completed", "790B", "-"]

    bad, fine = json.loads(run_smart("logs", str(study.path), "--json").text)
    assert (bad["entity"], bad["status"], bad["first_error"]["line_number"]) == ("bad", "Failed", 1)
    assert [(log["name"], log["path"], log["size"], log["exists"]) for log in fine["logs"]] == [
        ("stdout", "out/fine-1.out", 790, True),
        ("stderr", "out/fine-1.err", 0, False),
    ]


def test_the_end_of_the_output_is_shown(study: Study) -> None:
    assert run_smart("logs", str(study.path), "fine", "--stdout").text.splitlines() == [
        f"line {number}" for number in range(50, 100)
    ]
    assert run_smart("logs", str(study.path), "fine", "--stdout", "--tail", "2").text == "line 98\nline 99\n"
    assert len(run_smart("logs", str(study.path), "fine", "--stdout", "--tail", "0").text.splitlines()) == 100
    both = run_smart("logs", str(study.path), "bad")
    assert both.text == f"==> stdout: out/bad-1.out <==\nbegins\n\n==> stderr: out/bad-1.err <==\n{TRACEBACK}"
    told = json.loads(run_smart("logs", str(study.path), "bad", "--stderr", "--json").text)
    assert (told["entity"], told["status"], told["logs"][0]["text"]) == ("bad", "Failed", TRACEBACK)


def test_a_log_that_is_not_there_is_said_to_be_missing(study: Study) -> None:
    shown = run_smart("logs", str(study.path), "fine", "--stderr")
    assert (shown.code, shown.text, shown.errors) == (0, "", "stderr: there is no out/fine-1.err\n")
    assert "there is no" in run_smart("logs", str(study.path), "fine", "--stderr", "--raw").errors


@pytest.mark.parametrize(
    ("start", "output"), [("1", "begins\n"), ("2", "again\n"), ("-1", "again\n"), ("-2", "begins\n")]
)
def test_each_start_has_its_output(study: Study, start: str, output: str) -> None:
    study.start("bad", 2)
    study.write("bad-2.out", "again\n")
    assert run_smart("logs", str(study.path), "bad", "--stdout", "--start", start).text == output


def test_what_a_terminal_would_obey_is_escaped_unless_it_goes_to_a_file(study: Study) -> None:
    content = b"\x1b[31mred\x00\xff bell\x07\r\n" + "ü<script>\n".encode()
    study.write("bad-1.out", content)
    shown = run_smart("logs", str(study.path), "bad", "--stdout")
    assert not any(letter in shown.raw for letter in b"\x1b\x00\xff\x07\r")
    assert shown.text.splitlines()[-1] == "ü<script>"
    assert r"\x1b[31mred" in shown.text
    assert run_smart("logs", str(study.path), "bad", "--stdout", "--raw").raw == b"begins\n" + content


def test_lines_are_found(study: Study) -> None:
    found = run_smart("logs", str(study.path), "fine", "--search", "LINE 9")
    assert found.text.splitlines() == [
        "stdout:10: line 9",
        *(f"stdout:{number + 1}: line {number}" for number in range(90, 100)),
    ]
    nothing = run_smart("logs", str(study.path), "fine", "--search", "nowhere")
    assert (nothing.code, nothing.text) == (1, "")
    assert "No line of fine has it" in nothing.errors
    told = json.loads(run_smart("logs", str(study.path), "fine", "--search", "line 99", "--json").text)
    assert told["found"] == [
        {"name": "stdout", "path": "out/fine-1.out", "offset": 782, "line_number": 100, "line": "line 99"}
    ]


def test_all_lines_of_a_large_log_are_found(study: Study) -> None:
    study.write("fine-1.out", b"x" * 5_000_000 + b"\n" + b"needle\n" * 3000)
    found = run_smart("logs", str(study.path), "fine", "--search", "needle").text.splitlines()
    assert len(found) == 3000


def test_the_first_error_is_found(study: Study) -> None:
    study.write("bad-1.out", "ERROR: no mesh\n")
    assert run_smart("logs", str(study.path), "bad", "--first-error").text.splitlines() == [
        "stdout:2: ERROR: no mesh",
        "stderr:1: Traceback (most recent call last):",
    ]
    assert run_smart("logs", str(study.path), "fine", "--first-error").code == 1


def test_errors_of_a_group_are_merged(study: Study) -> None:
    for number in range(5):
        study.start(f"e_{number}", ensemble="e")
        study.write(f"e_{number}-1.err", "no mesh\n" if number < 4 else "other\n")
        study.end(f"e_{number}", 1)
    shown = run_smart("logs", str(study.path), "--merged", "e").text
    assert shown == "==> e_0, e_1, e_2 and 1 others <==\nno mesh\n\n==> e_4 <==\nother\n\n"
    errors = json.loads(run_smart("logs", str(study.path), "--merged", "e", "--json").text)["errors"]
    assert [(len(each["entities"]), each["lines"]) for each in errors] == [(4, ["no mesh"]), (1, ["other"])]
    assert "wrote anything" in run_smart("logs", str(study.path), "--merged", "nobody").text


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--stderr"], "give an entity"),
        (["--follow"], "give an entity"),
        (["bad", "--merged", "e"], "not both"),
        (["bad", "--follow", "--search", "x"], "give one of"),
        (["bad", "--follow", "--json"], "--json goes with neither"),
        (["bad", "--tail", "-1"], "--tail"),
    ],
)
def test_what_makes_no_sense_is_refused(study: Study, arguments: list[str], complaint: str) -> None:
    refused = run_smart("logs", str(study.path), *arguments)
    assert refused.code == os.EX_USAGE
    assert complaint in refused.errors


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nobody"], "The record has no entity 'nobody'"),
        (["bad", "--start", "7"], "bad has no start 7: there are 1"),
        (["bad", "--start", "0"], "bad has no start 0"),
        (["bad", "--log", "worker.log"], "bad has no log 'worker.log': it has stdout, stderr"),
    ],
)
def test_what_is_not_there_is_an_error(study: Study, arguments: list[str], complaint: str) -> None:
    failed = run_smart("logs", str(study.path), *arguments)
    assert (failed.code, failed.text) == (os.EX_SOFTWARE, "")
    assert complaint in failed.errors


def test_a_directory_without_an_experiment_is_an_error(tmp_path: Path) -> None:
    failed = run_smart("logs", str(tmp_path))
    assert failed.code == os.EX_SOFTWARE
    assert "There is no record of an experiment" in failed.errors


# Following: a process of its own, which is to end by itself


@pytest.fixture
def follower(study: Study) -> Iterator[subprocess.Popen[str]]:
    """What follows the output of an entity that runs."""
    study.start("live")
    study.write("live-1.out", "one\n")
    command = [sys.executable, "-c", "from smartsim.app.cli import main; main()"]
    with subprocess.Popen(
        [*command, "logs", str(study.path), "live", "--stdout", "--follow"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    assert is_readable(process.stdout, DEADLINE)
    return process.stdout.readline()


def test_output_is_followed_until_the_entity_has_ended(study: Study, follower: subprocess.Popen[str]) -> None:
    assert next_line(follower) == "one\n"
    study.write("live-1.out", "two\n")
    assert next_line(follower) == "two\n"
    study.write("live-1.out", "the last\n")
    study.end("live", 0)
    assert follower.communicate(timeout=DEADLINE) == ("the last\n", "")
    assert follower.returncode == 0


def test_following_ends_with_ctrl_c(follower: subprocess.Popen[str]) -> None:
    assert next_line(follower) == "one\n"
    follower.send_signal(signal.SIGINT)
    assert follower.communicate(timeout=DEADLINE) == ("", "")
    assert follower.returncode == 130


def test_names_do_not_steer_the_terminal(study: Study) -> None:
    evil = "\x1b]0;gone\x07"
    study.add(
        record.Submitted(1.0, evil, "Model", "e-1", stdout=f"out/{evil}.out", stderr=f"out/{evil}.gone"),
        record.Submitted(1.0, "db_0", "DBNode", "db-1", database="db", directory="out"),
    )
    study.write(f"{evil}.out", "one\n")
    study.write(f"{evil}.log", "ERROR\n")
    directory = str(study.path)
    for arguments in (
        [evil],
        [evil, "--stderr", "--raw"],
        [evil, "--search", "nothing"],
        ["nobody"],
        ["db_0", "--log", "other"],
        ["db_0", "--log", f"{evil}.log", "--first-error"],
        ["--merged", evil],
    ):
        done = run_smart("logs", directory, *arguments)
        assert "\x1b" not in done.text + done.errors, arguments
        assert r"\x1b]0;gone\x07" in done.text + done.errors, arguments


def test_what_is_no_file_hides_no_other(study: Study) -> None:
    study.start("pipe")
    study.start("good")
    study.end("pipe", 1)
    study.write("good-1.out", "one\n")
    os.mkfifo(study.path / "out" / "pipe-1.out")
    (study.path / "out" / "pipe-1.err").mkdir()
    listed = {each["entity"]: each for each in json.loads(run_smart("logs", str(study.path), "--json").text)}
    assert {log["exists"] for log in listed["pipe"]["logs"]} == {False}
    assert listed["good"]["logs"][0]["size"] == 4
    for option in ("--raw", "--stderr", "--first-error"):
        failed = run_smart("logs", str(study.path), "pipe", option)
        assert failed.code == os.EX_SOFTWARE
        assert "pipe-1" in failed.errors
