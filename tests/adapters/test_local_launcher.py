"""What only the real local launcher can show: processes, their arguments, environment, files and signals."""

import errno
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smartsim.adapters.wlm.local import LocalWorkloadManager
from smartsim.domain.lifecycle import Ended, JobEvent, Refused, Started
from smartsim.domain.steps import Step
from waiting import wait_until

DEADLINE = 30.0
ECHO = "import json, os, sys; json.dump([sys.argv[1:], dict(os.environ), os.getcwd(), sys.stdin.read()], sys.stdout)"


class Runner:
    """Runs one step after the other and waits for their ends."""

    def __init__(self, directory: Path) -> None:
        self.manager = LocalWorkloadManager()
        self.directory = directory
        self.events: dict[str, list[JobEvent]] = {}
        self.changed = threading.Condition()

    def report(self, name: str, event: JobEvent) -> None:
        with self.changed:
            self.events.setdefault(name, []).append(event)
            self.changed.notify_all()

    def step(self, name: str, *argv: str, environment: dict[str, str] | None = None) -> Step:
        out = str(self.directory / name)
        return Step(name, argv, (), environment or {}, str(self.directory), f"{out}.out", f"{out}.err")

    def start(self, step: Step) -> int:
        self.manager.submit([step], self.report)
        event = self.events[step.name][0]
        assert isinstance(event, Started), event
        return int(event.native_id)

    def ended(self, name: str) -> Ended:
        with self.changed:
            done = self.changed.wait_for(lambda: isinstance(self.events[name][-1], Ended), DEADLINE)
        assert done, f"{name} did not end"
        event = self.events[name][-1]
        assert isinstance(event, Ended)
        return event

    def run(self, step: Step) -> Ended:
        self.start(step)
        return self.ended(step.name)

    def refused(self, step: Step) -> str:
        self.manager.submit([step], self.report)
        event = self.events[step.name][0]
        assert isinstance(event, Refused), event
        return str(event.error)


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    runner = Runner(tmp_path)
    yield runner
    runner.manager.stop(runner.events, grace=0.0)
    for name, events in runner.events.items():
        if isinstance(events[0], Started):
            runner.ended(name)
    runner.manager.close()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(arguments=st.lists(TEXT, max_size=4), value=TEXT, number=st.uuids())
def test_arguments_and_environment_arrive_exactly(
    runner: Runner, arguments: list[str], value: str, number: object
) -> None:
    name = f"step-{number}"
    step = runner.step(name, sys.executable, "-X", "utf8", "-c", ECHO, *arguments, environment={"VALUE": value})
    assert runner.run(step).returncode == 0
    argv, environment, directory, stdin = json.loads(Path(step.stdout).read_text())
    assert argv == arguments
    assert environment["VALUE"] == value
    assert directory == str(runner.directory)
    assert stdin == ""


@pytest.mark.parametrize(
    "argument", ["two words", "'single' \"double\"", "$HOME; echo `id` & | > x", "ünïcödé ☃", "new\nline", "", "*"]
)
def test_no_shell_touches_an_argument(runner: Runner, argument: str) -> None:
    step = runner.step("a", sys.executable, "-X", "utf8", "-c", ECHO, argument)
    assert runner.run(step).returncode == 0
    assert json.loads(Path(step.stdout).read_text())[0] == [argument]


def test_the_driver_s_environment_is_laid_under(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "of the driver")
    monkeypatch.setenv("CHANGED", "of the driver")
    step = runner.step("a", sys.executable, "-c", ECHO, environment={"CHANGED": "of the step"})
    runner.run(step)
    environment = json.loads(Path(step.stdout).read_text())[1]
    assert (environment["KEPT"], environment["CHANGED"]) == ("of the driver", "of the step")
    assert os.environ["CHANGED"] == "of the driver"


def test_outputs_go_to_their_files(runner: Runner) -> None:
    step = runner.step("a", "/bin/sh", "-c", "echo out; echo err >&2")
    runner.run(step)
    assert (Path(step.stdout).read_text(), Path(step.stderr).read_text()) == ("out\n", "err\n")


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGUSR1])
def test_a_signal_is_told_from_an_exit_code(runner: Runner, number: signal.Signals) -> None:
    assert runner.run(runner.step("a", "/bin/sh", "-c", f"kill -{number.value} $$")).returncode == -number.value


def test_a_stop_reaches_grandchildren(runner: Runner) -> None:
    code = "sleep 100 & echo $! > child.pid; wait"
    runner.start(runner.step("a", "/bin/sh", "-c", code))
    pid_file = runner.directory / "child.pid"
    wait_until(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
    grandchild = int(pid_file.read_text())
    runner.manager.stop(["a"], grace=DEADLINE)
    runner.ended("a")
    assert not is_alive(grandchild)


def test_a_stop_kills_grandchildren_in_groups_of_their_own_that_ignore_it(runner: Runner) -> None:
    # With job control (set -m) a shell gives every background job a process group of its own.
    stubborn = "sh -c 'trap \"\" TERM; echo $$ > child.pid; while :; do sleep 1; done' & wait"
    runner.start(runner.step("a", "/bin/bash", "-c", f"set -m; {stubborn}"))
    pid_file = runner.directory / "child.pid"
    wait_until(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
    grandchild = int(pid_file.read_text())
    assert os.getpgid(grandchild) == grandchild
    runner.manager.stop(["a"], grace=0.2)
    runner.ended("a")
    assert not is_alive(grandchild)


def test_a_program_may_clean_up_when_asked_to_end(runner: Runner) -> None:
    step = runner.step("a", "/bin/sh", "-c", 'trap "echo saved; exit 3" TERM; echo ready; while :; do sleep 0.01; done')
    runner.start(step)
    wait_until(lambda: "ready" in Path(step.stdout).read_text())
    runner.manager.stop(["a"], grace=DEADLINE)
    assert runner.ended("a").returncode == 3
    assert Path(step.stdout).read_text() == "ready\nsaved\n"


def test_a_suspended_step_can_be_stopped(runner: Runner) -> None:
    pid = runner.start(runner.step("a", "/bin/sleep", "100"))
    os.kill(pid, signal.SIGSTOP)
    runner.manager.stop(["a"], grace=DEADLINE)
    assert runner.ended("a").returncode == -signal.SIGTERM


def test_what_a_step_leaves_behind_ends_with_it(runner: Runner) -> None:
    ended = runner.run(runner.step("a", "/bin/sh", "-c", "sleep 100 & echo $! > child.pid; exit 5"))
    assert ended.returncode == 5
    assert not is_alive(int((runner.directory / "child.pid").read_text()))


def test_a_step_has_a_session_of_its_own(runner: Runner) -> None:
    pid = runner.start(runner.step("a", "/bin/sleep", "100"))
    assert os.getsid(pid) == pid
    assert os.getsid(0) != pid


def test_no_descriptor_of_the_driver_reaches_a_step(runner: Runner) -> None:
    with (runner.directory / "secret").open("w") as secret:
        step = runner.step("a", "/bin/ls", "-l", "/proc/self/fd")
        os.set_inheritable(secret.fileno(), True)
        runner.run(step)
    assert "secret" not in Path(step.stdout).read_text()


def test_a_missing_program_is_named_with_what_to_do(runner: Runner) -> None:
    text = runner.refused(runner.step("a", "/no/such/program", "--flag"))
    assert "Command: /no/such/program --flag" in text
    assert "there is no program /no/such/program: install it" in text


def test_a_file_that_is_no_program_is_told_from_one_without_permission(runner: Runner) -> None:
    program = runner.directory / "program"
    program.write_text("not a program")
    assert "chmod +x" in runner.refused(runner.step("a", str(program)))
    program.chmod(0o755)
    assert "no program for this machine" in runner.refused(runner.step("b", str(program)))
    program.write_text("#!/no/such/interpreter\n")
    assert "interpreter" in runner.refused(runner.step("c", str(program)))


def test_a_missing_working_directory_is_named(runner: Runner) -> None:
    step = runner.step("a", "/bin/true")
    step = Step(step.name, step.argv, (), {}, "/no/such/directory", step.stdout, step.stderr)
    assert "its working directory /no/such/directory does not exist" in runner.refused(step)


def test_an_output_that_cannot_be_written_is_named(runner: Runner) -> None:
    step = Step("a", ("/bin/true",), (), {}, str(runner.directory), "/no/such/a.out", "/no/such/a.err")
    assert "its output file /no/such/a.out cannot be written" in runner.refused(step)


def test_arguments_that_no_program_can_be_given(runner: Runner) -> None:
    assert "no program can be given" in runner.refused(runner.step("a", "/bin/echo", "nul\0byte"))
    assert "pass long values in a file" in runner.refused(runner.step("b", "/bin/echo", "x" * 3_000_000))


def test_the_watching_thread_lives_as_long_as_steps_do(runner: Runner) -> None:
    def threads() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name == "smartsim-local"]

    runner.start(runner.step("a", "/bin/sleep", "100"))
    assert len(threads()) == 1
    runner.manager.stop(["a"], grace=DEADLINE)
    runner.ended("a")
    wait_until(lambda: not threads())


def test_no_descriptors_are_left_over(runner: Runner) -> None:
    runner.run(runner.step("warm-up", "/bin/true"))
    before = set(os.listdir("/proc/self/fd"))
    for number in range(20):
        runner.run(runner.step(f"s{number}", "/bin/true"))
    runner.refused(runner.step("missing", "/no/such/program"))
    assert len(set(os.listdir("/proc/self/fd"))) <= len(before)


def test_a_recycled_process_id_is_not_taken_for_the_step(runner: Runner) -> None:
    pid = runner.start(runner.step("a", "/bin/sleep", "100"))
    handle = dict(runner.manager.handle("a"))
    handle["identity"] = str(handle["identity"]) + "0"
    assert handle["pid"] == pid
    other = LocalWorkloadManager()
    assert not other.attach(runner.step("b", "/bin/sleep", "100"), handle, runner.report)
    other.close()


def test_an_error_that_nobody_has_foreseen_ends_all_waits_and_tells_what_may_still_run(runner: Runner) -> None:
    def told(_: str, event: JobEvent) -> None:
        if isinstance(event, Ended):
            raise ZeroDivisionError("something odd")

    running = runner.start(runner.step("runs", "sleep", "60"))
    try:
        runner.manager.submit([runner.step("ends", "true")], told)
        ended = runner.ended("runs")
        assert ended.returncode is None
        assert ended.reason == (
            "unknown: what follows processes of this driver failed (ZeroDivisionError: something odd). Process "
            f"{running} may still run: see whether it does, and end it with `kill -- -{running}`"
        )
        assert runner.run(runner.step("later", "sh", "-c", "exit 3")).returncode == 3
    finally:
        os.killpg(running, signal.SIGKILL)
        os.waitpid(running, 0)


def test_a_step_is_stopped_although_nobody_can_look_at_the_processes_at_the_moment(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    def sessions() -> dict[int, set[int]]:
        looks.append(1)
        if len(looks) < 5:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), "/proc")
        return {}

    runner.start(runner.step("a", "sleep", "60"))
    monkeypatch.setattr("smartsim.adapters.wlm.proc.sessions", sessions)
    runner.manager.stop(["a"], grace=30.0)
    assert runner.ended("a").returncode == -signal.SIGTERM


def test_closing_right_after_a_stop_of_what_does_not_run_does_not_wait_for_steps(tmp_path: Path) -> None:
    for number in range(20):
        runner = Runner(tmp_path)
        pid = runner.start(runner.step(f"s{number}", "sleep", "60"))
        runner.manager.stop(["nobody"], grace=1.0)
        closing = threading.Thread(target=runner.manager.close, daemon=True)
        closing.start()
        closing.join(DEADLINE)
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert not closing.is_alive()
