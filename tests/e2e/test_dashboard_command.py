"""`smart dashboard` as it is used: a process, a port, browsers and programs that ask."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from recorded_studies import record_study
from running_dashboards import DEADLINE, running_dashboard, smart
from scripts import run_python
from smartsim import Experiment
from smartsim.status import SmartSimStatus

MEMBERS = 50


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("study")
    record_study(directory, MEMBERS)
    return directory


def changes(answer: http.client.HTTPResponse) -> Iterator[dict[str, int]]:
    """Yield the counts of each change that a stream tells of."""
    while line := answer.readline():
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))["counts"]


def test_the_printed_address_opens_it_and_the_printed_line_leads_there(recorded: Path) -> None:
    with smart("dashboard", str(recorded)) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            port = int(url.partition("/?")[0].rpartition(":")[2])
            lines = [process.stdout.readline().strip() for _ in range(5)]
            assert any(line.startswith(f"ssh -N -L {port}:127.0.0.1:{port} ") for line in lines)
            assert any(line.endswith(f"@{socket.gethostname()}") for line in lines)
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
            connection.request("GET", url.partition(str(port))[2])
            first = connection.getresponse()
            first.read()
            assert first.status == 303
            cookie = first.getheader("set-cookie", "").partition(";")[0]
            connection.request("GET", first.getheader("location", ""), headers={"Cookie": cookie})
            page = connection.getresponse()
            assert page.status == 200
            assert b"<html" in page.read()
            connection.close()
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=DEADLINE) == ("", "")
            assert process.returncode == 0
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_in_peace_while_pages_listen(recorded: Path, number: signal.Signals) -> None:
    with running_dashboard(recorded) as dashboard, ExitStack() as pages:
        listeners = [pages.enter_context(dashboard.asked("/api/events")) for _ in range(3)]
        for listener in listeners:
            assert next(changes(listener))
        with dashboard.asked("/api/events") as left_early:
            assert next(changes(left_early))
        assert dashboard.json("/api/overview")
        assert dashboard.end(number) == (0, "", "")
        for listener in listeners:
            assert list(changes(listener)) == []


def test_it_listens_on_this_machine_alone(recorded: Path) -> None:
    with running_dashboard(recorded) as dashboard:
        connections = psutil.Process(dashboard.process.pid).net_connections("inet")
        assert [(one.laddr.ip, one.laddr.port) for one in connections] == [("127.0.0.1", dashboard.port)]


def test_what_read_its_command_line_takes_no_memory(recorded: Path) -> None:
    with running_dashboard(recorded) as dashboard:
        loaded = Path(f"/proc/{dashboard.process.pid}/maps").read_text()
        assert "pydantic" not in loaded
        assert dashboard.json("/api/overview")["directory"] == str(recorded)


def test_two_do_not_get_one_port(recorded: Path) -> None:
    with running_dashboard(recorded) as dashboard:
        with smart("dashboard", str(recorded), "--port", str(dashboard.port)) as second:
            stdout, stderr = second.communicate(timeout=DEADLINE)
        assert (second.returncode, stdout) == (70, "")
        assert f"Port {dashboard.port} of 127.0.0.1" in stderr
        assert "in use" in stderr
        assert dashboard.json("/api/overview")["entities"] == MEMBERS + 3
        port = dashboard.port
        assert dashboard.end()[0] == 0
    with running_dashboard(recorded, "--port", str(port)) as next_one:
        assert next_one.port == port


def test_a_directory_without_a_record_is_told(tmp_path: Path) -> None:
    with smart("dashboard", str(tmp_path)) as process:
        stdout, stderr = process.communicate(timeout=DEADLINE)
    assert (process.returncode, stdout) == (70, "")
    assert str(tmp_path) in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_a_missing_extra_is_told_with_what_installs_it(recorded: Path, missing: str) -> None:
    program = f"import sys; sys.modules['{missing}'] = None; from smartsim.app.cli import main; main()"
    ended = run_python("-c", program, "dashboard", str(recorded), directory=recorded)
    assert (ended.returncode, ended.stdout) == (78, "")
    assert "pip install 'smartsim-next[dashboard]'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_paths_on_the_wire_lead_nowhere_else(recorded: Path) -> None:
    with running_dashboard(recorded) as dashboard:
        for path in (
            "/static/../server.py",
            "/static/%2e%2e/%2e%2e/record.md",
            "//etc/passwd",
            "/static/..%5cserver.py",
        ):
            with dashboard.asked(path) as answer:
                assert answer.status == 404
        for garbage in (b"\x00\xff\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET " + b"x" * 200_000):
            with socket.create_connection(("127.0.0.1", dashboard.port), timeout=DEADLINE) as connection:
                connection.sendall(garbage)
                connection.shutdown(socket.SHUT_WR)
                assert b"200 OK" not in connection.recv(4096)
        assert dashboard.json("/api/overview")["experiment"] == "climate"
        assert dashboard.process.poll() is None


def test_answers_are_made_small_for_slow_lines(recorded: Path) -> None:
    with running_dashboard(recorded) as dashboard:
        headers = {"Authorization": f"Bearer {dashboard.token}", "Accept-Encoding": "gzip"}
        with dashboard.asked("/api/entities", headers=headers) as answer:
            assert answer.getheader("content-encoding") == "gzip"
        with dashboard.asked("/api/events", headers=headers) as answer:  # but changes come at once
            assert answer.getheader("content-encoding") == "identity"
            assert next(changes(answer))


def test_pages_hear_how_a_live_experiment_goes_on(tmp_path: Path) -> None:
    go = tmp_path / "go"
    with Experiment("live", str(tmp_path), launcher="local") as exp:
        wait = exp.create_run_settings("/bin/sh", ["-c", f"while [ ! -e {go} ]; do sleep 0.05; done; echo done"])
        ensemble = exp.create_ensemble("waiters", replicas=3, run_settings=wait)
        exp.generate(ensemble)
        exp.start(ensemble, block=False)
        with running_dashboard(tmp_path) as dashboard, dashboard.asked("/api/events") as answer:
            deadline = threading.Timer(DEADLINE, dashboard.process.kill)
            deadline.start()
            heard = []
            for counts in changes(answer):
                heard.append(counts)
                go.touch()
                if counts == {"Completed": 3}:
                    break
            deadline.cancel()
            assert heard[0] == {"Running": 3}
            assert heard[-1] == {"Completed": 3}
            assert dashboard.json("/api/logs/waiters_1")["text"] == "done\n"


def test_a_copy_of_a_finished_experiment_shows_the_same(recorded: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(recorded, tmp_path / "elsewhere")
    with running_dashboard(recorded) as one, running_dashboard(copy) as other:
        failed = one.json("/api/entities?status=Failed")["rows"][0]["entity"]
        for path in ("/api/heat-map", "/api/databases", f"/api/logs/{failed}?stream=stderr"):
            assert one.json(path) == other.json(path)
        assert one.json("/api/overview")["directory"] == str(recorded)
        assert other.json("/api/overview")["directory"] == str(copy)


def test_a_page_stops_what_a_driver_runs(tmp_path: Path) -> None:
    with Experiment("live", str(tmp_path), launcher="local") as exp:
        model = exp.create_model("sleeper", exp.create_run_settings("/bin/sleep", ["1000"]))
        exp.start(model, block=False)
        with running_dashboard(tmp_path, "--control") as dashboard:
            assert dashboard.json("/api/overview")["control"] is True
            headers = {"Authorization": f"Bearer {dashboard.token}", "X-Requested-With": "test"}
            confirmation = json.dumps({"confirm": "sleeper"})
            with dashboard.asked("/api/entities/sleeper/stop", "POST", confirmation, headers) as answer:
                content = json.loads(answer.read())
                assert answer.status == 200, content
            assert "sleeper" in content["done"]
        assert exp.get_status(model) == [SmartSimStatus.STATUS_CANCELLED]
