"""Databases that applications need a password for, with real servers."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import redis

from old_clients.old_client import PROGRAMS, interpreter
from smartsim import Experiment
from smartsim.app.client.config_options import ConfigOptions
from smartsim.app.client.connecting import find_target
from smartsim.client import Client
from smartsim.database import Orchestrator
from smartsim.domain.client_errors import RedisConnectionError
from smartsim.error import SmartSimError
from smartsim.status import SmartSimStatus

APPLICATION = """
import os, sys
import numpy as np
from smartsim.client import Client, ConfigOptions
suffix = sys.argv[1]
with Client(ConfigOptions.create_from_environment(suffix)) as client:
    client.put_tensor("sent", 2 * client.get_tensor("given"))
    client.set_script("double", "def double(x):\\n    return 2 * x\\n")
    client.run_script("double", "double", ["sent"], ["run"])
"""
DEADLINE = 60.0
EVERYBODY = {"SSDB", "SSDB_closed", "SR_DB_PASSWORD", "SR_DB_PASSWORD_FILE", "SR_DB_PASSWORD_FILE_closed"}


@pytest.fixture
def exp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Experiment]:
    for variable in EVERYBODY:
        monkeypatch.delenv(variable, raising=False)
    with Experiment("passwords", str(tmp_path)) as exp:
        yield exp


@pytest.fixture
def closed(exp: Experiment) -> Orchestrator:
    database = exp.create_database(port=0, password=True)
    exp.start(database)
    return database


def password_of(database: Orchestrator) -> str:
    assert database.password is not None
    return database.password


@pytest.mark.parametrize("db_nodes", [1, 3])
def test_applications_of_the_experiment_have_the_password_and_strangers_have_nothing(
    exp: Experiment, db_nodes: int
) -> None:
    database = exp.create_database(port=0, password=True, db_identifier="closed", db_nodes=db_nodes)
    open_one = exp.create_database(port=0)
    exp.start(database, open_one)
    address = ",".join(database.get_address())
    with Client(db_nodes > 1, address, password=database.password) as driver:
        driver.put_tensor("given", np.arange(3.0))
        application = exp.create_model("app", exp.create_run_settings(sys.executable, ["-c", APPLICATION, "closed"]))
        exp.start(application)
        assert exp.get_status(application) == [SmartSimStatus.STATUS_COMPLETED]
        assert driver.get_tensor("run").tolist() == [0.0, 4.0, 8.0]
    for wrong, told in ((None, "NOAUTH.*asks for a password"), ("wrong", "WRONGPASS")):
        with pytest.raises(RedisConnectionError, match=told):
            Client(db_nodes > 1, address, password=wrong)
    assert open_one.password is None
    with Client(False, open_one.get_address()[0]) as client:
        assert not client.tensor_exists("given")


def test_the_environment_names_the_file_and_does_not_have_what_is_in_it(exp: Experiment, closed: Orchestrator) -> None:
    settings = exp.create_run_settings("env")
    model = exp.create_model("env", settings)
    exp.start(model)
    output = Path(model.path, "env.out").read_text()
    assert f"\nSR_DB_PASSWORD_FILE={closed.password_file}\n" in f"\n{output}"
    assert password_of(closed) not in output
    assert closed.password_file is not None
    assert Path(closed.password_file).stat().st_mode & 0o777 == 0o600
    assert Path(closed.password_file).read_text().strip() == closed.password


def test_the_password_is_drawn_at_each_start_and_is_not_the_administrator_s(
    exp: Experiment, closed: Orchestrator
) -> None:
    first = password_of(closed)
    assert len(first) >= 32
    assert first != Path(closed.path, "admin_password").read_text().strip()
    exp.stop(closed)
    with pytest.raises(SmartSimError, match="start it first"):
        _ = closed.password
    exp.start(closed)
    assert password_of(closed) != first
    with pytest.raises(RedisConnectionError, match="WRONGPASS"):
        Client(False, closed.get_address()[0], password=first)


def test_another_driver_takes_it_over_with_its_password(closed: Orchestrator, tmp_path: Path) -> None:
    with Experiment("later", str(tmp_path)) as later:
        database = later.reconnect_orchestrator(closed.checkpoint_file)
        assert database.password == closed.password
        with Client(False, database.get_address()[0], password=database.password) as client:
            client.put_tensor("given", np.ones(2))
        application = later.create_model("app", later.create_run_settings(sys.executable, ["-c", APPLICATION, ""]))
        later.start(application)
        assert later.get_status(application) == [SmartSimStatus.STATUS_COMPLETED]
        Path(closed.path, "password").unlink()
        with pytest.raises(SmartSimError, match="cannot be read from .*/password: No such file"):
            Experiment("last", str(tmp_path)).reconnect_orchestrator(closed.checkpoint_file)


def test_a_client_of_old_says_that_a_password_is_missing(exp: Experiment, closed: Orchestrator) -> None:
    words = [str(PROGRAMS / "smartredis_data.py"), "lists", "{}"]
    variables: dict[str, str | None] = {"PYTHONPATH": "", "SR_CONN_TIMEOUT": "1"}
    settings = exp.create_run_settings(str(interpreter("smartredis")), words, env_vars=variables)
    model = exp.create_model("old", settings)
    exp.start(model)
    assert exp.get_status(model) == [SmartSimStatus.STATUS_FAILED]
    assert "NOAUTH Authentication required" in Path(model.path, "old.err").read_text()
    assert closed.is_active()


def test_the_password_is_nowhere_but_in_its_file(
    exp: Experiment, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMARTSIM_LOG_LEVEL", "debug")
    database = exp.create_database(port=0, password=True, db_nodes=3, replicas=1)
    exp.start(database)
    database.enable_checkpoints(3600)
    waiting = f"{APPLICATION}    print(client)\n    client.poll_key('end', 100, 600)\n"
    application = exp.create_model("app", exp.create_run_settings(sys.executable, ["-c", waiting, ""]))
    with Client(True, ",".join(database.get_address()), password=database.password) as client:
        client.put_tensor("given", np.arange(3.0))
        exp.start(application, block=False)
        assert client.poll_tensor("run", 50, 1200)
        processes = _processes()
        client.put_tensor("end", np.zeros(1))
        shown = f"{client} {client!r} {database!r} {database.service!r}"
    assert exp.wait(application, timeout=DEADLINE) == [SmartSimStatus.STATUS_COMPLETED]
    for port in database.ports:
        with redis.Redis(port=port, password=database.password) as server:
            server.save()
            shown += str(server.info("everything"))
    shown += "".join(capfd.readouterr())
    paths = [path for path in tmp_path.rglob("*") if path.is_file()]
    secrets = {path.read_text().strip(): path for path in paths if path.name.endswith("password")}
    assert len(secrets) == 2 + 2 * 6  # of the worker and the observer of each server
    assert {path.stat().st_mode & 0o777 for path in secrets.values()} == {0o600}
    assert len(list(tmp_path.rglob("*.rdb"))) == 3
    contents = {str(path): path.read_bytes() for path in paths if path not in secrets.values()} | processes
    assert any(database.path.encode() in content for path, content in processes.items() if path.endswith("cmdline"))
    variable = f"SR_DB_PASSWORD_FILE={database.password_file}".encode()
    assert any(variable in content for path, content in processes.items() if path.endswith("environ"))
    for secret, file in secrets.items():
        assert secret not in shown, file
        assert not [path for path, content in contents.items() if secret.encode() in content], file


def _processes() -> dict[str, bytes]:
    """Return what the system shows of processes that run, by path."""
    found = {}
    for path in (path for name in ("cmdline", "environ") for path in Path("/proc").glob(f"[0-9]*/{name}")):
        try:
            found[str(path)] = path.read_bytes()
        except (ProcessLookupError, FileNotFoundError, PermissionError):
            continue  # it has ended, or is another user's
    return found


def test_what_a_server_saves_and_logs_is_for_its_owner_alone(exp: Experiment, tmp_path: Path) -> None:
    directory = tmp_path / "shared"
    directory.mkdir(mode=0o755)
    before = os.umask(0o022)
    try:
        database = exp.create_database(port=0, path=str(directory))
        exp.start(database)
    finally:
        os.umask(before)
    with Client(False, database.get_address()[0]) as client:
        client.save(database.get_address())
    modes = {path.name: path.stat().st_mode & 0o077 for path in directory.iterdir() if not path.is_symlink()}
    assert modes.keys() >= {"orchestrator_0.rdb", "orchestrator_0_worker_CPU.log", "smartsim_db.dat"}
    assert modes == dict.fromkeys(modes, 0)


@pytest.mark.parametrize("password", ["secret", 1, None])
def test_a_password_is_not_chosen(exp: Experiment, password: object) -> None:
    with pytest.raises(TypeError, match="drawn at random") as error:
        exp.create_database(password=password)  # type: ignore[arg-type]
    assert "secret" not in str(error.value)


# What a client makes of the file


@pytest.fixture
def options(tmp_path: Path) -> ConfigOptions:
    options = ConfigOptions.create_from_environment("ocean")
    options.override_string_option("SSDB", "127.0.0.1:6379")
    options.override_string_option("SR_DB_PASSWORD", "")
    options.override_string_option("SR_DB_PASSWORD_FILE", str(tmp_path / "password"))
    (tmp_path / "password").write_text("from the file\n")
    (tmp_path / "password").chmod(0o600)
    return options


def test_the_nearest_password_counts(options: ConfigOptions) -> None:
    assert find_target(options, None, None).config.password == "from the file"
    options.override_string_option("SR_DB_PASSWORD", "of the environment")
    assert find_target(options, None, None).config.password == "of the environment"
    assert find_target(options, None, "given").config.password == "given"


def test_a_file_that_others_may_read_is_refused(options: ConfigOptions, tmp_path: Path) -> None:
    for mode in (0o640, 0o604, 0o620):
        (tmp_path / "password").chmod(mode)
        with pytest.raises(
            RedisConnectionError, match=rf"SR_DB_PASSWORD_FILE_ocean names, is open to other users .*{mode:04o}.*chmod"
        ):
            find_target(options, None, None)


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file"), (b"", "is empty"), (b"\xff\xfe", "it is no text")]
)
def test_a_file_without_a_password_says_so(
    options: ConfigOptions, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "password"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(RedisConnectionError, match=rf"{path}, which SR_DB_PASSWORD_FILE_ocean names, .*{reason}"):
        find_target(options, None, None)


def test_an_installation_is_validated_with_a_password(tmp_path: Path) -> None:
    variables = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", "from smartsim.app.cli import main; main()", "validate"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False, env=variables)
    assert (done.returncode, done.stderr) == (0, "")
    assert "came back the same" in done.stdout
