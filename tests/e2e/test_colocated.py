"""Models with a database on their node, from driver scripts, with the local launcher."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest
import redis

from scripts import processes_in
from servers import free_port
from smartsim import Experiment
from smartsim.entity import Model
from smartsim.error import SmartSimError
from smartsim.status import SmartSimStatus
from waiting import wait_until

COMPLETED, CANCELLED, FAILED, RUNNING = (
    SmartSimStatus.STATUS_COMPLETED,
    SmartSimStatus.STATUS_CANCELLED,
    SmartSimStatus.STATUS_FAILED,
    SmartSimStatus.STATUS_RUNNING,
)
DEADLINE = 60.0

PUT_AND_GET = """
import os, sys
import numpy as np
from smartredis import Client

field = np.arange(12.0).reshape(3, 4)
client = Client(None, logger_name="application")
client.put_tensor("field", field)
assert np.array_equal(client.get_tensor("field"), field)
assert os.environ["SR_DB_TYPE"] == "Standalone"
print(os.environ["SSDB"])
"""

WAIT_FOR_FILE = """
import os, sys, time
print(os.environ["SSDB"], flush=True)
open("running", "w").close()
while not os.path.exists("go"):
    time.sleep(0.01)
"""


@pytest.fixture
def exp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Experiment]:
    sockets = tmp_path / "t"
    sockets.mkdir()
    monkeypatch.setenv("TMPDIR", str(sockets))
    path = tmp_path / "exp"
    path.mkdir()
    with Experiment("colocated", str(path)) as exp:
        yield exp
    assert processes_in(tmp_path) == []
    assert not list(sockets.iterdir())


def application(exp: Experiment, name: str, program: str, **env_vars: str | None) -> Model:
    settings = exp.create_run_settings(sys.executable, ["-c", program], env_vars=dict(env_vars))
    return exp.create_model(name, settings)


def output(model: Model) -> str:
    return Path(model.path, f"{model.name}.out").read_text().strip()


def errors(model: Model) -> str:
    return Path(model.path, f"{model.name}.err").read_text()


def _is_done(exp: Experiment, member: Model) -> bool:
    return exp.finished(member) or Path(member.path, "done").exists()


def server_below(directory: Path) -> psutil.Process:
    """Return the one server that works below a directory."""
    found = []
    for process in psutil.process_iter():
        try:
            if "valkey-server" in process.name() and Path(process.cwd()).is_relative_to(directory):
                found.append(process)
        except psutil.Error:
            continue
    (server,) = found
    return server


@pytest.mark.parametrize("colocate", [Model.colocate_db_uds, lambda model: model.colocate_db_tcp(port=0)])
def test_an_application_puts_and_gets(exp: Experiment, colocate: Callable[[Model], None]) -> None:
    model = application(exp, "m", PUT_AND_GET)
    colocate(model)
    exp.generate(model)
    exp.start(model)
    assert exp.get_status(model) == [COMPLETED], errors(model)
    assert output(model).startswith(("unix:///", "127.0.0.1:"))
    assert f"m: database at {output(model)} on {socket.gethostname()}" in errors(model)


def test_a_model_runs_again_at_the_same_port(exp: Experiment) -> None:
    model = application(exp, "m", PUT_AND_GET)
    port = free_port()
    with pytest.warns(FutureWarning, match="colocate_db_tcp"):
        model.colocate_db(port=port)
    for _ in range(3):
        exp.start(model)
        assert exp.get_status(model) == [COMPLETED], errors(model)
        assert output(model) == f"127.0.0.1:{port}"


def test_each_member_of_an_ensemble_has_its_own(exp: Experiment) -> None:
    program = (
        PUT_AND_GET + "assert not client.key_exists('mine')\nclient.put_tensor('mine', field)\n"
        "open('done', 'w').close()\nimport time\nwhile not os.path.exists('../go'): time.sleep(0.01)\n"
    )
    settings = exp.create_run_settings(sys.executable, ["-c", program])
    ensemble = exp.create_ensemble("e", run_settings=settings, replicas=4)
    for index, member in enumerate(ensemble.models):
        member.disable_key_prefixing()
        if index % 2:
            member.colocate_db_uds()
        else:
            member.colocate_db_tcp(port=0)
    exp.generate(ensemble)
    exp.start(ensemble, block=False)
    for member in ensemble.models:
        wait_until(partial(_is_done, exp, member))
    Path(ensemble.path, "go").touch()
    assert exp.wait(ensemble, timeout=DEADLINE) == [COMPLETED] * 4, errors(ensemble.models[0])
    assert len({output(member) for member in ensemble.models}) == 4


def test_several_databases_are_reached_under_their_names(exp: Experiment) -> None:
    program = """
import numpy as np
from smartredis import Client, ConfigOptions

standard = Client(None, logger_name="a")
far = Client(ConfigOptions.create_from_environment("far"), logger_name="a")
near = Client(ConfigOptions.create_from_environment("near"), logger_name="a")
for number, client in enumerate((standard, far, near)):
    client.put_tensor("which", np.array([number]))
print(*(int(client.get_tensor("which")[0]) for client in (standard, far, near)))
"""
    databases = [exp.create_database(port=0), exp.create_database(port=0, db_identifier="far")]
    model = application(exp, "m", program)
    model.colocate_db_uds(db_identifier="near")
    exp.start(*databases, model)
    assert exp.get_status(model) == [COMPLETED], errors(model)
    assert output(model) == "0 1 2"


def test_addresses_of_databases_that_are_no_more_are_not_told(exp: Experiment) -> None:
    program = "import os; print(sorted(name for name in os.environ if name.startswith('SSDB')))"
    database = exp.create_database(port=0)
    model = application(exp, "m", program)
    model.colocate_db_uds(db_identifier="near")
    exp.start(database, model)
    assert output(model) == "['SSDB', 'SSDB_near']"
    exp.stop(database)
    exp.start(model)
    assert output(model) == "['SSDB_near']"
    model.run_settings.colocated_db_settings = None
    exp.start(model)
    assert output(model) == "[]"


@pytest.mark.parametrize(
    ("program", "code", "status"),
    [
        ("raise SystemExit(0)", 0, COMPLETED),
        ("raise SystemExit(3)", 3, FAILED),
        ("raise SystemExit(139)", 139, FAILED),
        ("import os; os.kill(os.getpid(), 11)", -11, FAILED),
        ("import os; os.kill(os.getpid(), 15)", -15, FAILED),
    ],
)
def test_a_job_ends_as_its_application_does(exp: Experiment, program: str, code: int, status: SmartSimStatus) -> None:
    model = application(exp, "m", program)
    model.colocate_db_uds()
    exp.start(model)
    assert exp.get_status(model) == [status]
    assert f"| {code} " in exp.summary().splitlines()[-1].replace("  ", " ")


def test_an_application_that_is_stopped_still_has_its_database(exp: Experiment, tmp_path: Path) -> None:
    program = """
import signal, sys
import numpy as np
from smartredis import Client

client = Client(None, logger_name="a")
def end(number, frame):
    client.put_tensor("last", np.ones(3))
    print("saved", client.tensor_exists("last"), flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
open("running", "w").close()
signal.pause()
"""
    model = application(exp, "m", program)
    model.colocate_db_uds()
    exp.start(model, block=False)
    wait_until(Path(model.path, "running").exists)
    exp.stop(model)
    assert exp.get_status(model) == [CANCELLED]
    assert output(model) == "saved True"
    assert processes_in(tmp_path) == []


def test_one_that_does_not_want_to_end_is_made_to(exp: Experiment, tmp_path: Path) -> None:
    program = "import signal, time; signal.signal(15, signal.SIG_IGN); open('running', 'w').close(); time.sleep(60)"
    model = application(exp, "m", program)
    model.colocate_db_tcp(port=0)
    exp.start(model, block=False)
    wait_until(Path(model.path, "running").exists)
    exp.stop(model, grace=0.2)
    assert exp.get_status(model) == [CANCELLED]
    wait_until(lambda: processes_in(tmp_path) == [])


def test_a_database_that_cannot_be_had_is_an_error_of_the_start(exp: Experiment, tmp_path: Path) -> None:
    good, bad = (application(exp, name, WAIT_FOR_FILE) for name in ("good", "bad"))
    good.colocate_db_uds()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        bad.colocate_db_tcp(port=port)
        with pytest.raises(SmartSimError, match=f"The database of bad on .*port {port} of 127.0.0.1 is in use"):
            exp.start(good, bad)
    wait_until(lambda: processes_in(tmp_path) == [])
    assert exp.get_status(good) == [CANCELLED]
    assert not Path(bad.path, "running").exists()


@pytest.mark.parametrize(("kind", "words"), [("server", "ended by SIGKILL while its"), ("supervisor", "was killed")])
def test_the_report_names_the_database_that_died(
    exp: Experiment, tmp_path: Path, kind: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = application(exp, "m", WAIT_FOR_FILE + "raise SystemExit(4)")
    model.colocate_db_uds()
    exp.start(model, block=False)
    wait_until(Path(model.path, "running").exists)
    server = server_below(tmp_path)
    victim = server if kind == "server" else psutil.Process(server.ppid())
    victim.kill()
    wait_until(lambda: not server.is_running())
    if kind == "server":
        wait_until(lambda: list(tmp_path.rglob("*.error")))
    Path(model.path, "go").touch()
    assert exp.wait(model, timeout=DEADLINE) == [FAILED]
    report = capsys.readouterr().out
    assert f"The database of m on {socket.gethostname()} ended" in report
    assert words in report


def test_it_outlives_the_driver_as_its_application_does(tmp_path: Path) -> None:
    driver = f"""
import signal, sys, os
from smartsim import Experiment
exp = Experiment("x", {str(tmp_path)!r})
model = exp.create_model("m", exp.create_run_settings(sys.executable, ["-c", {WAIT_FOR_FILE!r}]))
model.colocate_db_uds()
exp.start(model, block=False)
os.kill(os.getpid(), signal.SIGKILL)
"""
    code = subprocess.run([sys.executable, "-c", driver], cwd=tmp_path, timeout=DEADLINE, check=False).returncode
    assert code == -signal.SIGKILL
    directory = tmp_path / "m"
    wait_until((directory / "running").exists)
    with redis.Redis(unix_socket_path=(directory / "m.out").read_text().strip().removeprefix("unix://")) as client:
        assert client.ping()
    (directory / "go").touch()
    wait_until(lambda: processes_in(tmp_path) == [])


def test_what_a_debugged_database_says_is_beside_the_model(exp: Experiment) -> None:
    model = application(exp, "m", "import os; print(os.environ['SMARTSIM_LOG_LEVEL'])")
    model.colocate_db_uds(debug=True)
    exp.start(model)
    assert output(model) == "debug"
    assert "Ready to accept connections" in Path(model.path, "m-db.log").read_text()


def test_a_launcher_may_stand_before_every_rank(exp: Experiment, tmp_path: Path) -> None:
    launcher = tmp_path / "start-ranks"
    launcher.write_text(
        f"#!{sys.executable}\nimport os, subprocess, sys\n"
        "os.environ['OMPI_COMM_WORLD_LOCAL_SIZE'] = sys.argv[2]\n"
        "ranks = [subprocess.Popen(sys.argv[3:], process_group=0) for _ in range(int(sys.argv[2]))]\n"
        "sys.exit(max(rank.wait() for rank in ranks))\n"
    )
    launcher.chmod(0o700)
    settings = exp.create_run_settings(
        "sh", ["-c", 'echo "$SSDB"'], run_command=str(launcher), run_args={"--ranks": "6"}
    )
    model = exp.create_model("m", settings)
    model.colocate_db_uds()
    exp.start(model)
    assert exp.get_status(model) == [COMPLETED], errors(model)
    assert len(output(model).splitlines()) == 6
    assert len(set(output(model).splitlines())) == 1
    assert processes_in(Path(exp.exp_path)) == []
