"""A driver within a job of a look-alike: what it learns of its allocation, and ranks that it starts there."""

import json
import os
import shlex
import sys
from pathlib import Path

import pytest

from clusters.lookalikes.site import Site, lookalike

_DRIVER = """
import json, os, sys, threading
from smartsim.adapters.process.subprocess import SubprocessRunner
from smartsim.adapters.wlm.allocations.current import current_job
from smartsim.adapters.wlm.local import LocalWorkloadManager
from smartsim.domain.lifecycle import Ended, Refused
from smartsim.domain.steps import Step

scheduler, launch, where = sys.argv[1], sys.argv[2].split(), sys.argv[3]
job = current_job(scheduler, os.environ, SubprocessRunner())
ended, code = threading.Event(), []

def report(name, event):
    if isinstance(event, Ended | Refused):
        code.append(event.returncode if isinstance(event, Ended) else str(event.error))
        ended.set()

manager = LocalWorkloadManager()
rank = "${PALS_RANKID:-${JSM_NAMESPACE_RANK:-${FLUX_TASK_RANK:-$ALPS_APP_PE}}}"
argv = ("/bin/sh", "-c", f"echo rank {rank} on ${{PALS_NODEID:-?}}; [ {rank} = 0 ] || exit 5")
manager.submit([Step("a", argv, tuple(launch), {}, where, f"{where}/a.out", f"{where}/a.err")], report)
assert ended.wait(60.0)
manager.close()
with open(f"{where}/found.json", "w") as stream:
    json.dump([job.hosts(), job.tasks(), job.tasks_per_node(), code[0]], stream)
"""


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(where: Path, site: Site) -> object:
    site.wait_for(lambda jobs: all(job.is_over for job in jobs))
    output = "".join(path.read_text() for path in where.glob("job.*"))
    assert (where / "found.json").exists(), output
    return json.loads((where / "found.json").read_text())


def test_a_driver_in_a_job_of_pbs(where: Path) -> None:
    with lookalike("pbs", where / "cluster", {"n1": 4, "n2": 4}, ranks=("mpiexec",)) as site:
        path = f"PATH={site.bin}:/usr/bin:/bin,PYTHONPATH={':'.join(sys.path)}"
        program = (sys.executable, "-c", _DRIVER, "pbs", "mpiexec -n 3 --ppn 2", str(where))
        site.run("qsub", "-v", path, "-o", "job.out", "-e", "job.err", "-l", "select=2:ncpus=4", "--", *program)
        assert found(where, site) == [["n1", "n2"], 8, {"n1": 4, "n2": 4}, 5]
    assert sorted((where / "a.out").read_text().splitlines()) == ["rank 0 on 0", "rank 1 on 0", "rank 2 on 1"]


def test_a_driver_in_a_job_of_cobalt(where: Path) -> None:
    with lookalike("cobalt", where / "cluster", {"n1": 4, "n2": 4}, ranks=("aprun",)) as site:
        script, code = where / "driver.sh", where / "driver.py"
        code.write_text(_DRIVER)
        # What login shells read on the node may set the PATH anew, and so the script has to.
        script.write_text(
            f"#!/bin/bash\nexport PATH={site.bin}:$PATH PYTHONPATH={':'.join(sys.path)}\n"
            f'exec {sys.executable} {code} cobalt "$LAUNCH" {where}\n'
        )
        script.chmod(0o755)
        submitted = site.run("qsub", "-n", "2", "-t", "60", "-O", "job", "--env", "LAUNCH=aprun -n 2", str(script))
        assert submitted.returncode == 0
        assert found(where, site) == [["n1", "n2"], 2, {"n1": 1, "n2": 1}, 5]
    first, second, line = (where / "a.out").read_text().splitlines()
    assert sorted([first, second]) == ["rank 0 on ?", "rank 1 on ?"]
    assert line.startswith("Application ")


def run_as_bash(where: Path, *arguments: str) -> Path:
    """Return a script that runs the driver."""
    script, code = where / "driver.sh", where / "driver.py"
    code.write_text(_DRIVER)
    script.write_text(f"#!/bin/bash\nexec {shlex.join([sys.executable, str(code), *arguments, str(where)])}\n")
    script.chmod(0o755)
    return script


def test_a_driver_in_a_job_of_lsf(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with lookalike("coral", where / "cluster", {"n1": 4, "n2": 4, "n3": 4}, ranks=("jsrun",)) as site:
        monkeypatch.setenv("PATH", f"{site.bin}:{os.environ['PATH']}")
        monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
        script = run_as_bash(where, "lsf", "jsrun -n 3 -r 2")
        assert site.run("bsub", "-P", "P1", "-nnodes", "2", "-o", "job.out", str(script)).returncode == 0
        assert found(where, site) == [["n1", "n2"], 8, {"n1": 4, "n2": 4}, 5]
    assert sorted((where / "a.out").read_text().splitlines()) == [f"rank {rank} on ?" for rank in range(3)]


def test_a_driver_in_a_job_of_flux(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with lookalike("flux", where / "cluster", {"n1": 4, "n2": 4, "n3": 4}) as site:
        monkeypatch.setenv("PATH", f"{site.bin}:{os.environ['PATH']}")
        monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
        script = run_as_bash(where, "flux", "flux run -N 2 -n 3")
        assert site.run("flux", "batch", "-N", "2", "--output=job.out", str(script)).returncode == 0
        assert found(where, site) == [["n1", "n2"], 8, {"n1": 4, "n2": 4}, 5]
    assert sorted((where / "a.out").read_text().splitlines()) == [f"rank {rank} on ?" for rank in range(3)]
