"""The commands `smart ps` and `smart reap`, as installed, after a driver that was killed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SMART = str(Path(sys.executable).parent / "smart")
DRIVER = """
import os, signal, sys
from smartsim import Experiment

exp = Experiment("killed", sys.argv[1])
database = exp.create_database(port=0)
solver = exp.create_model("solver", exp.create_run_settings("sleep", "600"))
exp.start(database, solver, block=False)
os.kill(os.getpid(), signal.SIGKILL)
"""


def smart(*arguments: str) -> tuple[int, str]:
    done = subprocess.run([SMART, *arguments], capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout


def left(path: Path) -> list[dict[str, Any]]:
    code, output = smart("ps", "--json")
    assert code == 0
    return [found for found in json.loads(output) if found["experiment"] == str(path)]


def test_what_a_killed_driver_left_is_listed_and_ended(tmp_path: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", DRIVER, str(tmp_path)], capture_output=True, timeout=120, check=False
    )
    assert killed.returncode == -9
    assert {(found["kind"], found["name"], found["driver"]) for found in left(tmp_path)} == {
        ("application", "solver", None),
        ("database", "orchestrator", None),
    }
    code, output = smart("ps")
    assert code == 0
    assert str(tmp_path / "orchestrator") in output
    code, output = smart("reap", str(tmp_path), "--save")
    assert code == 0
    assert output.count("has ended") == 2
    assert left(tmp_path) == []
    assert (tmp_path / "orchestrator" / "orchestrator_0.rdb").exists()
