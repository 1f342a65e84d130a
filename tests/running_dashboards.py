"""Dashboards in processes of their own, and HTTP as it goes over the wire."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

DEADLINE = 60.0
SMART = (sys.executable, "-c", "from smartsim.app.cli import main; main()")


@dataclass(frozen=True)
class RunningDashboard:
    """A dashboard that answers.

    Args:
        process: that it is.
        url: that it printed.
        ssh: the line that it printed.
    """

    process: subprocess.Popen[str]
    url: str
    ssh: str

    @property
    def port(self) -> int:
        """Where it listens."""
        port = urlsplit(self.url).port
        assert port is not None
        return port

    @property
    def token(self) -> str:
        """Its secret."""
        (token,) = parse_qs(urlsplit(self.url).query)["token"]
        return token

    @contextmanager
    def asked(
        self, path: str, method: str = "GET", body: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """Hold the answer to a request as long as somebody reads it; without headers it brings the token along."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            sent = {"Authorization": f"Bearer {self.token}"} if headers is None else headers
            connection.request(method, path, body, dict(sent))
            with connection.getresponse() as answer:
                yield answer
        finally:
            connection.close()

    def json(self, path: str) -> Any:
        """Return the JSON of an answer, which has to be one."""
        with self.asked(path) as answer:
            content = answer.read()
            assert answer.status == 200, content
            return json.loads(content)

    def end(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str, str]:
        """Have it end by a signal; return its exit code and the rest of its output."""
        self.process.send_signal(number)
        stdout, stderr = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, stdout, stderr


def smart(*arguments: str) -> subprocess.Popen[str]:
    """Start the command `smart`; the caller ends it."""
    return subprocess.Popen(
        [*SMART, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )


@contextmanager
def running_dashboard(directory: str | Path, *options: str) -> Iterator[RunningDashboard]:
    """Run `smart dashboard` in a process until the end of the block.

    Args:
        directory: of the experiment.
        options: of the command.
    """
    with smart("dashboard", str(directory), "--json", *options) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                _, stderr = process.communicate(timeout=DEADLINE)
                raise AssertionError(f"it ended with {process.returncode}: {stderr}")
            yield RunningDashboard(process, **json.loads(line))
        finally:
            process.kill()
