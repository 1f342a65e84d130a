"""`smart dbcli`, with databases that run."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts import run_python
from smartsim import Experiment
from smartsim.adapters.wlm.own import OwnProcess, own_processes
from smartsim.app.cli import main
from smartsim.app.cli.prompt import shown

Session = Callable[..., tuple[int, str, str]]
# Stands in for a client program: says how it was called, and whether the database lets it in as an administrator.
CLIENT = """#!{python}
import json, os, sys
import redis
words = sys.argv[1:]
options = dict(zip(words[0::2], words[1::2], strict=True))
with redis.Redis(
    options["-h"], int(options["-p"]), username=options["--user"], password=os.environ["REDISCLI_AUTH"]
) as client:
    print(json.dumps([words, client.acl_whoami(), os.environ["REDISCLI_AUTH"]]))
"""


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Session:
    """Run the command where there is no client program, with lines to it; it sees only what runs under `tmp_path`."""

    def here() -> list[OwnProcess]:
        found = own_processes()
        sessions = {process.session for process in found if process.directory.startswith(str(tmp_path))}
        return [process for process in found if process.session in sessions]

    monkeypatch.setattr("smartsim.app.cli.database_client.own_processes", here)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))

    def run(*arguments: str, lines: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["smart", "dbcli", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
        with pytest.raises(SystemExit) as end:
            main()
        printed = capsys.readouterr()
        return int(end.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture
def experiment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Experiment]:
    with Experiment("asked", str(tmp_path)) as experiment:
        yield experiment
        capsys.readouterr()


def test_a_session_needs_no_name_no_password_and_no_program(
    session: Session, experiment: Experiment, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    database = experiment.create_database(port=0, db_identifier="store", password=True)
    experiment.start(database)
    capsys.readouterr()
    typed = [
        "acl whoami",
        "set 'a key' \"two words\"",
        "",
        "get 'a key'",
        "mget 'a key' missing",
        "incr number",
        "multi",
        "incr number",
        "exec",
        "nonsense",
        "get 'half a quotation",
        "monitor",
        "quit",
        "set not reached",
    ]
    code, output, error = session(lines="\n".join(typed))
    assert (code, error) == (0, "")
    lines = output.splitlines()
    assert lines[:9] == [
        "admin",
        "OK",
        "two words",
        "1) two words",
        "2) (nil)",
        "(integer) 1",
        "OK",
        "QUEUED",
        "1) (integer) 2",
    ]
    assert lines[9].startswith("(error) unknown command 'nonsense'")
    assert lines[10:] == ["(error) No closing quotation", "(error) monitor wants a client program, such as valkey-cli"]
    assert (tmp_path / "store" / "admin_password").read_text().strip() not in output

    code, output, _ = session("store", lines="exists not\n")
    assert (code, output) == (0, "(integer) 0\n")
    code, output, _ = session(str(tmp_path / "store"), lines="shutdown nosave\nping\n")
    assert code == os.EX_SOFTWARE == 70


def test_a_session_follows_keys_through_a_cluster(
    session: Session, experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment.start(experiment.create_database(port=0, db_nodes=3))
    capsys.readouterr()
    keys = ("one", "two", "three", "four")
    code, output, _ = session(lines="\n".join([*(f"set {key} {key}" for key in keys), *(f"get {key}" for key in keys)]))
    assert (code, output.splitlines()) == (0, ["OK"] * len(keys) + list(keys))


def test_a_session_with_a_database_beside_a_model_goes_through_its_socket(
    session: Session, experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    model = experiment.create_model(
        "near", experiment.create_run_settings(sys.executable, ["-c", "import signal; signal.pause()"])
    )
    model.colocate_db_uds()
    experiment.start(model, block=False)
    capsys.readouterr()
    assert session(lines="acl whoami") == (0, "admin\n", "")
    experiment.stop(model)


def test_which_database_has_to_be_clear(
    session: Session, experiment: Experiment, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, output, error = session()
    assert (code, output) == (70, "")
    assert "No database of yours runs" in error

    for name in ("east", "west"):
        experiment.start(experiment.create_database(port=0, db_identifier=name))
    capsys.readouterr()
    code, output, error = session()
    assert (code, output) == (70, "")
    assert f"east ({tmp_path / 'east'})" in error
    assert f"west ({tmp_path / 'west'})" in error
    assert session("west", lines="ping")[:2] == (0, "PONG\n")
    code, _, error = session("north")
    assert code == 70
    assert "north: nothing of this name" in error


def test_a_client_program_gets_the_password_where_nobody_sees_it(experiment: Experiment, tmp_path: Path) -> None:
    database = experiment.create_database(port=0, db_identifier="store")
    experiment.start(database)
    program = tmp_path / "bin" / "valkey-cli"
    program.parent.mkdir()
    program.write_text(CLIENT.format(python=sys.executable))
    program.chmod(0o755)
    command = "import os; os.environ['PATH'] = os.environ['CLIENTS']; from smartsim.app.cli import main; main()"
    done = run_python(
        "-c",
        command,
        "dbcli",
        str(tmp_path / "store"),
        directory=tmp_path,
        environment={"CLIENTS": str(program.parent)},
    )
    words, name, password = json.loads(done.stdout)
    host, port = database.get_address()[0].split(":")
    assert words == ["-h", host, "-p", port, "--user", "admin"]
    assert name == "admin"
    assert password == (tmp_path / "store" / "admin_password").read_text().strip()


def test_the_path_of_a_client_program(session: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code, output, error = session("--path")
    assert (code, output) == (70, "")
    assert "no valkey-cli or redis-cli in PATH" in error
    program = tmp_path / "redis-cli"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert session("--path") == (0, f"{program}\n", "")


replies = st.recursive(
    st.none() | st.integers() | st.binary() | st.builds(ValueError, st.text()),
    lambda parts: st.lists(parts, max_size=4),
)


@given(replies)
def test_no_reply_gives_orders_to_a_terminal(reply: object) -> None:
    text = shown(reply)
    assert all(letter.isprintable() or letter in "\n\t" for letter in text)


def test_nested_replies_are_indented() -> None:
    assert shown([b"a", [1, [b"b", b"c"]], []]) == "1) a\n2) 1) (integer) 1\n   2) 1) b\n      2) c\n3) (empty array)"
