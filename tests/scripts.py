"""Scripts, run by tests as users run them: each in a process of its own, with a deadline."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
DEADLINE = 120.0
_OURS = ("SSDB", "SSKEY", "SR_", "SMARTSIM_", "PBS_", "SLURM_", "LSB_")


def run_script(
    script: Path, *arguments: str, directory: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a Python script to its end.

    Args:
        script: the file.
        arguments: its command line.
        directory: where it runs.
        environment: variables for it; those that would tell it of another experiment or allocation are taken away.

    Returns:
        How it ended, with its output as text.
    """
    return run_python(str(script), *arguments, directory=directory, environment=environment)


def run_python(
    *arguments: str, directory: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the interpreter of the tests; otherwise as `run_script`."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    variables["PATH"] = f"{Path(sys.executable).parent}:{variables['PATH']}"
    command = [sys.executable, *arguments]
    process = subprocess.Popen(
        command,
        cwd=directory,
        env={**variables, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    with process:
        try:
            stdout, stderr = process.communicate(timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # a driver that is interrupted stops what it started
            try:
                stdout, stderr = process.communicate(timeout=DEADLINE)
            finally:
                process.kill()
            raise AssertionError(f"not ended after {DEADLINE:g} s: {command}\n{stdout}\n{stderr}") from None
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def processes_in(directory: Path) -> Sequence[str]:
    """Return the command lines of processes that work in a directory or below it."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(directory):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def kill_all_in(directory: Path) -> None:
    """Kill what works in a directory or below it, also if that has been removed."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if Path(process.cwd().removesuffix(" (deleted)")).is_relative_to(directory):
                process.kill()
