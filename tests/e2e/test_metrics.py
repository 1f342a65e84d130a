"""Samples of a whole run: they add up."""

from __future__ import annotations

import io
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
import torch

from smartsim import Experiment
from smartsim.domain.metrics_history import MetricsHistory

DEADLINE = 60.0
CALLS = 9
MIB = 2**20


class Linear(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x + 1


def blob() -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is what the database runs
        torch.jit.save(torch.jit.script(Linear()), stream)
    return stream.getvalue()


def lines(directory: Path) -> Iterator[dict[str, Any]]:
    path = directory / ".smartsim/metrics.jsonl"
    if path.exists():
        for line in path.read_bytes().split(b"\n")[:-1]:
            yield json.loads(line)


def until(directory: Path, condition: Callable[[MetricsHistory], bool], what: str) -> MetricsHistory:
    deadline = time.monotonic() + DEADLINE
    while not condition(history := MetricsHistory.of(lines(directory))):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return history


@pytest.fixture
def exp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Experiment]:
    monkeypatch.setenv("SMARTSIM_TELEMETRY_FREQUENCY", "1")
    with Experiment("sampled", str(tmp_path)) as exp:
        yield exp


def test_calls_of_a_model_are_counted(exp: Experiment, tmp_path: Path) -> None:
    database = exp.create_database(port=0, interface="lo", threads_per_queue=1, intra_op_threads=1)
    exp.start(database)
    host, _, port = database.get_address()[0].rpartition(":")
    with redis.Redis(host, int(port), socket_timeout=DEADLINE) as client:
        assert client.execute_command("AI.MODELSTORE", "net", "TORCH", "CPU", "BLOB", blob()) == b"OK"
        x = np.arange(12, dtype=np.float32)
        client.execute_command("AI.TENSORSET", "x", "FLOAT", 4, 3, "BLOB", x.tobytes())
        for _ in range(CALLS):
            client.execute_command("AI.MODELEXECUTE", "net", "INPUTS", 1, "x", "OUTPUTS", 1, "y")
        key = ("orchestrator_0", "net")
        history = until(
            tmp_path,
            lambda found: key in found.latest_models and found.latest_models[key].calls == CALLS,
            "not all calls were counted",
        )
        server = until(
            tmp_path,
            lambda found: found.latest_servers["orchestrator_0"].calls.get("AI.MODELEXECUTE") == CALLS,
            "not all commands were counted",
        )
    model = history.latest_models[key]
    assert (model.backend, model.device, model.errors, model.workers) == ("TORCH", "CPU", 0, 1)
    assert sum(model.batch_sizes.values()) == CALLS
    assert model.run_seconds > 0
    assert server.latest_servers["orchestrator_0"].keys == 3
    assert server.latest_servers["orchestrator_0"].database == "orchestrator"
    steps = [step for step in server.jobs if step.startswith("orchestrator_0-")]
    assert server.latest_jobs[steps[0]].processes >= 3  # the server, its supervisor and a worker


def test_memory_and_cpu_of_a_job_are_seen(exp: Experiment, tmp_path: Path) -> None:
    work = "import sys, time\nheld = b'x' * (200 << 20)\nwhile True: pass"
    model = exp.create_model("m", exp.create_run_settings(sys.executable, ["-c", work]))
    exp.generate(model)
    exp.start(model, block=False)
    history = until(
        tmp_path,
        lambda found: any((cores or 0) > 0.2 for jobs in found.jobs.values() for cores in jobs.values["cpu"]),
        "its work was not seen",
    )
    ((step, usage),) = history.latest_jobs.items()
    assert step.startswith("m-")
    assert 200 * MIB < usage.memory < 300 * MIB
    assert usage.processes == 1
    (cpu,) = (max(cores or 0 for cores in jobs.values["cpu"]) for jobs in history.jobs.values())
    assert cpu < 1.5


def test_a_colocated_database_is_sampled(exp: Experiment, tmp_path: Path) -> None:
    model = exp.create_model("w", exp.create_run_settings("sleep", ["600"]))
    model.colocate_db_uds(db_cpus=1)
    exp.generate(model)
    exp.start(model, block=False)
    history = until(tmp_path, lambda found: "w_db" in found.latest_servers, "its database was not sampled")
    assert history.latest_servers["w_db"].database == "orchestrator"
    assert history.latest_servers["w_db"].used_memory > 0


def test_samples_of_several_drivers_are_in_one_file(exp: Experiment, tmp_path: Path) -> None:
    database = exp.create_database(port=0, interface="lo")
    exp.start(database)
    until(tmp_path, lambda found: "orchestrator_0" in found.servers, "it was not sampled")
    other = Experiment("sampled", str(tmp_path))
    other.reconnect_orchestrator(database.checkpoint_file)
    before = len(list(lines(tmp_path)))
    until(tmp_path, lambda _: len(list(lines(tmp_path))) >= before + 6, "there were no more samples")
    assert MetricsHistory.of(lines(tmp_path)).unknown == 0
    other.telemetry.disable()
