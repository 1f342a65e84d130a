"""Looking at what jobs wrote: parts of it, however large and whatever it is, and nothing else."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard_clients import NOW, TOKEN, Client
from smartsim.adapters.clock.virtual import VirtualClock
from smartsim.adapters.filesystem.in_memory import InMemoryFileSystem
from smartsim.app.dashboard.server import Dashboard
from smartsim.app.log_files import Found, LogChunk, LogFile, LogFiles, errors_of
from smartsim.app.reading import EVENTS_FILE, ExperimentReader
from smartsim.domain import record
from smartsim.domain.errors import EntityNotFoundError
from smartsim.domain.history import History
from smartsim.domain.views.log_text import shown
from smartsim.ports.file_system import Part

OUT = "out/m.out"
MODEL = record.Submitted(1.0, "m", "Model", "m-1", directory="m", stdout=OUT, stderr="out/m.err")
GIGABYTES = 3 << 30
DEADLINE = 60.0


class CountingFiles(InMemoryFileSystem):
    """Counts the bytes that are read of what is not the record."""

    def __init__(self) -> None:
        super().__init__()
        self.read_bytes = 0

    def read(self, path: str, last: int | None = None) -> bytes:
        content = super().read(path, last)
        assert last is not None or path.endswith(EVENTS_FILE), f"{path} was read as a whole"
        return content

    def read_range(self, path: str, offset: int, limit: int) -> Part:
        if not path.endswith(EVENTS_FILE):
            self.read_bytes += limit
            content = InMemoryFileSystem.read(self, path)
            return Part(content[offset : offset + limit], len(content))
        return super().read_range(path, offset, limit)


def study(directory: str, *events: record.Event, files: InMemoryFileSystem | None = None) -> LogFiles:
    """Return the files of an experiment whose record has some events."""
    written = b"".join(json.dumps(record.write(event, 1.0)).encode() + b"\n" for event in events)
    if files is None:
        path = Path(directory, EVENTS_FILE)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(written)
    else:
        files.make_directory(f"{directory}/.smartsim")
        files.make_directory(f"{directory}/out")
        files.write(f"{directory}/{EVENTS_FILE}", written)
    return LogFiles(ExperimentReader(directory, files), files)


def history_of(directory: str, files: InMemoryFileSystem | None = None) -> History:
    return ExperimentReader(directory, files).history


def logged(content: bytes) -> LogFiles:
    """Return the files of an experiment with a model that has written something."""
    files = InMemoryFileSystem()
    logs = study("/study", MODEL, files=files)
    files.write(f"/study/{OUT}", content)
    return logs


def put(directory: Path, path: str, content: bytes) -> None:
    (directory / path).parent.mkdir(parents=True, exist_ok=True)
    (directory / path).write_bytes(content)


@settings(max_examples=60)
@given(st.text(st.sampled_from("aé€😀\n\t"), max_size=60), st.integers(1, 9))
def test_parts_of_a_text_together_are_the_text(text: str, limit: int) -> None:
    logs, offset, parts = logged(text.encode()), 0, []
    while True:
        chunk = logs.chunk(OUT, offset, max(limit, 4))
        if not chunk.text:
            break
        assert chunk.offset == offset
        parts.append(chunk.text)
        offset = chunk.end
    assert "".join(parts) == text
    assert offset == chunk.size == len(text.encode())


@settings(max_examples=60)
@given(st.binary(max_size=60), st.integers(1, 9))
def test_whatever_was_written_can_be_read_to_its_end(content: bytes, limit: int) -> None:
    logs, offset = logged(content), 0
    while offset < len(content):
        chunk = logs.chunk(OUT, offset, limit)
        assert chunk.end > chunk.offset == offset
        assert "\x1b" not in chunk.text
        offset = chunk.end
    assert offset == len(content)


def test_what_is_no_text_is_shown_as_escapes() -> None:
    text = logged(b"<script>alert(1)</script>\x1b[2J\x00\xff\r\n").chunk(OUT, 0).text
    assert text == "<script>alert(1)</script>\\x1b[2J\\x00\\xff\n"


def test_a_file_that_does_not_exist_yet_is_empty() -> None:
    logs = logged(b"")
    assert logs.chunk("out/m.err", 5) == logs.tail("out/m.err") == LogChunk(0, 0, 0, "", exists=False)
    assert logs.search("out/m.err", "x").found == ()
    assert logs.first_error("out/m.err") is None
    assert logs.tail(OUT) == LogChunk(0, 0, 0, "")


def test_a_file_that_was_cut_has_nothing_behind_its_end() -> None:
    assert logged(b"new").chunk(OUT, 100) == LogChunk(3, 3, 3, "")


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["", "a", "é€", "long line"])), st.booleans(), st.integers(1, 4), st.integers(4, 40))
def test_the_tail_has_the_last_lines_that_fit(lines: list[str], is_ended: bool, number: int, limit: int) -> None:
    content = ("\n".join(lines) + "\n" * is_ended).encode()
    tail = logged(content).tail(OUT, number, limit)
    assert tail.end == tail.size == len(content)
    assert tail.text == shown(content[tail.offset : tail.end])
    kept = tail.text.splitlines(keepends=True)
    assert len(kept) <= number
    assert len(tail.text.encode()) <= max(limit, 0) * 4
    if len(content) <= limit:
        assert kept == content.decode().splitlines(keepends=True)[-number:]


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["", "spam", "SPAM and eggs", "ümlaut", "eggs"])), st.sampled_from(["spam", "ü", "g"]))
def test_a_search_finds_the_lines_that_have_the_text(lines: list[str], text: str) -> None:
    content = "".join(f"{line}\n" for line in lines).encode()
    result = logged(content).search(OUT, text)
    assert [(found.line_number, found.line) for found in result.found] == [
        (number, line) for number, line in enumerate(lines, 1) if text in line.lower()
    ]
    assert [content[found.offset :].decode().split("\n")[0] for found in result.found] == [
        found.line for found in result.found
    ]
    assert result.next is None


def test_a_search_goes_on_where_it_ended() -> None:
    logs, found = logged(b"".join(b"line %d hit\n" % number for number in range(250))), list[Found]()
    starts: list[int | None] = [0]
    while (start := starts[-1]) is not None and len(starts) < 9:
        result = logs.search(OUT, "HIT", start)
        found += result.found
        starts.append(result.next)
    assert len(starts) == 4
    assert starts[-1] is None
    assert [line.line for line in found] == [f"line {number} hit" for number in range(250)]
    assert [line.line_number for line in found] == [*range(1, 101), *[None] * 150]


@pytest.mark.parametrize("before", [(1 << 20) - 3, (1 << 20) - 512, 1 << 20, 3 << 20])
@pytest.mark.parametrize("filling", [b"x", b"x\n"])
def test_what_lies_across_two_blocks_is_found_once(before: int, filling: bytes) -> None:
    content = (filling * (before // len(filling) + 1))[:before] + b"needle" + filling * (1 << 20)
    result = logged(content).search(OUT, "needle")
    assert len(result.found) == 1
    assert result.next is None


def test_a_huge_log_is_never_read_as_a_whole(tmp_path: Path) -> None:
    logs = study(str(tmp_path), MODEL)
    put(tmp_path, OUT, b"begin\n")
    with (tmp_path / OUT).open("r+b") as stream:
        stream.truncate(GIGABYTES)  # a hole: nothing is there on the disk
        stream.seek(0, os.SEEK_END)
        stream.write(b"\nthe last\n")
    assert logs.chunk(OUT, 0, 6).text == "begin\n"
    assert logs.tail(OUT, 1).text == "the last\n"
    assert logs.chunk(OUT, GIGABYTES, 99) == LogChunk(GIGABYTES, GIGABYTES + 10, GIGABYTES + 10, "\nthe last\n")
    result = logs.search(OUT, "last")
    assert result.found == ()
    assert result.next is not None
    assert result.next <= 65 << 20
    assert logs.search(OUT, "last", GIGABYTES - 99).found[0].offset == GIGABYTES + 1
    (line,) = logs.search(OUT, "begin").found
    assert line == Found(0, 1, "begin")


def test_a_look_reads_no_more_than_it_shows() -> None:
    files = CountingFiles()
    logs = study("/study", MODEL, files=files)
    files.write(f"/study/{OUT}", b"0123456789\n" * 100_000)
    logs.chunk(OUT, 1000, 500)
    logs.tail(OUT, 10, 4096)
    assert files.read_bytes <= 5000


def test_the_first_error_is_found_by_what_it_says() -> None:
    content = b"step 1\nresidual error: 1e-5\n" * 1000 + b"Traceback (most recent call last):\nValueError: x\n"
    assert logged(content).first_error(OUT) == Found(28000, 2001, "Traceback (most recent call last):")
    assert logged(b"all is well\n").first_error(OUT) is None


def test_only_what_the_record_names_is_read(tmp_path: Path) -> None:
    logs = study(str(tmp_path), MODEL)
    put(tmp_path, "secret.txt", b"secret")
    put(tmp_path, "m/other.log", b"secret")
    for path in ("secret.txt", str(tmp_path / OUT), "/etc/passwd", f"out/../{OUT}", "m/other.log", ".", ""):
        for look in (logs.tail, logs.first_error):
            with pytest.raises(EntityNotFoundError, match=re.escape(repr(path))):
                look(path)
        with pytest.raises(EntityNotFoundError):
            logs.chunk(path, 0)
        with pytest.raises(EntityNotFoundError):
            logs.search(path, "secret")


def test_an_entity_has_the_files_of_each_start() -> None:
    again = replace(MODEL, step="m-2", stdout="out/m2.out", batch_job="m", batch_script="m/m.sh")
    files = InMemoryFileSystem()
    logs = study("/study", MODEL, again, files=files)
    first, second = history_of("/study", files).entities["m"]
    assert logs.of(first) == (LogFile("stdout", OUT), LogFile("stderr", "out/m.err"))
    assert {file.name: file.path for file in logs.of(second)} == {
        "stdout": "out/m2.out",
        "stderr": "out/m.err",
        "script": "m/m.sh",
        "batch_stdout": "m/m.batch.out",
        "batch_stderr": "m/m.batch.err",
    }
    assert logs.chunk("m/m.batch.err", 0).exists is False


def test_a_server_has_the_logs_of_its_workers(tmp_path: Path) -> None:
    server = record.Submitted(1.0, "db_0", "DBNode", "db_0-1", database="db", directory="db", stdout="out/db_0.out")
    near = record.Submitted(
        1.0, "near", "Model", "near-1", directory="near", stdout="run/near/near.out", colocated={"port": 1}
    )
    logs = study(str(tmp_path), server, near)
    (started,), (beside,) = history_of(str(tmp_path)).entities.values()
    assert [file.name for file in logs.of(started)] == ["stdout"]
    put(tmp_path, "db/db_0_worker_CPU.log", b"worker\n")
    put(tmp_path, "db/admin_password", b"secret")
    put(tmp_path, "db/deep/other.log", b"")
    put(tmp_path, "run/near/colocated/node1.log", b"supervisor\n")
    assert [file.name for file in logs.of(started)] == ["stdout", "db_0_worker_CPU.log"]
    assert logs.tail("db/db_0_worker_CPU.log").text == "worker\n"
    (found,) = [file for file in logs.of(beside) if file.name == "node1.log"]
    assert logs.tail(found.path).text == "supervisor\n"
    with pytest.raises(EntityNotFoundError):
        logs.tail("db/admin_password")


def test_a_copy_has_its_own_files(tmp_path: Path) -> None:
    study(str(tmp_path / "study"), MODEL)
    put(tmp_path / "study", OUT, b"original")
    (tmp_path / "study").rename(tmp_path / "copy")
    logs = LogFiles(ExperimentReader(str(tmp_path / "copy")))
    assert logs.tail(OUT).text == "original"


def test_errors_of_an_ensemble_are_counted_together_where_they_are_alike(tmp_path: Path) -> None:
    events: list[record.Event] = []
    errors = {
        "e_0": "e_0: rank 3 of 8: diverged at 0.125\n",
        "e_1": "e_1: rank 5 of 8: diverged at 12.5\n",
        "e_2": "no license\n",
        "e_3": "",
        "e_4": "a warning\n",
    }
    for name, text in errors.items():
        events.append(record.Submitted(1.0, name, "Model", f"{name}-1", ensemble="e", stderr=f"out/{name}.err"))
        status = "Completed" if name == "e_4" else "Failed"
        events.append(record.Ended(2.0, name, f"{name}-1", status, 1))
        put(tmp_path, f"out/{name}.err", text.encode())
    events.append(record.Submitted(1.0, "e_5", "Model", "e_5-1", ensemble="e", stderr="out/e_5.err"))  # has none yet
    events.append(replace(MODEL, ensemble="other"))
    put(tmp_path, "out/m.err", b"of another ensemble")
    logs = study(str(tmp_path), *events)
    history = history_of(str(tmp_path))
    merged = logs.merged_errors(errors_of(history, "e"))
    assert [(each.entities, each.lines) for each in merged] == [
        (("e_0", "e_1"), ("e_0: rank 3 of 8: diverged at 0.125",)),
        (("e_2",), ("no license",)),
        (("e_4",), ("a warning",)),
    ]
    assert [each.entities for each in logs.merged_errors(errors_of(history, "e", limit=2))] == [("e_0", "e_1")]
    assert len(logs.merged_errors(errors_of(history, ""))) == 4


@pytest.mark.parametrize("path", ["out/\0", "out/\ud800"])
def test_names_that_no_file_can_have_are_names_of_none(tmp_path: Path, path: str) -> None:
    logs = study(str(tmp_path), replace(MODEL, stdout=path, stderr=path))
    assert not logs.chunk(path, 0).exists
    assert not logs.tail(path).exists
    assert logs.search(path, "x").found == ()
    assert logs.merged_errors(errors_of(history_of(str(tmp_path)), "")) == ()


def test_bytes_that_are_no_text_are_found() -> None:
    assert [found.offset for found in logged(b"a\n\xff\n").search(OUT, os.fsdecode(b"\xff")).found] == [2]


class SlowFiles(InMemoryFileSystem):
    """Keeps those waiting who look at a file, or into a directory."""

    def __init__(self) -> None:
        super().__init__()
        self.slow = ""  # the end of its path
        self.is_read, self.goes_on = threading.Event(), threading.Event()

    def read_range(self, path: str, offset: int, limit: int) -> Part:
        self._wait(path)
        return super().read_range(path, offset, limit)

    def names(self, directory: str) -> Sequence[str]:
        self._wait(directory)
        return super().names(directory)

    def _wait(self, path: str) -> None:
        if self.slow and path.endswith(self.slow):
            self.is_read.set()
            assert self.goes_on.wait(DEADLINE)


@pytest.mark.parametrize(
    ("slow", "route", "told"),
    [
        ("m.out", "logs/m/first-error", '"line":"ERROR"'),
        ("m.err", "entities/m/diagnosis", '"stderr_tail":["Killed"]'),
        ("m.out", "entities/m/diagnosis", '"first_error_line":"Killed"'),
        ("m.err", "errors", '"lines":["Killed"]'),
        ("/db", "logs/db_0", '"text":"ready'),
    ],
)
def test_a_file_that_is_slow_keeps_nobody_from_the_record(slow: str, route: str, told: str) -> None:
    files = SlowFiles()
    server = record.Submitted(1.0, "db_0", "DBNode", "db_0-1", database="db", directory="db", stdout="out/db_0.out")
    study("/study", MODEL, record.Ended(2.0, "m", "m-1", "Failed", -9), server, files=files)
    files.make_directory("/study/db")
    files.write(f"/study/{OUT}", b"ERROR\n")
    files.write("/study/out/m.err", b"Killed\n")
    files.write("/study/out/db_0.out", b"ready\n")
    reader = ExperimentReader("/study", files)
    client = Client(Dashboard(reader, LogFiles(reader, files), TOKEN, VirtualClock(start=NOW)), VirtualClock())
    files.slow = slow
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(client.ask, f"/api/{route}")
        try:
            assert files.is_read.wait(DEADLINE)
            assert pool.submit(client.json, "/api/overview").result(DEADLINE)["entities"] == 2
            assert not answer.done()
        finally:
            files.goes_on.set()
        assert told in answer.result(DEADLINE).text
