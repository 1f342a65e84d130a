"""Programs that use the clients of old, each run by the interpreter of an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ENVIRONMENTS = Path(__file__).resolve().parents[2] / "build" / "clients"
PROGRAMS = Path(__file__).parent / "programs"
DEADLINE = 120.0
_OTHERS = ("SSDB", "SSKEY", "SR_", "SMARTSIM_", "PYTHON")


def interpreter(environment: str) -> Path:
    """Return the interpreter of an environment that `scripts/make-client-venvs.sh` makes."""
    path = ENVIRONMENTS / environment / "bin" / "python"
    assert path.exists(), f"there is no {path}: `make clients` makes it"
    return path


def smartredis(
    program: str, case: str, address: str, variables: dict[str, str] | None = None, /, **arguments: Any
) -> Any:
    """Run a function of a program that uses SmartRedis, with the default settings of the client.

    Args:
        program: the file in `programs/`.
        case: the function.
        address: of the database; several, with commas between, for a cluster.
        variables: more of the environment.
        **arguments: what the function is called with.

    Returns:
        What it returned, as JSON can tell it.
    """
    return _run(interpreter("smartredis"), program, case, _settings(address) | (variables or {}), arguments)


def ours(program: str, case: str, address: str, variables: dict[str, str] | None = None, /, **arguments: Any) -> Any:
    """Run a function of a program that was written for SmartRedis with the client of this project, as `smartredis`."""
    path = {name: value for name, value in os.environ.items() if name == "PYTHONPATH"}  # the package may be there
    settings = _settings(address) | path | (variables or {})
    return _run(Path(sys.executable), program, case, settings, arguments)


def redisai(case: str, address: str, /, **arguments: Any) -> Any:
    """Run a function of the program that uses redisai-py.

    Args:
        case: the function.
        address: of the database.
        **arguments: what the function is called with.

    Returns:
        What it returned, as JSON can tell it.
    """
    return _run(interpreter("redisai"), "redisai_client.py", case, {"SSDB": address}, arguments)


def clean_environment() -> dict[str, str]:
    """Return the environment of the tests without what would tell a client or an interpreter of something else."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OTHERS)}


def _settings(address: str) -> dict[str, str]:
    kind = "Clustered" if "," in address else "Standalone"
    return {"SSDB": address, "SR_DB_TYPE": kind, "SR_LOG_LEVEL": "QUIET"}


def _run(python: Path, program: str, case: str, variables: dict[str, str], arguments: dict[str, Any]) -> Any:
    done = subprocess.run(
        [str(python), str(PROGRAMS / program), case, json.dumps(arguments)],
        env=clean_environment() | variables,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, f"{program} {case} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout.splitlines()[-1])
