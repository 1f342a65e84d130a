"""`manifest.json`, `start.json` and `stop.json`, read as a dashboard of the old system reads them."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from smartsim import Experiment
from smartsim.adapters.filesystem.posix import PosixFileSystem
from smartsim.app.manifest import MANIFEST_FILE, ManifestFile
from smartsim.app.reading import ExperimentReader
from smartsim.app.status_files import StatusFiles
from smartsim.domain import record
from smartsim.domain.record_facts import BatchOptions, DatabaseFacts, EnsembleFacts, MLObject, ShardFacts
from smartsim.error import SmartSimError
from smartsim.status import SmartSimStatus
from smartsim.testing import InMemoryFileSystem

DEADLINE = 60.0
DRIVER = """
import sys
from smartsim import Experiment

exp = Experiment("study", sys.argv[1])
model = exp.create_model(sys.argv[2], exp.create_run_settings("true"))
sys.stdin.readline()
for _ in range(10):
    exp.start(model)
"""


# What the old dashboard does with the files, after the description of their schema


@dataclass
class Job:
    """An entity as the dashboard shows it."""

    name: str
    entry: dict[str, Any]

    @property
    def directory(self) -> Path:
        return Path(self.entry["telemetry_metadata"]["status_dir"])

    def event(self, action: str) -> dict[str, Any] | None:
        path = self.directory / f"{action}.json"
        if not path.exists():
            return None
        event = json.loads(path.read_text())
        assert event["action"] == action
        assert {type(event[key]) for key in ("job_id", "step_id", "type")} == {str}
        assert isinstance(event["timestamp"], int)
        return dict(event)

    @property
    def status(self) -> str:
        if self.event("start") is None:
            return "Pending"
        stop = self.event("stop")
        if stop is None:
            return "Running"
        return "Completed" if stop["return_code"] == 0 else "Failed"


class Dashboard:
    """A manifest as the dashboard reads it."""

    def __init__(self, path: Path) -> None:
        manifest = json.loads((path / MANIFEST_FILE).read_text())
        assert manifest["schema info"] == {"schema_name": "entity manifest", "version": "0.0.4"}
        self.experiment = manifest["experiment"]
        self.runs = manifest["runs"]
        assert set(self.experiment) == {"name", "path", "launcher", "out_file", "err_file"}
        for run in self.runs:
            assert set(run) == {"run_id", "timestamp", "model", "orchestrator", "ensemble"}
            assert run["timestamp"] > 10**18  # nanoseconds

    def models(self, run: int = -1) -> dict[str, Job]:
        entries = self.runs[run]["model"] + [
            member for ensemble in self.runs[run]["ensemble"] for member in ensemble["models"]
        ]
        for entry in entries:
            assert set(entry["run_settings"]) == {"exe", "run_command", "run_args"}
            assert set(entry["files"]) == {"Symlink", "Configure", "Copy"}
            assert {"path", "exe_args", "batch_settings", "params", "colocated_db"} <= set(entry)
        return {entry["name"]: Job(entry["name"], entry) for entry in entries}

    def shards(self, run: int = -1) -> dict[str, Job]:
        return {
            shard["name"]: Job(shard["name"], shard)
            for database in self.runs[run]["orchestrator"]
            for shard in database["shards"]
        }


@pytest.fixture
def exp(tmp_path: Path) -> Iterator[Experiment]:
    with Experiment("study", str(tmp_path)) as exp:
        yield exp


def test_an_experiment_as_the_old_dashboard_reads_it(exp: Experiment, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text(";x;")
    (tmp_path / "mesh").write_text("")
    ensemble = exp.create_ensemble("e", {"x": [1, 2]}, run_settings=exp.create_run_settings("sh", ["-c", "true"]))
    ensemble.attach_generator_files(to_configure=str(tmp_path / "in.txt"), to_symlink=str(tmp_path / "mesh"))
    bad = exp.create_model("bad", exp.create_run_settings("sh", ["-c", "exit 3"]))
    exp.generate(ensemble, bad)
    exp.start(ensemble, bad)

    dashboard = Dashboard(tmp_path)
    logs = tmp_path / ".smartsim/telemetry/logs"
    assert dashboard.experiment == {
        "name": "study",
        "path": str(tmp_path),
        "launcher": "Local",
        "out_file": str(logs / "smartsim.out"),
        "err_file": str(logs / "smartsim.err"),
    }
    models = dashboard.models()
    assert {name: model.status for name, model in models.items()} == {
        "bad": "Failed",
        "e_0": "Completed",
        "e_1": "Completed",
    }
    member = models["e_1"].entry
    assert (member["path"], member["params"]) == (str(tmp_path / "e" / "e_1"), {"x": "2"})
    assert member["files"] == {"Symlink": [str(tmp_path / "mesh")], "Configure": [str(tmp_path / "in.txt")], "Copy": []}
    assert member["exe_args"] == ["-c", "true"]
    assert member["run_settings"]["exe"] == ensemble.models[1].run_settings.exe
    assert member["telemetry_metadata"]["managed"] is False
    assert member["telemetry_metadata"]["task_id"].isdigit()
    assert Path(member["out_file"]).is_file()
    assert Path(member["err_file"]).parent == models["e_1"].directory
    assert dashboard.runs[0]["ensemble"][0]["params"] == {"x": ["1", "2"]}
    start, stop = models["bad"].event("start"), models["bad"].event("stop")
    assert start is not None
    assert stop is not None
    assert (start["type"], start["job_id"]) == ("model", models["bad"].entry["telemetry_metadata"]["task_id"])
    assert (stop["return_code"], stop["detail"]) == (3, "exit code 3")
    assert 10**12 < start["timestamp"] <= stop["timestamp"] < 10**13  # milliseconds


def test_every_end_has_its_return_code(exp: Experiment, tmp_path: Path) -> None:
    killed = exp.create_model("killed", exp.create_run_settings("sh", ["-c", "kill -SEGV $$"]))
    stopped = exp.create_model("stopped", exp.create_run_settings("sleep", ["600"]))
    exp.start(killed, stopped, block=False)
    models = Dashboard(tmp_path).models()
    assert models["stopped"].status == "Running"
    exp.stop(stopped)
    exp.wait(killed)
    codes = {name: (model.event("stop") or {})["return_code"] for name, model in models.items()}
    assert codes == {"killed": -signal.SIGSEGV, "stopped": -signal.SIGTERM}


def test_databases_are_in_the_manifest(exp: Experiment, tmp_path: Path) -> None:
    database = exp.create_database(port=0, interface="lo", db_nodes=3)
    exp.start(database)
    dashboard = Dashboard(tmp_path)
    shards = dashboard.shards()
    assert [f"{job.entry['hostname']}:{job.entry['port']}" for job in shards.values()] == database.get_address()
    for name, job in shards.items():
        assert job.status == "Running"
        assert job.entry["cluster"] is True
        assert Path(job.entry["conf_file"]).is_file()
        assert Path(job.entry["out_file"]).is_file()
        assert job.entry["memory_file"] == str(job.directory / "memory.csv")
        assert job.directory.name == name
    (entry,) = dashboard.runs[0]["orchestrator"]
    assert (entry["name"], entry["type"], entry["interface"]) == ("orchestrator", "redis", ["lo"])
    exp.stop(database)
    assert {job.status for job in shards.values()} == {"Completed"}
    assert {(job.event("start") or {})["type"] for job in shards.values()} == {"dbnode"}


def test_each_start_is_a_run_of_its_own(exp: Experiment, tmp_path: Path) -> None:
    model = exp.create_model("m", exp.create_run_settings("true"))
    exp.start(model)
    exp.start(model)
    exp.start()
    dashboard = Dashboard(tmp_path)
    assert [len(run["model"]) for run in dashboard.runs] == [1, 1, 0]
    assert len({run["run_id"] for run in dashboard.runs}) == 3
    first, second = dashboard.models(0)["m"], dashboard.models(1)["m"]
    assert first.directory != second.directory
    assert first.status == second.status == "Completed"


def test_without_telemetry_there_is_a_manifest_and_nothing_else(exp: Experiment, tmp_path: Path) -> None:
    exp.telemetry.disable()
    exp.start(exp.create_model("m", exp.create_run_settings("true")))
    model = Dashboard(tmp_path).models()["m"]
    assert model.entry["telemetry_metadata"]["task_id"].isdigit()
    assert [path.name for path in tmp_path.rglob("st*.json")] == []
    assert not (tmp_path / ".smartsim/events.jsonl").exists()


def test_a_start_that_failed_is_no_run(exp: Experiment, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    with pytest.raises(SmartSimError):
        exp.start(exp.create_model("m", exp.create_run_settings(str(program))))
    exp.start(exp.create_model("n", exp.create_run_settings("true")))
    assert [list(Dashboard(tmp_path).models(run)) for run in range(len(Dashboard(tmp_path).runs))] == [["n"]]


@pytest.mark.parametrize("content", [b"", b'{"schema info": {"ver', b"\xff\xfe", b"[]", b'{"runs": 5}', b'"words"'])
def test_what_is_no_manifest_is_replaced(exp: Experiment, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / MANIFEST_FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    exp.start(exp.create_model("m", exp.create_run_settings("true")))
    assert list(Dashboard(tmp_path).models()) == ["m"]


def test_several_drivers_lose_no_run_and_a_reader_sees_whole_files(tmp_path: Path) -> None:
    names = ["a", "b", "c"]
    drivers = [
        subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(tmp_path), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for name in names
    ]
    done = threading.Event()
    read, broken = [], []

    def look() -> None:
        while not done.is_set():
            try:
                read.append(len(Dashboard(tmp_path).runs))
            except FileNotFoundError:
                continue  # before the first start
            except Exception as error:  # noqa: BLE001 - whatever a reader would stumble over
                broken.append(error)

    reader = threading.Thread(target=look)
    reader.start()
    try:
        for driver in drivers:
            assert driver.stdin is not None
            driver.stdin.write(b"go\n")
            driver.stdin.flush()
        for driver in drivers:
            driver.communicate(timeout=DEADLINE)
            assert driver.returncode == 0
    finally:
        done.set()
        reader.join(DEADLINE)
    assert broken == []
    assert read == sorted(read)
    dashboard = Dashboard(tmp_path)
    started = [name for run in range(len(dashboard.runs)) for name in dashboard.models(run)]
    assert sorted(started) == sorted(names * 10)


def test_a_manifest_that_cannot_be_written_stops_nothing(
    exp: Experiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / MANIFEST_FILE).mkdir(parents=True)
    model = exp.create_model("m", exp.create_run_settings("true"))
    exp.start(model)
    exp.start(model)
    assert exp.get_status(model) == [SmartSimStatus.STATUS_COMPLETED]
    assert capsys.readouterr().out.count("not recorded") == 1


def test_what_an_earlier_driver_wrote_is_left_as_it_is() -> None:
    files = InMemoryFileSystem(["/x/out"])
    status = StatusFiles("/x", files)
    status([record.Submitted(1.0, "m", "Model", "m-1", stdout="out/m.out"), record.Started(2.0, "m", "m-1", "7")])
    first = files.read("/x/out/start.json")
    later = StatusFiles("/x", files)  # of a driver that takes it over
    later([record.TakenOver(8.0, "m", "Model", "m-1", stdout="out/m.out"), record.Started(9.0, "m", "m-1", "7")])
    later([record.Ended(10.0, "m", "m-1", "Completed", 0)])
    assert files.read("/x/out/start.json") == first
    assert json.loads(files.read("/x/out/stop.json"))["timestamp"] == 10_000


def test_a_file_that_cannot_be_written_does_not_keep_those_of_other_jobs_from_being_written(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "a/start.json").mkdir()  # in its way
    status = StatusFiles(str(tmp_path), PosixFileSystem())
    submitted = [record.Submitted(1.0, name, "Model", f"{name}-1", stdout=f"{name}/out") for name in ("a", "b")]
    with pytest.raises(OSError, match=r"start\.json"):
        status([*submitted, *(record.Started(2.0, name, f"{name}-1", "7") for name in ("a", "b"))])
    assert json.loads((tmp_path / "b/start.json").read_bytes())["job_id"] == "7"


def test_jobs_of_a_scheduler_have_the_ids_of_their_batch_job() -> None:
    files = InMemoryFileSystem(["/x/out"])
    opened = record.Opened(0.5, "study", "slurm")
    batch = BatchOptions("sbatch", {"nodes": "2", "exclusive": None})
    events: list[record.Event] = [
        record.Launching(1.0, "r1", "out", (EnsembleFacts("e", "e", {}, batch),)),
        record.Submitted(
            1.0, "e_0", "Model", "e_0-1", run_id="r1", ensemble="e", stdout="out/e_0.out", batch_job="e-0", batch=None
        ),
        record.Queued(1.5, "e_0", "e_0-1", "4711"),
        record.Launched(2.0, "r1"),
        record.Started(3.0, "e_0", "e_0-1", "4711"),
        record.Ended(4.0, "e_0", "e_0-1", "Failed", None, "NODE_FAIL"),
    ]
    manifest, status = ManifestFile(opened, "/x", files), StatusFiles("/x", files)
    for event in events:
        manifest([event])
        status([event])
    written = json.loads(files.read(f"/x/{MANIFEST_FILE}"))
    assert written["experiment"]["launcher"] == "Slurm"
    (ensemble,) = written["runs"][0]["ensemble"]
    assert ensemble["batch_settings"] == {"batch_command": "sbatch", "batch_args": {"nodes": "2", "exclusive": None}}
    assert ensemble["models"][0]["telemetry_metadata"] == {
        "status_dir": "/x/out",
        "step_id": "4711",
        "task_id": "",
        "managed": True,
    }
    stop = json.loads(files.read("/x/out/stop.json"))
    assert (stop["step_id"], stop["job_id"], stop["detail"], stop["return_code"]) == ("4711", "", "NODE_FAIL", 1)


def test_a_single_shard_has_no_cluster_file() -> None:
    files = InMemoryFileSystem(["/x/out"])
    manifest = ManifestFile(record.Opened(0.5, "study", "pals"), "/x", files)
    manifest(
        [
            record.Launching(1.0, "r1", "out", databases=(DatabaseFacts("db", "db", ("lo",)),)),
            record.Submitted(1.0, "db_0", "DBNode", "db_0-1", run_id="r1", database="db", stdout="out/db_0.out"),
            record.DatabaseReady(2.0, "db", "9", (ShardFacts("db_0", "10.0.0.1", 6379),)),
            record.Launched(2.0, "r1"),
        ]
    )
    written = json.loads(files.read(f"/x/{MANIFEST_FILE}"))
    (shard,) = written["runs"][0]["orchestrator"][0]["shards"]
    assert (shard["cluster"], shard["conf_file"], shard["hostname"], shard["port"]) == (False, None, "10.0.0.1", 6379)
    assert written["experiment"]["launcher"] == "PBS"
    assert written["runs"][0]["model"] == []


def test_colocated_databases_are_told_with_their_models() -> None:
    files = InMemoryFileSystem(["/x/out"])
    manifest = ManifestFile(record.Opened(0.5, "study", "local"), "/x", files)
    job = record.Submitted(
        1.0,
        "m",
        "Model",
        "m-1",
        run_id="r1",
        stdout="out/m.out",
        colocated={"port": 6780, "cpus": 2},
        ml_models=(MLObject("net", "TORCH", "GPU"),),
        ml_scripts=(MLObject("relax", "TORCH", "CPU"),),
    )
    manifest([record.Launching(1.0, "r1", "out"), job, record.Launched(2.0, "r1")])
    (model,) = json.loads(files.read(f"/x/{MANIFEST_FILE}"))["runs"][0]["model"]
    assert model["colocated_db"] == {
        "settings": {"port": 6780, "cpus": 2},
        "models": [{"net": {"backend": "TORCH", "device": "GPU"}}],
        "scripts": [{"relax": {"backend": "TORCH", "device": "CPU"}}],
    }


def test_the_old_dashboard_and_the_record_agree(exp: Experiment, tmp_path: Path) -> None:
    scripts = {"fine": "true", "bad": "exit 3", "killed": "kill -SEGV $$", "stopped": "sleep 600", "runs": "sleep 600"}
    models = {name: exp.create_model(name, exp.create_run_settings("sh", ["-c", s])) for name, s in scripts.items()}
    ensemble = exp.create_ensemble("e", {"x": [1, 2]}, run_settings=exp.create_run_settings("true"))
    exp.start(*models.values(), ensemble, block=False)
    exp.stop(models["stopped"])
    exp.wait(models["fine"], models["bad"], models["killed"], ensemble)
    history, jobs = ExperimentReader(str(tmp_path)).history, Dashboard(tmp_path).models()
    assert set(jobs) == set(history.entities) == {*scripts, "e_0", "e_1"}
    shown = {"fine": "Completed", "bad": "Failed", "killed": "Failed", "stopped": "Failed", "runs": "Running"}
    assert {name: job.status for name, job in jobs.items()} == shown | {"e_0": "Completed", "e_1": "Completed"}
    for name, job in jobs.items():
        (recorded,) = history.entities[name]
        assert job.entry["out_file"] == str(tmp_path / recorded.facts.stdout)
        assert job.entry["path"] == str(tmp_path / recorded.facts.directory)
        assert job.entry["telemetry_metadata"]["task_id"] == recorded.native_id
        start, stop = job.event("start"), job.event("stop")
        assert start is not None
        assert start["timestamp"] == int((recorded.started_at or 0.0) * 1e3)
        assert (stop is None) == (recorded.ended_at is None)
        if stop is not None:
            ended = int((recorded.ended_at or 0.0) * 1e3)
            assert (stop["timestamp"], stop["return_code"]) == (ended, recorded.returncode)
            assert stop["detail"] == recorded.reason


def table(path: str) -> list[dict[str, Any]]:
    """Return a table as the dashboard reads it: numbers, but for addresses."""
    with Path(path).open(newline="") as stream:
        return [
            {name: cell if name == "address" else int(cell) for name, cell in row.items()}
            for row in csv.DictReader(stream)
        ]


def test_tables_of_servers_are_where_the_manifest_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMARTSIM_TELEMETRY_FREQUENCY", "1")
    with Experiment("study", str(tmp_path)) as exp:
        database = exp.create_database(port=0, interface="lo", db_nodes=3)
        database.telemetry.enable()
        exp.start(database)
        shards = Dashboard(tmp_path).shards()
        deadline = time.monotonic() + DEADLINE
        counts = [Path(job.entry["client_count_file"]) for job in shards.values()]
        while not all(path.exists() and len(path.read_text().splitlines()) > 2 for path in counts):
            assert time.monotonic() < deadline, "there were no samples"
            time.sleep(0.05)
    assert len(shards) == 3
    for job in shards.values():
        memory, clients, numbers = (table(job.entry[f"{name}_file"]) for name in ("memory", "client", "client_count"))
        assert set(memory[0]) == {"timestamp", "used_memory", "used_memory_peak", "total_system_memory"}
        assert set(numbers[0]) == {"timestamp", "num_clients"}
        if clients:
            assert set(clients[0]) == {"timestamp", "client_id", "address"}
        times = [row["timestamp"] for row in memory]
        assert times == sorted(times) == [row["timestamp"] for row in numbers]
        for row in numbers:
            assert row["num_clients"] == len([client for client in clients if client["timestamp"] == row["timestamp"]])
        start, stop = job.event("start"), job.event("stop")
        assert start is not None
        assert stop is not None
        assert start["timestamp"] <= times[0] <= times[-1] <= stop["timestamp"]
