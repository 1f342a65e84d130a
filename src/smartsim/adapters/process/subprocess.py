"""Programs of this machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress

from smartsim.domain.errors import ShellError
from smartsim.ports.process_runner import Completed


class SubprocessRunner:
    """Looks programs up in `PATH`, and runs them as child processes in a session of their own."""

    def find(self, program: str) -> str | None:
        """Return the absolute path of an executable, or None. Links are not resolved: their name may matter."""
        found = shutil.which(program)
        return None if found is None else os.path.abspath(found)

    def run(self, argv: Sequence[str], timeout: float) -> Completed:
        """Run a program to its end. What it started and left behind is killed with it when it takes too long."""
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise ShellError(f"Cannot start {argv[0]}", argv, f"{error}: check that it is installed") from error
        with process:
            try:
                stdout, stderr = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired as error:
                _kill(process)
                raise ShellError(
                    f"{argv[0]} did not end within {timeout:g} s and was killed",
                    argv,
                    "try it by hand: it may wait for a server",
                ) from error
            except BaseException:
                _kill(process)
                raise
        return Completed(process.returncode, stdout.decode(errors="replace"), stderr.decode(errors="replace"))


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
