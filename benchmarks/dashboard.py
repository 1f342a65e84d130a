"""What `smart dashboard` costs for recorded experiments, against a bare application of starlette under uvicorn.

For each: seconds from the start of the process to the first byte of the page, the median time of each answer of the
JSON API, CPU of a core while nobody asks and while one page listens, and resident memory after all of that.

Run: python benchmarks/dashboard.py [members ...]
"""

from __future__ import annotations

import http.client
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from recorded_studies import record_study

ROUNDS = 15
STARTS = 5
IDLE_SECONDS = 30
TIMEOUT = 60.0
ROUTES = (
    "/api/overview",
    "/api/entities?limit=100",
    "/api/entities?limit=100&sort=params.dt&desc=1&text=gmres",
    "/api/heat-map?group=sweep",
    "/api/entities/sweep_7",
    "/api/entities/sweep_7/diagnosis",
    "/api/timeline?limit=100&sort=submitted_at",
    "/api/load",
    "/api/databases",
    "/api/inference",
    "/api/errors",
    "/metrics",
)
SMART = ("-c", "from smartsim.app.cli import main; main()", "dashboard", "--json")
BARE = """
import json, socket, uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
app = Starlette(routes=[Route("/", lambda request: JSONResponse({"hello": "world"}))])
listener = socket.create_server(("127.0.0.1", 0))
listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
print(json.dumps({"url": f"http://127.0.0.1:{listener.getsockname()[1]}/?token="}), flush=True)
config = uvicorn.Config(app, loop="asyncio", http="h11", ws="none", lifespan="off", log_config=None, access_log=False)
uvicorn.Server(config).run(sockets=[listener])
"""


@dataclass(frozen=True)
class Server:
    """A server that answers.

    Args:
        process: that it is.
        connection: to it.
        token: that it wants.
        seconds: from its start to the first byte of its page.
    """

    process: psutil.Popen
    connection: http.client.HTTPConnection
    token: str
    seconds: float

    def ask(self, path: str) -> tuple[float, int]:
        """Return the seconds of an answer, and its bytes."""
        begin = time.perf_counter()
        self.connection.request("GET", path, headers={"Authorization": f"Bearer {self.token}"})
        answer = self.connection.getresponse()
        content = answer.read()
        assert answer.status == 200, content
        return time.perf_counter() - begin, len(content)

    def idle(self) -> float:
        """Return the part of a core that it uses while nobody asks."""
        before = self.process.cpu_times()
        time.sleep(IDLE_SECONDS)
        after = self.process.cpu_times()
        return (after.user + after.system - before.user - before.system) / IDLE_SECONDS

    def idle_with_a_listener(self) -> float:
        """Return the part of a core that it uses while one page listens to changes, of which there are none."""
        self.connection.close()  # it was idle for long, and is made anew
        self.connection.request("GET", "/api/events", headers={"Authorization": f"Bearer {self.token}"})
        answer = self.connection.getresponse()
        while not answer.readline().startswith(b"data: "):
            continue
        return self.idle()


@contextmanager
def served(words: Sequence[str]) -> Iterator[Server]:
    """Run a server until the end of the block."""
    begin = time.perf_counter()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with psutil.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            address = urlsplit(json.loads(process.stdout.readline())["url"])
            token = parse_qs(address.query).get("token", [""])[0]
            connection = http.client.HTTPConnection("127.0.0.1", address.port or 0, timeout=TIMEOUT)
            connection.request("GET", "/", headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            answer.read(1)
            seconds = time.perf_counter() - begin
            answer.read()
            yield Server(process, connection, token, seconds)
            connection.close()
        finally:
            process.terminate()


def start(words: Sequence[str]) -> float:
    """Return the median of the seconds from the start of a process to the first byte."""
    seconds = []
    for _ in range(STARTS):
        with served(words) as server:
            seconds.append(server.seconds)
    return statistics.median(seconds)


def memory(server: Server) -> str:
    """Return what is resident."""
    return f"{server.process.memory_info().rss / 1e6:.0f} MB resident"


def measure_bare() -> None:
    """Print what an application costs that does nothing."""
    words = ("-c", BARE)
    print(f"a bare application: first byte after {start(words):.2f} s")
    with served(words) as server:
        answers = [server.ask("/")[0] for _ in range(10 * ROUNDS)]
        print(f"  {statistics.median(answers) * 1e3:7.2f} ms  /")
        print(f"  idle: {server.idle():.3%} of a core; {memory(server)}")


def measure_dashboard(members: int) -> None:
    """Print what a dashboard costs."""
    with tempfile.TemporaryDirectory() as directory:
        record_study(directory, members)
        words = (*SMART, directory)
        print(f"{members} members: first byte after {start(words):.2f} s")
        with served(words) as server:
            for path in ROUTES:
                answers = [server.ask(path) for _ in range(ROUNDS)]
                median = statistics.median(seconds for seconds, _ in answers)
                print(f"  {median * 1e3:7.2f} ms  {answers[-1][1] / 1e3:8.1f} kB  {path}")
            print(f"  idle: {server.idle():.3%} of a core; {memory(server)}")
            print(f"  idle with a page that listens: {server.idle_with_a_listener():.3%} of a core; {memory(server)}")


def main() -> None:
    """Measure the bare application, and then dashboards."""
    sizes = [int(word) for word in sys.argv[1:]] or [1_000, 10_000]
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{machine}; medians of {STARTS} starts and {ROUNDS} answers; idle over {IDLE_SECONDS} s")
    measure_bare()
    for members in sizes:
        measure_dashboard(members)


if __name__ == "__main__":
    main()
