"""What the installed distribution has, seen from a process that has nothing to do with the checkout."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import distribution, version
from pathlib import Path

import pytest

import smartsim

HOME = Path(smartsim.__file__).parent


def python(code: str, directory: Path) -> str:
    """Run code in a fresh interpreter, and return what it prints."""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_package_under_test_is_the_installed_one() -> None:
    assert HOME.parent.name == "site-packages"


def test_the_version_is_that_of_the_distribution() -> None:
    assert smartsim.__version__ == version("smartsim-next")
    assert re.match(r"\d+\.\d+\.\d+", smartsim.__version__)


def test_the_distribution_holds_these_packages_and_no_sources_of_the_module() -> None:
    files = distribution("smartsim-next").files
    assert files is not None
    names = [str(file) for file in files if ".." not in file.parts and file.suffix != ".pyc"]
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"smartsim", "smartredis"}
    assets = {name for name in names if name.startswith("smartsim/app/dashboard/static/")}
    assert {Path(name).suffix for name in {*names} - assets if ".dist-info/" not in name} == {".py", ".typed", ".so"}
    assert {Path(name).name for name in assets} >= {"index.html", "app.css", "app.js", "uplot.js", "uplot.LICENSE"}
    for layer in ("domain", "ports", "adapters", "app"):
        assert f"smartsim/{layer}/__init__.py" in names
    assert any(name.endswith("LICENSE") for name in names)


def test_the_wheel_fits_every_python_of_the_platform() -> None:
    wheel = distribution("smartsim-next").read_text("WHEEL")
    assert wheel is not None
    (tag,) = re.findall(r"^Tag: (.*)$", wheel, re.MULTILINE)
    assert re.fullmatch(r"py3-none-(?!any).*", tag)


def test_the_server_module_is_there_and_may_be_loaded() -> None:
    module = HOME / "adapters" / "database" / "module" / "smartsim_ai.so"
    assert module.read_bytes().startswith(b"\x7fELF")
    assert os.access(module, os.R_OK | os.X_OK)


@pytest.mark.parametrize("package", ["smartsim", "smartredis"])
def test_the_types_are_declared(package: str) -> None:
    assert (HOME.parent / package / "py.typed").is_file()


def test_the_command_is_installed(tmp_path: Path) -> None:
    command = Path(sys.executable).parent / "smart"
    ended = subprocess.run(
        [command, "info", "--json"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(ended.stdout)["smartsim-next"] == smartsim.__version__
    helped = subprocess.run([command], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert helped.returncode == os.EX_USAGE
    assert "validate" in helped.stdout


def test_importing_the_package_imports_nobody_elses(tmp_path: Path) -> None:
    code = "import sys; before = set(sys.modules); import smartsim; print(*(set(sys.modules) - before))"
    loaded = {name.split(".")[0] for name in python(code, tmp_path).split()}
    assert loaded - sys.stdlib_module_names == {"smartsim"}


def test_importing_changes_nothing_in_the_process(tmp_path: Path) -> None:
    code = """
import logging, os, signal, threading
def state():
    root = logging.getLogger()
    logs = root.level, root.handlers, logging.getLoggerClass()
    return dict(os.environ), logs, signal.getsignal(signal.SIGINT), threading.active_count()
before = state()
import smartsim, smartsim.client, smartsim.embedding, smartsim.log, smartsim.testing, smartredis
from smartsim import Experiment
assert state() == before, (state(), before)
"""
    python(code, tmp_path)
    assert list(tmp_path.iterdir()) == []
