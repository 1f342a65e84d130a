"""The SmartRedis client gives a reply 250 ms; then it hangs up, and sends the command again a second later."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from old_clients.database import Database
from old_clients.old_client import smartredis
from old_clients.torch_models import FIXED_POINT, SLOW_SCRIPT, slow

models = partial(smartredis, "smartredis_models.py")
scripts = partial(smartredis, "smartredis_scripts.py")


@pytest.fixture
def model(tmp_path: Path) -> str:
    """The file of a model that takes as long as it is told."""
    path = tmp_path / "slow.pt"
    path.write_bytes(slow())
    return str(path)


@pytest.fixture(scope="session")
def loops(shared: Database) -> int:
    """How many loops of what is slow take two seconds, about."""
    command: Callable[..., Any] = shared.client.execute_command
    command("AI.SCRIPTSET", "slow", "CPU", "SOURCE", SLOW_SCRIPT)
    loops, microseconds = 8, 0
    while loops < 5_000 or microseconds < 500_000:  # TorchScript takes a while to become fast
        loops *= 2
        command("AI.TENSORSET", "loops", "INT64", 1, "VALUES", loops)
        command("AI.INFO", "slow", "RESETSTAT")
        command("AI.SCRIPTRUN", "slow", "slow", "INPUTS", "loops", "OUTPUTS", "y")
        microseconds = shared.statistics("slow")["duration"]
    return loops * 2_000_000 // microseconds


def test_a_model_of_two_seconds_runs_once(database: Database, model: str, loops: int) -> None:
    y = models("patient_run", database.tcp, file=model, loops=loops)

    assert y["values"] == pytest.approx([FIXED_POINT] * 3)
    assert database.connections() > 1  # it did hang up
    statistics = database.statistics("slow")
    assert (statistics["calls"], statistics["errors"], statistics["batches"]) == (1, 0, 1)


def test_a_script_of_two_seconds_runs_once(database: Database, loops: int) -> None:
    y = scripts("patient_run", database.tcp, source=SLOW_SCRIPT, loops=loops)

    assert y["values"] == pytest.approx([FIXED_POINT] * 3)
    assert database.connections() > 1
    statistics = database.statistics("slow")
    assert (statistics["calls"], statistics["errors"], statistics["batches"]) == (1, 0, 1)


def test_a_patient_client_does_not_hang_up(database: Database, model: str, loops: int) -> None:
    y = models("patient_run", database.unix, {"SR_SOCKET_TIMEOUT": "60000"}, file=model, loops=loops)

    assert y["values"] == pytest.approx([FIXED_POINT] * 3)
    assert database.connections() == 1


@pytest.mark.parametrize("socket_timeout", ["250", "60000"])
def test_a_run_past_its_deadline_is_an_error(database: Database, model: str, loops: int, socket_timeout: str) -> None:
    settings = {"SR_MODEL_TIMEOUT": "100", "SR_SOCKET_TIMEOUT": socket_timeout}

    found = models("impatient_run", database.tcp, settings, file=model, loops=loops)

    assert found["run"]["type"] == "RedisRuntimeError"
    assert found["run"]["message"].endswith("ERR timed out after 100 ms")
    assert found["written"] is False


def test_a_script_that_was_deleted_is_stored_again(database: Database) -> None:
    # So long that the check of it outlasts the client's patience.
    source = "".join(f"def function_{number}(x):\n    return x + {number}\n" for number in range(1500))

    for _ in range(2):
        assert scripts("store", database.tcp, source=source) is True
        database.client.delete("s")
