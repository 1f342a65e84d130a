"""Driver scripts that tests run in an allocation of Slurm."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

from schedulers import Slurm


def told_in_allocation(
    slurm: Slurm, directory: Path, begin: str, script: str, *allocation: str, arguments: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Run a driver script in an allocation, and return what it tells.

    Args:
        slurm: where.
        directory: where it works.
        begin: the first lines of the script; they import `json`, and make the dictionary `told`.
        script: the others, which put there what they tell; may be indented.
        allocation: options of `salloc`.
        arguments: of the script.
    """
    path = directory / "driver.py"
    path.write_text(f"{begin}\n{dedent(script)}\nprint(json.dumps(told))\n")
    command = ["salloc", "--quiet", "--time=5", "--mem=1800", *allocation, f"--chdir={directory}"]
    result = slurm.run(*command, sys.executable, str(path), *arguments)
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    told: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return told
