"""The script of a batch job, run by bash as a scheduler would."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from smartsim.adapters.wlm import job_script
from smartsim.adapters.wlm.job_script import Elements, MemberExit
from smartsim.domain.errors import LauncherError
from smartsim.domain.steps import Batch, Step
from waiting import wait_until

DEADLINE = 30.0
NO_ARRAY = Elements()
HEADER = ("#!/bin/bash", "", "#SBATCH --output=x")
ECHO = "import json, os, sys; json.dump([sys.argv[1:], dict(os.environ), os.getcwd(), sys.stdin.read()], sys.stdout)"
ECHOES = (sys.executable, "-X", "utf8", "-c", ECHO)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
NAMES = st.from_regex(r"[A-Z]{3,8}", fullmatch=True)
OWN_NAMES = st.from_regex(r"(SS|SR_)[A-Z][A-Za-z0-9_]{0,8}", fullmatch=True)
STUBBORN = ("/bin/sh", "-c", 'trap "" TERM; : > ready; while :; do sleep 0.05; done')


@dataclass
class Job:
    """A job in a directory."""

    directory: Path
    preamble: Sequence[str] = ()

    def step(self, name: str, *argv: str, environment: Mapping[str, str] = {}) -> Step:
        where = self.directory / f"{name} runs"
        where.mkdir(exist_ok=True)
        return Step(name, argv, (), environment, str(where), str(where / "out"), str(where / "err"))

    def batch(self, shebang: str = "#!/bin/bash") -> Batch:
        state = self.directory / "what's kept"
        state.mkdir(exist_ok=True)
        script = str(self.directory / "script.sh")
        return Batch("j", ("sbatch",), (), tuple(self.preamble), script, str(state), "", "", shebang)

    def start(
        self, steps: Sequence[Step], elements: Elements = NO_ARRAY, variables: Mapping[str, str] = {}
    ) -> subprocess.Popen[str]:
        batch = self.batch()
        Path(batch.script).write_text(job_script.render(batch, HEADER, steps, elements))
        environment = {**os.environ, **variables}
        return subprocess.Popen(
            ["/bin/bash", batch.script],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, steps: Sequence[Step], elements: Elements = NO_ARRAY, variables: Mapping[str, str] = {}) -> int:
        with self.start(steps, elements, variables) as process:
            process.communicate(timeout=DEADLINE)
            return process.returncode

    def file(self, name: str, ending: str) -> Path:
        return Path(job_script.file_of(self.batch().directory, name, ending))

    def exit(self, name: str) -> MemberExit:
        found = job_script.parse_exit(self.file(name, job_script.EXIT).read_bytes())
        assert found is not None
        return found

    def stop(self, name: str, term: float, kill: float) -> None:
        self.file(name, job_script.STOP).write_bytes(job_script.stop_content(term, kill))

    def wait_for_start(self, name: str) -> int:
        wait_until(lambda: self.file(name, job_script.STARTED).exists())
        wait_until(lambda: job_script.parse_started(self.file(name, job_script.STARTED).read_bytes()) is not None)
        found = job_script.parse_started(self.file(name, job_script.STARTED).read_bytes())
        assert found is not None
        return found.group


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def ended(process: subprocess.Popen[str]) -> int:
    with process:
        process.communicate(timeout=DEADLINE)
        return process.returncode


def group_runs(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    arguments=st.lists(TEXT, max_size=4),
    variables=st.dictionaries(NAMES.filter(lambda name: name != "PATH"), TEXT)
    | st.dictionaries(OWN_NAMES, TEXT, min_size=1),
)
@example(arguments=["A=1"], variables={"SSKEYOUT": "a b", "SR_LOG_LEVEL": "$HOME"})
def test_words_and_variables_of_a_member_arrive_exactly(
    job: Job, arguments: list[str], variables: dict[str, str]
) -> None:
    step = job.step("a", *ECHOES, *arguments, environment=variables)
    assert job.run([step]) == 0
    argv, environment, directory, stdin = json.loads(Path(step.stdout).read_text())
    assert argv == arguments
    assert {name: environment[name] for name in variables} == variables
    assert directory == step.working_directory
    assert stdin == ""
    job.file("a", job_script.EXIT).unlink()


@given(words=st.lists(TEXT, min_size=1, max_size=5), name=TEXT.filter(lambda name: "/" not in name))
@example(words=["two\nlines\n", "it's\n'"], name="m\n1")
def test_each_member_is_one_line_of_quoted_words(words: list[str], name: str) -> None:
    batch = Batch("j", ("sbatch",), (), (), "/s", "/d", "", "")
    step = Step(name, tuple(words), (), {}, "/w", "/o", "/e")
    text = job_script.render(batch, HEADER, [step])
    line = text[text.rindex("\nmember ") + 1 : text.rindex("\n\nwait_for_members")]
    assert "\n" not in line
    assert shlex.split(line.replace("'$'\\n''", "\n")) == ["member", "0", name, "/w", "/o", "/e", "0", *words]


def test_exported_variables_of_the_driver_and_of_the_preamble_reach_members_unchanged(tmp_path: Path) -> None:
    job = Job(tmp_path, ["export index=of_preamble names=x", "set -eu", "set -f"])
    step = job.step("a", *ECHOES)
    assert job.run([step], variables={"time": "of driver", "signal": "s", "_name": "n"}) == 0
    environment = json.loads(Path(step.stdout).read_text())[1]
    expected = {"index": "of_preamble", "names": "x", "time": "of driver", "signal": "s"}
    assert {name: environment[name] for name in expected} == expected


@pytest.mark.parametrize("shell", ["", "BASH_COMPAT=4.1"])
def test_no_descriptor_of_the_script_reaches_a_member(tmp_path: Path, shell: str) -> None:
    job = Job(tmp_path, [shell])
    step = job.step("a", "/bin/sh", "-c", "exec ls -l /proc/$$/fd")
    job.run([step])
    opened = [line.split(" -> ")[1] for line in Path(step.stdout).read_text().splitlines() if " -> " in line]
    assert [path for path in opened if path != "/dev/null" and not path.startswith("/proc/")] == [
        step.stdout,
        step.stderr,
    ]


def test_the_first_member_that_fails_gives_the_script_its_exit_code(job: Job) -> None:
    late = job.step("late", "/bin/sh", "-c", "sleep 0.3; exit 5")
    early = job.step("early", "/bin/sh", "-c", "exit 6")
    assert job.run([job.step("good", "/bin/true"), late, early]) == 5
    assert [job.exit(name).returncode for name in ("good", "late", "early")] == [0, 5, 6]


def test_members_run_side_by_side(job: Job) -> None:
    waits = "until [ -e ../met ]; do sleep 0.01; done"
    assert job.run([job.step("a", "/bin/sh", "-c", waits), job.step("b", "/bin/sh", "-c", ": > ../met")]) == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_signal_is_told_from_an_exit_code(job: Job, number: signal.Signals) -> None:
    assert job.run([job.step("a", "/bin/sh", "-c", f"kill -{number.value} $$")]) == 128 + number
    assert job.exit("a") == MemberExit(job.exit("a").at, -number)


def test_a_missing_program_and_a_missing_directory_are_seen_in_the_output_of_the_member(job: Job) -> None:
    missing, lost = job.step("a", "/no/such/program"), job.step("b", "/bin/true")
    Path(lost.working_directory).rmdir()
    moved = Step("b", lost.argv, (), {}, lost.working_directory, str(job.directory / "o"), str(job.directory / "e"))
    assert job.run([missing, moved]) == 127
    assert "/no/such/program" in Path(missing.stderr).read_text()
    assert lost.working_directory in Path(moved.stderr).read_text()
    assert (job.exit("a").returncode, job.exit("b").returncode) == (127, 1)


def test_a_member_whose_output_cannot_be_written_fails_and_the_script_says_why(job: Job) -> None:
    step = job.step("a", "/bin/true")
    bad = Step("a", step.argv, (), {}, step.working_directory, "/no/such/directory/out", step.stderr)
    with job.start([bad, job.step("b", "/bin/true")]) as process:
        _, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1
    assert "/no/such/directory/out" in errors
    assert job.exit("b").returncode == 0


def test_an_element_of_an_array_runs_its_member_alone(job: Job) -> None:
    steps = [job.step(f"m{index}", "/bin/sh", "-c", f"exit {index}") for index in range(3)]
    elements = Elements("TASK", first=1)
    assert job.run(steps, elements, {"TASK": "3"}) == 2
    assert job.exit("m2").returncode == 2
    assert not job.file("m0", job_script.STARTED).exists()
    assert job.run(steps, elements, {"TASK": "2"}) == 1


def test_an_element_that_comes_through_a_pipe_runs_its_member_alone(job: Job) -> None:
    steps = [job.step(f"m{index}", "/bin/sh", "-c", f"exit {index}") for index in range(3)]
    text = job_script.render(job.batch(), HEADER, steps, Elements("TASK", first=1))
    ran = subprocess.run(
        ["/bin/bash"], env={**os.environ, "TASK": "3"}, input=text, text=True, timeout=DEADLINE, check=False
    )
    assert ran.returncode == 2
    assert {path.name for path in Path(job.batch().directory).iterdir()} == {"m2.started", "m2.exit"}


def test_an_element_does_not_go_through_the_lines_of_others(job: Job) -> None:
    steps = [job.step(f"m{index}", *ECHOES, "two\nlines\nmember 5 x") for index in range(7)]
    text = job_script.render(job.batch(), HEADER, steps, Elements("TASK"))
    Path(job.batch().script).write_text(text.replace("\nmember 2 ", "\nexit 99; member 2 "))
    words = ["/bin/bash", job.batch().script]
    assert subprocess.run(words, env={**os.environ, "TASK": "5"}, timeout=DEADLINE, check=False).returncode == 0
    assert json.loads(Path(steps[5].stdout).read_text())[0] == ["two\nlines\nmember 5 x"]


def test_one_member_is_stopped_while_others_go_on(job: Job) -> None:
    steps = [job.step("a", "/bin/sleep", "60"), job.step("b", "/bin/sh", "-c", "until [ -e go ]; do sleep 0.05; done")]
    process = job.start(steps)
    job.wait_for_start("a")
    job.stop("a", 0.0, DEADLINE)
    wait_until(job.file("a", job_script.EXIT).exists)
    assert not job.file("b", job_script.EXIT).exists()
    Path(steps[1].working_directory, "go").touch()
    assert ended(process) == 143
    assert job.exit("a").returncode == -signal.SIGTERM
    assert job.exit("b").returncode == 0


def test_a_member_that_does_not_listen_is_killed_with_all_that_it_started(job: Job) -> None:
    step = job.step("a", "/bin/sh", "-c", f"{shlex.join(STUBBORN)} & wait; while :; do sleep 1; done")
    process = job.start([step])
    group = job.wait_for_start("a")
    wait_until(Path(step.working_directory, "ready").exists)
    job.stop("a", 0.0, 0.3)
    assert ended(process) == 143  # the first shell heeds the SIGTERM
    wait_until(lambda: not group_runs(group))


def test_a_member_that_ignores_sigterm_is_killed_after_its_grace_period(job: Job) -> None:
    step = job.step("a", *STUBBORN)
    process = job.start([step])
    job.wait_for_start("a")
    wait_until(Path(step.working_directory, "ready").exists)
    job.stop("a", 0.0, 0.2)
    assert ended(process) == 137
    assert job.exit("a").returncode == -signal.SIGKILL


def test_a_stop_file_can_put_the_sigterm_off(job: Job) -> None:
    code = 'trap "exit 9" TERM; : > ready; for i in $(seq 100); do sleep 0.02; done; exit 4'
    step = job.step("a", "/bin/sh", "-c", code)
    process = job.start([step])
    job.wait_for_start("a")
    wait_until(Path(step.working_directory, "ready").exists)
    job.stop("a", DEADLINE, 2 * DEADLINE)
    assert ended(process) == 4


def test_a_member_that_was_stopped_before_the_job_began_does_not_start(job: Job) -> None:
    step = job.step("a", "/bin/sh", "-c", ": > ran")
    job.stop("a", 0.0, 1.0)
    assert job.run([step, job.step("b", "/bin/true")]) == 143
    assert not Path(step.working_directory, "ran").exists()
    assert not job.file("a", job_script.STARTED).exists()
    assert job.exit("a").returncode == -signal.SIGTERM


@pytest.mark.parametrize("to_all", [False, True], ids=["to the script", "to every process"])
def test_a_signal_of_the_scheduler_reaches_members_and_what_becomes_of_them_is_kept(job: Job, to_all: bool) -> None:
    saves = 'trap "echo saved; exit 3" TERM; : > ready; while :; do sleep 0.02; done'
    steps = [job.step("saves", "/bin/sh", "-c", saves), job.step("dies", "/bin/sleep", "60")]
    process = job.start(steps)
    groups = [job.wait_for_start(step.name) for step in steps]
    wait_until(Path(steps[0].working_directory, "ready").exists)
    if to_all:
        for group in (*groups, process.pid):
            os.killpg(group, signal.SIGTERM)
    else:
        process.terminate()
    assert ended(process) == 3
    assert set(Path(steps[0].stdout).read_text().split()) == {"saved"}  # perhaps twice: it is passed on, too
    for name, returncode in (("saves", 3), ("dies", -signal.SIGTERM)):
        assert job.exit(name).returncode == returncode
        assert set(job.exit(name).signals) == {"TERM"}


def test_a_stubborn_member_is_killed_at_its_time_although_the_scheduler_sent_a_signal_too(job: Job) -> None:
    step = job.step("a", *STUBBORN)
    process = job.start([step])
    job.wait_for_start("a")
    wait_until(Path(step.working_directory, "ready").exists)
    job.stop("a", 0.0, 0.2)
    process.terminate()
    assert ended(process) == 137
    assert job.exit("a").returncode == -signal.SIGKILL


def test_a_signal_that_comes_while_members_start_reaches_those_that_have(job: Job) -> None:
    names = [f"m{index}" for index in range(30)]
    process = job.start([job.step(name, "/bin/sleep", "20") for name in names])
    job.wait_for_start("m3")
    process.terminate()
    assert ended(process) == 143
    assert {job.exit(name).returncode for name in names} == {-signal.SIGTERM}
    assert {signal for name in names for signal in job.exit(name).signals} == {"TERM"}


def test_a_member_whose_watch_is_killed_before_it_starts_has_ended(tmp_path: Path) -> None:
    killed = "[[ $2 != TERM || $BASHPID == $$ ]] || kill -TERM $BASHPID"
    job = Job(tmp_path, preamble=(f'trap() {{ {killed}; builtin trap "$@"; }}',))
    assert job.run([job.step("a", "/bin/true")]) == 143
    assert job.exit("a") == replace(job.exit("a"), returncode=-signal.SIGTERM, signals=())
    assert not job.file("a", job_script.STARTED).exists()


def test_no_signal_goes_where_a_member_was_before_its_job_was_started_again(job: Job) -> None:
    step = job.step("a", "/bin/sleep", "20")
    os.mkfifo(step.stdout)  # it does not start before somebody reads
    with subprocess.Popen(["/bin/sleep", "60"], start_new_session=True) as other:
        job.file("a", job_script.STARTED).write_text(f"1700000000000000 {other.pid}\n")
        process = job.start([step])
        wait_until(lambda: job.file("a", job_script.STARTED).stat().st_size == 0)
        process.terminate()
        with open(step.stdout, "rb"):
            assert ended(process) == 143
        assert other.poll() is None
        other.kill()
    assert job.exit("a").returncode == -signal.SIGTERM


def test_members_of_any_name_can_be_stopped_and_nothing_else_has_files(job: Job) -> None:
    names = ["*", "@", ".hidden", "a]b", "a[0]", "$(touch x)", "it's", "`x`", "-n", "a b", '"', "é", "!", "\\"]
    process = job.start([job.step(name, "/bin/sleep", "20") for name in [*names, "last"]])
    for name in names:
        job.wait_for_start(name)
    for name in names:
        job.stop(name, 0.0, 5.0)
    for name in names:
        wait_until(job.file(name, job_script.EXIT).exists)
    job.stop("last", 0.0, 5.0)
    assert ended(process) == 143
    assert {job.exit(name).returncode for name in names} == {-signal.SIGTERM}
    files = {path.name for path in Path(job.batch().directory).iterdir()}
    assert files == {name + ending for name in [*names, "last"] for ending in (".started", ".exit", ".stop")}


@pytest.fixture
def turns(job: Job) -> Callable[..., Step]:
    """Makes steps that `srun` starts with CPUs to themselves, each of which runs until there is a file `release`."""
    srun = job.directory / "srun"
    srun.write_text('#!/bin/sh\nwhile [ "${1#--}" != "$1" ]; do shift; done\nexec "$@"\n')
    srun.chmod(0o700)

    def make(name: str, *more: str) -> Step:
        step = job.step(name, "/bin/sh", "-c", f"until [ -e {job.directory}/release ]; do sleep 0.02; done")
        return replace(step, launch=(str(srun), "--exact", *more))

    return make


TWO_CPUS = {"SLURM_JOB_CPUS_PER_NODE": "1(x2)"}


def test_members_for_which_the_job_has_no_cpus_have_their_turn_later(job: Job, turns: Callable[..., Step]) -> None:
    process = job.start([turns(f"m{index}") for index in range(5)], variables=TWO_CPUS)
    job.wait_for_start("m0")
    job.wait_for_start("m1")
    job.stop("m3", 0.0, 0.0)
    wait_until(lambda: job.file("m3", job_script.EXIT).exists())  # although others go on
    assert not [name for name in ("m2", "m3", "m4") if job.file(name, job_script.STARTED).exists()]
    (job.directory / "release").touch()
    assert ended(process) == 143
    assert [job.exit(f"m{index}").returncode for index in range(5)] == [0, 0, 0, -15, 0]


def test_members_that_wait_for_their_turn_when_the_scheduler_ends_the_job_get_none(
    job: Job, turns: Callable[..., Step]
) -> None:
    process = job.start([turns(f"m{index}") for index in range(4)], variables=TWO_CPUS)
    job.wait_for_start("m0")
    job.wait_for_start("m1")
    process.send_signal(signal.SIGTERM)
    assert ended(process) == 143
    for name in ("m2", "m3"):
        assert not job.file(name, job_script.STARTED).exists()
        assert (job.exit(name).returncode, job.exit(name).signals) == (-15, ("TERM",))


@pytest.mark.parametrize(
    ("variables", "more"),
    [({}, ()), (TWO_CPUS, ("--overlap",)), ({**TWO_CPUS, "SLURM_HET_SIZE": "2"}, ())],
    ids=["no Slurm", "overlapping", "groups of nodes"],
)
def test_members_start_side_by_side_where_it_is_not_known_how_many_can(
    job: Job, turns: Callable[..., Step], variables: Mapping[str, str], more: Sequence[str]
) -> None:
    process = job.start([turns(f"m{index}", *more) for index in range(4)], variables=variables)
    for index in range(4):
        job.wait_for_start(f"m{index}")
    (job.directory / "release").touch()
    assert ended(process) == 0


def test_what_a_member_leaves_behind_ends_with_it(job: Job) -> None:
    process = job.start([job.step("a", "/bin/sh", "-c", "sleep 100 & exit 5")])
    group = job.wait_for_start("a")
    assert ended(process) == 5
    wait_until(lambda: not group_runs(group))


def test_a_job_that_is_started_again_runs_only_members_that_had_not_ended(job: Job) -> None:
    step = job.step("a", "/bin/sh", "-c", "echo >> times")
    fails = job.step("b", "/bin/sh", "-c", "echo >> times; exit 1")
    assert job.run([step, fails]) == 1
    job.file("b", job_script.EXIT).unlink()
    assert job.run([step, fails]) == 1
    assert Path(step.working_directory, "times").read_text() == "\n"
    assert Path(fails.working_directory, "times").read_text() == "\n\n"


def test_a_job_that_is_started_again_ends_with_the_code_of_a_member_that_had_failed_before(job: Job) -> None:
    steps = [job.step("a", "/bin/sh", "-c", "exit 5"), job.step("b", "/bin/true")]
    assert job.run(steps) == 5
    job.file("b", job_script.EXIT).unlink()
    assert job.run(steps) == 5


def test_a_member_whose_watch_is_killed_does_not_keep_the_script_from_ending(job: Job) -> None:
    process = job.start([job.step("a", "/bin/sleep", "60")])
    group = job.wait_for_start("a")
    watch = int(Path(f"/proc/{group}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(watch, signal.SIGKILL)
    assert ended(process) == 137
    os.killpg(group, signal.SIGKILL)


@pytest.mark.parametrize("heard", range(1, 10))
def test_an_end_of_which_the_script_hears_only_a_part_in_time_does_not_keep_it_from_ending(
    tmp_path: Path, heard: int
) -> None:
    # As bash's `read` does when its time is up: it forgets what it has read of the line.
    cut = f'if ((_cuts++)); then builtin read "$@"; else builtin read -r -N {heard} -u "$_ends"; return 142; fi'
    job = Job(tmp_path, preamble=(f"read() {{ {cut}; }}",))
    steps = [job.step(f"m{index}", "/bin/sh", "-c", f"exit $(({index} == 11 ? 7 : 0))") for index in range(12)]
    assert job.run(steps) == 7


def test_a_preamble_that_fails_ends_the_job_before_its_members(tmp_path: Path) -> None:
    job = Job(tmp_path, ["set -e", "false"])
    assert job.run([job.step("a", "/bin/true")]) == 1
    assert not job.file("a", job_script.STARTED).exists()


def test_a_bash_without_a_clock_of_its_own_tells_the_time_too(tmp_path: Path) -> None:
    job = Job(tmp_path, ["unset EPOCHREALTIME"])  # which came with bash 5
    before = time.time()
    assert job.run([job.step("a", "/bin/true")]) == 0
    assert before - 1.0 <= job.exit("a").at <= time.time() + 1.0


@pytest.mark.parametrize("shell", ["set -o posix", "BASH_COMPAT=4.1"])
def test_members_run_in_a_bash_that_has_been_set_up_in_another_way(tmp_path: Path, shell: str) -> None:
    job = Job(tmp_path, [shell])
    steps = [job.step("a", "/bin/sh", "-c", "sleep 100 & exit 5"), job.step("b", *ECHOES, "x")]
    assert job.run(steps) == 5
    assert [job.exit(name).returncode for name in ("a", "b")] == [5, 0]


@pytest.mark.parametrize("mode", ["+o", "-o"])
def test_a_preamble_keeps_the_signals_that_it_uses(tmp_path: Path, mode: str) -> None:
    job = Job(tmp_path, [f"set {mode} posix", "trap 'echo checkpoint' USR1"])
    process = job.start([job.step("a", "/bin/sleep", "1")])
    job.wait_for_start("a")
    process.send_signal(signal.SIGUSR1)
    with process:
        output, _ = process.communicate(timeout=DEADLINE)
    assert output == "checkpoint\n"
    assert job.exit("a") == MemberExit(job.exit("a").at, 0)


def test_a_script_of_another_shell_is_refused() -> None:
    batch = Batch("j", ("sbatch",), (), (), "/s", "/d", "", "", shebang="#!/bin/tcsh")
    with pytest.raises(LauncherError, match="tcsh.*needs bash"):
        job_script.render(batch, HEADER, [])


def test_the_script_stands_as_users_know_it() -> None:
    batch = Batch("j", ("sbatch",), (), ("module load solver",), "/s", "/run/state", "", "")
    steps = [
        Step(f"m_{i}-X", ("solver", "two words"), ("srun", "-n", "2"), {"A": "1"}, f"/m{i}", f"/m{i}/o", f"/m{i}/e")
        for i in range(2)
    ]
    lines = job_script.render(batch, HEADER, steps).splitlines()
    assert lines[:7] == [*HEADER, "module load solver", "", "_directory=/run/state", "_element="]
    assert lines[-5:] == [
        "",
        "member 0 m_0-X /m0 /m0/o /m0/e 0 env A=1 srun -n 2 solver 'two words'",
        "member 1 m_1-X /m1 /m1/o /m1/e 0 env A=1 srun -n 2 solver 'two words'",
        "",
        "wait_for_members",
    ]


def test_a_file_that_is_not_complete_yet_says_nothing() -> None:
    assert job_script.parse_exit(b"") is None
    assert job_script.parse_exit(b"1700000000000000 13") is None
    assert job_script.parse_exit(b"1700000000500000 137 TERM\n") == MemberExit(1_700_000_000.5, -9, ("TERM",))
    assert job_script.parse_started(b"17000") is None


@given(st.binary(max_size=30).map(lambda content: content + b"\n"))
def test_a_file_of_somebody_else_says_nothing_or_numbers(content: bytes) -> None:
    ours = re.match(rb"\d+ \d+", content)
    assert (job_script.parse_started(content) is None and job_script.parse_exit(content) is None) or ours


@given(st.integers(0, 255))
def test_codes_of_a_shell_are_told_from_its_signals(status: int) -> None:
    code = job_script.returncode_of(status)
    assert (code if code >= 0 else 128 - code) == status
