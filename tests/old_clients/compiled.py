"""Programs in C and C++ with the SmartRedis library.

The library is in the wheel: its extension module of Python exports all functions and classes. A stand-in for the
symbols of Python, which nothing here calls, lets a program link it that is not Python.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from old_clients.old_client import PROGRAMS, clean_environment, interpreter

DEADLINE = 120.0
_COMPILERS = {
    ".c": ("cc", "-std=c11"),
    ".cpp": ("c++", "-std=c++17", "-D_GLIBCXX_USE_CXX11_ABI=0"),  # the wheel's strings are those of old
}


def find_libraries(directory: Path) -> list[str]:
    """Return what to link: the library, and what stands in for Python.

    Args:
        directory: where the latter is made.
    """
    (library,) = interpreter("smartredis").parents[1].glob("lib/python3.11/site-packages/smartredis/smartredisPy.*.so")
    symbols = run("nm", "-D", "--undefined-only", str(library)).split()
    source = directory / "python.c"
    source.write_text("".join(f"char {name}[4096];\n" for name in symbols if name.lstrip("_").startswith("Py")))
    stand_in = directory / "libpython.so"
    run("cc", "-shared", "-fPIC", "-o", str(stand_in), str(source))
    return [str(library), str(stand_in)]


def build(program: str, libraries: Sequence[str], directory: Path) -> str:
    """Return the executable of a program.

    Args:
        program: the file in `programs/`.
        libraries: to link.
        directory: where it is made.
    """
    source, executable = PROGRAMS / program, directory / "program"
    paths = [f"-Wl,-rpath,{Path(library).parent}" for library in libraries]
    run(*_COMPILERS[source.suffix], "-Wall", "-o", str(executable), str(source), *libraries, *paths)
    return str(executable)


def run(*command: str, address: str = "") -> str:
    """Run a command; return what it wrote. Bytes that are no UTF-8 are as in file names.

    Args:
        command: its argument list.
        address: of the database; several, with commas between, for a cluster.
    """
    assert shutil.which(command[0]), f"{command[0]} is needed; on Debian and Ubuntu: apt-get install gcc g++ binutils"
    kind = "Clustered" if "," in address else "Standalone"
    done = subprocess.run(
        command,
        env=clean_environment() | {"SSDB": address, "SR_DB_TYPE": kind, "SR_LOG_LEVEL": "QUIET"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout
