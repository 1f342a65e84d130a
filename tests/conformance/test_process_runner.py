"""What every process runner does."""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path

import pytest

from smartsim.adapters.process.scripted import ScriptedProcessRunner
from smartsim.adapters.process.subprocess import SubprocessRunner
from smartsim.domain.errors import ShellError
from smartsim.ports.process_runner import Completed, ProcessRunner

ENOUGH = 30.0
LITTLE = 0.2

PROGRAMS = {
    "talk": "printf 'out: %s|' \"$@\"; printf 'err\\n' >&2; exit 3",
    "die": "kill -TERM $$",
    "mumble": r"printf '\377\303\251'",
    "listen": "if read line; then exit 1; fi; echo nothing to read",
    "wait": "sleep 600",
}
ARGUMENTS = ["two words", "", "$HOME", "naïve", "a\nb"]
ANSWERS = {
    ("talk", *ARGUMENTS): Completed(3, "".join(f"out: {word}|" for word in ARGUMENTS), "err\n"),
    ("die",): Completed(-15, "", ""),
    ("mumble",): Completed(0, "\N{REPLACEMENT CHARACTER}é", ""),
    ("listen",): Completed(0, "nothing to read\n", ""),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory in the search path, with the programs in it."""
    for name, script in PROGRAMS.items():
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    (tmp_path / "data").write_text("not a program")
    (tmp_path / "directory").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


@pytest.fixture(params=["system", "scripted"])
def runner(request: pytest.FixtureRequest, folder: Path) -> ProcessRunner:
    if request.param == "system":
        return SubprocessRunner()
    return ScriptedProcessRunner({name: str(folder / name) for name in PROGRAMS}, ANSWERS)


def test_a_program_is_found_by_its_name_and_by_its_path(runner: ProcessRunner, folder: Path) -> None:
    assert runner.find("talk") == str(folder / "talk")
    assert runner.find(str(folder / "talk")) == str(folder / "talk")


@pytest.mark.parametrize("program", ["no-such-program", "", "data", "directory"])
def test_what_cannot_be_executed_is_not_found(runner: ProcessRunner, folder: Path, program: str) -> None:
    assert runner.find(program) is None
    assert runner.find(str(folder / "no" / program)) is None


@pytest.mark.parametrize("argv", list(ANSWERS))
def test_a_program_is_given_its_words_and_answers(runner: ProcessRunner, argv: tuple[str, ...]) -> None:
    assert runner.run(argv, timeout=ENOUGH) == ANSWERS[argv]


def test_a_program_that_is_not_there_is_an_error_that_names_it(runner: ProcessRunner) -> None:
    with pytest.raises(ShellError, match="(?s)Cannot start no-such-program.*Command: no-such-program --version"):
        runner.run(["no-such-program", "--version"], timeout=ENOUGH)


def test_a_program_that_does_not_end_is_an_error_that_names_it(runner: ProcessRunner) -> None:
    with pytest.raises(ShellError, match="(?s)wait did not end within 0.2 s.*Command: wait"):
        runner.run(["wait"], timeout=LITTLE)


class TestOnThisMachine:
    def test_a_relative_path_becomes_absolute(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(folder)
        assert SubprocessRunner().find("./talk") == str(folder / "talk")

    def test_a_link_keeps_its_name(self, folder: Path) -> None:
        (folder / "alias").symlink_to(sys.executable)
        assert SubprocessRunner().find("alias") == str(folder / "alias")

    @pytest.mark.parametrize("argv", [["talk", "a\0b"], ["data"]])
    def test_what_the_system_refuses_is_our_error(self, folder: Path, argv: list[str]) -> None:
        with pytest.raises(ShellError, match="Cannot start"):
            SubprocessRunner().run([str(folder / argv[0]), *argv[1:]], timeout=ENOUGH)

    def test_what_it_started_is_killed_with_it(self, folder: Path) -> None:
        os.mkfifo(folder / "pipe")
        parent = folder / "parent"
        parent.write_text(f"#!/bin/sh\n(echo started; sleep 600) >{folder}/pipe & wait\n")
        parent.chmod(0o755)
        pipe = os.open(folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)
        try:
            with pytest.raises(ShellError, match="was killed"):
                SubprocessRunner().run([str(parent)], timeout=1.0)
            # The pipe ends when nobody holds its other end any more.
            assert _read_to_end(pipe) == b"started\n"
        finally:
            os.close(pipe)

    def test_much_output_is_taken_as_it_comes(self) -> None:
        size = 1 << 20
        script = f"import sys; sys.stdout.write('o' * {size}); sys.stderr.write('e' * {size})"
        answer = SubprocessRunner().run([sys.executable, "-c", script], timeout=ENOUGH)
        assert (len(answer.stdout), len(answer.stderr)) == (size, size)


def _read_to_end(pipe: int) -> bytes:
    poller = select.poll()
    poller.register(pipe, select.POLLIN)
    content = b""
    while True:
        assert poller.poll(ENOUGH * 1000), "somebody still holds the pipe"
        part = os.read(pipe, 100)
        if not part:
            return content
        content += part


def test_by_default_a_scripted_machine_has_every_program() -> None:
    assert ScriptedProcessRunner().find("solver") == "/bin/solver"
    assert ScriptedProcessRunner().find("/opt/solver") == "/opt/solver"
    assert ScriptedProcessRunner().find("") is None
