"""Applications with SmartRedis that a driver script starts: with its environment, and the rights of applications."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from old_clients.old_client import PROGRAMS, interpreter
from old_clients.torch_models import SLOW_SCRIPT
from smartsim import Experiment
from smartsim.status import SmartSimStatus


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """Run a function of a program as an application of an experiment with a database."""
    directory = tmp_path_factory.mktemp("experiment")
    with Experiment("old", str(directory), launcher="local") as exp:
        database = exp.create_database(port=0)
        exp.start(database)

        def run(program: str, case: str, **arguments: Any) -> Any:
            words = [str(PROGRAMS / program), case, json.dumps(arguments)]
            settings = exp.create_run_settings(str(interpreter("smartredis")), words, env_vars={"PYTHONPATH": ""})
            model = exp.create_model(f"{Path(program).stem}_{case}", settings)
            exp.start(model)
            output = Path(model.path, f"{model.name}.out").read_text(encoding="utf-8")
            assert exp.get_status(model) == [SmartSimStatus.STATUS_COMPLETED], output
            return json.loads(output.splitlines()[-1])

        yield run


def test_tensors_datasets_and_lists(application: Callable[..., Any]) -> None:
    assert application("smartredis_data.py", "large_tensor", elements=1_000_000) is True
    assert application("smartredis_data.py", "datasets")["deleted"] is True
    assert application("smartredis_data.py", "lists")["all"] == ["d0", "d1", "d2"]


def test_models_and_scripts(application: Callable[..., Any], affine: str, tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text("def double(x):\n    return 2 * x\n")

    model = application(
        "smartredis_models.py", "run", file=affine, backend="TORCH", inputs=[], outputs=[], from_file=True
    )
    script = application("smartredis_scripts.py", "run", file=str(path))

    assert model["y"]["values"] == [[1, 3, 5, 7], [9, 11, 13, 15]]
    assert script["tensors"]["doubled from file"] == [2.0, 4.0]


def test_it_waits_longer_than_250_ms(application: Callable[..., Any]) -> None:
    assert application("smartredis_scripts.py", "patient_run", source=SLOW_SCRIPT, loops=100_000)["values"] == [2.0] * 3
