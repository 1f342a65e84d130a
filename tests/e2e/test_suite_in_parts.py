"""`scripts/run_tests.py`, with which the whole test-suite runs, on small suites."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts import processes_in

SCRIPT = Path(__file__).parents[2] / "scripts" / "run_tests.py"
DEADLINE = 120.0
PASSES = "def test_it(): pass\n"


def start(directory: Path, tests: dict[str, str]) -> subprocess.Popen[str]:
    (directory / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = "-ra --import-mode=importlib"\n')
    for name, text in tests.items():
        file = directory / "tests" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    command = [sys.executable, str(SCRIPT)]
    return subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run(directory: Path, tests: dict[str, str]) -> tuple[int, str, str]:
    """Return the exit code, what was written, and its last line."""
    with start(directory, tests) as process:
        text, _ = process.communicate(timeout=DEADLINE)
    return process.returncode, text, text.splitlines()[-1]


def test_every_folder_is_run_once(tmp_path: Path) -> None:
    tests = {"test_it.py": PASSES, "app/test_it.py": PASSES, "app/new/test_it.py": PASSES, "b/c/d/test_it.py": PASSES}
    code, text, last = run(tmp_path, tests)
    assert code == 0, text
    assert last.startswith("4 passed in ")


def test_a_failure_in_one_part_fails_the_whole_and_is_shown(tmp_path: Path) -> None:
    fails = "import os\ndef test_it(): assert os.sep == 'no separator'\n"
    code, text, last = run(tmp_path, {"a/test_it.py": PASSES, "b/test_it.py": fails, "c/test_it.py": PASSES})
    assert code == 1
    assert "AssertionError: assert '/' == 'no separator'" in text
    assert "failed: tests/b, see build/tests/tests.b.log" in text
    assert "AssertionError" in (tmp_path / "build" / "tests" / "tests.b.log").read_text()
    assert sorted(last.partition(" in ")[0].split(", ")) == ["1 failed", "2 passed"]


def test_a_part_without_a_summary_fails_the_whole(tmp_path: Path) -> None:
    code, text, _ = run(tmp_path, {"a/test_it.py": PASSES, "b/test_it.py": "import os\nos._exit(0)\n"})
    assert code == 1, text
    code, text, _ = run(tmp_path, {"b/test_it.py": "import os\ndef test_it(): os.abort()\n"})
    assert code == 1
    assert "(exit code -6)" in text


def test_the_last_line_tells_of_tests_that_did_not_run(tmp_path: Path) -> None:
    skips = "import pytest\n@pytest.mark.skip(reason='no time')\ndef test_it(): pass\n"
    xfails = "import pytest\n@pytest.mark.xfail\ndef test_it(): assert False\n@pytest.mark.xfail\ndef test_b(): pass\n"
    deselects = "def pytest_collection_modifyitems(config, items):\n config.hook.pytest_deselected(items=items[1:])\n"
    tests = {
        "a/test_it.py": skips,
        "b/test_it.py": xfails,
        "c/test_it.py": PASSES + "def test_b(): pass\n",
        "c/conftest.py": deselects + " del items[1:]\n",
        "d/test_it.py": "import pytest\npytest.skip(allow_module_level=True)\n" + PASSES,
        "d/test_other.py": PASSES,
    }
    code, text, last = run(tmp_path, tests)
    assert code == 0, text
    assert "no time" in text
    expected = ["1 deselected", "1 xfailed", "1 xpassed", "2 passed", "2 skipped"]
    assert sorted(last.partition(" in ")[0].split(", ")) == expected


WAITS = """
import pathlib, pytest, threading
here = pathlib.Path(__file__).parent
@pytest.fixture(scope="session")
def kept():
    yield
    (here / "ending").touch()
    threading.Event().wait({ending})
    (here / "ended").touch()
def test_it(kept):
    (here / "begun").touch()
    threading.Event().wait(600)
"""


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def wait_for(name: str, folders: list[Path]) -> None:
    wait_until(lambda: all((folder / name).exists() for folder in folders), f"not {name}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_has_every_part_end_in_order(number: signal.Signals, tmp_path: Path) -> None:
    folders = [tmp_path / "tests" / name for name in "ab"]
    with start(tmp_path, {f"{name}/test_it.py": WAITS.format(ending=0.5) for name in "ab"}) as process:
        wait_for("begun", folders)
        process.send_signal(number)
        text, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert text.endswith("interrupted\n")
    assert all((folder / "ended").exists() for folder in folders)


def test_ctrl_c_again_ends_what_does_not_come_to_its_end(tmp_path: Path) -> None:
    with start(tmp_path, {"a/test_it.py": WAITS.format(ending=600)}) as process:
        wait_for("begun", [tmp_path / "tests" / "a"])
        process.send_signal(signal.SIGINT)
        wait_for("ending", [tmp_path / "tests" / "a"])
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    wait_until(lambda: not processes_in(tmp_path), "it is still there")
