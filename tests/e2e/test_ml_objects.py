"""Models and scripts that entities bring along, in real databases: there before the first line of an application."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import torch
from redis import Redis

from ml_models import affine
from scripts import processes_in
from smartsim import Experiment
from smartsim.domain.client_config import RetryPolicy
from smartsim.entity import Ensemble, Model
from smartsim.error import SmartSimError
from smartsim.ports.model_runtime import ModelBlob
from smartsim.status import SmartSimStatus

COMPLETED = SmartSimStatus.STATUS_COMPLETED
SOURCE = "def halve(x):\n    return x / 2\n\ndef fail(x):\n    raise RuntimeError('on purpose')\n"

# Each argument is the suffix of a database; then the names of models that double and add one.
APPLICATION = """
import os, pathlib, sys
import numpy as np
from smartredis import Client, ConfigOptions

suffixes, models = sys.argv[1].split(","), sys.argv[2:]
pathlib.Path("began").touch()
x = np.arange(12, dtype=np.float32).reshape(3, 4)
for suffix in suffixes:
    client = Client(ConfigOptions.create_from_environment(suffix), "application")
    client.use_tensor_ensemble_prefix(False)  # members read what they have written
    given, made = [f"{os.getpid()}.{name}" for name in "xy"]
    client.put_tensor(given, x)
    for model in models:
        client.run_model(model, inputs=[given], outputs=[made])
        assert np.array_equal(client.get_tensor(made), 2 * x + 1), model
    client.run_script("script", "halve", inputs=[given], outputs=[made])
    assert np.array_equal(client.get_tensor(made), x / 2)
    client.run_script("function", "thrice", inputs=[given], outputs=[made])
    assert np.array_equal(client.get_tensor(made), 3 * x)
print("fine")
"""


def thrice(x: torch.Tensor) -> torch.Tensor:
    return 3 * x


class Affine(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x + 1


@pytest.fixture
def exp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Experiment]:
    sockets, path = tmp_path / "t", tmp_path / "exp"
    sockets.mkdir()
    path.mkdir()
    monkeypatch.setenv("TMPDIR", str(sockets))
    with Experiment("objects", str(path)) as exp:
        yield exp
    assert processes_in(tmp_path) == []


def application(exp: Experiment, *models: str, suffixes: str = "") -> Model:
    arguments = ["-c", APPLICATION, suffixes, *models]
    return exp.create_model("m", exp.create_run_settings(sys.executable, arguments))


def add_scripts(entity: Model | Ensemble, directory: Path) -> None:
    (directory / "script.py").write_text(SOURCE)
    entity.add_script("script", script_path=str(directory / "script.py"))
    entity.add_function("function", thrice)


def output(model: Model) -> str:
    return Path(model.path, f"{model.name}.out").read_text()


def add_model(entity: Model | Ensemble, name: str, backend: str, blob: ModelBlob, file: Path | None = None) -> None:
    if file is not None:
        file.write_bytes(blob.blob)
    entity.add_ml_model(
        name,
        backend,
        None if file else blob.blob,
        str(file) if file else None,
        inputs=list(blob.inputs),
        outputs=list(blob.outputs),
    )


def test_an_ensemble_runs_models_of_every_framework(exp: Experiment, tmp_path: Path) -> None:
    names = []
    run_settings = exp.create_run_settings(sys.executable, ["-c", APPLICATION, ""])
    ensemble = exp.create_ensemble("e", run_settings=run_settings, replicas=2)
    for backend in ("TORCH", "ONNX", "TF", "TFLITE"):
        for file in (None, tmp_path / f"model.{backend}"):
            names.append(f"{backend}{bool(file):d}")
            add_model(ensemble, names[-1], backend, affine(backend), file)
    ensemble.add_ml_model("module", "TORCH", Affine(), batch_size=8)
    add_scripts(ensemble, tmp_path)
    for member in ensemble.models:
        member.run_settings.exe_args += [*names, "module"]
    database = exp.create_database(port=0, interface="lo")
    exp.start(database, ensemble)
    assert exp.get_status(ensemble) == [COMPLETED] * 2
    assert {output(member) for member in ensemble.models} == {"fine\n"}


def test_a_cluster_has_them_on_every_shard(exp: Experiment, tmp_path: Path) -> None:
    database = exp.create_database(port=0, interface="lo", db_nodes=3)
    model = application(exp, "module", "onnx")
    model.add_ml_model("module", "TORCH", Affine())
    add_model(model, "onnx", "ONNX", affine("ONNX"))
    add_scripts(model, tmp_path)
    exp.start(database)
    exp.start(model)
    assert output(model) == "fine\n"
    for address in database.get_address():
        host, _, port = address.rpartition(":")
        with Redis(host, int(port), socket_timeout=60) as shard:
            assert shard.dbsize() >= 4


def test_every_database_has_them(exp: Experiment, tmp_path: Path) -> None:
    one = exp.create_database(port=0, interface="lo", db_identifier="one")
    two = exp.create_database(port=0, interface="lo", db_identifier="two")
    model = application(exp, "module", suffixes="one,two")
    model.add_ml_model("module", "TORCH", Affine())
    add_scripts(model, tmp_path)
    exp.start(one, two, model)
    assert output(model) == "fine\n"


def test_a_second_start_finds_them_there(exp: Experiment, tmp_path: Path) -> None:
    database = exp.create_database(port=0, interface="lo")
    model = application(exp, "module")
    model.add_ml_model("module", "TORCH", Affine())
    add_scripts(model, tmp_path)
    exp.start(database, model)
    host, _, port = database.get_address()[0].rpartition(":")
    with Redis(host, int(port), socket_timeout=60) as client:
        stored = stores(client)
        exp.start(model)
        assert output(model) == "fine\n"
        assert stores(client) == stored == (1, 2)
        client.flushdb()
        exp.start(model)
        assert stores(client) == (2, 4)


def stores(client: Redis) -> tuple[int, int]:
    """How many models and scripts the database was told to store so far."""
    statistics = client.info("commandstats")
    return tuple(statistics[f"cmdstat_AI.{name}"]["calls"] for name in ("MODELSTORE", "SCRIPTSET"))


@pytest.mark.parametrize("colocate", [False, True], ids=["standard", "colocated"])
@pytest.mark.parametrize(
    ("break_it", "complaint"),
    [
        (lambda model: model.add_ml_model("broken", "TORCH", b"no model"), "'broken' of m .*has to be TorchScript"),
        (lambda model: model.add_ml_model("broken", "ONNX", b"no model"), "'broken' of m .*ONNX backend cannot load"),
        (lambda model: model.add_script("broken", "def f(x):\n    return y\n"), "'broken' of m .*undefined value y"),
        (lambda model: model.add_ml_model("gpu", "TORCH", Affine(), device="GPU:7"), "no worker serves the device GPU"),
    ],
    ids=["torch", "onnx", "script", "gpu"],
)
def test_what_is_broken_is_an_error_before_the_application_runs(
    exp: Experiment, colocate: bool, break_it: Callable[[Model], None], complaint: str
) -> None:
    model = application(exp)
    model.add_ml_model("fine", "TORCH", Affine())
    break_it(model)
    if colocate:
        model.colocate_db_uds()
        with pytest.raises(SmartSimError, match=f"(?s){complaint}"):
            exp.start(model)
    else:
        database = exp.create_database(port=0, interface="lo")
        with pytest.raises(SmartSimError, match=f"(?s){complaint}"):
            exp.start(database, model)
        assert not database.is_active()
    assert not Path(model.path, "began").exists()


def test_a_colocated_database_has_them_before_its_first_rank_runs(exp: Experiment, tmp_path: Path) -> None:
    model = application(exp, "module", "bytes", "file")
    model.colocate_db_uds()
    model.add_ml_model("module", "TORCH", Affine())
    add_model(model, "bytes", "ONNX", affine("ONNX"))
    add_model(model, "file", "TORCH", affine("TORCH"), tmp_path / "file.pt")
    add_scripts(model, tmp_path)
    exp.start(model)
    assert output(model) == "fine\n"
    assert exp.get_status(model) == [COMPLETED]


def test_a_database_that_does_not_answer_is_not_waited_for_without_end(
    exp: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartsim.app.ml_uploads._PATIENCE", RetryPolicy(timeout=0.2, interval=0.1))
    monkeypatch.setattr("smartsim.app.ml_uploads._LONGEST_SILENCE", 0.2)
    database = exp.create_database(port=0, interface="lo")
    exp.start(database)
    assert database.service is not None
    server = psutil.Process(database.service.shards[0].facts.process_id)
    model = application(exp)
    model.add_script("script", SOURCE)
    server.suspend()
    try:
        with pytest.raises(SmartSimError, match="Could not connect|did not answer"):
            exp.start(model)
    finally:
        server.resume()
    assert not Path(model.path, "began").exists()
    assert database.is_active()


def test_a_database_with_a_password_has_them(exp: Experiment, tmp_path: Path) -> None:
    database = exp.create_database(port=0, interface="lo", password=True)
    model = application(exp, "module")
    model.add_ml_model("module", "TORCH", Affine())
    add_scripts(model, tmp_path)
    exp.start(database, model)
    assert output(model) == "fine\n"
