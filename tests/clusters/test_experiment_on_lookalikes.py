"""Driver scripts on schedulers that look like the real ones."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusters.lookalikes.site import Site, lookalike
from smartsim import Experiment
from smartsim.error.errors import LauncherError
from smartsim.settings.base import BatchSettings
from smartsim.status import SmartSimStatus

COMPLETED, FAILED, CANCELLED, RUNNING = (
    SmartSimStatus.STATUS_COMPLETED,
    SmartSimStatus.STATUS_FAILED,
    SmartSimStatus.STATUS_CANCELLED,
    SmartSimStatus.STATUS_RUNNING,
)
LAUNCHERS = {
    # launcher: what it looks like, what starts ranks there
    "pbs": ("pbs", "aprun"),
    "pals": ("pbs", "mpiexec"),
    "cobalt": ("cobalt", "aprun"),
    "lsf": ("coral", "jsrun"),
    "flux": ("flux", "flux"),
}
PUT_AND_GET = """
import numpy as np
from smartsim.client import Client
client = Client(cluster=False)
client.put_tensor("x", np.arange(4.0))
print(client.get_tensor("x").tolist())
"""


@pytest.fixture(params=sorted(LAUNCHERS))
def launcher(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def site(launcher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    kind, ranks = LAUNCHERS[launcher]
    others = () if ranks == kind else (ranks,)
    with lookalike(kind, tmp_path / "cluster", {"node1": 4, "node2": 4}, ranks=others) as site:
        monkeypatch.setenv("PATH", f"{site.bin}:{os.environ['PATH']}")
        monkeypatch.chdir(tmp_path)
        yield site


@pytest.fixture
def exp(site: Site, launcher: str, tmp_path: Path) -> Experiment:
    del site  # the experiment is to find it
    return Experiment("study", str(tmp_path), launcher=launcher)


def batch(exp: Experiment, nodes: int = 1) -> BatchSettings:
    settings = exp.create_batch_settings(nodes=nodes, time="01:00:00", account="P1")
    settings.add_preamble("export FROM_PREAMBLE='a b'")
    return settings


def test_members_of_a_batch_ensemble_fail_for_themselves(exp: Experiment, launcher: str) -> None:
    settings = exp.create_run_settings(
        "sh", ["-c", 'echo "$FROM_PREAMBLE $A"; exit ${CODE:-0}'], env_vars={"A": "c 'd' $e"}
    )
    settings.set_tasks(2)
    assert settings.run_command
    assert settings.run_command.endswith(LAUNCHERS[launcher][1])
    ensemble = exp.create_ensemble("member", batch_settings=batch(exp, 2), run_settings=settings, replicas=3)
    ensemble.models[1].run_settings.update_env({"CODE": 7})
    exp.generate(ensemble)
    exp.start(ensemble, block=True)
    assert exp.get_status(ensemble) == [COMPLETED, FAILED, COMPLETED]
    for member in ensemble.models:
        said = Path(member.path, f"{member.name}.out").read_text().splitlines()
        assert [line for line in said if not line.startswith("Application ")] == ["a b c 'd' $e"] * 2


def test_a_job_that_is_stopped_is_gone_and_counts_as_cancelled(exp: Experiment, site: Site) -> None:
    settings = exp.create_run_settings("sleep", "600", run_command="")
    model = exp.create_model("m", settings, batch_settings=batch(exp))
    exp.start(model, block=False)
    site.wait_for(lambda jobs: any(job.runs for job in jobs))
    exp.stop(model, grace=1.0)
    assert exp.get_status(model) == [CANCELLED]
    site.wait_for(lambda jobs: not any(job.runs for job in jobs))


def test_a_database_runs_in_a_batch_job_and_serves_another(exp: Experiment) -> None:
    with exp:
        database = exp.create_database(batch=True, port=0, time="01:00:00", account="P1")
        exp.start(database)
        settings = exp.create_run_settings(sys.executable, ["-c", PUT_AND_GET], run_command="")
        model = exp.create_model("m", settings, batch_settings=batch(exp))
        exp.start(model, block=True)
        assert exp.get_status(model, database) == [COMPLETED, RUNNING]
        assert Path(model.path, "m.out").read_text() == "[0.0, 1.0, 2.0, 3.0]\n"
    assert exp.get_status(database) == [CANCELLED]


def test_a_queue_that_does_not_exist_is_told_with_what_to_do(exp: Experiment) -> None:
    settings = batch(exp)
    settings.set_queue("nosuch")
    model = exp.create_model("m", exp.create_run_settings("true", run_command=""), batch_settings=settings)
    with pytest.raises(LauncherError, match="(?si)queue.*-q"):
        exp.start(model, block=True)
    assert exp.get_status(model) == [FAILED]
