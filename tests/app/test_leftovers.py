"""What experiments left running, found and ended, with real processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from smartsim import Experiment
from smartsim.adapters.eventlog.jsonl import JsonlEventLog
from smartsim.adapters.wlm.own import OwnProcess, own_processes
from smartsim.app.cli import main
from smartsim.app.reading import EVENTS_FILE, ExperimentReader
from smartsim.app.remote_control import user_here
from smartsim.domain.errors import TelemetryError

DEADLINE = 60.0
# Starts what it is told to, says so, and runs until its standard input ends.
DRIVER = """
import sys
from smartsim import Experiment

exp = Experiment("left", sys.argv[1])
for what in sys.argv[2:]:
    if what == "near":
        model = exp.create_model("near", exp.create_run_settings("sleep", "600"))
        model.colocate_db_uds()
        exp.start(model, block=False)
    elif what == "solver":
        exp.start(exp.create_model("solver", exp.create_run_settings("sleep", "600")), block=False)
    else:
        database = exp.create_database(port=0, db_identifier="store", db_nodes=int(what))
        exp.start(database)
print("started", flush=True)
sys.stdin.read()
"""

Smart = Callable[..., tuple[int, str, str]]


@pytest.fixture
def smart(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Smart:
    """Run the command, which sees only what runs under `tmp_path`; return its exit code and what it printed."""

    def here() -> list[OwnProcess]:
        found = own_processes()
        sessions = {process.session for process in found if process.directory.startswith(str(tmp_path))}
        return [process for process in found if process.session in sessions]

    monkeypatch.setattr("smartsim.app.cli.leftovers.own_processes", here)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["smart", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        printed = capsys.readouterr()
        return int(end.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture
def listed(smart: Smart) -> Callable[[], list[dict[str, Any]]]:
    def run() -> list[dict[str, Any]]:
        code, output, _ = smart("ps", "--json")
        assert code == 0
        found: list[dict[str, Any]] = json.loads(output)
        return found

    return run


@pytest.fixture(autouse=True)
def _clean(tmp_path: Path) -> Iterator[None]:
    """End whatever a test that failed has left."""
    yield
    for process in own_processes():
        if process.directory.startswith(str(tmp_path)):
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)


@contextmanager
def driver(path: Path, *what: str) -> Iterator[subprocess.Popen[str]]:
    """A driver that runs, and ends with the block, by force."""
    command = [sys.executable, "-c", DRIVER, str(path), *what]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            while process.stdout.readline() not in ("started\n", ""):
                pass
            assert process.poll() is None
            yield process
        finally:
            process.kill()


def test_nothing_is_listed_when_nothing_runs(smart: Smart, listed: Callable[[], list[dict[str, Any]]]) -> None:
    assert smart("ps") == (0, "No experiment of yours has anything running on this machine.\n", "")
    assert listed() == []
    assert smart("reap", "--all") == (0, "There is nothing to end.\n", "")


def test_a_database_is_listed_with_its_driver_and_ended_after_it(
    smart: Smart, listed: Callable[[], list[dict[str, Any]]], tmp_path: Path
) -> None:
    with driver(tmp_path, "1") as process:
        (found,) = listed()
        assert (found["kind"], found["name"], found["driver"]) == ("database", "store", process.pid)
        assert (found["path"], found["experiment"]) == (str(tmp_path / "store"), str(tmp_path))
        assert found["age"] >= 0
        assert found["memory"] > 1e6
        (server,) = found["servers"]
        assert server["name"] == "store_0"
        assert server["pid"] in found["processes"]
        host, port = server["address"].split(":")
        with redis.Redis(host, int(port)) as client:
            assert client.info("server")["process_id"] == server["pid"]

        code, _, error = smart("reap", "store")
        assert code == 1
        assert f"its driver, process {process.pid}, still uses it; --force" in error
        assert smart("reap", "--all") == (0, "There is nothing to end.\n", "")

    (found,) = listed()
    assert found["driver"] is None
    code, output, _ = smart("ps")
    assert code == 0
    assert all(word in output for word in ("store", "gone", server["address"], str(server["pid"])))
    code, output, _ = smart("reap", "store")
    assert (code, output) == (0, f"database store ({tmp_path / 'store'}) has ended\n")
    assert listed() == []
    with socket.socket() as probe:
        assert probe.connect_ex((host, int(port))) != 0


def test_a_database_with_a_living_driver_is_ended_by_force(
    smart: Smart, listed: Callable[[], list[dict[str, Any]]], tmp_path: Path
) -> None:
    with driver(tmp_path, "1"):
        assert smart("reap", "--force", "store")[0] == 0
        assert listed() == []


def test_a_driver_that_takes_a_database_over_is_its_driver(
    smart: Smart, listed: Callable[[], list[dict[str, Any]]], tmp_path: Path
) -> None:
    with driver(tmp_path, "1"):
        pass
    with Experiment("other", str(tmp_path)) as exp:
        database = exp.reconnect_orchestrator(str(tmp_path / "store" / "smartsim_db.dat"))
        assert [found["driver"] for found in listed()] == [os.getpid()]
        assert smart("reap", "store")[0] == 1
        exp.stop(database)


@pytest.mark.parametrize("arguments", [(), ("--save",)])
def test_data_is_saved_when_asked_for(smart: Smart, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with driver(tmp_path, "1"):
        pass
    _, output, _ = smart("ps", "--json")
    host, port = json.loads(output)[0]["servers"][0]["address"].split(":")
    with redis.Redis(host, int(port)) as client:
        client.set("kept", "x")
    assert smart("reap", str(tmp_path / "store"), *arguments)[0] == 0
    assert (tmp_path / "store" / "store_0.rdb").exists() == bool(arguments)
    with Experiment("left", str(tmp_path)) as exp:
        database = exp.create_database(port=0, db_identifier="store")
        exp.start(database)
        with redis.Redis(host, database.ports[0]) as client:
            assert client.get("kept") == (b"x" if arguments else None)


def test_a_server_that_hangs_is_ended_all_the_same_but_not_when_it_is_to_save(
    smart: Smart, listed: Callable[[], list[dict[str, Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartsim.app.reaping._ANSWER_TIMEOUT", 0.3)
    monkeypatch.setattr("smartsim.app.reaping._GRACE", 0.3)
    with driver(tmp_path, "1"):
        pass
    os.kill(listed()[0]["servers"][0]["pid"], signal.SIGSTOP)
    code, output, _ = smart("reap", "store", "--save", "--json")
    (left,) = json.loads(output)["left"]
    assert code == 1
    assert "left alone: store_0 does not answer at 127.0.0.1:" in left["reason"]
    assert len(listed()) == 1
    code, output, _ = smart("reap", "store", "--json")
    assert (code, json.loads(output)["left"]) == (0, [])
    assert listed() == []


def test_a_cluster_is_one_database_of_several_servers(
    smart: Smart, listed: Callable[[], list[dict[str, Any]]], tmp_path: Path
) -> None:
    with driver(tmp_path, "3"):
        pass
    (found,) = listed()
    assert [server["name"] for server in found["servers"]] == ["store_0", "store_1", "store_2"]
    assert len({server["address"] for server in found["servers"]}) == 3
    assert smart("reap", str(tmp_path))[0] == 0
    assert listed() == []


def test_a_database_that_was_not_recorded_is_listed_and_ended(
    smart: Smart, listed: Callable[[], list[dict[str, Any]]], tmp_path: Path
) -> None:
    with driver(tmp_path, "1") as process:
        (tmp_path / "store" / "smartsim_db.dat").unlink()  # as if it had not been written yet
        (found,) = listed()
        assert (found["name"], found["driver"], found["experiment"]) == ("store", process.pid, str(tmp_path))
    server = found["servers"][0]["pid"]
    for beside in set(found["processes"]) - {server}:
        with suppress(ProcessLookupError):
            os.kill(beside, signal.SIGKILL)
    (found,) = listed()
    assert (found["name"], found["driver"], found["servers"][0]["pid"]) == ("store", None, server)
    assert found["experiment"] == str(tmp_path)
    assert smart("reap", "store")[0] == 0
    assert listed() == []


def test_a_database_whose_directory_is_gone_is_listed_and_ended(
    smart: Smart, listed: Callable[[], list[dict[str, Any]]], tmp_path: Path
) -> None:
    with driver(tmp_path, "1"):
        pass
    shutil.rmtree(tmp_path / "store")
    (found,) = listed()
    assert (found["name"], found["path"], found["driver"]) == ("store", str(tmp_path / "store"), None)
    assert [server["name"] for server in found["servers"]] == ["store_0"]
    assert smart("reap", "store")[0] == 0
    assert listed() == []


def test_applications_and_their_databases_are_listed_and_ended(
    smart: Smart, listed: Callable[[], list[dict[str, Any]]], tmp_path: Path
) -> None:
    with driver(tmp_path, "near", "solver") as process:
        found = {(each["kind"], each["name"]): each for each in listed()}
        assert set(found) == {("application", "near"), ("application", "solver"), ("colocated", "near")}
        assert {each["driver"] for each in found.values()} == {process.pid}
        assert {each["experiment"] for each in found.values()} == {str(tmp_path)}
        assert found["application", "solver"]["path"] == str(tmp_path / "solver")
        assert found["colocated", "near"]["servers"][0]["address"].startswith("unix:///")
    assert {each["driver"] for each in listed()} == {None}
    code, _, error = smart("reap", "near")
    assert code == 1
    assert "near is the name of several: give the path" in error
    code, output, _ = smart("reap", "--all", "--json")
    assert code == 0
    assert len(json.loads(output)["ended"]) == 3
    assert listed() == []


def ends(path: Path) -> dict[str, tuple[str, int | None, str]]:
    """Return the status, the exit code and who stopped it, of every start of an experiment that has an end."""
    jobs = ExperimentReader(str(path)).history.jobs.values()
    return {job.facts.entity: (job.status.value, job.returncode, job.stopped_by) for job in jobs if job.ended_at}


BY_US: Final = ("Cancelled", None, f"{user_here()} with smart reap")


def test_the_end_of_what_has_no_driver_is_recorded(smart: Smart, tmp_path: Path) -> None:
    with driver(tmp_path, "1", "near", "solver"):
        pass
    record = tmp_path / EVENTS_FILE
    with record.open("ab") as stream:
        stream.write(b'{"version": 1, "event": "ended", "entity": "sol')  # the driver was killed while it wrote
    assert ends(tmp_path) == {}
    assert smart("reap", str(tmp_path / "solver"))[0] == 0
    assert ends(tmp_path) == {"solver": BY_US}
    assert smart("reap", "--all")[0] == 0
    assert ends(tmp_path) == {"solver": BY_US, "near": BY_US, "store_0": BY_US}
    told = [event for event in JsonlEventLog(str(record)).replay() if event["event"] == "ended"]
    assert [event["entity"] for event in told] == ["solver", "near", "store_0"]  # each of them once
    assert {event["reason"] for event in told} == {"its driver had gone, and smart reap ended it"}


def test_a_driver_that_runs_records_the_end_itself(smart: Smart, tmp_path: Path) -> None:
    with driver(tmp_path, "solver") as process:
        assert smart("reap", "--force", "solver")[0] == 0
        assert process.stdin is not None
        process.stdin.close()  # it ends as drivers do, and has recorded what it knows
        process.wait(DEADLINE)
    (end,) = ends(tmp_path).values()
    assert end[:2] == ("Failed", -signal.SIGTERM)


def test_an_experiment_without_a_record_is_left_without(
    smart: Smart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMARTSIM_FLAG_TELEMETRY", "0")
    with driver(tmp_path, "solver"):
        pass
    assert smart("reap", "solver")[0] == 0
    assert not (tmp_path / EVENTS_FILE).exists()


def test_an_end_that_cannot_be_recorded_is_told(
    smart: Smart, listed: Callable[[], list[dict[str, Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with driver(tmp_path, "solver"):
        pass

    def fail(*_: object) -> None:
        raise TelemetryError("Cannot record events in events.jsonl: No space left on device")

    monkeypatch.setattr("smartsim.adapters.eventlog.jsonl.JsonlEventLog.append", fail)
    code, _, error = smart("reap", "solver")
    assert code == 1
    assert "has ended, but nobody will know: Cannot record events in events.jsonl: No space left on device" in error
    assert listed() == []


def test_what_was_started_at_the_same_moment_goes_on(
    smart: Smart, listed: Callable[[], list[dict[str, Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for path in (one, other):
        path.mkdir()
        with driver(path, "solver"):
            pass

    def at_one_moment() -> list[OwnProcess]:
        here = (process for process in own_processes() if process.directory.startswith(str(tmp_path)))
        return [replace(process, identity="now") for process in here]

    monkeypatch.setattr("smartsim.app.reaping.own_processes", at_one_moment)
    monkeypatch.setattr("smartsim.app.reaping.identity", lambda _: "now")
    assert smart("reap", str(one))[0] == 0
    assert [found["experiment"] for found in listed()] == [str(other)]
    assert smart("reap", str(other))[0] == 0


def test_a_database_of_another_kind_is_no_leftover(listed: Callable[[], list[dict[str, Any]]], tmp_path: Path) -> None:
    with driver(tmp_path, "1"):
        (found,) = listed()
        server = next(process for process in own_processes() if process.pid == found["servers"][0]["pid"])
        program = os.readlink(f"/proc/{server.pid}/exe")
    command = [program, "--port", "0", "--unixsocket", str(tmp_path / "s"), "--save", ""]
    retry = Retry(ConstantBackoff(0.01), 3000)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True, cwd=tmp_path) as other:
        try:
            with redis.Redis(unix_socket_path=str(tmp_path / "s"), retry=retry, socket_timeout=DEADLINE) as client:
                assert client.ping()
            assert [each["name"] for each in listed()] == ["store"]
        finally:
            other.kill()


@pytest.mark.parametrize("arguments", [("reap",), ("reap", "--all", "store")])
def test_what_is_to_end_must_be_said_in_one_way(smart: Smart, arguments: tuple[str, ...]) -> None:
    code, _, error = smart(*arguments)
    assert code == os.EX_USAGE
    assert "--all" in error


def test_what_does_not_run_cannot_be_ended(smart: Smart) -> None:
    code, _, error = smart("reap", "nobody")
    assert code == 1
    assert "nobody: nothing of this name or path runs" in error
    code, output, _ = smart("reap", "nobody", "--json")
    assert code == 1
    assert "nobody" in json.loads(output)["error"]
