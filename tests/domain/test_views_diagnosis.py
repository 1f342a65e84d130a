"""Why something failed, in words, and what to do next."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.domain import record
from smartsim.domain.history import History, JobHistory
from smartsim.domain.views.diagnosis import Diagnosis, diagnose, explain
from smartsim.domain.views.log_text import first_error, last_lines, may_have_error, shown, whole

DEADLINE = 60.0
LONG = """
from smartsim.domain import record
from smartsim.domain.history import History
from smartsim.domain.views.diagnosis import diagnose
from smartsim.domain.views.log_text import ERROR
print(ERROR.search(b"assertion " * 100_000))
history = History()
history.add(record.Ended(1.0, "m", "m-1", "Failed", 7, "a" * 1_000_000))
print(diagnose(history.jobs["m-1"], (), ()).headline[:80])
"""
TRACEBACK = """step 7
Traceback (most recent call last):
  File "solver.py", line 88, in <module>
    main()
{}
""".format


def ended(
    returncode: int | None = 1, reason: str = "", status: str = "Failed", stopped_by: str = "", started: bool = True
) -> JobHistory:
    history = History()
    history.add(record.Submitted(1.0, "m", "Model", "m-1", command=("solver", "a b")))
    if started:
        history.add(record.Started(2.0, "m", "m-1"))
    history.add(record.Ended(3.0, "m", "m-1", status, returncode, reason, stopped_by))
    return history.jobs["m-1"]


def diagnosed(job: JobHistory, stderr: str = "", stdout: str = "") -> Diagnosis:
    return diagnose(job, stderr.splitlines(), stdout.splitlines())


@pytest.mark.parametrize(
    ("returncode", "words"),
    [
        (None, ["nobody knows"]),
        (0, ["exit code 0", "well"]),
        (1, ["exit code 1", "up to the program"]),
        (126, ["exit code 126", "could not execute"]),
        (127, ["exit code 127", "did not find"]),
        (137, ["exit code 137", "SIGKILL (128 + 9)", "memory ran out"]),
        (139, ["exit code 139", "SIGSEGV (128 + 11)", "pointer"]),
        (143, ["exit code 143", "SIGTERM (128 + 15)", "asked to end"]),
        (-9, ["SIGKILL (signal 9)", "killed"]),
        (-11, ["SIGSEGV (signal 11)"]),
        (-6, ["SIGABRT (signal 6)", "abort()"]),
        (-10, ["SIGUSR1 (signal 10)"]),
        (-200, ["exit code -200"]),
        (255, ["exit code 255"]),
    ],
)
def test_exit_codes_are_told_in_words(returncode: int | None, words: list[str]) -> None:
    assert [word for word in words if word not in explain(returncode)] == []


@given(st.integers(-300, 300))
def test_every_exit_code_has_words(returncode: int) -> None:
    assert str(abs(returncode)) in explain(returncode)
    assert diagnosed(ended(returncode)).next_step


@pytest.mark.parametrize(
    ("reason", "headline", "advice"),
    [
        ("out of memory: it used more than it was given", "ran out of memory", "more memory"),
        ("time limit: the job ran longer than it was given", "time was over", "more time"),
        ("CPU time limit: the job used more than its -c", "CPU time", "more time"),
        ("node failure: a node of the job failed", "a node failed", "again"),
        ("preempted: a job of higher priority took its nodes", "make room", "again"),
    ],
)
def test_the_reason_of_a_scheduler_comes_first(reason: str, headline: str, advice: str) -> None:
    found = diagnosed(ended(-9, reason), "Segmentation fault\nPermission denied\n")
    assert headline in found.headline
    assert advice in found.next_step
    assert found.reason == reason


@pytest.mark.parametrize(
    ("returncode", "stderr", "headline", "advice"),
    [
        (127, "/bin/sh: 1: solver: not found", "(solver)", "full path"),
        (127, "bash: line 1: solver: command not found", "(solver)", "full path"),
        (2, "slurmstepd: error: execve(): solver: No such file or directory", "(solver)", "full path"),
        (126, "bash: ./run.sh: Permission denied", "forbidden", "chmod +x"),
        (1, TRACEBACK("PermissionError: [Errno 13] Permission denied: '/data/mesh'"), "(/data/mesh)", "permissions"),
        (1, TRACEBACK("ModuleNotFoundError: No module named 'xarray'"), "no module xarray", "Install xarray"),
        (1, TRACEBACK("ValueError: dt is too large"), "ValueError: dt is too large", "traceback"),
        (1, TRACEBACK("MemoryError"), "ran out of memory", "more memory"),
        (
            1,
            TRACEBACK("torch.cuda.OutOfMemoryError: CUDA out of memory. Tried"),
            "GPU had no memory",
            "batches smaller",
        ),
        (1, TRACEBACK("smartredis.error.RedisConnectionError: refused"), "connect to the database", "smart ps"),
        (1, "Could not connect to Orchestrator at 10.0.0.1:6379", "connect to the database", "smart ps"),
        (1, "RuntimeError: CUDA error: no kernel image is available", "no kernel image", "nvidia-smi"),
        (137, "slurmstepd: error: Detected 1 oom_kill event in StepId=3.0", "ran out of memory", "more memory"),
        (-6, "terminate called after throwing an instance of 'std::bad_alloc'", "ran out of memory", "more memory"),
        (143, "slurmstepd: error: *** STEP 3.0 CANCELLED DUE TO TIME LIMIT ***", "time was over", "more time"),
        (1, "MPI_ABORT was invoked on rank 17 in communicator MPI_COMM_WORLD", "MPI_Abort", "first error"),
        (1, "There are not enough slots available in the system", "more tasks", "fewer tasks"),
        (1, "OSError: [Errno 28] No space left on device", "disk is full", "df -h"),
        (127, "solver: error while loading shared libraries: libhdf5.so.200: cannot open", "libhdf5.so.200", "LD_LIB"),
        (2, "cannot open mesh.nc", "(mesh.nc)", "attach_generator_files"),
        (-11, "", "SIGSEGV", "debugger"),
        (139, "a warning: Permission denied", "SIGSEGV", "debugger"),
        (-9, "", "SIGKILL", "dmesg"),
        (3, "", "exit code 3", "wrote nothing"),
        (3, "it went wrong", "exit code 3", "read its output"),
        (None, "", "nobody knows", "wrote nothing"),
    ],
)
def test_each_kind_of_failure_has_its_advice(returncode: int | None, stderr: str, headline: str, advice: str) -> None:
    found = diagnosed(ended(returncode), stderr)
    assert found.headline.startswith("Failed: ")
    assert headline in found.headline
    assert advice in found.next_step
    assert found.stderr_tail == tuple(stderr.splitlines())
    assert found.command_line == "solver 'a b'"


def test_standard_output_tells_when_standard_error_does_not() -> None:
    found = diagnosed(ended(1), "ok", "step 1\nFATAL: MPI_ABORT was invoked\n")
    assert "MPI_Abort" in found.headline
    assert found.first_error_line == "FATAL: MPI_ABORT was invoked"


def test_what_could_not_be_started_has_its_reason() -> None:
    reason = "Job step m-1 failed to launch\n\nCommand: nix\nError from shell: there is no program nix: install it"
    assert diagnosed(ended(None, reason, started=False)).headline == "Failed: there is no program nix"
    other = diagnosed(ended(None, "the partition is unknown: name another", started=False))
    assert (other.headline, other.reason) == (
        "Failed: it could not be started",
        "the partition is unknown: name another",
    )


def test_nothing_is_wrong_with_what_did_not_fail() -> None:
    well = diagnosed(ended(0, status="Completed"), "Error: none, in the end")
    assert (well.headline, well.next_step) == ("Completed", "")
    stopped = diagnosed(ended(-15, status="Cancelled", stopped_by="Ctrl-C"))
    assert (stopped.headline, stopped.next_step) == ("Stopped by Ctrl-C", "")
    history = History()
    history.add(record.Submitted(1.0, "m", "Model", "m-1"))
    assert (diagnosed(history.jobs["m-1"]).headline[:3], diagnosed(history.jobs["m-1"]).explanation) == ("New", "")
    history.add(record.Withdrawn(1.0, "m", "m-1"))
    assert "something before it" in diagnosed(history.jobs["m-1"]).headline


@given(st.lists(st.text(max_size=30) | st.sampled_from(["Traceback (most recent call last):", "  x", "E: y"])))
def test_whatever_was_written_is_diagnosed(lines: list[str]) -> None:
    assert diagnose(ended(1), lines, lines).headline.startswith("Failed: ")


@pytest.mark.parametrize("piece", ["a", " ", ": ", "A.", "Error: ", "cannot open ", "CUDA error", "/"])
def test_no_output_takes_long_to_look_at(piece: str) -> None:
    begin = time.process_time()
    diagnose(ended(1), [piece * (2**16 // len(piece))] * 50, [])
    assert time.process_time() - begin < 5.0  # of CPU: a pattern that explodes takes years


@pytest.mark.parametrize(
    "line",
    [
        "Traceback (most recent call last):",
        "ValueError: bad",
        "KeyboardInterrupt",
        "[12:00] ERROR solver: diverged",
        "solver.c:3: error: expected ';'",
        "srun: error: node7: task 3: Killed",
        "Segmentation fault (core dumped)",
        "MPI_ABORT was invoked on rank 17",
        "CUDA error 2",
        "Fatal error in PMPI_Send",
        "forrtl: severe (24): end-of-file during read",
        "sh: 1: x: not found",
        "KeyboardInterruptException",
        "PANIC: no kernel",
        "CRITICAL the end",
        "Bus error",
        "Floating point exception",
        "Illegal instruction",
        "Aborted",
        "Killed",
        "task 3: SIGKILL",
        "SIGFPE",
        "GPU out of memory",
        "Detected 1 oom_kill event",
        "what(): std::bad_alloc",
        "fork: Cannot allocate memory",
        "mesh.nc: No such file or directory",
        "run.sh: Permission denied",
        "write: No space left on device",
        "lib.so: undefined symbol: f",
        "terminate called after throwing",
        "thread 'main' panicked at src/main.rs",
        "Assertion `n > 0' failed.",
        "STOP 1",
    ],
)
def test_errors_are_known_by_their_lines(line: str) -> None:
    expected = "" if line == "KeyboardInterrupt" else line  # somebody wanted that
    assert first_error(["step 1", "relative error: 1e-5", "errors = 0", line]) == expected
    assert may_have_error(line.encode()) == bool(expected)


@given(st.binary(max_size=60))
def test_what_is_shown_controls_nothing(content: bytes) -> None:
    text = shown(content)
    assert [char for char in text if not char.isprintable() and char not in "\n\t"] == [
        char for char in text if not char.isprintable() and char not in "\n\t" and ord(char) > 0x9F
    ]
    assert "\x1b" not in text


def test_text_is_shown_as_it_is_and_the_rest_as_escapes() -> None:
    assert shown("né\t1\r\n<b>".encode()) == "né\t1\n<b>"
    assert shown(b"\x1b[31m\x00\xff\x07") == "\\x1b[31m\\x00\\xff\\x07"
    assert shown("evil \u202egpj.exe".encode()) == "evil \\u202egpj.exe"


@given(st.text(max_size=20), st.integers(0, 80))
def test_no_character_is_cut_in_two(text: str, cut: int) -> None:
    encoded = text.encode()
    first = whole(encoded[:cut])
    if first and cut <= len(encoded):
        assert shown(first) == shown(first.decode("utf-8", "backslashreplace").encode())
        assert len(encoded[:cut]) - len(first) < 4
    assert whole(encoded) == encoded


@given(st.lists(st.sampled_from(["a", "", "bc"])), st.integers(1, 5), st.booleans())
def test_the_last_lines_are_those_at_the_end(lines: list[str], number: int, is_ended: bool) -> None:
    content = "\n".join(lines) + "\n" * is_ended
    expected = "".join(content.splitlines(keepends=True)[-number:])
    assert last_lines(content.encode(), number) == expected.encode()


def test_signals_of_this_machine_have_their_names() -> None:
    assert all(signal.Signals(number).name in explain(-number) for number in (1, 2, 6, 9, 11, 15))


def test_long_lines_and_reasons_are_looked_through_in_time() -> None:
    """Not in the square of their length: this would take minutes."""
    done = subprocess.run([sys.executable, "-c", LONG], capture_output=True, text=True, timeout=DEADLINE, check=True)
    assert done.stdout == "None\nFailed: it could not be started\n"
