"""What jobs say of themselves, whatever the scheduler."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from allocation_jobs import job, machine
from smartsim.adapters.wlm.allocations.current import allocation, current_job, job_variable
from smartsim.domain.errors import AllocationError, LauncherError
from smartsim.domain.resources import Node


@pytest.mark.parametrize("ask", ["hosts", "queue", "tasks", "tasks_per_node", "nodes"])
@pytest.mark.parametrize("scheduler", ["slurm", "pbs", "pals", "lsf", "sge", "cobalt", "flux"])
def test_outside_of_jobs_it_is_said_so(scheduler: str, ask: str) -> None:
    with pytest.raises(AllocationError, match=r"is not set: this process does not run in a job of"):
        getattr(job(scheduler, {}), ask)()


@pytest.mark.parametrize(
    ("scheduler", "name", "variable"),
    [("pbs", "PBS", "PBS_NODEFILE"), ("lsf", "LSF", "LSB_DJOB_HOSTFILE"), ("cobalt", "Cobalt", "COBALT_NODEFILE")],
)
class TestHostFiles:
    def test_one_that_is_not_there_is_told(self, scheduler: str, name: str, variable: str) -> None:
        with pytest.raises(LauncherError, match=f"/none, which {variable} of {name} names, cannot be read"):
            job(scheduler, {variable: "/none"}).hosts()

    def test_one_without_hosts_is_told(self, scheduler: str, name: str, variable: str, tmp_path: Path) -> None:
        (tmp_path / "f").write_text("\n\n")
        with pytest.raises(LauncherError, match=f"{tmp_path}/f, which {variable} of {name} names, lists no host"):
            job(scheduler, {variable: str(tmp_path / "f")}).hosts()

    def test_a_line_that_is_no_host_is_told(self, scheduler: str, name: str, variable: str, tmp_path: Path) -> None:
        (tmp_path / "f").write_text("h1\nh2 slots=4\n")
        with pytest.raises(LauncherError, match=f"line 2 of {tmp_path}/f, which {variable} of {name}.*'h2 slots=4'"):
            job(scheduler, {variable: str(tmp_path / "f")}).hosts()

    def test_one_that_is_no_text_is_told(self, scheduler: str, name: str, variable: str, tmp_path: Path) -> None:
        (tmp_path / "f").write_bytes(b"\xff\xfe\n")
        with pytest.raises(LauncherError, match=f"which {variable} of {name} names, cannot be read"):
            job(scheduler, {variable: str(tmp_path / "f")}).hosts()


class TestAllocation:
    def test_outside_of_jobs_there_is_none(self) -> None:
        nobody: Any = None
        assert allocation({"PATH": "/bin", "JOB_ID": "7", "SLURM_JOB_ID": ""}, nobody) is None

    def test_inside_of_one_it_has_nodes(self) -> None:
        assert allocation({"LSB_JOBID": "1", "LSB_MCPU_HOSTS": "h1 2"}, machine()) == (Node("h1", (0, 1)),)

    def test_flux_in_a_job_of_slurm_is_what_can_be_used(self) -> None:
        environment = {"SLURM_JOB_ID": "3", "FLUX_URI": "local:///run/flux/local"}
        assert job_variable(environment) == ("FLUX_URI", "flux")
        resources = {"R_lite": [{"rank": "0", "children": {"core": "0-1"}}], "nodelist": ["fluke10"]}
        answer = (("flux", "resource", "R"), json.dumps({"version": 1, "execution": resources}))
        assert allocation(environment, machine(answer)) == (Node("fluke10", (0, 1)),)

    def test_what_is_no_scheduler_has_no_jobs(self) -> None:
        assert current_job("local", {}, machine()) is None
