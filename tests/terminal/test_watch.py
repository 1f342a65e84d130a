"""`smart watch` in a real terminal, as a person sees it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from readiness import is_readable
from recorded_studies import MARKUP, record_study
from scripts import run_python
from smartsim.adapters.eventlog.jsonl import JsonlEventLog
from smartsim.domain import record
from smartsim.domain.history import History
from smartsim.domain.status import SmartSimStatus
from terminals import DEADLINE, Terminal

SMART = "from smartsim.app.cli import main; main()"
NO_TEXTUAL = f"import sys; sys.modules['textual'] = None; {SMART}"
# A member says what is written into its file `say`, and ends when there is a file `enough`, with the code in it.
MEMBER = """
import os, sys, time
print("begins", flush=True)
said, end = 0, time.monotonic() + 120
while time.monotonic() < end:
    if os.path.exists("say"):
        with open("say") as file:
            file.seek(said)
            print(file.read(), end="", flush=True)
            said = file.tell()
    if os.path.exists("enough"):
        with open("enough") as file:
            code = int(file.read())
        if code:
            print("Traceback (most recent call last):\\nValueError: speed is too high", file=sys.stderr)
        sys.exit(code)
    time.sleep(0.02)
"""
DRIVER = """
import sys
from smartsim import Experiment
exp = Experiment("study", sys.argv[1])
settings = exp.create_run_settings(sys.executable, [sys.argv[2]])
ensemble = exp.create_ensemble("fluid", params={"speed": [1, 2, 10]}, run_settings=settings, perm_strategy="all_perm")
exp.generate(ensemble, overwrite=True)
exp.start(ensemble, block=False)
print("started", flush=True)
try:
    exp.poll(interval=1, verbose=False)
except KeyboardInterrupt:  # the test is over
    pass
"""
Watch = Callable[..., Terminal]


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory for sockets, whose paths must be short."""
    with TemporaryDirectory(prefix="watch-") as directory:
        yield Path(directory)


@pytest.fixture
def watch(short_path: Path, tmp_path: Path) -> Iterator[Watch]:
    """Start `smart watch` in a terminal."""
    terminals: list[Terminal] = []

    def start(*arguments: str | Path, columns: int = 80, rows: int = 24, program: str = SMART, **more: str) -> Terminal:
        hidden = ("TMUX", "NO_COLOR", "COLUMNS", "LINES", "COLORTERM")
        environment = {name: value for name, value in os.environ.items() if name not in hidden}
        environment |= {"TERM": "screen", "LANG": "C.UTF-8", **more}
        place = short_path / str(len(terminals))
        place.mkdir()
        terminals.append(Terminal(place, columns, rows))
        command = [sys.executable, "-P", "-c", program, "watch", *map(str, arguments)]
        terminals[-1].run(command, environment, tmp_path)
        return terminals[-1]

    yield start
    for terminal in terminals:
        with terminal:
            pass


class Study:
    """An experiment that goes on, with three members that do as they are told."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        program = directory.with_name("member.py")
        program.write_text(MEMBER)
        command = [sys.executable, "-c", DRIVER, str(directory), str(program)]
        self.driver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def say(self, number: int, text: str) -> None:
        with (self.directory / f"fluid/fluid_{number}/say").open("a") as file:
            file.write(text)

    def end(self, number: int, code: int) -> None:
        enough = self.directory / f"fluid/fluid_{number}/enough"
        enough.with_name("new").write_text(str(code))
        enough.with_name("new").rename(enough)

    def history(self) -> History:
        return History.of(JsonlEventLog(str(self.directory / ".smartsim/events.jsonl")).replay())


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    directory = tmp_path / "study"
    directory.mkdir()
    study = Study(directory)
    with study.driver as driver:
        try:
            assert driver.stdout is not None
            assert is_readable(driver.stdout, DEADLINE)
            assert driver.stdout.readline() == "started\n"
            yield study
            driver.send_signal(signal.SIGINT)  # stops what it started
            driver.wait(DEADLINE)
        finally:
            driver.kill()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded experiment of 10,000 members."""
    directory = tmp_path_factory.mktemp("large") / "climate"
    record_study(directory, 10_000)
    return directory


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A small recorded experiment."""
    directory = tmp_path / "climate"
    record_study(directory, 60)
    return directory


def add(directory: Path, *events: record.Event) -> None:
    """Add to the record of an experiment."""
    log = JsonlEventLog(str(directory / ".smartsim/events.jsonl"))
    log.append([record.write(event, event.at) for event in events])


def test_a_live_experiment_changes_on_the_screen_without_a_key(watch: Watch, study: Study) -> None:
    terminal = watch(study.directory)
    terminal.wait(r"^study  local  3: R 3")
    for number, speed in enumerate((1, 2, 10)):
        assert re.search(rf"^R +fluid_{number} +{speed} ", terminal.screen(), re.MULTILINE)
    assert "speed" in terminal.screen()
    terminal.wait("^begins$")
    study.say(0, "step 1\nstep 2")
    terminal.wait("^step 1\nstep 2$")
    study.say(0, " is done\n")
    terminal.wait("^step 2 is done$")
    terminal.keep("live")
    study.end(0, 0)
    terminal.wait(r"^C +fluid_0 +1 .* 0$")
    study.end(1, 3)
    terminal.wait(r"^F +fluid_1 +2 .* 3$")
    terminal.wait(r"^study  local  3: R 1  C 1  F 1")
    terminal.keys("q")
    assert terminal.ended() == 0


def test_why_a_member_failed(watch: Watch, study: Study) -> None:
    study.end(1, 3)
    terminal = watch(study.directory, columns=132)
    terminal.wait("^F +fluid_1 ")
    terminal.keys("f")
    terminal.wait(r"1-1 of 1 \[Failed\]")
    terminal.keys("e")
    terminal.wait("^ValueError: speed is too high$")
    terminal.keys("Enter")
    terminal.wait("^parameters +speed=2$")
    told = terminal.keep("failure")
    for part in ("exit code", "ValueError: speed is too high", "What to do", "member.py", "speed=2"):
        assert part in told
    terminal.keys("q")
    assert terminal.ended() == 0


def test_a_member_is_stopped_after_a_question(watch: Watch, study: Study) -> None:
    terminal = watch(study.directory)
    terminal.wait("^R +fluid_1 ")
    terminal.keys("Down", "s")
    terminal.wait("Stop fluid_1[?] It is Running")
    terminal.keep("question")
    terminal.keys("n")
    terminal.wait("Stop fluid_1", gone=True)
    terminal.keys("s")
    terminal.wait("Stop fluid_1")
    assert study.history().entities["fluid_1"][-1].stop_requested_at is None
    terminal.keys("y")
    terminal.wait("^X +fluid_1 ")
    terminal.wait("^study  local  3: R 2  X 1")
    terminal.wait("fluid_1.* stopped")
    job = study.history().entities["fluid_1"][-1]
    assert job.status is SmartSimStatus.STATUS_CANCELLED
    assert "with smart watch" in job.stopped_by
    terminal.keys("s")
    terminal.wait("fluid_1 has ended already")
    terminal.keys("q")
    assert terminal.ended() == 0


def test_who_cannot_be_stopped_is_told_so(watch: Watch, recorded: Path) -> None:
    terminal = watch(recorded)
    terminal.wait("orchestrator_0")
    terminal.keys("/")
    terminal.type("orchestrator_1")
    terminal.keys("Enter")
    terminal.wait(r"1-1 of 1 \[/orchestrator_1\]")
    terminal.keys("s")
    terminal.wait("Stop orchestrator_1")
    terminal.keys("y")
    terminal.wait("driver")
    terminal.wait("^(No driver|The driver)")
    terminal.keys("q")
    assert terminal.ended() == 0


def test_ten_thousand_members_are_paged_sorted_and_filtered(watch: Watch, large: Path) -> None:
    terminal = watch(large, columns=100, rows=30)
    terminal.wait(r"1-\d+ of 10003$")
    terminal.keep("large")
    terminal.keys("End")
    terminal.wait(r"-10003 of 10003$")
    terminal.wait("^. +sweep_7997 ")
    terminal.keys("NPage", "PPage", "Home")
    terminal.wait(r" 1-\d+ of 10003$")
    terminal.keys("g", "g")
    terminal.wait(r"1-\d+ of 1000 \[spinup\]$")
    terminal.keys(">", ">", ">", ">", "r")  # by the seed, a number
    terminal.wait(r"^S +NAME .* seedv")
    terminal.wait(r"^\S+ +spinup_999 .* 999 ")
    terminal.keys("f")
    failed = terminal.wait(r"\[spinup\] \[Failed\]$")
    assert {line[0] for line in failed.splitlines() if re.match(r"\S+ +spinup_", line)} == {"F"}
    terminal.keep("filtered")
    terminal.keys("Escape")
    terminal.wait(r" 1-\d+ of 10003$")
    terminal.keys("/")
    terminal.type("SIGSEGV")
    terminal.keys("Enter")
    found = terminal.wait(r"\[/SIGSEGV\]$")
    assert len(re.findall("killed by SIGSEGV", found)) > 5
    terminal.keys("/")
    terminal.type("no such text")
    terminal.keys("Enter")
    terminal.wait("No member is like that; escape shows all")
    terminal.keys("Escape")
    terminal.wait(r" 1-\d+ of 10003$")
    terminal.keys("C-c")
    assert terminal.ended() == 0


def test_columns_that_do_not_fit_come_with_the_arrows(watch: Watch, recorded: Path) -> None:
    terminal = watch(recorded)
    before = terminal.wait("^S +NAME.* dt ")
    assert "node0" not in before
    terminal.keys("Right", "Right", "Right")
    terminal.wait("^S +NAME(?!.* dt).* REASON")
    assert "node0" in terminal.screen()
    terminal.keys("Left", "Left", "Left")
    terminal.wait("^S +NAME.* dt ")


def test_the_size_of_the_terminal_changes(watch: Watch, recorded: Path) -> None:
    terminal = watch(recorded, columns=132, rows=50)
    assert "1-" in terminal.wait("^enter why")
    rows = shown_rows(terminal.wait(r" 1-(\d+) of 63$"))
    assert rows > 20
    terminal.keep("wide")
    terminal.resize(80, 24)
    screen = terminal.wait_until(lambda screen: 5 < shown_rows(screen) < 13, "fewer rows")
    assert max(map(len, screen.splitlines())) <= 80
    assert "enter why" in screen
    terminal.resize(30, 8)  # too small for all of it; nothing breaks
    terminal.wait_until(lambda screen: shown_rows(screen) in {-1, 1, 2, 3, 4}, "hardly any rows")
    terminal.resize(100, 40)
    terminal.wait_until(lambda screen: shown_rows(screen) > 15, "more rows")
    terminal.keys("q")
    assert terminal.ended() == 0


def shown_rows(screen: str) -> int:
    """Return how many rows the table says that it shows; -1 if it does not say."""
    found = re.search(r" 1-(\d+) of \d+$", screen, re.MULTILINE)
    return int(found[1]) if found else -1


def test_names_and_logs_are_shown_as_they_are(watch: Watch, recorded: Path) -> None:
    names = ("[red]x[/]", "[link=file:///etc]y[/link]", "bell\a\x1b[31mred", "\u202egnp.exe", "名前")
    for at, name in enumerate(names):
        log = f"log{at}"
        (recorded / log).write_bytes(b"[bold]as it is[/]\x1b[2J\x00\xff end\n")
        add(recorded, record.Submitted(1.0 + at, name, "Model", f"step{at}", params={"[/]": "[b]"}, stdout=log))
    terminal = watch(recorded, columns=120)
    terminal.wait("hires_0")
    terminal.keys("/")
    terminal.type("[b]")
    terminal.keys("Enter")
    screen = terminal.wait(r"of 5 \[/\[b\]\]$")
    for shown in ("[red]x[/]", "[link=file:///etc]y[/link]", r"bell\x07\x1b[31mred", r"\u202egnp.exe", "名前", "[/]"):
        assert f" {shown} " in screen
    assert r"[bold]as it is[/]\x1b[2J\x00\xff end" in screen
    terminal.keep("markup")
    terminal.keys("Escape")
    terminal.wait("of 68$")
    terminal.keys("/")
    terminal.type("onerror")
    terminal.keys("Enter")
    assert MARKUP[:20] in terminal.wait("of 1 ")


def test_databases_and_inference(watch: Watch, recorded: Path) -> None:
    terminal = watch(recorded, columns=100)
    terminal.wait("orchestrator_0")
    terminal.keys("3")
    terminal.wait("^R orchestrator_2 +10.0.0.3:6780 +[0-9.]+GB +[0-9]+ +[0-9.]+k")
    shown = terminal.keep("databases")
    assert "Slow calls" in shown
    terminal.keys("4")
    terminal.wait("^surrogate +orchestrator_0 +TORCH GPU +[0-9.]+k ")
    assert "<=8: " in terminal.keep("inference")
    terminal.keys("2")
    terminal.wait("^sweep +ensemble +")
    assert "node0063 does not answer" in terminal.keep("groups")
    terminal.keys("Down", "Enter")
    terminal.wait(r"\[spinup\]$")
    terminal.keys("?")
    terminal.wait("N New  Q Queued  R Running")
    terminal.keep("help")
    terminal.keys("Escape")
    terminal.wait("N New", gone=True)


def test_the_log_on_the_whole_screen_is_followed_and_scrolled(watch: Watch, study: Study) -> None:
    terminal = watch(study.directory)
    terminal.wait("^begins$")
    terminal.keys("l")
    study.say(0, "".join(f"line {number}\n" for number in range(5000)))
    terminal.wait(r"^line 4999$")
    terminal.keys("PPage")
    terminal.wait(r"^line 4999$", gone=True)
    terminal.keys("Home")
    terminal.wait(r"^line 49\d\d$", gone=True)
    terminal.keys("End")
    terminal.wait(r"^line 4999$")
    terminal.keys("Escape")
    terminal.wait("^R +fluid_0 ")


def test_a_list_of_experiments(watch: Watch, study: Study, recorded: Path) -> None:
    assert recorded.parent == study.directory.parent
    terminal = watch(study.directory.parent)
    terminal.wait("^2 experiments$")
    terminal.wait("^study +.* R 3")
    terminal.keep("list")
    study.end(2, 0)
    terminal.wait("^study +.* R 2  C 1")
    terminal.keys("Home")
    first = terminal.screen().splitlines()[2].split()[0]
    terminal.keys("Enter")
    terminal.wait(rf"^{first}  (local|slurm) ")
    terminal.keys("Escape")
    terminal.wait("^2 experiments$")
    terminal.keys("Down", "Enter")
    other = {"study": "climate", "climate": "study"}[first]
    terminal.wait(rf"^{other}  (local|slurm) ")
    terminal.keys("q")
    assert terminal.ended() == 0


def test_a_damaged_record_is_shown_and_one_that_goes_is_told(watch: Watch, recorded: Path) -> None:
    path = recorded / ".smartsim/events.jsonl"
    with path.open("ab") as file:
        file.write(
            b'{"event": "teleported", "version": 9, "at": 1.0}\n\xff\x00{]\n\n[1]\n{"event": "ended", "entity": "or'
        )
    terminal = watch(recorded)
    terminal.wait("^climate  slurm  63: ")
    terminal.keys("2")
    terminal.wait("1 events of the record are not known to this version")
    path.unlink()
    terminal.wait("The record has gone")
    terminal.keys("1")
    terminal.wait("orchestrator_0")
    terminal.keys("q")
    assert terminal.ended() == 0


def test_a_record_that_is_replaced_is_read_anew(watch: Watch, recorded: Path, tmp_path: Path) -> None:
    terminal = watch(recorded)
    terminal.wait("^climate  slurm  63: ")
    terminal.keys("End", "Enter")
    terminal.wait("^command ")
    new = tmp_path / "new.jsonl"
    lines = [record.Opened(1.0, "other", "local"), record.Submitted(2.0, "alone", "Model", "alone-1")]
    new.write_text("".join(json.dumps(record.write(line, 2.0)) + "\n" for line in lines))
    new.replace(recorded / ".smartsim/events.jsonl")
    terminal.wait("^other  local  1: N 1")
    terminal.keys("q")
    assert terminal.ended() == 0


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGHUP])
def test_the_terminal_is_restored_when_a_signal_ends_it(watch: Watch, recorded: Path, end: signal.Signals) -> None:
    terminal = watch(recorded)
    terminal.wait("^enter why")
    (process,) = psutil.Process(terminal.pid()).children()
    process.send_signal(end)
    assert terminal.ended() == 0


def test_nothing_is_left_when_the_terminal_goes(watch: Watch, recorded: Path) -> None:
    terminal = watch(recorded)
    terminal.wait("^enter why")
    (process,) = psutil.Process(terminal.pid()).children()
    with terminal:
        pass
    process.wait(DEADLINE)


def test_colours_are_those_of_the_terminal_or_none(watch: Watch, recorded: Path) -> None:
    coloured = watch(recorded)
    coloured.wait("^enter why")
    codes = set(re.findall(r"\x1b\[([0-9;]*)m", coloured.screen(colours=True)))
    assert any(re.search(r"\b3[1-7]\b", code) for code in codes)
    assert not any(re.search(r"[34]8;", code) for code in codes), codes  # neither 256 nor more
    plain = watch(recorded, NO_COLOR="1")
    plain.wait("^enter why")
    codes = set(re.findall(r"\x1b\[([0-9;]*)m", plain.screen(colours=True)))
    assert not any(re.search(r"\b(3[0-7]|4[0-7]|9[0-7]|10[0-7])\b", code) for code in codes), codes
    assert any("7" in code.split(";") for code in codes)  # what is selected is seen all the same


def test_little_is_written_when_little_changes(watch: Watch, study: Study) -> None:
    terminal = watch(study.directory, columns=132, rows=50)
    terminal.wait("^begins$")
    study.say(0, "step 0\n")
    terminal.wait("^step 0$")  # by then it has been painted
    before = terminal.written()
    study.say(0, "step 1\n")
    terminal.wait("^step 1$")
    study.end(2, 0)
    terminal.wait("^C +fluid_2 ")
    assert 0 < terminal.written() - before < 1500


def test_once_prints_text_and_needs_no_terminal(study: Study, recorded: Path) -> None:
    ended = run_smart("watch", str(study.directory), directory=recorded)
    assert ended.returncode == 0, ended.stderr
    assert "study  local  3: R 3" in ended.stdout
    assert re.search(r"^R +fluid_2 +10 ", ended.stdout, re.MULTILINE)
    assert "\x1b" not in ended.stdout
    ended = run_smart("watch", str(study.directory), "--once", "--json", directory=recorded)
    told = json.loads(ended.stdout)
    assert told["overview"]["counts"] == {"Running": 3}
    assert [each["params"] for each in told["entities"]["rows"]] == [{"speed": speed} for speed in ("1", "2", "10")]
    both = run_smart("watch", "..", "--json", directory=recorded)
    assert {Path(each["directory"]).name for each in json.loads(both.stdout)["experiments"]} == {"study", "climate"}
    assert len(run_smart("watch", "..", directory=recorded).stdout.splitlines()) == 3


def run_smart(*arguments: str, directory: Path, program: str = SMART) -> subprocess.CompletedProcess[str]:
    return run_python("-P", "-c", program, *arguments, directory=directory)


def test_a_directory_without_an_experiment_is_an_error(tmp_path: Path) -> None:
    ended = run_smart("watch", str(tmp_path), directory=tmp_path)
    assert ended.returncode == os.EX_SOFTWARE == 70
    assert f"There is no experiment in {tmp_path}" in ended.stderr
    assert ended.stdout == ""
    ended = run_smart("watch", "nowhere", "--once", "--json", directory=tmp_path)
    assert ended.returncode == os.EX_SOFTWARE
    assert "There is no directory nowhere" in ended.stderr


def test_without_textual_it_says_what_to_install(watch: Watch, recorded: Path) -> None:
    terminal = watch(recorded, program=NO_TEXTUAL)
    terminal.wait(r"pip install 'smartsim-next\[watch\]'")
    assert terminal.ended() == os.EX_CONFIG == 78
    once = run_smart("watch", str(recorded), "--once", directory=recorded, program=NO_TEXTUAL)
    assert once.returncode == 0
    assert "climate  slurm  63: " in once.stdout
