from __future__ import annotations

import gc
import io
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest

import smartsim.log
from smartsim.app.logs import ExperimentLogs, _level
from smartsim.log import (
    EXPERIMENT_LOG_FORMAT,
    ContextAwareLogger,
    ContextInjectingLogFilter,
    ContextThread,
    HostnameFilter,
    LowPassFilter,
    ctx_exp_path,
    get_exp_log_paths,
    get_logger,
    log_to_exp_file,
    log_to_file,
    method_contextualizer,
)


@pytest.fixture(autouse=True)
def fresh_logger(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give every test the shared logger as it is before it was first asked for."""
    monkeypatch.delenv("SMARTSIM_LOG_LEVEL", raising=False)
    shared = logging.getLogger("SmartSim")
    handlers, level = list(shared.handlers), shared.level
    shared.handlers.clear()
    shared.setLevel(logging.NOTSET)
    yield
    for handler in shared.handlers:
        handler.close()
    shared.handlers[:] = handlers
    shared.setLevel(level)


class Worker:
    """Something with methods that run for an experiment."""

    def __init__(self, exp_path: str) -> None:
        self.exp_path = exp_path

    @method_contextualizer(ctx_exp_path, lambda worker: worker.exp_path)
    def say(self, text: str, level: int = logging.INFO) -> str:
        """Log a text."""
        get_logger("worker").log(level, text)
        return ctx_exp_path.get()


def read(exp_path: Path) -> tuple[list[str], list[str]]:
    """Return the messages in the two files of an experiment."""
    logs = exp_path / ".smartsim" / "telemetry" / "logs"
    out, err = ((logs / name).read_text(encoding="utf-8").splitlines() for name in ("smartsim.out", "smartsim.err"))
    return [line.rpartition("} ")[2] for line in out], [line.rpartition("} ")[2] for line in err]


# The shared logger


def test_every_name_gets_the_one_logger() -> None:
    assert get_logger("a") is get_logger("b")
    assert get_logger("a").name == "SmartSim"
    assert isinstance(get_logger("a"), ContextAwareLogger)


def test_a_record_is_shown_once_with_time_host_and_thread(capsys: pytest.CaptureFixture[str]) -> None:
    get_logger("a")
    get_logger("b").info("hello")
    line = r"\d\d:\d\d:\d\d \S+ SmartSim\[\d+:MainThread\] INFO hello\n"
    assert re.fullmatch(line, capsys.readouterr().out)


def test_records_go_to_what_stdout_is_now(capsys: pytest.CaptureFixture[str]) -> None:
    logger = get_logger("a")
    with redirect_stdout(io.StringIO()) as elsewhere:
        logger.info("there")
    logger.info("here")
    assert "there" in elsewhere.getvalue()
    assert "there" not in capsys.readouterr().out


def test_a_program_that_collects_records_gets_ours(caplog: pytest.LogCaptureFixture) -> None:
    get_logger("a").info("hello")
    assert caplog.messages == ["hello"]


def test_a_broken_stdout_is_reported_but_not_raised(capsys: pytest.CaptureFixture[str]) -> None:
    closed = io.StringIO()
    closed.close()
    with redirect_stdout(closed):
        get_logger("a").info("lost")
    assert "I/O operation on closed file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "level"),
    [
        ("quiet", logging.WARNING),
        ("info", logging.INFO),
        ("warning", logging.WARNING),
        ("DEBUG", logging.DEBUG),
        ("developer", logging.DEBUG),
        ("nonsense", logging.INFO),
        ("", logging.INFO),
        (logging.ERROR, logging.ERROR),
    ],
)
def test_levels(setting: str | int, level: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _level(setting) == level
    monkeypatch.setenv("SMARTSIM_LOG_LEVEL", str(setting))
    if isinstance(setting, str):
        assert get_logger("a").getEffectiveLevel() == level


def test_a_level_asked_for_wins_and_stays(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMARTSIM_LOG_LEVEL", "quiet")
    get_logger("a").info("one")
    get_logger("a", "debug").debug("two")
    get_logger("b").debug("three")
    get_logger("b", "error").warning("four")
    assert re.findall(r"\w+$", capsys.readouterr().out, re.MULTILINE) == ["two", "three"]


def test_a_format_asked_for_stays(capsys: pytest.CaptureFixture[str]) -> None:
    get_logger("a", fmt="[%(hostname)s|%(exp_path)s] %(message)s")
    get_logger("b").info("hello")
    assert re.fullmatch(r"\[\S+\|\] hello\n", capsys.readouterr().out)


def test_a_developer_sees_whose_record_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMARTSIM_LOG_LEVEL", "developer")
    get_logger("part.inner").debug("inner")
    get_logger("part").debug("outer")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "SmartSim.part.inner[" in lines[0]
    assert "SmartSim.part[" in lines[1]


def test_importing_and_logging_leave_the_rest_of_logging_alone() -> None:
    script = """
import logging
before = logging.getLoggerClass(), logging.root.level, list(logging.root.handlers), logging.getLogRecordFactory()
import smartsim.log
assert not logging.getLogger("SmartSim").handlers
smartsim.log.get_logger("a").info("hello")
assert before == (logging.getLoggerClass(), logging.root.level, logging.root.handlers, logging.getLogRecordFactory())
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.endswith("INFO hello\n")


def test_the_front_door_has_what_it_says() -> None:
    assert all(hasattr(smartsim.log, name) for name in smartsim.log.__all__)


# Files


def test_log_to_file_starts_afresh_and_leaves_the_terminal_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "driver.log"
    file.write_text("old\n")
    log_to_file(str(file))
    get_logger("a").debug("detail Größe")
    get_logger("a").info("news")
    text = file.read_text(encoding="utf-8")
    assert "old" not in text
    assert "DEBUG detail Größe\n" in text
    assert "INFO news\n" in text
    shown = capsys.readouterr().out
    assert "news" in shown
    assert "detail" not in shown


def test_log_to_exp_file_takes_what_it_is_told_to(tmp_path: Path) -> None:
    logger = get_logger("a", "debug")
    file = tmp_path / "new" / "some.log"
    handler = log_to_exp_file(file, logger, "debug", log_filter=LowPassFilter("INFO"))
    token = ctx_exp_path.set("/exp")
    logger.debug("detail")
    logger.warning("trouble")
    ctx_exp_path.reset(token)
    handler.close()
    assert re.fullmatch(r"\S+ \S+ SmartSim\[.*\] DEBUG \{/exp\} detail\n", file.read_text())


def test_an_experiment_gets_its_records_and_no_others(tmp_path: Path) -> None:
    one, two = Worker(str(tmp_path / "one")), Worker(str(tmp_path / "two"))
    logs = [ExperimentLogs(one.exp_path), ExperimentLogs(two.exp_path)]
    for log in logs:
        log.attach()
    assert one.say("from one") == one.exp_path
    two.say("from two")
    two.say("trouble", logging.WARNING)
    two.say("between", logging.INFO + 5)
    one.say("detail", logging.DEBUG)
    get_logger("a").error("outside")
    for log in logs:
        log.close()
    one.say("late")
    assert read(tmp_path / "one") == (["from one"], [])
    assert read(tmp_path / "two") == (["from two", "between"], ["trouble"])


def test_records_are_in_the_file_at_once_with_the_experiment(tmp_path: Path) -> None:
    logs = ExperimentLogs(str(tmp_path))
    logs.attach()
    Worker(str(tmp_path)).say("hello \ud800")
    text = (tmp_path / ".smartsim/telemetry/logs/smartsim.out").read_text(encoding="utf-8")
    assert text.endswith(f"INFO {{{tmp_path}}} hello \\ud800\n")
    logs.close()


def test_attaching_twice_writes_once_and_attaching_again_appends(tmp_path: Path) -> None:
    worker, logs = Worker(str(tmp_path)), ExperimentLogs(str(tmp_path))
    logs.attach()
    logs.attach()
    worker.say("first")
    logs.close()
    logs.close()
    logs.attach()
    worker.say("second")
    logs.close()
    assert read(tmp_path) == (["first", "second"], [])


def test_two_experiments_of_one_path_write_a_record_once(tmp_path: Path) -> None:
    worker, first, second = Worker(str(tmp_path)), ExperimentLogs(str(tmp_path)), ExperimentLogs(str(tmp_path))
    first.attach()
    second.attach()
    worker.say("both")
    first.close()
    worker.say("one left")
    second.close()
    assert read(tmp_path) == (["both", "one left"], [])


def test_files_are_closed_with_their_owner(tmp_path: Path) -> None:
    shared = get_logger("a")
    handlers = list(shared.handlers)
    logs = ExperimentLogs(str(tmp_path))
    logs.attach()
    assert len(shared.handlers) == len(handlers) + 1
    del logs
    gc.collect()  # would warn of files left open, and warnings are errors here
    assert shared.handlers == handlers


def test_a_directory_that_cannot_be_made_is_an_error_at_once(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    logs = ExperimentLogs(str(file))
    handlers = list(get_logger("a").handlers)
    with pytest.raises(NotADirectoryError):
        logs.attach()
    (tmp_path / ".smartsim/telemetry/logs/smartsim.err").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        ExperimentLogs(str(tmp_path)).attach()
    assert get_logger("a").handlers == handlers


def test_closing_while_threads_log_loses_nothing_that_came_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worker, logs = Worker(str(tmp_path)), ExperimentLogs(str(tmp_path))
    logs.attach()
    stop, busy = threading.Event(), threading.Barrier(5)

    def chatter() -> None:
        worker.say("before")
        busy.wait(timeout=30)
        while not stop.is_set():
            worker.say("while closing")

    threads = [threading.Thread(target=chatter) for _ in range(4)]
    for thread in threads:
        thread.start()
    busy.wait(timeout=30)
    logs.close()
    stop.set()
    for thread in threads:
        thread.join(timeout=30)
    assert capsys.readouterr().err == ""
    assert read(tmp_path)[0].count("before") == 4


# The context


def test_a_method_has_its_context_only_while_it_runs() -> None:
    class Nested(Worker):
        @method_contextualizer(ctx_exp_path, lambda worker: worker.exp_path)
        def fail(self, other: Worker) -> None:
            """Fail, after looking around."""
            assert other.say("nested") == other.exp_path
            assert get_exp_log_paths() == (
                Path("/a/.smartsim/telemetry/logs/smartsim.out"),
                Path("/a/.smartsim/telemetry/logs/smartsim.err"),
            )
            raise KeyError("fail")

    assert Nested.fail.__name__ == "fail"
    assert Nested.fail.__doc__ == "Fail, after looking around."
    with pytest.raises(KeyError):
        Nested("/a").fail(other=Worker("/b"))
    assert ctx_exp_path.get() == ""
    assert get_exp_log_paths() == (None, None)


def test_a_thread_has_the_context_of_its_maker() -> None:
    seen: list[str] = []
    token = ctx_exp_path.set("/maker")
    thread = ContextThread(name="watcher", target=lambda text: seen.extend([text, ctx_exp_path.get()]), args=("arg",))
    plain = threading.Thread(target=lambda: seen.append(ctx_exp_path.get()))
    ctx_exp_path.reset(token)
    for one in (thread, plain):
        one.start()
        one.join(timeout=30)
    assert seen == ["arg", "/maker", ""]
    assert thread.name == "watcher"


def test_filters_describe_and_select_records() -> None:
    def record(level: int) -> logging.LogRecord:
        return logging.LogRecord("n", level, "file", 1, "text", None, None)

    assert LowPassFilter().filter(record(logging.INFO))
    assert not LowPassFilter().filter(record(logging.WARNING))
    assert LowPassFilter("WARNING").filter(record(logging.WARNING))
    described = record(logging.INFO)
    assert HostnameFilter().filter(described)
    assert ContextInjectingLogFilter().filter(described)
    assert logging.Formatter(EXPERIMENT_LOG_FORMAT).format(described).endswith("INFO {} text")
