"""Programs in C and C++ with the SmartRedis library.

The library is in the wheel: its extension module of Python exports all functions and classes. A stand-in for the
symbols of Python, which nothing here calls, lets a program link it that is not Python.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from old_clients.database import Database
from old_clients.old_client import PROGRAMS, clean_environment, interpreter

DEADLINE = 120.0
LANGUAGES = {
    "c_api.c": ("cc", "-std=c11"),
    "cpp_api.cpp": ("c++", "-std=c++17", "-D_GLIBCXX_USE_CXX11_ABI=0"),  # the wheel's strings are those of old
}


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What to link: the library, and what stands in for Python."""
    (library,) = interpreter("smartredis").parents[1].glob("lib/python3.11/site-packages/smartredis/smartredisPy.*.so")
    directory = tmp_path_factory.mktemp("python")
    symbols = _run("nm", "-D", "--undefined-only", str(library)).split()
    source = directory / "python.c"
    source.write_text("".join(f"char {name}[4096];\n" for name in symbols if name.lstrip("_").startswith("Py")))
    stand_in = directory / "libpython.so"
    _run("cc", "-shared", "-fPIC", "-o", str(stand_in), str(source))
    return [str(library), str(stand_in)]


def _run(*command: str, **variables: str) -> str:
    assert shutil.which(command[0]), f"{command[0]} is needed; on Debian and Ubuntu: apt-get install gcc g++ binutils"
    done = subprocess.run(
        command,
        env=clean_environment() | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


@pytest.mark.parametrize("program", LANGUAGES)
def test_a_program(database: Database, libraries: list[str], tmp_path: Path, affine: str, program: str) -> None:
    script = tmp_path / "script.py"
    script.write_text("def double(x):\n    return 2 * x\n")
    executable = tmp_path / "program"
    paths = [f"-Wl,-rpath,{Path(library).parent}" for library in libraries]
    _run(*LANGUAGES[program], "-Wall", "-o", str(executable), str(PROGRAMS / program), *libraries, *paths)

    settings = {"SSDB": database.tcp, "SR_DB_TYPE": "Standalone", "SR_LOG_LEVEL": "QUIET"}
    lines = _run(str(executable), affine, str(script), **settings).splitlines()

    assert lines[:3] == ["x: 1 2 3 4 5 6 7 8", "y: 3 5 7 9 11 13 15 17", "z: 2 4 6 8 10 12 14 16"]
    assert lines[3].endswith("ERR model key is empty")
    assert len(lines) == 4
    assert database.client.execute_command("AI.TENSORGET", "x", "META")[3] == [2, 4]
