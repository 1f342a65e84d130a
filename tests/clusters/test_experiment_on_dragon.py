"""Driver scripts with the launcher dragon, on this machine."""

from __future__ import annotations

import importlib.metadata
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from clusters.lookalikes.site import lookalike
from smartsim import Experiment
from smartsim.entity import Model
from smartsim.error import LauncherError, SmartSimError
from smartsim.settings import RunSettings
from smartsim.status import SmartSimStatus

DEADLINE = 60.0
COMPLETED, FAILED, CANCELLED, RUNNING = (
    SmartSimStatus.STATUS_COMPLETED,
    SmartSimStatus.STATUS_FAILED,
    SmartSimStatus.STATUS_CANCELLED,
    SmartSimStatus.STATUS_RUNNING,
)
SHARED_MEMORY = Path("/dev/shm")
CLIENT = """
import numpy as np
from smartsim.client import Client
client = Client(cluster=False)
client.put_tensor("x", np.arange(4.0))
client.set_script("twice", "def twice(x):\\n    return 2 * x\\n", device="CPU")
client.run_script("twice", "twice", inputs=["x"], outputs=["y"])
print(client.get_tensor("y").tolist())
"""
USES_DRAGON = """
from dragon.native.queue import Queue
from dragon.native.process import Process
def work(queue):
    queue.put("said in another process of Dragon")
queue = Queue()
process = Process(work, args=(queue,))
process.start()
print(queue.get(timeout=30))
process.join()
"""


def processes_of(directory: Path) -> list[str]:
    """Return the commands of the processes that have something of a directory in theirs."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and process.name != str(os.getpid()):
            try:
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(directory) in command:
                found.append(f"{process.name} {command}")
    return found


def wait_until(condition: Callable[[], bool], what: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.02)


def pools() -> set[str]:
    """Return the files of Dragon in shared memory that no process uses."""
    used = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            used |= set(re.findall(f"{SHARED_MEMORY}/(DD[^ \n]*)", maps.read_text(errors="replace")))
        except OSError:
            continue  # it has ended, or is somebody else's
    return {path.name for path in SHARED_MEMORY.glob("DD*")} - used


def output(model: Model, ending: str = ".out") -> str:
    return Path(model.path, model.name + ending).read_text()


def watches(directory: Path) -> list[str]:
    """Return the programs that run until they are ended."""
    return [process for process in processes_of(directory) if process.split()[1] == "tail"]


def shell(exp: Experiment, program: str, **options: Any) -> RunSettings:
    return exp.create_run_settings("bash", ["-c", program], **options)


@contextmanager
def leaving_nothing(directory: Path) -> Iterator[None]:
    """See that neither a process nor a file in shared memory is left."""
    before = pools()
    (directory / "watched").touch()
    yield
    wait_until(lambda: not processes_of(directory), lambda: processes_of(directory))
    wait_until(lambda: pools() <= before, pools)  # those of a runtime of other tests come and go


@pytest.fixture
def exp(dragon_directory: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Experiment]:
    """An experiment in the runtime of this session."""
    monkeypatch.setenv("SMARTSIM_DRAGON_SERVER_PATH", str(dragon_directory))
    with leaving_nothing(tmp_path), Experiment("study", str(tmp_path), launcher="dragon") as experiment:
        yield experiment


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Experiment]:
    """An experiment with a runtime of its own, which has ended with it."""
    with leaving_nothing(tmp_path):
        with Experiment("study", str(tmp_path), launcher="dragon") as experiment:
            yield experiment
        assert processes_of(tmp_path) == []


def test_members_have_their_own_exit_codes_arguments_and_environment(exp: Experiment) -> None:
    words = ["two words", "$HOME", "'quoted'", "ü", ""]
    settings = exp.create_run_settings(
        "bash", ["-c", 'printf "%s\\n" "$A" "$@"; pwd; echo wrong >&2; exit "${PWD##*_}"', "sh", *words],
        env_vars={"A": "one, two"},
    )  # fmt: skip
    ensemble = exp.create_ensemble("member", run_settings=settings, replicas=3)
    exp.generate(ensemble)
    exp.start(ensemble, block=True)
    assert exp.get_status(ensemble) == [COMPLETED, FAILED, FAILED]
    for member in ensemble.models:
        assert output(member).splitlines() == ["one, two", *words, member.path]
        assert output(member, ".err") == "wrong\n"
    codes = [line.split("|")[-2].strip() for line in exp.summary().splitlines() if "member_" in line]
    assert sorted(codes) == ["0", "1", "2"]


def test_a_step_has_all_its_ranks_and_fails_with_the_first_that_does(exp: Experiment) -> None:
    settings = shell(exp, "echo here; taskset -cp $$; mkdir first 2>/dev/null || exit 0; exit 5")
    assert hasattr(settings, "set_cpu_affinity")
    settings.set_tasks_per_node(3)
    settings.set_cpu_affinity([0])
    model = exp.create_model("m", settings)
    exp.generate(model)
    exp.start(model, block=True)
    assert output(model).count("here\n") == 3
    assert output(model).count("affinity list: 0\n") == 3
    assert exp.get_status(model) == [FAILED]
    assert "| 5 " in exp.summary().replace("            ", " ")


def test_what_runs_as_a_process_of_dragon_can_use_dragon(exp: Experiment) -> None:
    model = exp.create_model("m", exp.create_run_settings(sys.executable, ["-c", USES_DRAGON]))
    exp.start(model, block=True)
    assert output(model) == "said in another process of Dragon\n", output(model, ".err")


def test_each_step_has_the_environment_of_its_own_start(exp: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    program = 'echo "${SET_BEFORE-unset} ${SET_LATER-unset}"'
    models = [exp.create_model(name, shell(exp, program)) for name in ("before", "after")]
    monkeypatch.setenv("SET_BEFORE", "b")
    exp.start(models[0], block=True)
    monkeypatch.delenv("SET_BEFORE")
    monkeypatch.setenv("SET_LATER", "l")
    exp.start(models[1], block=True)
    assert [output(model) for model in models] == ["b unset\n", "unset l\n"]


def test_a_stop_reaches_everything_that_a_step_started(exp: Experiment, tmp_path: Path) -> None:
    polite = "trap 'echo asked; exit 3' TERM; echo on; sleep 60 & wait"
    stubborn = f"trap '' TERM; echo on; setsid true; tail -f {tmp_path}/watched & while :; do sleep 1; done"
    models = [exp.create_model(name, shell(exp, program)) for name, program in (("p", polite), ("s", stubborn))]
    exp.start(*models, block=False)
    wait_until(lambda: all("on" in output(model) for model in models), lambda: [output(model) for model in models])
    wait_until(lambda: len(watches(tmp_path)) == 1, lambda: processes_of(tmp_path))
    exp.stop(*models, grace=0.5)
    assert exp.get_status(*models) == [CANCELLED] * 2
    assert output(models[0]).split() == ["on", "asked"]
    assert not watches(tmp_path)


def test_what_the_runtime_does_not_have_is_refused_and_nothing_runs(exp: Experiment) -> None:
    first, wide, high = (exp.create_model(name, shell(exp, "sleep 60")) for name in ("first", "wide", "high"))
    wide.run_settings.set_nodes(9)
    high.run_settings.run_args["cpu-affinity"] = "999"
    with pytest.raises(LauncherError, match="asks for 9 nodes, and the Dragon runtime has 1"):
        exp.start(first, wide, block=False)
    assert exp.get_status(first) == [CANCELLED]
    with pytest.raises(LauncherError, match="asks for CPU 999, and node .* has CPUs 0"):
        exp.start(high)


def test_a_program_that_cannot_be_started_is_told_with_the_reason(exp: Experiment, tmp_path: Path) -> None:
    script = tmp_path / "script.sh"
    script.write_text("#!/no/such/shell\n")
    script.chmod(0o755)
    with pytest.raises(LauncherError, match=r"(?s)script.sh.*the interpreter that its first line names is not"):
        exp.start(exp.create_model("m", exp.create_run_settings(str(script))))


def test_a_database_serves_the_clients_beside_it_and_later_drivers(exp: Experiment) -> None:
    database = exp.create_database(port=0)
    exp.start(database)
    with Experiment("later", exp.exp_path, launcher="dragon") as later:
        found = later.reconnect_orchestrator(database.checkpoint_file)
        client = later.create_model("client", later.create_run_settings(sys.executable, ["-c", CLIENT]))
        later.start(client, block=True)
        assert later.get_status(client, found) == [COMPLETED, RUNNING], output(client, ".err")
        assert output(client) == "[0.0, 2.0, 4.0, 6.0]\n"
    assert exp.wait(database, timeout=DEADLINE) == [COMPLETED]


def test_a_colocated_database_runs_with_its_application(exp: Experiment) -> None:
    model = exp.create_model("m", exp.create_run_settings(sys.executable, ["-c", CLIENT]))
    model.colocate_db_uds(db_cpus=1)
    exp.start(model, block=True)
    assert exp.get_status(model) == [COMPLETED], output(model, ".err")
    assert output(model) == "[0.0, 2.0, 4.0, 6.0]\n"


def test_a_program_without_ranks_runs_beside_the_driver(alone: Experiment, tmp_path: Path) -> None:
    model = alone.create_model("m", RunSettings("bash", ["-c", 'echo "${DRAGON_MY_PUID:-no}"']))
    alone.start(model, block=True)
    assert output(model) == "no\n"
    assert not (tmp_path / ".smartsim" / "dragon").exists()


def test_when_the_runtime_is_killed_its_steps_fail_and_the_next_start_has_another(
    alone: Experiment, tmp_path: Path
) -> None:
    before = pools()
    program = f"tail -f {tmp_path}/watched & sleep 60"
    models = [alone.create_model(name, shell(alone, program)) for name in ("a", "b")]
    alone.start(*models, block=False)
    wait_until(lambda: len(watches(tmp_path)) == 2, lambda: processes_of(tmp_path))
    launcher = next(
        process for process in processes_of(tmp_path) if "/dragon -s" in process and "keeper" not in process
    )
    os.kill(int(launcher.split()[0]), signal.SIGKILL)
    assert alone.wait(*models, timeout=DEADLINE) == [FAILED, FAILED]
    assert processes_of(tmp_path) == []
    wait_until(lambda: pools() <= before, pools)  # those of a runtime of other tests come and go
    assert "None" in alone.summary()
    again = alone.create_model("again", shell(alone, "exit 0"))
    alone.start(again, block=True)
    assert alone.get_status(again) == [COMPLETED]


def test_when_the_server_is_killed_its_steps_fail(alone: Experiment, tmp_path: Path) -> None:
    model = alone.create_model("m", shell(alone, f"tail -f {tmp_path}/watched & sleep 60"))
    alone.start(model, block=False)
    wait_until(lambda: len(watches(tmp_path)) == 1, lambda: processes_of(tmp_path))
    (server,) = (
        process
        for process in processes_of(tmp_path)
        if process.split()[4:5] and process.split()[4].endswith("dragon.server")
    )
    os.kill(int(server.split()[0]), signal.SIGKILL)
    assert alone.wait(model, timeout=DEADLINE) == [FAILED]
    assert processes_of(tmp_path) == []


def test_only_the_user_can_read_what_a_driver_must_know(alone: Experiment, tmp_path: Path) -> None:
    alone.start(alone.create_model("m", shell(alone, "true")), block=True)
    (token,) = tmp_path.glob(".smartsim/dragon/*/token")
    assert token.stat().st_mode & 0o777 == 0o600
    assert token.parent.stat().st_mode & 0o777 == 0o700
    secret = token.read_text()
    assert not [process for process in processes_of(tmp_path) if secret in process]


def test_a_runtime_whose_driver_was_killed_ends_with_its_last_step(tmp_path: Path) -> None:
    before = pools()
    script = """
    import os, signal, sys
    from smartsim import Experiment
    exp = Experiment("study", os.getcwd(), launcher="dragon")
    settings = exp.create_run_settings("bash", ["-c", "until [ -e go ]; do sleep 0.05; done; touch done"])
    exp.start(exp.create_model("m", settings), block=False)
    os.kill(os.getpid(), signal.SIGKILL)
    """
    driver = subprocess.run(
        [sys.executable, "-c", dedent(script)], cwd=tmp_path, timeout=DEADLINE, check=False, capture_output=True
    )
    assert driver.returncode == -signal.SIGKILL, driver.stderr
    assert processes_of(tmp_path)
    (tmp_path / "m" / "go").touch()
    wait_until(lambda: not processes_of(tmp_path), lambda: processes_of(tmp_path))
    assert (tmp_path / "m" / "done").exists()
    wait_until(lambda: pools() <= before, pools)  # those of a runtime of other tests come and go


def test_without_dragon_the_error_names_what_to_install(alone: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("smartsim.adapters.wlm.dragon.runtime.version", missing)
    with pytest.raises(SmartSimError, match=r"pip install 'smartsim-next\[dragon\]'"):
        alone.start(alone.create_model("m", shell(alone, "true")))


def test_a_runtime_that_does_not_start_tells_what_dragon_says(
    alone: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "dragon"
    fake.write_text("#!/bin/sh\necho no room in shared memory\nexit 4\n")
    fake.chmod(0o755)
    monkeypatch.setattr("smartsim.adapters.wlm.dragon.runtime.shutil.which", lambda *_, **__: str(fake))
    with pytest.raises(LauncherError, match=r"(?s)did not start \(exit code 4\): no room in shared memory"):
        alone.start(alone.create_model("m", shell(alone, "true")))


def test_what_a_runtime_that_hangs_has_started_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "dragon"
    fake.write_text(f"#!/bin/bash\ntrap '' TERM\nsetsid tail -f {tmp_path}/watched & wait; sleep 600\n")
    fake.chmod(0o755)
    monkeypatch.setattr("smartsim.adapters.wlm.dragon.runtime.shutil.which", lambda *_, **__: str(fake))
    monkeypatch.setenv("SMARTSIM_DRAGON_STARTUP_TIMEOUT", "1500")
    with leaving_nothing(tmp_path), Experiment("study", str(tmp_path), launcher="dragon") as exp:
        with pytest.raises(LauncherError, match=r"did not start \(within 1.5 s\)"):
            exp.start(exp.create_model("m", shell(exp, "true")))
        assert processes_of(tmp_path) == []


# In jobs of a scheduler


@pytest.fixture
def batch_exp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Experiment]:
    """An experiment on a machine with a scheduler; in its jobs, Dragon has one node."""
    with leaving_nothing(tmp_path), lookalike("pbs", tmp_path / "cluster", {"node1": 4}) as site:
        monkeypatch.setenv("PATH", f"{site.bin}:{os.environ['PATH']}")
        with Experiment("study", str(tmp_path), launcher="dragon") as experiment:
            yield experiment


def test_members_of_a_batch_ensemble_share_a_runtime_and_fail_for_themselves(batch_exp: Experiment) -> None:
    batch = batch_exp.create_batch_settings(nodes=1, time="00:10:00")
    batch.add_preamble("export FROM_PREAMBLE='a b'")
    program = 'echo "$FROM_PREAMBLE $A $DRAGON_DEFAULT_PD"; echo wrong >&2; exit "${CODE:-0}"'
    settings = shell(batch_exp, program, env_vars={"A": "c, 'd' $e"})
    settings.set_tasks_per_node(2)
    ensemble = batch_exp.create_ensemble("member", batch_settings=batch, run_settings=settings, replicas=3)
    ensemble.models[1].run_settings.update_env({"CODE": 7})
    batch_exp.generate(ensemble)
    batch_exp.start(ensemble, block=True)
    assert batch_exp.get_status(ensemble) == [COMPLETED, FAILED, COMPLETED], output(ensemble.models[0], ".err")
    runtimes = set()
    for member in ensemble.models:
        first, second = output(member).splitlines()
        assert first == second
        assert first.startswith("a b c, 'd' $e ")
        runtimes.add(first)
        assert output(member, ".err").count("wrong") == 2
    assert len(runtimes) == 1
    row = next(line for line in batch_exp.summary().splitlines() if "member_1" in line)
    assert [cell.strip() for cell in row.split("|")][-2] == "7"


def test_one_member_of_a_batch_job_can_be_stopped(batch_exp: Experiment, tmp_path: Path) -> None:
    batch = batch_exp.create_batch_settings(nodes=1, time="00:10:00")
    program = (
        f"trap 'echo asked; exit 3' TERM; echo on; tail -f {tmp_path}/watched & "
        "until [ -e go ]; do sleep 0.1; done; kill $!"
    )
    settings = shell(batch_exp, program)
    ensemble = batch_exp.create_ensemble("member", batch_settings=batch, run_settings=settings, replicas=2)
    batch_exp.start(ensemble, block=False)
    one, other = ensemble.models
    wait_until(lambda: len(watches(tmp_path)) == 2, lambda: processes_of(tmp_path))
    batch_exp.stop(one)
    assert len(watches(tmp_path)) == 1
    assert batch_exp.get_status(one, other) == [CANCELLED, RUNNING]
    assert output(one).split() == ["on", "asked"]
    Path(other.path, "go").touch()
    assert batch_exp.wait(other, timeout=DEADLINE) == [COMPLETED]


def test_a_database_in_a_batch_job_serves_clients_in_another(batch_exp: Experiment) -> None:
    database = batch_exp.create_database(batch=True, port=0, time="00:10:00", interface="lo")
    batch_exp.start(database)
    batch = batch_exp.create_batch_settings(nodes=1, time="00:10:00")
    settings = batch_exp.create_run_settings(sys.executable, ["-c", CLIENT])
    client = batch_exp.create_model("client", settings, batch_settings=batch)
    batch_exp.start(client, block=True)
    assert batch_exp.get_status(client, database) == [COMPLETED, RUNNING], output(client, ".err")
    assert output(client) == "[0.0, 2.0, 4.0, 6.0]\n"
