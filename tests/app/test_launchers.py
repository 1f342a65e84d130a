from __future__ import annotations

from typing import Any

import pytest

from smartsim.adapters.process.scripted import ScriptedProcessRunner
from smartsim.ports.process_runner import Completed
from smartsim.wlm import detect_launcher

PBS_VERSION = ("qsub", "--version"), Completed(0, "pbs_version = 23.06.06\n", "")
PBS_SERVER = ("qstat", "-B"), Completed(0, "Server             Max   Tot\npbsserver            0     1\n", "")
PBS_GONE = (
    ("qstat", "-B"),
    Completed(111, "", "Connection refused\nqstat: cannot connect to server pbsserver (errno=111)\n"),
)
SLURM_UP = ("scontrol", "ping"), Completed(0, "Slurmctld(primary) at login1 is UP\n", "")
SLURM_DOWN = ("scontrol", "ping"), Completed(1, "Slurmctld(primary) at login1 is DOWN\n", "")
LSF_UP = (
    ("lsid",),
    Completed(0, "IBM Spectrum LSF Standard 10.1.0.13\nMy cluster name is c1\nMy master name is m1\n", ""),
)
LSF_DOWN = ("lsid",), Completed(255, "volclava project 2.2\n", "ls_getclustername(): LIM is down; try later\n")
SGE_HELP = ("qstat", "-help"), Completed(0, "SGE 8.1.9\nusage: qstat [options]\n", "")
SGE_HOSTS = ("qconf", "-sh"), Completed(0, "node1\n", "")
SGE_GONE = ("qconf", "-sh"), Completed(1, "", "error: commlib error: got select error (Connection refused)\n")
COBALT = ("qstat", "--version"), Completed(0, "version: qstat.py 1.0.30, Cobalt 1.0.30\n", "")
FLUX_UP = ("flux", "uptime"), Completed(0, " 23:26:41 run 1.1s,  owner root,  depth 0,  size 4\n", "")
FLUX_GONE = ("flux", "uptime"), Completed(1, "", "flux-uptime: ERROR: Unable to connect to Flux\n")


def machine(*answers: tuple[tuple[str, ...], Completed]) -> ScriptedProcessRunner:
    return ScriptedProcessRunner({argv[0]: f"/usr/bin/{argv[0]}" for argv, _ in answers}, dict(answers))


@pytest.mark.parametrize(
    ("processes", "launcher"),
    [
        (machine(), "local"),
        (machine(PBS_VERSION, PBS_SERVER), "pbs"),
        (machine(PBS_VERSION, PBS_GONE), "local"),
        (machine(LSF_UP), "lsf"),
        (machine(LSF_DOWN), "local"),
        (machine(SLURM_UP), "slurm"),
        (machine(SLURM_DOWN), "local"),
        (machine(SGE_HELP, SGE_HOSTS), "sge"),
        (machine(SGE_HELP, SGE_GONE), "local"),
        (machine(COBALT), "cobalt"),
        (machine(FLUX_UP), "flux"),
        (machine(FLUX_GONE), "local"),
        (machine(FLUX_UP, SLURM_UP), "slurm"),
        (machine(SLURM_DOWN, SGE_HELP, SGE_HOSTS), "sge"),
    ],
)
def test_the_servers_are_asked(processes: ScriptedProcessRunner, launcher: str) -> None:
    assert detect_launcher(processes=processes, environment={}) == launcher


def test_a_server_that_does_not_answer_is_not_there() -> None:
    silent = ScriptedProcessRunner({"scontrol": "/usr/bin/scontrol", "lsid": "/usr/bin/lsid"})
    assert detect_launcher(processes=silent, environment={}) == "local"


@pytest.mark.parametrize(
    ("environment", "launcher"),
    [
        ({"SLURM_JOB_ID": "17"}, "slurm"),
        ({"SLURM_JOBID": "17"}, "slurm"),
        ({"PBS_JOBID": "17.server"}, "pbs"),
        ({"LSB_JOBID": "17"}, "lsf"),
        ({"COBALT_JOBID": "17"}, "cobalt"),
        ({"SGE_ROOT": "/opt/sge", "JOB_ID": "17"}, "sge"),
        ({"FLUX_URI": "local:///run/flux/local", "SLURM_JOB_ID": "17"}, "flux"),
        ({"SGE_ROOT": "/opt/sge"}, "local"),
        ({"JOB_ID": "17"}, "local"),
        ({"SLURM_JOB_ID": ""}, "local"),
    ],
)
def test_inside_a_job_the_environment_tells(environment: dict[str, str], launcher: str) -> None:
    assert detect_launcher(processes=machine(), environment=environment) == launcher


def test_inside_a_job_nothing_is_asked() -> None:
    nobody: Any = None
    assert detect_launcher(processes=nobody, environment={"PBS_JOBID": "1"}) == "pbs"


@pytest.mark.parametrize(
    ("processes", "environment", "message"),
    [
        (machine(), {"PBS_JOBID": "1"}, "Detected launcher pbs: this process runs in a job of it (PBS_JOBID is set)"),
        (
            machine(SLURM_UP),
            {},
            "Detected launcher slurm: scontrol ping answers 'Slurmctld(primary) at login1 is UP'",
        ),
        (machine(SLURM_DOWN), {}, "Detected launcher local: this machine has no workload manager that answers"),
    ],
)
def test_what_was_found_is_told(
    processes: ScriptedProcessRunner, environment: dict[str, str], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    detect_launcher(processes=processes, environment=environment)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [("INFO", message)]


def test_the_environment_of_this_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("FLUX_URI", "PBS_JOBID", "LSB_JOBID", "COBALT_JOBID", "SLURM_JOBID"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert detect_launcher() == "slurm"
